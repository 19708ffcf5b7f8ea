# SPDX-License-Identifier: BSD-2-Clause
"""Every call of the C library that vmclockd makes, failing in turn: at its start, in a recovery, at
the second's housekeeping, at a reload and at its stop."""

import errno
import os
import signal
import time

import faults
from faults import FAIL, SHORT, SIGNAL_AFTER, SIGNAL_BEFORE, Fault
from harness import eventually
from scripted_case import ScriptedCase

SANITIZED = "sanitized/vmclockd"
LOGGING = ("poll", "write")  # what fails there may be a line of the log


class FaultCase(ScriptedCase):
    limit = 1500 if faults.EVERYTHING else 120
    settings = {"sample_interval": "2ms", "watch_interval": "1ms"}
    needs = (SANITIZED, faults.LIBRARY)
    weight = 20

    def setUp(self):
        super().setUp()
        self.chronyd.selects_after = 2
        self.made = self.clock()
        self.offset = 1e-3
        self.struck = {}  # (fault, function): how often
        self.now = Fault(self.path("fault"))
        self.daemon_ = None
        self.what = "no fault"

    def begin(self, armed=None):
        """A daemon under the fault, which may strike while it starts."""
        self.daemon_ = self.prepared()
        self.baseline = None  # of open descriptors
        self.requests = 0  # each may have a recovery of its own
        if armed:
            self.now.arm(armed)
        self.daemon_.start(environment=self.now.environment(), program=SANITIZED)
        if not armed:
            eventually(lambda: self.saved().get("state") == "feeding", self.what)

    def saved(self):
        """The state file as it is, without the help of a process."""
        try:
            with open(self.daemon_.settings["state_file"], encoding="ascii") as file:
                lines = [line.split(" = ", 1) for line in file.read().splitlines()]
        except FileNotFoundError:
            return {}
        state = {line[0]: line[1] for line in lines if len(line) == 2}
        return state if int(state.get("pid", 0)) == self.daemon_.pid() else {}

    def disrupt(self):
        self.offset = -self.offset
        since = time.time()
        self.made.migrate(offset=self.offset)
        return since

    def settled(self, disruptions=None, recoveries=None):
        """So many disruptions are over, each with a confirmed reset, or the last one that the page
        shows; or the daemon has ended."""
        marker = f"0x{self.made.fields.disruption_marker:x}"

        def counted(state):
            if disruptions is None:
                return state.get("confirmed_marker") == state.get("last_recovery.marker") == marker
            return state.get("disruptions") == str(disruptions) and state.get("recoveries") in map(str, recoveries)

        def there():
            if not self.daemon_.running():
                return "ended"
            state = self.saved()
            return (
                counted(state)
                and state.get("state") == "feeding"
                and state.get("last_recovery.outcome") == "synchronised"
                and "settled"
            )

        what = lambda: f"{disruptions} disruptions, {self.what}: {self.saved()}"
        return eventually(there, what, timeout=20, every=0.002) == "settled"

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.daemon_.pid()}/fd"))

    def fresh(self):
        """A daemon that has been through a recovery, the present one if it is."""
        if not self.daemon_ or not self.daemon_.running():
            self.begin()
        if self.baseline is None:
            done, recoveries = self.counts()
            self.disrupt()
            self.assertTrue(self.settled(done + 1, [recoveries + 1]))
            self.baseline = self.descriptors()

    def counts(self):
        state = eventually(self.saved)
        return int(state["disruptions"]), int(state["recoveries"])

    def none_is_lost(self):
        eventually(lambda: self.descriptors() <= self.baseline, self.what)

    def confirmed(self, since):
        """How often chronyd has carried a reset out."""
        return len([r for r in self.resets(since) if r.answered])

    def ended_well(self, statuses):
        """It has given up, with a status of its own and the error's name in the log."""
        status = self.daemon_.ends()
        self.assertIn(status, statuses, self.what)
        if self.now.action == FAIL and self.now.struck() not in LOGGING:
            self.assertTrue(self.daemon_.said(os.strerror(self.now.number)), self.what)

    def finished_by_restart(self, since, confirmed=(1,)):
        """Another daemon does what is left; no reset is sent beyond those of `confirmed`."""
        self.now.disarm()
        self.begin()
        eventually(lambda: self.confirmed(since) >= min(confirmed), self.what)
        time.sleep(0.01)
        self.assertIn(self.confirmed(since), confirmed, self.what)

    def count(self, name):
        key = (str(self.now), name)
        self.struck[key] = self.struck.get(key, 0) + 1

    def done(self, minimum):
        """The last daemon ends in peace. A run that strikes nowhere tests nothing."""
        if self.daemon_.running():
            self.assertEqual(self.daemon_.stop(), 0)
        total = sum(self.struck.values())
        if faults.EVERYTHING:
            words = ", ".join(f"{f} {n} {k}" for (f, n), k in sorted(self.struck.items()))
            print(f"{self.id()}: {total} faults: {words}", flush=True)
        self.assertGreaterEqual(total, minimum)

    # The five parts of a life.

    def in_recoveries(self, fault, stride, ends=(1,)):
        """One daemon, a disruption for each call that may fail."""
        for nth in faults.through(fault, stride):
            self.fresh()
            done, recoveries = self.counts()
            self.what = f"{fault}, call {nth} of a recovery"
            fault.arm(nth)
            since = self.disrupt()
            if fault.sticky:
                eventually(
                    lambda: fault.struck() or self.saved().get("disruptions") == str(done + 1),
                    self.what,
                )
                time.sleep(0.03)
                fault.disarm()
            # Another chronyd has another reset coming, and so has a request, which may be late, and
            # be carried out only in the next round: no more than there were in all.
            most = recoveries + (2 if fault.number == errno.ECONNREFUSED else 1)
            if fault.number == signal.SIGUSR1:
                self.requests += 1
                most = done + 1 + self.requests
            self.settled(done + 1, range(recoveries + 1, most + 1))
            self.what += f", {fault.struck()}"
            if not fault.disarm():
                break
            survived = (fault.number, fault.struck()) != (errno.EIO, "epoll_wait")
            is_told_to_end = bool(ends) and fault.action in (SIGNAL_BEFORE, SIGNAL_AFTER)
            survived = survived and self.daemon_.running() and not is_told_to_end
            self.count(fault.struck())
            if survived:
                self.none_is_lost()
            else:
                self.ended_well(ends)
                self.finished_by_restart(since, confirmed=(1, 2))

    def at_starts(self, fault, stride):
        """A daemon for each call that may fail before it watches; while none ran the marker has
        changed, which must not be forgotten."""
        if not self.daemon_:
            self.begin()
            self.assertEqual(self.daemon_.stop(), 0)
        for nth in faults.through(fault, stride):
            self.what = f"{fault}, call {nth} of a start"
            since = self.disrupt()
            self.begin(armed=nth)
            eventually(
                lambda: self.daemon_.said("watching ")
                or (fault.struck() in LOGGING and self.saved())
                or not self.daemon_.running(),
                self.what,
            )
            struck = fault.disarm()
            self.what += f", {struck}"
            if not struck:
                break
            self.count(struck)
            if self.daemon_.said("would not be noticed"):
                # What the system refuses for good must not keep it from its work.
                if fault.number in PERMANENT:
                    eventually(lambda: self.saved().get("state") == "feeding", self.what)
                    since = self.disrupt()
                else:
                    self.daemon_.ends()
            if (fault.number, struck) == (errno.EIO, "epoll_wait"):
                self.daemon_.ends()
            if self.settled():
                self.assertEqual(self.confirmed(since), 1, self.what)
            else:
                self.ended_well((1, 69, 78) if fault.number in PERMANENT else (1,))
                # One that was carried out, but not confirmed, is repeated.
                self.finished_by_restart(since, (1, 2))
            self.assertEqual(self.daemon_.stop(), 0, self.what)
        self.assertEqual(self.daemon_.stop(), 0)

    def at_reloads(self, fault, stride):
        for nth in faults.through(fault, stride):
            self.fresh()
            done, recoveries = self.counts()
            self.what = f"{fault}, call {nth} of a reload"
            time.sleep(0.3)  # not more lines than may be logged
            since = time.time()
            fault.arm(nth)
            self.daemon_.send(signal.SIGHUP)
            eventually(
                lambda: self.daemon_.said("was read again", since=since)
                or self.daemon_.said("left as it was", since=since)
                or fault.struck() in LOGGING
                or not self.daemon_.running(),
                self.what,
            )
            struck = fault.disarm()
            self.what += f", {struck}"
            if not struck:
                break
            self.count(struck)
            since = self.disrupt()
            if self.settled(done + 1, [recoveries + 1]):
                self.assertEqual(self.confirmed(since), 1, self.what)
                self.none_is_lost()
            else:
                self.ended_well((1,))
                self.finished_by_restart(since)

    def at_stops(self, fault, stride):
        """What it cannot put down at its end the next one must not need."""
        for nth in faults.through(fault, stride):
            self.what = f"{fault}, call {nth} of a stop"
            self.begin()
            self.disrupt()
            self.assertTrue(self.settled())
            fault.arm(nth)
            self.daemon_.send(signal.SIGTERM)
            status = self.daemon_.ends()
            struck = fault.disarm()
            self.what += f", {struck}"
            if status != 0:
                self.ended_well((1,))
            if not struck:
                break
            self.count(struck)
            since = self.disrupt()
            self.finished_by_restart(since)
            self.assertEqual(self.daemon_.stop(), 0)


# What another start would not fix.
PERMANENT = {errno.EACCES, errno.ENOENT, errno.EROFS, errno.EIO}


class FaultTest(FaultCase):
    def test_no_error_in_a_recovery_loses_or_invents_a_reset(self):
        for error in faults.ERRORS:
            self.in_recoveries(self.now.be(FAIL, error), 17)
        self.in_recoveries(self.now.be(SHORT), 1)
        self.done(15)

    def test_no_error_that_lasts_does_either(self):
        for error in faults.ERRORS:
            self.in_recoveries(self.now.be(FAIL, error, sticky=True), 23)
        self.done(8)


class StartFaultTest(FaultCase):
    settings = {**FaultCase.settings, "correct_frequency": "no"}  # its first second is waited for

    def test_no_error_at_a_start_hides_a_disruption(self):
        for error in faults.ERRORS:
            self.at_starts(self.now.be(FAIL, error), 9)
        self.done(15)


class StopFaultTest(FaultCase):
    settings = StartFaultTest.settings

    def test_no_error_at_a_stop_harms_the_next_start(self):
        for error in faults.ERRORS:
            self.at_stops(self.now.be(FAIL, error), 5)
        self.done(5)


class ReloadFaultTest(FaultCase):
    def test_no_error_at_a_reload_ends_the_watch(self):
        for error in faults.ERRORS:
            self.at_reloads(self.now.be(FAIL, error), 15)
        self.done(4)


class SignalFaultTest(FaultCase):
    """Between two calls nothing that a signal's handler does is seen: at every call is at every
    instant."""

    settings = StartFaultTest.settings

    def in_turn(self, number, stride, ends):
        for when in (SIGNAL_BEFORE, SIGNAL_AFTER):
            self.in_recoveries(self.now.be(when, number), stride, ends)
        self.done(3)

    def test_a_reload_at_any_call_of_a_recovery_loses_nothing(self):
        self.in_turn(signal.SIGHUP, 9, ())

    def test_a_request_at_any_call_of_a_recovery_loses_nothing(self):
        self.in_turn(signal.SIGUSR1, 9, ())

    def test_a_stop_at_any_call_of_a_recovery_is_one_and_the_next_start_does_the_rest(self):
        self.in_turn(signal.SIGTERM, 15, (0,))

    def test_a_crash_at_any_call_of_a_recovery_is_made_good_by_the_next_start(self):
        self.in_turn(signal.SIGKILL, 15, (-signal.SIGKILL,))
