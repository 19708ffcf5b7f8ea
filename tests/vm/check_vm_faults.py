#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""vmclockd in a real guest that others disturb: they set its clock, pause it, suspend it, and change
its marker all the time. As check_vm.py.

usage: check_vm_faults.py [--chrony SUITE|DIRECTORY] [--programs DIRECTORY] [CASE...]"""

import math
import sys
import time

from cases import main
from guest import SERVER_PORT, wait_for
from misuse import flapping
from steps import CLOCK_LIMIT_NS, Counts, error_ns, expect_agreement, expect_resets, start_with_clock

MS, S, HOUR = 10**6, 10**9, 3600 * 10**9
# A request has the clock corrected within milliseconds; the emulated processor may not be ours.
REQUEST_LIMIT_MS = 1000
# The time server's way is 100 us long and jitters by half of it.
NTP = f"server 127.0.0.1 port {SERVER_PORT} minpoll 0 maxpoll 0"
NTP_LIMIT_NS, NTP_LIMIT_MS = 200000, 20000
# The kernel sets the clock by the RTC at a resume, which counts seconds.
RESUME_LIMIT_NS = 2 * S


def expect_none(report, guest, before, what):
    counts = Counts(guest).since(before)
    report.check(counts == (0, 0, 0), f"{what}: disruptions, recoveries, resets +{'+'.join(map(str, counts))}")


def expect_request_helps(report, host, guest, what, limit_ns=CLOCK_LIMIT_NS, limit_ms=REQUEST_LIMIT_MS):
    before = Counts(guest)
    guest.sh("vmclockctl recover")
    took = guest.wait_status("recovered", lambda s: s["recoveries"] > before.recoveries and
                             s["last_recovery"]["outcome"] != "running")["last_recovery"]
    # What chronyd corrects is not known to be corrected before it is synchronised.
    after_ms = took["synchronised_ms" if took["corrected_by"] == "chronyd" else "corrected_ms"]
    error = error_ns(host, guest)
    report.check(Counts(guest).since(before) == (0, 1, 1) and took["cause"] == "request" and
                 (after_ms or math.inf) < limit_ms and abs(error) < limit_ns,
                 f"{what}: by a request corrected by {took['corrected_by']} after {after_ms} ms, {error} ns left; "
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
        error = error_ns(here, guest)
        # The state is a second old at most.
        told = guest.wait_status("samples are sent", lambda now: now["samples_sent"] > samples, 5)
        more = told["samples_sent"] - samples
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
    expect_request_helps(report, here, guest, "set back by an hour", NTP_LIMIT_NS, NTP_LIMIT_MS)


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


def case_disturbed(report, lab):
    """The clock is set by others than chronyd; the guest is paused, and suspended; the marker flaps."""
    here, guest = start_with_clock(report, lab, "d0")
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
