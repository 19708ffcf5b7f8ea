# SPDX-License-Identifier: BSD-2-Clause
"""libvmclock as a program uses it, and ClockBound's segment as its clients read it."""

import ctypes
import os
import struct
import time

import harness

UNKNOWN, SYNCHRONISED, FREE_RUNNING, DISRUPTED = range(4)


class Timespec(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]

    def ns(self):
        return self.sec * 10**9 + self.nsec


class Interval(ctypes.Structure):
    _fields_ = [
        ("earliest", Timespec),
        ("latest", Timespec),
        ("status", ctypes.c_int),
        ("disruption_marker", ctypes.c_uint64),
        ("vm_generation", ctypes.c_uint64),
    ]

    def width_ns(self):
        return self.latest.ns() - self.earliest.ns()


class Clock:
    """A handle. Raises OSError where there is none."""

    library = None

    def __init__(self, path):
        if not Clock.library:
            Clock.library = ctypes.CDLL(harness.program("lib/libvmclock.so.0"))
            Clock.library.vmclock_why.restype = ctypes.c_char_p
            Clock.library.vmclock_why.argtypes = [ctypes.c_void_p]
            Clock.library.vmclock_now.argtypes = [ctypes.c_void_p, ctypes.POINTER(Interval)]
            Clock.library.vmclock_close.argtypes = [ctypes.c_void_p]
        self.handle = ctypes.c_void_p()
        result = Clock.library.vmclock_open(os.fsencode(path), ctypes.byref(self.handle))
        if result < 0:
            raise OSError(-result, os.strerror(-result), path)

    def now(self):
        interval = Interval()
        result = Clock.library.vmclock_now(self.handle, ctypes.byref(interval))
        assert result == 0, result
        return interval

    def status(self):
        return self.now().status

    def why(self):
        return Clock.library.vmclock_why(self.handle).decode()

    def close(self):
        Clock.library.vmclock_close(self.handle)
        self.handle = ctypes.c_void_p()


class Segment:
    """Version 2, read as ClockBound's clients do."""

    layout = struct.Struct("=IIIHHqqqqqQIiB7x")

    def __init__(self, path):
        self.path = path

    def read(self):
        with open(self.path, "rb") as file:
            data = file.read()
        (self.magic, self.magic2, self.size, self.version, self.generation, *times, self.bound_ns,
         self.marker, self.growth_ppb, self.status, self.marker_too) = self.layout.unpack(data)
        self.as_of_ns = times[0] * 10**9 + times[1]
        self.void_after_ns = times[2] * 10**9 + times[3]
        assert data[73:] == bytes(7) and len(data) == 80
        return self

    def now(self):
        """(status, earliest, latest), ns."""
        self.read()
        assert self.generation and not self.generation % 2
        real_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
        mono_ns = time.clock_gettime_ns(6)  # CLOCK_MONOTONIC_COARSE
        assert mono_ns >= self.as_of_ns - 1000, "a causality breach"
        status = self.status
        if status in (SYNCHRONISED, FREE_RUNNING):
            if mono_ns >= self.void_after_ns:
                status = UNKNOWN
            elif mono_ns >= self.as_of_ns + 5 * 10**9:
                status = FREE_RUNNING
        bound_ns = self.bound_ns + (mono_ns - self.as_of_ns) * self.growth_ppb // 10**9 + 1
        return status, real_ns - bound_ns, real_ns + bound_ns
