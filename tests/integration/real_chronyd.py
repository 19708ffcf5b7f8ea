# SPDX-License-Identifier: BSD-2-Clause
"""
Debian's own chronyd, or another suite's with CHRONY_ROOT, in a private directory, always with -x:
it must never touch the clock of the machine that runs the tests. It keeps the correction it would
have made in a register, which `chronyc tracking` shows as the system time's offset.
"""

import glob
import os
import pwd
import shutil
import signal
import subprocess

import harness
from harness import eventually

# Where tests/get-chrony.sh puts them; chronyd may be another suite's, with its libraries, where
# tests/vm/fetch-chrony has unpacked them. (Its chronyc would want a user _chrony.)
CHRONY_ROOT = os.environ.get("CHRONY_ROOT")
CHRONYD = f"{CHRONY_ROOT}/usr/sbin/chronyd" if CHRONY_ROOT else harness.program("chrony/chronyd")
CHRONYC = harness.program("chrony/chronyc")


def missing():
    """Why the tests with a real chronyd cannot run, or None."""
    for path in (CHRONYD, CHRONYC):
        if not os.access(path, os.X_OK):
            return f"there is no {path}"
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return "chronyd needs the name of its user, and this one has none"
    return None


class RealChronyd:
    refclock = "refid VMCL poll -2 filter 16 trust prefer delay 1e-5 stratum 1"

    def __init__(self, directory, *lines):
        os.makedirs(directory, mode=0o700, exist_ok=True)
        os.chmod(directory, 0o700)
        self.directory = directory
        self.sock_path = os.path.join(directory, "vmclock.sock")
        self.command_path = os.path.join(directory, "chronyd.sock")
        # AppArmor confines the installed path to /run/chrony and the like; a copy it leaves alone.
        self.binary = self.copied()
        self.log_path = os.path.join(directory, "chronyd.log")
        self.configuration = os.path.join(directory, "chrony.conf")
        with open(self.configuration, "w", encoding="ascii") as file:
            for line in (
                f"refclock SOCK {self.sock_path} {self.refclock}",
                f"bindcmdaddress {self.command_path}",
                f"pidfile {directory}/chronyd.pid",
                "port 0",
                "cmdport 0",
                "makestep 1 3",
                *lines,
            ):
                print(line, file=file)
        self.process = None

    def copied(self):
        """The command that runs a copy of chronyd, with the libraries of CHRONY_ROOT."""
        copy = shutil.copy(CHRONYD, self.directory)
        if not CHRONY_ROOT:
            return [copy]
        libraries = os.path.join(self.directory, "lib")
        os.makedirs(libraries, exist_ok=True)
        for file in glob.glob(f"{CHRONY_ROOT}/**/lib/*-linux-gnu/*.so*", recursive=True):
            shutil.copy(file, libraries)
        (loader,) = glob.glob(f"{libraries}/ld-linux*")
        return [loader, "--library-path", libraries, copy]

    def user(self):
        return pwd.getpwuid(os.geteuid()).pw_name

    def command(self):
        command = [*self.binary, "-x", "-d", "-f", self.configuration, "-u", self.user()]
        return command if os.geteuid() == 0 else [*command, "-U"]

    def launch(self, command, **options):
        return subprocess.Popen(command, cwd=self.directory, **options)

    def start(self):
        with open(self.log_path, "a", encoding="ascii") as log:
            self.process = self.launch(self.command(), stdout=log, stderr=log)
        eventually(self.answers, "chronyd answers its command socket")
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"chronyd ended with {self.process.returncode}: {self.log()}")
        return self.chronyc("tracking") is not None

    def chronyc(self, *words):
        """The lines of chronyc's answer as lists of fields; None if it had none."""
        command = [CHRONYC, "-n", "-h", self.command_path, "-c", *words]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=20, check=False
        )
        if done.returncode != 0:
            return None
        return [line.split(",") for line in done.stdout.splitlines()]

    def source(self):
        """Our reference clock in `sources`: selected ('*' ...), reachability, offset."""
        for mode, state, name, _, _, reach, _, offset, *_ in self.chronyc("sources") or []:
            if (mode, name) == ("#", "VMCL"):
                return {"state": state, "reach": int(reach, 8), "offset": float(offset)}
        return None

    def samples(self):
        """How many filtered samples the source's statistics rest on."""
        for name, count, *_ in self.chronyc("sourcestats") or []:
            if name == "VMCL":
                return int(count)
        return None

    def tracking(self):
        """What chronyd follows, and true time minus system time in seconds as it sees it."""
        lines = self.chronyc("tracking")
        if not lines:
            return None
        fields = lines[0]
        return {"refid": fields[1], "offset": float(fields[4]), "leap": fields[-1]}

    def selected(self):
        source = self.source()
        return source is not None and source["state"] == "*"

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()

    def log(self):
        with open(self.log_path, encoding="ascii", errors="replace") as file:
            return file.read()

    def evidence(self):
        return "-- real chronyd said\n" + self.log()
