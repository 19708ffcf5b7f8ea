# SPDX-License-Identifier: BSD-2-Clause
"""`vmclockctl doctor`: a line for each thing that has to fit, and how to mend it."""

import json
import os

from daemon import CONFIG, DEGRADED, OK, USAGE
from harness import eventually
from scripted_case import ScriptedCase
import scripted_chronyd as script


class DoctorTest(ScriptedCase):
    options = "refid VMCL poll -2 filter 16 trust prefer delay 1e-5 stratum 1"

    def chrony_conf(self, *lines, refclock=True):
        path = self.path("chrony.conf")
        with open(path, "w", encoding="utf-8") as file:
            if refclock:
                file.write(f"refclock SOCK {self.chronyd.sock_path} {self.options}\n")
            file.write("".join(line + "\n" for line in lines))
        return path

    def checks(self, daemon, path):
        """Each check's (result, message, mend), from JSON; the lines for people say the same."""
        done = daemon.ctl("doctor", "--json", path)
        report = json.loads(done.stdout)
        # What this machine itself is like is not the test's to say.
        mine = [c for c in report["checks"] if c["check"] not in ("AppArmor", "SELinux", "service")]
        self.assertEqual(
            report["findings"], sum(check["result"] != "ok" for check in report["checks"])
        )
        self.assertEqual(done.returncode, DEGRADED if report["findings"] else OK)
        plain = daemon.ctl("doctor", path)
        self.assertEqual(plain.returncode, done.returncode)
        self.assertEqual(plain.stderr, "")
        said = " ".join(plain.stdout.split())
        for check in report["checks"]:
            self.assertEqual(check["result"] == "ok", "mend" not in check, check)
            if "in " not in check["message"]:  # times differ
                self.assertIn(" ".join(check["message"].split()), said)
        for line in plain.stdout.splitlines():
            self.assertTrue(len(line) <= 80 or len(line.split()[-1]) > 40, line)
        return {c["check"]: (c["result"], c["message"], c.get("mend")) for c in mine}

    def running(self, **settings):
        daemon = self.daemon(**settings)
        eventually(lambda: daemon.ctl("status").returncode == OK)
        return daemon

    def test_where_all_fits_there_is_no_finding(self):
        self.clock()
        daemon = self.running(sample_interval="50ms", boost=["192.0.2.1 4 6", "2001:db8::1 6 10"])
        path = self.chrony_conf(
            "makestep 1 3", "server 192.0.2.1 minpoll 4 maxpoll 6", "peer 2001:db8::1"
        )
        checks = self.checks(daemon, path)
        self.assertEqual({result for result, _, _ in checks.values()}, {"ok"}, checks)
        self.assertEqual(
            list(checks),
            ["configuration", "device", "chrony.conf", "refclock", "makestep", "boost", "sock",
             "command socket", "vmclockd"],
        )
        self.assertIn("VMCL", checks["command socket"][1])
        self.assertEqual(self.resets(), [])

    def test_findings_of_the_refclock_line(self):
        self.clock()
        daemon = self.running(sample_interval="50ms")
        for options, result, words in (
            ("", "problem", "refid is not set"),
            ("refid VMCX poll -2 filter 16 trust prefer", "problem", "refid is VMCX"),
            ("refid VMCL poll -2 filter 16 trust prefer noselect", "problem", "noselect"),
            ("refid VMCL poll -3 filter 16 trust prefer", "problem", "poll -3 is too fast"),
            ("refid VMCL poll -3 filter 2 trust prefer", "ok", "chrony.conf:1"),
            ("refid VMCL trust prefer", "warning", "poll 4"),
            ("refid VMCL poll -2 filter 16 prefer", "warning", "outvote"),
            ("refid VMCL poll -2 filter 16 trust", "warning", "outvote"),
            (self.options, "ok", "chrony.conf:1"),
        ):
            with self.subTest(options):
                self.options = options
                found = self.checks(daemon, self.chrony_conf("makestep 1 3"))["refclock"]
                self.assertEqual(found[0], result, found)
                self.assertIn(words, found[1])

    def test_a_missing_line_is_shown_as_it_has_to_be(self):
        self.clock()
        daemon = self.running()
        path = self.chrony_conf("makestep 1 3", refclock=False)
        result, _, mend = self.checks(daemon, path)["refclock"]
        self.assertEqual(result, "problem")
        self.assertIn(f"refclock SOCK {self.chronyd.sock_path} {self.options}", mend)
        path = self.chrony_conf("refclock SOCK /run/other.sock refid VMCL", refclock=False)
        self.assertIn("/run/other.sock", self.checks(daemon, path)["refclock"][2])

    def test_a_marker_alone_needs_no_line(self):
        self.marker()
        daemon = self.running()
        checks = self.checks(daemon, self.chrony_conf("makestep 1 3", refclock=False))
        self.assertEqual(checks["refclock"][0], "ok")

    def test_findings_of_makestep(self):
        self.clock()
        daemon = self.running()
        for theirs, ours, result, mend in (
            (("makestep 1 3",), "1 3", "ok", None),
            (("makestep 1.0 3",), "1 3", "ok", None),
            (("makestep 0.1 3",), "1 3", "warning", '"makestep = 0.1 3"'),
            (("makestep 1 3", "makestep 1 -1"), "1 3", "warning", '"makestep = 1 -1"'),
            ((), "1 3", "warning", '"makestep = none"'),
            (("makestep 1 0",), "none", "ok", None),
            ((), "none", "ok", None),
            (("makestep 1 3",), "none", "warning", '"makestep = 1 3"'),
        ):
            with self.subTest(theirs=theirs, ours=ours):
                daemon.configure(makestep=ours)
                found = self.checks(daemon, self.chrony_conf(*theirs))["makestep"]
                self.assertEqual(found[0], result, found)
                if mend:
                    self.assertIn(mend, found[2])

    def test_findings_of_boosted_servers(self):
        self.clock()
        daemon = self.running(boost="192.0.2.1 4 6")
        path = self.chrony_conf("makestep 1 3", "server 192.0.2.1 maxpoll 9")
        result, message, mend = self.checks(daemon, path)["boost"]
        self.assertEqual(result, "warning")
        self.assertIn("chrony.conf:3 has minpoll 6 and maxpoll 9", message)
        self.assertIn('"6 9"', mend)
        for polls in ("minpoll 4 maxpoll 7", "minpoll 3 maxpoll 6"):
            path = self.chrony_conf("makestep 1 3", f"server 192.0.2.1 {polls}")
            self.assertEqual(self.checks(daemon, path)["boost"][0], "warning")
        path = self.chrony_conf("makestep 1 3", "server ntp.example.com minpoll 4 maxpoll 6")
        self.assertEqual(self.checks(daemon, path)["boost"][0], "warning")

    def test_findings_without_chronyd(self):
        self.clock()
        self.chronyd.stop_listening(unlink=True)
        daemon = self.prepared()
        path = self.chrony_conf("makestep 1 3")
        checks = self.checks(daemon, path)
        for check, words in (
            ("sock", "did not make it"),
            ("command socket", "No such file"),
            ("vmclockd", "does not run"),
        ):
            self.assertEqual(checks[check][0], "problem")
            self.assertIn(words, checks[check][1])
        path = self.chrony_conf("makestep 1 3", "bindcmdaddress /run/other/chronyd.sock")
        self.assertIn(
            '"command-socket = /run/other/chronyd.sock"',
            self.checks(daemon, path)["command socket"][2],
        )
        self.assertEqual(os.listdir(os.path.dirname(self.chronyd.command_path)), [])

    def test_a_chronyd_that_does_not_answer_or_answers_rubbish(self):
        self.clock()
        daemon = self.prepared()
        path = self.chrony_conf("makestep 1 3")
        for answer, words in (
            (script.silent, "does not answer"),
            (script.refuse(script.INVALID), "none of chronyd's"),
        ):
            self.chronyd.always(script.TRACKING, answer)
            result, message, _ = self.checks(daemon, path)["command socket"]
            self.assertEqual(result, "problem")
            self.assertIn(words, message)

    def test_findings_of_the_device(self):
        daemon = self.prepared()
        path = self.chrony_conf("makestep 1 3")
        result, message, mend = self.checks(daemon, path)["device"]
        self.assertEqual(result, "problem")
        self.assertIn("No such file", message)
        self.assertIn("QEMU", mend)
        self.marker(magic=1)
        result, message, _ = self.checks(daemon, path)["device"]
        self.assertEqual(result, "problem")
        self.assertIn("not a vmclock page", message)

    def test_a_daemon_that_is_not_well(self):
        self.clock()
        self.chronyd.selects = self.chronyd.refid = 0x7F7F0101
        daemon = self.daemon()
        eventually(daemon.status)
        path = self.chrony_conf("makestep 1 3")
        self.assertEqual(self.checks(daemon, path)["vmclockd"][0], "warning")

    def test_a_chrony_conf_that_is_not_there(self):
        self.clock()
        daemon = self.prepared()
        checks = self.checks(daemon, self.path("none.conf"))
        self.assertEqual(checks["chrony.conf"][0], "problem")
        self.assertNotIn("refclock", checks)

    def test_usage_and_configuration(self):
        daemon = self.prepared()
        self.assertEqual(daemon.ctl("doctor", "one", "two").returncode, USAGE)

    def test_a_mistake_in_the_configuration_is_a_finding_and_the_rest_is_checked(self):
        self.clock()
        daemon = self.daemon()
        daemon.reaches(state="feeding")
        with open(daemon.configuration, "a", encoding="ascii") as file:
            file.write("colour = blue\n")
        checks = self.checks(daemon, self.path("none.conf"))
        self.assertEqual(checks["configuration"][0], "problem")
        self.assertIn("colour: unknown key", checks["configuration"][1])
        self.assertEqual(checks["device"][0], "ok")
        self.assertIn("runs", checks["vmclockd"][1])
