# SPDX-License-Identifier: BSD-2-Clause
"""Debian's chronyd, between its real refclock and command code and ours. Its clock is never the
machine's: see real_chronyd.py."""

import os
import signal
import time
import unittest

import page
import real_chronyd
from daemon import Daemon
from harness import Case, eventually


@unittest.skipIf(real_chronyd.missing(), real_chronyd.missing())
class RealChronydTest(Case):
    """
    A chronyd with -x refuses to step, so that recoveries here leave its clock alone (step = never,
    correct-frequency = no): what is seen is what samples and resets do.
    """

    limit = 60
    weight = 9
    settings = {"step": "never", "correct_frequency": "no"}

    def setUp(self):
        super().setUp()
        self.chronyd = self.witness(real_chronyd.RealChronyd(self.path("chrony")))

    def clock(self, **fields):
        return page.clock_page(self.path("page"), **fields)

    def daemon(self, **settings):
        return self.witness(
            Daemon(
                self.dir,
                self.path("page"),
                self.chronyd.sock_path,
                self.chronyd.command_path,
                **{**self.settings, **settings},
            )
        ).start()

    def selected(self, timeout=20):
        eventually(self.chronyd.selected, self.describe, timeout, every=0.05)

    def describe(self):
        return f"VMCL is selected: {self.chronyd.chronyc('sources')}"

    def converged(self, made):
        """chronyd knows the page's offset to 1 us."""

        def close():
            tracking = self.chronyd.tracking()
            return tracking["refid"] == "VMCL" and (
                abs(tracking["offset"] - made.offset_now()) < 1e-6
            )

        eventually(
            close, lambda: f"{self.chronyd.chronyc('tracking')} {made.offset_now()}", every=0.1
        )

    def settled(self):
        """So long fed that a drop in reachability can only come from a reset."""
        eventually(lambda: self.chronyd.source()["reach"] >= 0o200, every=0.1)

    def was_reset(self):
        """The source's reachability has started again."""
        eventually(
            lambda: (self.chronyd.source() or {"reach": 0o377})["reach"] < 0o20,
            lambda: f"a reset: {self.chronyd.source()}",
            every=0.01,
        )

    def test_samples_are_accepted_and_our_clock_is_selected(self):
        self.clock()
        self.chronyd.start()
        daemon = self.daemon()
        self.selected()
        eventually(lambda: self.chronyd.samples() >= 3)
        status = daemon.reaches(state="feeding")
        self.assertTrue(status["chronyd"]["reachable"])
        status = eventually(lambda: daemon.status()["chronyd"]["synchronised"] and daemon.status())
        self.assertEqual(status["chronyd"]["refid"], "VMCL")

    def test_the_offset_seen_by_chronyd_is_the_pages_within_a_microsecond(self):
        for offset in (1.5e-3, -0.25):
            with self.subTest(offset=offset):
                made = self.clock(offset=offset)
                self.chronyd.start()
                daemon = self.daemon()
                self.selected()
                self.converged(made)
                # It stays so: not one lucky look.
                for _ in range(10):
                    seen = self.chronyd.tracking()["offset"]
                    self.assertAlmostEqual(seen, made.offset_now(), delta=1e-6)
                    time.sleep(0.1)
                daemon.stop()
                os.unlink(daemon.settings["state_file"])
                self.chronyd.stop()

    def test_a_frequency_step_without_a_marker_is_followed(self):
        made = self.clock(offset=1e-3)
        self.chronyd.start()
        daemon = self.daemon()
        self.selected()
        made.write(**made.clock_fields(offset=1e-3, ppm=20))
        self.converged(made)
        self.assertEqual(daemon.confirmations(0), 0)

    def test_a_marker_change_resets_chronyd_and_the_new_time_is_taken(self):
        made = self.clock(offset=1e-3)
        self.chronyd.start()
        daemon = self.daemon()
        self.selected()
        self.settled()
        made.migrate(offset=5e-3, ppm=30)
        self.was_reset()
        daemon.reaches(recoveries=1)
        self.selected()
        self.converged(made)
        self.assertEqual(daemon.confirmations(1), 1)

    def test_a_full_recovery_ends_synchronised_though_steps_are_refused(self):
        made = self.clock(offset=1e-3)
        self.chronyd.start()
        daemon = self.daemon(step="always", correct_frequency="yes")
        self.selected()
        self.settled()
        made.migrate(offset=5e-3, ppm=30)
        self.was_reset()
        daemon.reaches(recoveries=1)
        self.selected()
        self.converged(made)
        status = daemon.reaches(state="feeding", timeout=30)
        self.assertEqual(status["recoveries"], 1)

    def test_a_restarted_chronyd_gets_samples_at_its_new_socket_within_a_second(self):
        self.clock()
        self.chronyd.start()
        daemon = self.daemon()
        self.selected()
        for end in (self.chronyd.stop, self.chronyd.kill):
            end()
            eventually(lambda: not daemon.status()["chronyd"]["reachable"])
            self.chronyd.start()
            began = time.monotonic()
            eventually(lambda: self.chronyd.source()["reach"] > 0, every=0.02)
            self.assertLess(time.monotonic() - began, 1.0)
            self.selected()
        self.assertEqual(daemon.confirmations(0), 0)

    def test_a_restarted_vmclockd_without_a_disruption_resets_nothing(self):
        self.clock()
        self.chronyd.start()
        daemon = self.daemon()
        self.selected()
        self.settled()
        for number in (signal.SIGTERM, signal.SIGKILL):
            daemon.reaches(state="feeding")
            daemon.stop(number)
            samples = self.chronyd.samples()
            daemon.start()
            daemon.reaches(state="feeding", pid=daemon.pid())
            self.assertTrue(self.chronyd.selected())
            eventually(lambda: self.chronyd.samples() > samples or self.chronyd.samples() > 20)
            status = daemon.status()
            self.assertEqual((status["recoveries"], status["disruptions"]), (0, 0))
        self.assertEqual(daemon.confirmations(0), 0)

    def test_a_marker_changed_while_vmclockd_is_down_gives_exactly_one_reset(self):
        made = self.clock()
        self.chronyd.start()
        daemon = self.daemon()
        self.selected()
        self.settled()
        daemon.reaches(state="feeding")
        daemon.stop()
        made.migrate(offset=2e-3)
        daemon.start()
        self.was_reset()
        self.selected()
        self.converged(made)
        self.assertEqual(daemon.confirmations(1), 1)
        # And not another one at the next start.
        daemon.stop()
        daemon.start()
        daemon.reaches(state="feeding", pid=daemon.pid())
        self.assertTrue(self.chronyd.selected())
        self.assertEqual(daemon.confirmations(1), 1)

    def test_a_chronyd_started_after_the_marker_change_gets_one_reset(self):
        made = self.clock()
        self.chronyd.start()
        daemon = self.daemon()
        self.selected()
        self.chronyd.kill()
        made.migrate(offset=2e-3)
        daemon.reaches(disruptions=1)
        self.assertEqual(daemon.confirmations(0), 0)
        self.chronyd.start()
        daemon.reaches(recoveries=1)
        self.selected()
        self.converged(made)
        self.assertEqual(daemon.confirmations(1), 1)

    def test_a_chronyd_frozen_across_a_marker_change_confirms_exactly_one_reset(self):
        made = self.clock()
        self.chronyd.start()
        daemon = self.daemon()
        self.selected()
        self.chronyd.pause()
        made.migrate(offset=2e-3)
        daemon.reaches(disruptions=1)
        time.sleep(2)
        self.assertEqual(daemon.confirmations(0), 0)
        self.chronyd.resume()
        daemon.reaches(recoveries=1)
        self.selected()
        self.converged(made)
        self.assertEqual(daemon.confirmations(1), 1)

    def test_a_vmclockd_killed_in_a_recovery_finishes_it_at_its_next_start(self):
        made = self.clock()
        self.chronyd.start()
        daemon = self.daemon()
        self.selected()
        self.chronyd.pause()
        made.migrate(offset=2e-3)
        daemon.reaches(disruptions=1)
        daemon.stop(signal.SIGKILL)
        self.chronyd.resume()
        daemon.start()
        daemon.says("chronyd confirmed the reset")
        self.selected()
        self.converged(made)
        self.assertEqual(daemon.confirmations(1), 1)

    def test_a_chronyd_killed_in_a_recovery_gets_the_reset_when_it_is_back(self):
        made = self.clock()
        self.chronyd.start()
        daemon = self.daemon()
        self.selected()
        self.chronyd.pause()
        made.migrate(offset=2e-3)
        daemon.reaches(disruptions=1)
        self.chronyd.kill()
        self.chronyd.start()
        daemon.reaches(recoveries=1)
        self.selected()
        self.converged(made)
        self.assertEqual(daemon.confirmations(1), 1)

    def test_a_marker_only_page_resets_chronyd_too(self):
        made = page.marker_page(self.path("page"))
        self.chronyd.start()
        daemon = self.daemon(step="always")
        daemon.reaches(mode="marker-only")
        eventually(lambda: daemon.status()["chronyd"]["reachable"])
        made.disrupt()
        status = daemon.reaches(recoveries=1)
        self.assertEqual(status["disruptions"], 1)
        self.assertEqual(daemon.confirmations(1), 1)
        self.assertEqual(daemon.stop(), 0)

    def test_sigusr1_resets_chronyd(self):
        self.clock()
        self.chronyd.start()
        daemon = self.daemon()
        self.selected()
        self.settled()
        daemon.send(signal.SIGUSR1)
        self.was_reset()
        status = daemon.reaches(recoveries=1)
        self.assertEqual(status["last_recovery"]["cause"], "request")
        self.selected()
