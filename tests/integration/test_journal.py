# SPDX-License-Identifier: BSD-2-Clause
"""What people alert on, found again in the journal's fields; and what is there to explain it."""

import os
import re
import shutil
import subprocess
import time
import unittest

import page
import scripted_chronyd as script
from harness import PROJECT, Case, eventually
from private_journal import PrivateJournal
from scripted_case import ScriptedCase
from scripted_chronyd import refuse

CATALOG = os.path.join(PROJECT, "systemd", "vmclockd.catalog")


def messages():
    """{name: MESSAGE_ID}, as the code has them."""
    with open(os.path.join(PROJECT, "daemon", "messages.def"), encoding="utf-8") as file:
        return {name: number for number, name in re.findall(r'"([0-9a-f]{32})", "([a-z-]+)"', file.read())}


class JournalTest(ScriptedCase):
    limit = 60
    weight = 3

    def journalling(self, *options, deaf=False, stream="", **settings):
        self.journal = self.witness(PrivateJournal(self.path("journal"), deaf))
        return self.daemon(*options, wrapper=self.journal.wrapper(stream), **settings)

    def assert_known(self):
        known = messages()
        for entry in self.journal.entries:
            name = entry.get("VMCLOCK_EVENT")
            self.assertEqual(entry.get("MESSAGE_ID"), known.get(name) if name else None, entry)
            self.assertIn(entry["PRIORITY"], "34567")
            self.assertEqual(entry["SYSLOG_IDENTIFIER"], "vmclockd")
            self.assertTrue(entry["MESSAGE"])

    def test_a_migration_is_there_in_fields(self):
        made = self.clock()
        daemon = self.journalling()
        self.journal.has("samples-flow")
        self.request(script.TRACKING, 2)
        marker = made.migrate(offset=2e-3)
        found = self.journal.has("disruption", MARKER_NEW=hex(marker))
        self.assertEqual(found["VMCLOCK_MARKER_OLD"], hex(marker - 1))
        self.assertEqual(found["PRIORITY"], "4")
        reset = self.journal.has("reset", MARKER_NEW=hex(marker))
        self.assertTrue(0 < int(reset["VMCLOCK_RESET_USEC"]) < 10_000_000)
        # The clock of this machine is not moved, which is told apart from a recovery.
        failing = self.journal.has("recovery-failing", REASON="the clock does not follow")
        self.assertAlmostEqual(int(failing["VMCLOCK_OFFSET_NSEC"]), 2_000_000, delta=100_000)
        self.assertAlmostEqual(int(failing["VMCLOCK_REMAINING_NSEC"]), 2_000_000, delta=100_000)
        recovered = self.journal.has("recovered", CAUSE="marker")
        self.assertEqual(recovered["VMCLOCK_REFID"], "VMCL")
        self.assertEqual(recovered["VMCLOCK_OUTCOME"], "synchronised")
        self.assertEqual(recovered["VMCLOCK_RESET_USEC"], reset["VMCLOCK_RESET_USEC"])
        self.assertGreaterEqual(
            int(recovered["VMCLOCK_SYNCHRONISED_USEC"]), int(recovered["VMCLOCK_CORRECTED_USEC"])
        )
        self.assertEqual(len(self.journal.found("disruption")), 1)
        self.assertEqual(len(self.journal.found("reset")), 1)
        # Exactly once: what the journal took is not on stderr as well.
        self.assertEqual(daemon.lines, [])
        self.assert_known()

    def test_every_message_can_be_provoked(self):
        made = self.clock()
        daemon = self.journalling(max_error="1s")

        def has(*words, **fields):
            self.journal.has(*words, **fields)
            time.sleep(0.1)  # more than 20 lines a second are left out

        has("samples-flow")

        made.migrate()
        has("disruption")
        made.write(**made.clock_fields())  # the new host's; right, so that nothing is to be moved
        has("corrected")
        has("recovered")

        flags = made.fields.flags
        made.write(flags=flags | page.DISRUPTION_SOON)
        has("maintenance-soon", MAINTENANCE="soon")
        made.write(flags=flags | page.DISRUPTION_SOON | page.DISRUPTION_IMMINENT)
        has("maintenance-imminent", MAINTENANCE="imminent")
        made.write(flags=flags)
        has("maintenance-over", MAINTENANCE="none")

        made.write(clock_status=page.UNRELIABLE)
        has("host-clock-unreliable", CLOCK_STATUS_NEW="unreliable")
        made.write(clock_status=page.FREERUNNING)
        has("host-clock-freerunning", CLOCK_STATUS_OLD="unreliable")
        made.write(clock_status=page.SYNCHRONISED)
        has("host-clock-back", CLOCK_STATUS_NEW="synchronised")

        made.write(vm_generation_counter=0x1235)
        has("restored", GENERATION_OLD="0x1234", GENERATION_NEW="0x1235")

        made.write(time_maxerror_nanosec=2_000_000_000)
        has("samples-withheld", REASON="over max-error")
        made.write(time_maxerror_nanosec=200)
        has("samples-flow", times=len(self.journal.found("samples-flow")) + 1)

        made.write(magic=0)
        has("page-lost")
        made.write(magic=page.MAGIC)
        has("page-back")

        self.chronyd.stop_listening(unlink=True)
        has("chronyd-unreachable", REASON="Connection refused")
        has("samples-failing", REASON="No such file or directory")
        self.chronyd.listen()
        has("chronyd-back")

        self.chronyd.script(script.RESET_SOURCES, refuse(1))
        made.disrupt()
        has("recovery-failing")
        has("reset", times=2)

        seen = {entry["VMCLOCK_EVENT"] for entry in self.journal.entries if "MESSAGE_ID" in entry}
        self.assertEqual(sorted(seen), sorted(messages()))
        self.assertEqual(daemon.lines, [])
        self.assert_known()

    def test_a_stream_that_is_not_stderr_leaves_the_lines_there(self):
        made = self.marker()
        daemon = self.journalling(stream="1:1")
        daemon.says("<5>watching")
        made.disrupt()
        daemon.says("<4>disruption marker changed from 0x1 to 0x2")
        daemon.says("<5>chronyd confirmed the reset")
        self.assertEqual(self.journal.entries, [])

    def test_a_journal_that_is_not_there_leaves_the_lines_on_stderr(self):
        made = self.marker()
        daemon = self.journalling()
        eventually(lambda: self.journal.entries, "the journal has the first lines")
        os.unlink(os.path.join(self.path("journal"), "socket"))
        made.disrupt()
        daemon.says("<4>disruption marker changed from 0x1 to 0x2")
        self.assertEqual(self.journal.found("disruption"), [])

    def test_a_journal_that_does_not_read_delays_no_recovery(self):
        made = self.marker()
        daemon = self.journalling(deaf=True, watch_interval="10ms")
        self.request(script.TRACKING)
        for number in range(1, 31):  # more than its socket takes
            began = time.time()
            made.disrupt()
            reset = self.request(script.RESET_SOURCES, number)
            self.assertLess(reset.sent - began, 0.5)
            time.sleep(0.05)
        daemon.says("<4>disruption marker changed")  # what it did not take is on stderr
        self.recovered(daemon, 30)

    def test_nobody_who_reads_stderr_either_delays_no_recovery(self):
        made = self.marker()
        unread, stderr = os.pipe()
        self.addCleanup(os.close, unread)
        self.journal = self.witness(PrivateJournal(self.path("journal"), deaf=True))
        daemon = self.prepared()
        os.set_blocking(stderr, False)
        try:
            while True:
                os.write(stderr, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(stderr, True)
        daemon.start(stderr=stderr, wrapper=self.journal.wrapper())
        os.close(stderr)
        self.request(script.TRACKING)
        for number in range(1, 31):
            made.disrupt()
            self.request(script.RESET_SOURCES, number)
        # A disruption may replace the recovery from the one before, whose reply is under way.
        self.assertGreater(daemon.reaches(disruptions=30)["recoveries"], 20)
        self.assertEqual(daemon.stop(), 0)


class CatalogTest(Case):
    def test_the_fields_that_the_catalog_quotes_exist(self):
        with open(os.path.join(PROJECT, "daemon", "journal.c"), encoding="utf-8") as file:
            known = set(re.findall(r'"(VMCLOCK_[A-Z_]+)"', file.read()))
        with open(CATALOG, encoding="utf-8") as file:
            quoted = set(re.findall(r"@([A-Z_]+)@", file.read()))
        self.assertEqual(quoted - known, set())

    def test_journalctl_takes_the_catalog(self):
        if not shutil.which("journalctl"):
            raise unittest.SkipTest("no journalctl")
        directory = self.path("usr/lib/systemd/catalog")
        os.makedirs(directory)
        shutil.copy(CATALOG, directory)
        root = f"--root={self.dir}"
        subprocess.run(["journalctl", "--update-catalog", root], check=True)
        listed = subprocess.run(
            ["journalctl", "--list-catalog", root], check=True, capture_output=True, text=True
        )
        self.assertEqual(listed.stderr, "")
        found = re.findall(r"^([0-9a-f]{32}) vmclockd: (.+)$", listed.stdout, re.MULTILINE)
        self.assertEqual(sorted(number for number, _ in found), sorted(messages().values()))
