# SPDX-License-Identifier: BSD-2-Clause
"""Devices and pages that cannot be used, at the start and later."""

import ctypes
import os
import shlex
import shutil
import socket
import stat
import struct
import subprocess
import threading
import time
import unittest

import harness
import page
import scripted_chronyd as script
from daemon import DEVICE
from harness import eventually
from scripted_case import ScriptedCase


class RepetitionTest(ScriptedCase):
    def test_a_page_that_flaps_is_logged_a_few_times_and_once_when_it_has_stopped(self):
        made = self.marker()
        daemon = self.daemon()
        daemon.reaches(mode="marker-only")
        for _ in range(100):
            made.write(magic=0)
            time.sleep(0.015)
            made.write(magic=page.MAGIC)
            time.sleep(0.015)
        daemon.says("this has stopped", "the page is valid again")
        self.assertLessEqual(len(daemon.said(self.path("page") + ":")), 20, daemon.log())
        self.assertEqual(len(daemon.said("keeps happening", "the page is valid again")), 1)


class NodeTest(ScriptedCase):
    """What is said of the node itself at the start."""

    def node(self, mode):
        """A character device that can be mapped, though it holds no page."""
        path = self.path("vmclock0")
        try:
            os.mknod(path, stat.S_IFCHR | mode, os.makedev(1, 5))
            os.chmod(path, mode)
            os.close(os.open(path, os.O_RDONLY))
        except PermissionError:
            raise unittest.SkipTest("no device can be made here") from None
        return path

    def preload(self):
        compiler = shlex.split(os.environ.get("CC", "cc"))
        if not shutil.which(compiler[0]):
            raise unittest.SkipTest(f"no {compiler[0]} to build a uname() with")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "uname.c")
        built = self.path("uname.so")
        subprocess.run([*compiler, "-shared", "-fPIC", "-o", built, source], check=True)
        return built

    def started(self, mode, release):
        if os.path.lexists(self.path("vmclock0")):
            os.unlink(self.path("vmclock0"))
        daemon = self.prepared(device=self.node(mode))
        daemon.start(
            environment={"LD_PRELOAD": self.preload(), "UNAME_RELEASE": release},
        )
        self.assertEqual(daemon.ends(), DEVICE)
        daemon.says("cannot be used")
        return daemon

    def test_a_node_that_others_may_read_is_warned_of_under_the_kernels_concerned(self):
        daemon = self.started(0o644, "6.18.46")
        self.assertEqual(len(daemon.said("CVE-2026-80724", "6.18.46", "chmod o-r")), 1)
        self.assertEqual(self.started(0o644, "6.18.47").said("CVE"), [])
        self.assertEqual(self.started(0o640, "6.18.46").said("CVE"), [])

    def test_the_doctor_finds_it_too(self):
        daemon = self.prepared(device=self.node(0o644))
        for release, found in (("6.18.46", True), ("6.18.47", False)):
            done = subprocess.run(
                [harness.program("vmclockctl"), "-c", daemon.configuration, "doctor"],
                env={**os.environ, "LD_PRELOAD": self.preload(), "UNAME_RELEASE": release},
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
            self.assertEqual("problem  device's mode" in done.stdout, found, done.stdout)
            self.assertEqual("(CVE-2026-80724)" in done.stdout, found)

    def test_another_device_beside_it_is_logged(self):
        page.marker_page(self.path("vmclock0"))
        page.marker_page(self.path("vmclock1"))
        page.marker_page(self.path("vmclock-old"))
        daemon = self.daemon(device=self.path("vmclock0"))
        daemon.says("there is", "vmclock1 as well", "vmclock0 is used")
        daemon.reaches(mode="marker-only")
        self.assertEqual(len(daemon.said("as well")), 1)

    def test_without_a_device_one_sentence_says_who_has_it(self):
        daemon = self.prepared(device=self.path("vmclock0")).start()
        self.assertEqual(daemon.ends(), DEVICE)
        (line,) = daemon.log()
        for word in ("QEMU", "Firecracker", "EC2", "CONFIG_PTP_1588_CLOCK_VMCLOCK", "No such file"):
            self.assertIn(word, line)


class BadDeviceTest(ScriptedCase):
    """Unusable from the start: exit status 69 and the path in the message."""

    def assert_refused(self, *words, **settings):
        daemon = self.daemon(**settings)
        self.assertEqual(daemon.ends(), DEVICE)
        self.assertTrue(daemon.said(daemon.settings["device"]), "the path is named")
        for word in words:
            self.assertTrue(daemon.said(word), word)
        if os.path.exists(daemon.settings["device"]):
            self.assertEqual(daemon.said("QEMU"), [], "there is a device")
        self.assertEqual((self.chronyd.samples, self.chronyd.requests), ([], []))

    def test_a_missing_device_is_refused(self):
        self.assert_refused()

    def test_a_device_in_a_missing_directory_is_refused(self):
        self.assert_refused(device=self.path("no/such/vmclock0"))

    def test_a_directory_is_refused(self):
        os.mkdir(self.path("page"))
        self.assert_refused()

    def test_an_empty_file_is_refused(self):
        with open(self.path("page"), "wb"):
            pass
        self.assert_refused()

    def test_a_file_shorter_than_a_page_is_refused(self):
        for size in (1, 24, 0x70, 4095):
            with open(self.path("page"), "wb") as file:
                file.write(page.marker_page(self.path("full")).bytes()[:size])
            with self.subTest(size=size):
                self.assert_refused()

    def test_a_fifo_is_refused_without_waiting_for_a_writer(self):
        os.mkfifo(self.path("page"))
        self.assert_refused()

    def test_a_socket_is_refused(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path("page"))
            self.assert_refused()

    def test_a_device_of_another_kind_is_refused(self):
        for device in ("/dev/null", "/dev/zero"):
            with self.subTest(device):
                self.assert_refused(device=device)

    def test_a_link_to_itself_is_refused(self):
        os.symlink("page", self.path("page"))
        self.assert_refused()

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_an_unreadable_file_is_refused(self):
        self.marker()
        os.chmod(self.path("page"), 0)
        self.assert_refused()

    def test_another_magic_is_refused(self):
        for magic in (0, 0xFFFFFFFF, 0x56434C4B):
            with self.subTest(magic=magic):
                self.marker(magic=magic)
                self.assert_refused()

    def test_another_version_is_refused(self):
        for version in (0, 2, 0xFFFF):
            with self.subTest(version=version):
                self.marker(version=version)
                self.assert_refused()

    def test_an_impossible_size_is_refused(self):
        for size in (0, 0x10, 0x17, 0x80000000, 0xFFFFFFFF):
            with self.subTest(size=size):
                self.marker().fields.size = size
                self.assert_refused()


class LostDeviceTest(ScriptedCase):
    """Unusable while it runs: said with the path, and waited for or exit status 69."""

    def assert_survived(self, daemon, since):
        """Waits for the message; True if the daemon still runs."""
        eventually(
            lambda: daemon.said(daemon.settings["device"], since=since), "the path is named"
        )
        eventually(lambda: not daemon.running() or daemon.status(), timeout=5)
        time.sleep(0.2)
        if daemon.running():
            return True
        self.assertEqual(daemon.ends(), DEVICE)
        return False

    def fed(self, kind="clock"):
        made = getattr(self, kind)()
        daemon = self.daemon()
        if kind == "clock":
            self.feeding(since=time.time())
        daemon.reaches(mode="clock" if kind == "clock" else "marker-only")
        return made, daemon

    def test_a_page_truncated_while_mapped_is_no_death_by_signal(self):
        for kind in ("clock", "marker"):
            with self.subTest(kind):
                made, daemon = self.fed(kind)
                since = time.time()
                os.truncate(made.path, 0)
                if self.assert_survived(daemon, since):
                    self.assertEqual(daemon.stop(), 0)
                os.unlink(daemon.settings["state_file"])

    def test_a_page_cut_in_its_middle_yields_no_wrong_sample(self):
        for size in (0x10, 0x18, 0x30, 0x50, 100):
            with self.subTest(size=size):
                made, daemon = self.fed()
                # The rest of the mapped page now reads as zeroes.
                os.truncate(made.path, size)
                time.sleep(0.3)
                for sample in self.chronyd.samples:
                    self.assertLess(abs(sample.offset), 1e-3)
                if daemon.running():
                    self.assertEqual(daemon.stop(), 0)
                else:
                    self.assertEqual(daemon.ends(), DEVICE)
                os.unlink(daemon.settings["state_file"])

    def test_a_page_truncated_and_restored_is_fed_from_again(self):
        made, daemon = self.fed()
        content = made.bytes()
        since = time.time()
        os.truncate(made.path, 0)
        if not self.assert_survived(daemon, since):
            return
        self.chronyd.samples.clear()
        with open(made.path, "r+b") as file:
            file.write(content)
        self.feeding(since=time.time(), timeout=20)

    def test_a_page_removed_and_truncated_is_waited_for_at_its_path(self):
        made, daemon = self.fed()
        old = os.open(made.path, os.O_RDWR)
        os.unlink(made.path)
        since = time.time()
        os.ftruncate(old, 0)
        os.close(old)
        if not self.assert_survived(daemon, since):
            return
        self.clock(disruption_marker=9)
        self.feeding(since=time.time(), timeout=20)

    def test_a_page_replaced_at_its_path_does_no_harm(self):
        made, daemon = self.fed()
        made.replace(made.bytes())
        replaced = time.time()
        time.sleep(0.3)
        # The mapping is of the old file and still good: to go on with it is right, to take the
        # new one as well.
        self.assertTrue(daemon.running())
        self.feeding(since=replaced + 0.2)

    def test_a_page_replaced_by_garbage_does_no_harm(self):
        made, daemon = self.fed()
        made.replace(os.urandom(4096))
        time.sleep(0.5)
        if daemon.running():
            self.assertEqual(daemon.stop(), 0)
        else:
            self.assertEqual(daemon.ends(), DEVICE)

    def test_constant_fields_that_change_are_no_ground_for_samples(self):
        for fields in ({"magic": 0}, {"version": 7}, {"size": 8}):
            with self.subTest(fields):
                made, daemon = self.fed()
                since = time.time()
                made.write(**fields)
                alive = self.assert_survived(daemon, since)
                late = [s for s in self.chronyd.samples_since(since) if s.time > since + 0.05]
                self.assertEqual(late, [])
                if alive:
                    self.assertEqual(daemon.stop(), 0)
                os.unlink(daemon.settings["state_file"])

    def test_a_page_of_random_bytes_under_way_is_survived(self):
        made, daemon = self.fed()
        for seed in range(200):
            noise = os.urandom(0x70 - 0x10)
            made.fields.seq_count |= 1
            ctypes.memmove(ctypes.addressof(made.fields) + 0x10, noise, len(noise))
            made.fields.seq_count += 1
            time.sleep(0.003)
        self.assertTrue(daemon.running())
        for sample in self.chronyd.samples:
            self.assertLess(abs(sample.offset), 1e9)
        self.assertEqual(daemon.stop(), 0)


class SequenceLockTest(ScriptedCase):
    def test_an_odd_sequence_count_from_the_start_yields_nothing(self):
        made = self.clock()
        made.fields.seq_count |= 1
        daemon = self.daemon()
        daemon.says(made.path)
        time.sleep(0.5)
        self.assertEqual((self.chronyd.samples, self.resets()), ([], []))
        if daemon.running():
            made.fields.seq_count += 1
            self.feeding()
        else:
            self.assertEqual(daemon.ends(), DEVICE)

    def test_a_sequence_count_that_stays_odd_stops_the_samples_and_is_logged(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        since = time.time()
        made.fields.seq_count |= 1
        daemon.says("", since=since)
        time.sleep(0.3)
        late = [s for s in self.chronyd.samples_since(since) if s.time > since + 0.03]
        self.assertEqual(late, [])
        time.sleep(0.7)
        self.assertLess(len(daemon.log(since)), 10)
        self.assertTrue(daemon.running())
        made.fields.seq_count += 1
        self.feeding(since=time.time())
        self.assertEqual(self.resets(), [])

    def test_a_marker_changed_by_a_writer_that_never_ends_is_acted_on_at_the_end(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        made.fields.seq_count |= 1
        made.fields.disruption_marker += 1
        time.sleep(0.3)
        for name, value in made.clock_fields(offset=1e-3).items():
            setattr(made.fields, name, value)
        made.fields.seq_count += 1
        self.recovered(daemon)
        sample = self.feeding(since=time.time())[-1]
        self.assertAlmostEqual(sample.offset, made.offset_when(sample.time), delta=1e-6)

    def test_a_sequence_count_that_changes_at_every_look_is_survived(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        thread = made.scribble(1.5)
        began = time.time()
        thread.join()
        self.assertTrue(daemon.running())
        self.assertLess(len(daemon.log(began)), 20)
        for sample in self.chronyd.samples:
            self.assertAlmostEqual(sample.offset, made.offset_when(sample.time), delta=1e-6)
        self.feeding(since=time.time())
        self.assertEqual(self.resets(), [])

    def test_it_does_not_starve_while_the_sequence_count_changes_at_every_look(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        made.scribble(1.5)
        time.sleep(0.2)
        began = time.monotonic()
        self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.monotonic() - began, 1.5)

    def test_samples_of_a_page_being_rewritten_are_never_torn(self):
        made = self.clock(offset=0.5)
        self.daemon(step="never", sample_interval="10ms", watch_interval="5ms")
        self.feeding()
        over = threading.Event()
        # The same line written down from two references, minutes apart: half of one and half of
        # the other would be wrong by as much.
        now = made.clock_fields(offset=0.5)
        ticks = round(500 / page.Counter.period())
        earlier = (now["time_sec"] << 64) + now["time_frac_sec"]
        earlier -= ticks * now["counter_period_frac_sec"] >> now["counter_period_shift"]
        past = {
            "counter_value": now["counter_value"] - ticks,
            "time_sec": earlier >> 64,
            "time_frac_sec": earlier % 2**64,
        }

        def rewrite():
            while not over.is_set():
                made.write(**now)
                made.write(**past)

        thread = threading.Thread(target=rewrite)
        thread.start()
        try:
            since = time.time()
            self.feeding(since=since, samples=30, timeout=20)
        finally:
            over.set()
            thread.join()
        for sample in self.chronyd.samples_since(since + 0.1):
            self.assertAlmostEqual(abs(sample.offset), 0.5, delta=1e-4)


class UnusableClockTest(ScriptedCase):
    """Pages with a clock that must never yield a sample: the daemon runs and says why."""

    limit = 60
    weight = 5

    def assert_no_sample_ever(self, cases):
        """One daemon for each case, side by side, each with a chronyd of its own."""
        running = []
        for number, fields in enumerate(cases):
            made = page.clock_page(self.path(f"page{number}"))
            made.write(**fields)
            chronyd = self.witness(
                script.ScriptedChronyd(
                    self.path(f"sock{number}"), self.path(f"chronyd{number}.sock")
                )
            )
            chronyd.start().refid = script.VMCL
            daemon = self.prepared(
                device=made.path, state_file=self.path(f"state{number}"), sample_interval="20ms"
            )
            daemon.configure(sock=chronyd.sock_path, command_socket=chronyd.command_path)
            running.append((fields, daemon.start(), chronyd))
        for _, daemon, _ in running:
            eventually(daemon.status)
        time.sleep(0.6)
        for fields, daemon, chronyd in running:
            with self.subTest(fields):
                self.assertEqual(chronyd.samples, [], "\n".join(daemon.log()))
                self.assertEqual(chronyd.sent(script.RESET_SOURCES), [])
                self.assertTrue(daemon.running())
                self.assertEqual(daemon.stop(), 0)

    def test_time_types_other_than_utc_and_tai_yield_no_sample(self):
        self.assert_no_sample_ever([{"time_type": t} for t in (2, 3, 4, 5, 127, 128, 254, 255)])

    def test_the_counter_of_another_architecture_yields_no_sample(self):
        other = 1 - page.Counter.id()
        self.assert_no_sample_ever([{"counter_id": c} for c in (other, 2, 0x80, 0xFE, 0xFF)])

    def test_an_absurd_period_yields_no_sample(self):
        cases = [
            {"counter_period_frac_sec": 0},
            {"counter_period_frac_sec": 1},
            {"counter_period_frac_sec": 2**64 - 1, "counter_period_shift": 0},
            {"counter_period_shift": 255},
            {"counter_period_shift": 128},
            {"counter_period_shift": 64},
            {"counter_period_shift": 0},
        ]
        self.assert_no_sample_ever(cases)

    def test_an_absurd_reference_time_yields_no_sample(self):
        cases = [
            {"time_sec": 0},
            {"time_sec": 2**63 - 1},
            {"time_sec": 2**63},
            {"time_sec": 2**64 - 1},
            {"counter_value": page.Counter.pair()[0] + 2**62},
        ]
        self.assert_no_sample_ever(cases)

    def test_an_implausible_tai_offset_yields_no_sample(self):
        cases = [{"tai_offset_sec": t} for t in (0, -37, 9, 1000, 32767, -32768)]
        self.assert_no_sample_ever(cases)

    def test_a_tai_page_without_its_offset_flag_yields_no_sample(self):
        bounds = page.PERIOD_MAXERROR_VALID | page.TIME_MAXERROR_VALID
        self.assert_no_sample_ever([{"flags": 0}, {"flags": bounds}])

    def test_a_clock_status_that_is_not_reliable_from_the_start_yields_no_sample(self):
        self.assert_no_sample_ever([{"clock_status": s} for s in (0, 1, 4, 5, 200, 255)])

    def test_a_page_that_ends_before_its_clock_yields_no_sample(self):
        self.assert_no_sample_ever([{"size": s} for s in (0x18, 0x20, 0x28, 0x48, 0x57)])

    def test_no_reason_for_silence_is_kept_secret(self):
        for fields, words in (
            ({"time_type": page.TAI, "flags": 0}, ("tai",)),
            ({"tai_offset_sec": 1000}, ("tai", "offset")),
            ({"time_type": 3}, ("smeared", "time type", "time_type")),
            ({"time_type": 2}, ("monotonic", "time type", "time_type")),
            ({"counter_id": 1 - page.Counter.id()}, ("counter",)),
            ({"counter_period_frac_sec": 0}, ("period",)),
            ({"clock_status": 4}, ("unreliable", "status")),
        ):
            with self.subTest(fields):
                made = self.clock()
                made.write(**fields)
                daemon = self.daemon()
                eventually(
                    lambda: any(daemon.said(word) for word in words), f"one of {words} is said"
                )
                daemon.stop()
                os.unlink(daemon.settings["state_file"])

    def test_a_marker_change_on_an_unusable_clock_is_still_a_disruption(self):
        made = self.clock(clock_status=page.UNRELIABLE)
        daemon = self.daemon()
        daemon.says("")
        eventually(daemon.status)
        made.disrupt()
        self.recovered(daemon)
        self.assertEqual(len(self.resets()), 1)
        self.assertEqual(self.chronyd.samples, [])

    def test_unknown_flags_and_trailing_bytes_are_ignored(self):
        made = self.clock()
        made.write(flags=made.fields.flags | 0xFFFFFFFFFFFFFC00 & ~page.TIME_MONOTONIC)
        struct.pack_into("<Q", made.map, 0x70, 2**64 - 1)
        self.daemon()
        self.feeding()


class BadSocketTest(ScriptedCase):
    """chronyd's paths are not what they should be."""

    present = False

    def reported(self, daemon, path, since=0.0):
        return eventually(lambda: daemon.said(path, since=since), f"{path} is named")

    def test_a_missing_sock_path_is_logged_and_waited_for(self):
        self.clock()
        daemon = self.daemon()
        self.reported(daemon, self.chronyd.sock_path)
        self.assertTrue(daemon.running())
        self.chronyd.start()
        self.feeding()

    def test_a_regular_file_at_the_sock_path_is_logged_and_waited_out(self):
        with open(self.chronyd.sock_path, "wb") as file:
            file.write(b"not a socket")
        self.clock()
        daemon = self.daemon()
        self.reported(daemon, self.chronyd.sock_path)
        self.assertTrue(daemon.running())
        with open(self.chronyd.sock_path, "rb") as file:
            self.assertEqual(file.read(), b"not a socket")
        self.chronyd.start()
        self.feeding()

    def test_a_stream_socket_at_the_sock_path_is_logged(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(self.chronyd.sock_path)
            listener.listen()
            self.clock()
            daemon = self.daemon()
            self.reported(daemon, self.chronyd.sock_path)
            self.assertTrue(daemon.running())

    def test_a_missing_command_directory_is_logged_and_waited_for(self):
        made = self.marker()
        directory = os.path.dirname(self.chronyd.command_path)
        os.rmdir(directory)
        daemon = self.daemon()
        daemon.reaches(mode="marker-only")
        made.disrupt()
        daemon.reaches(disruptions=1)
        self.reported(daemon, directory)
        os.mkdir(directory, 0o700)
        self.chronyd.start()
        self.recovered(daemon)

    def test_a_regular_file_at_the_command_socket_is_logged_and_waited_out(self):
        with open(self.chronyd.command_path, "wb"):
            pass
        made = self.marker()
        daemon = self.daemon()
        daemon.reaches(mode="marker-only")
        made.disrupt()
        self.reported(daemon, self.chronyd.command_path)
        self.chronyd.start()
        self.recovered(daemon)

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_a_command_directory_it_may_not_use_is_logged(self):
        made = self.marker()
        directory = os.path.dirname(self.chronyd.command_path)
        self.chronyd.start()
        os.chmod(directory, 0o500)
        try:
            daemon = self.daemon()
            daemon.reaches(mode="marker-only")
            made.disrupt()
            self.reported(daemon, directory)
            self.assertTrue(daemon.running())
        finally:
            os.chmod(directory, 0o700)
        self.recovered(daemon)

    def test_its_own_socket_is_removed_at_the_end(self):
        made = self.marker()
        self.chronyd.start()
        daemon = self.daemon()
        daemon.reaches(mode="marker-only")
        made.disrupt()
        self.recovered(daemon)
        self.assertEqual(daemon.stop(), 0)
        left = set(os.listdir(os.path.dirname(self.chronyd.command_path)))
        self.assertEqual(left, {"vmclock.sock", "chronyd.sock"})

    def test_a_socket_of_its_own_left_by_a_crash_is_no_obstacle(self):
        made = self.marker()
        self.chronyd.start()
        daemon = self.daemon()
        daemon.reaches(mode="marker-only")
        for times in range(3):
            made.disrupt()
            eventually(lambda: len(self.resets()) == times + 1)
            eventually(lambda: self.resets()[-1].answered)
            daemon.reaches(state="watching")
            daemon.process.kill()
            daemon.ends()
            daemon.start()
            daemon.reaches(pid=daemon.pid())
        left = os.listdir(os.path.dirname(self.chronyd.command_path))
        self.assertLess(len(left), 5, f"{left}")
