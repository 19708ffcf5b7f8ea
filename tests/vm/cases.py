# SPDX-License-Identifier: BSD-2-Clause
"""Runs cases, each in a lab of its own, and prints what they report."""

import argparse
import subprocess
import time
import traceback

import lab as vmlab

T0 = time.monotonic()


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def step(self, text):
        print(f"[{time.monotonic() - T0:6.1f} s] {text}", flush=True)

    def quote(self, lines):
        for line in lines:
            print(f"             | {line}", flush=True)

    def check(self, ok, text):
        self.passed += bool(ok)
        self.failed += not ok
        self.step(("ok    " if ok else "FAILED ") + text)
        return ok


def run_case(case, name, make_lab):
    """What it reported; that it could not go on is a failure, too."""
    report = Report()
    report.step(f"       ---- {name}: {case.__doc__}")
    with make_lab() as lab:
        try:
            case(report, lab)
        except (RuntimeError, TimeoutError, OSError, KeyError, TypeError, ValueError, subprocess.SubprocessError) as error:
            report.check(False, f"{name}: {type(error).__name__}: {error}")
            report.quote(traceback.format_exc().splitlines()[:-1])
    return report


def run_cases(cases, names, make_lab):
    """These cases, or all; gives the exit status. An emulated processor whose host stands still
    for a second is no guest's fault: a case that fails has one more attempt, and says so."""
    passed = failed = 0
    for name in names or cases:
        report = run_case(cases[name], name, make_lab)
        if report.failed:
            print(f"       ---- {name}: {report.failed} failed; once more")
            report = run_case(cases[name], name, make_lab)
        passed, failed = passed + report.passed, failed + report.failed
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def main(cases, description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chrony", default="bookworm", metavar="SUITE",
                        help="whose chrony (see fetch-chrony), or a directory; / is the installed one")
    parser.add_argument("--programs", metavar="DIRECTORY", help="where vmclockd and vmclockctl are")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(cases))
    options = parser.parse_args()
    if not set(options.cases) <= set(cases):
        parser.error("the cases are " + ", ".join(cases))

    vmlab.build_initramfs(options.chrony, options.programs)
    return run_cases(cases, options.cases, vmlab.Lab)
