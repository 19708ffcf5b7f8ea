# SPDX-License-Identifier: BSD-2-Clause
"""vmclockctl: its commands, its exit statuses, its JSON."""

import json
import os
import re
import signal
import subprocess
import time

import harness
import page
import scripted_chronyd as script
from daemon import CONFIG, DEGRADED, DEVICE, NO_DAEMON, OK, USAGE
from harness import eventually
from scripted_case import ScriptedCase

STATES = {"starting", "watching", "feeding", "recovering", "holdover"}
NUMBER = (int, float)


class StatusTest(ScriptedCase):
    def assert_form(self, status):
        """The keys every status has, and their types."""
        for key, types in (
            ("state", str),
            ("mode", str),
            ("disruption_marker", str),
            ("vm_generation", (str, type(None))),
            ("disruptions", int),
            ("recoveries", int),
            ("samples_sent", int),
            ("offset_ns", (int, float, type(None))),
            ("error_bound_ns", (int, float, type(None))),
            ("clock_status", (str, int)),
            ("last_recovery", (dict, type(None))),
            ("chronyd", dict),
            ("pid", int),
            ("updated", (str, int, float)),
        ):
            self.assertIn(key, status)
            self.assertIsInstance(status[key], types, key)
            self.assertNotIsInstance(status[key], bool, key)
        self.assertIn(status["state"], STATES)
        self.assertIn(status["mode"], {"marker-only", "clock"})
        int(status["disruption_marker"], 16)
        if status["vm_generation"] is not None:
            int(status["vm_generation"], 16)
        chronyd = status["chronyd"]
        self.assertIsInstance(chronyd["reachable"], bool)
        self.assertIsInstance(chronyd["synchronised"], bool)
        self.assertIsInstance(chronyd["refid"], (str, type(None)))
        last = status["last_recovery"]
        if last is not None:
            self.assertIsInstance(last["cause"], str)
            int(last["marker"], 16)
            self.assertIsInstance(last["reset_ms"], (*NUMBER, type(None)))
            self.assertIsInstance(last["synchronised_ms"], (*NUMBER, type(None)))
            self.assertIsInstance(last["outcome"], str)

    def test_status_json_has_its_keys_and_types(self):
        made = self.clock(offset=1e-3)
        daemon = self.daemon(step="never")
        self.feeding()
        status = daemon.reaches(state="feeding")
        self.assert_form(status)
        self.assertEqual(status["mode"], "clock")
        self.assertEqual(status["pid"], daemon.pid())
        self.assertEqual(int(status["vm_generation"], 16), 0x1234)
        self.assertEqual(int(status["disruption_marker"], 16), made.fields.disruption_marker)
        self.assertAlmostEqual(status["offset_ns"], made.offset_now() * 1e9, delta=2000)
        # 200 ns at the reference, 1e-9 of the time since.
        self.assertTrue(200 <= status["error_bound_ns"] < 10000, status["error_bound_ns"])
        eventually(lambda: daemon.status()["chronyd"]["synchronised"])
        self.assertEqual(daemon.status()["chronyd"]["refid"], "VMCL")
        made.migrate(offset=2e-3)
        self.recovered(daemon)
        self.assert_form(daemon.status())
        self.assertIsNotNone(daemon.status()["last_recovery"])

    def test_status_json_of_a_marker_only_page_has_its_keys_and_types(self):
        made = self.marker()
        daemon = self.daemon()
        status = daemon.reaches(mode="marker-only", state="watching")
        self.assert_form(status)
        self.assertIsNone(status["error_bound_ns"])
        self.assertIsNone(status["vm_generation"])
        self.assertEqual(status["samples_sent"], 0)
        made.disrupt()
        self.recovered(daemon)
        self.assert_form(daemon.status())

    def test_every_state_on_the_way_has_the_same_form(self):
        made = self.clock()
        daemon = self.daemon()
        states = {daemon.reaches(state="feeding")["state"]}
        for _ in range(3):
            made.migrate(offset=1e-3)
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                status = daemon.status()
                if status:
                    self.assert_form(status)
                    states.add(status["state"])
        self.assertLessEqual({"feeding", "recovering"}, states)

    def test_samples_sent_counts_what_chronyd_received(self):
        self.clock()
        daemon = self.daemon()
        self.feeding(samples=20)
        eventually(lambda: daemon.status()["samples_sent"] >= 20)
        # The file is written now and then: it may be behind, never ahead.
        self.assertLessEqual(daemon.status()["samples_sent"], len(self.chronyd.samples) + 5)

    def test_error_bound_is_null_without_both_of_its_terms(self):
        self.clock(flags=page.TAI_OFFSET_VALID | page.TIME_MAXERROR_VALID)
        daemon = self.daemon()
        self.feeding()
        self.assertIsNone(daemon.reaches(state="feeding")["error_bound_ns"])

    def test_a_clock_that_is_lost_is_holdover_and_degraded(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        made.write(clock_status=page.UNRELIABLE)
        status = eventually(lambda: daemon.status()["state"] != "feeding" and daemon.status())
        self.assert_form(status)
        self.assertEqual(daemon.ctl("status").returncode, DEGRADED)
        made.write(clock_status=page.SYNCHRONISED)
        eventually(lambda: daemon.ctl("status").returncode == OK)


class ControlTest(ScriptedCase):
    def test_status_of_a_healthy_daemon_is_0(self):
        self.clock()
        daemon = self.daemon()
        eventually(lambda: daemon.ctl("status").returncode == OK)
        done = daemon.ctl("status")
        self.assertIn("feeding", done.stdout)
        self.assertEqual(done.stderr, "")

    def test_status_is_1_without_a_chronyd(self):
        self.clock()
        self.chronyd.stop_listening(unlink=True)
        daemon = self.daemon()
        eventually(lambda: daemon.ctl("status").returncode == DEGRADED)

    def test_no_daemon_is_2(self):
        self.clock()
        daemon = self.prepared()
        for words in (
            ("status",),
            ("status", "--json"),
            ("wait", "1"),
            ("metrics",),
            ("recover",),
        ):
            with self.subTest(words):
                done = daemon.ctl(*words)
                self.assertEqual(done.returncode, NO_DAEMON, f"{done.stdout} {done.stderr}")
                self.assertTrue(done.stderr.strip() or done.stdout.strip())

    def test_a_daemon_that_ended_is_2(self):
        self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        daemon.stop()
        self.assertEqual(daemon.ctl("status").returncode, NO_DAEMON)

    def test_a_daemon_that_was_killed_is_2(self):
        self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        daemon.process.kill()
        daemon.ends()
        eventually(lambda: daemon.ctl("status").returncode == NO_DAEMON)
        self.assertEqual(daemon.ctl("status", "--json").returncode, NO_DAEMON)
        self.assertEqual(daemon.ctl("recover").returncode, NO_DAEMON)

    def test_a_state_whose_process_is_another_is_2_and_never_signalled(self):
        self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        daemon.process.kill()
        daemon.ends()
        with open(daemon.settings["state_file"], encoding="utf-8") as file:
            state = file.read()
        bystander = subprocess.Popen(["sleep", "60"])
        try:
            with open(daemon.settings["state_file"], "w", encoding="utf-8") as file:
                file.write(state.replace(str(daemon.pid()), str(bystander.pid)))
            eventually(lambda: daemon.ctl("status").returncode == NO_DAEMON, timeout=30)
            self.assertEqual(daemon.ctl("recover").returncode, NO_DAEMON)
            self.assertIsNone(bystander.poll(), "the bystander lives")
        finally:
            bystander.kill()
            bystander.wait()

    def test_recover_never_signals_another_program(self):
        """Its number is another's, and the state file looks as fresh as ever."""
        self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        bystander = subprocess.Popen(["sleep", "60"])
        try:
            with open(daemon.settings["state_file"], encoding="utf-8") as file:
                state = file.read()
            daemon.send(signal.SIGSTOP)  # so that it does not write over ours
            with open(daemon.settings["state_file"], "w", encoding="utf-8") as file:
                file.write(state.replace(f"pid = {daemon.pid()}", f"pid = {bystander.pid}"))
            done = daemon.ctl("recover")
            self.assertEqual(done.returncode, NO_DAEMON, done.stderr)
            self.assertIn(str(bystander.pid), done.stderr)
            self.assertIsNone(bystander.poll(), "the bystander lives")
        finally:
            daemon.send(signal.SIGCONT)
            bystander.kill()
            bystander.wait()

    def assert_alive_and_silent(self, daemon, words):
        """It is named, and nothing of its last report is shown as of now."""
        eventually(lambda: words in daemon.ctl("status").stdout, lambda: daemon.ctl("status"))
        for command in ("status", "wait", "metrics", "watch"):
            done = daemon.ctl(command, timeout=15)
            self.assertEqual(done.returncode, DEGRADED, f"{command}: {done.stdout} {done.stderr}")
            self.assertIn(str(daemon.pid()), done.stdout + done.stderr, command)
            self.assertIn(words, done.stdout + done.stderr, command)
        self.assertEqual(daemon.ctl("wait", "0.3").returncode, DEGRADED)
        screen = daemon.ctl("status").stdout.splitlines()
        self.assertTrue(screen[0].startswith("degraded"), screen)
        self.assertTrue(all(line.startswith(("! ", "  ")) for line in screen[1:]), screen)
        status = daemon.status()
        self.assertIn(words, status["error"])
        self.assertIs(status["all_is_well"], False)
        self.assertEqual(status["pid"], daemon.pid())
        for key in ("state", "mode", "disruption_marker", "offset_ns", "samples_sent", "updated"):
            self.assertIsNone(status[key], key)
        self.assertEqual(
            status["chronyd"], {"reachable": None, "synchronised": None, "refid": None}
        )
        series = [s for s in daemon.ctl("metrics").stdout.splitlines() if not s.startswith("#")]
        self.assertEqual(series, ["vmclockd_healthy 0"])

    def test_a_stopped_daemon_is_1_and_named_at_once(self):
        self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        daemon.send(signal.SIGSTOP)
        self.assert_alive_and_silent(daemon, "is stopped")
        self.assertEqual(daemon.ctl("recover").returncode, DEGRADED)
        daemon.send(signal.SIGCONT)
        eventually(lambda: daemon.ctl("status").returncode == OK)

    def test_a_daemon_that_cannot_write_its_state_is_1_and_named(self):
        self.clock()
        daemon = self.prepared(state_file=self.path("run/state"))
        daemon.start()
        daemon.reaches(state="feeding")
        os.rename(self.path("run"), self.path("away"))
        with open(self.path("run"), "wb"):
            pass  # a file where the directory was: not even root writes into it
        self.assert_alive_and_silent(daemon, "is not its state")
        self.assertEqual(daemon.ctl("recover").returncode, OK)
        self.request(script.RESET_SOURCES)
        os.unlink(self.path("run"))
        os.rename(self.path("away"), self.path("run"))
        eventually(lambda: daemon.ctl("status").returncode == OK)

    def test_a_daemon_that_has_never_written_its_state_is_1_and_named(self):
        self.clock()
        with open(self.path("run"), "wb"):
            pass
        daemon = self.daemon(state_file=self.path("run/state"))
        self.assert_alive_and_silent(daemon, "is not its state")

    def test_a_file_that_is_not_the_daemons_state_is_not_called_old(self):
        self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        with open(daemon.settings["state_file"], encoding="utf-8") as file:
            state = file.read()
        time.sleep(5.5)  # as long as one without a state has to run to be found
        other = self.path("other")
        daemon.configure(state_file=other)  # for the next start

        def says(words):
            done = daemon.ctl("status")
            self.assertEqual(done.returncode, DEGRADED)
            said = " ".join(done.stdout.split())
            self.assertIn(f"vmclockd, process {daemon.pid()}, is alive, and {words}", said)

        changed = 'has "state-file" changed since its start?'
        says(f"{other} is not its state: No such file or directory; {changed}")
        os.mkdir(other)
        says(f"{other} is not its state: Is a directory; {changed}")
        os.rmdir(other)
        for text, words in (
            ("rubbish", "not a state file"),
            (re.sub("boot_id = .*", "boot_id = none", state), "of an earlier boot"),
        ):
            with open(other, "w", encoding="utf-8") as file:
                file.write(text)
            says(f"{other} is not its state: {words}; {changed}")
        with open(other, "w", encoding="utf-8") as file:
            ended = state.replace("running = yes", "running = no")
            file.write(ended.replace(f"pid = {daemon.pid()}", "pid = 1"))
        says(f"has not written {other} for over 5 s")

    def test_a_daemon_that_cannot_write_is_found_however_its_configuration_is_named(self):
        self.clock()
        with open(self.path("run"), "wb"):
            pass
        os.symlink(self.dir, self.path("link"))
        # $1 is the program, $3 the file by its absolute path.
        ways = (
            'exec "$1" -vnc "$3"',
            'exec "$1" -nvc"$3"',
            'cd "${3%/*}" && exec "$1" -nc "${3##*/}"',
            'cd "${3%/*}" && exec "$1" --config="./${3##*/}" -nv',
            'exec "$1" -n --conf "${3%/*}/link/${3##*/}"',
            'exec "$1" -c /dev/null --dry-run -c "$3"',
        )
        daemons = []
        for i, way in enumerate(ways):
            daemon = self.prepared(state_file=self.path(f"run/state{i}"))
            daemons.append(daemon.start(wrapper=("sh", "-c", way, "sh")))
        others = self.prepared(state_file=self.path("run/state"))
        for daemon in daemons:
            eventually(lambda: daemon.ctl("status").returncode == DEGRADED, daemon.ctl("status"))
            self.assertIn(f"process {daemon.pid()}, is alive", daemon.ctl("status").stdout)
        self.assertEqual(others.ctl("status").returncode, NO_DAEMON)
        os.chdir(self.dir)
        self.addCleanup(os.chdir, "/")
        name = os.path.basename(daemons[2].configuration)
        for words in (("status",), ("doctor", "--json", self.path("none.conf"))):
            done = subprocess.run(
                [harness.program("vmclockctl"), "-c", name, *words],
                capture_output=True, text=True, check=False,
            )
            self.assertIn(f"process {daemons[2].pid()}, is alive", done.stdout, words)

    def test_a_daemon_that_has_written_its_last_state_has_ended(self):
        """Its process may be there for a moment longer."""
        self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        time.sleep(5.5)  # so long that a process without a state counts as one that hangs
        daemon.send(signal.SIGSTOP)
        eventually(lambda: daemon.ctl("status").returncode == DEGRADED)
        with open(daemon.settings["state_file"], encoding="utf-8") as file:
            state = file.read()
        with open(daemon.settings["state_file"], "w", encoding="utf-8") as file:
            file.write(state.replace("running = yes", "running = no"))
        done = daemon.ctl("status")
        self.assertEqual(done.returncode, NO_DAEMON)
        self.assertIn("was stopped", done.stderr)

    def test_without_a_daemon_json_is_an_object_that_says_so(self):
        self.clock()
        daemon = self.prepared()
        for _ in range(2):
            done = daemon.ctl("status", "--json")
            self.assertEqual(done.returncode, NO_DAEMON)
            status = json.loads(done.stdout)
            self.assertIn("no vmclockd runs", status["error"])
            self.assertIs(status["all_is_well"], False)
            self.assertIsNone(status["state"])
            self.assertIsNone(status["pid"])
            self.assertIn(status["error"], status["warnings"])
            daemon.start()
            self.assertIsNone(daemon.reaches(state="feeding")["error"])
            daemon.stop()

    def test_a_mistake_in_the_configuration_blinds_nobody_to_a_daemon_that_runs_on(self):
        self.clock()
        metrics = self.path("vmclockd.prom")
        daemon = self.daemon(metrics_file=metrics)
        daemon.reaches(all_is_well=True)
        with open(daemon.configuration, "a", encoding="ascii") as file:
            file.write("colour = blue\n")
        daemon.send(signal.SIGHUP)
        daemon.says("the configuration is left as it was")
        self.assertEqual(daemon.ctl("status").returncode, OK)
        status = daemon.status()
        self.assertIs(status["all_is_well"], True)
        self.assertTrue(any("colour: unknown key" in words for words in status["warnings"]))
        self.assertIn("colour: unknown key", daemon.ctl("status").stdout.splitlines()[1])
        self.assertEqual(daemon.ctl("wait", "5").returncode, OK)
        self.assertEqual(daemon.ctl("metrics").returncode, OK)
        self.assertIn("vmclockd_healthy 1", daemon.ctl("metrics").stdout)
        self.assertEqual(daemon.ctl("page").returncode, OK)
        self.assertEqual(daemon.ctl("recover").returncode, OK)
        self.request(script.RESET_SOURCES)

    def test_the_key_that_is_needed_is_78_where_it_is_wrong(self):
        self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        commands = ("status", "wait", "metrics", "watch", "recover")
        for line, refused in (("state-file = state", commands), ("device = page", ("page",))):
            daemon.write_configuration(f"device = {self.path('page')}\n# two\n")
            with open(daemon.configuration, "a", encoding="ascii") as file:
                file.write(line + "\n")
            for command in refused:
                done = daemon.ctl(command)
                self.assertEqual(done.returncode, CONFIG, f"{line}: {command}")
                self.assertIn(f"{daemon.configuration}:3", done.stderr)
        os.unlink(daemon.configuration)
        for command in (*commands, "page"):
            self.assertEqual(daemon.ctl(command).returncode, CONFIG, command)

    def test_a_garbage_state_file_is_2(self):
        self.clock()
        daemon = self.prepared()
        for content in (b"", b"\0" * 5000, b"\xff\xfe\n", b"{" * 100000, b"pid = x\n"):
            with open(daemon.settings["state_file"], "wb") as file:
                file.write(content)
            self.assertEqual(daemon.ctl("status").returncode, NO_DAEMON, content[:20])
            self.assertEqual(daemon.ctl("recover").returncode, NO_DAEMON, content[:20])

    def test_page_shows_the_device_without_a_daemon(self):
        self.clock(disruption_marker=0xBEEF)
        daemon = self.prepared()
        done = daemon.ctl("page")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertIn("beef", done.stdout.lower())
        done = daemon.ctl("page", "--json")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertIsInstance(json.loads(done.stdout), dict)
        self.assertIn("beef", done.stdout.lower())

    def test_page_of_a_bad_device_is_69(self):
        daemon = self.prepared()
        self.assertEqual(daemon.ctl("page").returncode, DEVICE)
        os.mkfifo(self.path("page"))
        self.assertEqual(daemon.ctl("page").returncode, DEVICE)
        os.unlink(self.path("page"))
        for size in (0, 100):
            with open(self.path("page"), "wb") as file:
                file.truncate(size)
            done = daemon.ctl("page", "--json")
            self.assertEqual(done.returncode, DEVICE)
            self.assertIn(self.path("page"), done.stderr)
        self.marker(magic=1)
        self.assertEqual(daemon.ctl("page").returncode, DEVICE)

    def test_page_of_a_locked_device_ends(self):
        made = self.clock()
        made.fields.seq_count |= 1
        began = time.monotonic()
        self.assertEqual(self.prepared().ctl("page").returncode, DEVICE)
        self.assertLess(time.monotonic() - began, 5)

    def test_wait_is_0_once_in_sync(self):
        self.clock()
        daemon = self.daemon()
        eventually(daemon.status)
        self.assertEqual(daemon.ctl("wait", "15").returncode, OK)

    def test_wait_is_1_when_its_time_is_over(self):
        self.clock()
        self.chronyd.stop_listening(unlink=True)
        daemon = self.daemon()
        eventually(daemon.status)
        began = time.monotonic()
        self.assertEqual(daemon.ctl("wait", "1").returncode, DEGRADED)
        self.assertTrue(0.5 < time.monotonic() - began < 5)

    def test_wait_waits_for_a_recovery(self):
        # Not ours: `local` in chrony.conf.
        self.chronyd.selects = self.chronyd.refid = 0x7F7F0101
        self.clock()
        daemon = self.daemon()
        eventually(daemon.status)
        self.assertEqual(daemon.ctl("wait", "1").returncode, DEGRADED)
        self.chronyd.selects = int.from_bytes(b"VMCL", "big")
        self.assertEqual(daemon.ctl("wait", "15").returncode, OK)

    def test_watch_json_prints_an_object_a_line(self):
        made = self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        watch = subprocess.Popen(
            [harness.program("vmclockctl"), "-c", daemon.configuration, "watch", "--json"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            for _ in range(2):
                status = json.loads(watch.stdout.readline())
                self.assertIn("state", status)
                made.migrate(offset=1e-3)
        finally:
            watch.terminate()
            watch.wait()
            watch.stdout.close()

    def test_watch_without_a_daemon_does_not_crash(self):
        self.clock()
        daemon = self.prepared()
        try:
            self.assertEqual(daemon.ctl("watch", timeout=3).returncode, NO_DAEMON)
        except subprocess.TimeoutExpired:
            pass  # to wait for one is as good

    def test_metrics_are_lines_of_name_and_number(self):
        self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        done = daemon.ctl("metrics")
        self.assertEqual(done.returncode, OK, done.stderr)
        lines = [line for line in done.stdout.splitlines() if line and line[0] != "#"]
        self.assertGreater(len(lines), 3)
        for line in lines:
            self.assertRegex(line, r"^[a-zA-Z_:][\w:]*(\{[^}]*\})? (-?[\d.eE+-]+|NaN)$")
            float(line.rsplit(" ", 1)[1])

    def test_recover_is_a_recovery_of_cause_request(self):
        self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        done = daemon.ctl("recover")
        self.assertEqual(done.returncode, OK, done.stderr)
        status = self.recovered(daemon)
        self.assertEqual(status["last_recovery"]["cause"], "request")
        self.assertEqual(status["disruptions"], 0)
        self.assertEqual(len(self.resets()), 1)

    def test_usage_errors_are_64(self):
        self.clock()
        daemon = self.prepared()
        for words in (
            (),
            ("nonsense",),
            ("status", "surplus"),
            ("status", "--no-such-option"),
            ("wait", "soon"),
            ("wait", "-1"),
            ("wait", ""),
            ("wait", "."),
            ("wait", "1.2.3"),
            ("wait", "1e3"),
            ("wait", "inf"),
            ("wait", "0x10"),
            ("wait", "1000000001"),
            ("wait", "9" * 400),
            ("status", "1"),
            ("metrics", "--json"),
            ("wait", "1", "2"),
            ("recover", "surplus"),
        ):
            with self.subTest(words):
                done = daemon.ctl(*words)
                self.assertEqual(done.returncode, USAGE, f"{done.stdout} {done.stderr}")
                self.assertTrue(done.stderr.strip())

    def test_help_fits_a_screen(self):
        done = self.prepared().ctl("--help")
        self.assertEqual(done.returncode, OK)
        lines = done.stdout.splitlines()
        self.assertLessEqual(len(lines), 24)
        self.assertLessEqual(max(map(len, lines)), 80)

    def test_a_mistake_in_the_configuration_is_printed_where_no_daemon_runs(self):
        daemon = self.prepared()
        daemon.write_configuration(
            f"device = {self.path('page')}\ncolour = blue\nstate-file = {self.path('state')}\n"
        )
        for word in ("status", "page", "wait", "metrics", "recover"):
            with self.subTest(word):
                done = daemon.ctl(word)
                self.assertEqual(done.returncode, DEVICE if word == "page" else NO_DAEMON, word)
                self.assertIn(f"{daemon.configuration}:2", done.stderr)
                self.assertIn("colour", done.stderr)

    def test_a_closed_output_is_no_death_by_signal(self):
        self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [harness.program("vmclockctl"), "-c", daemon.configuration, "status", "--json"],
            stdout=write,
            stderr=subprocess.DEVNULL,
            timeout=20,
            check=False,
        )
        os.close(write)
        self.assertIn(done.returncode, (0, 1, -signal.SIGPIPE))


class WaitingTest(ScriptedCase):
    """`recover --wait`, `status --watch`, `--no-color`."""

    def test_recover_waits_until_it_has_ended(self):
        self.marker()
        daemon = self.daemon()
        eventually(lambda: daemon.ctl("status").returncode == OK)
        for words in (["--wait"], ["--wait", "20"], ["--wait=20"]):
            done = daemon.ctl("recover", *words)
            self.assertEqual((done.returncode, done.stderr), (OK, ""))
            self.assertEqual(daemon.status()["last_recovery"]["outcome"], "synchronised")
        self.assertEqual(daemon.ctl("recover", "--wait", "0.01").returncode, DEGRADED)
        self.assertEqual(daemon.ctl("recover", "--wait=x").returncode, USAGE)
        self.assertEqual(daemon.ctl("page", "--wait").returncode, USAGE)

    def test_status_is_shown_again_and_again(self):
        self.marker()
        daemon = self.daemon()
        eventually(lambda: daemon.ctl("status").returncode == OK)
        for words in (["-w", "0.1"], ["--watch=0.1"], ["--watch", "0.1", "--no-color"]):
            with self.subTest(words):
                command = [harness.program("vmclockctl"), "-c", daemon.configuration, "status", "--json", *words]
                with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                    seen = 0
                    while seen < 3:
                        seen += process.stdout.readline().startswith("}")
                    process.terminate()
        self.assertEqual(daemon.ctl("watch", "-w").returncode, USAGE)
