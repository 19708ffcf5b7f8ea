#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How long a guest's clock is wrong after a disruption: vmclockd beside what else there
is. The host steps the formula of its page by a seeded list of steps and rates; a probe in
the guest stores (counter, CLOCK_REALTIME) a thousand times a second; the error against the
formula in force is computed out here.

usage: bench_recovery.py [--chrony SUITE|DIRECTORY] [--programs DIRECTORY] [--quick]
                         [--output DIRECTORY] [CONTENDER...]

Run tests/vm/setup.sh and build first; `make bench` does. Needs two processors that have nothing
else to do: vmclockd is measured alone, what takes seconds or minutes side by side. Of
contenders that are not named, the results of the last run are shown."""

import argparse
import concurrent.futures
import csv
import dataclasses
import json
import os
import random
import shutil
import sys
import time

import bench_plot
from bench_truth import Truth, detrended, points, rms

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../vm"))

import lab as vmlab  # noqa: E402
from guest import Guest, wait_for  # noqa: E402

BOUNDS_NS = {"100us": 100_000, "10us": 10_000, "1us": 1_000, "100ns": 100}
SEED = 20251
PROBE_HZ = 1000
MEAN_OF = 100  # readings, under a clock source that is slow to read
NTP_PORT = 1123
# From Linux 7.0 on the PTP clock is TAI.
PHC = "refclock PHC /dev/ptp0 offset -37 refid PTP"
DROP_IN = os.path.join(vmlab.HERE, "../../conf/chrony-vmclock.conf")
NTP = f"server 127.0.0.1 port {NTP_PORT} iburst"
NTP_POLLS = "6 10"
CLOCK_SOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
# ClockBound 2: a look each second, then chronyd is told to start over.
CLOCKBOUND = """
marker() { guest page | sed -n 's/.*disruption_marker=\\([0-9]*\\).*/\\1/p'; }
old=$(marker)
while sleep 1; do
new=$(marker)
[ "$new" = "$old" ] || chronyc -m 'reset sources' 'burst 4/8'
old=$new
done
"""


@dataclasses.dataclass(frozen=True)
class Contender:
    title: str
    chrony: str            # lines of chrony.conf
    window_s: float        # from one disruption to the next
    disruptions: int
    warm_up_s: float
    vmclockd: str = None   # its configuration, None: it does not run
    script: str = None     # runs in the guest instead
    notification: int = 0
    marker_only: bool = False
    ptp: bool = False      # the host's PTP clock beside the marker
    preload: str = None    # a library for vmclockd
    source: str = None     # the guest's clock source, where it is not the page's counter
    loaded: bool = False
    alone: bool = False    # measured while nothing else runs
    plotted: bool = True


def vmclockd(title, **more):
    return Contender(title, "@drop-in", 5, 24, 12, vmclockd="# all defaults", alone=True, **more)


CONTENDERS = {
    "floor": Contender("probe's noise, no chronyd", None, 0, 0, 20, alone=True, plotted=False),
    "timer": vmclockd("vmclockd, 10 ms timer"),
    "notified": vmclockd("vmclockd, notified", notification=1),
    "timer-loaded": vmclockd("vmclockd, timer, busy host", loaded=True, plotted=False),
    "notified-loaded": vmclockd("vmclockd, notified, busy host", notification=1, loaded=True, plotted=False),
    "hpet": dataclasses.replace(vmclockd("vmclockd, full page under hpet", source="hpet", plotted=False), disruptions=12),
    "acpi_pm": dataclasses.replace(vmclockd("vmclockd, full page under acpi_pm", source="acpi_pm", plotted=False),
                                   disruptions=12),
    "rearmed": Contender("reset and re-armed makestep", "@drop-in", 8, 24, 20,
                         vmclockd="correct-frequency = no\ncorrect-at-start = no"),
    "reset": Contender("reset only", "@drop-in", 20, 12, 20,
                       vmclockd="correct-frequency = no\ncorrect-at-start = no\nstep = never\nburst = none",
                       plotted=False),
    "ptp-poll0": Contender("chronyd, PTP clock, poll 0", PHC + " poll 0", 45, 12, 40),
    "ptp": Contender("chronyd, PTP clock, default poll", PHC, 240, 4, 240),
    "marker-ptp": Contender("vmclockd, marker and PTP clock", PHC + " poll 0", 8, 24, 40, vmclockd="# all defaults",
                            marker_only=True, ptp=True, alone=True),
    "marker-ptp-offset": Contender("vmclockd, marker and PTP clock by PTP_SYS_OFFSET, 200 ns of noise",
                                   PHC + " poll 0", 12, 24, 40, vmclockd="# all defaults", marker_only=True,
                                   ptp=True, preload="/bin/ptp_noise.so", alone=True, plotted=False),
    "clockbound": Contender("NTP, reset and burst (as ClockBound 2)", NTP, 200, 4, 90, script=CLOCKBOUND,
                            marker_only=True),
    "ntp": Contender("vmclockd, marker only, NTP alone", NTP, 150, 20, 90, vmclockd="boost = none", marker_only=True),
    "boost": Contender("vmclockd, marker only, NTP with boost", NTP, 45, 12, 90,
                       vmclockd=f"boost = 127.0.0.1 {NTP_POLLS}", marker_only=True),
}
CHRONY_CONF = """
makestep 1 3
driftfile /run/drift
bindcmdaddress /run/chrony/chronyd.sock
pidfile /run/chrony/chronyd.pid
cmdport 0
"""


def steps(count):
    """(ns, ppm): mostly 5 ms, every sixth 0.1 s, every twelfth 2 s; the rate stays within 150 ppm."""
    generator, total = random.Random(SEED), 0.0
    result = []
    for number in range(1, count + 1):
        size = 2_000_000_000 if number % 12 == 0 else 100_000_000 if number % 6 == 0 else 5_000_000
        ppm = generator.choice((-1, 1)) * generator.uniform(30, 100)
        if abs(total + ppm) > 150:
            ppm = -ppm
        total += ppm
        result.append((generator.choice((-1, 1)) * size, round(ppm, 3)))
    return result


# ---- one contender's run

def drop_in():
    with open(DROP_IN, encoding="ascii") as file:
        return "".join(line for line in file if not line.startswith("#"))


def start_chronyd(guest, contender):
    lines = drop_in() if contender.chrony == "@drop-in" else contender.chrony
    guest.vm.write("/etc/chrony.conf", lines.strip() + CHRONY_CONF)
    if NTP in lines:
        guest.sh(f"guest ntp {NTP_PORT} 100 50 & ntp=$!")
    guest.start_chronyd()


def start_recovery(guest, contender):
    if contender.vmclockd:
        preload = f"LD_PRELOAD={contender.preload}" if contender.preload else ""
        guest.start_vmclockd(contender.vmclockd, preload)
    if contender.script:
        guest.vm.write("/etc/recovery.sh", contender.script)
        guest.sh("sh /etc/recovery.sh > /run/recovery.log 2>&1 &")


def warm_up(guest, contender):
    """Until chronyd is locked. Slow polls would take an hour: the first minute's are fast."""
    if NTP in contender.chrony:
        time.sleep(5)
        for command in ("minpoll 127.0.0.1 0", "maxpoll 127.0.0.1 0"):
            guest.chronyc(f"'{command}'")
        time.sleep(contender.warm_up_s - 5)
        minpoll, maxpoll = NTP_POLLS.split()
        for command in (f"maxpoll 127.0.0.1 {maxpoll}", f"minpoll 127.0.0.1 {minpoll}"):
            guest.chronyc(f"'{command}'")
    else:
        time.sleep(contender.warm_up_s)
    wait_for("chronyd has a reference", lambda: guest.reference(), 60, 1)


def measure(contender, lab, count):
    """The formulas' log, the probe's records, and what vmclockd says of each recovery."""
    host = lab.host("host")
    host("init", "status=1", f"notification={contender.notification}", f"marker-only={int(contender.marker_only)}")
    vm = lab.vm("guest", page=host, ptp=contender.ptp)
    guest = Guest(vm)
    vm.boot()
    host.calibrate(vm)
    host("log", lab.path("formulas"))
    host("serve", 0)
    host("follow", 1000)
    if contender.source:
        guest.sh(f"echo {contender.source} > {CLOCK_SOURCE}")
    if contender.chrony:
        start_chronyd(guest, contender)
        start_recovery(guest, contender)
        warm_up(guest, contender)
    busy = [lab.popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 if contender.loaded else 0)]
    reports, pieces = [], []
    if not count:
        pieces.append(probed(host, guest, contender.warm_up_s, lambda: None))
    generator = random.Random(SEED + 1)
    for ns, ppm in steps(count):
        def disrupt(ns=ns, ppm=ppm):
            time.sleep(0.5 + generator.random())
            host("step", ns, ppm)
        pieces.append(probed(host, guest, contender.window_s, disrupt))
        recovery = (guest.status() or {}).get("last_recovery") if contender.vmclockd else None
        reports.append(recovery or {})
    log = guest.log_lines() if contender.vmclockd else []
    for process in busy:
        process.kill()
    vm.quit()
    host.end()
    return Truth(lab.path("formulas")), pieces, reports, log


def probed(host, guest, seconds, action):
    guest.sh(f"guest probe {seconds + 30} {PROBE_HZ} /tmp/probe & probe=$!")
    time.sleep(0.5)
    action()
    time.sleep(seconds)
    guest.sh("kill $probe; wait $probe", check=False)
    return host.received(guest.vm, "/tmp/probe")


# ---- what the records say

def settled(seconds, after, bound_ns):
    """Seconds until the error stays below the bound; None if it does not."""
    bad = [i for i, point in enumerate(after) if abs(point.error_ns) >= bound_ns]
    if bad and bad[-1] + 1 == len(after):
        return None
    return seconds(after[bad[-1] + 1 if bad else 0])


def means(after, count):
    """The mean error of so many readings, at the last of them: a clock source that takes microseconds to
    read hides what is less in one reading."""
    total, result = 0, []
    for i, point in enumerate(after):
        total += point.error_ns - (after[i - count].error_ns if i >= count else 0)
        if i >= count - 1:
            result.append(point._replace(error_ns=total / count))
    return result


def steps_back(truth, found):
    """Where CLOCK_REALTIME lost more against true time than any slew explains, in ns."""
    result = []
    for old, new in zip(found, found[1:]):
        formula = truth.at(new.counter)
        elapsed = (new.counter - old.counter) * formula.period * 10**9 >> (64 + formula.shift)
        lost = elapsed - (new.realtime_ns - old.realtime_ns)
        if lost > elapsed // 10 + 1000:
            result.append(lost)
    return result


def analyse(truth, pieces, reports, names, averaged):
    rows, curves, left_out = [], [], []
    for (ns, ppm), piece, start, recovery in zip(names, pieces, truth.disruptions(), reports):
        found, dropped = points(truth, piece)
        left_out.append(dropped)
        after = [point for point in found if point.counter >= start.counter]
        before = [point for point in found if point.counter < start.counter]

        def seconds(point, start=start):
            return truth.seconds(start, point.counter)

        row = {"step_ns": ns, "ppm": ppm, "before_rms_ns": round(rms([p.error_ns for p in before]), 1)}
        for name, bound in BOUNDS_NS.items():
            fine = means(after, MEAN_OF) if averaged and bound < 10_000 else after
            row[name] = settled(seconds, fine, bound)
        largest = max(abs(point.error_ns) for point in after)
        row["largest_ns"] = largest
        row["grew_ns"] = max(0, largest - max(abs(point.error_ns) for point in after[:2]))
        back = steps_back(truth, [p for p in found if p.counter >= start.counter])
        row["steps_back"], row["largest_step_back_ns"] = len(back), max(back, default=0)
        row["after_100ms_ns"] = max(abs(p.error_ns) for p in after if seconds(p) > 0.1)
        row["end_rms_ns"] = round(rms([p.error_ns for p in after[-1000:]]), 1)
        for key in ("reset_ms", "corrected_ms", "synchronised_ms", "remaining_ns", "outcome"):
            row[key] = recovery.get(key)
        rows.append(row)
        curves.append(bench_plot.curve((seconds(point), abs(point.error_ns)) for point in after))
    return {"rows": rows, "curves": curves, "left_out": max(left_out)}


def keep(prefix, lab, pieces):
    """The raw readings, for a closer look."""
    shutil.copy(lab.path("formulas"), prefix + ".formulas")
    for number, piece in enumerate(pieces, 1):
        with open(f"{prefix}.{number}.probe", "wb") as file:
            file.write(piece)


def processors_busy():
    """(busy, all) ticks of this machine's processors."""
    with open("/proc/stat", encoding="ascii") as stat:
        ticks = [int(word) for word in stat.readline().split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def run(name, options):
    contender = CONTENDERS[name]
    count = contender.disruptions if not options.quick else min(contender.disruptions, options.quick)
    began, (busy, ticks) = time.monotonic(), processors_busy()
    with vmlab.Lab(initrd=options.initrd) as lab:
        truth, pieces, reports, log = measure(contender, lab, count)
        if options.keep:
            keep(os.path.join(options.output, "recovery", name), lab, pieces)
        if count:
            result = analyse(truth, pieces, reports, steps(count), contender.source is not None)
        else:
            found, dropped = points(truth, pieces[0])
            rest = detrended([(p.true_ns - found[0].true_ns, p.error_ns) for p in found])
            result = {"rows": [], "curves": [], "left_out": dropped, "floor_ns": rms(rest)}
    result["window_s"] = contender.window_s
    result["took_s"] = round(time.monotonic() - began)
    result["chrony"] = options.chrony
    with open(os.path.join(options.output, "recovery", name + ".json"), "w", encoding="ascii") as file:
        json.dump(result, file)
    with open(os.path.join(options.output, "recovery", name + ".log"), "w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in log)
    now_busy, now_ticks = processors_busy()
    print(f"{name}: {len(result['rows'])} disruptions, {result['took_s']} s, the processors were busy for "
          f"{(now_busy - busy) / (now_ticks - ticks):.0%}", flush=True)


# ---- the table, the CSV and the targets

def show(seconds, window_s):
    if seconds is None:
        return f">{window_s:.0f} s"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def middle(values):
    """The median; None, which is never, counts as the largest."""
    ordered = sorted(values, key=lambda value: (value is None, value))
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return None if high is None else (low + high) / 2


def worst(values):
    return None if None in values else max(values)


def show_ns(ns):
    return f"{ns:.0f} ns" if ns < 1e3 else f"{ns / 1e3:.1f} us" if ns < 1e6 else f"{ns / 1e6:.1f} ms"


def print_table(results):
    header = ["", "n", *("<" + name for name in BOUNDS_NS), "error grew by", "left (worst)", "steps back"]
    lines = [header]
    for name, result in results.items():
        rows = result["rows"]
        if not rows:
            continue
        line = [CONTENDERS[name].title, str(len(rows))]
        for bound in BOUNDS_NS:
            values = [row[bound] for row in rows]
            line.append(f"{show(middle(values), result['window_s'])} / {show(worst(values), result['window_s'])}")
        left = [abs(row["remaining_ns"]) for row in rows if row["remaining_ns"] is not None]
        back = sum(row["steps_back"] for row in rows)
        line += [show_ns(max(row["grew_ns"] for row in rows)), show_ns(max(left)) if left else "",
                 f"{back}, {show_ns(max(row['largest_step_back_ns'] for row in rows))}" if back else "0"]
        lines.append(line)
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    print("seconds from the page's update until the error stays below, median / worst")
    for line in lines:
        print("  ".join([line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]))
    print("error grew by: beyond what the disruption itself was; left: by vmclockd's own last measurement;")
    print("steps back: one each for the disruptions that put true time back, where the clock is stepped at all")
    if "floor" in results:
        print(f"the probe's own noise: {results['floor']['floor_ns']:.1f} ns rms")


def write_csv(path, results):
    with open(path, "w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        file.write("# SPDX-License-Identifier: BSD-2-Clause\n")
        fields = list(next(result["rows"][0] for result in results.values() if result["rows"]))
        renamed = ["below_" + field + "_s" if field in BOUNDS_NS else field for field in fields]
        writer.writerow(["contender", "disruption", *renamed])
        for name, result in results.items():
            for number, row in enumerate(result["rows"], 1):
                writer.writerow([name, number, *(
                    "" if row.get(field) is None else f"{row[field]:.6f}" if field in BOUNDS_NS else row[field]
                    for field in fields)])


def print_targets(results):
    def values(name, bound):
        return [row[bound] for row in results[name]["rows"]] if name in results else None

    def target(what, value, limit, unit="ms", scale=1e3):
        if value is None:
            print(f"target {what}: never: missed")
        else:
            print(f"target {what}: {value * scale:.4g} {unit}, at most {limit:.4g} {unit}: "
                  + ("met" if value * scale <= limit else "missed"))

    def ratio(bound, slow, fast, limit):
        slow_s, fast_s = (middle(values(name, bound)) for name in (slow, fast))
        if fast_s is None:
            print(f"target <{bound}, {fast} against {slow}: never: missed")
            return
        times = (slow_s or results[slow]["window_s"]) / fast_s
        print(f"target <{bound}, {fast} against {slow}: {'' if slow_s else 'more than '}{times:.0f} times, "
              f"at least {limit}: " + ("met" if times >= limit else "missed"))

    for name, median_ms, worst_ms in (("timer", 15, 100), ("notified", 12, 100), ("timer-loaded", None, 250),
                                      ("notified-loaded", None, 250)):
        if name in results:
            below_1us = values(name, "1us")
            if median_ms:
                target(f"{name}, <1 us, median", middle(below_1us), median_ms)
                target(f"{name}, <100 ns, median", middle(values(name, "100ns")), 20)
            target(f"{name}, <1 us, worst", worst(below_1us), worst_ms)
            left = [abs(row["remaining_ns"]) for row in results[name]["rows"] if row["remaining_ns"] is not None]
            if left:
                target(f"{name}, left after the last round, worst", max(left), 50, "ns", 1)
    for bound, slow, fast, limit in (("1us", "ptp-poll0", "timer", 500), ("1us", "ptp-poll0", "notified", 500),
                                     ("1us", "rearmed", "timer", 100), ("1us", "rearmed", "notified", 100),
                                     ("100us", "clockbound", "boost", 10), ("1us", "ptp-poll0", "marker-ptp", 500)):
        if slow in results and fast in results:
            ratio(bound, slow, fast, limit)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chrony", default="bookworm", metavar="SUITE",
                        help="whose chrony (see fetch-chrony), or a directory; / is the installed one")
    parser.add_argument("--programs", metavar="DIRECTORY", help="where vmclockd and vmclockctl are")
    parser.add_argument("--quick", type=int, nargs="?", const=2, metavar="N", help="N disruptions each (2)")
    parser.add_argument("--output", metavar="DIRECTORY", default=os.path.join(vmlab.HERE, "../../build/bench"))
    parser.add_argument("--report", action="store_true", help="measure nothing, show what there is")
    parser.add_argument("--keep", action="store_true", help="the raw readings as well")
    parser.add_argument("--together", type=int, default=3, help="how many of the slow ones at a time (3)")
    parser.add_argument("contenders", nargs="*", metavar="CONTENDER", help=", ".join(CONTENDERS))
    options = parser.parse_args()
    if not set(options.contenders) <= set(CONTENDERS):
        parser.error("the contenders are " + ", ".join(CONTENDERS))
    os.makedirs(os.path.join(options.output, "recovery"), exist_ok=True)

    names = [] if options.report else options.contenders or list(CONTENDERS)
    if names:
        options.initrd = os.path.join(options.output, "recovery", "initrd")
        vmlab.build_initramfs(options.chrony, options.programs, options.initrd)
    failed = False
    alone = [name for name in names if CONTENDERS[name].alone]
    slow = [name for name in names if not CONTENDERS[name].alone]
    for group, workers in ((alone, 1), (slow, options.together)):
        with concurrent.futures.ProcessPoolExecutor(workers) as executor:
            for name, future in {name: executor.submit(run, name, options) for name in group}.items():
                try:
                    future.result()
                except (RuntimeError, TimeoutError, OSError, KeyError, ValueError) as error:
                    print(f"{name} could not be measured: {type(error).__name__}: {error}", file=sys.stderr)
                    failed = True

    results = {}
    for name in CONTENDERS:
        path = os.path.join(options.output, "recovery", name + ".json")
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                results[name] = json.load(file)
    if not any(result["rows"] for result in results.values()):
        return 1
    print_table(results)
    print_targets(results)
    write_csv(os.path.join(options.output, "recovery.csv"), results)
    plotted = {CONTENDERS[name].title: result["curves"] for name, result in results.items()
               if CONTENDERS[name].plotted and result["curves"]}
    bench_plot.write(os.path.join(options.output, "recovery.svg"), plotted,
                     "Error of a guest's clock after a disruption")
    return failed


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
