#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How long after the host has written a new disruption marker RESET_SOURCES is sent, by
notification and by timer: from the counter of the write in the host's log to the kernel's
timestamp of the datagram.

usage: bench_detect.py [--count N] [--output DIRECTORY]

Run tests/vm/setup.sh and build first; `make bench` does."""

import argparse
import csv
import os
import random
import statistics
import sys
import time

from bench_truth import Truth

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../vm"))

import lab as vmlab  # noqa: E402
from guest import Guest  # noqa: E402

COMMAND_SOCKET = "/run/chrony/chronyd.sock"
SEED = 20251


def measure(count, notification):
    """Milliseconds, sorted."""
    generator = random.Random(SEED)
    with vmlab.Lab() as lab:
        host = lab.host("host")
        host("init", "status=1", f"notification={notification}")
        guest = Guest(lab.vm("guest", page=host))
        guest.vm.boot()
        counter_mhz = host.calibrate(guest.vm)["counter_mhz"]
        host("log", lab.path("formulas"))
        host("serve", 0)
        guest.sh("mkdir /run/chrony")
        guest.sh(f"guest resets {COMMAND_SOCKET} {count} > /run/resets & resets=$!")
        guest.start_vmclockd("correct-at-start = no")
        for _ in range(count):
            time.sleep(generator.uniform(0.1, 0.2))
            host("marker")
        guest.sh("wait $resets")
        sent = [int(counter) - int(since_ns) * counter_mhz / 1e3
                for counter, since_ns in map(str.split, guest.sh("cat /run/resets").splitlines())]
        written = [formula.written for formula in Truth(lab.path("formulas")).disruptions()]
    return sorted((end - start) / counter_mhz / 1e3 for start, end in zip(written, sent, strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300, help="disruptions, each way (300)")
    parser.add_argument("--output", metavar="DIRECTORY", default=os.path.join(vmlab.HERE, "../../build/bench"))
    options = parser.parse_args()
    os.makedirs(options.output, exist_ok=True)
    vmlab.build_initramfs("bookworm")
    rows = []
    for name, notification in ("notification", 1), ("timer, 10 ms", 0):
        found = measure(options.count, notification)
        rows.append({"by": name, "disruptions": len(found), "median_ms": round(statistics.median(found), 3),
                     "p99_ms": round(found[len(found) * 99 // 100], 3), "largest_ms": round(found[-1], 3)})
    print("from the marker's change to RESET_SOURCES on its way, in the emulated guest, ms")
    print(f"{'by':14} {'median':>8} {'99 %':>8} {'largest':>8}")
    for row in rows:
        print(f"{row['by']:14} {row['median_ms']:8} {row['p99_ms']:8} {row['largest_ms']:8}")
    with open(os.path.join(options.output, "detect.csv"), "w", newline="", encoding="ascii") as file:
        file.write("# SPDX-License-Identifier: BSD-2-Clause\n")
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
