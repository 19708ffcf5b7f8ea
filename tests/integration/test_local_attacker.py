# SPDX-License-Identifier: BSD-2-Clause
"""Another user of this machine, who means harm: doc/threat-model.md."""

import contextlib
import os
import pwd
import signal
import socket
import stat
import time
import unittest

import faults
import harness
import page
import real_chronyd
import scripted_chronyd as script
from faults import SIGNAL_AFTER, Fault
from harness import Case, eventually
from scripted_case import ScriptedCase

NOBODY = 65534


def as_nobody(action):
    """Run it as another user, in a process of its own; True, or the error's name."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        answer = "True"
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            action()
        except BaseException as error:
            answer = type(error).__name__
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text == "True" or text


def send_to(path, data=b"x" * 40):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, path)


def open_to_others(case):
    """All on the way to the test's directory, so that permissions inside it are what counts."""
    os.chmod(harness.ROOT, 0o711)
    os.chmod(case.dir, 0o711)


@unittest.skipIf(os.geteuid() != 0, "only root can become another user")
class NeighbourTest(ScriptedCase):
    def setUp(self):
        super().setUp()
        open_to_others(self)
        self.victim = self.path("victim")
        with open(self.victim, "w", encoding="ascii") as file:
            file.write("untouched")
        os.chmod(self.victim, 0o600)

    def assert_untouched(self):
        with open(self.victim, encoding="ascii") as file:
            self.assertEqual(file.read(), "untouched")
        self.assertEqual(stat.S_IMODE(os.stat(self.victim).st_mode), 0o600)

    def nobodys_directory(self, name):
        os.mkdir(self.path(name), 0o777)
        os.chown(self.path(name), NOBODY, NOBODY)
        return self.path(name)

    def own_socket(self, daemon):
        directory = os.path.dirname(self.chronyd.command_path)
        return os.path.join(directory, f"vmclockd.{daemon.pid()}.sock")

    # To answer in chronyd's place.

    def test_another_user_cannot_reach_the_reply_socket_even_if_the_directory_lets_him(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        os.chmod(os.path.dirname(self.chronyd.command_path), 0o777)
        self.chronyd.always(script.RESET_SOURCES, script.silent)
        made.migrate(offset=1e-3)
        reset = self.request(script.RESET_SOURCES)
        forged = self.chronyd.good_reply(reset)
        path = self.own_socket(daemon)
        self.assertEqual(as_nobody(lambda: send_to(path, forged)), "PermissionError")
        time.sleep(0.1)
        self.assertEqual(daemon.said("chronyd confirmed"), [])
        self.chronyd.always(script.RESET_SOURCES, script.ok)
        self.recovered(daemon)

    def test_what_lies_in_the_reply_socket_before_it_is_connected_is_thrown_away(self):
        if not os.path.exists(harness.program(faults.LIBRARY)):
            self.skipTest(f"{faults.LIBRARY} is not built")
        os.chmod(os.path.dirname(self.chronyd.command_path), 0o777)
        self.clock()
        fault = Fault(self.path("fault")).be(SIGNAL_AFTER, signal.SIGSTOP)
        fault.arm(1, only="bind")
        daemon = self.prepared().start(environment=fault.environment())
        eventually(fault.struck)
        path = self.own_socket(daemon)
        self.assertTrue(as_nobody(lambda: send_to(path, b"forged")))
        fault.disarm()
        daemon.send(signal.SIGCONT)
        daemon.reaches(state="feeding")
        self.assertEqual(daemon.said("is ignored"), [])

    def looking_for_chronyd(self):
        """Where anybody may make files: page, daemon, and the path that its socket will have."""
        os.chmod(os.path.dirname(self.chronyd.command_path), 0o777)
        made = self.clock()
        self.chronyd.stop_listening(unlink=True)
        daemon = self.daemon()
        daemon.reaches(mode="clock")
        return made, daemon, self.own_socket(daemon)

    def test_a_link_where_the_reply_socket_is_to_be_leads_nowhere(self):
        made, daemon, path = self.looking_for_chronyd()
        for thing in (
            lambda: os.symlink(self.victim, path),
            lambda: os.symlink("/nowhere", path),
            lambda: os.mkfifo(path),
        ):
            # It looks for chronyd all the time and clears its own path.
            eventually(lambda: as_nobody(thing) is True)
            time.sleep(0.05)
        self.chronyd.listen()
        made.migrate(offset=1e-3)
        self.recovered(daemon)
        self.assert_untouched()

    def test_a_directory_in_its_place_is_logged_and_waited_out(self):
        made, daemon, path = self.looking_for_chronyd()
        eventually(lambda: as_nobody(lambda: os.mkdir(path)) is True)
        self.chronyd.listen()
        made.migrate(offset=1e-3)
        daemon.says("cannot be reached")
        os.rmdir(path)
        self.recovered(daemon)

    # To replace the SOCK path.

    def test_a_link_in_the_sock_paths_place_gets_samples_and_nothing_else(self):
        directory = self.nobodys_directory("theirs")
        sock = os.path.join(directory, "ref.sock")
        self.assertTrue(as_nobody(lambda: os.symlink(self.victim, sock)))
        self.clock()
        daemon = self.prepared()
        daemon.configure(sock=sock)
        daemon.start()
        daemon.says("samples cannot be sent", sock)
        self.assert_untouched()

    # To make us write elsewhere.

    def written(self, name, **settings):
        """A daemon whose `name` file is in a directory where another user may write."""
        directory = self.nobodys_directory("theirs")
        path = os.path.join(directory, "file.prom")
        for thing in (
            lambda: os.symlink(self.victim, path + ".new"),
            lambda: os.mkfifo(path + ".new"),
            lambda: open(path + ".new", "x", encoding="ascii").close(),
        ):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path + ".new")
            self.assertTrue(as_nobody(thing))
            self.clock()
            daemon = self.prepared(**{name: path})
            daemon.start()
            eventually(lambda: os.path.exists(path) and os.stat(path).st_uid == 0)
            self.assertFalse(os.path.islink(path))
            self.assertEqual(daemon.stop(), 0)
            self.assert_untouched()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def test_the_state_file_is_written_nowhere_else_and_into_no_file_of_others(self):
        self.written("state_file")

    def test_nor_is_the_metrics_file(self):
        self.written("metrics_file")

    def test_a_socket_or_a_device_in_its_place_is_left_alone(self):
        self.clock()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.bind(self.path("state"))
        os.mkfifo(self.path("m.prom"))
        daemon = self.daemon(metrics_file=self.path("m.prom"))
        daemon.says("state", "cannot be written: something else is there")
        daemon.says("m.prom", "cannot be written: something else is there")
        self.feeding()
        self.assertEqual(daemon.stop(), 0)
        self.assertTrue(stat.S_ISSOCK(os.lstat(self.path("state")).st_mode))
        self.assertTrue(stat.S_ISFIFO(os.lstat(self.path("m.prom")).st_mode))

    def test_a_hard_link_to_a_file_of_ours_is_not_written_through(self):
        directory = self.nobodys_directory("theirs")
        path = os.path.join(directory, "state")
        os.link(self.victim, path + ".new")  # where fs.protected_hardlinks is off
        self.clock()
        daemon = self.prepared(state_file=path)
        daemon.start()
        eventually(lambda: os.path.exists(path))
        self.assertEqual(daemon.stop(), 0)
        self.assert_untouched()

    def test_a_state_file_of_another_user_is_not_believed(self):
        made = self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        self.assertEqual(daemon.stop(), 0)
        made.migrate(offset=1e-3)
        os.chown(daemon.settings["state_file"], NOBODY, NOBODY)
        daemon.start()
        daemon.says("the state file", "belongs to another user")
        daemon.reaches(state="feeding", disruptions=0)
        self.assertEqual(os.stat(daemon.settings["state_file"]).st_uid, 0)

    # To read or to do what he should not.

    def test_another_user_may_look_at_the_status_and_ask_for_nothing(self):
        self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        for name in os.listdir(self.dir):
            mode = os.stat(self.path(name)).st_mode
            self.assertFalse(mode & 0o022 and stat.S_ISREG(mode), name)
        state = daemon.settings["state_file"]
        self.assertTrue(as_nobody(lambda: open(state, "rb").close()))
        for forbidden in (
            lambda: open(state, "ab").close(),
            lambda: os.unlink(state),
            lambda: os.kill(daemon.pid(), signal.SIGUSR1),
            lambda: send_to(self.chronyd.command_path),
            lambda: send_to(self.chronyd.sock_path),
        ):
            self.assertEqual(as_nobody(forbidden), "PermissionError")
        self.assertEqual(daemon.status()["recoveries"], 0)


@unittest.skipIf(os.geteuid() != 0, "only root can become another user")
@unittest.skipIf(real_chronyd.missing(), real_chronyd.missing())
class RealChronydNeighbourTest(Case):
    def test_only_root_may_feed_the_real_chronyd(self):
        open_to_others(self)
        chronyd = self.witness(real_chronyd.RealChronyd(self.path("chrony"))).start()
        os.chmod(chronyd.directory, 0o755)
        page.Counter.needed()
        self.assertEqual(pwd.getpwuid(os.stat(chronyd.sock_path).st_uid).pw_name, "root")
        for path in (chronyd.sock_path, chronyd.command_path):
            mode = stat.S_IMODE(os.stat(path).st_mode)
            with self.subTest(path, mode=oct(mode)):
                self.assertEqual(as_nobody(lambda path=path: send_to(path)), "PermissionError")
