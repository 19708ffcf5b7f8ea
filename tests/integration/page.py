# SPDX-License-Identifier: BSD-2-Clause
"""A vmclock page in a file, written as a host writes it: under the sequence lock."""

import ctypes
import mmap
import os
import shlex
import shutil
import subprocess
import threading
import time
import unittest

import harness

PAGE_SIZE = 4096
MAGIC = 0x4B4C4356
UTC, TAI = 0, 1
NO_COUNTER = 0xFF

TAI_OFFSET_VALID = 1 << 0
DISRUPTION_SOON = 1 << 1
DISRUPTION_IMMINENT = 1 << 2
PERIOD_ESTERROR_VALID = 1 << 3
PERIOD_MAXERROR_VALID = 1 << 4
TIME_ESTERROR_VALID = 1 << 5
TIME_MAXERROR_VALID = 1 << 6
TIME_MONOTONIC = 1 << 7
VM_GENERATION_PRESENT = 1 << 8
NOTIFICATION_PRESENT = 1 << 9

UNKNOWN, INITIALISING, SYNCHRONISED, FREERUNNING, UNRELIABLE = range(5)


class Fields(ctypes.LittleEndianStructure):
    _pack_ = 1
    _fields_ = [
        ("magic", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("version", ctypes.c_uint16),
        ("counter_id", ctypes.c_uint8),
        ("time_type", ctypes.c_uint8),
        ("seq_count", ctypes.c_uint32),
        ("disruption_marker", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("pad", ctypes.c_uint8 * 2),
        ("clock_status", ctypes.c_uint8),
        ("leap_second_smearing_hint", ctypes.c_uint8),
        ("tai_offset_sec", ctypes.c_int16),
        ("leap_indicator", ctypes.c_uint8),
        ("counter_period_shift", ctypes.c_uint8),
        ("counter_value", ctypes.c_uint64),
        ("counter_period_frac_sec", ctypes.c_uint64),
        ("counter_period_esterror_rate_frac_sec", ctypes.c_uint64),
        ("counter_period_maxerror_rate_frac_sec", ctypes.c_uint64),
        ("time_sec", ctypes.c_uint64),
        ("time_frac_sec", ctypes.c_uint64),
        ("time_esterror_nanosec", ctypes.c_uint64),
        ("time_maxerror_nanosec", ctypes.c_uint64),
        ("vm_generation_counter", ctypes.c_uint64),
    ]


assert ctypes.sizeof(Fields) == 0x70


class Counter:
    """This machine's counter and how long one of its ticks is on the system clock."""

    library = None
    first_pair = None
    measured_period = None

    @classmethod
    def load(cls):
        if cls.library:
            return
        path = os.path.join(harness.ROOT, "counter.so")
        if not os.path.exists(path):
            compiler = shlex.split(os.environ.get("CC", "cc"))
            if not shutil.which(compiler[0]):
                raise unittest.SkipTest(f"no {compiler[0]} to build the counter's reader with")
            source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "counter.c")
            built = f"{path}.{os.getpid()}"
            subprocess.run([*compiler, "-O2", "-shared", "-fPIC", "-o", built, source], check=True)
            os.rename(built, path)
        cls.library = ctypes.CDLL(path)
        cls.library.counter_read.restype = ctypes.c_uint64
        cls.library.scribble.argtypes = [ctypes.POINTER(ctypes.c_uint32), ctypes.c_double]
        cls.first_pair = cls.pair()

    @classmethod
    def needed(cls):
        """Skips the calling test where there is no counter to read."""
        cls.load()
        if cls.id() == NO_COUNTER:
            raise unittest.SkipTest("no way to read this machine's counter")

    @classmethod
    def id(cls):
        cls.load()
        return cls.library.counter_id()

    @classmethod
    def pair(cls, readings=50):
        """(counter, CLOCK_REALTIME in ns) at the same moment."""
        cls.load()
        counter, real_ns = ctypes.c_uint64(), ctypes.c_int64()
        cls.library.counter_pair(readings, ctypes.byref(counter), ctypes.byref(real_ns))
        return counter.value, real_ns.value

    @classmethod
    def period(cls):
        """Seconds of CLOCK_REALTIME per tick, good to about 1e-7: a test compares with the
        formula and not with this."""
        cls.load()
        if cls.measured_period is None:
            while True:
                counter, real_ns = cls.pair()
                if real_ns - cls.first_pair[1] > 300_000_000:
                    break
                time.sleep(0.05)
            cls.measured_period = (
                (real_ns - cls.first_pair[1]) * 1e-9 / (counter - cls.first_pair[0])
            )
        return cls.measured_period


def period_fields(seconds):
    """counter_period_frac_sec and counter_period_shift for a period in seconds."""
    shift = 0
    while seconds * 2.0 ** (64 + shift + 1) < 2.0**64:
        shift += 1
    return int(seconds * 2.0 ** (64 + shift)), shift


class Page:
    """All of the page's fields as attributes of `fields`; write() takes the sequence lock."""

    def __init__(self, path, size=PAGE_SIZE, **fields):
        self.path = path
        self.history = []
        with open(path, "w+b") as file:
            file.truncate(size)
            self.map = mmap.mmap(file.fileno(), size)
        self.fields = Fields.from_buffer(self.map)
        initial = {
            "magic": MAGIC,
            "size": size,
            "version": 1,
            "counter_id": NO_COUNTER,
            "disruption_marker": 1,
        }
        self.write(**{**initial, **fields})

    def write(self, **fields):
        self.fields.seq_count |= 1
        for name, value in fields.items():
            setattr(self.fields, name, value)
        self.fields.seq_count += 1
        self.history.append((time.time(), fields))

    def seq_count(self):
        offset = Fields.seq_count.offset
        return ctypes.c_uint32.from_buffer(self.map, offset)

    def clock_fields(self, offset=0.0, ppm=0.0, tai_offset=37):
        """A formula under which the true time is now CLOCK_REALTIME + offset seconds and gains
        `ppm` on it from now on."""
        counter, real_ns = Counter.pair()
        period, shift = period_fields(Counter.period() * (1 + ppm * 1e-6))
        time_type = self.fields.time_type
        shown_ns = real_ns + round(offset * 1e9) + (tai_offset * 10**9 if time_type == TAI else 0)
        seconds, nanoseconds = divmod(shown_ns, 10**9)
        return {
            "tai_offset_sec": tai_offset,
            "counter_value": counter,
            "counter_period_frac_sec": period,
            "counter_period_shift": shift,
            "time_sec": seconds,
            "time_frac_sec": (nanoseconds << 64) // 10**9,
        }

    def migrate(self, offset=0.0, ppm=0.0, **fields):
        """The new host's formula and a new marker in one write, as a good host does it."""
        marker = self.fields.disruption_marker + 1
        self.write(disruption_marker=marker, **self.clock_fields(offset, ppm), **fields)
        return marker

    def disrupt(self, step=1):
        """A new marker and nothing else."""
        marker = (self.fields.disruption_marker + step) % 2**64
        self.write(disruption_marker=marker)
        return marker

    def offset_at(self, counter, real_ns):
        """True time minus system time in seconds, by the page's formula in exact integers."""
        fields = self.fields
        ticks = counter - fields.counter_value
        frac = (fields.time_sec << 64) + fields.time_frac_sec
        frac += (ticks * fields.counter_period_frac_sec) >> fields.counter_period_shift
        if fields.time_type == TAI:
            frac -= fields.tai_offset_sec << 64
        return (frac - ((real_ns << 64) // 10**9)) / 2**64

    def offset_now(self):
        return self.offset_at(*Counter.pair())

    def offset_when(self, real_seconds):
        """The offset at a system time not long ago."""
        counter, real_ns = Counter.pair()
        ago = real_ns * 1e-9 - real_seconds
        return self.offset_at(counter, real_ns) - ago * (self.period() / Counter.period() - 1)

    def period(self):
        return self.fields.counter_period_frac_sec / 2.0 ** (64 + self.fields.counter_period_shift)

    def scribble(self, seconds):
        """A thread in which the sequence count never rests."""
        count = self.seq_count()
        thread = threading.Thread(
            target=lambda: Counter.library.scribble(ctypes.byref(count), seconds), daemon=True
        )
        Counter.load()
        thread.start()
        return thread

    def replace(self, data):
        """Another file at our path; who has mapped the old one keeps it."""
        with open(self.path + ".new", "wb") as file:
            file.write(data)
        os.rename(self.path + ".new", self.path)

    def bytes(self):
        return self.map[:]


def clock_page(path, offset=0.0, ppm=0.0, **fields):
    """A full page, with all that the daemon may rely on and small bounds."""
    Counter.needed()
    bounds = PERIOD_MAXERROR_VALID | PERIOD_ESTERROR_VALID | TIME_MAXERROR_VALID
    page = Page(path, counter_id=Counter.id(), time_type=fields.pop("time_type", TAI))
    period, shift = period_fields(Counter.period())
    initial = {
        "flags": TAI_OFFSET_VALID | bounds | TIME_ESTERROR_VALID | VM_GENERATION_PRESENT,
        "clock_status": SYNCHRONISED,
        "counter_period_esterror_rate_frac_sec": period // 10**10,
        "counter_period_maxerror_rate_frac_sec": period // 10**9,
        "time_esterror_nanosec": 50,
        "time_maxerror_nanosec": 200,
        "vm_generation_counter": 0x1234,
    }
    page.write(**{**initial, **page.clock_fields(offset, ppm), **fields})
    return page


def marker_page(path, **fields):
    """What most hosts fill in today: the marker alone."""
    return Page(path, **fields)
