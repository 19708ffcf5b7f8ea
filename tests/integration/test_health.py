# SPDX-License-Identifier: BSD-2-Clause
"""Good means that the clock is right, and what is shown is so now: status, wait and metrics."""

import os
import time
import unittest

import page
import real_chronyd
import scripted_chronyd as script
from daemon import DEGRADED, OK, Daemon
from harness import Case, eventually
from scripted_case import ScriptedCase


class Judged:
    """Status, its JSON, wait and metrics say the same."""

    def judge(self, daemon):
        return (
            daemon.ctl("status").returncode,
            daemon.ctl("wait", "0").returncode,
            "vmclockd_healthy 1\n" in daemon.ctl("metrics").stdout,
            (daemon.status() or {}).get("all_is_well"),
        )

    def good(self, daemon, timeout=15):
        eventually(
            lambda: self.judge(daemon) == (OK, OK, True, True),
            lambda: f"good: {daemon.ctl('status').stdout}",
            timeout,
            every=0.1,
        )

    def degraded(self, daemon, words, timeout=20):
        """How long it took."""
        began = time.monotonic()
        eventually(
            lambda: self.judge(daemon) == (DEGRADED, DEGRADED, False, False),
            lambda: f"degraded: {daemon.ctl('status').stdout}",
            timeout,
            every=0.1,
        )
        self.assertIn(words, " ".join(daemon.status()["warnings"]))
        self.assertIn(words, " ".join(daemon.ctl("status").stdout.split()))
        return time.monotonic() - began


class HealthTest(Judged, ScriptedCase):
    limit = 60

    def withheld(self, daemon):
        return "vmclockd_samples_withheld 1\n" in daemon.ctl("metrics").stdout

    def test_samples_that_are_withheld_for_over_five_seconds_are_not_well(self):
        made = self.clock()
        daemon = self.daemon(max_error="10us")
        self.good(daemon)
        self.assertIsNone(daemon.status()["samples_withheld"])
        self.assertFalse(self.withheld(daemon))
        began = time.monotonic()
        made.write(time_maxerror_nanosec=10**6)
        eventually(lambda: daemon.status()["samples_withheld"])
        if time.monotonic() - began < 4:  # the machine may have stood still
            self.assertIs(daemon.status()["all_is_well"], True)
        self.assertTrue(self.withheld(daemon))
        self.degraded(daemon, "samples are withheld: their error bound is over max-error, for")
        self.assertGreater(time.monotonic() - began, 5)
        self.assertIn("kept from chronyd", daemon.ctl("status").stdout)
        made.write(time_maxerror_nanosec=200)
        self.good(daemon, 5)
        self.assertIsNone(daemon.status()["samples_withheld"])

    def test_a_reference_that_chronyd_does_not_update_is_not_well(self):
        self.chronyd.update_interval = 1
        self.clock()
        daemon = self.daemon()
        self.good(daemon)
        time.sleep(2)
        self.assertIs(daemon.status()["all_is_well"], True)
        self.chronyd.updated = time.time() + 3600  # a clock that was stepped since
        took = self.degraded(daemon, "chronyd has not updated its reference for")
        self.assertGreater(took, 6)  # it is asked once in a second
        self.chronyd.updated = None
        self.good(daemon, 5)

    def test_a_reset_that_chronyd_refused_is_not_well_until_one_is_confirmed(self):
        for end in ("request", "another chronyd"):
            with self.subTest(end):
                made = self.marker()
                self.chronyd.always(script.RESET_SOURCES, script.refuse(script.FAILED))
                daemon = self.daemon()
                self.good(daemon)
                made.disrupt()
                eventually(
                    lambda: (daemon.status()["last_recovery"] or {}).get("outcome") == "unconfirmed"
                )
                self.degraded(daemon, "chronyd did not confirm its reset")
                self.chronyd.always(script.RESET_SOURCES, script.ok)
                if end == "request":
                    daemon.ctl("recover")
                else:
                    self.chronyd.stop_listening()
                    time.sleep(0.05)
                    self.chronyd.listen()
                self.good(daemon)
                self.assertEqual(daemon.stop(), 0)
                os.unlink(daemon.settings["state_file"])

    def test_what_is_not_known_is_null_absent_and_last_known_where_the_device_is_lost(self):
        self.clock()
        daemon = self.daemon()
        self.good(daemon)
        status = daemon.status()
        for key in ("offset_ns", "error_bound_ns", "clock_status", "vm_generation", "maintenance"):
            self.assertIsNotNone(status[key], key)
        os.unlink(self.path("page"))
        status = daemon.reaches(state="holdover", page="the device is lost")
        for key in (
            "offset_ns", "error_bound_ns", "clock_status", "vm_generation", "maintenance",
            "disruption_marker",
        ):
            self.assertIsNone(status[key], key)
        self.assertIn("the device is lost", status["samples_withheld"])
        text = daemon.ctl("status").stdout
        self.assertRegex(text, r"(?m)^Offset +not known; last known [\d.]+ \ws (slow|fast) of the host's time, \d+ s ago$")
        self.assertRegex(text, r"(?m)^Host's clock +not known; last known synchronised, \d+ s ago$")
        self.assertRegex(text, r"(?m)^Marker +not known; last known 0x1, \d+ s ago$")
        self.assertIn("no disruption is seen: the device is lost", " ".join(text.split()))
        metrics = daemon.ctl("metrics").stdout
        for name in ("offset_seconds", "error_bound_seconds", "host_clock_status", "maintenance"):
            self.assertNotIn(f"vmclockd_{name}", metrics)

    def test_before_a_page_was_seen_nothing_of_it_is_shown(self):
        made = self.clock()
        made.fields.seq_count |= 1
        daemon = self.daemon()
        status = daemon.reaches(state="starting", page="the host is writing")
        for key in ("mode", "disruption_marker", "clock_status", "offset_ns", "maintenance"):
            self.assertIsNone(status[key], key)
        self.assertNotIn("vmclockd_mode", daemon.ctl("metrics").stdout)

    def test_what_chronyd_says_is_unknown_while_it_does_not_answer(self):
        self.clock()
        daemon = self.daemon()
        self.good(daemon)
        self.chronyd.freeze()
        eventually(
            lambda: daemon.status()["chronyd"]
            == {"reachable": False, "synchronised": None, "refid": None}
        )
        self.assertNotIn("vmclockd_chronyd_synchronised", daemon.ctl("metrics").stdout)
        self.chronyd.thaw()
        self.good(daemon)

    def test_what_chronyd_was_left_to_find_out_has_no_figures(self):
        made = self.marker()
        daemon = self.daemon()
        daemon.reaches(state="watching")
        made.disrupt()
        self.recovered(daemon)
        last = daemon.reaches(state="watching")["last_recovery"]
        self.assertEqual(last["corrected_by"], "chronyd")
        for key in ("corrected_ms", "corrected_ns", "corrected_ppm", "remaining_ns"):
            self.assertIsNone(last[key], key)
        self.assertRegex(daemon.ctl("status").stdout, r"(?m)^  corrected +left to chronyd$")
        metrics = daemon.ctl("metrics").stdout
        self.assertNotIn("vmclockd_last_recovery_corrected_seconds", metrics)
        self.assertNotIn("vmclockd_last_recovery_offset_seconds", metrics)
        for name in ("disruption", "recovery"):
            self.assertRegex(metrics, rf"(?m)^vmclockd_last_{name}_timestamp_seconds 1\d{{9}}\.")

    def test_what_was_corrected_from_the_page_has_its_figures(self):
        made = self.clock()
        daemon = self.daemon()
        self.good(daemon)
        made.migrate(offset=5e-3)
        self.recovered(daemon)
        last = daemon.reaches(state="feeding")["last_recovery"]
        self.assertEqual(last["corrected_by"], "page")
        self.assertAlmostEqual(last["corrected_ns"], 5e6, delta=1e6)
        for key in ("corrected_ms", "corrected_ppm", "remaining_ns"):
            self.assertIsInstance(last[key], (int, float), key)

    def test_a_lost_device_in_marker_only_mode_means_that_no_disruption_is_seen(self):
        self.marker()
        daemon = self.daemon()
        self.good(daemon)
        os.unlink(self.path("page"))
        self.degraded(daemon, "no disruption is seen: the device is lost")
        self.assertNotIn("gives no time", " ".join(daemon.status()["warnings"]))

    def test_samples_flow_once_chronyd_has_taken_one(self):
        self.chronyd.stop_listening(unlink=True)
        self.clock()
        daemon = self.daemon()
        daemon.reaches(sock_error="No such file or directory")
        self.assertIn(
            "feeding: the host's time does not reach chronyd", daemon.ctl("status").stdout
        )
        self.assertEqual(daemon.said("samples flow"), [])
        self.chronyd.start()
        daemon.says("samples flow")
        self.good(daemon)
        self.assertIn("feeding: chronyd gets the host's time", daemon.ctl("status").stdout)

    def test_the_version_is_the_daemons(self):
        self.clock()
        daemon = self.daemon()
        self.good(daemon)
        self.assertEqual(f"vmclockctl {daemon.status()['version']}\n", daemon.ctl("-V").stdout)


@unittest.skipIf(real_chronyd.missing(), real_chronyd.missing())
class RealHealthTest(Judged, Case):
    limit = 90
    weight = 9

    def daemon(self, chronyd, **settings):
        return self.witness(
            Daemon(self.dir, self.path("page"), chronyd.sock_path, chronyd.command_path, **settings)
        ).start()

    def test_an_offset_that_chronyd_does_not_correct_is_not_well(self):
        """As with its -x; nor does it correct what it starts with."""
        chronyd = self.witness(real_chronyd.RealChronyd(self.path("chrony")))
        made = page.clock_page(self.path("page"), offset=0.3)
        chronyd.start()
        daemon = self.daemon(chronyd, correct_at_start="no")
        eventually(lambda: daemon.status() and daemon.status()["chronyd"]["synchronised"])
        self.degraded(daemon, "the clock is off by 300 ms", 30)
        made.write(**made.clock_fields(offset=0))
        self.good(daemon, 80)

    def test_a_chronyd_whose_server_is_gone_is_not_well(self):
        server = self.witness(
            real_chronyd.RealChronyd(
                self.path("server"), "local stratum 5", "allow 127.0.0.1", "bindaddress 127.0.0.1"
            )
        )
        port = 20000 + os.getpid() % 10000
        with open(server.configuration, encoding="ascii") as file:
            lines = file.read().replace("port 0\n", f"port {port}\n", 1)
        with open(server.configuration, "w", encoding="ascii") as file:
            file.write(lines)
        server.start()
        chronyd = self.witness(
            real_chronyd.RealChronyd(
                self.path("chrony"),
                f"server 127.0.0.1 port {port} iburst minpoll 0 maxpoll 0 filter 1",
            )
        )
        chronyd.start()
        page.marker_page(self.path("page"))
        daemon = self.daemon(chronyd)
        self.good(daemon, 30)
        time.sleep(10)
        self.good(daemon, 5)
        server.kill()
        took = self.degraded(daemon, "chronyd has not updated its reference for", 40)
        self.assertGreater(took, 6)
        self.assertTrue(daemon.status()["chronyd"]["synchronised"], "by its own word")
