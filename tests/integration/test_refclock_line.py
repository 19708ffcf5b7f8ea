# SPDX-License-Identifier: BSD-2-Clause
"""
The line that is installed for chronyd, conf/chrony-vmclock.conf, and a chronyd that reads it: as
root and without, in directories that stand in for /run.
"""

import os
import pwd
import shutil
import stat
import subprocess
import unittest

import harness
import page
import real_chronyd
from daemon import Daemon
from harness import Case, eventually

SHIPPED = os.path.join(harness.PROJECT, "conf", "chrony-vmclock.conf")
FIRST_RELEASE = "/run/chrony.vmclock.sock"


def shipped_line():
    with open(SHIPPED, encoding="ascii") as file:
        return next(line.strip() for line in file if line.strip() and not line.startswith("#"))


def first_releases_line():
    fields = shipped_line().split()
    return " ".join([*fields[:2], FIRST_RELEASE, *fields[3:]])


class Chronyd(real_chronyd.RealChronyd):
    """Its sockets are in `run`/chrony; without root it runs as nobody, or as the tests' user."""

    def __init__(self, directory, run, line, root):
        super().__init__(directory)
        os.chmod(directory, 0o755)
        self.root, self.run = root, run
        self.own = os.path.join(run, "chrony")
        self.command_path = os.path.join(self.own, "chronyd.sock")
        line = line.replace("/run/", run + "/")
        self.sock_path = line.split()[2]
        with open(self.configuration, "w", encoding="ascii") as file:
            for text in (
                line,
                f"bindcmdaddress {self.command_path}",
                f"pidfile {self.own}/chronyd.pid",
                "port 0",
                "cmdport 0",
            ):
                print(text, file=file)

    def command(self):
        return super().command() if self.root else [*super().command(), "-U"]

    def user(self):
        return "nobody" if os.geteuid() == 0 else super().user()

    def launch(self, command, **options):
        if not self.root:
            # as systemd does it, where the unit says RuntimeDirectory=chrony
            os.chmod(self.run, 0o755)
            os.makedirs(self.own, mode=0o750, exist_ok=True)
            if os.geteuid() == 0:
                nobody = pwd.getpwnam("nobody")
                os.chown(self.own, nobody.pw_uid, nobody.pw_gid)
                options.update(user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])
            os.chmod(self.run, 0o555)
        return super().launch(command, **options)


@unittest.skipIf(real_chronyd.missing(), real_chronyd.missing())
class RefclockLineTest(Case):
    limit = 60
    weight = 5

    def setUp(self):
        super().setUp()
        for directory in (harness.ROOT, self.dir):  # for a user who is not root
            os.chmod(directory, 0o711)
        self.run_dir = self.path("run")
        os.mkdir(self.run_dir, 0o555)
        self.addCleanup(os.chmod, self.run_dir, 0o755)

    def chronyd(self, root, line=None):
        if root and os.geteuid() != 0:
            self.skipTest("chronyd with root needs root")
        made = Chronyd(self.path("chronyd"), self.run_dir, line or shipped_line(), root)
        return self.witness(made)

    def daemon(self, chronyd):
        page.clock_page(self.path("page"))
        paths = (self.path("page"), chronyd.sock_path, chronyd.command_path)
        return self.witness(Daemon(self.dir, *paths, step="never", correct_frequency="no")).start()

    def fed(self, chronyd):
        eventually(chronyd.selected, lambda: f"VMCL: {chronyd.chronyc('sources')}", 30, 0.05)

    def lives(self, chronyd):
        chronyd.start()
        daemon = self.daemon(chronyd)
        self.fed(chronyd)
        self.assertEqual(stat.S_IMODE(os.stat(chronyd.own).st_mode) & 0o007, 0)
        chronyd.stop()
        chronyd.start()
        self.fed(chronyd)
        chronyd.stop()
        os.chmod(self.run_dir, 0o755)
        shutil.rmtree(chronyd.own)
        os.chmod(self.run_dir, 0o555)
        eventually(lambda: not daemon.status()["chronyd"]["reachable"])
        chronyd.start()
        self.fed(chronyd)
        daemon.reaches(state="feeding", pid=daemon.pid())
        eventually(lambda: daemon.status()["chronyd"]["reachable"])

    def test_a_chronyd_with_root_makes_the_socket_again_and_again(self):
        self.lives(self.chronyd(root=True))

    def test_a_chronyd_without_root_makes_the_socket_again_and_again(self):
        self.lives(self.chronyd(root=False))

    def test_the_first_releases_socket_ends_a_chronyd_without_root(self):
        chronyd = self.chronyd(root=False, line=first_releases_line())
        with self.assertRaisesRegex(AssertionError, "Could not open socket"):
            chronyd.start()

    def test_by_default_samples_go_on_to_the_first_releases_socket(self):
        chronyd = self.chronyd(root=True, line=first_releases_line())
        with_run = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /run && exec "$@"')
        if subprocess.run([*with_run, self.run_dir, "true"], check=False).returncode != 0:
            self.skipTest("no mount namespace")
        with_run += (self.run_dir,)
        page.clock_page(self.path("page"))
        paths = (self.path("page"), None, chronyd.command_path)
        daemon = self.witness(Daemon(self.dir, *paths, step="never", correct_frequency="no"))
        daemon.start(wrapper=with_run)
        daemon.says("samples cannot be sent to /run/chrony/vmclock.sock: No such file")
        chronyd.start()
        self.fed(chronyd)
        status = daemon.reaches(state="feeding")
        self.assertEqual([w for w in status["warnings"] if "samples" in w], [])
        with open(self.path("chrony.conf"), "w", encoding="ascii") as file:
            print(first_releases_line(), file=file)
        doctor = [*with_run, harness.program("vmclockctl"), "-c", daemon.configuration, "doctor"]
        said = subprocess.run(
            [*doctor, self.path("chrony.conf")], capture_output=True, text=True, check=False
        ).stdout
        self.assertIn(f"-> write {shipped_line().split()[2]} there", said)
        self.assertIn(f"sock            {FIRST_RELEASE} is there", said)
