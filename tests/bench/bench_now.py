#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a timestamp costs a program: runs bench_now beside a vmclockd and a page in a file."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))

import harness  # noqa: E402
from scripted_case import ScriptedCase  # noqa: E402


class Now(ScriptedCase):
    limit = 300

    def test_what_a_timestamp_costs(self):
        self.clock()
        self.daemon(clockbound=self.path("shm0"))
        self.feeding()
        subprocess.run([harness.program("bench/bench_now"), self.path("clock"), self.path("shm0")], check=True)


if __name__ == "__main__":
    unittest.main()
