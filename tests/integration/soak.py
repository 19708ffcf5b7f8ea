#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""
Disruption after disruption before one daemon: none may be missed, none invented, and it may keep
neither memory nor descriptors.

usage: soak.py [--valgrind] scripted|marker|real COUNT

`scripted` has a full page, `marker` the marker alone, both before a scripted chronyd, as fast as
resets are answered; `real` has a full page before Debian's chronyd -x, which is waited for until
it has selected the page's clock again.
"""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time

import harness
import page
import real_chronyd
import scripted_chronyd as script
from daemon import Daemon
from harness import eventually

SERVER = "192.0.2.1"
MARGIN_KIB = 64  # the allocator's own


def must(ok, *what):
    if not ok:
        raise AssertionError(*what)


class Scripted(script.ScriptedChronyd):
    """One that counts, and keeps nothing of what it has seen."""

    resets = repeated = fed = 0
    pending = False

    def __init__(self, *paths):
        self.settings = {}  # the last argument of each command
        super().__init__(*paths)

    def _sample(self, sock):
        super()._sample(sock)
        self.fed += len(self.samples)
        self.samples.clear()

    def reply(self, request, status=None):
        super().reply(request, status)
        # What follows a reset shows that its reply was read. One that comes too late, when the
        # machine is busy, is not: the reset is asked for again.
        if request.command == script.RESET_SOURCES:
            self.repeated += self.pending
            self.pending = True
        elif self.pending and request.command != script.TRACKING:
            self.resets += 1
            self.pending = False
        must(request.faults() == [], request)
        self.settings[request.command] = request.data
        self.requests.clear()
        self.replies.clear()


class Soak:
    def __init__(self, kind, count, directory, wrapper):
        self.kind, self.count, self.directory, self.wrapper = kind, count, directory, wrapper
        self.began = time.monotonic()

    def path(self, name):
        return os.path.join(self.directory, name)

    def saved(self):
        with open(self.daemon.settings["state_file"], encoding="ascii") as file:
            return dict(line.rstrip("\n").split(" = ", 1) for line in file)

    def memory_kib(self):
        with open(f"/proc/{self.daemon.pid()}/smaps_rollup", encoding="ascii") as file:
            fields = dict(line.split(":") for line in list(file)[1:])
        return int(fields["Private_Dirty"].split()[0]) + int(fields["Swap"].split()[0])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.daemon.pid()}/fd"))

    def run(self):
        marker_only = self.kind == "marker"
        self.chronyd = (
            real_chronyd.RealChronyd(self.path("chrony"))
            if self.kind == "real"
            else Scripted(self.path("vmclock.sock"), self.path("chronyd.sock"))
        ).start()
        self.chronyd.refid = self.chronyd.ntp_refid = 0xC0000201 if marker_only else 0
        self.made = (page.marker_page if marker_only else page.clock_page)(self.path("page"))
        settings = {"step": "never", "correct_frequency": "no"} if self.kind == "real" else {}
        self.daemon = Daemon(
            self.directory,
            self.made.path,
            self.chronyd.sock_path,
            self.chronyd.command_path,
            watch_interval="1ms",
            sample_interval="2ms",
            boost=f"{SERVER} 4 7",
            **settings,
        )
        with contextlib.ExitStack() as stack:
            stack.callback(self.chronyd.stop)
            stack.callback(self.daemon.stop, signal.SIGKILL)
            self.daemon.start(wrapper=self.wrapper)
            wanted = "watching" if marker_only else "feeding"
            self.daemon.reaches(state=wanted, timeout=60)
            self.disruptions()
            self.settings_are_restored()
            must(self.daemon.stop() == 0, "exit status")
        again = getattr(self.chronyd, "repeated", 0)
        must(again <= 3 + self.count // 100, f"{again} resets repeated")
        print(
            f"soak of {self.count} disruptions, {self.kind}: passed, {again} resets repeated",
            flush=True,
        )

    def disruptions(self):
        report_every = max(1, self.count // 10)
        self.first = None
        for number in range(1, self.count + 1):
            if self.kind == "real":
                self.one_before_the_real(number)
            else:
                self.one_before_the_scripted(number)
            if number % report_every == 0 or number == min(20, self.count):
                self.look(number)

    def one_before_the_scripted(self, number):
        chronyd = self.chronyd
        if self.kind == "marker":
            self.made.disrupt()
        else:
            self.made.migrate(offset=1e-3 * (-1) ** number)
        eventually(lambda: chronyd.resets >= number, f"reset {number}", 60, every=0.0005)
        if self.kind != "marker":
            fed = chronyd.fed
            eventually(lambda: chronyd.fed > fed, f"samples after {number}", 60, every=0.0005)
        must(chronyd.resets == number, f"{chronyd.resets} resets after {number} disruptions")

    def one_before_the_real(self, number):
        self.made.migrate(offset=1e-3 * (-1) ** number)

        def synchronised():
            state = self.saved()
            return state.get("recoveries") == str(number) and (
                state.get("last_recovery.outcome") == "synchronised"
            )

        eventually(synchronised, lambda: f"recovery {number}: {self.saved()}", 60, every=0.005)

    def look(self, number):
        """What status, memory and descriptors are by now."""
        counted = ("disruptions", "recoveries")
        eventually(
            lambda: [self.saved()[key] for key in counted] == [str(number)] * 2,
            lambda: f"{number} of both: {self.saved()}",
            60,
        )
        now = self.memory_kib(), self.descriptors()
        if self.first is None:
            self.first = now
        print(
            f"{time.monotonic() - self.began:7.1f} s {self.kind} {number:7d} disruptions,"
            f" private memory {now[0]} KiB, {now[1]} descriptors",
            flush=True,
        )
        if not self.wrapper:
            must(now[0] <= self.first[0] + MARGIN_KIB, f"memory {self.first[0]} to {now[0]} KiB")
        must(now[1] == self.first[1], f"descriptors {self.first[1]} to {now[1]}")

    def settings_are_restored(self):
        """Half a minute after the last disruption; in a shorter soak, at the stop."""
        eventually(
            lambda: self.saved()["put_back"] == "no", lambda: f"{self.saved()}", 60, every=0.1
        )
        if self.kind == "marker":
            expected = {
                script.MODIFY_MAKESTEP: (3, 1.0),
                script.MODIFY_MINPOLL: (SERVER, 4),
                script.MODIFY_MAXPOLL: (SERVER, 7),
            }
            for command, data in expected.items():
                now = self.chronyd.settings.get(command)
                must(now == data, f"{script.NAMES[command]} {now}, not {data}")


def main():
    parser = argparse.ArgumentParser(description="Disruption after disruption.")
    parser.add_argument("--valgrind", action="store_true")
    parser.add_argument("kind", choices=("scripted", "marker", "real"))
    parser.add_argument("count", type=int)
    arguments = parser.parse_args()
    wrapper = ()
    if arguments.valgrind:
        wrapper = ("valgrind", "--quiet", "--leak-check=full", "--error-exitcode=99")
    directory = tempfile.mkdtemp(prefix="s", dir=harness.ROOT)
    try:
        Soak(arguments.kind, arguments.count, directory, wrapper).run()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
