#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Live migration after live migration of one guest, its processor and the host's busy: every one
is a disruption with one confirmed reset, nothing else is, and vmclockd keeps neither memory nor
descriptors. Then vmclockd is stopped for a minute, and the marker of a full page flaps for some.
Run setup.sh and build first; `make soak` does.

usage: soak_vm.py [MIGRATIONS [SECONDS-OF-FLAPPING]]"""

import contextlib
import os
import subprocess
import sys
import time

import lab as vmlab
from cases import Report
from guest import SERVER_LINE, Guest
from misuse import MARGIN_KIB, flapping, stopped
from steps import Counts, boot, start_with_clock

STOPPED_S = 60
BUSY = "while :; do :; done"
BOOST = "boost = 127.0.0.1 4 6"


def soak(report, lab, migrations):
    guest = Guest(lab.vm("s0"))
    boot(report, guest)
    guest.start_ntp_server()
    guest.configure_chronyd(SERVER_LINE + "\nlocal stratum 10\n")
    guest.start_chronyd()
    guest.start_vmclockd(BOOST)
    guest.sh(f"({BUSY}) &")
    started, first = Counts(guest), None
    for number in range(1, migrations + 1):
        before = Counts(guest)
        guest.migrate(lab.vm(f"s{number}", incoming=True))
        guest.wait_status("a confirmed reset", lambda s: s["recoveries"] > before.recoveries, 60)
        if number == min(3, migrations):
            first = guest.kept()
        if number % 10 == 0:
            report.step(f"       {number} migrations, {guest.kept()[0]} KiB, {guest.kept()[1]} descriptors")
    time.sleep(3)
    got, last = Counts(guest).since(started), guest.kept()
    report.check(got == (migrations,) * 3, f"{migrations} migrations: disruptions, recoveries, resets in the log {got}")
    report.check(last[0] <= first[0] + MARGIN_KIB and last[1] == first[1],
                 f"memory from {first[0]} to {last[0]} KiB, descriptors from {first[1]} to {last[1]}")
    guest.wait_status("settings restored", lambda _: guest.log_lines("settings are restored"), 60)
    code = guest.end_vmclockd()
    report.check(code == 0 and not guest.log_lines("will be restored"), f"settings restored; SIGTERM: status {code}")


def misuse(report, lab, seconds):
    here, guest = start_with_clock(report, lab, "f0")
    stopped(report, here, guest, STOPPED_S)
    flapping(report, here, guest, seconds)
    report.check(guest.end_vmclockd() == 0, "SIGTERM: status 0")


@contextlib.contextmanager
def busy_host():
    burners = [subprocess.Popen(["sh", "-c", BUSY]) for _ in range(os.cpu_count())]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()


def main():
    migrations = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 240
    vmlab.build_initramfs("bookworm")
    report = Report()
    try:
        with vmlab.Lab() as lab, busy_host():
            soak(report, lab, migrations)
        with vmlab.Lab() as lab:
            misuse(report, lab, seconds)
    except (RuntimeError, TimeoutError, OSError) as error:
        report.check(False, f"{type(error).__name__}: {error}")
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
