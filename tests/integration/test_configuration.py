# SPDX-License-Identifier: BSD-2-Clause
"""The configuration file, the options and their errors."""

import os
import re
import subprocess
import unittest

import harness
from daemon import CONFIG, NO_DAEMON, OK, USAGE
from harness import Case

DEFAULTS = {
    "device": "/dev/vmclock0",
    "sock": "/run/chrony/vmclock.sock",
    "command-socket": "/run/chrony/chronyd.sock",
    "state-file": "/run/vmclockd/state",
    "watch-interval": "10ms",
    "sample-interval": "50ms",
    "readings": "16",
    "step": "always",
    "correct-frequency": "yes",
    "makestep": "1 3",
    "burst": "4/8",
    "accept-freerunning": "yes",
    "max-error": "0",
    "refid": "VMCL",
}

# name: (content, line, key that the message must name)
ERRORS = {
    "an_unknown_key": (b"colour = blue\n", 1, "colour"),
    "a_key_in_capitals": (b"Readings = 16\n", 1, "Readings"),
    "a_duplicate_key": (b"readings = 16\n# between\nreadings = 16\n", 3, "readings"),
    "a_key_without_a_value": (b"\nreadings =\n", 2, "readings"),
    "a_line_without_an_equals_sign": (b"readings 16\n", 1, ""),
    "a_value_without_a_key": (b"# one\n= 16\n", 2, ""),
    "a_section": (b"[vmclockd]\nreadings = 16\n", 1, ""),
    "binary_garbage": (b"\x80\x81\xfe\xff\x01\x02\n", 1, ""),
    "too_few_readings": (b"readings = 0\n", 1, "readings"),
    "too_many_readings": (b"readings = 100000000\n", 1, "readings"),
    "negative_readings": (b"readings = -1\n", 1, "readings"),
    "readings_beyond_any_integer": (b"readings = 99999999999999999999999\n", 1, "readings"),
    "readings_with_rubbish_behind": (b"readings = 16x\n", 1, "readings"),
    "readings_that_are_no_number": (b"readings = many\n", 1, "readings"),
    "a_duration_without_a_unit": (b"watch-interval = 10\n", 1, "watch-interval"),
    "a_duration_with_an_unknown_unit": (b"watch-interval = 10parsec\n", 1, "watch-interval"),
    "a_duration_of_zero": (b"watch-interval = 0ms\n", 1, "watch-interval"),
    "a_negative_duration": (b"sample-interval = -50ms\n", 1, "sample-interval"),
    "a_duration_beyond_its_range": (b"sample-interval = 100000000s\n", 1, "sample-interval"),
    "a_duration_beyond_any_integer": (
        b"sample-interval = 99999999999999999999s\n",
        1,
        "sample-interval",
    ),
    "max_error_without_a_unit": (b"max-error = 10\n", 1, "max-error"),
    "an_unknown_step": (b"step = sideways\n", 1, "step"),
    "a_switch_neither_yes_nor_no": (b"correct-frequency = perhaps\n", 1, "correct-frequency"),
    "a_burst_without_its_second_half": (b"burst = 4\n", 1, "burst"),
    "a_burst_of_more_good_than_total": (b"burst = 8/4\n", 1, "burst"),
    "a_makestep_without_its_limit": (b"makestep = 1\n", 1, "makestep"),
    "a_makestep_that_is_no_number": (b"makestep = one three\n", 1, "makestep"),
    "a_boost_of_no_address": (b"boost = ntp.example.com 6 10\n", 1, "boost"),
    "a_boost_without_its_polls": (b"boost = 192.0.2.1\n", 1, "boost"),
    "a_boost_with_polls_out_of_range": (b"boost = 192.0.2.1 6 100\n", 1, "boost"),
    "a_refid_of_more_than_four_characters": (b"refid = VMCLOCK\n", 1, "refid"),
    "a_path_that_is_not_absolute": (b"device = vmclock0\n", 1, "device"),
    "a_sock_path_too_long_for_a_socket": (b"sock = /run/%s.sock\n" % (b"x" * 110), 1, "sock"),
    "a_command_socket_path_too_long_for_a_socket": (
        b"command-socket = /run/%s.sock\n" % (b"x" * 110),
        1,
        "command-socket",
    ),
    "a_line_that_is_too_long": (
        b"readings = 16\ndevice = /%s\n" % (b"x" * 20000),
        2,
        "",
    ),
    "a_key_behind_more_blanks_than_are_read": (b" " * 600 + b"readings = 16\n", 1, ""),
    "a_value_that_is_too_long": (b"# one\ndevice = /%s\n" % (b"d" * 190), 2, "device: the line has"),
    "a_line_as_long_as_a_buffer_of_inih": (
        b"device = /%s\nstep = never\nbogus = 1\n" % (b"d" * 189),
        3,
        "bogus",
    ),
    "a_key_after_lines_as_long_as_a_buffer_of_inih": (
        b"# %s\n" % (b"x" * 197) * 3 + b"bogus = 1\n",
        4,
        "bogus",
    ),
    "utf_16": ("readings = 16\n".encode("utf-16"), 1, "UTF-16"),
    "a_second_byte_order_mark": (b"\n\xef\xbb\xbfreadings = 16\n", 2, "readings"),
    "a_line_that_would_be_too_long_when_printed": (b"device=/%s\n" % (b"d" * 189), 1, "device"),
    "a_line_of_nothing_but_blanks_that_is_too_long": (
        b"device =" + b" " * 300 + b"/dev/vmclock0 trailing\n" + b"colour = blue\n",
        None,
        "",
    ),
    "a_nul_byte_in_a_value": (b"# one\nreadings = 1\x006\n", 2, ""),
    "a_nul_byte_in_a_key": (b"read\x00ings = 16\n", 1, ""),
    "a_nul_byte_in_a_comment": (b"# one \x00 two\n", 1, ""),
    "an_indented_continuation": (b"device = /dev/vmclock0\n\t/dev/vmclock1\n", 2, ""),
    "an_error_in_the_last_line_without_its_end": (b"readings = 16\ncolour = blue", 2, "colour"),
}

GOOD = {
    "an_empty_file": b"",
    "comments_and_empty_lines": b"# a comment\n\n#another\nreadings = 16\n\n",
    "no_blanks_around_the_equals_sign": b"readings=16\n",
    "blanks_at_the_end_of_a_line": b"readings = 16   \n",
    "a_last_line_without_its_end": b"readings = 16",
    "a_line_as_long_as_it_may_be": b"device = /%s\n" % (b"d" * 188),
    "a_comment_of_any_length": b"# %s\nreadings = 16 # %s\n" % (b"x" * 3000, b"y" * 3000),
    "a_byte_order_mark_before_a_key": b"\xef\xbb\xbfreadings = 16\n",
    "a_byte_order_mark_before_a_comment": b"\xef\xbb\xbf# a comment\r\nreadings = 16\r\n",
    "a_byte_order_mark_alone": b"\xef\xbb\xbf",
    "every_unit": b"watch-interval = 10ms\nsample-interval = 1s\nmax-error = 500us\n",
    "a_max_error_of_zero_without_a_unit": b"max-error = 0\n",
    "several_boosts": b"boost = 192.0.2.1 6 10\nboost = 2001:db8::1 4 8\nboost = 192.0.2.2 0 0\n",
}


class ConfigurationTest(Case):
    environment = {}

    def run_daemon(self, *arguments):
        return subprocess.run(
            [harness.program("vmclockd"), *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def written(self, content):
        path = self.path("vmclockd.conf")
        with open(path, "wb") as file:
            file.write(content)
        return path

    def refused(self, content, line, key):
        path = self.written(content)
        for options in (("-t", "-c", path), ("-c", path)):
            done = self.run_daemon(*options)
            self.assertEqual(done.returncode, CONFIG, f"{options}: {done.stderr}")
            self.assertIn(f"{path}:{line}" if line else path, done.stderr)
            if line:
                self.assertRegex(done.stderr, re.escape(f"{path}:{line}") + r"\b")
            self.assertIn(key, done.stderr)
            self.assertLess(len(done.stderr), 5000)
        done = subprocess.run(
            [harness.program("vmclockctl"), "-c", path, "status"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
            check=False,
        )
        self.assertEqual(
            done.returncode, CONFIG if key == "state-file" else NO_DAEMON, "vmclockctl"
        )
        self.assertIn(key, done.stderr)

    def accepted(self, content):
        done = self.run_daemon("-t", "-c", self.written(content))
        self.assertEqual(done.returncode, OK, done.stderr)
        return done.stdout + done.stderr

    def assert_in_force(self, output, key, value):
        key_at_start = re.compile(rf"\s*{re.escape(key)}\b")
        found = [line for line in output.splitlines() if key_at_start.match(line)]
        self.assertTrue(found, f"{key} is not in {output}")
        self.assertTrue(any(value in line for line in found), f"{key} is not {value}: {found}")

    def test_the_defaults_are_in_force_without_a_line(self):
        output = self.accepted(b"")
        for key, value in DEFAULTS.items():
            self.assert_in_force(output, key, value)

    def test_what_is_configured_is_in_force(self):
        settings = {
            "device": "/dev/vmclock7",
            "sock": "/run/other.sock",
            "command-socket": "/run/other/chronyd.sock",
            "state-file": "/run/other/state",
            "watch-interval": "20ms",
            "sample-interval": "100ms",
            "readings": "32",
            "step": "forward",
            "correct-frequency": "no",
            "makestep": "0.5 7",
            "burst": "2/6",
            "boost": "192.0.2.1 6 10",
            "accept-freerunning": "no",
            "max-error": "50us",
            "refid": "HOST",
        }
        lines = "".join(f"{key} = {value}\n" for key, value in settings.items())
        output = self.accepted(lines.encode())
        for key, value in settings.items():
            self.assert_in_force(output, key, value)

    def test_what_is_printed_as_in_force_is_itself_a_configuration(self):
        for content in (
            b"",
            b"readings = 32\nstep = never\nmakestep = 0.25 -1\nmax-error = 50us\n",
            b"boost = 192.0.2.1 6 10\nboost = 2001:db8::1 4 8\nboost = 192.0.2.2 0 0\n",
        ):
            with self.subTest(content):
                done = self.run_daemon("-t", "-c", self.written(content))
                self.assertEqual(done.returncode, OK)
                again = self.run_daemon("-t", "-c", self.written(done.stdout.encode()))
                self.assertEqual(again.returncode, OK, again.stderr)
                self.assertEqual(self.settings_in(again.stdout), self.settings_in(done.stdout))
                for line in content.decode().splitlines():
                    self.assertIn(line, self.settings_in(done.stdout))

    def settings_in(self, output):
        """The lines without the remarks that say where each comes from."""
        lines = [line.partition("#")[0].rstrip() for line in output.splitlines()]
        return [line for line in lines if line]

    def test_an_indented_line_is_never_the_rest_of_the_one_before(self):
        path = self.written(b"device = /dev/vmclock7\n  readings = 32\n")
        done = self.run_daemon("-t", "-c", path)
        if done.returncode == OK:
            self.assertIn("device = /dev/vmclock7", self.settings_in(done.stdout))
            self.assertIn("readings = 32", self.settings_in(done.stdout))
        else:
            self.assertEqual(done.returncode, CONFIG)
            self.assertIn(f"{path}:2", done.stderr)

    def dropin(self, name, content):
        os.makedirs(self.path("vmclockd.conf.d"), exist_ok=True)
        path = self.path(f"vmclockd.conf.d/{name}")
        with open(path, "wb") as file:
            file.write(content)
        return path

    def test_a_drop_in_goes_over_the_file_and_a_later_one_over_both(self):
        main = self.written(b"step = never\nreadings = 8\nrefid = MAIN\n")
        later = self.dropin("20-later.conf", b"step = always\n")
        first = self.dropin("10-first.conf", b"# one\nstep = forward\nreadings = 32\n")
        self.dropin("30-no-dropin.conf.dpkg-old", b"nonsense\n")
        self.dropin(".hidden.conf", b"nonsense\n")
        done = self.run_daemon("-t", "-c", main)
        self.assertEqual(done.returncode, OK, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[:3], [f"# read: {path}" for path in (main, first, later)])
        self.assertIn(f"step = always  # {later}:1", lines)
        self.assertIn(f"readings = 32  # {first}:3", lines)
        self.assertIn(f"refid = MAIN  # {main}:3", lines)
        self.assertIn("burst = 4/8  # default", lines)

    def test_the_boosts_of_a_drop_in_replace_the_earlier_ones(self):
        main = self.written(b"boost = 192.0.2.1 4 6\nboost = 192.0.2.2 4 6\n")
        output = self.run_daemon("-t", "-c", main).stdout
        self.assertIn(f"boost = 192.0.2.1 4 6  # {main}:1\n", output)
        self.assertIn(f"boost = 192.0.2.2 4 6  # {main}:2\n", output)
        path = self.dropin("a.conf", b"boost = 192.0.2.1 0 3\nboost = 2001:db8::1 4 8\n")
        output = self.run_daemon("-t", "-c", main).stdout
        self.assertEqual(output.count("boost = "), 2)
        self.assertIn(f"boost = 192.0.2.1 0 3  # {path}:1\n", output)
        self.assertIn(f"boost = 2001:db8::1 4 8  # {path}:2\n", output)
        path = self.dropin("b.conf", b"boost = none\n")
        output = self.run_daemon("-t", "-c", main).stdout
        self.assertIn(f"boost = none  # {path}:1\n", output)
        self.assertEqual(output.count("boost = "), 1)

    def test_all_mistakes_of_all_files_are_reported_at_once(self):
        main = self.written(b"readings = 0\nreadings = 8\n")
        first = self.dropin("1.conf", b"step = up\n")
        second = self.dropin("2.conf", b"step = never\nstep = never\ncolour = blue\n")
        done = self.run_daemon("-t", "-c", main)
        self.assertEqual((done.returncode, done.stdout), (CONFIG, ""))
        for place in (f"{main}:1: readings:", f"{main}:2: readings: set twice",
                      f"{first}:1: step:", f"{second}:2: step: set twice",
                      f"{second}:3: colour: unknown key"):
            self.assertIn(place, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 5)
        self.assertIn("always, forward or never", done.stderr)

    def test_a_drop_in_that_cannot_be_read_is_an_error(self):
        main = self.written(b"")
        os.mkdir(self.path("vmclockd.conf.d"))
        os.mkdir(self.path("vmclockd.conf.d/a.conf"))
        os.symlink("/nowhere", self.path("vmclockd.conf.d/b.conf"))
        done = self.run_daemon("-t", "-c", main)
        self.assertEqual(done.returncode, CONFIG)
        self.assertIn(self.path("vmclockd.conf.d/a.conf"), done.stderr)
        self.assertIn(self.path("vmclockd.conf.d/b.conf"), done.stderr)

    def test_a_file_in_the_drop_ins_place_is_an_error(self):
        main = self.written(b"")
        with open(self.path("vmclockd.conf.d"), "wb"):
            pass
        done = self.run_daemon("-t", "-c", main)
        self.assertEqual(done.returncode, CONFIG)
        self.assertIn(self.path("vmclockd.conf.d"), done.stderr)

    def test_more_drop_ins_than_there_is_room_for_are_an_error(self):
        main = self.written(b"")
        for i in range(32):
            self.dropin(f"{i:02}.conf", b"")
        self.assertEqual(self.run_daemon("-t", "-c", main).returncode, OK)
        path = self.dropin("32.conf", b"")
        done = self.run_daemon("-t", "-c", main)
        self.assertEqual(done.returncode, CONFIG)
        self.assertIn(path, done.stderr)

    def test_the_drop_in_that_is_one_too_many_is_reported_once_with_the_limit(self):
        main = self.written(b"")
        for i in range(40):
            self.dropin(f"{i:02}.conf", b"")
        self.dropin("00.conf", b"step = up\n")
        done = self.run_daemon("-t", "-c", main)
        self.assertEqual(done.returncode, CONFIG)
        self.assertEqual(len(done.stderr.splitlines()), 2, done.stderr)
        self.assertIn("00.conf:1: step", done.stderr)
        self.assertIn("32.conf: one file too many: at most 32", done.stderr)

    def test_lines_that_fill_a_buffer_hide_nothing_behind_them(self):
        for n in range(190, 210):
            for start, end in ((b"# ", b""), (b"step = never # ", b""), (b"step = never", b" ")):
                fill = b"x" if start.endswith(b"# ") else b" "
                line = start + fill * (n - len(start) - len(end)) + end
                output = self.accepted(line + b"\nreadings = 7\n" + line.replace(b"step = never", b"#"))
                self.assert_in_force(output, "readings", "7")

    def test_a_line_that_is_too_long_hides_nothing_behind_it(self):
        for n in (198, 199, 200, 215, 216, 510, 511, 512, 513, 4096):
            path = self.written(b"device = /%s\nreadings = 0\n" % (b"d" * (n - 10)))
            done = self.run_daemon("-t", "-c", path)
            self.assertEqual(done.returncode, CONFIG)
            self.assertIn(f"{path}:2: readings", done.stderr)
            self.assertEqual(f"{path}:1: device: the line has over 198 bytes" in done.stderr, n > 198)

    def test_two_keys_for_one_place_are_an_error_that_names_both(self):
        os.symlink(self.dir, self.path("link"))
        at = self.path
        for first, second, others in (
            (("state-file", at("s.prom")), ("metrics-file", at("s.prom")), ""),
            (("metrics-file", at("s.prom")), ("state-file", at("link/s.prom")), ""),
            (("metrics-file", at("none//./s.prom")), ("state-file", at("none/s.prom")), ""),
            (("sock", at("a.sock")), ("command-socket", at("a.sock")), ""),
            (("sock", at("a.prom")), ("metrics-file", at("a.prom")), ""),
            (("device", at("state")), ("state-file", at("state")), ""),
            (("command-socket", "/run/chrony.vmclock.sock"), ("sock", "/run/chrony.vmclock.sock"), ""),
            (("state-file", at("m.prom.new")), ("metrics-file", at("m.prom")), ".new"),
            (("state-file", at("s")), ("sock", at("s.lock")), ".lock"),
        ):
            path = self.written(f"{first[0]} = {first[1]}\n{second[0]} = {second[1]}\n".encode())
            done = self.run_daemon("-t", "-c", path)
            self.assertEqual(done.returncode, CONFIG, (first, second, done.stderr))
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            for word in (f"{path}:2: ", first[0], second[0], "the same place", others):
                self.assertIn(word, done.stderr)

    def test_a_configuration_that_would_be_replaced_is_an_error(self):
        path = self.path("vmclockd.conf")
        done = self.run_daemon("-t", "-c", self.written(f"state-file = {path}\n".encode()))
        self.assertEqual(done.returncode, CONFIG)
        self.assertIn(f"{path}:1: state-file: the same place as the configuration", done.stderr)

    def test_what_lies_beside_a_path_is_no_place_for_another(self):
        at = self.path
        os.makedirs(at("vmclockd.conf.d"))
        socket, beside = at("c/chronyd.sock"), at("c/vmclockd.chronyd.sock.lock")
        for lines, line, words in (
            ([f"state-file = {at('vmclockd.conf.d/x.conf')}"], 1, "the configuration"),
            ([f"metrics-file = {at('vmclockd.conf.d/m.prom')}", f"state-file = {at('s')}"], 0, ""),
            ([f"sock = {at('vmclockd.conf.d/../vmclockd.conf.d//x.conf')}"], 1, "the configuration"),
            ([f"state-file = {at('vmclockd.conf')}.d"], 1, "the configuration"),
            ([f"command-socket = {socket}", f"state-file = {beside}"], 2, "command-socket"),
            ([f"state-file = {beside}", f"command-socket = {socket}"], 2, "state-file"),
            ([f"command-socket = {socket}", f"state-file = {beside[:-5]}"], 2, "command-socket"),
            ([f"state-file = {at('events')}"], 1, "events"),
            ([f"state-file = {at('s')}", f"sock = {at('events')}"], 2, "events"),
            ([f"state-file = {at('events/s')}"], 0, ""),
            (["state-file = /"], 1, "a file's name"),
            ([f"state-file = {at('s')}/"], 1, "a file's name"),
            (["chrony-conf = /etc/"], 1, "a file's name"),
            (["device = /dev/."], 1, "a file's name"),
            (["device = /dev/.."], 1, "a file's name"),
        ):
            with self.subTest(lines):
                path = self.written(("\n".join(lines) + "\n").encode())
                done = self.run_daemon("-t", "-c", path)
                self.assertEqual(done.returncode, CONFIG if line else 0, done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), int(line > 0), done.stderr)
                if line:
                    self.assertIn(f"{path}:{line}: ", done.stderr)
                    self.assertIn(words, done.stderr)

    def test_places_of_one_name_in_two_directories_are_no_collision(self):
        self.accepted(
            f"state-file = {self.path('a')}\nsock = {self.path('b/a')}\n"
            f"device = {self.path('a.neu')}\n".encode()
        )

    def test_a_key_that_is_nearly_one_is_told_which(self):
        for word, meant in (
            ("statefile", "state-file"),
            ("Readings", "readings"),
            ("watch_interval", "watch-interval"),
            ("sample-intervall", "sample-interval"),
            ("comand-socket", "command-socket"),
            ("refdi", "refid"),
            ("colour", None),
            ("x" * 150, None),
        ):
            path = self.written(f"{word} = 1\n".encode())
            done = self.run_daemon("-t", "-c", path)
            self.assertEqual(done.returncode, CONFIG)
            self.assertIn(f"{path}:1: {word}: unknown key", done.stderr)
            asked = f'unknown key; did you mean "{meant}"?' if meant else "unknown key\n"
            self.assertIn(asked, done.stderr)

    def test_a_wrong_duration_is_told_the_units(self):
        for key in ("watch-interval", "sample-interval", "max-error", "max-step"):
            done = self.run_daemon("-t", "-c", self.written(f"{key} = 10 ms\n".encode()))
            self.assertEqual(done.returncode, CONFIG)
            self.assertIn("its unit: ns, us, ms, s, m, h, d", done.stderr)

    def test_a_missing_file_that_was_named_is_an_error(self):
        for options in ((), ("-t",)):
            done = self.run_daemon(*options, "-c", self.path("none.conf"))
            self.assertEqual(done.returncode, CONFIG)
            self.assertIn(self.path("none.conf"), done.stderr)

    def test_a_directory_is_an_error(self):
        done = self.run_daemon("-c", self.dir)
        self.assertEqual(done.returncode, CONFIG)
        self.assertIn(self.dir, done.stderr)

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_an_unreadable_file_is_an_error(self):
        path = self.written(b"")
        os.chmod(path, 0)
        done = self.run_daemon("-c", path)
        self.assertEqual(done.returncode, CONFIG)
        self.assertIn(path, done.stderr)

    @unittest.skipIf(os.path.exists("/etc/vmclockd.conf"), "/etc/vmclockd.conf exists")
    def test_the_default_file_may_be_missing(self):
        done = self.run_daemon("-t")
        self.assertEqual(done.returncode, OK, done.stderr)

    def test_usage_errors_are_64_and_printed(self):
        for arguments in (
            ("--no-such-option",),
            ("-x",),
            ("-c",),
            ("--config",),
            ("surplus",),
            ("-t", "surplus"),
            ("--test-config=yes",),
        ):
            done = self.run_daemon(*arguments)
            self.assertEqual(done.returncode, USAGE, f"{arguments}: {done.stderr}")
            self.assertTrue(done.stderr.strip())

    def test_help_names_every_option(self):
        for option in ("-h", "--help"):
            done = self.run_daemon(option)
            self.assertEqual(done.returncode, OK)
            for name in ("--config", "--test-config", "--dry-run", "--verbose", "--version"):
                self.assertIn(name, done.stdout)

    def test_the_version_is_printed(self):
        for option in ("-V", "--version"):
            done = self.run_daemon(option)
            self.assertEqual(done.returncode, OK)
            self.assertRegex(done.stdout, r"vmclockd.*\d")


def _add_files():
    for name, arguments in ERRORS.items():
        setattr(
            ConfigurationTest,
            f"test_{name}_is_an_error",
            lambda self, arguments=arguments: self.refused(*arguments),
        )
    for name, content in GOOD.items():
        setattr(
            ConfigurationTest,
            f"test_{name}_is_accepted",
            lambda self, content=content: self.accepted(content),
        )


_add_files()


class NewestInihTest(ConfigurationTest):
    """All of it once more, with the library that tests/get-inih.sh brings."""

    environment = {"LD_LIBRARY_PATH": harness.program("inih")}

    def setUp(self):
        super().setUp()
        if not os.path.exists(harness.program("inih/libinih.so.1")):
            self.skipTest("no newer libinih could be had")

    def test_it_is_the_newest(self):
        done = subprocess.run(
            ["ldd", harness.program("vmclockd")],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertIn(f"{harness.program('inih')}/libinih.so.1", done.stdout)
