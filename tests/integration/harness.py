# SPDX-License-Identifier: BSD-2-Clause
"""What all tests here share: where things are, waiting for a condition, cleaning up."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(PROJECT, os.environ.get("BUILD") or "build")

# A Unix socket's path has at most 107 bytes, so this is short whatever TMPDIR says. The runner
# makes one for all of its workers; a test module run on its own makes its own.
ROOT = os.environ.get("VMCLOCKD_TEST_ROOT")
if not ROOT:
    ROOT = tempfile.mkdtemp(prefix="vmclockd-test.", dir="/tmp")
    os.environ["VMCLOCKD_TEST_ROOT"] = ROOT
    owner = os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(ROOT, ignore_errors=True))


def program(name):
    return os.path.join(BUILD, name)


def systemd_analyze(*arguments, unit_path=None):
    """What came of it; the test is skipped where there is none. Units of `unit_path` go first."""
    if not shutil.which("systemd-analyze"):
        raise unittest.SkipTest("no systemd-analyze")
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": unit_path + ":"} if unit_path else None
    return subprocess.run(
        ["systemd-analyze", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=unit_path,
    )


class TimeLimit(BaseException):
    """Not an Exception, so that no test swallows it."""


def eventually(condition, what="", timeout=15.0, every=0.01):
    """Poll until the condition is true and return its value. The time-out is for a loaded
    machine; a test that needs something to be quick compares times of its own."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            said = what() if callable(what) else what
            raise AssertionError(f"not within {timeout} s: {said or condition}")
        time.sleep(every)


class Case(unittest.TestCase):
    """A test in a directory of its own, ended after `limit` seconds."""

    limit = 40
    longMessage = True
    needs = ("vmclockd", "vmclockctl")
    parallel = True  # safe beside other classes

    def setUp(self):
        for name in self.needs:
            if not os.access(program(name), os.X_OK):
                self.skipTest(f"{name} is not built")
        self.witnesses = []
        self.dir = tempfile.mkdtemp(prefix="", dir=ROOT)
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        signal.signal(signal.SIGALRM, self.over)
        signal.setitimer(signal.ITIMER_REAL, self.limit)
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)

    def over(self, *_):
        raise TimeLimit(f"over {self.limit} s")

    def path(self, name):
        return os.path.join(self.dir, name)

    def witness(self, thing):
        """Something with an evidence() to print if this test fails; stopped at its end."""
        self.witnesses.append(thing)
        self.addCleanup(thing.stop)
        return thing

    def evidence(self):
        return "\n".join(thing.evidence() for thing in getattr(self, "witnesses", []))
