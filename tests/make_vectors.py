#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Print vectors for check_clock_model.c, computed by rational arithmetic: tests/clock_vectors.h.

Each: counter value and counter, period and shift, reference seconds and fraction (UTC), and the
exact time there, as whole seconds and 2^-64 s, rounded down; or that it is out of range.
"""
from fractions import Fraction
import random

random.seed(20170101)
FUTURE_MAX = 3600


def vector(counter_value, counter, period, shift, sec, frac):
    ticks = (counter - counter_value) % 2**64
    if ticks >= 2**63:
        ticks -= 2**64
    # Elapsed time is rounded towards zero to 2^-64 s, as the specification's arithmetic does.
    elapsed = Fraction(abs(ticks) * period, 2 ** (64 + shift))
    whole = int(elapsed * 2**64)
    total = sec * 2**64 + frac + (whole if ticks >= 0 else -whole)
    exact = Fraction(sec) + Fraction(frac, 2**64) + (elapsed if ticks >= 0 else -elapsed)
    assert abs(exact - Fraction(total, 2**64)) < Fraction(1, 10**9)
    if ticks < 0 and elapsed >= FUTURE_MAX:
        verdict = "CLOCK_REFERENCE_IN_FUTURE"
    elif total < 0 or total >= 2**127 or whole >= 2**127:
        verdict = "CLOCK_OUT_OF_RANGE"
    else:
        verdict = "CLOCK_OK"
    if verdict != "CLOCK_OK":
        total = 0
    return (counter_value, counter, period, shift, sec, frac, total >> 64, total % 2**64, verdict)


def period_of(seconds, shift):
    """The period field for a period, or None where it does not fit."""
    value = int(Fraction(seconds) * 2 ** (64 + shift))
    return value if 0 < value < 2**64 and value >> shift >= 184467440 else None


def cases():
    periods = [Fraction(1, 10**11) * Fraction(1001, 1000), Fraction(1, 5 * 10**9),
               Fraction(1, 2596 * 10**6), Fraction(1, 10**9), Fraction(1, 62500000),
               Fraction(1, 1000), Fraction(999, 1000)]
    starts = [0, 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 0x123456789abcdef0]
    distances = [0, 1, -1, 2**31, -2**31, 10**10, 10**17, 2**63 - 1, -2**63, -10**12]
    references = [(0, 0), (1, 2**64 - 1), (2**31 - 1, 2**63), (2**32, 1), (1483228800, 12345),
                  (9223372036, 2**64 - 1), (2**63 - 1, 2**64 - 1)]
    for period in periods:
        for shift in list(range(0, 37, 4)) + [29, 63]:
            field = period_of(period, shift)
            if field is None:
                continue
            for _ in range(12):
                start = random.choice(starts + [random.getrandbits(64)])
                distance = random.choice(distances + [random.randrange(-2**40, 2**62)])
                sec, frac = random.choice(references + [(random.randrange(0, 2**33),
                                                         random.getrandbits(64))])
                yield vector(start, (start + distance) % 2**64, field, shift, sec, frac)
    # A period of 1 ns as the specification states it: a tick is a nanosecond.
    yield vector(0, 10**9, 0x89705F4136B4A597, 29, 1000, 0)


print("/* SPDX-License-Identifier: BSD-2-Clause */")
print("/* Made by tests/make_vectors.py; do not edit. */")
for values in cases():
    numbers = ", ".join("UINT64_C(%d)" % v for v in values[:8])
    print("{ %s, %s }," % (numbers, values[8]))
