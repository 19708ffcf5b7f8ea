# SPDX-License-Identifier: BSD-2-Clause
"""The longest intervals: nothing but the page and the samples waits for them."""

import os
import signal
import time

import scripted_chronyd as script
from daemon import NotifySocket
from harness import eventually
from scripted_case import ScriptedCase


class LongIntervalTest(ScriptedCase):
    settings = {"watch_interval": "10s", "sample_interval": "60s"}
    weight = 3

    def started(self, kind="clock", **settings):
        self.notify = self.witness(NotifySocket(self.path("notify")))
        made = getattr(self, kind)()
        environment = {"NOTIFY_SOCKET": self.notify.path, "WATCHDOG_USEC": "1200000"}
        began = time.time()
        daemon = self.daemon(environment=environment, **settings)
        eventually(daemon.status)
        eventually(lambda: self.notify.assignments("READY"))
        self.assertLess(time.time() - began, 3, "it is ready")
        return made, daemon

    def written(self):
        return os.stat(self.path("state")).st_mtime

    def test_the_state_file_is_written_each_second(self):
        _, daemon = self.started()
        for _ in range(3):
            before = self.written()
            eventually(lambda: self.written() > before, timeout=3)
            self.assertLess(self.written() - before, 1.6)
        self.assertIsNotNone(daemon.status())

    def test_the_watchdog_is_fed(self):
        self.started()
        eventually(lambda: len(self.notify.assignments("WATCHDOG")) >= 6)
        times = [when for when, _ in self.notify.assignments("WATCHDOG")]
        for first, second in zip(times, times[1:]):
            self.assertLess(second - first, 1.2)

    def test_sigterm_ends_it_at_once(self):
        for kind in ("clock", "marker"):
            _, daemon = self.started(kind)
            began = time.monotonic()
            self.assertEqual(daemon.stop(), 0)
            self.assertLess(time.monotonic() - began, 0.5)
            self.notify.stop()
            os.unlink(self.notify.path)

    def test_sigterm_puts_back_what_was_changed_at_once(self):
        self.marker()
        self.chronyd.ntp_sources = ["192.0.2.1"]
        daemon = self.daemon(boost="192.0.2.1 6 10")
        eventually(daemon.status)
        daemon.send(signal.SIGUSR1)
        self.request(script.MODIFY_MAXPOLL)
        self.recovered(daemon)
        began = time.time()
        self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.time() - began, 0.9)
        polls = [r.data[1] for r in self.chronyd.sent(script.MODIFY_MAXPOLL, began)]
        self.assertEqual(polls, [10])

    def test_sigterm_waits_a_second_at_most_for_a_chronyd_that_is_silent(self):
        self.marker()
        self.chronyd.ntp_sources = ["192.0.2.1"]
        daemon = self.daemon(boost="192.0.2.1 6 10")
        eventually(daemon.status)
        daemon.send(signal.SIGUSR1)
        self.recovered(daemon)
        for command in (script.MODIFY_MINPOLL, script.MODIFY_MAXPOLL, script.MODIFY_MAKESTEP):
            self.chronyd.always(command, script.silent)
        began = time.monotonic()
        self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.monotonic() - began, 1.5)

    def test_sigusr1_recovers_at_once(self):
        _, daemon = self.started()
        since = time.time()
        daemon.send(signal.SIGUSR1)
        self.recovered(daemon, timeout=5)
        self.assertEqual(len(self.resets(since)), 1)
        self.assertLess(self.resets(since)[0].sent - since, 0.5)

    def test_sighup_takes_effect_at_once(self):
        _, daemon = self.started()
        daemon.configure(sample_interval="20ms")
        since = time.time()
        daemon.send(signal.SIGHUP)
        eventually(lambda: len(self.chronyd.samples_since(since)) >= 10, timeout=3)
        eventually(lambda: len(self.notify.assignments("READY")) == 2)

    def test_samples_come_when_they_are_due(self):
        self.clock()
        self.daemon(sample_interval="20ms")
        since = time.time() + 1.5
        eventually(lambda: time.time() > since + 1)
        times = [s.sent for s in self.chronyd.samples_since(since)]
        self.assertGreater(len(times), 20)

    def test_chronyd_is_asked_once_a_second(self):
        self.started()
        eventually(lambda: self.chronyd.sent(script.TRACKING))
        since = time.time()
        time.sleep(3.2)
        self.assertLessEqual(len(self.chronyd.sent(script.TRACKING, since)), 4)
        self.assertGreaterEqual(len(self.chronyd.sent(script.TRACKING, since)), 2)

    def test_a_device_that_is_lost_is_noticed_within_seconds(self):
        _, daemon = self.started()
        since = time.time()
        os.truncate(self.path("page"), 0)
        daemon.says(self.path("page"), since=since, timeout=4)

    def test_a_reload_ends_although_the_service_manager_did_not_read(self):
        for good in (True, False):
            _, daemon = self.started()
            self.notify.stop()
            os.unlink(self.notify.path)
            self.notify = self.witness(NotifySocket(self.path("notify")))
            if not good:
                daemon.write_configuration("colour = blue\n")
            daemon.send(signal.SIGHUP)
            eventually(lambda: self.notify.assignments("RELOADING"), timeout=3)
            eventually(lambda: self.notify.assignments("READY"), timeout=3)
            daemon.configure()
            self.assertEqual(daemon.stop(), 0)
            self.notify.stop()
            os.unlink(self.notify.path)
