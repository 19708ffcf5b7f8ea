# SPDX-License-Identifier: BSD-2-Clause
"""`vmclockctl watch` and `wait`: what happens, as it happens."""

import json
import os
import re
import subprocess
import threading
import time

import harness
import page
import scripted_chronyd as script
from daemon import DEGRADED, NO_DAEMON, OK
from harness import eventually
from scripted_case import ScriptedCase


class Watch:
    """A vmclockctl that goes on, and the lines it has printed."""

    def __init__(self, daemon, *words):
        self.lines = []
        self.process = subprocess.Popen(
            [harness.program("vmclockctl"), "-c", daemon.configuration, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line.rstrip("\n")))

    def has(self, words):
        return [line for _, line in list(self.lines) if words in line]

    def prints(self, words):
        return eventually(lambda: self.has(words), lambda: f"{words} in {self.lines}")

    def ends(self, timeout=15):
        status = self.process.wait(timeout)
        self._reader.join(5)
        return status

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        self._reader.join(5)
        self.process.stdout.close()
        self.process.stderr.close()

    def evidence(self):
        return "-- watch printed\n" + "\n".join(line for _, line in self.lines)

    def processor_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class WatchTest(ScriptedCase):
    def watch(self, daemon, *options):
        made = self.witness(Watch(daemon, "watch", *options))
        eventually(lambda: made.lines)
        return made

    def test_it_outlives_a_restart(self):
        self.marker()
        daemon = self.daemon()
        daemon.reaches(state="watching")
        watch = self.watch(daemon)
        daemon.stop()
        watch.prints(" ended: vmclockd was stopped")
        daemon.start()
        watch.prints(" now: watching, marker-only, ")

    def test_each_event_is_a_line(self):
        made = self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        watch = self.watch(daemon)
        self.assertIn(" now: feeding, clock, marker 0x1; chronyd ", watch.lines[0][1])
        made.migrate(offset=5e-3, vm_generation_counter=0x99)
        self.recovered(daemon)
        watch.prints(" disruption: marker 0x1 -> 0x2, restored from a snapshot")
        watch.prints(" generation: 0x1234 -> 0x99")
        watch.prints(" recovery: begins, its cause is marker")
        watch.prints(" reset: chronyd confirmed it after ")
        watch.prints(" corrected: +")
        watch.prints(" recovered: synchronised after ")
        watch.prints(" state: recovering -> feeding")
        made.write(
            clock_status=page.FREERUNNING, flags=made.fields.flags | page.DISRUPTION_IMMINENT
        )
        watch.prints(" clock_status: synchronised -> free-running")
        watch.prints(" maintenance: none -> imminent")
        self.chronyd.stop_listening(unlink=True)
        watch.prints(" chronyd: does not answer")
        watch.prints(" samples: No such file or directory")
        daemon.ctl("recover")
        watch.prints(" recovery: begins, its cause is request")
        self.chronyd.start()
        watch.prints(" samples: can be sent again")
        daemon.stop()
        self.assertEqual(watch.ends(), NO_DAEMON)
        self.assertIn(" ended: vmclockd was stopped", watch.lines[-1][1])
        for _, line in watch.lines:
            self.assertRegex(line, r"^\d\d:\d\d:\d\d\.\d{3} [a-z_]+: ")
            self.assertLessEqual(len(line), 100)

    def test_every_disruption_is_seen_and_counted_once(self):
        made = self.marker()
        daemon = self.daemon()
        daemon.reaches(state="watching")
        watch = self.watch(daemon)
        for i in range(20):
            made.disrupt()
            eventually(lambda i=i: daemon.status()["disruptions"] == i + 1)
        watch.prints("-> 0x15, ")
        found = [re.search(r"marker (\S+) -> (\S+),", line) for line in watch.has(" disruption: m")]
        markers = [(int(m[1], 16), int(m[2], 16)) for m in found]
        self.assertEqual(markers[0][0], 1)
        for before, after in zip(markers, markers[1:]):
            self.assertEqual(before[1], after[0], "no marker is left out")

    def test_a_marker_that_flaps_is_folded(self):
        made = self.marker()
        daemon = self.daemon()
        daemon.reaches(state="watching")
        watch = self.watch(daemon)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            made.disrupt()
            time.sleep(0.02)
        last = f"-> {made.fields.disruption_marker:#x},"
        watch.prints("the marker changes again and again")
        watch.prints(last)
        watch.prints(" of them at once")
        self.assertLess(len(watch.lines), 60)
        made.disrupt()
        watch.prints(f"-> {made.fields.disruption_marker:#x},")

    def test_an_event_is_seen_within_milliseconds_and_nothing_is_polled(self):
        made = self.marker()
        daemon = self.daemon()
        daemon.reaches(state="watching")
        watch = self.watch(daemon)
        time.sleep(2)
        self.assertLess(watch.processor_seconds(), 0.2)
        delays = []
        for i in range(5):
            began = time.monotonic()
            marker = made.disrupt()
            watch.prints(f"-> {marker:#x},")
            when = [when for when, line in watch.lines if f"-> {marker:#x}," in line][0]
            delays.append(when - began)
            eventually(lambda i=i: daemon.status()["recoveries"] == i + 1)
        self.assertLess(min(delays), 0.045, "quicker than the tick of 10 ms and a poll of 50 ms")

    def test_json_has_the_status_and_the_event(self):
        made = self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        watch = self.watch(daemon, "--json")
        made.migrate(offset=1e-3)
        watch.prints('"event":"recovered"')
        objects = [json.loads(line) for _, line in watch.lines]
        self.assertEqual(objects[0]["event"], "now")
        names = [one["event"] for one in objects]
        self.assertLess(names.index("disruption"), names.index("recovered"))
        status = daemon.status()
        for one in objects:
            self.assertLessEqual(set(status), set(one))
            self.assertIsInstance(one["message"], str)
        self.assertEqual(objects[names.index("disruption")]["disruptions"], 1)

    def test_a_daemon_that_is_killed_ends_it(self):
        self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        watch = self.watch(daemon)
        daemon.process.kill()
        daemon.ends()
        self.assertEqual(watch.ends(), NO_DAEMON)
        self.assertIn(" ended: vmclockd has died", watch.lines[-1][1])

    def test_a_closed_output_ends_it(self):
        made = self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        watch = subprocess.Popen(
            [harness.program("vmclockctl"), "-c", daemon.configuration, "watch"],
            stdout=subprocess.PIPE,
        )
        watch.stdout.readline()
        watch.stdout.close()
        made.migrate(offset=1e-3)
        self.assertEqual(watch.wait(15), DEGRADED)


class WaitTest(ScriptedCase):
    def wait(self, daemon, *seconds):
        return self.witness(Watch(daemon, "wait", *seconds))

    def test_with_seconds_it_waits_for_a_daemon_that_is_not_there_yet(self):
        self.clock()
        daemon = self.prepared(state_file=self.path("later/state"))
        wait = self.wait(daemon, "30")
        time.sleep(0.5)
        self.assertIsNone(wait.process.poll())
        daemon.start()
        self.assertEqual(wait.ends(), OK)

    def test_without_seconds_it_does_not_wait_for_a_daemon(self):
        self.clock()
        self.assertEqual(self.wait(self.prepared()).ends(3), NO_DAEMON)

    def test_its_time_without_a_daemon_is_over_at_the_time_given(self):
        self.clock()
        began = time.monotonic()
        self.assertEqual(self.wait(self.prepared(), "0.5").ends(), NO_DAEMON)
        self.assertTrue(0.4 < time.monotonic() - began < 3)

    def test_it_waits_for_the_end_of_a_recovery(self):
        made = self.clock()
        daemon = self.daemon()
        eventually(lambda: daemon.ctl("status").returncode == OK)
        self.chronyd.always(script.RESET_SOURCES, script.refuse(1))
        made.migrate(offset=1e-3)
        daemon.reaches(state="recovering")
        wait = self.wait(daemon)
        time.sleep(0.5)
        self.assertIsNone(wait.process.poll())
        self.chronyd.always(script.RESET_SOURCES, script.ok)
        self.assertEqual(wait.ends(), OK)
        self.assertEqual(daemon.ctl("status").returncode, OK)

    def test_in_sync_it_does_not_wait(self):
        self.clock()
        daemon = self.daemon()
        eventually(lambda: daemon.ctl("status").returncode == OK)
        for seconds in ("0", "1", "1000000000", "0.001"):
            began = time.monotonic()
            self.assertEqual(daemon.ctl("wait", seconds).returncode, OK)
            self.assertLess(time.monotonic() - began, 2)
