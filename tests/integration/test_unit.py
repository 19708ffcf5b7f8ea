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


class OrderTest(Case):
    """
    Of a boot with chronyd and vmclockd. Where the order of jobs is a circle, systemd drops one of
    them, and that may be chronyd's: in none of these may vmclockd close a circle.
    """

    CHRONYDS = {
        "as upstream has it": ("", "", "Before=time-sync.target\nWants=time-sync.target"),
        "started by a calendar timer": ("chronyd.timer", "", ""),
        "after a calendar timer": ("check.timer", "After=check.timer", ""),
        "after the time is right": ("", "After=time-sync.target", ""),
        "after all else": ("", "After=multi-user.target", ""),
    }

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def boot(self, wanted, timer, after, more):
        """What systemd says of a boot with `wanted`."""
        with open(os.path.join(PROJECT, "systemd", "vmclockd.service"), encoding="utf-8") as file:
            self.write(
                "vmclockd.service", file.read().replace("@sbindir@/vmclockd", shutil.which("true"))
            )
        program = f"[Service]\nExecStart={shutil.which('true')}\n"
        self.write("chronyd.service", f"[Unit]\nDescription=-\n{after}\n{more}\n{program}")
        self.write("check.service", program)
        for name in ("chronyd.timer", "check.timer"):
            self.write(name, "[Timer]\nOnCalendar=daily\n")
        self.write(
            "boot.target", f"[Unit]\nWants=multi-user.target time-sync.target {wanted} {timer}\n"
        )
        self.write("multi-user.target", f"[Unit]\nWants={wanted}\n")
        return systemd_analyze("verify", "--man=no", "boot.target", unit_path=self.dir).stderr

    def test_it_closes_no_ordering_cycle(self):
        for name, chronyd in self.CHRONYDS.items():
            with self.subTest(chronyd=name):
                self.assertNotIn("cycle", self.boot("chronyd.service", *chronyd))
                self.assertNotIn("cycle", self.boot("chronyd.service vmclockd.service", *chronyd))

    def test_a_cycle_would_be_seen(self):
        around = "After=time-sync.target\nBefore=time-sync.target"
        self.assertIn("cycle", self.boot("chronyd.service", "", around, ""))
