# SPDX-License-Identifier: BSD-2-Clause
"""The service's unit, as it is installed, seen by systemd."""

import os
import shutil
import unittest

from harness import PROJECT, Case, systemd_analyze

EXPOSURE_MAX = 14  # in tenths, of what `systemd-analyze security` prints


class UnitTest(Case):
    def setUp(self):
        super().setUp()
        with open(os.path.join(PROJECT, "systemd", "vmclockd.service"), encoding="utf-8") as file:
            text = file.read()
        self.unit = self.path("vmclockd.service")
        with open(self.unit, "w", encoding="utf-8") as file:
            file.write(text.replace("@sbindir@/vmclockd", shutil.which("true")))

    def test_systemd_has_nothing_to_say_about_it(self):
        done = systemd_analyze("verify", "--man=no", self.unit)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_it_is_hardly_exposed(self):
        done = systemd_analyze(
            "security", "--offline=yes", f"--threshold={EXPOSURE_MAX}", self.unit
        )
        if "unrecognized option" in done.stderr:
            raise unittest.SkipTest("a systemd-analyze that cannot do it offline")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
