# SPDX-License-Identifier: BSD-2-Clause
"""What chronyd is told about rate and offset after a disruption of a full page."""

import time

import page
import scripted_chronyd as script
from harness import eventually
from scripted_case import READS, ScriptedCase

CLOCK_SOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"


class CorrectionTest(ScriptedCase):
    """The scripted chronyd says ok and does nothing, so that all is still left afterwards: only
    the first correction is of what changed."""

    weight = 4

    def setUp(self):
        super().setUp()
        with open(CLOCK_SOURCE, encoding="ascii") as file:
            source = file.read().strip()
        if source not in ("tsc", "arch_sys_counter"):
            self.skipTest(f"the kernel's clock source is {source}, not the page's counter")

    def disrupted(self, offset, ppm, **settings):
        """The page after a migration, and a daemon that recovers from it."""
        made = self.clock()
        daemon = self.daemon(**settings)
        self.feeding()
        time.sleep(1.3)  # the raw clock's rate is known after a second
        made.migrate(offset=offset, ppm=ppm)
        reset = self.request(script.RESET_SOURCES)
        eventually(lambda: reset.answered)
        return made, daemon

    def orders(self):
        """All but looks, in order."""
        return [r for r in self.chronyd.requests if r.command not in READS]

    def assert_correction(self, offset, ppm):
        made, _ = self.disrupted(offset, ppm)
        # Positive is a clock that runs fast, or is ahead.
        self.assertAlmostEqual(self.request(script.DFREQ).data, -ppm, delta=0.3)
        doffset = self.request(script.DOFFSET2)
        # Floats are good to 3e-8 of the value.
        delta = 1e-6 + abs(offset) * 6e-8
        self.assertAlmostEqual(doffset.data, -made.offset_when(doffset.sent), delta=delta)

    def test_a_clock_that_has_fallen_behind_is_corrected_by_just_so_much(self):
        self.assert_correction(5e-3, 30)

    def test_a_clock_that_is_ahead_is_corrected_by_just_so_much(self):
        self.assert_correction(-0.2, -80)

    def test_the_commands_come_in_their_order(self):
        self.disrupted(5e-3, 30)
        self.request(script.BURST)
        expected = [
            script.RESET_SOURCES,
            script.DFREQ,
            script.DOFFSET2,
            script.MAKESTEP,
            script.MAKESTEP,
        ]
        commands = [r.command for r in self.orders()]
        self.assertEqual(commands[: len(expected)], expected)
        self.assertEqual(commands[-1], script.BURST)
        self.assertEqual(commands.count(script.DFREQ), 1)

    def test_each_command_awaits_the_reply_of_the_one_before(self):
        for command in (script.DFREQ, script.DOFFSET2, script.MAKESTEP, script.BURST):
            self.chronyd.always(command, script.late(0.05))
        self.disrupted(5e-3, 30)
        eventually(lambda: self.request(script.BURST).answered)
        orders = self.orders()
        for first, second in zip(orders, orders[1:]):
            self.assertIsNotNone(first.answered, f"{first} before {second}")
            self.assertGreaterEqual(second.sent, first.answered - 1e-4)

    def test_no_sample_is_sent_before_the_clock_is_corrected(self):
        for command in (script.DFREQ, script.DOFFSET2, script.MAKESTEP):
            self.chronyd.always(command, script.late(0.05))
        self.disrupted(5e-3, 30)
        reset = self.resets()[0]
        step = self.request(script.MAKESTEP, 2)
        eventually(lambda: step.answered)
        self.feeding(since=step.answered)
        self.assert_no_sample_between(reset.sent, step.answered)

    def test_step_forward_never_steps_back(self):
        self.disrupted(-5e-3, 0, step="forward")
        self.request(script.DOFFSET2)
        self.feeding(since=self.resets()[0].sent, timeout=25)
        commands = {r.command for r in self.orders()}
        self.assertFalse(commands & {script.MAKESTEP, script.MODIFY_MAKESTEP}, f"{commands}")

    def test_step_forward_steps_forward_but_not_beyond(self):
        made, _ = self.disrupted(5e-3, 0, step="forward")
        self.request(script.MAKESTEP)
        doffset = self.request(script.DOFFSET2)
        self.assertLess(-doffset.data, made.offset_when(doffset.sent))
        self.assertAlmostEqual(-doffset.data, 5e-3, delta=1e-4)

    def test_a_chronyd_without_these_commands_has_its_makestep_rearmed(self):
        for command in (script.DFREQ, script.DOFFSET2):
            self.chronyd.always(command, script.refuse(script.INVALID))
        _, daemon = self.disrupted(5e-3, 30)
        limit, threshold = self.request(script.MODIFY_MAKESTEP).data
        self.assertEqual(limit, 5)
        self.assertAlmostEqual(threshold, 1e-6, delta=1e-9)
        self.feeding(since=self.resets()[0].sent)
        self.recovered(daemon)
        self.assertLessEqual(len(self.chronyd.sent(script.DFREQ)), 1)

    def assert_lost_reply(self, command):
        self.chronyd.script(command, script.silent)
        _, daemon = self.disrupted(5e-3, 30)
        self.feeding(since=self.resets()[0].sent, timeout=25)
        sent = self.chronyd.requests
        lost = next(i for i, r in enumerate(sent) if r.command == command)
        # First whether chronyd still answers.
        self.assertEqual(sent[lost + 1].command, script.TRACKING)
        self.recovered(daemon)

    def test_a_lost_reply_to_dfreq_is_not_met_with_the_same_command_at_once(self):
        self.assert_lost_reply(script.DFREQ)

    def test_a_lost_reply_to_doffset2_is_not_met_with_the_same_command_at_once(self):
        self.assert_lost_reply(script.DOFFSET2)

    def test_an_absurd_offset_is_never_stepped(self):
        made, daemon = self.disrupted(0.0, 0.0)
        # 200 years: no host is so far off, and no chronyd should be sent there.
        marker = made.fields.disruption_marker + 1
        fields = made.clock_fields(offset=1e-3)
        fields["time_sec"] += 200 * 365 * 86400
        self.chronyd.samples.clear()
        made.write(disruption_marker=marker, **fields)
        daemon.reaches(disruptions=2)
        self.request(script.RESET_SOURCES, 2)
        made.write(clock_status=page.SYNCHRONISED, **made.clock_fields(offset=1e-3))
        self.feeding(timeout=25)
        for request in self.chronyd.sent(script.DOFFSET2):
            self.assertLess(abs(request.data), 1.0)
