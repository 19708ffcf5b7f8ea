#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Print the vectors of check_clock_model.c, by rational arithmetic: tests/clock_vectors.h.

VECTOR(counter value, counter, period, shift, seconds, fraction, maximum error in ns, of the period,
       verdict, seconds, fraction, error bound in ns) is a page in UTC that has no leap second, and
what it says at a counter: the exact time, rounded down to 2^-64 s, and the exact bound, rounded up.
PRODUCT(ticks, period, shift, fits, seconds, fraction) is ticks * period * 2^-(64 + shift) s.
"""
from fractions import Fraction

FUTURE_MAX = 3600
PERIOD_MIN = 184467440  # 10 ps in 2^-64 s
NEW_YEAR_2017 = 1483228800
CENTURY = 3155760000

# Their last digits are of no importance, so they are not the library's, which may change.
state = 20170101


def bits(n):
    global state
    value = 0
    for _ in range(0, n, 32):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        value = value << 32 | state >> 32
    return value % 2**n


def pick(choices):
    return choices[bits(32) % len(choices)]


def vector(start, ticks, period, shift, sec, frac, maxerror, period_maxerror):
    counter = (start + ticks) % 2**64
    elapsed = Fraction(abs(ticks) * period, 2 ** (64 + shift))
    # Elapsed time is rounded towards zero to 2^-64 s, as the specification's arithmetic does.
    whole = int(elapsed * 2**64)
    total = sec * 2**64 + frac + (whole if ticks >= 0 else -whole)
    exact = Fraction(sec) + Fraction(frac, 2**64) + (elapsed if ticks >= 0 else -elapsed)
    drift = Fraction(abs(ticks) * period_maxerror, 2 ** (64 + shift)) * 10**9
    assert abs(exact - Fraction(total, 2**64)) < Fraction(1, 10**9)
    if shift > 63 or period >> shift < PERIOD_MIN:
        verdict = "CLOCK_BAD_PERIOD"
    elif sec >= 2**63:
        verdict = "CLOCK_OUT_OF_RANGE"
    elif ticks < 0 and elapsed >= FUTURE_MAX:
        verdict = "CLOCK_REFERENCE_IN_FUTURE"
    elif total < 0 or total >= 2**127 or whole >= 2**127:
        verdict = "CLOCK_OUT_OF_RANGE"
    else:
        verdict = "CLOCK_OK"
    if verdict != "CLOCK_OK":
        total = bound = 0
    else:
        bound = min(2**64 - 1, maxerror - int(-drift // 1))
    numbers = (start, counter, period, shift, sec, frac, maxerror, period_maxerror)
    return numbers, verdict, (total >> 64, total % 2**64, bound)


def fields_of(period):
    """All (field, shift) of a period in seconds that are as exact as 64 bits allow, and less."""
    for shift in range(64):
        field = int(Fraction(period) * 2 ** (64 + shift))
        if field < 2**64:
            yield field, shift


def vectors():
    periods = [Fraction(10002, 10**15), Fraction(1, 5 * 10**9), Fraction(1, 2596 * 10**6),
               Fraction(1, 10**9), Fraction(1, 62500000), Fraction(1, 24000000), Fraction(1, 32768),
               Fraction(1, 1000), Fraction(2**64 - 1, 2**64)]
    starts = [0, 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 0x123456789ABCDEF0]
    distances = [0, 1, -1, 2**31, -2**31, 10**10, -10**12, 10**17, 2**63 - 1, -2**63]
    references = [(0, 0), (1, 2**64 - 1), (2**31 - 1, 2**63), (2**32 - 1, 2**64 - 1),
                  (NEW_YEAR_2017, 12345), (9223372036, 854775807 * 2**64 // 10**9),
                  (2**63 - 1, 2**64 - 1)]
    errors = [(0, 0), (200, 1), (2**64 - 1, 0), (10**6, 2**32)]

    for period in periods:
        for field, shift in fields_of(period):
            for _ in range(2):
                yield vector(pick(starts + [bits(64)]), pick(distances + [bits(62)]), field, shift,
                             *pick(references + [(bits(33), bits(64))]),
                             *pick(errors + [(bits(20), field >> 20)]))
        # Seconds, days and a century, either way and over each edge of some clock.
        field, shift = list(fields_of(period))[-1]
        for seconds in (1, -1, 3599, -3599, -3601, 86400, CENTURY, -CENTURY):
            ticks = int(seconds / period)
            for edge in (2**31, 2**32, 9223372037, NEW_YEAR_2017):
                if -2**63 <= ticks < 2**63 and edge >= seconds:
                    yield vector(pick(starts), ticks, field, shift, edge - max(seconds, 0),
                                 pick([0, 1, 2**64 - 1]), 100, field // 10**9)
    # The shortest period that is accepted, the longest, and none.
    for shift in (0, 1, 29, 35):
        for field in (PERIOD_MIN << shift, (PERIOD_MIN << shift) - 1, 2**64 - 1, 0):
            yield vector(2**64 - 5, 10, field, shift, NEW_YEAR_2017, 0, 0, 0)
    for shift in list(range(36, 68)) + [100, 127, 128, 200, 255]:
        yield vector(5, 10, 2**64 - 1, shift, NEW_YEAR_2017, 0, 0, 0)
    for sec in (2**63 - 1, 2**63, 2**64 - 1):
        yield vector(0, 1, PERIOD_MIN, 0, sec, 2**64 - 1, 0, 0)
    # A period of 1 ns as the specification states it: a tick is a nanosecond.
    yield vector(0, 10**9, 0x89705F4136B4A597, 29, 1000, 0, 0, 0)


def products():
    for shift in list(range(0, 132)) + [200, 255]:
        for ticks, period in ((2**64 - 1, 2**64 - 1), (2**63, 2), (bits(64), bits(64)), (1, 1)):
            product = ticks * period >> shift
            fits = product < 2**127
            yield ticks, period, shift, fits, product >> 64 if fits else 0, product % 2**64 * fits


def c(numbers):
    return ", ".join(f"{number:#x}" if number > 9 else str(int(number)) for number in numbers)


print("/* SPDX-License-Identifier: BSD-2-Clause */")
print("/* Made by tests/make_vectors.py; do not edit. */")
for inputs, said, outputs in vectors():
    print(f"VECTOR({c(inputs)}, {said}, {c(outputs)})")
for values in products():
    print(f"PRODUCT({c(values)})")
