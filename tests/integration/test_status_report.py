# SPDX-License-Identifier: BSD-2-Clause
"""`vmclockctl status` for people: one screen of 80 columns in every state."""

import json
import os
import pty
import subprocess
import time

import harness
import page
from daemon import DEGRADED, NO_DAEMON, OK
from harness import eventually
from scripted_case import ScriptedCase
import scripted_chronyd as script


class StatusReportTest(ScriptedCase):
    def warnings(self, screen):
        """They come first, one paragraph each; an empty line ends them."""
        lines = screen.partition("\n\n")[0].splitlines()[1:]
        text = "\n".join(lines).replace("\n  ", " ")
        return [line.removeprefix("! ") for line in text.splitlines()]

    def screen(self, daemon, expected=None, *words):
        """The status as lines, once its exit status and these words are there."""

        def there():
            done, status = daemon.ctl("status"), daemon.status()
            if expected is not None and done.returncode != expected:
                return None
            if not status or self.warnings(done.stdout) != status["warnings"]:
                return None  # one of the two is newer
            return done if all(word in done.stdout for word in words) else None

        done = eventually(there, lambda: f"{words} in {daemon.ctl('status')}, {daemon.status()}")
        self.assertEqual(done.stderr, "")
        lines = done.stdout.splitlines()
        self.assertLessEqual(len(lines), 24, done.stdout)
        for line in lines:
            self.assertLessEqual(len(line), 80, done.stdout)
            self.assertEqual(line, line.rstrip())
            self.assertNotIn("\033", line)
        self.assertEqual(lines[0].split(";")[0], "good" if done.returncode == OK else "degraded")
        self.assertTrue(self.warnings(done.stdout) or done.returncode == OK, done.stdout)
        return lines

    def test_feeding(self):
        self.clock()
        daemon = self.daemon()
        lines = self.screen(daemon, OK, "feeding")
        text = "\n".join(lines)
        self.assertRegex(text, r"(?m)^Offset +[\d.]+ (ns|us) (slow|fast) of the host's time, which is known to [\d.]+ (ns|us)$")
        self.assertRegex(text, r"(?m)^chronyd +synchronised, its reference is VMCL$")
        self.assertRegex(text, r"(?m)^Last disruption +none since vmclockd started$")
        self.assertRegex(text, r"(?m)^Host's clock +synchronised$")

    def test_watching(self):
        self.marker()
        daemon = self.daemon()
        text = "\n".join(self.screen(daemon, OK, "watching"))
        self.assertRegex(text, r"(?m)^Mode +marker-only: the host gives the disruption marker only")
        self.assertNotIn("Offset", text)

    def test_starting(self):
        made = self.clock()
        made.fields.seq_count |= 1
        daemon = self.daemon()
        self.screen(daemon, DEGRADED, "State             starting", "! no valid page was seen yet")

    def test_recovering_and_recovered(self):
        made = self.clock()
        daemon = self.daemon()
        self.screen(daemon, OK)
        self.chronyd.freeze()
        before = time.time()
        made.migrate(offset=5e-3, ppm=60)
        text = "\n".join(self.screen(daemon, DEGRADED, "! a recovery is under way: telling chronyd to forget its"))
        self.assertRegex(text, r"(?m)^  chronyd reset +not yet$")
        self.chronyd.thaw()
        text = "\n".join(self.screen(daemon, OK, "from that disruption: synchronised"))
        self.assertRegex(text, r"(?m)^  chronyd reset +after [\d.]+ (us|ms|s)$")
        self.assertRegex(
            text,
            r"(?m)^  corrected +after [\d.]+ (ms|s): \+[45]\.\d\d ms and [+-][\d.]+ ppm, .* left$",
        )
        self.assertRegex(text, r"(?m)^  synchronised +after [\d.]+ (ms|s)$")
        self.assertRegex(
            text, r"(?m)^Last disruption +[-\d]{10} [:\d]{8} \S+, \d+ s ago$"
        )
        self.assertIn("live migration, marker 0x1 -> 0x2", text)
        last = daemon.status()["last_disruption"]
        self.assertEqual((last["marker_before"], last["marker"]), ("0x1", "0x2"))
        self.assertAlmostEqual(last["at"], before, delta=2)

    def test_a_reset_whose_reply_never_came_is_told_in_words(self):
        made = self.marker()
        daemon = self.daemon()
        self.screen(daemon, OK)
        self.chronyd.always(script.RESET_SOURCES, script.silent)
        made.disrupt()
        eventually(lambda: (daemon.status()["last_recovery"] or {}).get("outcome") == "unconfirmed")
        text = " ".join(daemon.ctl("status").stdout.split())
        self.assertIn("chronyd was told to reset, and did not confirm it", text)

    def test_a_restore_is_told_from_a_migration(self):
        made = self.clock()
        daemon = self.daemon()
        self.screen(daemon, OK)
        made.migrate(vm_generation_counter=0x1235)
        self.screen(daemon, OK, "restored from a snapshot")
        made.migrate()
        self.screen(daemon, OK, "live migration")
        made.migrate(flags=made.fields.flags & ~page.VM_GENERATION_PRESENT)
        self.screen(daemon, OK, "migration or restore")

    def test_the_words_are_chronycs(self):
        made = self.marker()
        self.chronyd.address = "192.0.2.1"
        daemon = self.daemon()
        text = "\n".join(self.screen(daemon, OK, "its reference is 192.0.2.1"))
        self.assertIn("Marker            0x1\n", text)
        status = daemon.status()
        self.assertEqual(status["reference"], "192.0.2.1")
        self.assertEqual(status["chronyd"]["refid"], "C0000201")
        self.chronyd.script(script.TRACKING, *[script.late(60)] * 20)
        made.disrupt()
        self.screen(daemon, DEGRADED, "waiting for chronyd to select a source")

    def test_the_offset_is_slow_or_fast_and_the_time_scale_is_told(self):
        made = self.clock()
        daemon = self.daemon("--dry-run")
        for offset, word in ((1e-3, "slow"), (-1e-3, "fast")):
            made.write(**made.clock_fields(offset=offset))
            text = "\n".join(self.screen(daemon, None, f"{word} of the host's time"))
            self.assertRegex(text, rf"(?m)^Offset +(1\.0\d ms|99\d us) {word} of the host's time")
        self.assertRegex(text, r"(?m)^Time scale +TAI is ahead of UTC by 37 s$")
        self.assertNotIn("leap second", text)
        self.assertRegex(text, r"(?m)^Process +\d+, vmclockd \d+\.\d+\.\d+, reported \S+ \S+ ago$")
        self.assertEqual(daemon.status()["tai_offset_s"], 37)

    def test_times_for_programs(self):
        made = self.marker()
        daemon = self.daemon()
        daemon.reaches(mode="marker-only")
        made.disrupt()
        self.recovered(daemon)
        status = json.loads(daemon.ctl("status", "--json").stdout)
        date = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$"
        for found in (status["updated_date"], status["last_disruption"]["date"], status["last_recovery"]["date"]):
            self.assertRegex(found, date)
        self.assertTrue(0 <= status["age_s"] < 5, status["age_s"])
        dates = set()
        for _ in range(25):
            dates.add(daemon.status()["last_disruption"]["at"])
            time.sleep(0.1)
        self.assertEqual(len(dates), 1, "a date does not change")

    def test_no_marker_is_told_before_one_was_seen(self):
        made = self.clock()
        made.fields.seq_count |= 1
        daemon = self.daemon()
        text = "\n".join(self.screen(daemon, DEGRADED, "State             starting"))
        self.assertRegex(text, r"(?m)^Marker +(not seen yet|not known)")
        self.assertNotIn("0x0", text)

    def test_text_is_as_wide_as_the_terminal(self):
        self.clock()
        self.chronyd.stop_listening(unlink=True)
        daemon = self.daemon()
        self.screen(daemon, DEGRADED)
        for columns in (50, 60):
            done = daemon.ctl("status", environment={"COLUMNS": str(columns)})
            words = [line for line in done.stdout.splitlines() if "/" not in line]
            longest = max(len(line) for line in words)
            self.assertTrue(columns - 12 < longest <= columns, done.stdout)

    def test_holdover(self):
        made = self.clock()
        daemon = self.daemon()
        self.screen(daemon, OK)
        made.write(clock_status=page.UNRELIABLE)
        self.screen(
            daemon,
            DEGRADED,
            "State             holdover",
            "! the host gives no time now: the host says that its clock is unreliable",
        )

    def test_without_a_chronyd(self):
        self.clock()
        self.chronyd.stop_listening(unlink=True)
        daemon = self.daemon()
        self.screen(daemon, DEGRADED, "! chronyd does not answer at", "! samples cannot be sent to")

    def test_a_chronyd_that_follows_another(self):
        self.chronyd.selects = self.chronyd.refid = int.from_bytes(b"GPS\0", "big")
        self.clock()
        daemon = self.daemon()
        self.screen(daemon, DEGRADED, "! chronyd follows GPS, not VMCL")

    def test_what_deserves_attention_does_not_degrade(self):
        made = self.clock()
        daemon = self.daemon()
        self.screen(daemon, OK)
        made.write(
            clock_status=page.FREERUNNING, flags=made.fields.flags | page.DISRUPTION_IMMINENT
        )
        self.screen(daemon, OK, "! the host announces a disruption", "! the host's clock runs free")

    def test_samples_withheld(self):
        self.clock(time_maxerror_nanosec=10**6)
        daemon = self.daemon(max_error="1us")
        self.screen(daemon, None, "! samples are withheld: their error bound is over max-error")

    def test_a_dry_run(self):
        self.clock()
        daemon = self.daemon("--dry-run")
        self.screen(daemon, DEGRADED, "! this is a dry run")
        self.assertIsNone(daemon.status()["chronyd"]["reachable"])
        self.assertNotIn("vmclockd_chronyd_reachable", daemon.ctl("metrics").stdout)

    def test_why_no_daemon_runs_is_printed(self):
        self.clock()
        daemon = self.prepared()
        self.assertIn("No such file", daemon.ctl("status").stderr)
        daemon.start()
        eventually(daemon.status)
        daemon.stop()
        done = daemon.ctl("status")
        self.assertEqual((done.returncode, done.stdout), (NO_DAEMON, ""))
        self.assertIn("was stopped", done.stderr)
        daemon.start()
        eventually(daemon.status)
        daemon.process.kill()
        daemon.ends()
        self.assertIn("has died", daemon.ctl("status").stderr)
        with open(daemon.settings["state_file"], encoding="utf-8") as file:
            state = file.read()
        with open(daemon.settings["state_file"], "w", encoding="utf-8") as file:
            file.write(state.replace("boot_id = ", "boot_id = 0"))
        self.assertIn("earlier boot", daemon.ctl("status").stderr)

    def test_in_a_container_the_number_of_the_process_means_nothing(self):
        container = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
        if subprocess.run([*container, "true"], capture_output=True, check=False).returncode:
            self.skipTest("no namespaces here")
        self.clock()
        daemon = self.daemon()
        self.screen(daemon, OK)
        command = [harness.program("vmclockctl"), "-c", daemon.configuration, "status"]

        def inside():
            done = subprocess.run([*container, *command], capture_output=True, text=True, check=False)
            return done.returncode, done.stderr

        self.assertEqual(inside(), (OK, ""))
        daemon.process.kill()
        daemon.ends()
        eventually(lambda: inside()[0] == NO_DAEMON, timeout=20, every=0.3)
        self.assertIn("not written it for over 5 s", inside()[1])

    def on_a_terminal(self, daemon, **environment):
        ours, theirs = pty.openpty()
        subprocess.run(
            [harness.program("vmclockctl"), "-c", daemon.configuration, "status"],
            stdout=theirs,
            env={**os.environ, "TERM": "xterm", **environment},
            timeout=20,
            check=False,
        )
        os.close(theirs)
        output = b""
        try:
            while data := os.read(ours, 4096):
                output += data
        except OSError:
            pass  # the other end is closed
        os.close(ours)
        return output

    def test_colour_is_for_terminals(self):
        self.clock()
        daemon = self.daemon()
        self.screen(daemon, OK)
        self.assertIn(b"\033[1;32mgood\033[0m", self.on_a_terminal(daemon))
        self.assertNotIn(b"\033", self.on_a_terminal(daemon, NO_COLOR="1"))
        self.assertNotIn(b"\033", self.on_a_terminal(daemon, TERM="dumb"))
