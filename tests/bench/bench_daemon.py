#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Benchmarks on this machine, each beside what it is to be compared with.

    bench_daemon.py [--seconds N] [--long] [NAME...]        NAME: detection noise realtime cost start

BUILD names the directory with the programs. Exits with 1 only where something could not be
measured: a target that is missed on a busy machine is said, not punished.
"""

import argparse
import collections
import contextlib
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import testbed

MIB = 1024 * 1024


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * percent / 100) - 1)]


def table(header, rows):
    cells = [header, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        first, *rest = zip(row, widths)
        print("  " + "  ".join([first[0].ljust(first[1]), *(c.rjust(w) for c, w in rest)]))


def target(what, value, limit, unit):
    verdict = "met" if value <= limit else "missed"
    print(f"  target {what}: {value:.3g} {unit}, at most {limit:.3g} {unit}: {verdict}")


# --- detection ------------------------------------------------------------------------------

CHANGES = 500


def detect(interval_ms, ideal, how=(), measure=()):
    """Times in ms from the marker's change to RESET_SOURCES; `how` runs the watcher, `measure`
    both sides of it."""
    with testbed.Lab() as place:
        conf = place.configuration(f"watch-interval = {interval_ms}ms")
        watcher = ["--ideal"] if ideal else [testbed.program("vmclockd"), "-c", conf]
        with open(place.log, "wb") as log:
            result = subprocess.run(
                [*measure, testbed.program("bench/detect"), place.directory,
                 str(interval_ms * 1000000), str(CHANGES), *how, *watcher], stdout=subprocess.PIPE, stderr=log, check=False)
        if result.returncode:
            raise place.complaint("detect failed")
        return [int(line) / 1e6 for line in result.stdout.split()]


def detection(_):
    print(f"detection: from the marker's change to RESET_SOURCES received, {CHANGES} times, ms")
    rows, found = [], {}
    for interval_ms in (1, 10, 50):
        for name, ideal in (("vmclockd", False), ("bare timer", True)):
            times = found[interval_ms, ideal] = detect(interval_ms, ideal)
            rows.append([f"{name}, watch-interval {interval_ms} ms",
                         *(f"{percentile(times, p):.3f}" for p in (1, 50, 99, 100))])
    table(["", "1 %", "median", "99 %", "max"], rows)
    times = found[10, False]
    target("median at 10 ms", percentile(times, 50), 5.3, "ms")
    target("99 % at 10 ms", percentile(times, 99), 11, "ms")


# --- noise ----------------------------------------------------------------------------------

def fit(points):
    """The straight line's slope, and what is left of each point, by least squares."""
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    xx = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / xx
    return slope, [y - mean_y - slope * (x - mean_x) for x, y in points]


def record(readings, seconds, how=()):
    """(s, ns) of the samples that chronyd is sent."""
    with testbed.Lab() as place:
        place.start_chronyd()
        host = place.start_host()
        daemon = place.start_daemon(f"readings = {readings}", how=how)
        time.sleep(2)
        place.chronyd.samples.clear()
        time.sleep(seconds)
        samples = list(place.chronyd.samples)
        place.check(host)
        place.check(daemon)
    if len(samples) < seconds:
        raise testbed.Failed(f"only {len(samples)} samples in {seconds} s")
    return [((us - samples[0][0]) / 1e6, offset * 1e9) for us, offset in samples]


def noise(options):
    print(f"noise: sample offsets against a straight line over {options.seconds} s, ns")
    rows, found = [], {}
    for readings in (1, 4, 16, 64):
        points = record(readings, options.seconds)
        slope, rest = fit(points)
        middle = len(points) // 2
        bend = fit(points[middle:])[0] - fit(points[:middle])[0]
        sizes = [abs(y) for y in rest]
        rms = found[readings] = math.sqrt(sum(y * y for y in rest) / len(rest))
        rows.append([f"readings = {readings}" + (" (default)" if readings == 16 else ""),
                     len(points), f"{rms:.1f}", f"{percentile(sizes, 50):.1f}",
                     f"{percentile(sizes, 99):.1f}", f"{max(sizes):.1f}", f"{slope:.2f}",
                     f"{bend:.2f}"])
    table(["", "samples", "rms", "median", "99 %", "max", "slope ppb", "bend ppb"], rows)
    print("  (a bend far from 0: something disciplines this machine's clock meanwhile)")
    target("rms at defaults", found[16], 10, "ns")


# --- realtime -------------------------------------------------------------------------------

# detect wants a path
CHRT = shutil.which("chrt") or "chrt"
ORDINARY = [CHRT, "--other", "0"]
LOCKED = ["env", "LD_PRELOAD=" + os.path.join(testbed.BUILD, "bench/lock_memory.so")]
# What the service could be run with, by the unit's names.
SCHEDULING = (
    ("nothing", ORDINARY),
    ("TimerSlackNSec=1", [*ORDINARY, "sh", "-c", 'echo 1 >/proc/self/timerslack_ns; exec "$0" "$@"']),
    ("CPUAffinity=0", [*ORDINARY, "taskset", "--cpu-list", "0"]),
    ("Nice=-10", [*ORDINARY, "nice", "-n", "-10"]),
    ("Nice=-20", [*ORDINARY, "nice", "-n", "-20"]),
    ("CPUSchedulingPolicy=rr, priority 1", [CHRT, "--rr", "1"]),
    ("CPUSchedulingPolicy=fifo, priority 10", [CHRT, "--fifo", "10"]),
    ("memory locked", [*ORDINARY, *LOCKED]),
)


@contextlib.contextmanager
def full_load():
    """Two processes for each processor that want all of it."""
    with testbed.Lab() as place:
        for _ in range(2 * os.cpu_count()):
            place.start(["sh", "-c", "while :; do :; done"])
        yield


def forget(path):
    """None of the file stays in memory, unless somebody has it mapped."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def memory_reclaimed():
    """A cgroup, of version 2 or 1, whose memory is taken back all the time, but for what is
    locked: the way to run vmclockd in it, with pages of files that nobody else has mapped."""
    group = next((path for path in ("/sys/fs/cgroup", "/sys/fs/cgroup/memory")
                  if os.path.exists(path + "/cgroup.procs")), None)
    if not group:
        raise testbed.Failed("no cgroup of memory can be made here")
    group += "/vmclockd-bench"
    os.mkdir(group)
    libraries = tempfile.mkdtemp(prefix="libraries.", dir=testbed.BUILD)  # not in memory
    ended = threading.Event()

    def reclaim():
        way, what = next((way, what) for way, what in (("memory.reclaim", "1G"), ("memory.force_empty", "0"))
                         if os.path.exists(f"{group}/{way}"))
        while not ended.wait(0.05):
            # it fails where less was there
            with contextlib.suppress(OSError), open(f"{group}/{way}", "w", encoding="ascii") as file:
                file.write(what)

    reclaiming = threading.Thread(target=reclaim)
    try:
        program = testbed.program("vmclockd")
        for path in re.findall(r"=> (/\S+)", subprocess.run(["ldd", program], stdout=subprocess.PIPE,
                                                            check=True, text=True).stdout):
            forget(shutil.copy(path, libraries))
        forget(program)
        reclaiming.start()
        yield [*ORDINARY, "sh", "-c", 'echo $$ >"$0"; exec "$@"', group + "/cgroup.procs",
               "env", "LD_LIBRARY_PATH=" + libraries]
        read_again = re.search(r"^pgmajfault (\d+)", testbed.read_text(group + "/memory.stat"), re.M)
        print(f"  memory reclaimed: {read_again[1]} page faults that had to read")
    finally:
        ended.set()
        if reclaiming.is_alive():
            reclaiming.join()
        shutil.rmtree(libraries)
        os.rmdir(group)


def realtime_row(options, name, how):
    # the host and chronyd's side are not what is measured
    times = detect(10, False, how, [CHRT, "--fifo", "50"])
    points = record(16, options.seconds, how)
    sizes = [abs(y) for y in fit(points)[1]]
    rms = math.sqrt(sum(y * y for y in sizes) / len(sizes))
    return [name, *(f"{percentile(times, p):.3f}" for p in (50, 99, 100)), len(points),
            f"{rms:.1f}", f"{percentile(sizes, 99):.1f}", f"{max(sizes):.1f}"]


def realtime(options):
    print(f"realtime: every processor wanted by two others; {CHANGES} detections at 10 ms, ms; and "
          f"the noise of the samples over {options.seconds} s, ns")
    rows = [realtime_row(options, "idle machine, nothing", ORDINARY)]
    with full_load():
        rows += [realtime_row(options, name, how) for name, how in SCHEDULING]
    for name, more in ("nothing", []), ("memory locked", LOCKED):
        with memory_reclaimed() as how:
            rows.append(realtime_row(options, "memory reclaimed, " + name, [*how, *more]))
    table(["", "median", "99 %", "max", "samples", "rms", "99 %", "max"], rows)


# --- cost -----------------------------------------------------------------------------------

Usage = collections.namedtuple("Usage", "at cpu_ns wakeups faults dirty rss heap")


def usage(process):
    """What a single-threaded process has used, to the ns."""
    proc = f"/proc/{process.pid}"
    kib = {key: int(value) for key, value in re.findall(
        r"^(\w+):\s+(\d+)", testbed.read_text(f"{proc}/smaps_rollup") + testbed.read_text(f"{proc}/status"),
        re.M)}
    stat = testbed.read_text(f"{proc}/stat").rpartition(")")[2].split()
    heap = sum(int(end, 16) - int(start, 16) for start, end in re.findall(
        r"^(\w+)-(\w+) .*\[heap\]$", testbed.read_text(f"{proc}/maps"), re.M))
    return Usage(time.monotonic_ns(), int(testbed.read_text(f"{proc}/schedstat").split()[0]),
                 kib["voluntary_ctxt_switches"], int(stat[7]), kib["Private_Dirty"] * 1024,
                 kib["Rss"] * 1024, heap)


def watch_cost(host_options, seconds, growth=False):
    """Usage of the empty timer and of vmclockd, side by side, at the start and at the end."""
    with testbed.Lab() as place:
        place.start_chronyd()
        place.start_host(*host_options)
        both = [place.start([testbed.program("bench/empty_timer"), "10000000"]), place.start_daemon()]
        time.sleep(5)
        before = [usage(process) for process in both]
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 300))
            for process in both:
                place.check(process)
            if growth:
                now = usage(both[1])
                print(f"    after {(now.at - before[1].at) / 60e9:.0f} min: dirty "
                      f"{now.dirty // 1024} KiB, resident {now.rss // 1024} KiB, heap "
                      f"{now.heap // 1024} KiB, {now.faults - before[1].faults} page faults",
                      flush=True)
        return list(zip(before, [usage(process) for process in both]))


def percent(pair):
    before, after = pair
    return (after.cpu_ns - before.cpu_ns) / (after.at - before.at) * 100


def cost_row(name, pair, timer=None):
    before, after = pair
    seconds = (after.at - before.at) / 1e9
    wakeups = after.wakeups - before.wakeups
    above = f"{percent(pair) - percent(timer):+.3f}" if timer else ""
    return [name, f"{percent(pair):.3f}", above, f"{wakeups / seconds:.1f}",
            f"{(after.cpu_ns - before.cpu_ns) / max(wakeups, 1) / 1e3:.1f}",
            after.dirty // 1024, after.rss // 1024,
            f"{(after.heap - before.heap) // 1024:+d}",
            f"{(after.dirty - before.dirty) // 1024:+d}", after.faults - before.faults]


def count_instructions(pid):
    """User and kernel instructions a second, or None where they cannot be counted."""
    if not shutil.which("perf"):
        return None
    result = subprocess.run(["perf", "stat", "-x,", "-e", "instructions", "-p", str(pid),
                             "sleep", "5"], stderr=subprocess.PIPE, check=False, text=True)
    found = re.search(r"^(\d+),+[^,]*instructions", result.stderr, re.M)
    return int(found.group(1)) / 5 if found else None


def count_calls(pid, output):
    """System calls a second by name, or None."""
    if not shutil.which("strace"):
        return None
    subprocess.run(["timeout", "-s", "INT", "5", "strace", "-c", "-o", output, "-p", str(pid)],
                   stderr=subprocess.DEVNULL, check=False)
    lines = [line.split() for line in testbed.read_text(output).splitlines()]
    return {line[-1]: int(line[3]) / 5 for line in lines
            if len(line) >= 5 and line[3].isdigit() and line[-1] != "total"} or None


def cost(options):
    seconds = 3600 if options.long else options.seconds
    print(f"cost: beside an empty timer of the same interval, {seconds} s")
    rows = []
    for name, host in (("clock, page rewritten every 100 ms", []),
                       ("clock, page steady", ["--no-update"]),
                       ("marker only", ["--marker-only"])):
        long = options.long and not host
        timer, daemon = watch_cost(host, seconds if long else options.seconds, growth=long)
        if not host:
            clock = timer, daemon
        rows += [cost_row("empty timer, 10 ms", timer),
                 cost_row(f"vmclockd, {name}", daemon, timer)]
    table(["", "% of a core", "above", "wake-ups/s", "us each", "dirty KiB", "resident KiB",
           "heap grew", "dirty grew", "faults"], rows)
    with testbed.Lab() as place:
        place.start_chronyd()
        place.start_host()
        daemon = place.start_daemon()
        time.sleep(3)
        instructions = count_instructions(daemon.pid)
        calls = count_calls(daemon.pid, place.path("calls"))
        place.check(daemon)
    print("  instructions: " + (f"{instructions:.0f}/s, {instructions / 100:.0f} a wake-up"
                                if instructions else "this machine does not count them"))
    print("  system calls: " + (f"{sum(calls.values()):.0f}/s: " + ", ".join(
        f"{name} {n:.1f}" for name, n in sorted(calls.items(), key=lambda item: -item[1]))
                                if calls else "strace is not here"))
    target("CPU above the empty timer", percent(clock[1]) - percent(clock[0]), 0.3, "% of a core")
    target("dirty memory", clock[1][1].dirty / MIB, 2, "MiB")
    target("resident memory", clock[1][1].rss / MIB, 8, "MiB")
    target("heap's growth", (clock[1][1].heap - clock[1][0].heap) / 1024, 0, "KiB")


# --- start ----------------------------------------------------------------------------------

RUNS = 50


def start_once(place, notified):
    """ms from before the fork until READY=1 has come."""
    began = time.monotonic_ns()
    daemon = place.start_daemon(env=dict(os.environ, NOTIFY_SOCKET=notified.getsockname()))
    try:
        while not re.search(rb"^READY=1$", notified.recv(4096), re.M):
            pass
    except TimeoutError as error:
        place.check(daemon)
        raise testbed.Failed("READY=1 does not come") from error
    took = time.monotonic_ns() - began
    place.stop(daemon)
    place.processes.remove(daemon)
    notified.setblocking(False)
    try:
        while notified.recv(4096):  # what it said at its end
            pass
    except BlockingIOError:
        notified.settimeout(10)
    return took / 1e6


def version_once():
    began = time.monotonic_ns()
    subprocess.run([testbed.program("vmclockd"), "--version"], stdout=subprocess.DEVNULL, check=True)
    return (time.monotonic_ns() - began) / 1e6


def start(_):
    print(f"start: from before the fork to READY=1, {RUNS} runs, ms")
    with testbed.Lab() as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(place.path("notify"))
        notified.settimeout(10)
        place.start_chronyd()
        place.start_host()
        ready = [start_once(place, notified) for _ in range(RUNS)]
    version = [version_once() for _ in range(RUNS)]
    table(["", "median", "99 %", "max"],
          [[name, *(f"{percentile(times, p):.1f}" for p in (50, 99, 100))] for name, times in
           (("vmclockd, to READY=1", ready), ("vmclockd --version, to its end", version))])
    target("max", max(ready), 50, "ms")


# --- all ------------------------------------------------------------------------------------

BENCHMARKS = {"detection": detection, "noise": noise, "realtime": realtime, "cost": cost, "start": start}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(BENCHMARKS))
    parser.add_argument("--seconds", type=int, default=60, help="of noise and cost (default: 60)")
    parser.add_argument("--long", action="store_true", help="an hour of cost, for its growth")
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error("no such benchmark: " + " ".join(sorted(unknown)))
    failed = False
    for name in options.names or BENCHMARKS:
        print(f"on {testbed.conditions()}")
        try:
            BENCHMARKS[name](options)
        except (testbed.Failed, OSError, subprocess.SubprocessError) as error:
            print(f"{name} could not be measured: {error}", file=sys.stderr)
            failed = True
        print(flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
