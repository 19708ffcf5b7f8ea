#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""vmclockd in a real guest that others disturb: they set its clock, pause it, suspend it, and change
its marker all the time. As check_vm.py.

usage: check_vm_faults.py [--chrony SUITE|DIRECTORY] [--programs DIRECTORY] [CASE...]"""

import sys
import time

from check_vm import (CLOCK_LIMIT_NS, Counts, boot, expect_agreement, expect_resets, main, wait_selected)
from guest import SERVER_PORT, Guest, wait_for

MS, S, HOUR = 10**6, 10**9, 3600 * 10**9
# A request has the clock corrected within milliseconds; the emulated processor may not be ours.
REQUEST_LIMIT_MS = 1000
# The time server's way is 100 us long and jitters by half of it.
NTP = f"server 127.0.0.1 port {SERVER_PORT} minpoll 0 maxpoll 0"
NTP_LIMIT_NS = 200000
# The kernel sets the clock by the RTC at a resume, which counts seconds.
RESUME_LIMIT_NS = 2 * S
# What a process' allocator keeps one time and not another.
MARGIN_KIB = 64
# As vmclock-recovery(7) has it: so many at once, then one a second; a repeated event is logged so often.
RESETS_AT_ONCE, SAID = 11, 7
# The pause between two resets, and a recovery.
SETTLE_LIMIT_MS = 1500


def start(report, lab, name):
    """A guest with a full page, chronyd synchronised to it."""
    here = lab.host("here")
    here("init", "status=1", "notification=1")
    guest = Guest(lab.vm(name, page=here))
    boot(report, guest)
    here.serve_clock(guest.vm)
    guest.configure_chronyd()
    guest.start_chronyd()
    guest.start_vmclockd()
    wait_selected(report, guest, "start")
    expect_agreement(report, here, guest, "start")
    return here, guest


def undisturbed_ns(compare, guest):
    """Once no answer took so long that it could be from anywhere."""
    def narrow():
        seen = compare(guest.vm, 40)
        return seen if seen["bracket_ns"] < MS // 10 else None
    return wait_for("an undisturbed comparison", narrow, 20)["median_ns"]


def error_ns(host, guest):
    """The guest's clock less the host's."""
    return undisturbed_ns(host.compare_clock, guest)


def expect_none(report, guest, before, what):
    counts = Counts(guest).since(before)
    report.check(counts == (0, 0, 0), f"{what}: disruptions, recoveries, resets +{'+'.join(map(str, counts))}")


def expect_page(report, host, guest, what):
    """The guest's clock is the page's, which is no longer the host's."""
    error = error_ns(host, guest) - undisturbed_ns(host.compare_page, guest)
    report.check(abs(error) < CLOCK_LIMIT_NS, f"{what}: guest's CLOCK_REALTIME less the page's: {error} ns")


def expect_request_helps(report, host, guest, what, limit_ns=CLOCK_LIMIT_NS):
    before = Counts(guest)
    guest.sh("vmclockctl recover")
    took = guest.wait_status("recovered", lambda s: s["recoveries"] > before.recoveries and
                             s["last_recovery"]["outcome"] != "running")["last_recovery"]
    error = error_ns(host, guest)
    report.check(Counts(guest).since(before) == (0, 1, 1) and took["cause"] == "request" and
                 took["corrected_ms"] < REQUEST_LIMIT_MS and abs(error) < limit_ns,
                 f"{what}: by a request corrected after {took['corrected_ms']} ms, {error} ns left; "
                 f"synchronised after {took['synchronised_ms']} ms")


def disturb(guest, step_ns, ppm, after_ms=""):
    guest.sh(f"guest disturb {step_ns} {ppm} {after_ms}" + (" & sleep 0.3" if after_ms != "" else ""))


def chronyd_knows(guest, step_ns):
    """Half of it at least; it slews at once, but believes no sample from before the last one's time."""
    wait_for("chronyd knows", lambda: abs(float(guest.chronyc("tracking")[0][4])) > abs(step_ns) / S / 2, 20)


def set_at_rest(report, here, guest):
    for step_ns, ppm in (5 * MS, 0), (0, 50):
        before = Counts(guest)
        disturb(guest, step_ns, ppm)
        expect_agreement(report, here, guest, f"set by {step_ns / S} s and {ppm} ppm, corrected by chronyd from samples")
        expect_none(report, guest, before, "not by vmclockd")
    for step_ns in -1 * S, HOUR:
        what, before, samples = f"set by {step_ns / S} s", Counts(guest), guest.status()["samples_sent"]
        disturb(guest, step_ns, 0)
        chronyd_knows(guest, step_ns)
        error, more = error_ns(here, guest), guest.status()["samples_sent"] - samples
        report.check(abs(error) > abs(step_ns) / 2 and more > 0,
                     f"{what}: {more} samples say so, chronyd slews, {error / S:+.3f} s are left")
        expect_none(report, guest, before, what)
        expect_request_helps(report, here, guest, what)


def set_in_a_recovery(report, here, guest):
    for step_ns, ppm, after_ms in (3 * S, 50, 0), (-HOUR, 0, 5):
        what, before = f"set by {step_ns / S} s and {ppm} ppm {after_ms} ms after the marker changed", Counts(guest)
        disturb(guest, step_ns, ppm, after_ms)
        here("marker")
        expect_resets(report, guest, before, 1, what)
        if abs(guest.status()["last_recovery"]["corrected_ns"] + step_ns) < MS:
            expect_agreement(report, here, guest, f"{what}, met by the recovery")
        else:
            chronyd_knows(guest, step_ns)
            expect_request_helps(report, here, guest, f"{what}, too late for the recovery")


def set_with_a_marker_only(report, here, guest):
    """Where chronyd has a time server, and may no longer step: its makestep is for its first updates."""
    guest.stop_chronyd()
    here("init", "notification=1", "marker-only=1", f"marker={here('show')['marker']}")
    here("serve", 100)
    guest.sh(f"guest ntp {SERVER_PORT} 100 50 &")
    guest.configure_chronyd(NTP)
    guest.start_chronyd()
    guest.start_vmclockd()
    wait_for("NTP samples", lambda: (guest.ntp_span_s() or 0) > 5, 30)
    before = Counts(guest)
    disturb(guest, -HOUR, 0)
    chronyd_knows(guest, HOUR)
    expect_none(report, guest, before, f"mode {guest.status()['mode']}, set back by an hour")
    expect_request_helps(report, here, guest, "set back by an hour", NTP_LIMIT_NS)


def paused(report, here, guest, seconds):
    """The emulated processor's counter stands still meanwhile, and the guest's clocks with it."""
    before = Counts(guest)
    guest.vm.qmp("stop")
    time.sleep(seconds)
    guest.vm.qmp("cont")
    error = error_ns(here, guest)
    report.check(abs(error + seconds * S) < S / 4, f"paused: the guest's clock is off by {error / S:+.3f} s")
    expect_none(report, guest, before, "paused, and the page does not know")
    here.calibrate(guest.vm)
    guest.wait_status("the page knows", lambda s: (s["offset_ns"] or 0) > seconds * S / 2)
    expect_none(report, guest, before, "paused, and the page was corrected")
    expect_request_helps(report, here, guest, "paused")


def suspended(report, here, guest, seconds):
    """To memory, as ACPI calls it. The counter goes on, the kernel's clocks do not."""
    before = Counts(guest)
    guest.suspend(seconds)
    error = error_ns(here, guest)
    report.check(abs(error) < RESUME_LIMIT_NS, f"suspended: the kernel has set the clock, off by {error / S:+.3f} s")
    expect_none(report, guest, before, "suspended")
    expect_request_helps(report, here, guest, "suspended")


def stopped(report, here, guest, seconds):
    before = Counts(guest)
    guest.sh("kill -STOP $vmclockd")
    time.sleep(seconds / 2)
    here("step", 5 * MS, 0)
    time.sleep(seconds / 2)
    guest.sh("kill -CONT $vmclockd")
    expect_resets(report, guest, before, 1, "vmclockd was stopped, the marker changed meanwhile")
    expect_page(report, here, guest, "vmclockd was stopped")


def flapping(report, here, guest, seconds):
    """The marker changes every millisecond, as well as a script can; the last change is real."""
    lines = len(guest.log_lines())
    kept, before, began = guest.kept(), Counts(guest), time.monotonic()
    while time.monotonic() < began + seconds:
        here("marker")
        time.sleep(0.001)
    here("step", 5 * MS, 0)
    ended, took = time.monotonic(), time.monotonic() - began
    marker = here("show")["marker"]
    status = guest.wait_status("recovered", lambda s: s["last_recovery"]["outcome"] == "synchronised" and
                               int(s["last_recovery"]["marker"], 16) == marker, 10)
    settled, recovery = time.monotonic() - ended, status["last_recovery"]
    report.check(recovery["corrected_ms"] < SETTLE_LIMIT_MS,
                 f"flapped for {took:.0f} s: corrected {recovery['corrected_ms']} ms after the last change was seen, "
                 f"recovered {settled:.1f} s after it was made")
    expect_page(report, here, guest, "flapped")
    disruptions, recoveries, resets = Counts(guest).since(before)
    report.check(disruptions > 10 * seconds and recoveries == resets <= RESETS_AT_ONCE + took,
                 f"{disruptions} disruptions, {resets} resets confirmed")
    said = guest.log_lines()[lines:]
    changes = [line for line in said if line.startswith("disruption marker changed")]
    # again where the host stood still for a second: then it has stopped in between
    most = SAID * (1 + took / 20)
    report.check(SAID <= len(changes) <= most and len(said) < 2 * most + took,
                 f"{len(said)} lines in the log, of which {len(changes)} of a changed marker")
    report.quote(said[-5:])
    last = guest.kept()
    report.check(last[0] <= kept[0] + MARGIN_KIB and last[1] == kept[1],
                 f"memory from {kept[0]} to {last[0]} KiB, descriptors from {kept[1]} to {last[1]}")


def case_disturbed(report, lab):
    """The clock is set by others than chronyd; the guest is paused, and suspended; the marker flaps."""
    here, guest = start(report, lab, "d0")
    set_at_rest(report, here, guest)
    set_in_a_recovery(report, here, guest)
    # No whole number of seconds, which would be taken for a leap second gone wrong.
    paused(report, here, guest, 3.5)
    suspended(report, here, guest, 5)
    report.quote(guest.log_lines())
    flapping(report, here, guest, 20)
    report.check(guest.end_vmclockd() == 0, "it is the same vmclockd, and ends well")
    set_with_a_marker_only(report, here, guest)
    report.quote(guest.log_lines())


CASES = {"disturbed": case_disturbed}


if __name__ == "__main__":
    try:
        sys.exit(main(CASES, __doc__))
    except KeyboardInterrupt:
        sys.exit(130)
