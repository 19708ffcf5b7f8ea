#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""vmclockd in a real guest: the kernel's vmclock driver, chronyd disciplining the
guest's clock, live migrations and snapshots. Run setup.sh and build first; `make
check-vm` does. One line per step; the last line is "N passed, N failed".

usage: check_vm.py [--chrony SUITE|DIRECTORY] [--programs DIRECTORY] [CASE...]"""

import signal
import sys
import time

from cases import main
from guest import SERVER_LINE, Guest, wait_for
from steps import (CPU_LIMIT_PERCENT, SETTLE_S, Counts, boot, chronyd_reset_lines, expect_agreement,
                   expect_forgotten, expect_one_reset, expect_page_shown, expect_resets_in_chronyd,
                   expect_samples_kept, foreign_counter, migrate, migrate_to_new_formula, wait_selected)

COUNTER_ARM = 0


def case_marker(report, lab):
    """QEMU's own device: nothing but the marker, no notification."""
    guest = Guest(lab.vm("m0"))
    boot(report, guest)
    guest.start_ntp_server()
    guest.configure_chronyd(SERVER_LINE + "\nlocal stratum 10\n")
    guest.start_chronyd()
    guest.start_vmclockd()
    status = guest.status()
    report.check(status["mode"] == "marker-only" and int(status["disruption_marker"], 16) == 1 and
                 status["recoveries"] == 0, f"vmclockd watches: mode {status['mode']}, state {status['state']}, "
                 f"marker {status['disruption_marker']}, recoveries {status['recoveries']}")
    expect_page_shown(report, guest)
    cpu = guest.vmclockd_cpu_percent()
    report.check(cpu < CPU_LIMIT_PERCENT,
                 f"no notification (poll says POLLHUP): vmclockd takes {cpu:.1f} % of the processor")

    for name in "m1", "m2":
        wait_for("NTP samples", lambda: (guest.ntp_span_s() or 0) > SETTLE_S + 3, 30)
        before, logged, moved = Counts(guest), chronyd_reset_lines(guest), time.monotonic()
        migrate(report, lab, guest, name)
        expect_one_reset(report, guest, before, "migration")
        expect_forgotten(report, guest, moved, "migration")
        expect_resets_in_chronyd(report, guest, logged, 1, "migration")

    for number, expected in ("TERM", 0), ("KILL", 128 + signal.SIGKILL):
        wait_for("NTP samples", lambda: (guest.ntp_span_s() or 0) > 3, 30)
        started, logged = time.monotonic(), chronyd_reset_lines(guest)
        code = guest.end_vmclockd(number)
        report.check(code == expected, f"vmclockd ended by SIG{number}: status {code}")
        guest.start_vmclockd()
        time.sleep(SETTLE_S)
        report.check(guest.resets() == 0, f"restarted after SIG{number}, nothing disrupted: no reset in the log")
        expect_samples_kept(report, guest, started, f"restarted after SIG{number}")
        expect_resets_in_chronyd(report, guest, logged, 0, f"restarted after SIG{number}")
        report.quote(guest.log_lines())

    guest.end_vmclockd()
    moved, logged = time.monotonic(), chronyd_reset_lines(guest)
    migrate(report, lab, guest, "m3")
    guest.start_vmclockd()
    wait_for("a confirmed reset", guest.resets, 20)
    time.sleep(SETTLE_S)
    report.check(guest.resets() == 1, f"disrupted while vmclockd was down: {guest.resets()} reset(s) at its start")
    report.quote(guest.log_lines("disruption marker", "chronyd confirmed the reset"))
    expect_forgotten(report, guest, moved, "disrupted while vmclockd was down")
    expect_resets_in_chronyd(report, guest, logged, 1, "disrupted while vmclockd was down")

    chronyd_away(report, lab, guest)
    snapshot(report, lab, guest)


def chronyd_away(report, lab, guest):
    """A disruption that chronyd cannot be told of at once."""
    before = Counts(guest)
    guest.stop_chronyd()
    guest.sh("rm /run/chronyd.log")
    migrate(report, lab, guest, "m4")
    time.sleep(2)
    report.check(Counts(guest).since(before)[1:] == (0, 0), "chronyd is not running: no reset confirmed")
    guest.start_chronyd()
    expect_one_reset(report, guest, before, "chronyd started after the migration")
    expect_resets_in_chronyd(report, guest, 0, 1, "chronyd started after the migration")

    before, logged = Counts(guest), chronyd_reset_lines(guest)
    guest.signal_chronyd("STOP")
    moved = time.monotonic()
    migrate(report, lab, guest, "m5", snapshots=True)
    time.sleep(3)
    report.check(Counts(guest).since(before)[1:] == (0, 0), "chronyd is frozen: no reset confirmed")
    guest.signal_chronyd("CONT")
    expect_one_reset(report, guest, before, "chronyd thawed after the migration")
    expect_forgotten(report, guest, moved, "chronyd thawed after the migration")
    expect_resets_in_chronyd(report, guest, logged, 1, "chronyd thawed after the migration")


def snapshot(report, lab, guest):
    wait_for("NTP samples", lambda: (guest.ntp_span_s() or 0) > 3, 30)
    before, logged = Counts(guest), chronyd_reset_lines(guest)
    guest.vm.hmp("savevm one")
    time.sleep(SETTLE_S)
    report.check(Counts(guest).since(before) == (0, 0, 0), "snapshot taken: no reset")
    guest.vm.hmp("loadvm one")
    loaded = time.monotonic()
    report.step("       snapshot loaded")
    expect_one_reset(report, guest, before, "snapshot loaded")
    expect_forgotten(report, guest, loaded, "snapshot loaded")
    expect_resets_in_chronyd(report, guest, logged, 1, "snapshot loaded")


def case_clock(report, lab):
    """A full page, fed by the host through the kernel's driver."""
    here = lab.host("here")
    here("init", "status=1", "notification=1")
    guest = Guest(lab.vm("c0", page=here))
    boot(report, guest)
    calibration = here.serve_clock(guest.vm)
    report.step(f"       guest's counter calibrated to {calibration['width_ns']} ns, the host serves its clock")
    guest.configure_chronyd()
    guest.start_chronyd()
    guest.start_vmclockd()
    expect_page_shown(report, guest)
    wait_selected(report, guest, "start")
    status = guest.status()
    report.check(status["mode"] == "clock" and status["samples_sent"] > 0,
                 f"mode {status['mode']}, state {status['state']}, {status['samples_sent']} samples sent")
    expect_agreement(report, here, guest, "start")
    report.quote(guest.log_lines())

    cpu = guest.vmclockd_cpu_percent()
    report.check(cpu < CPU_LIMIT_PERCENT, f"with notifications: vmclockd takes {cpu:.1f} % of the processor")
    for flag, what in ((0, "the notification flag gone (poll says POLLHUP)"), (1, "the flag back")):
        before = guest.status()["samples_sent"]
        here("notification", flag)
        cpu = guest.vmclockd_cpu_percent()
        more = guest.status()["samples_sent"] - before
        report.check(cpu < CPU_LIMIT_PERCENT and more > 0,
                     f"{what}: vmclockd takes {cpu:.1f} % of the processor and sent {more} samples more")

    migrate_to_new_formula(report, lab, guest, here, calibration, "notification=1")


def case_foreign(report, lab):
    """A full page by the ARM virtual counter."""
    foreign_counter(report, lab, COUNTER_ARM)


CASES = {"marker": case_marker, "clock": case_clock, "foreign": case_foreign}


if __name__ == "__main__":
    try:
        sys.exit(main(CASES, __doc__))
    except KeyboardInterrupt:
        sys.exit(130)
