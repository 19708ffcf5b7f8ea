#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""vmclockd in a real guest: the kernel's vmclock driver, chronyd disciplining the
guest's clock, live migrations and snapshots. Run setup.sh and build first; `make
check-vm` does. One line per step; the last line is "N passed, N failed".

usage: check_vm.py [--chrony SUITE|DIRECTORY] [--programs DIRECTORY] [CASE...]"""

import argparse
import os
import signal
import subprocess
import sys
import time
import traceback

import lab as vmlab
from guest import SERVER_LINE, Guest, wait_for

# The guest's clock against the host's, both ways through a mailbox. Half of an
# exchange's round trip (0.2 us, 1 us where others use the processors too) cannot be
# told from an error, the same again for the calibration of the guest's counter.
CLOCK_LIMIT_NS = 2000
# A loop that spins takes all of the processor, one look per 10 ms a few percent of
# it even in emulation.
CPU_LIMIT_PERCENT = 30
# How long to wait for a second reset, which must not come.
SETTLE_S = 3
# So long vmclockd waits for a new host's formula before it goes on without.
HOST_WAIT_S = 5
COUNTER_ARM = 0

T0 = time.monotonic()


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def step(self, text):
        print(f"[{time.monotonic() - T0:6.1f} s] {text}", flush=True)

    def quote(self, lines):
        for line in lines:
            print(f"             | {line}", flush=True)

    def check(self, ok, text):
        self.passed += bool(ok)
        self.failed += not ok
        self.step(("ok    " if ok else "FAILED ") + text)
        return ok


class Counts:
    """What vmclockd and chronyd have counted until now; two of them tell of the time between."""

    def __init__(self, guest):
        status = guest.status()
        self.disruptions, self.recoveries = status["disruptions"], status["recoveries"]
        self.run, self.resets = guest.runs, guest.resets()
        self.reset_lines = guest.log_lines("disruption marker", "chronyd confirmed the reset")

    def since(self, earlier):
        """Disruptions, recoveries and resets in the log; the last starts again at 0 with vmclockd."""
        before = earlier.resets if earlier.run == self.run else 0
        return self.disruptions - earlier.disruptions, self.recoveries - earlier.recoveries, self.resets - before

    def new_lines(self, earlier):
        return self.reset_lines[len(earlier.reset_lines) if earlier.run == self.run else 0:]


def expect_one_reset(report, guest, before, what, timeout=30):
    expect_resets(report, guest, before, 1, what, timeout)


def expect_resets(report, guest, before, count, what, timeout=30):
    try:
        guest.wait_status("a confirmed reset", lambda s: s["recoveries"] >= before.recoveries + count, timeout)
    except TimeoutError as error:
        report.check(False, f"{what}: {error}")
        report.quote([str(guest.status())] + guest.log_lines()[-10:])
        return
    time.sleep(SETTLE_S)
    after = Counts(guest)
    took = guest.status()["last_recovery"]
    report.check(after.since(before) == (1, count, count),
                 f"{what}: disruptions, recoveries, resets in the log +{'+'.join(map(str, after.since(before)))}; "
                 f"reset after {took['reset_ms']} ms, outcome {took['outcome']}")
    report.quote(after.new_lines(before))


def expect_forgotten(report, guest, since, what):
    """chronyd's own evidence: it has no sample from before the reset."""
    span = guest.ntp_span_s()
    limit = time.monotonic() - since + 1
    report.check(span is None or span <= limit, f"{what}: chronyd's NTP samples span {span} s, at most {limit:.1f} s")


def expect_samples_kept(report, guest, since, what):
    span = wait_for("NTP samples", guest.ntp_span_s, 20)
    report.check(span > time.monotonic() - since, f"{what}: chronyd still has NTP samples of the last {span} s")


def expect_resets_in_chronyd(report, guest, before, count, what):
    """chronyd 4.9 says so itself; older ones are silent."""
    if chronyd_reset_lines(guest) is not None:
        seen = chronyd_reset_lines(guest) - before
        if not report.check(seen == count, f"{what}: chronyd logged {seen} reset(s)"):
            report.quote(guest.chronyd_log()[-10:] + guest.log_lines()[-10:])


def chronyd_reset_lines(guest):
    if tuple(int(part) for part in guest.chronyd_version().split(".")[:2]) < (4, 9):
        return None
    return sum("Reset all sources" in line for line in guest.chronyd_log())


def boot(report, guest):
    kernel, seconds = guest.vm.boot()
    report.step(f"       Linux {kernel}, chrony {guest.chronyd_version()}, booted in {seconds:.1f} s")


def expect_page_shown(report, guest):
    code, output = guest.sh("vmclockctl page", check=False)
    report.check(code == 0, f"vmclockctl page: status {code}")
    report.quote(output.split("\n\n")[-1].splitlines())


def migrate(report, lab, guest, name, **options):
    destination = lab.vm(name, incoming=True, **options)
    downtime = guest.migrate(destination)
    report.step(f"       live-migrated to {name}, downtime {downtime} ms")


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


def expect_agreement(report, host, guest, what, timeout=20):
    """chronyd may need a few updates more."""
    end = time.monotonic() + timeout
    while True:
        seen = host.compare_clock(guest.vm)
        if abs(seen["median_ns"]) < CLOCK_LIMIT_NS or time.monotonic() > end:
            break
        time.sleep(1)
    report.check(abs(seen["median_ns"]) < CLOCK_LIMIT_NS,
                 f"{what}: guest's CLOCK_REALTIME less the host's: median {seen['median_ns']} ns, "
                 f"5 to 95 % {seen['p5_ns']} to {seen['p95_ns']} ns")


def wait_selected(report, guest, what, timeout=40):
    def selected():
        status = guest.status()
        return status and status["chronyd"]["synchronised"] and guest.reference() == "VMCL"
    wait_for("chronyd selects VMCL", selected, timeout)
    sources, stats = guest.chronyc("sources")[0], guest.chronyc("sourcestats")[0]
    report.check(sources[:3] == ["#", "*", "VMCL"],
                 f"{what}: chronyd's reference is {sources[2]}, reach {sources[5]}, samples {stats[1]}, "
                 f"standard deviation {float(stats[7]) * 1e9:.0f} ns")


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


def move_on(report, guest, here, there, destination):
    """To another host, which knows the marker it must give, but the guest's counter only once the
    guest runs there. Its calibration, and how many resets it takes."""
    here("freeze")
    downtime = guest.migrate(destination)
    time.sleep(1)  # the guest's counter stands still while the guest does
    destination.resume()
    resumed = time.monotonic()
    there("status", 4)  # an update, so that the guest is notified
    report.step(f"       live-migrated, downtime {downtime} ms and another second")
    calibration = there.serve_clock(guest.vm)
    # On a loaded machine the calibration may take longer than vmclockd waits: then it
    # has gone on without the formula, and recovers once more when that is there.
    resets = 2 if guest.log_lines("continuing without it") else 1
    report.check(resets == 1 or time.monotonic() - resumed > HOST_WAIT_S,
                 f"vmclockd waited for the new host's page, {time.monotonic() - resumed:.1f} s until now")
    return calibration, resets


def migrate_to_new_formula(report, lab, guest, here, calibration, *flags):
    there = lab.host("there")
    there("init", "status=4", *flags, f"marker={here('show')['marker'] + 1}")
    before, logged = Counts(guest), chronyd_reset_lines(guest)
    destination = lab.vm("c1", page=there, incoming=True, autostart=False)
    new, resets = move_on(report, guest, here, there, destination)
    ticks = new["offset"] - calibration["offset"]
    report.step(f"       calibrated on the new host: the counter is off by {ticks / new['counter_mhz'] / 1e6:.3f} s; "
                "it serves its clock")
    samples = guest.status()["samples_sent"]
    expect_resets(report, guest, before, resets, "migration with a new formula")
    expect_resets_in_chronyd(report, guest, logged, resets, "migration with a new formula")
    wait_selected(report, guest, "migrated")
    more = guest.status()["samples_sent"] - samples
    report.check(more > 0, f"migrated: {more} samples more")
    expect_agreement(report, there, guest, "migrated")
    report.check(Counts(guest).since(before) == (1, resets, resets), f"migrated: still {resets} reset(s)")
    report.quote([str(guest.status())])


def foreign_counter(report, lab, counter_id):
    """A full page by the counter of other machines: its marker is good all the same."""
    here = lab.host("here")
    here("init", "status=1", f"counter-id={counter_id}")
    guest = Guest(lab.vm("f0", page=here))
    boot(report, guest)
    here.serve_clock(guest.vm)
    guest.start_ntp_server()
    guest.configure_chronyd(SERVER_LINE + "\nlocal stratum 10\n")
    guest.start_chronyd()
    guest.start_vmclockd()
    status = guest.status()
    report.check(status["mode"] == "marker-only" and status["samples_sent"] == 0,
                 f"mode {status['mode']}, state {status['state']}, {status['samples_sent']} samples sent")
    reasons = guest.log_lines("counter")
    report.check(reasons, "vmclockd says why")
    report.quote(reasons)
    expect_page_shown(report, guest)
    wait_for("NTP samples", lambda: (guest.ntp_span_s() or 0) > 6, 30)
    before, disrupted = Counts(guest), time.monotonic()
    here("marker")
    expect_one_reset(report, guest, before, "marker")
    expect_forgotten(report, guest, disrupted, "marker")


def case_foreign(report, lab):
    """A full page by the ARM virtual counter."""
    foreign_counter(report, lab, COUNTER_ARM)


CASES = {"marker": case_marker, "clock": case_clock, "foreign": case_foreign}


def run_case(case, name, make_lab):
    """What it reported; that it could not go on is a failure, too."""
    report = Report()
    report.step(f"       ---- {name}: {case.__doc__}")
    with make_lab() as lab:
        try:
            case(report, lab)
        except (RuntimeError, TimeoutError, OSError, KeyError, TypeError, ValueError, subprocess.SubprocessError) as error:
            report.check(False, f"{name}: {type(error).__name__}: {error}")
            report.quote(traceback.format_exc().splitlines()[:-1])
    return report


def run_cases(cases, names, make_lab):
    """These cases, or all; gives the exit status. An emulated processor whose host stands still
    for a second is no guest's fault: a case that fails has one more attempt, and says so."""
    passed = failed = 0
    for name in names or cases:
        report = run_case(cases[name], name, make_lab)
        if report.failed:
            print(f"       ---- {name}: {report.failed} failed; once more")
            report = run_case(cases[name], name, make_lab)
        passed, failed = passed + report.passed, failed + report.failed
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def main(cases, description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chrony", default="bookworm", metavar="SUITE",
                        help="whose chrony (see fetch-chrony), or a directory; / is the installed one")
    parser.add_argument("--programs", metavar="DIRECTORY", help="where vmclockd and vmclockctl are")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(cases))
    options = parser.parse_args()
    if not set(options.cases) <= set(cases):
        parser.error("the cases are " + ", ".join(cases))

    vmlab.build_initramfs(options.chrony, options.programs)
    return run_cases(cases, options.cases, vmlab.Lab)


if __name__ == "__main__":
    try:
        sys.exit(main(CASES, __doc__))
    except KeyboardInterrupt:
        sys.exit(130)
