# SPDX-License-Identifier: BSD-2-Clause
"""A changed disruption marker, and a chronyd that behaves well or badly meanwhile."""

import os
import signal
import time

import page
import scripted_chronyd as script
from harness import eventually
from scripted_case import ScriptedCase


class RecoveryTest(ScriptedCase):
    weight = 4

    def test_samples_stop_before_the_reset_and_resume_after_its_reply(self):
        made = self.clock()
        self.daemon()
        self.feeding()
        # So late that samples sent meanwhile would be seen, not so late that it is asked again.
        self.chronyd.script(script.RESET_SOURCES, script.late(0.15))
        made.migrate(offset=1e-3)
        reset = self.request(script.RESET_SOURCES)
        eventually(lambda: reset.answered)
        self.feeding(since=reset.answered)
        self.assert_no_sample_between(reset.sent, reset.answered)
        self.assertEqual(len(self.resets()), 1)

    def test_the_reset_comes_within_a_few_watch_intervals(self):
        made = self.clock()
        self.daemon()
        self.feeding()
        delays = []
        for times in range(5):
            made.migrate(offset=1e-3 * (times + 1))
            changed = time.time()
            delays.append(self.request(script.RESET_SOURCES, since=changed - 0.005).sent - changed)
            self.feeding(since=time.time() + 0.1)
        self.assertLess(sorted(delays)[2], 0.05, f"{delays}")

    def test_samples_after_a_recovery_are_of_the_new_formula_only(self):
        made = self.clock()
        self.daemon()
        self.feeding()
        made.migrate(offset=3e-3, ppm=20)
        reset = self.request(script.RESET_SOURCES)
        for sample in self.feeding(since=reset.sent, samples=5):
            self.assertGreater(sample.time, reset.sent - 1e-3)
            self.assertAlmostEqual(sample.offset, made.offset_when(sample.time), delta=1e-6)

    def test_a_marker_before_the_formula_waits_for_the_formula(self):
        made = self.clock()
        self.daemon()
        self.feeding()
        made.disrupt()
        reset = self.request(script.RESET_SOURCES)
        eventually(lambda: reset.answered)
        time.sleep(0.5)
        self.assertEqual(self.chronyd.samples_since(reset.sent), [])
        made.write(**made.clock_fields(offset=2e-3, ppm=50))
        written = time.time()
        sample = self.feeding(since=written)[0]
        self.assertAlmostEqual(sample.offset, made.offset_when(sample.time), delta=1e-6)
        self.assertEqual(len(self.resets()), 1)

    def test_a_marker_change_by_any_amount_is_a_disruption(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        for times, step in enumerate((2**63, -1, 2**32, -(2**40)), start=1):
            marker = (made.fields.disruption_marker + step) % 2**64
            made.write(disruption_marker=marker, **made.clock_fields(offset=1e-3 * times))
            status = self.recovered(daemon, times)
            self.assertEqual(int(status["disruption_marker"], 16), marker)
            self.assertEqual(status["disruptions"], times)
            self.feeding(since=time.time())

    def test_a_recovery_is_counted_and_described_in_the_status(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        before = daemon.reaches(state="feeding")
        self.assertEqual((before["disruptions"], before["recoveries"]), (0, 0))
        self.assertIsNone(before["last_recovery"])
        marker = made.migrate(offset=1e-3)
        self.recovered(daemon)
        status = daemon.reaches(state="feeding")
        self.assertEqual((status["disruptions"], status["recoveries"]), (1, 1))
        last = eventually(
            lambda: daemon.status()["last_recovery"].get("synchronised_ms") is not None
            and daemon.status()["last_recovery"]
        )
        self.assertEqual(int(last["marker"], 16), marker)
        self.assertNotEqual(last["cause"], "request")
        self.assertLess(last["reset_ms"], 5000)
        self.assertLessEqual(last["reset_ms"], last["synchronised_ms"])

    def test_the_log_says_what_was_disrupted_and_that_the_reset_is_confirmed(self):
        made = self.marker()
        daemon = self.daemon()
        daemon.reaches(mode="marker-only")
        made.disrupt()
        daemon.says("disruption marker")
        daemon.says("chronyd confirmed the reset")
        self.assertEqual(daemon.confirmations(1), 1)
        self.recovered(daemon)

    def test_a_marker_only_page_gets_its_reset(self):
        made = self.marker()
        daemon = self.daemon()
        daemon.reaches(mode="marker-only")
        for times in range(1, 4):
            made.disrupt()
            self.recovered(daemon, times)
        self.assertEqual(len(self.resets()), 3)
        self.assertEqual(self.chronyd.samples, [])

    def test_a_change_of_the_marker_back_to_what_it_was_is_one_too(self):
        made = self.marker()
        daemon = self.daemon()
        daemon.reaches(mode="marker-only")
        made.disrupt()
        self.recovered(daemon, 1)
        made.disrupt(-1)
        self.recovered(daemon, 2)
        self.assertEqual(len(self.resets()), 2)


class RestartTest(ScriptedCase):
    """What survives the daemon's own absence."""

    def test_a_restart_without_a_disruption_resets_nothing(self):
        self.clock()
        daemon = self.daemon()
        self.feeding()
        daemon.reaches(state="feeding")
        for number in (signal.SIGTERM, signal.SIGKILL):
            daemon.stop(number)
            daemon.start()
            self.feeding(since=time.time())
        self.assertEqual(self.resets(), [])

    def test_a_marker_changed_while_it_was_down_gives_exactly_one_reset(self):
        for kind in ("marker", "clock"):
            for number in (signal.SIGTERM, signal.SIGKILL):
                with self.subTest(f"{kind} {number.name}"):
                    made = getattr(self, kind)()
                    daemon = self.daemon()
                    daemon.reaches(mode="clock" if kind == "clock" else "marker-only")
                    daemon.stop(number)
                    if kind == "clock":
                        marker = made.migrate(offset=1e-3)
                    else:
                        marker = made.disrupt()
                    since = time.time()
                    daemon.start()
                    status = eventually(
                        lambda: (daemon.status() or {}).get("last_recovery") and daemon.status()
                    )
                    self.assertEqual(int(status["last_recovery"]["marker"], 16), marker)
                    eventually(lambda: daemon.said("chronyd confirmed the reset", since=since))
                    time.sleep(0.3)
                    self.assertEqual(len(self.resets(since)), 1)
                    daemon.stop()
                    os.unlink(daemon.settings["state_file"])

    def test_a_first_start_resets_nothing(self):
        self.marker(disruption_marker=77)
        daemon = self.daemon()
        daemon.reaches(mode="marker-only", state="watching")
        time.sleep(0.3)
        self.assertEqual(self.resets(), [])

    def test_a_broken_state_file_is_survived(self):
        self.marker()
        for content in (b"", b"\0" * 5000, b"garbage = \xff\n", b"{" * 1000, b"1" * 200000):
            with self.subTest(content[:20]):
                daemon = self.prepared()
                with open(daemon.settings["state_file"], "wb") as file:
                    file.write(content)
                daemon.start()
                daemon.reaches(mode="marker-only")
                self.assertEqual(daemon.stop(), 0)


class AbsentChronydTest(ScriptedCase):
    present = False
    weight = 3

    def test_a_chronyd_that_comes_later_gets_its_samples_within_a_second(self):
        self.clock()
        daemon = self.daemon()
        daemon.reaches(mode="clock")
        self.assertFalse(daemon.status()["chronyd"]["reachable"])
        self.chronyd.start()
        came = self.chronyd.listened[-1]
        self.assertLess(self.feeding()[0].sent - came, 1.0)
        eventually(lambda: daemon.status()["chronyd"]["reachable"])
        self.assertEqual(self.resets(), [])

    def test_several_markers_while_it_is_away_give_one_reset_for_the_newest(self):
        for kind in ("marker", "clock"):
            with self.subTest(kind):
                made = getattr(self, kind)()
                daemon = self.daemon()
                daemon.reaches(mode="clock" if kind == "clock" else "marker-only")
                for times in range(1, 5):
                    if kind == "clock":
                        marker = made.migrate(offset=1e-3 * times)
                    else:
                        marker = made.disrupt()
                    daemon.reaches(disruptions=times)
                since = time.time()
                self.chronyd.start()
                status = self.recovered(daemon)
                self.assertEqual(int(status["last_recovery"]["marker"], 16), marker)
                if kind == "clock":
                    self.feeding(since=since)
                time.sleep(0.3)
                self.assertEqual(len(self.resets(since)), 1)
                daemon.stop()
                os.unlink(daemon.settings["state_file"])
                self.chronyd.stop_listening(unlink=True)

    def test_no_sample_reaches_a_chronyd_started_after_the_marker_before_its_reset(self):
        made = self.clock()
        daemon = self.daemon()
        daemon.reaches(mode="clock")
        made.migrate(offset=1e-3)
        daemon.reaches(disruptions=1)
        self.chronyd.script(script.RESET_SOURCES, script.late(0.3))
        self.chronyd.start()
        self.request(script.RESET_SOURCES)
        self.feeding()
        answered = [reset.answered for reset in self.resets() if reset.answered]
        self.assertTrue(answered)
        self.assertGreater(self.chronyd.samples[0].sent, min(answered))

    def test_a_chronyd_that_comes_and_goes_is_not_logged_without_end(self):
        self.clock()
        daemon = self.daemon()
        daemon.reaches(mode="clock")
        before = len(daemon.lines)
        time.sleep(2)
        # A hundred failed samples meanwhile.
        self.assertLess(len(daemon.lines) - before, 10)
        self.chronyd.start()
        self.feeding()


class BadChronydCase(ScriptedCase):
    """What tests of bad replies to a reset have in common."""

    def disturbed(self, kind="clock", **settings):
        """A daemon that feeds, and its page about to change."""
        made = getattr(self, kind)()
        since = time.time()
        daemon = self.daemon(**settings)
        if kind == "clock":
            self.feeding(since=since)
        else:
            daemon.reaches(mode="marker-only")
        return made, daemon

    def assert_confirmed_by(self, daemon, reset):
        """No sample between the first request and the reply to this one; then they flow."""
        eventually(lambda: reset.answered)
        self.feeding(since=reset.answered)
        self.assert_no_sample_between(self.resets()[0].sent, reset.answered)
        self.recovered(daemon)
        self.assertEqual(daemon.confirmations(1), 1)

    def answered_reset(self):
        return eventually(
            lambda: next((r for r in self.resets() if r.answered), None), "an answered reset"
        )


class LateChronydTest(BadChronydCase):
    """Replies that are late or never come, and a chronyd that comes and goes."""

    weight = 10

    def test_a_late_reply_is_waited_for(self):
        made, daemon = self.disturbed()
        self.chronyd.script(script.RESET_SOURCES, script.late(0.15))
        made.migrate(offset=1e-3)
        self.assert_confirmed_by(daemon, self.answered_reset())

    def test_a_very_late_reply_counts_once(self):
        made, daemon = self.disturbed()
        self.chronyd.script(script.RESET_SOURCES, script.late(3))
        made.migrate(offset=1e-3)
        self.answered_reset()
        self.recovered(daemon)
        first = self.resets()[0]
        eventually(lambda: first.answered)
        self.feeding(since=first.answered, samples=10)
        status = daemon.status()
        self.assertEqual((status["disruptions"], status["recoveries"]), (1, 1))
        self.assertEqual(daemon.confirmations(1), 1)
        self.assertLessEqual(len(self.resets()), 6)

    def test_a_reply_that_came_while_we_were_stopped_is_read_before_time_is_up(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        self.chronyd.script(script.RESET_SOURCES, script.while_stopped(daemon.pid(), 0.8))
        made.migrate(offset=1e-3)
        self.recovered(daemon)
        self.assertEqual(len(self.resets()), 1)

    def test_a_chronyd_that_is_always_late_is_understood_in_the_end(self):
        for seconds in (0.3, 0.7, 1.5):
            with self.subTest(seconds=seconds):
                made, daemon = self.disturbed()
                self.chronyd.always(script.RESET_SOURCES, script.late(seconds))
                since = time.time()
                made.migrate(offset=1e-3)
                self.request(script.RESET_SOURCES, since=since)
                self.recovered(daemon, timeout=10)
                self.feeding(since=time.time())
                self.chronyd.always(script.RESET_SOURCES, script.ok)
                self.assertEqual(daemon.stop(), 0)
                os.unlink(daemon.settings["state_file"])

    def test_a_reset_that_is_never_answered_is_sent_twice_and_taken_as_done(self):
        made, daemon = self.disturbed()
        self.chronyd.always(script.RESET_SOURCES, script.silent)
        made.migrate(offset=1e-3)
        first, second = (self.request(script.RESET_SOURCES, n) for n in (1, 2))
        self.assertNotEqual(first.sequence, second.sequence)
        self.assertGreater(second.sent - first.sent, 0.2)
        self.assert_no_sample_between(first.sent, second.sent)
        self.feeding(since=second.sent, samples=100)
        self.assertEqual(len(self.resets()), 2)
        status = daemon.status()
        self.assertEqual(status["recoveries"], 0)
        self.assertEqual(status["last_recovery"]["outcome"], "unconfirmed")
        self.assertEqual(len(daemon.said("taken as done")), 1)

    def test_a_chronyd_that_never_answers_is_told_nothing_but_two_resets(self):
        made, daemon = self.disturbed()
        for command in script.LENGTHS:
            self.chronyd.always(command, script.silent)
        made.migrate(offset=1e-3)
        second = self.request(script.RESET_SOURCES, 2)
        self.feeding(since=second.sent + 5, samples=100)
        told = [r for r in self.chronyd.requests if r.command != script.TRACKING]
        self.assertEqual([r.command for r in told], [script.RESET_SOURCES] * 2)
        self.assertEqual(daemon.status()["last_recovery"]["outcome"], "unconfirmed")
        self.assertEqual(len(daemon.said("taken as done")), 1)

    def test_a_chronyd_that_restarts_between_request_and_reply_is_asked_again(self):
        made, daemon = self.disturbed()
        self.chronyd.script(script.RESET_SOURCES, script.restarting(0.5))
        made.migrate(offset=1e-3)
        first = self.request(script.RESET_SOURCES)
        self.assert_confirmed_by(daemon, self.answered_reset())
        self.assertIsNone(first.answered)

    def test_a_marker_during_a_recovery_starts_it_over(self):
        made, daemon = self.disturbed()
        self.chronyd.script(script.RESET_SOURCES, script.late(0.3))
        made.migrate(offset=1e-3)
        first = self.request(script.RESET_SOURCES)
        marker = made.migrate(offset=2e-3)
        changed = time.time()
        eventually(lambda: first.answered)
        second = self.request(script.RESET_SOURCES, since=changed)
        eventually(lambda: second.answered)
        self.feeding(since=second.answered)
        self.assert_no_sample_between(first.sent, second.answered)
        status = daemon.reaches(state="feeding", disruptions=2)
        self.assertEqual(int(status["last_recovery"]["marker"], 16), marker)

    def test_a_frozen_chronyd_gets_its_reset_when_it_thaws(self):
        made, daemon = self.disturbed()
        self.chronyd.freeze()
        made.migrate(offset=1e-3)
        frozen = time.time()
        daemon.reaches(disruptions=1)
        time.sleep(1)
        self.assertTrue(daemon.running())
        self.chronyd.thaw()
        self.recovered(daemon)
        reset = self.answered_reset()
        self.feeding(since=reset.answered)
        self.assertLess(len(daemon.log(frozen)), 30)
        self.assertEqual(daemon.confirmations(1), 1)


class BadReplyTest(BadChronydCase):
    """Replies that are refusals, wrong or forged."""

    weight = 10

    def test_a_refusal_confirms_nothing_and_is_logged(self):
        made, daemon = self.disturbed()
        recoveries = 0
        for status in (1, 2, 3):
            with self.subTest(status=status):
                self.chronyd.always(script.RESET_SOURCES, script.refuse(status))
                since = time.time()
                made.migrate(offset=1e-3 * status)
                reset = self.request(script.RESET_SOURCES, since=since)
                eventually(lambda: reset.answered)
                daemon.reaches(disruptions=status)
                time.sleep(0.7)
                refused_until = time.time()
                self.assertEqual(daemon.status()["recoveries"], recoveries)
                self.assertEqual(daemon.said("chronyd confirmed the reset", since=since), [])
                self.assertTrue(
                    daemon.said("refus", since=since)
                    or daemon.said("failed", since=since)
                    or daemon.said(f"status {status}", since=since),
                    "said",
                )
                self.assertLessEqual(len(self.resets(since)), 8)
                self.assert_no_sample_between(reset.sent, refused_until)
                self.chronyd.always(script.RESET_SOURCES, script.ok)
                recoveries += 1
                self.recovered(daemon, recoveries, timeout=30)
                self.feeding(since=time.time())

    def garbage(self, kind):
        made, daemon = self.disturbed()
        before = time.time()
        self.chronyd.script(script.RESET_SOURCES, script.GARBAGE[kind])
        made.migrate(offset=1e-3)
        first = self.request(script.RESET_SOURCES)
        second = self.request(script.RESET_SOURCES, 2, timeout=8)
        self.assert_no_sample_between(first.sent, second.sent)
        eventually(
            lambda: any(
                word in line.lower()
                for line in daemon.log(before)
                for word in ("reply", "answer", "datagram", "ignor")
            ),
            "garbage is said",
        )
        self.assert_confirmed_by(daemon, second)

    def test_a_doubled_reply_counts_once(self):
        made, daemon = self.disturbed()
        self.chronyd.always(script.RESET_SOURCES, script.doubled)
        self.chronyd.always(script.TRACKING, script.doubled)
        self.chronyd.always(script.DFREQ, script.doubled)
        made.migrate(offset=1e-3)
        self.recovered(daemon)
        self.feeding(since=time.time(), samples=10)
        self.assertEqual(daemon.status()["recoveries"], 1)
        self.assertEqual(daemon.confirmations(1), 1)

    def forgery(self, name):
        made, daemon = self.disturbed()
        self.chronyd.script(script.RESET_SOURCES, script.forged(name))
        made.migrate(offset=1e-3)
        first = self.request(script.RESET_SOURCES)
        eventually(lambda: self.chronyd.forged)
        second = self.request(script.RESET_SOURCES, 2, timeout=8)
        self.assert_no_sample_between(first.sent, second.sent)
        self.assert_confirmed_by(daemon, second)

    def test_a_reply_from_another_socket_is_not_believed(self):
        self.forgery("forger.sock")

    def test_a_reply_from_a_socket_without_a_name_is_not_believed(self):
        self.forgery(None)


def _add_garbage():
    for kind in script.GARBAGE:
        name = f"test_a_reply_that_is_{kind.replace(' ', '_')}_is_ignored_and_said"
        setattr(BadReplyTest, name, lambda self, kind=kind: self.garbage(kind))


_add_garbage()


class FlappingTest(ScriptedCase):
    """A marker that changes at every look."""

    parallel = False
    watch_interval = 0.01

    def flap(self, change, seconds=3.0):
        made = self.clock()
        daemon = self.daemon(watch_interval="10ms")
        self.feeding()
        began = time.time()
        while time.time() - began < seconds:
            change(made)
            time.sleep(0.001)
        ended = time.time()
        resets = [r.sent for r in self.resets() if r.sent <= ended]
        self.assertLessEqual(len(resets), (ended - began) / self.watch_interval + 1)
        for first in resets:
            within = [r for r in resets if first <= r < first + 0.5]
            self.assertLessEqual(len(within), 0.5 / self.watch_interval + 1)
        times = [when for when, _ in daemon.lines if when >= began]
        for first in times:
            within = [when for when in times if first <= when < first + 1]
            self.assertLessEqual(len(within), 40, "log lines in a second")
        made.migrate(offset=7e-3)
        settled = time.time()
        sample = self.feeding(since=settled + 0.05)[-1]
        self.assertAlmostEqual(sample.offset, made.offset_when(sample.time), delta=1e-6)
        # The newest marker must have had a reset of its own.
        self.assertTrue(self.resets(settled - 0.001))
        status = daemon.reaches(state="feeding")
        self.assertEqual(int(status["disruption_marker"], 16), made.fields.disruption_marker)
        self.assertGreater(status["disruptions"], 1)
        return daemon

    def test_a_flapping_marker_causes_neither_a_storm_of_resets_nor_of_lines(self):
        self.flap(lambda made: made.disrupt())

    def test_a_flapping_marker_and_formula_are_survived_too(self):
        self.flap(lambda made: made.migrate(offset=1e-3))

    def test_flapping_before_a_silent_chronyd_is_no_storm_either(self):
        made = self.clock()
        daemon = self.daemon(watch_interval="10ms")
        self.feeding()
        self.chronyd.always(script.RESET_SOURCES, script.silent)
        began = time.time()
        while time.time() - began < 2:
            made.disrupt()
            time.sleep(0.001)
        self.assertLessEqual(len(self.resets(began)), 201)
        times = [when for when, _ in daemon.lines if when >= began]
        for first in times:
            within = [when for when in times if first <= when < first + 1]
            self.assertLessEqual(len(within), 40, "log lines in a second")
        self.chronyd.always(script.RESET_SOURCES, script.ok)
        made.migrate(offset=7e-3)
        self.feeding(since=time.time() + 0.05, timeout=30)

    def test_a_flapping_clock_status_is_no_storm_of_lines(self):
        made = self.clock()
        daemon = self.daemon(watch_interval="10ms")
        self.feeding()
        began = time.time()
        while time.time() - began < 2:
            for status in (page.UNRELIABLE, page.SYNCHRONISED, page.FREERUNNING):
                made.write(clock_status=status)
                time.sleep(0.007)
        times = [when for when, _ in daemon.lines if when >= began]
        for first in times:
            within = [when for when in times if first <= when < first + 1]
            self.assertLessEqual(len(within), 40, "log lines in a second")
        made.write(clock_status=page.SYNCHRONISED)
        self.feeding(since=time.time() + 0.05)
