# SPDX-License-Identifier: BSD-2-Clause
"""vmclockd under runit and s6, by the files of conf/init."""

import glob
import os
import shutil
import signal
import subprocess

import harness
from harness import eventually
from scripted_case import ScriptedCase

ROOT = harness.program("supervisors/root")


class SupervisorTest(ScriptedCase):
    def environment(self, daemon):
        libraries = ":".join({os.path.dirname(path) for path in glob.glob(f"{ROOT}/**/*.so*", recursive=True)})
        return {
            "PATH": f"{ROOT}/usr/bin:{ROOT}/bin:{ROOT}/usr/sbin:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": libraries,
            "VMCLOCKD": harness.program("vmclockd"),
            "VMCLOCKD_CONFIG": daemon.configuration,
            "VMCLOCK_DEVICE": self.path("page"),
        }

    def supervised(self, name, supervisor, down):
        """Started, started again when it is killed, left alone with a mistake in its configuration."""
        if not os.path.exists(harness.program("supervisors/done")):
            self.skipTest("no runit and s6 (tests/get-supervisors.sh)")
        self.marker()
        daemon = self.prepared()
        directory = self.path("service")
        shutil.copytree(os.path.join(harness.PROJECT, "conf/init", name), directory)
        environment = self.environment(daemon)
        with open(self.path("log"), "wb") as log:
            process = subprocess.Popen([supervisor, directory], env=environment, stdout=log, stderr=log)
        try:
            first = eventually(daemon.status)["pid"]
            os.kill(first, signal.SIGKILL)
            second = eventually(lambda: (daemon.status() or {"pid": first})["pid"] != first and daemon.status())["pid"]
            with open(daemon.configuration, "a", encoding="ascii") as file:
                file.write("no-such-key = 1\n")
            os.kill(second, signal.SIGKILL)

            def said():
                with open(self.path("log"), encoding="utf-8", errors="replace") as file:
                    return file.read().count("no-such-key")

            eventually(said)
            eventually(lambda: down(directory, environment))
            self.assertLess(said(), 4)
        finally:
            process.terminate()
            process.wait(15)

    def test_runit(self):
        def down(directory, environment):
            done = subprocess.run(["sv", "status", directory], env=environment, capture_output=True, text=True, check=False)
            return done.stdout.startswith("down:")

        self.supervised("runit", "runsv", down)

    def test_s6(self):
        def down(directory, environment):
            done = subprocess.run(["s6-svstat", "-o", "up", directory], env=environment, capture_output=True, text=True,
                                  check=False)  # fmt: skip
            return done.stdout.strip() == "false"

        self.supervised("s6", "s6-supervise", down)
