# SPDX-License-Identifier: BSD-2-Clause
"""The metrics file: whole at any time, right, by Prometheus' conventions, and gone at the end."""

import json
import os
import re
import signal
import stat
import subprocess
import time

import harness
from harness import eventually
from scripted_case import ScriptedCase


def parse(text):
    """{series: value}."""
    return dict(re.findall(r"^(\w+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE))


class MetricsTest(ScriptedCase):
    def setUp(self):
        super().setUp()
        self.file = self.path("vmclockd.prom")

    def read(self):
        with open(self.file, encoding="utf-8") as file:
            return parse(file.read())

    def has(self, series, value):
        return eventually(
            lambda: os.path.exists(self.file) and self.read().get(series) == value,
            lambda: f"{series} {value}: {os.path.exists(self.file) and self.read()}",
        )

    def test_the_file_of_another_stays(self):
        self.clock()
        daemon = self.daemon(metrics_file=self.file)
        self.has("vmclockd_healthy", "1")
        with open(self.file + ".theirs", "w", encoding="ascii") as file:
            file.write("vmclockd_healthy 1\n")
        os.rename(self.file + ".theirs", self.file)
        daemon.stop()
        self.assertTrue(os.path.exists(self.file))

    def test_the_file_follows_what_happens_and_goes_with_the_daemon(self):
        made = self.clock()
        daemon = self.daemon(metrics_file=self.file)
        self.has("vmclockd_healthy", "1")
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o644)
        first = self.read()
        self.assertEqual(first["vmclockd_disruptions_total"], "0")
        self.assertEqual(first['vmclockd_state{state="feeding"}'], "1")
        self.assertEqual(first['vmclockd_state{state="starting"}'], "0")
        self.assertEqual(first['vmclockd_mode{mode="clock"}'], "1")
        self.assertEqual(first['vmclockd_host_clock_status{status="synchronised"}'], "1")
        self.assertIn(f'device="{self.path("page")}"', next(iter(first)))
        made.migrate(offset=2e-3)
        self.has("vmclockd_recoveries_total", "1")
        self.has("vmclockd_disruptions_total", "1")
        self.assertAlmostEqual(
            float(self.read()["vmclockd_updated_timestamp_seconds"]), time.time(), delta=5
        )
        recovery = daemon.reaches(recoveries=1)["last_recovery"]
        self.assertAlmostEqual(
            float(self.read()["vmclockd_last_recovery_reset_seconds"]),
            recovery["reset_ms"] / 1e3,
            places=6,
        )
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(os.path.exists(self.file))

    def test_that_not_all_is_well_any_more_does_not_wait_for_the_next_scrape(self):
        made = self.clock()
        self.daemon(metrics_file=self.file, max_error="10us")
        self.has("vmclockd_healthy", "1")
        made.write(time_maxerror_nanosec=10**6)
        self.has("vmclockd_samples_withheld", "1")
        began = time.monotonic()
        self.has("vmclockd_healthy", "0")  # after 5 s, and the file is written each 15 s
        self.assertLess(time.monotonic() - began, 10)

    def test_a_restless_page_does_not_make_it_restless(self):
        made = self.marker()
        daemon = self.daemon(metrics_file=self.file)
        self.has("vmclockd_healthy", "1")
        inodes = set()
        end = time.time() + 2.5
        while time.time() < end:
            made.disrupt()
            inodes.add((os.stat(self.file).st_ino, os.stat(self.file).st_ctime_ns))
            time.sleep(0.01)
        self.assertLessEqual(len(inodes), 5)
        self.assertTrue(daemon.running())

    def test_trouble_is_logged_once_and_its_end(self):
        self.marker()
        directory = self.path("collector")
        os.mkdir(directory)
        os.mkdir(os.path.join(directory, "vmclockd.prom"))  # root may write anywhere else
        daemon = self.daemon(metrics_file=os.path.join(directory, "vmclockd.prom"))
        daemon.says("the metrics file", "cannot be written")
        time.sleep(2.5)
        self.assertEqual(len(daemon.said("metrics file")), 1)
        os.rmdir(os.path.join(directory, "vmclockd.prom"))
        daemon.send(signal.SIGUSR1)
        daemon.says("the metrics file", "is written again")
        self.assertEqual(os.listdir(directory), ["vmclockd.prom"])

    def test_a_reload_moves_it(self):
        self.marker()
        daemon = self.daemon(metrics_file=self.file)
        self.has("vmclockd_healthy", "1")
        other = self.path("other.prom")
        daemon.configure(metrics_file=other)
        daemon.send(signal.SIGHUP)
        eventually(lambda: os.path.exists(other), "the other file")
        self.assertFalse(os.path.exists(self.file))
        daemon.configure(metrics_file="none")
        daemon.send(signal.SIGHUP)
        eventually(lambda: not os.path.exists(other), "neither file")

    def test_its_help_is_true_of_a_chronyd_with_other_sources(self):
        self.marker()
        daemon = self.daemon(metrics_file=self.file)
        self.has("vmclockd_chronyd_synchronised", "1")
        self.assertIn(
            "# HELP vmclockd_chronyd_synchronised Whether chronyd has a reference: in clock mode, "
            "ours.\n",
            daemon.ctl("metrics").stdout,
        )

    def test_a_dry_run_leaves_it_alone(self):
        self.marker()
        with open(self.file, "w", encoding="utf-8") as file:
            file.write("vmclockd_healthy 1\n")
        daemon = self.daemon("-n", metrics_file=self.file)
        daemon.reaches(mode="marker-only")
        time.sleep(1.2)
        self.assertEqual(self.read(), {"vmclockd_healthy": "1"})
        daemon.stop()
        self.assertTrue(os.path.exists(self.file))

    def test_a_name_that_no_collector_reads_is_a_mistake(self):
        self.marker()
        daemon = self.prepared(metrics_file=self.path("vmclockd.txt"))
        self.assertEqual(daemon.start().ends(), 78)
        daemon.says("metrics-file", "ends in .prom")

    def promtool(self):
        tool = harness.program("promtool/promtool")
        if not os.access(tool, os.X_OK):
            self.skipTest("no promtool (tests/get-promtool.sh)")
        return tool

    def test_the_alerts_are_raised_and_only_then(self):
        directory = os.path.join(harness.PROJECT, "conf/prometheus")
        for words in (["check", "rules", "vmclockd.rules.yml"], ["test", "rules", "vmclockd.rules.test.yml"]):
            done = subprocess.run([self.promtool(), *words], cwd=directory, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_alerts_name_metrics_that_there_are(self):
        with open(os.path.join(harness.PROJECT, "conf/prometheus/vmclockd.rules.yml"), encoding="ascii") as file:
            named = set(re.findall(r"vmclockd_\w+", "".join(line for line in file if "expr:" in line)))
        made = self.clock()
        daemon = self.daemon(metrics_file=self.file)
        self.has("vmclockd_healthy", "1")
        made.migrate(offset=2e-3)
        self.has("vmclockd_recoveries_total", "1")
        there = {re.match(r"\w+", series).group() for series in parse(daemon.ctl("metrics").stdout)}
        self.assertEqual(named - there, set())
        with open(os.path.join(harness.PROJECT, "daemon/vmclockctl.8"), encoding="utf-8") as file:
            manual = file.read()
        self.assertEqual({name for name in there if f".It Li {name}\n" not in manual
                          and f".It Li {name} {{" not in manual}, set())

    def test_the_dashboard_asks_for_metrics_that_there_are(self):
        """The structure that Grafana wants, and each expression, by Prometheus' own parser."""
        with open(os.path.join(harness.PROJECT, "conf/grafana/vmclockd.json"), encoding="ascii") as file:
            dashboard = json.load(file)
        self.assertGreaterEqual(dashboard["schemaVersion"], 36)
        taken, names, expressions = set(), set(), [one["expr"] for one in dashboard["annotations"]["list"]]
        for panel in dashboard["panels"]:
            self.assertTrue(panel["title"] and panel["description"] and panel["targets"], panel["id"])
            self.assertIn(panel["type"], ("stat", "timeseries", "state-timeline", "heatmap"))
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24)
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
            self.assertFalse(cells & taken, f"{panel['title']} lies on another")
            taken |= cells
            self.assertEqual(len({one["refId"] for one in panel["targets"]}), len(panel["targets"]))
            expressions += [target["expr"] for target in panel["targets"]]
        self.assertEqual(len({panel["id"] for panel in dashboard["panels"]}), len(dashboard["panels"]))
        rules = {"groups": [{"name": "dashboard", "rules": []}]}
        for number, expression in enumerate(expressions):
            names |= set(re.findall(r"vmclockd_\w+", expression))
            filled = re.sub(r"\$__(interval|range)", "5m", expression).replace("$instance", ".*")
            rules["groups"][0]["rules"].append({"record": f"dashboard:{number}", "expr": filled})
        path = self.path("dashboard.rules.yml")
        with open(path, "w", encoding="ascii") as file:
            json.dump(rules, file)  # which is YAML as well
        made = self.clock()
        daemon = self.daemon(metrics_file=self.file)
        self.has("vmclockd_healthy", "1")
        made.migrate(offset=2e-3)
        self.has("vmclockd_recoveries_total", "1")
        there = {re.match(r"\w+", series).group() for series in parse(daemon.ctl("metrics").stdout)}
        self.assertEqual(names - there, set())
        done = subprocess.run([self.promtool(), "check", "rules", path], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_promtool_has_nothing_to_say(self):
        made = self.clock()
        daemon = self.daemon(metrics_file=self.file)
        self.has("vmclockd_healthy", "1")
        made.migrate(offset=2e-3)
        self.has("vmclockd_recoveries_total", "1")
        with open(self.file, encoding="utf-8") as file:
            texts = [file.read(), daemon.ctl("metrics").stdout]
        for text in texts:
            done = subprocess.run(
                [self.promtool(), "check", "metrics"],
                input=text,
                capture_output=True,
                text=True,
                check=False,
            )
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), text)
        self.assertEqual(list(parse(texts[0])), list(parse(texts[1])))
