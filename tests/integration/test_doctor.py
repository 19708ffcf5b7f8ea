# SPDX-License-Identifier: BSD-2-Clause
"""`vmclockctl doctor`: a line for each thing that has to fit, and how to fix it."""

import json
import os
import shutil
import subprocess
import unittest

import page
import real_chronyd
from daemon import DEGRADED, OK, USAGE, Daemon
from harness import Case, eventually
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
        machines = ("AppArmor", "SELinux", "service", "other clocks")
        mine = [c for c in report["checks"] if c["check"] not in machines]
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
            # Times differ, and what is so of a daemon that runs.
            if "in " not in check["message"] and check["check"] != "vmclockd":
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

    def prospect(self, daemon, *lines):
        """The last sentence: (now, better)."""
        path = self.chrony_conf("makestep 1 3", *lines)
        found = json.loads(daemon.ctl("doctor", "--json", path).stdout)["disruption"]
        last = " ".join(daemon.ctl("doctor", path).stdout.split())
        self.assertTrue(last.endswith(found["better"] or found["now"]), last)
        return found["now"], found["better"]

    def test_how_soon_the_clock_is_right_after_a_disruption(self):
        self.clock()
        daemon = self.running(sample_interval="50ms")
        self.assertEqual(self.prospect(daemon, "server 192.0.2.1"),
                         ("to 1 us in about 20 ms, by the host's page", None))

    def test_how_soon_it_is_right_by_ntp(self):
        self.marker()
        daemon = self.running()
        now, better = self.prospect(daemon, "server ntp.example minpoll 4")
        self.assertIn("in 5 to 25 s, by NTP bursts", now)
        self.assertIsNone(better)
        now, better = self.prospect(daemon, "pool ntp.example", "server 192.168.7.1 minpoll 4")
        self.assertIn("in 5 to 25 s, by NTP bursts", now)
        self.assertIn('"boost = 192.168.7.1 4 10"', better)
        now, better = self.prospect(daemon, "server 169.254.169.123 minpoll 4 maxpoll 4")
        self.assertEqual((now, better), ("to 100 us in about a second, by boosting 169.254.169.123", None))
        self.assertIn("measured the sources", self.prospect(daemon)[0])

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

    def findings(self, daemon, path, check):
        """All of one check, as (result, message, mend)."""
        report = json.loads(daemon.ctl("doctor", "--json", path).stdout)
        return [(c["result"], c["message"], c.get("mend")) for c in report["checks"] if c["check"] == check]

    def test_options_that_make_the_line_useless_or_wrong(self):
        self.clock()
        daemon = self.running(sample_interval="50ms")
        usual = self.options
        for word, result in (
            ("pps", "problem"), ("local", "problem"), ("noselect", "problem"), ("tai", "problem"),
            ("offset 0.5", "problem"), ("delay 0.1", "warning"), ("offset 0", "ok"),
        ):  # fmt: skip
            with self.subTest(word):
                self.options = f"{usual} {word}"
                path = self.chrony_conf("makestep 1 3", "leapsectz right/UTC")
                found = self.checks(daemon, path)["refclock"]
                self.assertEqual(found[0], result, found)
                if result != "ok":
                    self.assertIn("chrony.conf:1: ", found[1])
                    self.assertIn(word.split()[0], found[1])
                # What it says to do helps.
                if result == "problem":
                    self.assertIn(f'remove "{word.split()[0]}"', found[2])

    def test_the_line_is_found_as_chronyd_reads_it(self):
        self.clock()
        daemon = self.running(sample_interval="50ms")
        sock = self.chronyd.sock_path
        os.mkdir(self.path("sources"))
        os.symlink(os.path.dirname(sock), self.path("link"))
        with open(self.path("sources/a.sources"), "w", encoding="ascii") as file:
            file.write(f"refclock SOCK {sock} {self.options}\n")
        path = self.chrony_conf(f"sourcedir {self.path('sources')}", refclock=False)
        self.assertIn("no line", self.checks(daemon, path)["refclock"][1])
        for other in (sock.replace("/", "//"), self.path(f"link/{os.path.basename(sock)}")):
            path = self.chrony_conf(f"refclock SOCK {other} {self.options}", refclock=False)
            self.assertEqual(self.checks(daemon, path)["refclock"][0], "ok")
        path = self.chrony_conf(f"refclock SOCK {sock} {self.options}")
        self.assertEqual([r for r, *_ in self.findings(daemon, path, "refclock")], ["ok", "warning"])

    def test_what_chronyd_does_not_start_with_is_named(self):
        self.clock()
        daemon = self.running()
        self.options += " # ours"
        result, message, _ = self.checks(daemon, self.chrony_conf("makestep 1 3"))["chrony.conf"]
        self.assertEqual(result, "problem")
        # by chronyd itself, where there is one
        self.assertRegex(message, r"chrony\.conf:1: |at line 1 in file .*chrony\.conf")
        self.options = "refid VMCL tai"
        result, message, _ = self.checks(daemon, self.chrony_conf("makestep 1 3"))["chrony.conf"]
        self.assertIn("leapsectz", message)

    def test_what_keeps_chronyd_from_following_a_line_that_is_right(self):
        self.clock()
        daemon = self.running(sample_interval="50ms")
        for line, result, words in (
            ("server 192.0.2.1 trust prefer", "warning", "trusted and preferred"),
            ("refclock PHC /dev/ptp0 prefer trust", "warning", "trusted and preferred"),
            ("server 192.0.2.1 require", "warning", "required"),
            ("minsources 2", "warning", "minsources 2"),
            ("minstratum 2", "problem", "minstratum 2"),
        ):
            with self.subTest(line):
                found = self.findings(daemon, self.chrony_conf("makestep 1 3", line), "selection")
                self.assertEqual([result], [f[0] for f in found])
                self.assertIn("chrony.conf:3", found[0][1])
                self.assertIn(words, found[0][1])
        path = self.chrony_conf("server 192.0.2.1 trust prefer noselect", "minsources 1")
        self.assertEqual(self.findings(daemon, path, "selection"), [])

    def test_maxchange_is_a_finding(self):
        self.clock()
        daemon = self.running()
        found = self.checks(daemon, self.chrony_conf("maxchange 1000 1 2"))["maxchange"]
        self.assertEqual(found[0], "warning")
        self.assertIn("chrony.conf:2", found[1])

    def test_a_makestep_from_another_file_than_vmclockd_reads(self):
        self.clock()
        path = self.chrony_conf("makestep 1.0 -1")
        daemon = self.running()
        result, _, mend = self.checks(daemon, path)["makestep"]
        self.assertEqual(result, "warning")
        self.assertIn(f'"chrony-conf = {path}"', mend)
        daemon.configure(chrony_conf=path)
        self.assertEqual(self.checks(daemon, path)["makestep"][0], "ok")

    def test_text_that_is_not_utf_8_or_controls_the_terminal_is_made_plain(self):
        self.clock()
        daemon = self.running()
        path = self.chrony_conf(refclock=False)
        with open(path, "wb") as file:
            file.write(b"refclock SOCK /run/\xff\x1b[2J.sock refid \xc3\n")
        mend = self.checks(daemon, path)["refclock"][2]
        self.assertIn("/run/??[2J.sock", mend)

    def test_a_torn_page_is_not_a_missing_device(self):
        self.clock().fields.seq_count |= 1
        daemon = self.prepared()
        result, message, mend = self.checks(daemon, self.chrony_conf("makestep 1 3"))["device"]
        self.assertEqual(result, "problem")
        self.assertIn("has been writing", message)
        self.assertNotIn("QEMU", mend)

    def test_another_process_that_sets_the_clock(self):
        self.clock()
        daemon = self.running()
        program = self.path("ntpd")
        shutil.copy(shutil.which("sleep"), program)
        path = self.chrony_conf("makestep 1 3")
        with subprocess.Popen([program, "60"]) as other:
            try:
                eventually(
                    lambda: any(
                        "ntpd" in message for _, message, _ in self.findings(daemon, path, "other clocks")
                    )
                )
            finally:
                other.kill()

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
        found = self.findings(daemon, path, "vmclockd")
        words = "chronyd follows 7F7F0101, not VMCL"
        self.assertTrue(any(words in message for _, message, _ in found), found)
        self.assertFalse(any("status" in mend for *_, mend in found), found)

    def test_a_command_socket_that_chrony_conf_switches_off(self):
        self.clock()
        self.chronyd.stop_listening(unlink=True)
        daemon = self.prepared()
        path = self.chrony_conf("makestep 1 3", "bindcmdaddress /")
        result, message, mend = self.checks(daemon, path)["command socket"]
        self.assertEqual(result, "problem")
        self.assertIn("chrony.conf:3 switches it off", message)
        self.assertIn(f'"bindcmdaddress {self.chronyd.command_path}"', mend)

    def test_a_command_directory_that_chronyd_refuses(self):
        self.clock()
        self.chronyd.stop_listening(unlink=True)
        daemon = self.prepared()
        directory = os.path.dirname(self.chronyd.command_path)
        os.chmod(directory, 0o755)
        result, message, mend = self.checks(daemon, self.chrony_conf())["command socket"]
        self.assertEqual(result, "problem")
        self.assertIn("open to all users (mode 755)", message)
        self.assertIn(f"chmod 750 {directory}", mend)

    def test_a_chrony_conf_that_is_not_there(self):
        self.clock()
        daemon = self.prepared()
        checks = self.checks(daemon, self.path("none.conf"))
        self.assertEqual(checks["chrony.conf"][0], "problem")
        self.assertNotIn("refclock", checks)

    def test_a_chrony_conf_that_is_a_directory(self):
        self.clock()
        checks = self.checks(self.prepared(), self.dir)
        self.assertEqual(checks["chrony.conf"][0], "warning")
        self.assertIn(f"{self.dir} is a directory", checks["chrony.conf"][1])
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


@unittest.skipIf(real_chronyd.missing(), real_chronyd.missing())
class DoctorOfRealChronydTest(Case):
    def setUp(self):
        super().setUp()
        self.chronyd = self.witness(real_chronyd.RealChronyd(self.path("chrony")))
        page.clock_page(self.path("page"))
        self.daemon = Daemon(
            self.dir, self.path("page"), self.chronyd.sock_path, self.chronyd.command_path
        )

    def checks(self, *words):
        report = json.loads(self.daemon.ctl("doctor", "--json", *words).stdout)
        return {c["check"]: (c["result"], c["message"], c.get("mend")) for c in report["checks"]}

    def test_its_file_and_its_options_are_read_from_its_command_line(self):
        self.chronyd.start()
        checks = self.checks()
        self.assertEqual(checks["chrony.conf"][:2], ("ok", self.chronyd.configuration))
        self.assertEqual(checks["refclock"][:2], ("ok", f"{self.chronyd.configuration}:1"))
        self.assertEqual(checks["chronyd"][0], "problem")
        self.assertIn("runs with -x", checks["chronyd"][1])
        self.assertEqual(checks["command socket"][0], "ok")
        self.assertEqual(checks["makestep"][0], "ok")

    def test_one_that_is_stopped_is_not_to_be_restarted(self):
        self.chronyd.start()
        pid = self.chronyd.process.pid
        self.chronyd.pause()
        checks = self.checks()
        self.assertEqual(checks["chronyd"][:2], ("problem", f"process {pid} is stopped"))
        for check in ("chronyd", "command socket"):
            self.assertEqual(checks[check][2], f'"kill -CONT {pid}" lets it go on')

    def test_it_is_asked_itself_whether_it_reads_its_file(self):
        self.chronyd.start()
        with open(self.chronyd.configuration, "a", encoding="ascii") as file:
            print("rtcsync yes", file=file)
        result, message, _ = self.checks()["chrony.conf"]
        self.assertEqual(result, "problem")
        self.assertIn("line 7 in file", message)

    def test_where_it_makes_no_socket_the_directory_is_why(self):
        os.chmod(self.chronyd.directory, 0o755)
        self.assertRaises(AssertionError, self.chronyd.start)
        checks = self.checks(self.chronyd.configuration)
        self.assertIn("mode 755", checks["command socket"][1])
        self.chronyd.stop()
        subprocess.run(checks["command socket"][2].split(",")[0].split(), check=True)
        self.chronyd.start()
        self.assertEqual(self.checks()["command socket"][0], "ok")
