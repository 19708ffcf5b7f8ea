# SPDX-License-Identifier: BSD-2-Clause
"""Servers that are the guest's own, and that chrony.conf gives by name: chronyd is asked for them."""

import os
import shutil
import subprocess
import sys
import time
import unittest

import page
import real_chronyd
import scripted_chronyd as script
from daemon import Daemon
from harness import Case, eventually
from scripted_case import ScriptedCase

OWN = "169.254.169.123"


class OwnServersTest(ScriptedCase):
    limit = 60

    def asked(self, text, *sources, name="time.example"):
        with open(self.path("chrony.conf"), "w", encoding="ascii") as file:
            file.write(text)
        self.chronyd.ntp_sources = list(sources)
        self.chronyd.names = {OWN: name}
        self.made = self.marker()
        daemon = self.daemon(chrony_conf=self.path("chrony.conf"))
        daemon.reaches(mode="marker-only")
        eventually(lambda: daemon.status()["chronyd"]["reachable"])
        return daemon

    def test_one_that_is_given_by_name_is_boosted_and_has_its_polls_back(self):
        daemon = self.asked("server time.example minpoll 5 maxpoll 9\n", "192.0.2.7", OWN)
        eventually(lambda: daemon.status()["boost"] == OWN)
        self.made.disrupt()
        self.recovered(daemon)
        self.assertEqual(self.request(script.MODIFY_MINPOLL).data, (OWN, 0))
        self.assertEqual(self.request(script.MODIFY_MAXPOLL).data, (OWN, 0))
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(self.chronyd.sent(script.MODIFY_MINPOLL)[-1].data, (OWN, 5))
        self.assertEqual(self.chronyd.sent(script.MODIFY_MAXPOLL)[-1].data, (OWN, 9))

    def left_alone(self, text, name="time.example"):
        daemon = self.asked(text, OWN, name=name)
        time.sleep(0.5)
        self.made.disrupt()
        self.recovered(daemon)
        self.assertIsNone(daemon.status()["boost"])
        self.assertEqual(self.chronyd.sent(script.MODIFY_MINPOLL), [])

    def test_it_has_the_polls_of_its_own_line(self):
        daemon = self.asked("server time.example minpoll 4 maxpoll 7\npool b.example\n", OWN)
        eventually(lambda: daemon.status()["boost"] == OWN)
        for number in (1, 2):
            self.made.disrupt()
            self.recovered(daemon, number)
            self.request(script.MODIFY_MAXPOLL, number)
            eventually(lambda: daemon.status()["last_recovery"]["outcome"] == "synchronised")
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(self.chronyd.sent(script.MODIFY_MAXPOLL)[-1].data, (OWN, 7))

    def test_one_that_was_added_by_its_address_is_left_alone(self):
        self.left_alone("pool b.example\n", name=OWN)

    def test_one_that_is_not_polled_as_its_line_says_is_left_alone(self):
        self.left_alone("server time.example minpoll 8\n")

    def test_where_not_all_of_chrony_conf_can_be_read_it_is_left_alone(self):
        self.left_alone("server time.example minpoll 5\ninclude /nowhere/chrony.conf\n")

    def test_nobody_is_asked_where_there_is_no_name(self):
        self.asked(f"server {OWN} minpoll 4 maxpoll 4\nserver 192.0.2.7\n", OWN, "192.0.2.7")
        self.made.disrupt()
        self.request(script.MODIFY_MAXPOLL)
        self.assertEqual(self.chronyd.sent(script.N_SOURCES), [])

    def test_it_is_found_again_after_a_reload_and_a_restart_of_chronyd(self):
        daemon = self.asked("pool time.example\n", OWN)
        eventually(lambda: daemon.status()["boost"] == OWN)
        self.chronyd.ntp_sources = []
        self.chronyd.stop_listening(unlink=True)
        eventually(lambda: not daemon.status()["chronyd"]["reachable"])
        self.chronyd.listen()
        eventually(lambda: daemon.status()["chronyd"]["reachable"] and not daemon.status()["boost"])


def has_namespaces():
    """Whether chronyd can have a network, and a file of names, of its own."""
    if not shutil.which("unshare"):
        return False
    done = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False)
    return done.returncode == 0


# The loopback interface has the address, without which the resolver does not answer: files, command.
INSIDE = """
import fcntl, os, socket, struct, subprocess, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    address = struct.pack("16sHH4s8x", b"lo", socket.AF_INET, 0, bytes([169, 254, 169, 123]))
    fcntl.ioctl(sock, 0x8916, address)  # SIOCSIFADDR
    fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
subprocess.run(["mount", "--bind", sys.argv[1], "/etc/hosts"], check=True)
os.execvp(sys.argv[2], sys.argv[2:])
"""


class NamedChronyd(real_chronyd.RealChronyd):
    """In a network of its own, where nobody is reached, and one name has an address."""

    def launch(self, command, **options):
        hosts = os.path.join(self.directory, "hosts")
        with open(hosts, "w", encoding="ascii") as file:
            file.write(f"{OWN} time.example\n")
        return super().launch(
            ["unshare", "--net", "--mount", sys.executable, "-c", INSIDE, hosts, *command], **options
        )


@unittest.skipIf(real_chronyd.missing(), real_chronyd.missing())
@unittest.skipUnless(has_namespaces(), "no right to a network namespace")
class RealOwnServersTest(Case):
    limit = 60

    def test_chronyd_tells_the_address_of_a_name(self):
        chronyd = self.witness(
            NamedChronyd(self.path("chrony"), "server time.example minpoll 4 maxpoll 8")
        )
        self.addCleanup(chronyd.stop)
        page.clock_page(self.path("page"))
        chronyd.start()
        daemon = self.witness(
            Daemon(self.dir, self.path("page"), chronyd.sock_path, chronyd.command_path,
                   chrony_conf=chronyd.configuration)
        ).start()  # fmt: skip
        eventually(lambda: (daemon.status() or {}).get("boost") == OWN, timeout=30)
