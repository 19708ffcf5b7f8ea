# SPDX-License-Identifier: BSD-2-Clause
"""A daemon between a page and a scripted chronyd, and what must hold whatever a test does."""

import os

import page
import scripted_chronyd as script
from daemon import Daemon
from harness import Case, eventually

# What only looks may be sent at any time.
READS = {
    script.TRACKING,
    script.N_SOURCES,
    script.SOURCE_DATA,
    script.SOURCE_NAME,
    script.SOURCESTATS,
    script.SELECT_DATA,
}


class ScriptedCase(Case):
    settings = {"sample_interval": "20ms"}
    present = True  # chronyd is there from the start

    def setUp(self):
        super().setUp()
        directory = self.path("chrony")
        os.mkdir(directory, 0o700)
        self.chronyd = self.witness(
            script.ScriptedChronyd(
                os.path.join(directory, "vmclock.sock"), os.path.join(directory, "chronyd.sock")
            )
        )
        if self.present:
            self.chronyd.start()
            # It has run for a while: one that knows nothing yet is treated otherwise.
            self.chronyd.refid = script.VMCL

    def tearDown(self):
        for request in self.chronyd.requests:
            self.assertEqual(request.faults(), [], f"{request}: {request.raw.hex()}")
        for sample in self.chronyd.samples:
            self.assertEqual(len(sample.raw), 40)
            self.assertEqual(sample.magic, script.SAMPLE_MAGIC)
            self.assertEqual(sample.pulse, 0)
            self.assertIn(sample.leap, (0, 1, 2))
            self.assertLessEqual(sample.time, sample.sent)

    def clock(self, **fields):
        return page.clock_page(self.path("page"), **fields)

    def marker(self, **fields):
        """A page without a clock, and a chronyd that has other sources."""
        self.chronyd.refid = self.chronyd.ntp_refid = 0xC0000201
        return page.marker_page(self.path("page"), **fields)

    def daemon(self, *options, environment=None, wrapper=(), **settings):
        """A started daemon, stopped with the test."""
        made = self.prepared(**settings)
        return made.start(*options, environment=environment, wrapper=wrapper)

    def prepared(self, **settings):
        # Not that of a chrony that is installed.
        default = self.path("default.chrony.conf")
        with open(default, "w", encoding="ascii") as file:
            file.write("makestep 1 3\n")
        settings = {
            "device": self.path("page"), "chrony_conf": default, **self.settings, **settings
        }  # fmt: skip
        device = settings.pop("device")
        return self.witness(
            Daemon(
                self.dir, device, self.chronyd.sock_path, self.chronyd.command_path, **settings
            )
        )

    def feeding(self, since=0.0, samples=3, timeout=15):
        """Samples arrive, sent after `since`."""
        return eventually(
            lambda: len(self.chronyd.samples_since(since)) >= samples
            and self.chronyd.samples_since(since),
            f"{samples} samples",
            timeout,
        )

    def request(self, command, number=1, since=0.0, timeout=15):
        """The first such request; with a number, the one of that number."""
        return eventually(
            lambda: len(self.chronyd.sent(command, since)) >= number
            and self.chronyd.sent(command, since)[number - 1],
            f"request {number} of {script.NAMES[command]}",
            timeout,
        )

    def resets(self, since=0.0):
        return self.chronyd.sent(script.RESET_SOURCES, since)

    def assert_no_sample_between(self, begin, end):
        found = [s for s in self.chronyd.samples_since(begin) if begin < s.sent < end]
        self.assertEqual(found, [], f"between {begin:.6f} and {end:.6f}")

    def recovered(self, daemon, times=1, timeout=15):
        """Waits for the n-th confirmed reset; returns the status that says so."""
        return daemon.reaches(timeout, recoveries=times)
