#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Record what each command of vmclockctl shows in each state of vmclockd, at 80 and at 50 columns,
from the real programs before a real chronyd -x and a simulated page: doc/sessions.txt, which nobody
edits. Times and offsets are of that run; paths are shortened.

usage: BUILD=build tests/integration/record_sessions.py >doc/sessions.txt"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

import harness
import page
from daemon import Daemon
from harness import eventually
from real_chronyd import RealChronyd

COLUMNS = (80, 50)
COMMANDS = ("status", "now", "history", "wait 0.1", "page", "doctor", "metrics", "status --json")
LONG = {"page", "metrics", "doctor", "status --json"}  # shown once, in one state, and cut


class Recorder:
    def __init__(self, directory):
        self.directory = directory
        self.daemon = None

    def shown(self, text):
        return text.replace(self.directory + "/chrony/", "/run/chrony/").replace(self.directory, "/run/vmclockd")

    def session(self, words, columns, lines=None):
        done = self.daemon.ctl(*words.split(), environment={"COLUMNS": str(columns)})
        said = self.shown(done.stdout + done.stderr).splitlines()
        print(f"\n$ vmclockctl {words}")
        print("\n".join(said[:lines]))
        if lines and len(said) > lines:
            print(f"[{len(said) - lines} lines more]")
        print(f"[exit status {done.returncode}]")

    def state(self, title, commands=("status", "now")):
        print(f"\n\n=== {title}")
        for columns in COLUMNS:
            print(f"\n--- {columns} columns")
            for words in commands:
                self.session(words, columns, 30 if words in LONG else None)


def record(directory):
    recorder = Recorder(directory)
    chronyd = RealChronyd(os.path.join(directory, "chrony"))
    made = page.clock_page(os.path.join(directory, "page"))
    made.fields.seq_count |= 1
    daemon = recorder.daemon = Daemon(directory, made.path, chronyd.sock_path, chronyd.command_path,
                                      chrony_conf=chronyd.configuration)  # fmt: skip
    recorder.state("no vmclockd has run since the boot", ("status", "history", "wait 0.1"))
    daemon.start()
    eventually(daemon.status)
    recorder.state("starting: the host is writing its first page")
    made.fields.seq_count += 1
    eventually(lambda: daemon.status()["state"] == "feeding")
    recorder.state("feeding, and there is no chronyd")
    chronyd.start()
    eventually(lambda: daemon.status()["all_is_well"], timeout=30)
    recorder.state("feeding: all is well", COMMANDS)
    watch = subprocess.Popen([harness.program("vmclockctl"), "-c", daemon.configuration, "watch"],
                             stdout=subprocess.PIPE, text=True)  # fmt: skip
    time.sleep(0.3)
    chronyd.pause()
    made.migrate(offset=5e-3, ppm=60)
    eventually(lambda: daemon.status()["state"] == "recovering")
    recorder.state("recovering: chronyd has not answered yet")
    chronyd.resume()
    eventually(lambda: daemon.status()["state"] == "feeding")
    time.sleep(2)
    recorder.state("feeding: after a migration, which chronyd -x cannot correct", ("status", "now", "history"))
    watch.terminate()
    print("\n\n=== the same, as it happened\n\n$ vmclockctl watch")
    print(recorder.shown(watch.communicate()[0]), end="")
    made.write(flags=made.fields.flags | page.DISRUPTION_IMMINENT)
    eventually(lambda: daemon.status()["maintenance"] == "imminent")
    recorder.state("feeding: the host announces a disruption")
    made.write(clock_status=page.UNRELIABLE, flags=made.fields.flags & ~page.DISRUPTION_IMMINENT)
    eventually(lambda: daemon.status()["state"] == "holdover")
    recorder.state("holdover: the host's clock is unreliable")
    os.rename(made.path, made.path + ".away")
    eventually(lambda: daemon.status()["disruption_marker"] is None)
    recorder.state("holdover: the device is lost")
    daemon.stop()
    page.marker_page(made.path)
    os.unlink(daemon.settings["state_file"])
    daemon.start()
    eventually(lambda: (daemon.status() or {}).get("state") == "watching")
    recorder.state("watching: the page has a marker alone")
    daemon.stop()
    recorder.state("vmclockd was stopped", ("status", "now", "history", "wait 0.1"))
    chronyd.stop()


def main():
    directory = tempfile.mkdtemp(prefix="sessions.", dir="/tmp")
    print("Recorded by tests/integration/record_sessions.py: vmclockctl beside vmclockd, a chronyd -x and a\n"
          "simulated page. SPDX-License-Identifier: BSD-2-Clause")  # fmt: skip
    try:
        record(directory)
    finally:
        shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
