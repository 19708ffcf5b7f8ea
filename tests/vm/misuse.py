# SPDX-License-Identifier: BSD-2-Clause
"""A guest whose vmclockd is stopped for a while, or whose marker flaps."""

import time

from steps import Counts, expect_page, expect_resets

MS = 10**6
# As vmclock-recovery(7) has it: so many at once, then one a second; a repeated event is logged so often.
RESETS_AT_ONCE, SAID = 11, 7
# The pause between two resets, and a recovery.
SETTLE_LIMIT_MS = 1500
# What a process' allocator keeps one time and not another.
MARGIN_KIB = 64


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
