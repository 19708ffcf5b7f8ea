#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""vmclockd in a real arm64 guest, emulated: the kernel's vmclock driver bound by the device
tree, a clock page by the ARM virtual counter, and a page by another machine's counter. Run
setup-arm64.sh first. One line per step; the last line is "N passed, N failed".

usage: check_vm_arm64.py [CASE...]"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
os.environ.setdefault("VM_DIR", os.path.join(HERE, "../../build/vm/arm64"))

# pylint: disable=wrong-import-position  # they read VM_DIR
import lab_arm64
from cases import run_cases
from guest import Guest
from steps import (CPU_LIMIT_PERCENT, Counts, boot, expect_agreement, expect_one_reset, expect_page_shown,
                   foreign_counter, migrate_to_new_formula, wait_selected)

COUNTER_TSC = 1


def expect_clock(report, guest):
    status = guest.status()
    report.check(status["mode"] == "clock" and status["samples_sent"] > 0,
                 f"mode {status['mode']}, state {status['state']}, {status['samples_sent']} samples sent, "
                 f"bound {status['error_bound_ns']} ns")


def disrupt(report, guest, what, action):
    before = Counts(guest)
    action()
    expect_one_reset(report, guest, before, what)
    wait_selected(report, guest, what)
    report.check(Counts(guest).since(before) == (1, 1, 1), f"{what}: still one reset")


def case_clock(report, lab):
    """A full page by the ARM virtual counter, fed by the host through the kernel's driver."""
    here = lab.host("here")
    here("init", "status=1")
    guest = Guest(lab.vm("c0", page=here))
    boot(report, guest)
    source = guest.sh("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
    report.check(source == "arch_sys_counter", f"the kernel's clock source is {source}")
    calibration = here.serve_clock(guest.vm)
    report.step(f"       guest's counter calibrated to {calibration['width_ns']} ns, the host serves its clock")
    guest.configure_chronyd()
    guest.start_chronyd()
    guest.start_vmclockd()
    expect_page_shown(report, guest)
    wait_selected(report, guest, "start")
    expect_clock(report, guest)
    # If the readings are too noisy for the rate to be known in time, chronyd starts by its own
    # rules and slews whatever is less than makestep's second: for 12 s at most.
    expect_agreement(report, here, guest, "start", 40)
    report.check(not guest.log_lines("register"), "the counter runs at the frequency that its register states")
    cpu = guest.vmclockd_cpu_percent()
    report.check(cpu < CPU_LIMIT_PERCENT, f"vmclockd takes {cpu:.1f} % of the processor")

    disrupt(report, guest, "marker alone", lambda: here("marker"))
    expect_agreement(report, here, guest, "marker alone")

    migrate_to_new_formula(report, lab, guest, here, calibration)
    report.quote(guest.log_lines())


def case_foreign(report, lab):
    """A full page by the counter of x86."""
    foreign_counter(report, lab, COUNTER_TSC)


CASES = {"clock": case_clock, "foreign": case_foreign}


def main():
    names = sys.argv[1:]
    if not set(names) <= set(CASES):
        print(__doc__, file=sys.stderr)
        return 64
    return run_cases(CASES, names, lab_arm64.Lab)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
