# SPDX-License-Identifier: BSD-2-Clause
"""Hosts as vmclocksim plays them: good ones, and those that write things in the wrong order."""

import os
import select
import subprocess
import time

import harness
import scripted_chronyd as script
from harness import eventually
from scripted_case import ScriptedCase


class Simulator:
    def __init__(self, path, *options):
        self.path = path
        self.said = []
        self.process = subprocess.Popen(
            [harness.program("vmclocksim"), *options, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.answer()

    def answer(self):
        ready, _, _ = select.select([self.process.stdout], [], [], 15)
        line = self.process.stdout.readline() if ready else "(nothing)"
        self.said.append(line.rstrip())
        return line

    def tell(self, command):
        self.said.append(f"> {command}")
        print(command, file=self.process.stdin, flush=True)
        line = self.answer()
        assert not line.startswith("error"), line
        return line

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def evidence(self):
        return "-- vmclocksim\n" + "\n".join(self.said)


class SimulatorTest(ScriptedCase):
    needs = ("vmclockd", "vmclockctl", "vmclocksim")
    weight = 8

    def simulator(self, *options):
        return self.witness(Simulator(self.path("page"), *options))

    def fed(self, *options):
        host = self.simulator(*options)
        daemon = self.daemon()
        self.feeding(samples=10)
        return host, daemon

    def assert_offset(self, samples, offset, delta=2e-4):
        """The machine's clock drifts a little against the simulated one, hence the delta."""
        self.assertTrue(samples)
        for sample in samples:
            self.assertAlmostEqual(sample.offset, offset, delta=delta)

    def new_samples(self, reset):
        eventually(lambda: reset.answered)
        samples = self.feeding(since=reset.answered, samples=10)
        self.assert_no_sample_between(reset.sent, reset.answered)
        return samples

    def test_a_good_hosts_migration_is_followed(self):
        host, daemon = self.fed()
        self.assert_offset(self.chronyd.samples, 0)
        host.tell("migrate 5ms 30")
        samples = self.new_samples(self.request(script.RESET_SOURCES))
        self.assert_offset(samples, 5e-3)
        self.recovered(daemon)

    def test_the_hosts_own_correction_is_followed_without_a_reset(self):
        host, _ = self.fed()
        host.tell("step 2ms")
        eventually(lambda: abs(self.chronyd.samples[-1].offset - 2e-3) < 2e-4)
        host.tell("drift 10")
        self.feeding(since=time.time(), samples=5)
        host.tell("generation")
        self.feeding(since=time.time(), samples=5)
        self.assertEqual(self.resets(), [])

    def test_a_formula_that_comes_late_is_waited_for(self):
        host, _ = self.fed()
        host.tell("late 2s 5ms 30")
        reset = self.request(script.RESET_SOURCES)
        self.assert_offset(self.new_samples(reset), 5e-3)
        self.assertGreater(self.chronyd.samples_since(reset.sent)[0].sent - reset.sent, 1.5)

    def test_a_formula_of_the_old_hosts_rewritten_before_the_marker_is_not_believed(self):
        host, _ = self.fed()
        host.tell("stale 2s 5ms 30")
        self.assert_offset(self.new_samples(self.request(script.RESET_SOURCES)), 5e-3)

    def test_a_formula_that_comes_before_its_marker_is_followed(self):
        host, daemon = self.fed()
        host.tell("early 200ms 5ms 30")
        samples = self.new_samples(self.request(script.RESET_SOURCES))
        self.assert_offset(samples, 5e-3)
        self.recovered(daemon)

    def test_a_reference_in_the_near_future_is_legal(self):
        host, _ = self.fed()
        host.tell("lead 500ms")
        host.tell("step 1ms")
        eventually(lambda: abs(self.chronyd.samples[-1].offset - 1e-3) < 2e-4)
        self.assert_offset(self.feeding(since=time.time(), samples=20), 1e-3)

    def test_a_flapping_host_is_survived(self):
        host, daemon = self.fed()
        began = time.time()
        host.tell("flap 1ms 2s")
        time.sleep(2)
        self.assertLessEqual(len(self.resets(began)), 201 + (time.time() - began - 2) * 100)
        self.feeding(since=time.time() + 0.5, timeout=25)
        self.assertGreater(daemon.status()["disruptions"], 10)

    def test_a_torn_page_is_whole_again(self):
        host, daemon = self.fed()
        host.tell("torn")
        torn = time.time()
        time.sleep(0.5)
        self.assertEqual([s for s in self.chronyd.samples_since(torn) if s.time > torn + 0.05], [])
        host.tell("mend")
        self.feeding(since=time.time(), timeout=25)
        self.assertTrue(daemon.running())

    def test_a_truncated_page_is_whole_again(self):
        host, daemon = self.fed()
        host.tell("truncate")
        since = time.time()
        daemon.says(self.path("page"), since=since)
        host.tell("mend")
        if daemon.running():
            self.feeding(since=time.time(), timeout=25)
        else:
            self.assertEqual(daemon.ends(), 69)

    def test_a_marker_only_host_gets_its_resets(self):
        self.marker()
        os.unlink(self.path("page"))
        host = self.simulator("-m")
        daemon = self.daemon()
        daemon.reaches(mode="marker-only", state="watching")
        host.tell("marker")
        self.recovered(daemon)
        self.assertEqual(self.chronyd.samples, [])

    def test_the_machines_own_clock_is_followed_for_a_while_without_a_jump(self):
        self.fed("--offset", "3ms")
        self.assert_offset(self.feeding(samples=100), 3e-3)
