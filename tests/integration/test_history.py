# SPDX-License-Identifier: BSD-2-Clause
"""`vmclockctl history`, and counters that go on over a restart."""

import json
import os
import re
import signal
import time

import scripted_chronyd as script
from daemon import NO_DAEMON, OK
from harness import eventually
from scripted_case import ScriptedCase

MEMBERS = ["at", "cause", "kind", "marker", "reset_ms", "corrected_by", "corrected_ms", "corrected_ns",
           "corrected_ppm", "synchronised_ms", "outcome"]  # fmt: skip


class HistoryTest(ScriptedCase):
    def history(self, daemon):
        eventually(lambda: os.path.exists(self.path("state")))
        done = daemon.ctl("history", "--json")
        self.assertEqual(done.returncode, OK, done.stderr)
        return json.loads(done.stdout)

    def test_the_last_recoveries_newest_first(self):
        made = self.clock()
        daemon = self.daemon()
        self.feeding()
        self.assertEqual(self.history(daemon), [])
        for times in (1, 2):
            made.migrate(offset=1e-3 * times)
            eventually(lambda: (daemon.status()["last_recovery"] or {}).get("outcome") == "synchronised"
                       and daemon.status()["disruptions"] == times)  # fmt: skip
        found = eventually(lambda: [e for e in self.history(daemon) if e["outcome"] == "synchronised"][1:]
                           and self.history(daemon))  # fmt: skip
        self.assertEqual([entry["marker"] for entry in found], ["0x3", "0x2"])
        for entry in found:
            self.assertEqual(list(entry), MEMBERS)
            self.assertRegex(entry["at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$")
            self.assertEqual((entry["cause"], entry["corrected_by"]), ("marker", "page"))
            self.assertGreater(entry["reset_ms"], 0)
            self.assertIsInstance(entry["corrected_ns"], int)
            self.assertIsInstance(entry["corrected_ppm"], float)
        said = daemon.ctl("history").stdout
        self.assertEqual(len(re.findall("marker 0x", said)), 2)
        self.assertIn("by the page", said)

    def test_it_outlives_the_daemon_and_shows_one_that_was_replaced(self):
        made = self.marker()
        daemon = self.daemon()
        self.request(script.TRACKING)
        self.chronyd.script(script.RESET_SOURCES, script.late(0.3))
        made.disrupt()
        self.request(script.RESET_SOURCES)
        made.disrupt()
        daemon.reaches(disruptions=2)
        eventually(lambda: [e["outcome"] for e in self.history(daemon)][1:] == ["replaced"])
        daemon.stop()
        self.assertEqual(len(self.history(daemon)), 2)
        made.disrupt()
        daemon.start()
        eventually(lambda: len(self.history(daemon)) == 3)
        self.assertEqual(self.history(daemon)[0]["marker"], "0x4")

    def test_what_a_killed_vmclockd_was_at_was_left(self):
        made = self.marker()
        daemon = self.daemon()
        self.request(script.TRACKING)
        self.chronyd.refid = 0  # no reference for as long as it runs
        made.disrupt()
        daemon.reaches(recoveries=1)
        eventually(lambda: self.history(daemon)[0]["outcome"] == "running")
        daemon.stop(signal.SIGKILL)
        daemon.start()
        eventually(lambda: self.history(daemon)[0]["outcome"] == "abandoned")

    def test_nothing_was_kept(self):
        daemon = self.prepared()
        done = daemon.ctl("history", "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)), (NO_DAEMON, []))

    def test_a_damaged_file_costs_what_is_damaged(self):
        self.marker()
        daemon = self.daemon()
        self.request(script.TRACKING)
        daemon.send(signal.SIGUSR1)
        eventually(lambda: [e["cause"] for e in self.history(daemon)] == ["request"])
        with open(self.path("state.history"), "ab") as file:
            file.write(b"\x00\xff garbage\nat=x cause=" + b"y" * 1000 + b"\n")
        self.assertEqual(self.history(daemon)[-1]["cause"], "request")
        daemon.stop()
        daemon.start()
        eventually(lambda: daemon.status() is not None)
        with open(self.path("state.history"), "w", encoding="ascii") as file:
            file.write("boot=another\nat=2026 cause=marker outcome=running\n")
        self.assertEqual(self.history(daemon), [])

    def test_a_fifo_or_a_link_in_its_place_is_not_waited_for(self):
        made = self.marker()
        path = self.path("state.history")
        with open(self.path("other"), "w", encoding="ascii") as file:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as boot:
                file.write(f"boot={boot.read()}at=2026-11-27T00:00:00.000000000Z cause=marker outcome=running\n")
        for make in (lambda: os.mkfifo(path), lambda: os.symlink(self.path("other"), path)):
            make()
            since = time.time()
            daemon = self.daemon()
            self.request(script.TRACKING, since=since)
            made.disrupt()
            eventually(lambda: daemon.status() is not None)
            self.assertNotIn("2026-11-27T00", daemon.ctl("history").stdout)
            self.assertEqual(daemon.stop(), 0)
            os.path.lexists(path) and os.unlink(path)

    def test_what_another_user_wrote_is_not_believed(self):
        if os.geteuid() != 0:
            self.skipTest("only root can give a file away")
        self.marker()
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as boot:
            lines = f"boot={boot.read()}at=2026-11-27T00:00:00.000000000Z cause=marker outcome=synchronised\n"
        with open(self.path("state.history"), "w", encoding="ascii") as file:
            file.write(lines)
        os.chown(self.path("state.history"), 65534, 65534)
        daemon = self.daemon()
        self.request(script.TRACKING)
        daemon.send(signal.SIGUSR1)
        eventually(lambda: [e["cause"] for e in self.history(daemon)] == ["request"])

    def test_a_dry_run_has_none(self):
        made = self.marker()
        daemon = self.daemon("-n")
        daemon.reaches(dry_run=True)
        made.disrupt()
        daemon.reaches(disruptions=1)
        daemon.stop()
        self.assertEqual(self.history(daemon), [])

    def test_thirty_two_are_kept(self):
        made = self.marker()
        daemon = self.daemon()
        self.request(script.TRACKING)
        for number in range(1, 41):
            made.disrupt()
            self.request(script.RESET_SOURCES, number)
        daemon.reaches(disruptions=40)
        found = eventually(lambda: self.history(daemon)[31:] and self.history(daemon))
        self.assertEqual(len(found), 32)

    def test_counters_go_on(self):
        made = self.marker()
        daemon = self.daemon()
        self.request(script.TRACKING)
        made.disrupt()
        daemon.reaches(disruptions=1, recoveries=1)
        daemon.stop()
        made.disrupt()
        daemon.start()
        daemon.reaches(disruptions=2, recoveries=2)
        self.assertIn("vmclockd_disruptions_total 2", daemon.ctl("metrics").stdout)
        self.assertTrue(os.path.exists(self.path("state.history")))
