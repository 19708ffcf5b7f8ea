# SPDX-License-Identifier: BSD-2-Clause
"""`make install` over what an earlier version has installed."""

import os
import subprocess

import harness
from harness import Case

DROP_IN = "etc/chrony/conf.d/vmclockd.conf"
AS_INSTALLED = "usr/share/vmclockd/chrony-vmclock.conf"
EARLIER = "# an earlier version's\nrefclock SOCK /run/earlier.sock refid VMCL\n"


class InstallTest(Case):
    def install(self):
        words = [f"DESTDIR={self.dir}", "prefix=/usr", f"BUILD={harness.BUILD}"]
        subprocess.run(
            ["make", "-s", "install", *words], cwd=harness.PROJECT, check=True, capture_output=True
        )
        with open(self.path(DROP_IN), encoding="ascii") as file:
            return file.read()

    def earlier(self, drop_in):
        for name, text in ((DROP_IN, drop_in), (AS_INSTALLED, EARLIER)):
            os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
            with open(self.path(name), "w", encoding="ascii") as file:
                file.write(text)

    def test_chronys_drop_in_is_replaced_unless_somebody_changed_it(self):
        current = self.install()
        self.assertIn("refclock SOCK", current)
        self.earlier(EARLIER)
        self.assertEqual(self.install(), current)
        changed = EARLIER + "# by hand\n"
        self.earlier(changed)
        self.assertEqual(self.install(), changed)
        self.assertEqual(self.install(), changed)
