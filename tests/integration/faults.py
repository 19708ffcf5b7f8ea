# SPDX-License-Identifier: BSD-2-Clause
"""The n-th call that vmclockd makes of the C library, failing: see interpose.c. And going through
all n, or in a quick run only some of them."""

import ctypes
import errno
import mmap
import os
import signal
import zlib

import harness

FAIL, SHORT, SIGNAL_BEFORE, SIGNAL_AFTER = range(1, 5)

LIBRARY = "interpose.so"
EVERYTHING = os.environ.get("FAULTS") == "all"

ERRORS = (
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EINTR,
    errno.EIO,
    errno.EAGAIN,
    errno.ENOSPC,
    errno.EACCES,
    errno.ENOENT,
    errno.EROFS,
    errno.ENOBUFS,
    errno.ECONNREFUSED,
)


class Control(ctypes.Structure):
    _fields_ = [
        ("action", ctypes.c_uint32),
        ("number", ctypes.c_uint32),
        ("nth", ctypes.c_uint32),
        ("sticky", ctypes.c_uint32),
        ("seen", ctypes.c_uint32),
        ("fired", ctypes.c_uint32),
        ("name", ctypes.c_char * 32),
        ("only", ctypes.c_char * 32),
    ]


class Fault:
    """What is to happen: FAIL with an error, SHORT, or a signal, at the n-th call from arm() on."""

    action, number, sticky = 0, 0, False

    def __init__(self, path):
        self.path = path
        with open(path, "w+b") as file:
            file.truncate(ctypes.sizeof(Control))
            self._map = mmap.mmap(file.fileno(), ctypes.sizeof(Control))
        self._control = Control.from_buffer(self._map)

    def be(self, action, number=0, sticky=False):
        self.action, self.number, self.sticky = action, number, sticky
        return self

    def environment(self):
        """For the daemon; the sanitizer may come behind the interposer."""
        return {
            "LD_PRELOAD": harness.program(LIBRARY),
            "FAULT_CONTROL": self.path,
            "ASAN_OPTIONS": "verify_asan_link_order=0:allocator_may_return_null=1:exitcode=99",
        }

    def arm(self, nth, only=""):
        control = self._control
        control.action = 0
        control.number, control.nth, control.sticky = self.number, nth, self.sticky
        control.seen = control.fired = 0
        control.name, control.only = b"", only.encode()
        control.action = self.action

    def disarm(self):
        """The function that was struck, or None."""
        self._control.action = 0
        return self.struck()

    def struck(self):
        return self._control.name.decode() if self._control.fired else None

    def __str__(self):
        if self.action == FAIL:
            return errno.errorcode[self.number] + (" on and on" if self.sticky else "")
        if self.action == SHORT:
            return "short"
        when = "before" if self.action == SIGNAL_BEFORE else "after"
        return f"{signal.Signals(self.number).name} {when}"


def through(what, stride):
    """1, 2, 3... or, in a quick run, every stride-th, from another one on for each `what`. Whoever
    goes through them ends it, when there is no such call any more."""
    if EVERYTHING:
        stride = 1
    nth = 1 + zlib.crc32(str(what).encode()) % stride
    while True:
        yield nth
        nth += stride
