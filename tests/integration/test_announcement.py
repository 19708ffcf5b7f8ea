# SPDX-License-Identifier: BSD-2-Clause
"""The files by which applications are told: once for each event, never for a restart."""

import os
import re
import shutil
import signal
import subprocess
import time

import page
import scripted_chronyd as script
from harness import PROJECT, Case, eventually, systemd_analyze
from scripted_case import ScriptedCase

EXAMPLES = os.path.join(PROJECT, "systemd", "examples")


class AnnouncementTest(ScriptedCase):
    limit = 60

    def events(self, *names):
        return self.path(os.path.join("events", *names))

    def read(self, *names):
        """{name: value}; empty while there is none."""
        try:
            with open(self.events(*names), encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            return {}
        self.assertRegex(text, r"\A(VMCLOCK_[A-Z_]+=[\w.+-]*\n)+\Z")
        return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))

    def has(self, kind, count, **fields):
        wanted = {"VMCLOCK_COUNT": str(count)}
        wanted.update((f"VMCLOCK_{name}", value) for name, value in fields.items())
        return eventually(
            lambda: wanted.items() <= self.read(kind).items(),
            lambda: f"{kind} {wanted}: {self.read(kind)}",
        )

    def subscribe(self, kind, name="somebody"):
        os.makedirs(self.events(f"{kind}.d", name))

    def taken(self, kind, name="somebody"):
        """Takes the copy away, as a consumer does, and returns its count; None: there is none."""
        count = self.read(f"{kind}.d", name, kind).get("VMCLOCK_COUNT")
        if count:
            os.unlink(self.events(f"{kind}.d", name, kind))
            self.assertEqual(os.listdir(self.events(f"{kind}.d", name)), [])
        return count

    def test_two_recoveries_that_end_alike_are_two_events(self):
        self.marker()
        daemon = self.daemon()
        daemon.reaches(mode="marker-only", state="watching")
        self.chronyd.always(script.RESET_SOURCES, script.silent)
        for number in (1, 2):
            since = time.time()
            daemon.send(signal.SIGUSR1)
            self.request(script.RESET_SOURCES, since=since)
            daemon.stop()
            self.has("recovery", number, OUTCOME="abandoned", CAUSE="request")
            daemon.start()
            daemon.reaches(mode="marker-only", state="watching")

    def test_one_kind_that_cannot_be_written_is_not_taken_for_another(self):
        made = self.marker()
        os.makedirs(self.events("disruption"))
        daemon = self.daemon()
        daemon.reaches(mode="marker-only", state="watching")
        made.disrupt()
        self.has("recovery", 1, OUTCOME="synchronised")
        daemon.says("disruption cannot be written")
        time.sleep(0.2)
        self.assertEqual(daemon.said("is written again"), [])
        os.rmdir(self.events("disruption"))
        made.disrupt()
        daemon.says("disruption", "is written again")

    def test_each_event_is_announced_once(self):
        made = self.clock()
        self.subscribe("disruption")
        self.subscribe("disruption", "somebody-else")
        self.subscribe("recovery")
        daemon = self.daemon()
        self.feeding()
        self.assertEqual(self.read("disruption"), {})
        made.migrate(offset=1e-3)
        self.has("disruption", 1, MARKER_OLD="0x1", MARKER_NEW="0x2", EVENT="disruption")
        self.has("recovery", 1, OUTCOME="synchronised", CAUSE="marker", MARKER_NEW="0x2")
        self.assertIn("VMCLOCK_CORRECTED_USEC", self.read("recovery"))
        self.assertEqual(os.stat(self.events("recovery")).st_mode & 0o777, 0o644)
        eventually(lambda: self.taken("recovery") == "1")
        self.assertEqual(self.taken("disruption"), "1")
        made.migrate()
        self.has("disruption", 2, MARKER_NEW="0x3")
        eventually(lambda: self.taken("disruption") == "2")
        # Who has not taken the first one away finds the newest.
        eventually(lambda: self.taken("disruption", "somebody-else") == "2")
        self.assertEqual(self.read("restore"), {})
        self.assertEqual(self.read("maintenance"), {})
        made.write(vm_generation_counter=0x1235)
        self.has("restore", 1, GENERATION_OLD="0x1234", GENERATION_NEW="0x1235")
        self.assertEqual(daemon.stop(), 0)

    def test_a_restart_announces_nothing(self):
        made = self.clock(vm_generation_counter=5)
        flags = made.fields.flags | page.DISRUPTION_SOON
        made.write(flags=flags | page.DISRUPTION_IMMINENT)
        kinds = ("disruption", "recovery", "restore", "maintenance")
        daemon = self.daemon()
        self.has("maintenance", 1, MAINTENANCE="imminent")
        made.migrate(vm_generation_counter=6)
        self.has("recovery", 1)
        self.has("restore", 1)
        for kind in kinds:
            self.subscribe(kind)
        for number in (signal.SIGTERM, signal.SIGKILL):
            daemon.stop(number)
            before = [os.stat(self.events(kind)).st_ino for kind in kinds]
            daemon.start()
            daemon.reaches(state="feeding")
            time.sleep(1.2)
            self.assertEqual([os.stat(self.events(kind)).st_ino for kind in kinds], before)
            self.assertEqual([self.taken(kind) for kind in kinds], [None] * 4)

    def test_what_happens_while_it_is_down_is_announced_at_the_start(self):
        made = self.marker(flags=page.VM_GENERATION_PRESENT | page.DISRUPTION_SOON)
        daemon = self.daemon()
        self.has("maintenance", 1, MAINTENANCE="soon")
        daemon.reaches(mode="marker-only")
        daemon.stop()
        made.write(
            flags=page.VM_GENERATION_PRESENT, vm_generation_counter=7, disruption_marker=2
        )
        daemon.start()
        self.has("disruption", 1, MARKER_OLD="0x1", MARKER_NEW="0x2")
        self.has("restore", 1, GENERATION_OLD="0x0", GENERATION_NEW="0x7")
        self.has("maintenance", 2, MAINTENANCE="none")

    def test_a_crash_before_the_state_was_saved_announces_nothing_twice(self):
        made = self.marker()
        daemon = self.daemon()
        daemon.reaches(mode="marker-only")
        with open(self.path("state"), "rb") as file:
            before = file.read()
        made.disrupt()
        self.has("disruption", 1)
        daemon.process.kill()
        daemon.ends()
        with open(self.path("state"), "wb") as file:
            file.write(before)
        daemon.start()
        self.request(script.RESET_SOURCES, 2)  # the reset is repeated, for all that is known
        self.recovered(daemon)
        time.sleep(0.3)
        self.assertEqual(self.read("disruption")["VMCLOCK_COUNT"], "1")

    def test_a_disruption_without_a_chronyd_is_one_whatever_the_number_of_starts(self):
        made = self.marker()
        daemon = self.daemon()
        daemon.reaches(mode="marker-only")
        self.chronyd.stop_listening(unlink=True)
        made.disrupt()
        self.has("disruption", 1)
        for _ in range(2):
            daemon.stop()
            since = time.time()
            daemon.start()
            daemon.says("did not confirm the last run's reset", since=since)
            self.assertEqual(daemon.reaches(mode="marker-only")["disruptions"], 1)
        self.assertEqual(daemon.said("while vmclockd was not running"), [])
        self.chronyd.listen()
        self.recovered(daemon)
        self.has("recovery", 3, OUTCOME="synchronised", CAUSE="marker")
        self.assertEqual(self.read("disruption")["VMCLOCK_COUNT"], "1")
        self.assertEqual(len(self.resets()), 1)

    def test_an_end_in_the_middle_is_an_end(self):
        made = self.marker()
        self.chronyd.refid = self.chronyd.ntp_refid = 0
        daemon = self.daemon()
        daemon.reaches(mode="marker-only")
        made.disrupt()
        self.has("disruption", 1)
        daemon.stop()
        self.has("recovery", 1, OUTCOME="abandoned")

    def test_an_end_without_chronyds_reply_is_announced(self):
        made = self.marker()
        daemon = self.daemon()
        daemon.reaches(mode="marker-only")
        self.chronyd.always(script.RESET_SOURCES, script.silent)
        made.disrupt()
        self.has("recovery", 1, OUTCOME="unconfirmed", CAUSE="marker", MARKER_NEW="0x2")
        self.assertGreater(int(self.read("recovery")["VMCLOCK_RESET_USEC"]), 0)
        daemon.send(signal.SIGUSR1)
        self.has("recovery", 2, OUTCOME="unconfirmed", CAUSE="request")

    def test_what_a_subscriber_has_put_in_the_way_does_no_harm(self):
        made = self.marker()
        for name in ("first", "last"):
            self.subscribe("disruption", name)
        os.makedirs(self.events("disruption.d", "bad", "disruption", "full"))
        os.mkdir(self.events("disruption.d", "link"))
        os.symlink(self.path("elsewhere"), self.events("disruption.d", "link", "disruption"))
        with open(self.events("disruption.d", "file"), "w", encoding="utf-8"):
            pass
        daemon = self.daemon()
        daemon.reaches(mode="marker-only")
        for number in (1, 2):
            made.disrupt()
            self.has("disruption", number)
            for name in ("first", "last", "link"):
                eventually(lambda: self.taken("disruption", name) == str(number))
        self.assertEqual(len(daemon.said("cannot be written")), 1)
        self.assertFalse(os.path.lexists(self.path("elsewhere")))
        self.assertEqual(os.path.getsize(self.events("disruption.d", "file")), 0)

    def test_a_shell_can_read_it(self):
        made = self.marker()
        self.daemon().reaches(mode="marker-only")
        made.disrupt()
        self.has("disruption", 1)
        done = subprocess.run(
            ["sh", "-ec", '. "$1"; echo $VMCLOCK_COUNT $VMCLOCK_MARKER_NEW', "sh"]
            + [self.events("disruption")],
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(done.stdout, "1 0x2\n")


class ExamplesTest(Case):
    """The example units, as they are installed."""

    def test_systemd_has_nothing_to_say_about_them(self):
        units = sorted(os.listdir(EXAMPLES))
        self.assertEqual(len(units), 6)
        for unit in units:
            shutil.copy(os.path.join(EXAMPLES, unit), self.dir)
        done = systemd_analyze("verify", "--man=no", *map(self.path, units))
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_each_watches_a_kind_that_is_announced_and_takes_its_file_away(self):
        with open(os.path.join(PROJECT, "daemon", "announcement.c"), encoding="utf-8") as file:
            kinds = set(re.findall(r'\[ANNOUNCEMENT_\w+\] = "([a-z]+)"', file.read()))
        for unit in os.listdir(EXAMPLES):
            with open(os.path.join(EXAMPLES, unit), encoding="utf-8") as file:
                text = file.read()
            kind = re.fullmatch(r"vmclockd-on-(\w+)\.(path|service)", unit).group(1)
            self.assertIn(kind, kinds)
            self.assertIn(f"/run/vmclockd/events/{kind}.d/example", text)
