# SPDX-License-Identifier: BSD-2-Clause
"""bash's completion offers what --help lists, no more and no less."""

import os
import re
import shutil
import subprocess
import unittest

import harness
from harness import Case

SCRIPT = """
source "$1"
COMP_WORDS=("${@:2}")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
"_${COMP_WORDS[0]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@unittest.skipUnless(shutil.which("bash"), "there is no bash")
class CompletionTest(Case):
    def offered(self, *words):
        done = subprocess.run(
            ["bash", "-c", SCRIPT, "-", f"{harness.PROJECT}/conf/completions/{words[0]}", *words],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
            cwd=self.dir,
        )
        self.assertEqual(done.stderr, "")
        return set(done.stdout.split())

    def help(self, name):
        done = subprocess.run(
            [harness.program(name), "--help"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        return done.stdout

    def commands(self):
        return set(re.findall(r"(?m)^  ([a-z]+) ", self.help("vmclockctl")))

    def options(self, name):
        pairs = re.findall(r"(?m)^  (-\w)?,? +(--[\w-]+)", self.help(name))
        return {option for pair in pairs for option in pair if option}

    def test_vmclockctls_commands(self):
        commands = self.commands()
        self.assertIn("status", commands)
        self.assertEqual(self.offered("vmclockctl", ""), commands)
        self.assertEqual(self.offered("vmclockctl", "-j", "-c", "x", ""), commands)
        self.assertEqual(self.offered("vmclockctl", "st"), {"status"})
        for command in commands:
            self.assertLessEqual(self.offered("vmclockctl", command, ""), set(os.listdir(self.dir)))

    def test_options(self):
        for name in ("vmclockctl", "vmclockd"):
            options = self.options(name)
            self.assertIn("--help", options)
            self.assertEqual(self.offered(name, "-"), options)
            self.assertEqual(self.offered(name, "--h"), {"--help"})

    def test_files(self):
        with open(self.path("some.conf"), "wb"):
            pass
        for words in (
            ("vmclockctl", "-c", ""),
            ("vmclockctl", "status", "--config", "so"),
            ("vmclockctl", "-j", "doctor", "so"),
            ("vmclockd", "-c", ""),
            ("vmclockd", "-t", "--config", "so"),
        ):
            self.assertEqual(self.offered(*words), {"some.conf"}, words)

    def test_the_manual_names_every_command(self):
        with open(f"{harness.PROJECT}/daemon/vmclockctl.8", encoding="utf-8") as file:
            manual = file.read()
        for command in self.commands():
            self.assertTrue(re.search(rf"(?m)^\.It Ic {command}\b", manual), command)
