# SPDX-License-Identifier: BSD-2-Clause
"""What applications are told: libvmclock, "vmclockctl now", ClockBound's segment."""

import ctypes
import json
import os
import shutil
import signal
import struct
import subprocess
import threading
import time

import harness
import libvmclock
import page
import scripted_chronyd as script
from daemon import NO_DAEMON, OK
from harness import eventually
from libvmclock import DISRUPTED, FREE_RUNNING, SYNCHRONISED, UNKNOWN, Clock, Segment
from scripted_case import ScriptedCase

SLOTS_AT, SLOT, DEVICE_AT = 32, 80, 192  # in the clock-file


class LibVmclockTest(ScriptedCase):
    def synchronised(self, **settings):
        made = self.clock()
        daemon = self.daemon(**settings)
        self.feeding()
        clock = Clock(self.path("clock"))
        self.addCleanup(clock.close)
        eventually(lambda: clock.status() == SYNCHRONISED)
        return made, daemon, clock

    def without_device(self, name="copy"):
        """A copy of the clock-file, whose reader sees no marker for itself."""
        path = self.path(name)
        shutil.copy(self.path("clock"), path)
        with open(path, "r+b") as file:
            file.seek(DEVICE_AT)
            file.write(bytes(256))
        return path

    def test_the_true_time_is_in_the_interval(self):
        made, daemon, clock = self.synchronised()
        for _ in range(200):
            before = time.time()
            now = clock.now()
            true_ns = (before + made.offset_when(before)) * 1e9
            self.assertEqual(now.status, SYNCHRONISED)
            self.assertLess(now.width_ns(), 20_000)
            self.assertLess(now.earliest.ns() - 1e6, true_ns)
            self.assertGreater(now.latest.ns() + 1e6, true_ns)
        said = json.loads(daemon.ctl("now", "--json").stdout)
        self.assertEqual(said["status"], "synchronised")
        self.assertLess(said["width_ns"], 20_000)
        self.assertEqual(said["disruption_marker"], "0x1")
        self.assertRegex(said["earliest"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$")
        self.assertEqual(daemon.ctl("now").returncode, OK)

    def test_a_disruption_is_seen_at_the_next_call(self):
        made, _, clock = self.synchronised()
        for times in range(1, 6):
            made.migrate(offset=1e-3 * times)
            self.assertEqual(clock.status(), DISRUPTED)
            self.assertEqual(clock.now().disruption_marker, made.fields.disruption_marker)
            eventually(lambda: clock.status() == SYNCHRONISED)

    def test_a_device_that_is_being_written_or_is_none_any_more_is_unknown(self):
        made, _, clock = self.synchronised(watch_interval="1s")
        marker, why = made.fields.disruption_marker, "the page cannot be seen, nor a disruption"
        for name, broken in (("seq_count", made.fields.seq_count | 1), ("magic", 0)):
            good = getattr(made.fields, name)
            setattr(made.fields, name, broken)
            self.assertEqual((clock.status(), clock.why()), (UNKNOWN, why), name)
            setattr(made.fields, name, good)
            self.assertEqual(clock.status(), SYNCHRONISED, name)
        self.assertEqual(clock.now().disruption_marker, marker)

    def test_another_device_in_its_place_is_followed(self):
        _, daemon, clock = self.synchronised(watch_interval="1s")
        os.unlink(self.path("page"))
        eventually(lambda: clock.status() == UNKNOWN)
        made = self.clock(disruption_marker=5)
        eventually(lambda: clock.status() == SYNCHRONISED)
        made.migrate(offset=1e-3)
        self.assertEqual(clock.status(), DISRUPTED)
        del daemon

    def test_without_the_device_it_is_seen_when_vmclockd_has_seen_it(self):
        made, _, _ = self.synchronised(watch_interval="10ms")
        self.chronyd.script(script.RESET_SOURCES, script.late(0.3))
        os.link(self.path("clock"), self.path("same"))
        made.migrate(offset=1e-3)
        clock = Clock(self.path("same"))
        began = time.monotonic()
        eventually(lambda: clock.status() == DISRUPTED, every=0.001)
        self.assertLess(time.monotonic() - began, 0.2)
        clock.close()

    def test_what_a_stopped_vmclockd_leaves_says_nothing(self):
        _, daemon, clock = self.synchronised()
        daemon.stop()
        self.assertEqual((clock.status(), clock.why()), (UNKNOWN, "vmclockd has stopped"))
        self.assertEqual(daemon.ctl("now").returncode, NO_DAEMON)
        daemon.start()
        eventually(lambda: clock.status() == SYNCHRONISED)

    def test_five_seconds_after_vmclockd_was_killed_nobody_watches_the_marker(self):
        made, daemon, clock = self.synchronised()
        blind = Clock(self.without_device())
        daemon.stop(signal.SIGKILL)
        self.assertEqual(blind.status(), SYNCHRONISED)
        time.sleep(5.5)
        self.assertEqual(blind.status(), UNKNOWN)
        self.assertEqual(clock.status(), FREE_RUNNING)
        made.disrupt()
        self.assertEqual(clock.status(), DISRUPTED)
        blind.close()

    def test_a_process_that_was_stopped_meanwhile_is_told_so(self):
        _, daemon, clock = self.synchronised()
        blind = Clock(self.without_device())
        daemon.send(signal.SIGSTOP)
        time.sleep(5.5)
        self.assertEqual(blind.status(), UNKNOWN)
        daemon.send(signal.SIGCONT)
        eventually(lambda: clock.status() == SYNCHRONISED)
        blind.close()

    def test_bad_files(self):
        self.synchronised()
        with open(self.path("clock"), "rb") as file:
            good = file.read()
        for name, data, error in (
            ("missing", None, 2),
            ("empty", b"", 2),
            ("unmade", bytes(len(good)), 2),
            ("short", good[:100], 74),
            ("foreign", b"\x7fELF" + good[4:], 74),
            ("version", good[:4] + struct.pack("=I", 77) + good[8:], 93),
        ):
            path = self.path(name)
            if data is not None:
                with open(path, "wb") as file:
                    file.write(data)
            with self.assertRaises(OSError) as caught:
                Clock(path)
            self.assertEqual(caught.exception.errno, error, name)
        with self.assertRaises(OSError):
            Clock(self.dir)
        for name, data in (
            ("boot", good[:16] + bytes(16) + good[32:]),
            ("unwritten", good[:4] + bytes(4) + good[8:]),
        ):
            with open(self.path(name), "wb") as file:
                file.write(data)
            clock = Clock(self.path(name))
            self.assertEqual(clock.status(), UNKNOWN, name)
            clock.close()

    def test_a_file_that_is_replaced_is_found_again(self):
        _, daemon, _ = self.synchronised()
        blind = self.without_device()
        clock = Clock(blind)
        with open(blind, "r+b") as file:
            file.seek(4)
            file.write(bytes(4))
        self.assertEqual(clock.status(), UNKNOWN)
        os.unlink(blind)
        os.link(self.path("clock"), blind)
        eventually(lambda: clock.status() == SYNCHRONISED)
        clock.close()
        del daemon

    def test_a_vmclockd_that_watches_another_device_is_followed(self):
        _, daemon, clock = self.synchronised()
        daemon.stop()
        page.clock_page(self.path("another"), disruption_marker=77)
        daemon.configure(device=self.path("another"))
        daemon.start()
        eventually(lambda: clock.now().disruption_marker == 77 and clock.status() == SYNCHRONISED)

    def test_one_handle_serves_threads_and_the_child_after_a_fork(self):
        _, _, clock = self.synchronised()
        found = []

        def ask():
            found.extend({clock.status() for _ in range(2000)})

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(set(found), {SYNCHRONISED})
        child = os.fork()
        if child == 0:
            os._exit(clock.status())
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), SYNCHRONISED)

    def test_a_clock_that_is_stepped_is_not_believed(self):
        """By the numbers of the file, for the clock of this machine is not to be stepped."""
        self.synchronised()
        path = self.without_device()
        with open(path, "r+b") as file:
            slots = bytearray(file.read())
            for at in (SLOTS_AT, SLOTS_AT + SLOT):
                for offset in (16, 24, 40):  # as_of, written, realtime_less
                    (ns,) = struct.unpack_from("=q", slots, at + offset)
                    struct.pack_into("=q", slots, at + offset, ns - 3_600_000_000_000)
            file.seek(0)
            file.write(slots)
        clock = Clock(path)
        self.assertEqual((clock.status(), clock.why()), (UNKNOWN, "the clock was stepped"))
        clock.close()

    def test_a_bound_of_an_hour_ago_has_grown_for_an_hour(self):
        self.synchronised()
        path = self.without_device()
        with open(path, "r+b") as file:
            slots = bytearray(file.read())
            for at in (SLOTS_AT, SLOTS_AT + SLOT):
                (ns,) = struct.unpack_from("=q", slots, at + 16)
                struct.pack_into("=q", slots, at + 16, ns - 3_600_000_000_000)
            file.seek(0)
            file.write(slots)
        clock = Clock(path)
        self.assertAlmostEqual(clock.now().width_ns(), 2 * 3600 * 50_000, delta=2_000_000)
        clock.close()

    def test_no_clock_file(self):
        self.clock()
        daemon = self.daemon(clock_file="none")
        self.feeding()
        self.assertFalse(os.path.exists(self.path("clock")))
        done = daemon.ctl("now")
        self.assertEqual(done.returncode, 1)
        self.assertIn("clock-file", done.stderr)
        self.assertFalse(self.daemon("-n").ctl("now").returncode == OK)

    def test_a_marker_alone_by_chronyds_word(self):
        self.marker()
        self.daemon()
        clock = Clock(eventually(lambda: os.path.exists(self.path("clock")) and self.path("clock")))
        eventually(lambda: clock.status() in (SYNCHRONISED, FREE_RUNNING))
        clock.close()

    def test_the_segment_of_clockbounds_clients(self):
        made, daemon, clock = self.synchronised(clockbound=self.path("clockbound/shm0"))
        segment = Segment(self.path("clockbound/shm0"))
        status, earliest, latest = segment.now()
        self.assertEqual(status, SYNCHRONISED)
        self.assertLess(latest - earliest, 50_000)
        self.assertEqual((segment.magic, segment.magic2), (0x414D5A4E, 0x43420200))
        self.assertEqual((segment.size, segment.version, segment.marker_too), (80, 2, 0))
        self.assertEqual(segment.void_after_ns - segment.as_of_ns, 5 * 10**9)
        self.chronyd.script(script.RESET_SOURCES, script.late(0.3))
        made.migrate(offset=1e-3)
        eventually(lambda: segment.now()[0] == DISRUPTED)
        eventually(lambda: segment.now()[0] == SYNCHRONISED)
        self.assertEqual(segment.marker, made.fields.disruption_marker)
        self.assertEqual(os.stat(segment.path).st_mode & 0o777, 0o644)
        self.assertEqual(os.stat(self.path("clockbound")).st_mode & 0o777, 0o755)
        daemon.configure(clockbound_marker="yes")
        daemon.send(signal.SIGHUP)
        eventually(lambda: segment.read().marker_too == 1)
        self.assertEqual(segment.void_after_ns - segment.as_of_ns, 1000 * 10**9)
        daemon.stop()
        self.assertEqual(segment.read().status, UNKNOWN)
        del clock

    def test_it_is_rewritten_once_a_second_beside_a_chronyd_that_is_silent(self):
        self.marker()
        self.daemon(clockbound=self.path("shm0"))
        segment = eventually(lambda: os.path.exists(self.path("shm0")) and Segment(self.path("shm0")))
        eventually(lambda: segment.read().status == SYNCHRONISED)
        self.chronyd.script(script.TRACKING, *[script.late(60)] * 20)
        seen, generation, longest, since = 0, segment.read().generation, 0, time.monotonic()
        end = since + 8
        while time.monotonic() < end:
            if segment.read().generation != generation:
                generation, now = segment.generation, time.monotonic()
                longest, since, seen = max(longest, now - since), now, seen + 1
            time.sleep(0.02)
        self.assertGreater(seen, 6)
        self.assertLess(longest, 2.5)

    def test_clockbounds_own_daemon_is_left_alone(self):
        _, daemon, _ = self.synchronised(clockbound=self.path("shm0"))
        with open(self.path("shm0"), "r+b") as file:
            file.seek(14)
            file.write(struct.pack("=H", 4242))
        daemon.says("another program writes")
        eventually(lambda: any("shm0" in warning for warning in daemon.status()["warnings"]))
        time.sleep(0.3)
        self.assertEqual(Segment(self.path("shm0")).read().generation, 4242)
        self.assertEqual(sum("another program writes" in line for _, line in daemon.lines), 1)
        self.feeding(since=time.time())
        daemon.configure(clockbound="none")
        daemon.send(signal.SIGHUP)
        eventually(lambda: not any("shm0" in warning for warning in daemon.status()["warnings"]))
        with open(self.path("state"), encoding="utf-8") as file:
            self.assertIn("clockbound_taken = no\n", file.read())
        self.assertEqual(daemon.said("is written again"), [])

    def test_after_a_reload_without_files_applications_are_told_nothing(self):
        _, daemon, clock = self.synchronised(clockbound=self.path("shm0"))
        segment = Segment(self.path("shm0"))
        eventually(lambda: segment.read().status == SYNCHRONISED)
        daemon.configure(clock_file="none", clockbound="none")
        daemon.send(signal.SIGHUP)
        eventually(lambda: clock.status() == UNKNOWN)
        eventually(lambda: segment.read().status == UNKNOWN)
        daemon.configure(clock_file=self.path("clock"), clockbound=self.path("shm0"))
        daemon.send(signal.SIGHUP)
        eventually(lambda: segment.read().status == SYNCHRONISED)


class LibraryTest(harness.Case):
    """As somebody who links it meets it."""

    program = """
    #include "vmclock.h"
    #include <stdio.h>
    int main(void) {
        struct vmclock *clock = NULL;
        struct vmclock_interval now;
        int r = vmclock_open("/nonexistent/clock", &clock);
        vmclock_close(NULL);
        if (r == 0) r = vmclock_now(clock, &now);
        printf("%d %s\\n", r, vmclock_status_str(VMCLOCK_DISRUPTED));
        return 0;
    }
    """

    def test_the_header_is_c_and_cplusplus_without_a_warning(self):
        source = self.path("a.c")
        with open(source, "w", encoding="ascii") as file:
            file.write(self.program)
        library = harness.program("lib")
        for words in (["cc", "-std=c11"], ["c++", "-x", "c++", "-std=c++17"]):
            if not shutil.which(words[0]):
                self.skipTest(f"no {words[0]}")
            for link in ([f"-L{library}", "-lvmclock"], [f"{library}/libvmclock.a"]):
                subprocess.run(
                    [*words, "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{harness.PROJECT}/lib",
                     "-o", self.path("a"), source, "-x", "none", *link], check=True)  # fmt: skip
                done = subprocess.run([self.path("a")], env={"LD_LIBRARY_PATH": library},
                                      capture_output=True, text=True, check=True)  # fmt: skip
                self.assertEqual(done.stdout, "-2 disrupted\n")

    def test_the_abi(self):
        """Names and layout: who changes them has another library."""
        said = subprocess.run(["nm", "-D", "--defined-only", harness.program("lib/libvmclock.so.0")],
                              capture_output=True, text=True, check=True).stdout  # fmt: skip
        names = sorted(line.split()[2] for line in said.splitlines() if " T " in line)
        self.assertEqual(names, [f"vmclock_{name}@@VMCLOCK_0" for name in
                                 ("close", "now", "open", "status_str", "why")])  # fmt: skip
        self.assertEqual(ctypes.sizeof(libvmclock.Interval), 56)
        self.assertEqual(libvmclock.Interval.disruption_marker.offset, 40)
        self.assertEqual(page.MAGIC, 0x4B4C4356)
