# SPDX-License-Identifier: BSD-2-Clause
"""SIGTERM, SIGINT, SIGHUP, SIGUSR1 and what the service manager is told."""

import contextlib
import os
import shutil
import signal
import socket
import time

import scripted_chronyd as script
from daemon import NotifySocket
from harness import eventually
from scripted_case import ScriptedCase


class StopTest(ScriptedCase):
    weight = 9

    def test_sigterm_and_sigint_end_it_with_0(self):
        self.clock()
        for number in (signal.SIGTERM, signal.SIGINT):
            daemon = self.daemon()
            self.feeding(since=time.time())
            self.assertEqual(daemon.stop(number), 0)

    def test_it_ends_with_0_at_any_moment_of_its_start(self):
        self.clock()
        for milliseconds in (20, 25, 30, 40, 60, 100):
            daemon = self.daemon()
            # Before its handlers are there the signal's own effect is no fault of the daemon.
            daemon.says("")
            time.sleep(milliseconds * 1e-3 - 0.02)
            self.assertEqual(daemon.stop(), 0)

    def test_it_ends_with_0_at_any_moment_of_a_recovery(self):
        made = self.clock()
        slow = script.late(0.03)
        for command in (
            script.RESET_SOURCES,
            script.DFREQ,
            script.DOFFSET2,
            script.MAKESTEP,
            script.TRACKING,
        ):
            self.chronyd.always(command, slow)
        for milliseconds in (0, 2, 5, 8, 12, 20, 30, 45, 60, 80, 100, 130, 160, 200, 260):
            daemon = self.daemon()
            self.feeding(since=time.time())
            made.migrate(offset=(milliseconds + 10) * 1e-5)
            time.sleep(milliseconds * 1e-3)
            number = signal.SIGINT if milliseconds % 2 else signal.SIGTERM
            began = time.monotonic()
            self.assertEqual(daemon.stop(number), 0, f"after {milliseconds} ms")
            self.assertLess(time.monotonic() - began, 3)

    def test_it_ends_with_0_while_chronyd_is_silent(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        self.chronyd.always(script.RESET_SOURCES, script.silent)
        self.chronyd.always(script.TRACKING, script.silent)
        made.migrate(offset=1e-3)
        self.request(script.RESET_SOURCES)
        began = time.monotonic()
        self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.monotonic() - began, 5)


class SignalTest(ScriptedCase):
    weight = 3

    def test_sigusr1_recovers_without_a_disruption(self):
        for kind in ("clock", "marker"):
            with self.subTest(kind):
                getattr(self, kind)()
                daemon = self.daemon()
                daemon.reaches(mode="clock" if kind == "clock" else "marker-only")
                since = time.time()
                daemon.send(signal.SIGUSR1)
                status = self.recovered(daemon, 1 if kind == "clock" else 2)  # counted since the boot
                self.assertEqual(status["disruptions"], 0)
                self.assertEqual(status["last_recovery"]["cause"], "request")
                self.assertEqual(len(self.resets(since)), 1)
                if kind == "clock":
                    reset = self.resets(since)[0]
                    self.feeding(since=reset.answered)
                    self.assert_no_sample_between(reset.sent, reset.answered)
                daemon.stop()

    def test_sigusr1_does_not_hide_a_disruption_that_follows(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        daemon.send(signal.SIGUSR1)
        self.recovered(daemon, 1)
        made.migrate(offset=1e-3)
        status = self.recovered(daemon, 2)
        self.assertEqual(status["disruptions"], 1)
        self.assertNotEqual(status["last_recovery"]["cause"], "request")

    def test_many_signals_at_once_are_survived(self):
        self.clock()
        daemon = self.daemon()
        self.feeding()
        for _ in range(50):
            daemon.send(signal.SIGUSR1)
            daemon.send(signal.SIGHUP)
            time.sleep(0.002)
        self.feeding(since=time.time() + 0.2)
        self.assertEqual(daemon.stop(), 0)

    def test_a_log_that_nobody_reads_any_more_is_no_death_by_signal(self):
        made = self.clock()
        daemon = self.prepared()
        read, write = os.pipe()
        log = os.fdopen(read)
        daemon.start(stderr=write)
        os.close(write)
        self.feeding()
        log.close()
        made.migrate(offset=1e-3)  # something to say
        self.recovered(daemon)
        self.assertTrue(daemon.running())
        self.assertEqual(daemon.stop(), 0)


class EarlySignalTest(ScriptedCase):
    """What comes before the loop is there."""

    def starting(self, number):
        """Sent while the configuration is being read."""
        self.clock()
        daemon = self.prepared()
        trace = self.path("trace")
        daemon.start(
            wrapper=["strace", "-D", "-o", trace, "-P", daemon.configuration, "-e", "trace=openat",
                     "-e", "inject=openat:delay_exit=300000"],
        )  # fmt: skip
        eventually(lambda: os.path.exists(trace) and os.path.getsize(trace), every=0.005)
        daemon.send(number)
        return daemon

    def test_a_reload_waits_for_it(self):
        if not shutil.which("strace"):
            self.skipTest("no strace")
        self.starting(signal.SIGHUP).says("was read again")
        self.feeding()

    def test_a_request_waits_for_it(self):
        if not shutil.which("strace"):
            self.skipTest("no strace")
        daemon = self.starting(signal.SIGUSR1)
        status = self.recovered(daemon)
        self.assertEqual(status["last_recovery"]["cause"], "request")

    def test_what_is_closed_is_not_given_to_another_file(self):
        """Descriptors 0 to 2 closed: no log line ends up in a file of ours, or in chronyd's socket."""
        self.clock()
        daemon = self.prepared()
        daemon.start("-v", wrapper=["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"])
        self.feeding()
        eventually(lambda: os.path.exists(self.path("chrony/vmclockd.chronyd.sock.lock")))
        for name in "state.lock", "chrony/vmclockd.chronyd.sock.lock":
            self.assertEqual(os.path.getsize(self.path(name)), 0)
        for number in "012":
            self.assertEqual(os.readlink(f"/proc/{daemon.pid()}/fd/{number}"), "/dev/null")


class ReloadTest(ScriptedCase):
    def interval(self):
        """The mean time between the newest samples."""
        times = [s.sent for s in self.chronyd.samples[-6:]]
        return (times[-1] - times[0]) / 5 if len(times) == 6 else 0

    def test_sighup_takes_the_new_configuration(self):
        self.clock()
        daemon = self.daemon(sample_interval="20ms")
        self.feeding(samples=10)
        daemon.configure(sample_interval="200ms")
        daemon.send(signal.SIGHUP)
        eventually(lambda: self.interval() > 0.15)
        self.assertEqual(self.resets(), [])

    def test_a_path_that_stays_until_the_next_start_still_takes_its_place(self):
        self.clock()
        daemon = self.daemon(state_file=self.path("state.prom"))
        self.feeding()
        daemon.configure(state_file=self.path("another"), metrics_file=self.path("state.prom"))
        daemon.send(signal.SIGHUP)
        daemon.says("metrics-file", "the same place as state-file")
        daemon.says("the configuration is left as it was")
        daemon.stop()
        with open(self.path("state.prom"), encoding="utf-8") as file:
            self.assertIn("end = yes", file.read())

    def test_a_fifo_among_the_files_is_an_error_and_is_not_waited_for(self):
        self.clock()
        daemon = self.daemon()
        self.feeding()
        dropins = daemon.configuration + ".d"
        os.mkdir(dropins)
        os.mkfifo(os.path.join(dropins, "a.conf"))
        daemon.send(signal.SIGHUP)
        daemon.says("a.conf", "cannot read the configuration")
        self.feeding(since=time.time())
        self.assertTrue(daemon.reaches(config_rejected=True))

    def test_sighup_with_a_bad_configuration_keeps_the_old_one_and_says_so(self):
        self.clock()
        daemon = self.daemon(sample_interval="20ms")
        self.feeding(samples=10)
        daemon.write_configuration("# changed\nsample-interval = 200ms\ncolour = blue\n")
        since = time.time()
        daemon.send(signal.SIGHUP)
        daemon.says(f"{daemon.configuration}:3", "colour", since=since)
        self.feeding(since=time.time(), samples=10)
        self.assertLess(self.interval(), 0.1)
        self.assertEqual(daemon.stop(), 0)

    def test_sighup_takes_drop_ins_and_their_mistakes(self):
        self.clock()
        daemon = self.daemon(sample_interval="50ms")
        self.feeding()
        os.mkdir(daemon.configuration + ".d")
        path = daemon.configuration + ".d/10-local.conf"
        for content, answer in (
            ("sample-interval = 1h\n", f"{path}:1: sample-interval"),
            ("sample-interval = 500ms\ndevice = /dev/vmclock7\n", "takes effect at the next start"),
        ):
            with open(path, "w", encoding="utf-8") as file:
                file.write(content)
            daemon.send(signal.SIGHUP)
            daemon.says(answer)
        self.assertTrue(daemon.said("the configuration is left as it was"))
        self.assertTrue(daemon.said("device = /dev/vmclock7"))
        daemon.says("was read again")
        eventually(lambda: self.interval() > 0.4)

    def test_sighup_without_a_configuration_keeps_the_old_one(self):

        self.clock()
        daemon = self.daemon()
        self.feeding()
        os.unlink(daemon.configuration)
        since = time.time()
        daemon.send(signal.SIGHUP)
        daemon.says(daemon.configuration, since=since)
        self.feeding(since=time.time() + 0.1)
        daemon.configure()

    def test_sighup_in_a_recovery_does_not_lose_it(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        self.chronyd.script(script.RESET_SOURCES, script.late(0.15))
        made.migrate(offset=1e-3)
        reset = self.request(script.RESET_SOURCES)
        daemon.send(signal.SIGHUP)
        self.recovered(daemon)
        eventually(lambda: reset.answered)
        self.feeding(since=reset.answered)
        self.assertEqual(daemon.status()["disruptions"], 1)

    def test_sighup_to_another_chronyd_resets_the_one_that_is_fed(self):

        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        os.mkdir(self.path("other"), 0o700)
        other = self.witness(
            script.ScriptedChronyd(
                os.path.join(self.path("other"), "ref.sock"),
                os.path.join(self.path("other"), "chronyd.sock"),
            ).start()
        )
        daemon.configure(sock=other.sock_path, command_socket=other.command_path)
        since = time.time()
        daemon.send(signal.SIGHUP)
        daemon.says("", since=since)
        made.migrate(offset=1e-3)
        self.recovered(daemon)
        since = time.time() + 0.1
        eventually(lambda: other.samples_since(since) or self.chronyd.samples_since(since))
        # Both of its sockets or, until the next start, neither.
        self.assertEqual(bool(other.samples_since(since)), bool(other.sent(script.RESET_SOURCES)))
        self.assertEqual(bool(self.chronyd.samples_since(since)), bool(self.resets()))


class ServiceManagerTest(ScriptedCase):
    def notified(self, *options, watchdog_usec=None):
        self.notify = self.witness(NotifySocket(self.path("notify")))
        environment = {"NOTIFY_SOCKET": self.notify.path}
        if watchdog_usec:
            environment["WATCHDOG_USEC"] = str(watchdog_usec)
        made = self.clock()
        return made, self.daemon(*options, environment=environment)

    def assignments(self, name):
        return self.notify.assignments(name)

    def test_it_is_ready_and_says_what_it_does(self):
        made, daemon = self.notified()
        eventually(lambda: self.assignments("READY") and self.assignments("STATUS"))
        self.assertEqual([value for _, value in self.assignments("READY")], ["1"])
        self.assertTrue(all(value for _, value in self.assignments("STATUS")))
        before = len(self.assignments("STATUS"))
        self.feeding()
        made.migrate(offset=1e-3)
        self.recovered(daemon)
        eventually(lambda: len(self.assignments("STATUS")) > before, "a new status")

    def test_a_dry_run_says_nothing_of_a_chronyd_that_it_does_not_ask(self):
        self.notified("-n")
        eventually(lambda: self.assignments("STATUS"))
        self.assertTrue(self.assignments("STATUS")[0][1].endswith("; chronyd is not asked"))

    def test_it_says_that_it_stops(self):
        _, daemon = self.notified()
        eventually(lambda: self.assignments("READY"))
        self.assertEqual(self.assignments("STOPPING"), [])
        self.assertEqual(daemon.stop(), 0)
        eventually(lambda: self.assignments("STOPPING"))

    def test_a_reload_is_announced_and_ended(self):
        for good in (True, False):
            with self.subTest(good=good):
                _, daemon = self.notified()
                eventually(lambda: self.assignments("READY"))
                if not good:
                    daemon.write_configuration("colour = blue\n")
                before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
                daemon.send(signal.SIGHUP)
                eventually(lambda: self.assignments("RELOADING"))
                eventually(lambda: len(self.assignments("READY")) == 2)
                began = int(self.assignments("MONOTONIC_USEC")[0][1])
                self.assertGreaterEqual(began, before)
                texts = [text for _, text in self.notify.received if "RELOADING=1" in text]
                self.assertIn("MONOTONIC_USEC=", texts[0], "both in one message")
                daemon.configure()
                daemon.stop()
                self.notify.stop()
                self.notify.received.clear()

                os.unlink(self.notify.path)

    def test_it_feeds_the_watchdog(self):
        _, daemon = self.notified(watchdog_usec=400_000)
        eventually(lambda: len(self.assignments("WATCHDOG")) >= 6)
        times = [when for when, _ in self.assignments("WATCHDOG")]
        for first, second in zip(times, times[1:]):
            self.assertLess(second - first, 0.4)
        self.assertTrue(daemon.running())

    def test_it_feeds_the_watchdog_in_a_recovery_without_answers(self):
        self.chronyd.always(script.RESET_SOURCES, script.silent)
        made, _ = self.notified(watchdog_usec=400_000)
        self.feeding()
        made.disrupt()
        self.request(script.RESET_SOURCES)
        since = time.time()
        eventually(lambda: self.assignments("WATCHDOG")[-1][0] > since + 1.5)
        times = [when for when, _ in self.assignments("WATCHDOG")]
        for first, second in zip(times, times[1:]):
            self.assertLess(second - first, 0.4)

    def test_a_watchdog_of_another_process_is_not_ours(self):
        self.notify = self.witness(NotifySocket(self.path("notify")))
        self.clock()
        self.daemon(
            environment={
                "NOTIFY_SOCKET": self.notify.path,
                "WATCHDOG_USEC": "100000",
                "WATCHDOG_PID": "1",
            }
        )
        eventually(lambda: self.assignments("READY"))
        self.feeding(samples=20)
        self.assertEqual(self.assignments("WATCHDOG"), [])

    def test_a_service_manager_that_does_not_read_is_not_waited_for(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as frozen:
            frozen.bind(self.path("notify"))
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
                filler.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        filler.sendto(b"X=1", self.path("notify"))
            made = self.clock()
            daemon = self.daemon(environment={"NOTIFY_SOCKET": self.path("notify")})
            self.feeding()
            made.migrate(offset=1e-3)
            self.recovered(daemon)
            # It is told when it reads again.
            frozen.settimeout(5)
            while b"READY=1" not in frozen.recv(4096):
                pass
            self.assertEqual(daemon.stop(), 0)

    def test_a_notify_socket_that_is_not_there_is_no_obstacle(self):
        self.clock()
        self.daemon(environment={"NOTIFY_SOCKET": self.path("nobody")})
        self.feeding()
