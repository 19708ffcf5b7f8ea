# SPDX-License-Identifier: BSD-2-Clause
"""What vmclockd takes from chrony.conf: makestep, which is given back after a recovery."""

import os
import re
import shutil
import signal
import subprocess
import time
import unittest

import harness
import real_chronyd
from daemon import OK, Daemon
from harness import Case, eventually
from scripted_case import ScriptedCase
import page
import scripted_chronyd as script


def test_only(daemon):
    """`vmclockd -t` with the configuration of a daemon."""
    return subprocess.run(
        [harness.program("vmclockd"), "-t", "-c", daemon.configuration],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


class ChronySettingsTest(ScriptedCase):
    limit = 60

    def chrony_conf(self, text, name="chrony.conf"):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def in_force(self, **settings):
        """`vmclockd -t`: the line of makestep, and what it says on the way."""
        daemon = self.prepared(**settings)
        done = test_only(daemon)
        self.assertEqual(done.returncode, OK, done.stderr)
        return re.search(r"^makestep = .*$", done.stdout, re.M)[0], done.stderr

    def test_makestep_is_what_chrony_conf_says(self):
        for text, expected in (
            ("makestep 1.0 -1\n", "1 -1"),
            ("# one\nmakestep 1 3\nMakeStep 0.5 -7\n", "0.5 -1"),
            ("makestep 1 3x", "1 3"),
        ):
            with self.subTest(text):
                path = self.chrony_conf(text)
                line = text.rstrip().count("\n") + 1
                found, said = self.in_force(chrony_conf=path)
                self.assertEqual(found, f"makestep = {expected}  # {path}:{line}")
                self.assertEqual(said, "")

    def test_without_such_a_line_there_is_none_to_give_back(self):
        path = self.chrony_conf("rtcsync\n")
        found, said = self.in_force(chrony_conf=path)
        self.assertEqual(found, f"makestep = none  # {path} has no such line")
        self.assertEqual(said, "")

    def test_it_may_be_in_an_included_file(self):
        other = self.chrony_conf("\nmakestep 0.1 1\n", "other.conf")
        path = self.chrony_conf(f"include {other}\n")
        self.assertEqual(self.in_force(chrony_conf=path)[0], f"makestep = 0.1 1  # {other}:2")

    def test_of_chronyd_it_reads_what_apparmor_and_selinux_grant(self):
        """Not the link to its program, which takes the right to trace it."""
        if not shutil.which("strace"):
            self.skipTest("no strace")
        shutil.copy(shutil.which("sleep"), self.path("chronyd"))
        process = subprocess.Popen([self.path("chronyd"), "60"])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        with open(self.path("chrony/chronyd.pid"), "w", encoding="ascii") as file:
            print(process.pid, file=file)
        daemon = self.prepared(chrony_conf=None)
        done = subprocess.run(
            ["strace", "-e", "trace=/^(open|readlink)", harness.program("vmclockd"),
             "-t", "-c", daemon.configuration],
            capture_output=True, text=True, timeout=20, check=False,
        )
        read = set(re.findall(rf'"/proc/{process.pid}/(\w+)"', done.stderr))
        self.assertEqual(read, {"status", "comm", "cmdline"}, done.stderr)

    def test_the_key_makestep_wins(self):
        path = self.chrony_conf("makestep 1 -1\n")
        found, _ = self.in_force(chrony_conf=path, makestep="2 5")
        self.assertTrue(found.startswith("makestep = 2 5  # "), found)
        self.assertNotIn(path, found)

    def test_what_cannot_be_used_is_a_warning_and_the_default(self):
        missing = self.path("missing.conf")
        for path, words in (
            (missing, f"{missing}: No such file"),
            (self.chrony_conf("rtcsync\nmakestep 1\n"), "chrony.conf:2: makestep"),
            (self.chrony_conf("rubbish\n", "3.conf"), "3.conf:1: "),
            (self.chrony_conf("include /nowhere\n", "2.conf"), "/nowhere: No such file"),
        ):
            with self.subTest(words):
                found, said = self.in_force(chrony_conf=path)
                self.assertEqual(found, "makestep = 1 3  # default")
                self.assertIn(words, said)

    def test_a_word_that_is_not_known_spares_the_rest(self):
        path = self.chrony_conf("newer 5\nmakestep 1 -1\n")
        found, said = self.in_force(chrony_conf=path)
        self.assertEqual(found, f"makestep = 1 -1  # {path}:2")
        self.assertIn(f"{path}:1: ", said)

    def disrupted(self, path, **settings):
        made = self.marker()
        daemon = self.daemon(chrony_conf=path, **settings)
        daemon.reaches(mode="marker-only")
        made.disrupt()
        self.recovered(daemon)
        return daemon

    def given_back(self, daemon):
        self.assertEqual(daemon.stop(), 0)
        return self.chronyd.sent(script.MODIFY_MAKESTEP)[-1].data

    def test_an_unlimited_makestep_is_given_back(self):
        daemon = self.disrupted(self.chrony_conf("makestep 1.0 -1\n"))
        self.assertEqual(self.given_back(daemon), (-1, 1.0))

    def test_it_is_read_again_at_sighup(self):
        path = self.chrony_conf("makestep 1 0\n")
        daemon = self.disrupted(path)
        self.chrony_conf("makestep 0.25 -1\n")
        daemon.send(signal.SIGHUP)
        daemon.says("read again")
        self.assertEqual(self.given_back(daemon), (-1, 0.25))

    def test_what_was_read_stays_while_it_cannot_be_read(self):
        for restarts in (False, True):
            path = self.chrony_conf("makestep 0.5 -1\n")
            daemon = self.disrupted(path)
            os.unlink(path)
            if restarts:
                daemon.stop(signal.SIGKILL)
                daemon.start()
                daemon.reaches(mode="marker-only")
            else:
                daemon.send(signal.SIGHUP)
            daemon.says("No such file", "the last known one is restored")
            self.assertEqual(self.given_back(daemon), (-1, 0.5))
            os.unlink(self.path("state"))

    def test_it_is_read_again_when_chronyd_has_restarted(self):
        path = self.chrony_conf("makestep 1 0\n")
        made = self.marker()
        daemon = self.daemon(chrony_conf=path)
        daemon.reaches(mode="marker-only")
        eventually(lambda: daemon.status()["chronyd"]["reachable"])
        self.chrony_conf("makestep 0.25 -1\n")
        time.sleep(1.5)
        self.assertEqual(daemon.said("makestep is now"), [])
        self.chronyd.stop_listening(unlink=True)
        eventually(lambda: not daemon.status()["chronyd"]["reachable"])
        self.chronyd.listen()
        daemon.says("makestep is now 0.25 -1, not 1 0")
        made.disrupt()
        self.recovered(daemon)
        self.assertEqual(self.given_back(daemon), (-1, 0.25))


@unittest.skipIf(real_chronyd.missing(), real_chronyd.missing())
class CommandLineTest(Case):
    def test_the_chrony_conf_is_the_one_that_chronyd_was_started_with(self):
        chronyd = self.witness(real_chronyd.RealChronyd(self.path("chrony"), "makestep 0.25 -1"))
        chronyd.start()
        page.marker_page(self.path("page"))
        daemon = Daemon(self.dir, self.path("page"), chronyd.sock_path, chronyd.command_path)
        done = test_only(daemon)
        self.assertIn(f"chrony-conf = {chronyd.configuration}  # default", done.stdout)
        self.assertIn(f"makestep = 0.25 -1  # {chronyd.configuration}:7", done.stdout)
