# SPDX-License-Identifier: BSD-2-Clause
"""The tests' own pages, and what vmclockctl page says of whole and broken ones."""

import ctypes
import datetime
import json
import struct
import subprocess

import page
from daemon import DEVICE, OK
from harness import Case, program


class PageTest(Case):
    needs = ()

    def test_fields_lie_where_the_specification_puts_them(self):
        made = page.marker_page(
            self.path("page"),
            disruption_marker=0x0102030405060708,
            clock_status=2,
            tai_offset_sec=-3,
            counter_period_shift=29,
            counter_period_frac_sec=0x89705F4136B4A597,
            vm_generation_counter=99,
        )
        raw = made.bytes()
        self.assertEqual(len(raw), 4096)
        self.assertEqual(raw[:4], b"VCLK")
        self.assertEqual(struct.unpack_from("<IHBB", raw, 4), (4096, 1, 0xFF, 0))
        self.assertEqual(struct.unpack_from("<Q", raw, 0x10)[0], 0x0102030405060708)
        self.assertEqual(struct.unpack_from("<BBhBB", raw, 0x22), (2, 0, -3, 0, 29))
        self.assertEqual(struct.unpack_from("<Q", raw, 0x30)[0], 0x89705F4136B4A597)
        self.assertEqual(struct.unpack_from("<Q", raw, 0x68)[0], 99)

    def test_every_write_leaves_the_sequence_count_even_and_higher(self):
        made = page.marker_page(self.path("page"))
        before = made.fields.seq_count
        made.disrupt()
        self.assertEqual(made.fields.seq_count, before + 2)
        self.assertEqual(before % 2, 0)

    def test_a_nanosecond_has_the_period_the_specification_gives(self):
        fraction, shift = page.period_fields(1e-9)
        self.assertEqual(shift, 29)
        self.assertAlmostEqual(fraction / 0x89705F4136B4A597, 1, delta=1e-15)

    def test_the_formula_has_the_offset_it_was_made_with(self):
        for time_type in (page.UTC, page.TAI):
            made = page.clock_page(self.path("page"), offset=1.5e-3, time_type=time_type)
            self.assertAlmostEqual(made.offset_now(), 1.5e-3, delta=1e-6)

    def test_the_formula_drifts_as_it_was_told(self):
        made = page.clock_page(self.path("page"), ppm=100000)
        counter, real_ns = page.Counter.pair()
        later = made.offset_at(counter + round(1 / page.Counter.period()), real_ns + 10**9)
        self.assertAlmostEqual(later, 0.1, delta=2e-3)

    def test_a_scribbled_sequence_count_moves_and_comes_to_rest(self):
        page.Counter.needed()
        made = page.marker_page(self.path("page"))
        before = made.fields.seq_count
        made.scribble(0.05).join()
        after = made.fields.seq_count
        self.assertNotEqual(before, after)
        self.assertEqual(after % 2, 0)
        self.assertEqual(after, ctypes.c_uint32.from_buffer(made.map, 12).value)


class ReportTest(Case):
    needs = ("vmclockctl",)

    def report(self, *options):
        with open(self.path("conf"), "w", encoding="ascii") as file:
            file.write(f"device = {self.path('page')}\n")
        return subprocess.run(
            [program("vmclockctl"), "-c", self.path("conf"), *options, "page"],
            capture_output=True, text=True, timeout=20, check=False,
        )

    def test_a_clock_is_shown_with_date_bound_period_and_unknown_flags(self):
        made = page.clock_page(self.path("page"))
        made.write(flags=made.fields.flags | 1 << 40)
        done = self.report("--json")
        self.assertEqual(done.returncode, OK, done.stderr)
        said = json.loads(done.stdout)
        self.assertTrue(said["valid"] and said["clock"])
        date = datetime.datetime.fromisoformat(said["utc_date"][:26] + "+00:00")
        self.assertAlmostEqual(date.timestamp(), float(said["utc"]), delta=1e-5)
        self.assertAlmostEqual(float(said["counter_period_ns"]), made.period() * 1e9, delta=1e-6)
        self.assertAlmostEqual(
            float(said["counter_frequency_mhz"]) * float(said["counter_period_ns"]), 1e3, delta=1e-3
        )
        self.assertTrue(200 <= said["error_bound_ns"] < 10000)
        self.assertIsInstance(said["counter_period_ns"], float)
        self.assertRegex(said["counter_now"], r"^0x[0-9a-f]+$")
        self.assertIn("unknown", said["fields"]["flags"]["meaning"])
        self.assertIn(said["utc_date"][:10], self.report().stdout)

    def test_a_page_without_a_bound_says_so(self):
        page.clock_page(self.path("page"), flags=page.TAI_OFFSET_VALID)
        self.assertIsNone(json.loads(self.report("--json").stdout)["error_bound_ns"])
        self.assertIn("no bound", self.report().stdout)

    def test_what_is_left_of_a_broken_page_is_shown_and_the_status_is_69(self):
        whole = page.marker_page(self.path("page"), disruption_marker=0x1234).bytes()
        for data, reason in (
            (whole[:0x20], "shorter"),
            (whole[:0x0C] + b"\x03\0\0\0" + whole[0x10:], "writing"),
            (b"XXXX" + whole[4:], "magic"),
        ):
            with open(self.path("page"), "wb") as file:
                file.write(data)
            text, structured = self.report(), self.report("--json")
            self.assertEqual((text.returncode, structured.returncode), (DEVICE, DEVICE))
            self.assertIn("0x1234", text.stdout)
            said = json.loads(structured.stdout)
            self.assertFalse(said["valid"] or said["clock"])
            self.assertIn(reason, said["verdict"])
            self.assertEqual(said["fields"]["disruption_marker"]["raw"], "0x1234")
