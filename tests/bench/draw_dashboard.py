#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The dashboard as a picture, doc/dashboard.svg: conf/grafana/vmclockd.json's own expressions, asked
of a real Prometheus, on what three real vmclockds told while simulated hosts moved them. It is no
screenshot of Grafana, and says so.

usage: BUILD=build draw_dashboard.py PROMETHEUS PROMTOOL

PROMETHEUS and PROMTOOL: the programs of Debian's package, unpacked; it need not be installed."""

import html
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))

import harness  # noqa: E402
import page  # noqa: E402
from daemon import Daemon  # noqa: E402
from harness import eventually  # noqa: E402
from real_chronyd import RealChronyd  # noqa: E402

GUESTS, SECONDS, EVERY, STEP = ("db1", "db2", "db3"), 150, 1, 2
PANELS = ("State of the fleet", "Offset and its bound", "How long recoveries took", "From the disruption to",
          "Announced maintenance")
WIDTH, ROW, LEFT = 900, 170, 110
COLOURS = ("#1f6feb", "#0a7d36", "#8250df", "#b35900", "#cf222e", "#6e7781", "#bf3989", "#0550ae", "#9a6700")
WORDS = {"text": "#6e7781"}


class Guest:
    def __init__(self, root, name):
        directory = os.path.join(root, name)
        os.mkdir(directory)
        self.name = name
        self.chronyd = RealChronyd(os.path.join(directory, "chrony"))
        self.page = page.clock_page(os.path.join(directory, "page"))
        self.chronyd.start()
        self.daemon = Daemon(directory, self.page.path, self.chronyd.sock_path, self.chronyd.command_path,
                             chrony_conf=self.chronyd.configuration).start()  # fmt: skip
        eventually(lambda: (self.daemon.status() or {}).get("all_is_well"), timeout=30)

    def scrape(self, found, now):
        for line in self.daemon.ctl("metrics").stdout.splitlines():
            if line and not line.startswith("#"):
                series, value = line.rsplit(" ", 1)
                name, _, labels = series.partition("{")
                more = ("," + labels[:-1]) if labels else ""
                found.setdefault(name, []).append(f'{name}{{instance="{self.name}"{more}}} {value} {now:.3f}')

    def stop(self):
        self.daemon.stop()
        self.chronyd.stop()


def acts(guests):
    """(s, what the host does). chronyd runs with -x: an offset that it is told to correct stays."""
    one, two, three = guests
    soon = page.DISRUPTION_SOON | page.DISRUPTION_IMMINENT
    return [
        (20, lambda: two.page.write(flags=two.page.fields.flags | page.DISRUPTION_SOON)),
        (35, lambda: two.page.write(flags=two.page.fields.flags | soon)),
        (50, lambda: two.page.migrate(offset=0, flags=two.page.fields.flags & ~soon)),
        (70, lambda: one.page.migrate(offset=0)),
        (85, lambda: three.page.write(clock_status=page.UNRELIABLE)),
        (100, lambda: three.page.migrate(offset=0, clock_status=page.SYNCHRONISED)),
        (115, one.chronyd.pause),
        (116, lambda: one.page.migrate(offset=0)),
        (122, one.chronyd.resume),
    ]


def record(root, path):
    guests = [Guest(root, name) for name in GUESTS]
    found, begin = {}, time.time()
    due = acts(guests)
    while time.time() - begin < SECONDS:
        now = time.time()
        while due and now - begin >= due[0][0]:
            due.pop(0)[1]()
        for guest in guests:
            guest.scrape(found, now)
        time.sleep(max(0, EVERY - (time.time() - now)))
    for guest in guests:
        guest.stop()
    with open(path, "w", encoding="ascii") as file:
        for name, lines in found.items():
            # A sample's time never goes back within a series: by series, then by time.
            file.write(f"# TYPE {name} unknown\n")
            file.writelines(line + "\n" for line in sorted(lines, key=lambda one: one.rsplit(" ", 2)[::2]))
        file.write("# EOF\n")
    return begin, time.time()


class Prometheus:
    def __init__(self, program, data, directory):
        configuration = os.path.join(directory, "prometheus.yml")
        with open(configuration, "w", encoding="ascii") as file:
            file.write("global: {}\n")
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        self.process = subprocess.Popen(
            [program, f"--config.file={configuration}", f"--storage.tsdb.path={data}", "--log.level=error",
             "--storage.tsdb.retention.time=10y", f"--web.listen-address=127.0.0.1:{self.port}"])  # fmt: skip
        eventually(self.is_ready, timeout=30, every=0.2)

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read()

    def is_ready(self):
        try:
            return self.get("/-/ready")
        except OSError:
            return None

    def ask(self, expression, begin, end):
        words = urllib.parse.urlencode({"query": expression, "start": begin, "end": end, "step": STEP})
        answer = json.loads(self.get("/api/v1/query_range?" + words))
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def stop(self):
        self.process.terminate()
        self.process.wait()


def legend(pattern, labels):
    for name, value in labels.items():
        pattern = pattern.replace("{{" + name + "}}", value)
    return pattern


class Picture:
    def __init__(self, begin, end):
        self.begin, self.end, self.top = begin, end, 60
        self.lines = []

    def x(self, when):
        return LEFT + (when - self.begin) / (self.end - self.begin) * (WIDTH - LEFT - 20)

    def text(self, x, y, words, **more):
        style = " ".join(f'{name.replace("_", "-")}="{value}"' for name, value in more.items())
        self.lines.append(f'<text x="{x:.0f}" y="{y:.0f}" {style}>{html.escape(words)}</text>')

    def row(self, title):
        self.text(10, self.top, title, font_weight="bold")
        self.top += 12

    def timeline(self, panel, results):
        words = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
        for series in results:
            self.text(10, self.top + 13, series["metric"].get("instance", ""), font_size=12)
            for when, value in series["values"]:
                colour = words[value]["color"]
                self.lines.append(f'<rect x="{self.x(when):.1f}" y="{self.top}" width="{self.x(when + STEP) - self.x(when) + 0.3:.1f}" '
                                  f'height="18" fill="{WORDS.get(colour, colour)}"/>')
            self.top += 22
        x = LEFT
        for one in words.values():
            self.lines.append(f'<rect x="{x}" y="{self.top + 2}" width="10" height="10" fill="{WORDS.get(one["color"], one["color"])}"/>')
            self.text(x + 14, self.top + 11, one["text"], font_size=11)
            x += 100
        self.top += 40

    def curves(self, results, as_points):
        """Logarithmic, from 10 ns to 10 s."""
        def y(value):
            decade = math.log10(min(max(value, 1e-8), 10))
            return self.top + (1 - decade) / 9 * ROW

        for decade, words in ((-8, "10 ns"), (-6, "1 us"), (-3, "1 ms"), (0, "1 s")):
            at = y(10**decade)
            self.lines.append(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{at:.0f}" y2="{at:.0f}" stroke="#d1d9e0"/>')
            self.text(LEFT - 6, at + 4, words, text_anchor="end", font_size=11)
        for i, (name, values) in enumerate(results):
            colour = COLOURS[i % len(COLOURS)]
            if as_points:
                for when, value in values:
                    self.lines.append(f'<circle cx="{self.x(when):.1f}" cy="{y(float(value)):.1f}" r="2" fill="{colour}"/>')
            else:
                path = " ".join(f"{self.x(when):.1f},{y(float(value)):.1f}" for when, value in values)
                self.lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
            self.text(LEFT + 150 * (i % 5), self.top + ROW + 16 + 14 * (i // 5), name, fill=colour, font_size=11)
        self.top += ROW + 30 + 14 * ((len(results) - 1) // 5) + 20

    def annotate(self, moments):
        for when, name in moments:
            self.lines.append(f'<line x1="{self.x(when):.1f}" x2="{self.x(when):.1f}" y1="50" y2="{self.top - 30}" '
                              'stroke="#cf222e" stroke-dasharray="3 3"/>')
            self.text(self.x(when) + 3, 48, name, font_size=10, fill="#cf222e")

    def write(self, path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.top}" font-family="sans-serif" font-size="14">\n'
                       "<!-- SPDX-License-Identifier: BSD-2-Clause -->\n"
                       f'<rect width="{WIDTH}" height="{self.top}" fill="#fff"/>\n'
                       '<text x="10" y="20" font-size="13">Drawn by tests/bench/draw_dashboard.py with the expressions of conf/grafana/vmclockd.json, '
                       "not by Grafana;</text>\n"
                       f'<text x="10" y="36" font-size="13">{SECONDS} s of three vmclockds, each beside a chronyd -x and a simulated host.</text>\n')
            file.write("\n".join(self.lines) + "\n</svg>\n")


def filled(expression):
    return expression.replace("offset $__interval", f"offset {STEP}s").replace("$__interval", f"{2 * STEP}s").replace("$__range", f"{SECONDS}s").replace("$instance", ".*")


def draw(dashboard, prometheus, begin, end, path):
    picture = Picture(begin, end)
    for panel in dashboard["panels"]:
        if panel["title"] not in PANELS:
            continue
        picture.row(panel["title"])
        asked = [(target, prometheus.ask(filled(target["expr"]), begin, end)) for target in panel["targets"]]
        if panel["type"] == "state-timeline":
            picture.timeline(panel, asked[0][1])
        else:
            picture.curves([(legend(target["legendFormat"], series["metric"]), series["values"])
                            for target, results in asked for series in results],
                           panel["fieldConfig"]["defaults"].get("custom", {}).get("drawStyle") != "line")  # fmt: skip
    moments = {(float(value) / 1000, series["metric"]["instance"])
               for series in prometheus.ask(filled(dashboard["annotations"]["list"][0]["expr"]), begin, end)
               for _, value in series["values"]}  # fmt: skip
    picture.annotate(sorted(moments))
    picture.write(path)


def main(program, promtool):
    with open(os.path.join(harness.PROJECT, "conf/grafana/vmclockd.json"), encoding="ascii") as file:
        dashboard = json.load(file)
    root = tempfile.mkdtemp(prefix="dash.", dir="/tmp")
    try:
        recorded, data = os.path.join(root, "metrics"), os.path.join(root, "data")
        begin, end = record(root, recorded)
        subprocess.run([promtool, "tsdb", "create-blocks-from", "openmetrics", recorded, data], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        prometheus = Prometheus(program, data, root)
        try:
            draw(dashboard, prometheus, begin, end, os.path.join(harness.PROJECT, "doc/dashboard.svg"))
        finally:
            prometheus.stop()
    finally:
        shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
