# SPDX-License-Identifier: BSD-2-Clause
"""chronyd failing at every command of a recovery's exchange, in every way that it can; and the
device going away at each of them."""

import os
import shutil
import signal
import socket
import time

import faults
import page
import scripted_chronyd as script
from harness import eventually
from scripted_case import ScriptedCase

MISBEHAVIOURS = {
    "the request is lost": script.silent,
    "the reply is late": script.late(0.02),
    "the reply is too late": script.late(0.3),
    "the reply comes twice": script.doubled,
    "the reply comes again later": lambda chronyd, request: (
        chronyd.reply(request),
        chronyd.later(0.004, lambda: chronyd.send(chronyd.good_reply(request), request.sender)),
    ),
    "the one before comes again first": lambda chronyd, request: chronyd.after_an_old_one(request),
    "refused": script.refuse(script.FAILED),
    "unauthorised": script.refuse(script.UNAUTHORISED),
    "unknown to it": script.refuse(script.INVALID),
    "killed, and back at once": script.restarting(0),
    "killed, and back later": script.restarting(0.1),
    "killed and removed": lambda chronyd, request: chronyd.vanish(0.1),
    "its directory is removed": lambda chronyd, request: chronyd.vanish(0.1, directory=True),
    "frozen": lambda chronyd, request: chronyd.frozen_for(0.35),
    "frozen, then carried out": lambda chronyd, request: (
        chronyd.later(0.35, lambda: chronyd.reply(request)),
        chronyd.frozen_for(0.3),
    ),
    "replaced by an older version": lambda chronyd, request: chronyd.replaced(),
    "another sequence": script.GARBAGE["other sequence"],
    "garbage": script.GARBAGE["random"],
    "cut short": script.GARBAGE["short"],
}


class Misbehaving(script.ScriptedChronyd):
    """Does all as it should, but for the n-th command from now on."""

    countdown, misbehaviour, struck = 0, None, None
    last = None  # the reply before this one
    old = False  # without DFREQ and DOFFSET2

    def misbehave(self, nth, how):
        with self._lock:
            self.countdown, self.misbehaviour, self.struck = nth, how, None

    def behave(self):
        with self._lock:
            self.countdown, self.old = 0, False
            return self.struck

    def reply(self, request, status=None):
        if self.old and request.command in (script.DFREQ, script.DOFFSET2):
            status = script.INVALID
        super().reply(request, status)
        self.last = self.good_reply(request)

    def _request(self, sock):
        with self._lock:
            self.countdown -= 1
            if self.countdown != 0:
                return super()._request(sock)
            raw, sent, sender = self._receive(sock)
            request = script.Request(raw, sent, sender)
            self.requests.append(request)
            self.struck = script.NAMES[request.command]
            self.misbehaviour(self, request)

    def after_an_old_one(self, request):
        if self.last:
            self.send(self.last, request.sender)
        self.reply(request)

    def vanish(self, seconds, directory=False):
        self.stop_listening(unlink=True)
        place = os.path.dirname(self.command_path)
        if directory:
            shutil.rmtree(place)

        def back():
            os.makedirs(place, exist_ok=True)
            self.listen()

        self.later(seconds, back)

    def frozen_for(self, seconds):
        self.freeze()
        self.later(seconds, self.thaw)

    def replaced(self):
        self.old = True
        self.stop_listening()
        self.later(0.05, self.listen)


class PartnerFaultCase(ScriptedCase):
    limit = 1500 if faults.EVERYTHING else 120
    settings = {"sample_interval": "2ms", "watch_interval": "1ms", "boost": "192.0.2.1 4 6"}
    weight = 20
    kind = None
    offset = 1e-3

    def setUp(self):
        super().setUp()
        self.chronyd.stop()
        directory = self.path("chronyd")  # not where the state file is: it may be removed
        os.mkdir(directory)
        self.chronyd = self.witness(
            Misbehaving(os.path.join(directory, "ref.sock"), os.path.join(directory, "cmd.sock"))
        )
        self.chronyd.selects_after = 2
        self.chronyd.start()
        self.chronyd.refid = script.VMCL
        self.made = getattr(self, self.kind)()
        self.daemon_ = self.daemon()
        self.daemon_.reaches(state="feeding" if self.kind == "clock" else "watching")

    def counts(self):
        with open(self.daemon_.settings["state_file"], encoding="ascii") as file:
            self.state = dict(line.rstrip("\n").split(" = ", 1) for line in file)
        return int(self.state["disruptions"]), int(self.state["recoveries"])

    def disrupt(self):
        if self.kind == "clock":
            self.offset = -self.offset  # a formula that goes on as before is waited out
            self.made.migrate(offset=self.offset)
        else:
            self.made.disrupt()

    def over(self):
        """The disruption is over, its reset confirmed, whatever came between."""
        disruptions, recoveries = self.counts()
        return (
            disruptions == self.before[0] + 1
            and recoveries >= self.before[1] + 1
            and self.state["state"] == ("feeding" if self.kind == "clock" else "watching")
            and self.state["last_recovery.outcome"] == "synchronised"
        )

    def enumerate(self, stride=7):
        struck = 0
        for name, how in MISBEHAVIOURS.items():
            for nth in faults.through(name + self.kind, stride):
                self.before = self.counts()
                what = f"{name}, command {nth}"
                since = time.time()
                listened = len(self.chronyd.listened)
                self.chronyd.misbehave(nth, how)
                self.disrupt()
                eventually(self.over, lambda: f"{what}, {self.chronyd.struck}: {self.state}", 20)
                command = self.chronyd.behave()
                if not command:
                    break
                struck += 1
                # A chronyd that was started again needs a reset of its own.
                lives = 1 + len(self.chronyd.listened) - listened
                more = self.counts()[1] - self.before[1]
                self.assertLessEqual(more, lives, f"{what}, {command}")
                self.holds_samples(since, f"{what}, {command}")
                if not faults.EVERYTHING:
                    break
        self.done(struck, len(MISBEHAVIOURS) // 2)

    def done(self, struck, minimum):
        """The daemon ends, and leaves chronyd's settings as they were."""
        self.assertGreaterEqual(struck, minimum)
        if faults.EVERYTHING:
            print(f"{self.id()}: {struck} faults", flush=True)
        self.assertEqual(self.daemon_.stop(), 0)
        self.assertEqual(self.daemon_.said("will be restored"), [])
        for command, setting in (
            (script.MODIFY_MAKESTEP, (0, 1.0)),  # used up before
            (script.MODIFY_MINPOLL, ("192.0.2.1", 4)),
            (script.MODIFY_MAXPOLL, ("192.0.2.1", 6)),
        ):
            sent = self.chronyd.sent(command)
            self.assertTrue(sent or self.kind == "clock")
            self.assertEqual([r.data for r in sent[-1:]], [setting] * len(sent[-1:]))

    def holds_samples(self, since, what):
        """Each reset that was confirmed stands before the samples of its disruption."""
        resets = self.resets(since)
        answered = [r for r in resets if r.answered]
        self.assertTrue(answered, what)
        early = [s for s in self.chronyd.samples_since(resets[0].sent) if s.sent < answered[0].sent]
        self.assertEqual(early, [], what)
        self.chronyd.samples.clear()


class ClockPartnerFaultTest(PartnerFaultCase):
    kind = "clock"

    def test_no_misbehaviour_at_any_command_loses_or_invents_a_reset(self):
        self.enumerate()


class MarkerPartnerFaultTest(PartnerFaultCase):
    kind = "marker"

    def test_no_misbehaviour_at_any_command_loses_or_invents_a_reset(self):
        self.enumerate()


class LostDeviceFaultCase(PartnerFaultCase):
    """The device is gone when chronyd answers the n-th command, and comes back later."""

    def come_back(self, marker, offset):
        """What was mapped before may not be touched any more."""
        fields = {"offset": offset} if self.kind == "clock" else {}
        make = page.clock_page if self.kind == "clock" else page.marker_page
        self.made = make(self.path("fresh"), disruption_marker=marker, **fields)
        os.rename(self.made.path, self.path("page"))
        self.made.path = self.path("page")

    def lose_at(self, nth, lose, moved):
        """False if there is no such command; `moved`: another host's page comes back."""
        self.before = self.counts()
        what = f"{lose.__name__}, command {nth}, moved {moved}"
        since = time.time()
        self.chronyd.misbehave(
            nth, lambda chronyd, request: (lose(self.made.path), chronyd.reply(request))
        )
        marker = self.made.fields.disruption_marker + 1
        self.disrupt()
        eventually(lambda: self.chronyd.struck or self.over(), what)
        if not self.chronyd.behave():
            return False
        self.daemon_.says("the device is lost", since=since)
        if moved:
            self.offset = -self.offset
            self.before = (self.before[0] + 1, self.before[1] + 1)
        self.come_back(marker + moved, self.offset)
        self.daemon_.says("the page is valid again", since=since)
        eventually(self.over, lambda: f"{what}: {self.state}")
        self.assertEqual(self.counts()[1], self.before[1] + 1, what)
        self.assertEqual(len(self.daemon_.said("the device is lost", since=since)), 1, what)
        self.holds_samples(since, what)
        return True

    def enumerate_losses(self, stride=5):
        def removed(path):
            os.unlink(path)

        def truncated(path):
            os.truncate(path, 0)

        struck = 0
        for lose in (removed, truncated):
            for moved in (False, True):
                for nth in faults.through(f"{lose.__name__} {moved} {self.kind}", stride):
                    if not self.lose_at(nth, lose, moved):
                        break
                    struck += 1
        self.done(struck, 4)


class ClockLostDeviceFaultTest(LostDeviceFaultCase):
    kind = "clock"

    def test_no_loss_of_the_device_at_any_command_loses_or_invents_a_reset(self):
        self.enumerate_losses()


class MarkerLostDeviceFaultTest(LostDeviceFaultCase):
    kind = "marker"

    def test_no_loss_of_the_device_at_any_command_loses_or_invents_a_reset(self):
        self.enumerate_losses()


class ReplacedTest(ScriptedCase):
    def test_a_newer_chronyd_gets_what_the_older_one_did_not_know(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        for command in (script.DFREQ, script.DOFFSET2):
            self.chronyd.always(command, script.refuse(script.INVALID))
        made.migrate(offset=1e-3)
        self.recovered(daemon, 1)
        daemon.reaches(state="feeding")
        self.chronyd.stop_listening()
        for command in (script.DFREQ, script.DOFFSET2):
            self.chronyd.always(command, script.ok)
        since = time.time()
        self.chronyd.listen()
        self.feeding(since=since)
        eventually(lambda: daemon.status()["chronyd"]["reachable"])
        self.request(script.TRACKING, since=since)
        since = time.time()
        made.migrate(offset=2e-3)
        self.request(script.DOFFSET2, since=since)


class ReplySocketTest(ScriptedCase):
    """Our own socket's path, to which chronyd replies, in a directory that is another user's."""

    def reply_socket(self, daemon):
        return self.path(f"chrony/vmclockd.{daemon.pid()}.sock")

    def move_directory(self, _):
        os.rename(self.path("chrony"), self.path("old"))
        os.mkdir(self.path("chrony"), 0o700)
        for name in ("chronyd.sock", "vmclock.sock"):
            os.rename(self.path(f"old/{name}"), self.path(f"chrony/{name}"))

    def replace_by_a_file(self, path):
        os.unlink(path)
        with open(path, "w", encoding="ascii"):
            pass

    def test_it_is_bound_again_where_it_was_removed(self):
        for remove in (os.unlink, self.replace_by_a_file, self.move_directory):
            with self.subTest(remove.__name__):
                made = self.clock()
                daemon = self.daemon()
                self.feeding(since=time.time())
                self.request(script.TRACKING, since=time.time())
                remove(self.reply_socket(daemon))
                since = time.time()
                self.request(script.TRACKING, 2, since=since)
                eventually(lambda: self.chronyd.sent(script.TRACKING, since)[0].answered)
                self.assertTrue(os.path.exists(self.reply_socket(daemon)))
                made.migrate(offset=1e-3)
                self.recovered(daemon)
                self.feeding(since=time.time())
                self.assertEqual(len(self.resets(since)), 1)
                self.assertEqual(daemon.said("chronyd does not answer"), [])
                self.assertEqual(daemon.said("chronyd cannot be reached"), [])
                self.assertEqual(daemon.stop(), 0)
                self.assertEqual(os.listdir(self.path("chrony")).count("chronyd.sock"), 1)
                self.assertFalse(os.path.exists(self.reply_socket(daemon)))
                os.unlink(daemon.settings["state_file"])

    def test_it_is_bound_again_where_it_was_removed_before_the_reply(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()

        def answer(chronyd, request):
            os.unlink(self.reply_socket(daemon))
            chronyd.reply(request)

        self.chronyd.script(script.RESET_SOURCES, answer)
        made.migrate(offset=1e-3)
        self.recovered(daemon)
        self.feeding(since=time.time())
        self.assertLessEqual(len(self.resets()), 2)
        self.assertEqual(daemon.said("chronyd cannot be reached"), [])

    def test_what_was_meant_for_one_chronyd_is_not_sent_to_the_next(self):
        made = self.marker()
        self.daemon()
        self.request(script.TRACKING)
        restarted = []

        def answer(chronyd, request):
            chronyd.reply(request)
            chronyd.stop_listening()
            shutil.rmtree(self.path("chrony"))
            os.mkdir(self.path("chrony"), 0o700)
            chronyd.listen()
            restarted.append(time.time())

        self.chronyd.script(script.RESET_SOURCES, answer)
        made.disrupt()
        first = eventually(
            lambda: restarted and [r for r in self.chronyd.requests if r.sent > restarted[0]]
        )[0]
        self.assertIn(first.command, (script.TRACKING, script.RESET_SOURCES))


class FullQueueTest(ScriptedCase):
    def test_a_reset_that_finds_no_room_is_sent_when_there_is_some(self):
        made = self.marker()
        daemon = self.daemon()
        self.request(script.TRACKING)
        daemon.reaches(mode="marker-only")
        self.request(script.TRACKING, since=time.time())  # the next is a second away
        self.chronyd.freeze()
        since = time.time()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as another:
            another.setblocking(False)
            with self.assertRaises(BlockingIOError):
                while True:
                    another.sendto(b"", self.chronyd.command_path)
        made.disrupt()
        time.sleep(6)  # longer than unanswered resets are repeated for
        self.assertEqual(daemon.status()["state"], "recovering")
        self.chronyd.thaw(drop=True)
        self.request(script.RESET_SOURCES, since=since)
        self.recovered(daemon)
        self.assertEqual(len(self.resets(since)), 1)


class AwayTest(ScriptedCase):
    """chronyd does not take samples, then the marker changes, then it does."""

    def stopped(self):
        self.chronyd.freeze()
        time.sleep(2)
        self.disrupted()
        time.sleep(1)
        self.chronyd.thaw()

    def restarted(self):
        self.chronyd.stop_listening()
        time.sleep(1)
        self.disrupted()
        time.sleep(1)
        self.chronyd.listen()

    def disrupted(self):
        self.made.migrate(offset=1e-3)
        self.since = time.time()

    def test_a_disruption_has_one_recovery(self):
        for how in (self.stopped, self.restarted):
            with self.subTest(how.__name__):
                self.made = self.clock()
                daemon = self.daemon()
                self.feeding(since=time.time())
                self.chronyd.selects_after = 40  # without a reference for two seconds
                how()
                self.recovered(daemon)
                time.sleep(1)
                self.feeding(since=time.time())
                status = daemon.status()
                self.assertEqual(status["last_recovery"]["cause"], "marker")
                self.assertEqual((status["disruptions"], status["recoveries"]), (1, 1))
                self.assertEqual(len(self.resets(self.since)), 1)
                self.assertEqual(daemon.stop(), 0)
                self.chronyd.selects_after = 4
                os.unlink(daemon.settings["state_file"])


class StoppedTest(ScriptedCase):
    """The daemon itself does not run for a while, as in a debugger or on a host that is full."""

    seconds = 60 if faults.EVERYTHING else 3
    limit = 200

    def test_a_disruption_while_it_was_stopped_is_met_when_it_goes_on(self):
        for kind in ("clock", "marker"):
            made = getattr(self, kind)()
            daemon = self.daemon()
            daemon.reaches(state="feeding" if kind == "clock" else "watching")
            daemon.send(signal.SIGSTOP)
            time.sleep(self.seconds / 2)
            since = time.time()
            if kind == "clock":
                made.migrate(offset=1e-3)
            else:
                made.disrupt()
            time.sleep(self.seconds / 2)
            daemon.send(signal.SIGCONT)
            self.recovered(daemon)
            time.sleep(0.1)
            self.assertEqual(len(self.resets(since)), 1)
            self.assertEqual(daemon.status()["disruptions"], 1)
            self.assertEqual(daemon.stop(), 0)
            os.unlink(daemon.settings["state_file"])

    def test_a_stop_in_the_middle_of_a_recovery_is_gone_on_from(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        self.chronyd.script(script.RESET_SOURCES, script.late(0.1))
        made.migrate(offset=1e-3)
        self.request(script.RESET_SOURCES)
        daemon.send(signal.SIGSTOP)
        time.sleep(self.seconds / 2)
        daemon.send(signal.SIGCONT)
        self.recovered(daemon)
        self.feeding(since=time.time())
        self.assertEqual(len(self.resets()), 1, "its reply had come meanwhile")
        self.assertEqual(daemon.status()["disruptions"], 1)
        self.assertEqual(daemon.confirmations(1), 1)
