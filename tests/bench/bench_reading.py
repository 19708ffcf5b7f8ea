#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How far the narrowest of n brackets is from the truth: the same clock read in vmclockd's
way and by the kernel's exact cross-timestamps (PTP_SYS_OFFSET_PRECISE: both times are of one
counter value), in a guest that is idle and in one whose processor others want.

usage: bench_reading.py [--count N] [--output DIRECTORY]

Run tests/vm/setup.sh and build first; `make bench` does."""

import argparse
import csv
import os
import statistics
import struct
import sys

from bench_truth import NS, Truth, rms

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../vm"))

import lab as vmlab  # noqa: E402
from guest import Guest  # noqa: E402

BRACKETS = 64
RECORD = struct.Struct("=" + "QQqq" * 2 + "QqQ" * BRACKETS)  # struct reading_record
READINGS = (1, 4, 16, 64)
HZ = 100
# Two at the guest's one processor, in turns that are shorter than 64 readings every now and then.
BUSY = "for i in 1 2; do while :; do :; done & busy=\"$busy $!\"; done"


class Trial:
    def __init__(self, formula, words):
        self.formula = formula
        self.precise = [words[0:4], words[4:8]]
        self.brackets = [words[at:at + 3] for at in range(8, len(words), 3)]

    def true_ns(self, twice_counter, realtime_ns):
        """The page's time less the clock's, of which whole seconds do not matter; the counter is
        twice as large so that the middle of a bracket is a whole number."""
        f = self.formula
        time = 2 * f.time + ((twice_counter - 2 * f.counter) * f.period >> f.shift)
        difference = time * NS - (realtime_ns << 65)
        return ((difference + (NS << 64)) % (NS << 65) - (NS << 64)) / 2.0**65

    def precise_ns(self):
        return [(device - realtime + NS // 2) % NS - NS // 2 for _, _, device, realtime in self.precise]

    def narrowest(self, n):
        return min(self.brackets[:n], key=lambda bracket: bracket[2] - bracket[0])

    def error_ns(self, n):
        before, realtime, after = self.narrowest(n)
        return self.true_ns(before + after, realtime) - statistics.fmean(self.precise_ns())

    def elapsed_ns(self, before, after):
        return (after - before) * self.formula.period * NS / 2.0**(64 + self.formula.shift)

    def width_ns(self, n):
        before, _, after = self.narrowest(n)
        return self.elapsed_ns(before, after)

    def duration_ns(self, n):
        return self.elapsed_ns(self.brackets[0][0], self.brackets[n - 1][2])


def row(condition, way, errors, widths, durations):
    by_size = sorted(map(abs, errors))
    return {"guest": condition, "way": way, "mean_ns": round(statistics.fmean(errors), 1),
            "rms_ns": round(rms(errors), 1), "deviation_ns": round(statistics.pstdev(errors), 1),
            "p99_ns": round(by_size[len(by_size) * 99 // 100], 1), "largest_ns": round(by_size[-1], 1),
            "half_width_ns": round(statistics.median(widths) / 2, 1) if widths else "",
            "takes_ns": round(statistics.median(durations))}


def rows(condition, trials):
    for n in READINGS:
        yield row(condition, n, [trial.error_ns(n) for trial in trials], [trial.width_ns(n) for trial in trials],
                  [trial.duration_ns(n) for trial in trials])
    # what is exact is compared with itself, a few microseconds later
    yield row(condition, "precise", [second - first for first, second in map(Trial.precise_ns, trials)], None,
              [trial.elapsed_ns(before, after) for trial in trials for before, after, _, _ in trial.precise])


def measure(count):
    with vmlab.Lab() as lab:
        host = lab.host("host")
        host("init", "status=1")
        vm = lab.vm("guest", page=host)
        guest = Guest(vm)
        kernel, _ = vm.boot()
        host.calibrate(vm)
        host("log", lab.path("formulas"))
        host("serve", 0)
        formula = Truth(lab.path("formulas")).formulas[-1]
        source = guest.sh("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
        found = []
        for condition, prepare, tidy in ("idle", ":", ":"), ("busy", BUSY, "kill $busy"):
            guest.sh(prepare)
            guest.sh(f"guest readings {count} {HZ} /dev/ptp0 /tmp/readings", timeout=60 + 10 * count / HZ)
            guest.sh(tidy)
            data = host.received(vm, "/tmp/readings")
            found += rows(condition, [Trial(formula, words) for words in RECORD.iter_unpack(data)])
    return f"Linux {kernel}, clock source {source}, {count} trials each", found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="trials in each condition (2000)")
    parser.add_argument("--output", metavar="DIRECTORY", default=os.path.join(vmlab.HERE, "../../build/bench"))
    options = parser.parse_args()
    os.makedirs(options.output, exist_ok=True)
    vmlab.build_initramfs("bookworm")
    title, found = measure(options.count)
    print(f"the narrowest of n readings against the kernel's exact cross-timestamp, ns ({title})")
    print(f"{'guest':6} {'n':>8} {'mean':>8} {'rms':>8} {'deviation':>9} {'99 %':>8} {'largest':>10} "
          f"{'half width':>10} {'takes':>8}")
    for r in found:
        print(f"{r['guest']:6} {r['way']:>8} {r['mean_ns']:8} {r['rms_ns']:8} {r['deviation_ns']:9} {r['p99_ns']:8} "
              f"{r['largest_ns']:10} {r['half_width_ns']:>10} {r['takes_ns']:8}")
    with open(os.path.join(options.output, "reading.csv"), "w", newline="", encoding="ascii") as file:
        file.write("# SPDX-License-Identifier: BSD-2-Clause\n")
        writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
