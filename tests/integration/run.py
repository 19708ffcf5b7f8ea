#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""
Run the integration tests: run.py [-j JOBS] [-l] [-v] [PATTERN...]

Each class of tests runs in a worker process, several side by side unless the class says
`parallel = False`. A worker leads a process group, so that whatever it started ends with it: after
its last test, over its time limit, at Ctrl-C or SIGTERM, and if this runner is killed.
PATTERN selects the tests whose full name contains it. BUILD names the build directory.

Most tests wait for what happens within milliseconds, on machines that at times stand still for
seconds. One that fails is therefore run once more, by itself, and what it said the
first time is printed all the same; more than a few are not an accident.
"""

import argparse
import ctypes
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
ACCIDENTS = 3  # tests that may fail once
GRACE = 15  # seconds a test may take to clean up after its own limit


def load(patterns):
    """{class: [names of tests]} of what is selected, in order."""
    sys.path.insert(0, HERE)
    loader = unittest.TestLoader()
    classes = {}

    def walk(suite):
        for item in suite:
            if isinstance(item, unittest.TestSuite):
                walk(item)
            elif not patterns or any(pattern in item.id() for pattern in patterns):
                classes.setdefault(type(item), []).append(item._testMethodName)

    walk(loader.discover(HERE, pattern="test_*.py", top_level_dir=HERE))
    if loader.errors:
        print("\n".join(loader.errors))
        print(f"0 passed, {len(loader.errors)} failed, 0 skipped")
        sys.exit(1)
    return classes


# The worker.


class Reporter(unittest.TestResult):
    """One JSON object a line: a test begins, a test has ended."""

    def __init__(self, stream):
        super().__init__()
        self.stream = stream

    def tell(self, **fields):
        print(json.dumps(fields), file=self.stream, flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.problems = []
        self.skip = None
        self.tell(begins=test._testMethodName, limit=getattr(test, "limit", 40))

    def stopTest(self, test):
        super().stopTest(test)
        outcome = "failed" if self.problems else "skipped" if self.skip else "passed"
        self.tell(
            ended=test._testMethodName,
            outcome=outcome,
            text="\n".join(self.problems) or self.skip or "",
            seconds=time.monotonic() - self.began,
        )

    def _problem(self, test, error):
        text = self._exc_info_to_string(error, test)
        if not self.problems and hasattr(test, "evidence"):
            text += test.evidence()
        self.problems.append(text)

    def addError(self, test, err):
        self._problem(test, err)

    def addFailure(self, test, err):
        self._problem(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.problems.append(f"{subtest}: {self._exc_info_to_string(err, test)}")

    def addUnexpectedSuccess(self, test):
        self.problems.append("was expected to fail")

    def addSkip(self, test, reason):
        self.skip = reason


def worker(module, name, tests, report):
    # The runner's death must reach what this worker has started, too.
    def orphaned(*_):
        shutil.rmtree(os.environ["VMCLOCKD_TEST_ROOT"], ignore_errors=True)
        os.killpg(0, signal.SIGKILL)

    signal.signal(signal.SIGTERM, orphaned)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path.insert(0, HERE)
    case = getattr(__import__(module), name)
    with os.fdopen(report, "w") as stream:
        unittest.TestSuite(case(test) for test in tests).run(Reporter(stream))


# The runner.


class Running:
    """A worker and what it has reported."""

    def __init__(self, case, tests):
        self.case = case
        self.left = list(tests)
        self.test = None
        self.deadline = time.monotonic() + 60
        self.buffer = b""
        self.pipe, report = os.pipe()
        command = [sys.executable, os.path.abspath(__file__), "--worker", str(report)]
        self.process = subprocess.Popen(
            command + [case.__module__, case.__name__, *tests],
            pass_fds=[report],
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        os.close(report)

    def read(self):
        """The objects that have arrived; None at the end."""
        data = os.read(self.pipe, 65536)
        if not data:
            return None
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def end(self):
        """Not reaped until its group is gone, so that the group's number is still its own."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.pipe)
        try:
            while True:
                os.waitpid(-self.process.pid, 0)
        except ChildProcessError:
            pass  # none of its children is left


class Runner:
    def __init__(self, classes, jobs, verbose):
        self.jobs = jobs
        self.verbose = verbose
        # The long ones first, or the last of them is waited for alone.
        ordered = sorted(classes.items(), key=lambda item: -getattr(item[0], "weight", 1))
        self.beside = [item for item in ordered if getattr(item[0], "parallel", True)]
        self.alone = [item for item in ordered if not getattr(item[0], "parallel", True)]
        self.running = []
        self.selector = selectors.DefaultSelector()
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.skipped = []
        self.failed = []  # (class, test, full name)
        self.accidents = []
        self.slow = []

    def start(self, case, tests):
        worker = Running(case, tests)
        self.running.append(worker)
        self.selector.register(worker.pipe, selectors.EVENT_READ, worker)

    def outcome(self, worker, test, outcome, text, seconds):
        name = f"{worker.case.__module__}.{worker.case.__name__}.{test}"
        worker.left.remove(test)
        worker.test = None
        self.counts[outcome] += 1
        self.slow.append((seconds, name))
        if outcome == "skipped":
            self.skipped.append((name, text))
        if outcome == "failed":
            self.failed.append((worker.case, test, name))
            print(f"FAILED {name} ({seconds:.1f} s)\n{text}\n", flush=True)
        elif self.verbose:
            print(f"{outcome} {name} ({seconds:.1f} s)", flush=True)

    def over(self, worker, why):
        """Ended, by itself or by us: what it has not reported is started again without the test
        it died of."""
        self.selector.unregister(worker.pipe)
        self.running.remove(worker)
        worker.end()
        if worker.left:
            self.outcome(worker, worker.test or worker.left[0], "failed", why, 0.0)
        if worker.left:
            self.start(worker.case, worker.left)

    def step(self):
        for key, _ in self.selector.select(0.2):
            worker = key.data
            reports = worker.read()
            if reports is None:
                self.over(worker, "the worker ended within this test")
                continue
            for report in reports:
                if "begins" in report:
                    worker.test = report["begins"]
                    worker.deadline = time.monotonic() + report["limit"] + GRACE
                else:
                    worker.deadline = time.monotonic() + 60
                    fields = (report[key] for key in ("ended", "outcome", "text", "seconds"))
                    self.outcome(worker, *fields)
        for worker in list(self.running):
            if time.monotonic() > worker.deadline:
                self.over(worker, "killed: over its time limit")

    def run(self):
        try:
            while self.beside or self.running:
                while self.beside and len(self.running) < self.jobs:
                    self.start(*self.beside.pop(0))
                self.step()
            for item in self.alone:
                self.by_itself(*item)
            if len(self.failed) <= ACCIDENTS:
                self.again()
        finally:
            # A second signal must not interrupt this.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            for worker in self.running:
                worker.end()

    def by_itself(self, case, tests):
        self.start(case, tests)
        while self.running:
            self.step()

    def again(self):
        """What has failed has another attempt, alone on the machine."""
        failed, self.failed = self.failed, []
        self.counts["failed"] -= len(failed)
        for case, test, name in failed:
            self.by_itself(case, [test])
            if (case, test, name) not in self.failed:
                self.accidents.append(name)

    def report(self, seconds):
        for name in self.accidents:
            print(f"passed by itself, failed before: {name}")
        for name, reason in self.skipped:
            print(f"skipped {name}: {reason}")
        for *_, name in self.failed:
            print(f"failed {name}")
        if self.verbose:
            for took, name in sorted(self.slow, reverse=True)[:10]:
                print(f"{took:6.1f} s {name}")
        print(f"{seconds:.0f} s")
        print(", ".join(f"{self.counts[key]} {key}" for key in ("passed", "failed", "skipped")))
        return 1 if self.counts["failed"] else 0


def main():
    if sys.argv[1:2] == ["--worker"]:
        report, module, name, *tests = sys.argv[2:]
        return worker(module, name, tests, int(report))

    parser = argparse.ArgumentParser(description="Run the integration tests of vmclockd.")
    parser.add_argument("-j", "--jobs", type=int, default=4, help="classes side by side")
    parser.add_argument("-l", "--list", action="store_true", help="print the tests' names")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every test's outcome")
    parser.add_argument("pattern", nargs="*", help="part of a test's full name")
    arguments = parser.parse_args()

    # What a worker leaves behind becomes our child, so that we see it end.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    # sys.exit() unwinds through Runner.run(), which ends every worker.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    # The workers share one directory, so that none makes its own.
    os.environ["VMCLOCKD_TEST_ROOT"] = tempfile.mkdtemp(prefix="vmclockd-test.", dir="/tmp")
    try:
        return run(arguments)
    finally:
        shutil.rmtree(os.environ["VMCLOCKD_TEST_ROOT"], ignore_errors=True)


def run(arguments):
    began = time.monotonic()
    classes = load(arguments.pattern)
    if arguments.list:
        for case, tests in classes.items():
            for test in tests:
                print(f"{case.__module__}.{case.__name__}.{test}")
        return 0
    runner = Runner(classes, arguments.jobs, arguments.verbose)
    runner.run()
    return runner.report(time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
