#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How good a guest's clock is while nothing happens: vmclockd with the chrony drop-in as
it is installed, beside chronyd on the kernel's PTP clock. The host's formula wanders as an
oscillator does (--wander, per square root of a second); the error against it is that of
bench_recovery.py.

usage: bench_steady.py [--seconds N] [--wander W] [--chrony SUITE|DIRECTORY]
                       [--programs DIRECTORY] [--output DIRECTORY] [--all] [CONTENDER...]

Run tests/vm/setup.sh and build first; `make bench` does. --all tries every setting of the PTP clock
that was in question, not only the best and the plainest."""

import argparse
import concurrent.futures
import csv
import os
import random
import statistics
import sys
import time

from bench_recovery import CHRONY_CONF, PHC, drop_in
from bench_truth import Truth, points, rms

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../vm"))

import lab as vmlab  # noqa: E402
from guest import Guest, wait_for  # noqa: E402

SEED = 20252
PROBE_HZ = 100
WARM_UP_S = 60
CONTENDERS = {
    "vmclockd": None,  # the drop-in
    "ptp poll 4": "",
    "ptp poll 0": "poll 0",
    "ptp poll 0 dpoll -4": "poll 0 dpoll -4",
    "ptp poll -2 dpoll -4": "poll -2 dpoll -4",
    "ptp poll -2 dpoll -6": "poll -2 dpoll -6",
    "ptp poll -2": "poll -2 dpoll -2",
    "ptp poll 1 dpoll -4": "poll 1 dpoll -4",
    "ptp poll 2 dpoll -2": "poll 2 dpoll -2",
}
USUAL = ("vmclockd", "ptp poll 0", "ptp poll -2 dpoll -6")


def wander(host, seconds, amount):
    """A new rate each second, on from where the formula is: a random walk, without a marker."""
    generator = random.Random(SEED)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if amount:
            host("step", 0, f"{generator.gauss(0, amount) * 1e6:.9f}", "steer")
        time.sleep(min(1, left))


def measure(name, options):
    settings = CONTENDERS[name]
    with vmlab.Lab(initrd=options.initrd) as lab:
        host = lab.host("host")
        host("init", "status=1")
        vm = lab.vm("guest", page=host)
        guest = Guest(vm)
        vm.boot()
        host.calibrate(vm)
        host("log", lab.path("formulas"))
        host("serve", 0)
        host("follow", 1000)
        vm.write("/etc/chrony.conf", (drop_in() if settings is None else f"{PHC} {settings}") + CHRONY_CONF)
        guest.start_chronyd()
        if settings is None:
            guest.start_vmclockd()
        wander(host, WARM_UP_S if settings != "" else 5 * WARM_UP_S, options.wander)
        wait_for("chronyd has a reference", guest.reference, 60, 1)
        guest.sh(f"guest probe {options.seconds + 60} {PROBE_HZ} /tmp/probe & probe=$!")
        wander(host, options.seconds, options.wander)
        guest.sh("kill $probe; wait $probe", check=False)
        data = host.received(vm, "/tmp/probe")
        vm.quit()
        host.end()
        found, _ = points(Truth(lab.path("formulas")), data)
    signed = [point.error_ns for point in found]
    errors = sorted(map(abs, signed))
    return {"contender": name, "readings": len(errors), "rms_ns": round(rms(errors), 1),
            "mean_ns": round(statistics.fmean(signed), 1), "deviation_ns": round(statistics.pstdev(signed), 1),
            "p99_ns": errors[len(errors) * 99 // 100], "largest_ns": errors[-1]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="of each contender (600)")
    parser.add_argument("--wander", type=float, default=1e-9, help="of the formula's rate (1e-9)")
    parser.add_argument("--chrony", default="bookworm", metavar="SUITE")
    parser.add_argument("--programs", metavar="DIRECTORY", help="where vmclockd and vmclockctl are")
    parser.add_argument("--output", metavar="DIRECTORY", default=os.path.join(vmlab.HERE, "../../build/bench"))
    parser.add_argument("--together", type=int, default=3, help="how many at a time (3)")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("contenders", nargs="*", metavar="CONTENDER", help=", ".join(CONTENDERS))
    options = parser.parse_args()
    if not set(options.contenders) <= set(CONTENDERS):
        parser.error("the contenders are " + ", ".join(CONTENDERS))
    names = options.contenders or (CONTENDERS if options.all else USUAL)
    os.makedirs(options.output, exist_ok=True)
    options.initrd = os.path.join(options.output, "steady.initrd")
    vmlab.build_initramfs(options.chrony, options.programs, options.initrd)

    rows, failed = [], False
    with concurrent.futures.ProcessPoolExecutor(options.together) as executor:
        for name, future in {name: executor.submit(measure, name, options) for name in names}.items():
            try:
                rows.append(future.result())
            except (RuntimeError, TimeoutError, OSError, KeyError, ValueError) as error:
                print(f"{name} could not be measured: {type(error).__name__}: {error}", file=sys.stderr)
                failed = True
    if not rows:
        return 1
    print(f"error of the guest's clock over {options.seconds} s, the host's rate wandering by {options.wander:g} "
          "per sqrt(s), ns")
    print(f"{'':22} {'rms':>8} {'mean':>8} {'deviation':>9} {'99 %':>8} {'largest':>8}")
    for row in rows:
        print(f"{row['contender']:22} {row['rms_ns']:8.1f} {row['mean_ns']:8.1f} {row['deviation_ns']:9.1f} "
              f"{row['p99_ns']:8} {row['largest_ns']:8}")
    print("(a mean of some ns is the emulated readings' own: where in its bracket a clock is really read)")
    with open(os.path.join(options.output, "steady.csv"), "w", newline="", encoding="ascii") as file:
        file.write("# SPDX-License-Identifier: BSD-2-Clause\n")
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return failed


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
