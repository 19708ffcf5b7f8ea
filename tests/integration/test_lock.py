# SPDX-License-Identifier: BSD-2-Clause
"""One vmclockd for a state file, and one for a chronyd."""

import os
import shutil
import signal
import subprocess
import time

import scripted_chronyd as script
from daemon import NO_DAEMON
from harness import eventually
from scripted_case import ScriptedCase

STATE_LOCK = "state.lock"
CHRONYD_LOCK = "chrony/vmclockd.chronyd.sock.lock"


class LockTest(ScriptedCase):
    weight = 3

    def first(self, *options, **settings):
        self.made = self.clock()
        self.one = self.daemon(*options, **settings)
        self.one.reaches(state="feeding") if not options else self.one.says("watching")
        return self.one

    def refused(self, two, what, process):
        """It has ended, and says who has what it wanted; the first goes on."""
        self.assertEqual(two.ends(), 1, two.log())
        self.assertEqual(len(two.log()), 1, two.log())
        self.assertTrue(two.said("another vmclockd", process, what), two.log())
        self.assertTrue(self.one.running())

    def another(self, *options, **settings):
        two = self.prepared()
        two.configure(**settings)
        return two.start(*options)

    def conflicts(self, what, *options, **settings):
        two = self.another(*options, **settings)
        self.refused(two, what, f"process {self.one.pid()},")
        return two

    def goes(self, *options, **settings):
        """It runs beside the first one."""
        two = self.another(*options, **settings)
        two.says("watching")
        eventually(two.status)
        self.assertTrue(two.running())
        self.assertTrue(self.one.running())
        return two

    def test_a_second_one_with_the_same_state_file_ends_with_1_and_says_who_has_it(self):
        self.first()
        self.conflicts(f"the state file {self.path('state')}")
        self.conflicts(f"the state file {self.path('state')}", "-n")
        self.made.migrate(offset=1e-3)
        self.recovered(self.one)
        time.sleep(0.1)
        self.assertEqual(len(self.resets()), 1)

    def test_a_second_one_with_the_same_chronyd_ends_with_1_and_says_who_has_it(self):
        self.first()
        self.conflicts(f"the chronyd of {self.chronyd.command_path}", state_file=self.path("s2"))

    def test_other_paths_to_the_same_places_are_the_same(self):
        self.first()
        os.symlink(self.path("chrony"), self.path("link"))
        os.mkdir(self.path("elsewhere"))
        os.symlink(self.chronyd.command_path, self.path("elsewhere/chronyd.sock"))
        os.symlink(self.dir, self.path("around"))
        for path in ("link/chronyd.sock", "chrony/../chrony//./chronyd.sock",
                     "elsewhere/chronyd.sock"):
            self.conflicts("the chronyd of", state_file=self.path("s2"),
                           command_socket=self.path(path))
        for path in ("around/state", "chrony/..//state"):
            self.conflicts("the state file", state_file=self.path(path))

    def test_one_directory_may_have_two_chronyds_and_two_state_files(self):
        self.first()
        other = self.witness(
            script.ScriptedChronyd(
                self.path("chrony/other-samples.sock"), self.path("chrony/other.sock")
            ).start()
        )
        self.goes(state_file=self.path("s2"), sock=other.sock_path,
                  command_socket=other.command_path)

    def test_a_dry_run_takes_no_chronyd(self):
        self.first()
        two = self.goes("-n", state_file=self.path("s2"))
        three = self.prepared(state_file=self.path("s2")).start("-n")
        self.refused(three, "the state file", f"process {two.pid()},")

    def test_a_check_of_the_configuration_takes_no_lock(self):
        self.first()
        two = self.prepared()
        self.assertEqual(two.start("-t").ends(), 0)
        self.assertEqual(two.log(), [])

    def test_a_lock_ends_with_its_process(self):
        self.first()
        self.assertEqual(self.one.stop(signal.SIGKILL), -signal.SIGKILL)
        self.assertTrue(os.path.exists(self.path(STATE_LOCK)))
        self.assertTrue(os.path.exists(self.path(CHRONYD_LOCK)))
        since = time.time()
        self.one = self.daemon()
        self.feeding(since=since)
        self.assertEqual(self.one.stop(), 0)
        self.assertFalse(os.path.exists(self.path(STATE_LOCK)))
        self.assertFalse(os.path.exists(self.path(CHRONYD_LOCK)))

    def test_of_many_that_start_at_once_one_goes_on(self):
        self.clock()
        daemons = [self.daemon() for _ in range(6)]
        eventually(lambda: sum(one.running() for one in daemons) == 1)
        left = [one for one in daemons if one.running()]
        left[0].reaches(state="feeding")
        for one in daemons:
            if one not in left:
                self.assertEqual(one.ends(), 1)
                self.assertTrue(one.said(f"process {left[0].pid()},"), one.log())

    def test_nothing_is_changed_by_one_that_is_refused(self):
        self.first()
        with open(self.path("s2"), "w", encoding="ascii") as file:
            file.write("pid = 4194301\nend = yes\n")
        stale = self.path("chrony/vmclockd.4194301.sock")
        with open(stale, "w", encoding="ascii"):
            pass
        self.conflicts("the chronyd of", state_file=self.path("s2"))
        self.assertTrue(os.path.exists(stale))
        with open(self.path("s2"), encoding="ascii") as file:
            self.assertEqual(file.read(), "pid = 4194301\nend = yes\n")

    def test_a_process_of_another_pid_namespace_is_taken_for_one(self):
        self.first()
        wrapper = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
        if subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode:
            self.skipTest("no new PID namespace can be made")
        two = self.prepared()
        two.start(wrapper=wrapper)
        self.refused(two, "the state file", "a process of another PID namespace,")

    def test_another_directory_of_chronyd_is_locked_again(self):
        self.first()
        self.chronyd.stop_listening(unlink=True)
        eventually(lambda: self.one.said("chronyd cannot be reached"))
        shutil.rmtree(self.path("chrony"))
        os.mkdir(self.path("chrony"), 0o700)
        self.chronyd.listen()
        self.chronyd.refid = script.VMCL
        eventually(lambda: os.path.exists(self.path(CHRONYD_LOCK)))
        self.conflicts("the chronyd of", state_file=self.path("s2"))

    def test_of_two_that_wait_for_one_chronyd_one_goes_on(self):
        self.chronyd.stop_listening(unlink=True)
        self.clock()
        one, two = self.daemon(), self.daemon(state_file=self.path("s2"))
        for daemon in (one, two):
            daemon.says("chronyd cannot be reached")
        self.assertTrue(one.running() and two.running())
        self.chronyd.listen()
        eventually(lambda: one.running() != two.running())
        stays, ends = (one, two) if one.running() else (two, one)
        self.assertEqual(ends.ends(), 1)
        self.assertTrue(ends.said(f"process {stays.pid()}", "the chronyd of"), ends.log())
        done = ends.ctl("status")
        self.assertEqual(done.returncode, NO_DAEMON)
        self.assertIn("vmclockd was stopped", done.stderr)
        self.assertEqual(os.listdir(self.path("chrony")).count(f"vmclockd.{ends.pid()}.sock"), 0)
        eventually(lambda: self.chronyd.samples_since(0))

    def test_a_removed_directory_of_the_state_file_is_locked_again(self):
        os.mkdir(self.path("run"))
        self.first(state_file=self.path("run/state"))
        shutil.rmtree(self.path("run"))
        eventually(lambda: os.path.exists(self.path("run/state.lock")))
        two = self.prepared(state_file=self.path("run/state"))
        two.start("-n")
        self.refused(two, "the state file", f"process {self.one.pid()},")

    def test_what_lies_in_the_lock_files_place_is_neither_followed_nor_waited_for(self):
        self.clock()
        lock = self.path(CHRONYD_LOCK)
        other = self.path("other")
        with open(other, "w", encoding="ascii") as file:
            file.write("other")

        def plain():
            with open(lock, "w", encoding="ascii"):
                pass
            os.chmod(lock, 0o666)

        def socket_file():
            subprocess.run(["python3", "-c",
                            f"import socket; socket.socket(socket.AF_UNIX).bind({lock!r})"],
                           check=True)

        for make in (lambda: os.symlink(other, lock), lambda: os.symlink("/nowhere", lock),
                     lambda: os.mkfifo(lock), plain, socket_file):
            make()
            since = time.time()
            daemon = self.daemon()
            self.feeding(since=since)
            self.assertTrue(os.path.isfile(lock) and not os.path.islink(lock))
            self.assertEqual(os.stat(lock).st_mode & 0o777, 0o600)
            self.assertEqual(daemon.said("cannot be locked"), [])
            self.assertEqual(daemon.stop(), 0)
        with open(other, encoding="ascii") as file:
            self.assertEqual(file.read(), "other")

    def test_where_there_can_be_no_lock_it_runs_and_warns_once(self):
        self.clock()
        os.makedirs(self.path(STATE_LOCK) + "/full")
        os.makedirs(self.path(CHRONYD_LOCK) + "/full")
        daemon = self.daemon()
        self.feeding()
        time.sleep(2.2)
        self.assertEqual(len(daemon.said("state.lock cannot be locked (Is a directory)")), 1)
        self.assertEqual(len(daemon.said("chronyd.sock.lock cannot be locked")), 1)
        self.assertEqual(daemon.stop(), 0)

    def test_a_reload_changes_nothing_of_it(self):
        self.first()
        self.one.configure(state_file=self.path("s2"), command_socket=self.path("c2/chronyd.sock"))
        self.one.send(signal.SIGHUP)
        self.one.says("was read again")
        self.one.configure(state_file=self.path("state"))
        self.conflicts("the chronyd of", state_file=self.path("s3"))
        self.assertFalse(os.path.exists(self.path("s2.lock")))
