# SPDX-License-Identifier: BSD-2-Clause
"""The guest clock's error, computed outside of the guest: what the probe read against
the host's own log of the formulas it has given, in integers until the last digit."""

import bisect
import collections
import statistics
import struct

RECORD = struct.Struct("=QqQ")  # struct probe_record
TAI_OFFSET_NS = 37 * 10**9
NS = 10**9

Formula = collections.namedtuple("Formula", "written marker counter period shift time")


class Truth:
    def __init__(self, path):
        self.formulas = []
        with open(path, encoding="ascii") as log:
            for line in log:
                if not line.startswith("#"):
                    written, marker, _, counter, period, shift, sec, frac = map(int, line.split())
                    self.formulas.append(Formula(written, marker, counter, period, shift, sec << 64 | frac))
        self._since = [formula.counter for formula in self.formulas]

    def at(self, counter):
        """The formula in force. One holds from its own reference on, which is the moment
        before it was written: a disruption is never dated later than it was."""
        return self.formulas[max(0, bisect.bisect_right(self._since, counter) - 1)]

    def utc_ns(self, counter):
        f = self.at(counter)
        return ((f.time + ((counter - f.counter) * f.period >> f.shift)) * NS >> 64) - TAI_OFFSET_NS

    def disruptions(self):
        """The first formula of each new marker."""
        return [new for old, new in zip(self.formulas, self.formulas[1:]) if new.marker != old.marker]

    def seconds(self, start, counter):
        return (counter - start.counter) * start.period / 2.0**(64 + start.shift)


Point = collections.namedtuple("Point", "counter error_ns realtime_ns true_ns")


def points(truth, data):
    """Every reading's error, but for those that somebody interrupted: their bracket is
    twice as wide as usual, and where in it the clock was read is not known. Gives them and
    the share that was left out."""
    records = list(RECORD.iter_unpack(data))
    limit = 2 * statistics.median(width for _, _, width in records)
    good = []
    for counter, realtime_ns, width in records:
        if width <= limit:
            true_ns = truth.utc_ns(counter)
            good.append(Point(counter, realtime_ns - true_ns, realtime_ns, true_ns))
    return good, 1 - len(good) / len(records)


def rms(values):
    return (sum(value * value for value in values) / len(values)) ** 0.5


def detrended(pairs):
    """What is left of y beside a straight line through all (x, y)."""
    n = len(pairs)
    mean_x, mean_y = sum(x for x, _ in pairs) / n, sum(y for _, y in pairs) / n
    slope = (sum((x - mean_x) * (y - mean_y) for x, y in pairs) / sum((x - mean_x) ** 2 for x, _ in pairs))
    return [y - mean_y - slope * (x - mean_x) for x, y in pairs]
