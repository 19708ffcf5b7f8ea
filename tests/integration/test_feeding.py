# SPDX-License-Identifier: BSD-2-Clause
"""Samples in a steady state: what they say and when there are none."""

import os
import subprocess
import time

import page
import scripted_chronyd as script
from harness import eventually
from scripted_case import READS, ScriptedCase


class FeedingTest(ScriptedCase):
    def assert_only_looks(self):
        self.assertLessEqual({r.command for r in self.chronyd.requests}, READS)

    def assert_samples_stop(self, made, **fields):
        """After this write no samples come any more, though the daemon looks at the page."""
        made.write(**fields)
        written = time.time()
        # One may be under way; ten intervals without one are enough.
        time.sleep(0.25)
        late = [s for s in self.chronyd.samples_since(written) if s.time > written + 0.03]
        self.assertEqual(late, [], f"after {fields}")

    def assert_samples_flow(self, made, **fields):
        made.write(**fields)
        self.feeding(since=time.time())

    def test_samples_have_the_offset_of_the_page_within_a_microsecond(self):
        for time_type in (page.TAI, page.UTC):
            made = self.clock(offset=1.5e-3, time_type=time_type)
            daemon = self.daemon(step="never", correct_frequency="no")
            began = time.time()
            for sample in self.feeding(since=began, samples=10):
                self.assertAlmostEqual(sample.offset, made.offset_when(sample.time), delta=1e-6)
            self.assertEqual(daemon.stop(), 0)

    def test_samples_are_fresh_and_increasing_in_time(self):
        self.clock()
        self.daemon()
        samples = self.feeding(samples=20)
        times = [s.time for s in samples]
        self.assertEqual(times, sorted(set(times)))
        for sample in samples:
            self.assertLess(sample.sent - sample.time, 0.5)

    def test_samples_come_at_the_interval_configured(self):
        self.clock()
        self.daemon(sample_interval="100ms")
        samples = self.feeding(samples=11)
        self.assertAlmostEqual((samples[10].sent - samples[0].sent) / 10, 0.1, delta=0.03)

    def test_nothing_but_looks_is_sent_while_nothing_happens(self):
        self.clock()
        daemon = self.daemon()
        self.feeding(samples=30)
        self.assert_only_looks()
        self.assertEqual(daemon.status()["disruptions"], 0)

    def test_an_announced_leap_second_is_passed_on(self):
        made = self.clock()
        self.daemon()
        for indicator, leap in ((1, 1), (2, 2), (0, 0)):
            made.write(leap_indicator=indicator)
            eventually(lambda: self.chronyd.samples and self.chronyd.samples[-1].leap == leap)

    def test_a_page_corrected_without_a_marker_change_is_followed_at_once(self):
        made = self.clock()
        self.daemon()
        self.feeding()
        made.write(**made.clock_fields(offset=2e-3))
        written = time.time()
        eventually(lambda: abs(self.chronyd.samples[-1].offset - 2e-3) < 1e-5)
        first = next(s for s in self.chronyd.samples if abs(s.offset - 2e-3) < 1e-5)
        self.assertLess(first.sent - written, 1.0)
        self.assertEqual(self.resets(), [])

    def test_a_new_vm_generation_alone_resets_nothing(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        made.write(vm_generation_counter=0x4321)
        eventually(lambda: int(daemon.status()["vm_generation"], 16) == 0x4321)
        self.feeding(since=time.time())
        self.assertEqual(self.resets(), [])
        self.assertEqual(daemon.status()["disruptions"], 0)

    def test_only_a_reliable_clock_status_yields_samples(self):
        made = self.clock()
        daemon = self.daemon()
        self.assert_samples_flow(made, clock_status=page.SYNCHRONISED)
        for status in (0, 1, 4, 5, 6, 127, 128, 254, 255):
            self.assert_samples_stop(made, clock_status=status)
        self.assertTrue(daemon.running())
        self.assert_samples_flow(made, clock_status=page.FREERUNNING)

    def test_a_free_running_clock_is_not_accepted_against_the_configuration(self):
        made = self.clock()
        self.daemon(accept_freerunning="no")
        self.feeding()
        self.assert_samples_stop(made, clock_status=page.FREERUNNING)
        self.assert_samples_flow(made, clock_status=page.SYNCHRONISED)

    def test_a_sample_with_a_bound_over_max_error_is_not_sent(self):
        made = self.clock()
        self.daemon(max_error="10us")
        self.feeding()
        self.assert_samples_stop(made, time_maxerror_nanosec=20000)
        self.assert_samples_flow(made, time_maxerror_nanosec=200)

    def test_without_max_error_a_large_bound_is_no_obstacle(self):
        made = self.clock(time_maxerror_nanosec=10**9)
        self.daemon()
        self.feeding()
        self.assertEqual(made.fields.time_maxerror_nanosec, 10**9)

    def test_a_clock_that_leaves_and_comes_back_is_followed_again(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        self.assert_samples_stop(made, clock_status=page.UNKNOWN)
        made.write(**made.clock_fields(offset=1e-3), clock_status=page.SYNCHRONISED)
        since = time.time()
        sample = self.feeding(since=since)[-1]
        self.assertAlmostEqual(sample.offset, made.offset_when(sample.time), delta=1e-6)
        self.assertEqual(daemon.status()["disruptions"], 0)


class MarkerOnlyTest(ScriptedCase):
    def test_a_marker_only_page_yields_no_sample(self):
        self.marker(disruption_marker=0xABCDEF)
        daemon = self.daemon()
        status = daemon.reaches(mode="marker-only", state="watching")
        self.assertEqual(int(status["disruption_marker"], 16), 0xABCDEF)
        self.assertIsNone(status["vm_generation"])
        time.sleep(0.5)
        self.assertEqual(self.chronyd.samples, [])
        self.assertLessEqual({r.command for r in self.chronyd.requests}, READS)

    def test_a_page_that_gains_a_clock_is_fed_from(self):
        made = self.marker()
        daemon = self.daemon()
        daemon.reaches(mode="marker-only")
        self.assertEqual(self.chronyd.samples, [])
        # Counter and time type are constant by the specification: a host that changes them all
        # the same must not make us crash, and until then there is nothing to feed from.
        made.write(clock_status=page.SYNCHRONISED, flags=page.TAI_OFFSET_VALID)
        time.sleep(0.3)
        self.assertEqual(self.chronyd.samples, [])
        self.assertTrue(daemon.running())


class DryRunTest(ScriptedCase):
    def test_a_dry_run_sends_nothing_at_all(self):
        made = self.clock()
        daemon = self.daemon("-n")
        daemon.says("") # it has started
        daemon.reaches(mode="clock")
        made.migrate(offset=5e-3)
        daemon.says("disruption marker")
        daemon.reaches(disruptions=1)
        daemon.says("would be sent RESET_SOURCES")
        daemon.says("would be sent DOFFSET2 -0.00")
        daemon.says("would be sent MAKESTEP")
        daemon.says("would be sent BURST 4/8")
        eventually(lambda: len(daemon.said("a sample would be sent")) == 2)
        self.assertEqual(daemon.said("confirmed"), [])
        self.assertIsNone(daemon.status()["last_recovery"])
        time.sleep(0.5)
        self.assertEqual((self.chronyd.samples, self.chronyd.requests), ([], []))
        self.assertEqual(daemon.stop(), 0)
        daemon.says("samples would have been sent, with offsets of")

    def test_a_dry_run_of_a_marker_only_page_sends_nothing_at_all(self):
        made = self.marker()
        daemon = self.daemon("--dry-run", boost="192.0.2.1 6 10")
        daemon.reaches(mode="marker-only")
        made.disrupt()
        daemon.says("disruption marker")
        daemon.says("would be sent RESET_SOURCES")
        daemon.says("would be sent MODIFY_MAKESTEP 0.01 s 3, to be restored")
        daemon.says("would be sent MODIFY_MINPOLL 192.0.2.1 0, to be restored")
        daemon.says("would be sent MODIFY_MAXPOLL 192.0.2.1 0, to be restored")
        daemon.says("would be sent BURST 4/8")
        time.sleep(0.5)
        self.assertEqual((self.chronyd.samples, self.chronyd.requests), ([], []))
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(self.chronyd.requests, [])


class CommandsTest(ScriptedCase):
    """What may be sent in each mode. Stricter tables belong here."""

    weight = 3

    RESET = {script.RESET_SOURCES}
    STEP = {script.MAKESTEP}
    REARM = {script.MODIFY_MAKESTEP}
    BOOST = {script.MODIFY_MINPOLL, script.MODIFY_MAXPOLL}

    # made of, settings, commands that must come, commands that may come
    MODES = (
        (
            "clock",
            {"step": "always"},
            RESET,
            {script.DFREQ, script.DOFFSET2, script.BURST} | STEP | REARM,
        ),
        (
            "clock",
            {"step": "forward"},
            RESET,
            {script.DFREQ, script.DOFFSET2, script.BURST} | STEP,
        ),
        ("clock", {"step": "never"}, RESET, {script.DFREQ, script.DOFFSET2, script.BURST}),
        (
            "clock",
            {"step": "never", "correct_frequency": "no"},
            RESET,
            {script.DOFFSET2, script.BURST},
        ),
        ("marker", {"step": "always"}, RESET | REARM, {script.BURST}),
        ("marker", {"step": "forward"}, RESET, {script.BURST}),
        ("marker", {"step": "never"}, RESET, {script.BURST}),
        (
            "marker",
            {"step": "always", "boost": ["192.0.2.1 6 10", "2001:db8::1 4 8"]},
            RESET | REARM | BOOST,
            {script.BURST},
        ),
    )

    def run_mode(self, kind, settings, must, may):
        self.chronyd.ntp_sources = ["192.0.2.1", "2001:db8::1"]
        made = getattr(self, kind)()
        daemon = self.daemon(**settings)
        daemon.reaches(mode="clock" if kind == "clock" else "marker-only")
        if kind == "clock":
            self.feeding()
            made.migrate(offset=5e-3, ppm=30)
        else:
            made.disrupt()
        self.recovered(daemon)
        for command in must:
            self.request(command)
        time.sleep(0.5)
        sent = {r.command for r in self.chronyd.requests}
        self.assertEqual(
            {script.NAMES[c] for c in sent - must - may - READS}, set(), f"{kind} {settings}"
        )
        self.assertEqual(len(self.resets()), 1)
        others = [r for r in self.chronyd.requests if r.command not in READS]
        self.assertEqual(others[0].command, script.RESET_SOURCES)
        return daemon


def _add_modes():
    for kind, settings, must, may in CommandsTest.MODES:
        words = [f"{key}_{'some' if key == 'boost' else value}" for key, value in settings.items()]
        name = f"test_no_command_is_unexpected_with_a_{kind}_page_and_" + "_and_".join(words)

        def test(self, arguments=(kind, settings, must, may)):
            self.run_mode(*arguments)

        setattr(CommandsTest, name, test)


_add_modes()


# What the first release kept when it ended in the half minute after a disruption.
FIRST_RELEASE_STATE = """\
version = 0.1.0
boot_id = {boot_id}
confirmed_marker = 0x2
put_back = yes
put_back.server = 192.0.2.1 6 10
put_back.server = 2001:db8::1 4 8
pid = {pid}
pid_namespace = {pid_namespace}
running = yes
dry_run = no
updated = 1795655947.959
updated_boottime_ns = 1485605198322
device = {device}
state = recovering
mode = marker-only
disruption_marker = 0x2
clock_status = unknown
maintenance = none
page = the host gives the disruption marker only, no clock
disruptions = 1
recoveries = 1
samples_sent = 0
contradictions = 0
last_disruption.at = 1795655947.949
last_disruption.marker_before = 0x1
last_disruption.marker = 0x2
last_disruption.kind = unknown
last_recovery.at = 1795655947.949
last_recovery.started_ns = 1485594982373
last_recovery.cause = marker
last_recovery.marker = 0x2
last_recovery.state = sync
last_recovery.outcome = running
last_recovery.reset_ms = 1.228
last_recovery.corrected_ms = 1.228
last_recovery.synchronised_ms = 
last_recovery.corrected_ppm = 0.000000
last_recovery.corrected_ns = 0
last_recovery.remaining_ns = 
chronyd.reachable = yes
chronyd.synchronised = no
chronyd.refid = 
end = yes
"""


class BoostTest(ScriptedCase):
    """Fast polling and the re-armed makestep are put back, come what may."""

    limit = 70
    weight = 10

    def boosted(self, **settings):
        self.chronyd.ntp_sources = ["192.0.2.1", "2001:db8::1"]
        made = self.marker()
        daemon = self.daemon(
            boost=["192.0.2.1 6 10", "2001:db8::1 4 8"], makestep="0.5 7", **settings
        )
        daemon.reaches(mode="marker-only")
        made.disrupt()
        self.recovered(daemon)
        self.request(script.MODIFY_MAXPOLL, 2)
        self.request(script.MODIFY_MINPOLL, 2)
        self.request(script.MODIFY_MAKESTEP)
        eventually(lambda: len(self.chronyd.requests) == len(self.answered()))
        return daemon

    def answered(self):
        return [r for r in self.chronyd.requests if r.answered]

    def last(self, command):
        """The last value of each address, or of makestep."""
        values = {}
        for request in self.chronyd.sent(command):
            if command == script.MODIFY_MAKESTEP:
                values["limit"], values["threshold"] = request.data
            else:
                values[request.data[0]] = request.data[1]
        return values

    def is_restored(self, limit=0):
        return (
            self.last(script.MODIFY_MINPOLL) == {"192.0.2.1": 6, "2001:db8::1": 4}
            and self.last(script.MODIFY_MAXPOLL) == {"192.0.2.1": 10, "2001:db8::1": 8}
            # By default its updates are used up: chronyd was synchronised before.
            and self.last(script.MODIFY_MAKESTEP) == {"limit": limit, "threshold": 0.5}
        )

    def assert_boosted(self):
        self.assertFalse(self.is_restored())
        for command in (script.MODIFY_MINPOLL, script.MODIFY_MAXPOLL):
            for poll in self.last(command).values():
                self.assertLessEqual(poll, 0)
        self.assertEqual(self.last(script.MODIFY_MAKESTEP)["limit"], 8)
        self.assertAlmostEqual(self.last(script.MODIFY_MAKESTEP)["threshold"], 1e-4, delta=1e-9)

    def test_boosted_servers_and_makestep_are_restored_at_sigterm(self):
        daemon = self.boosted()
        self.assert_boosted()
        self.assertEqual(daemon.stop(), 0)
        self.assertTrue(self.is_restored(), "put back")

    def test_boosted_servers_and_makestep_are_restored_after_a_crash(self):
        daemon = self.boosted()
        self.assert_boosted()
        daemon.process.kill()
        daemon.ends()
        self.assertFalse(self.is_restored())
        daemon.start()
        eventually(self.is_restored, "put back")
        self.assertEqual(len(self.resets()), 1)

    def test_what_the_first_release_changed_is_restored_after_an_upgrade(self):
        self.chronyd.ntp_sources = ["192.0.2.1", "2001:db8::1"]
        self.marker(disruption_marker=2)
        daemon = self.prepared(boost=["192.0.2.1 6 10", "2001:db8::1 4 8"], makestep="0.5 7")
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot_id = file.read().strip()
        gone = subprocess.Popen(["true"])
        gone.wait()
        with open(daemon.settings["state_file"], "w", encoding="ascii") as file:
            file.write(
                FIRST_RELEASE_STATE.format(
                    boot_id=boot_id,
                    pid=gone.pid,
                    pid_namespace=os.readlink("/proc/self/ns/pid"),
                    device=self.path("page"),
                )
            )
        daemon.start()
        # It did not say whether chronyd had used its updates up.
        eventually(lambda: self.is_restored(limit=7), "put back")
        self.assertEqual(self.resets(), [])

    def test_boosted_servers_and_makestep_are_restored_after_half_a_minute(self):
        self.boosted()
        self.assert_boosted()
        began = self.request(script.MODIFY_MINPOLL).sent
        eventually(self.is_restored, "put back", timeout=50)
        ended = max(r.sent for r in self.chronyd.sent(script.MODIFY_MINPOLL))
        self.assertAlmostEqual(ended - began, 30, delta=5)
