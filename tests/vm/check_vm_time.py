#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""vmclockd in a real guest on a month's last day, and in one whose kernel keeps time by
something other than the page's counter. As check_vm.py.

usage: check_vm_time.py [--chrony SUITE|DIRECTORY] [--programs DIRECTORY] [CASE...]"""

import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bench"))

from bench_truth import Truth  # noqa: E402
from cases import main
from guest import Guest, wait_for
from steps import CPU_LIMIT_PERCENT, Counts, boot, expect_agreement, expect_one_reset, wait_selected

# chronyd takes a leap second at the end of June and December only.
JULY_2027, JANUARY_2028 = 1814400000, 1830297600
# To start, to be selected, and to tell the kernel of the leap second.
EVE_S = 20
SAMPLES_PER_S = 20
TRACKING_LEAP = 13
# Of the readings of a program. In emulation the two programs share one processor with all else.
HZ, NOTICE_S = 500, 0.25
CLOCK_SOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"


def day_ends(report, host, guest, what, leap, month, refresh_ms):
    """The clocks of host and guest are set to shortly before the month's end, and run until it is
    well over. Times here are s after it as if there were no leap second, negative before it.

    What chronyd does (4.3, 4.6 and 4.9 are alike, leapsecmode is `system`, the default): it takes
    the leap second from the samples, has the kernel step the clock, from 23:59:60 back to 23:59:59
    or from 23:59:58 on to 00:00:00, and knows of the step, so that its samples stay good. From 5 s
    before on it drops what samples it gets, with a line in its log for each, but counts them:
    without any for 2 s (8 polls) the source would no longer be selected. For some 2 s TRACKING says
    that nothing is synchronised, which vmclockd shows as it is."""
    sign, number = (1, 1) if leap == "insert" else (-1, 2)
    ahead = round(month - EVE_S - time.time())

    def now():
        return time.time() + ahead - month  # s after the month's end, less than 0 before it

    host("day", ahead, sign, month)
    host("serve", refresh_ms)
    guest.sh(f"date -u -s @{month + round(now())}")
    guest.configure_chronyd()
    guest.start_chronyd()
    guest.start_vmclockd()
    wait_selected(report, guest, what)
    wait_for("chronyd knows of the leap second", lambda: guest.chronyc("tracking")[0][TRACKING_LEAP] != "Normal", 5)
    leap_status = guest.chronyc("tracking")[0][TRACKING_LEAP]
    report.check(leap_status == f"{leap.capitalize()} second", f"{what}, {-now():.1f} s before: chronyd says "
                 f"{leap_status!r}, the page's indicator is {host('show')['leap']}")
    expect_agreement(report, host, guest, f"{what}, before")
    counts, started = Counts(guest), now()
    if started > -3:
        raise RuntimeError(f"only {-started:.1f} s were left for a look before the leap")

    guest.sh("while :; do chronyc -c sources; sleep 0.1; done > /run/sources 2>&1 & looks=$!")
    statuses, early = [], 0
    while now() < 7:
        statuses.append(guest.status())
        early += now() < 0
        time.sleep(0.1)
    guest.sh("kill $looks")
    # By the guest's clock: from a quarter of a second before the leap until one after it.
    quiet_from, quiet_until = (-0.25, 0.25) if leap == "insert" else (-1.25, 0.25)
    seen = [(status["updated"] - month, status["samples_sent"]) for status in statuses]
    (last, sent), (first, sent_later) = (max(look for look in seen[:early] if look[0] < quiet_from),
                                         min(look for look in seen[early:] if look[0] > quiet_until))
    most = SAMPLES_PER_S * (quiet_from - last + first - quiet_until) + 2
    report.check(sent_later - sent <= most, f"{what}: {sent_later - sent} samples, at most {most:.0f}, "
                 f"between {last:.2f} s and {first:.2f} s: none from {quiet_from} s to {quiet_until} s")
    report.check(seen[-1][1] > sent_later + SAMPLES_PER_S, f"{what}: {seen[-1][1] - sent_later} samples more after it")
    sources = guest.sh("cat /run/sources").splitlines()
    others = [line for line in sources if not line.startswith("#,*,VMCL,")]
    report.check(sources and not others, f"{what}: chronyd selected VMCL at all of {len(sources)} looks")
    report.quote(others)
    unsynchronised = sum(not status["chronyd"]["synchronised"] for status in statuses)
    report.step(f"       {what}: TRACKING said unsynchronised at {unsynchronised} of {len(statuses)} looks")
    report.check(Counts(guest).since(counts) == (0, 0, 0), f"{what}: no disruption, recovery or reset")
    expect_agreement(report, host, guest, f"{what}, after")
    show, leap_status = host("show"), guest.chronyc("tracking")[0][TRACKING_LEAP]
    report.check(leap_status == "Normal", f"{what}, {now():.1f} s after: chronyd says {leap_status!r}, the page's "
                 f"indicator is {show['leap']}, its TAI offset {show['tai_offset']}")
    report.check(refresh_ms == 0 or (show["leap"], show["tai_offset"]) == (3 + number, 37 + sign),
                 f"{what}: the page {'is as it was before' if refresh_ms == 0 else 'says that it has been'}")
    report.quote(guest.log_lines())
    report.quote(line for line in guest.chronyd_log() if "System clock" in line)
    guest.end_vmclockd()
    guest.stop_chronyd()


def case_leap(report, lab):
    """Month's ends with leap seconds: one inserted, which the host follows in its page, and one
    deleted, of which the page says nothing after the announcement."""
    here = lab.host("here")
    here("init", "status=1", "notification=1")
    guest = Guest(lab.vm("l0", page=here))
    boot(report, guest)
    here.calibrate(guest.vm)
    day_ends(report, here, guest, "inserted", "insert", JULY_2027, 100)
    guest.sh("rm -f /run/vmclockd/state /run/chronyd.log")
    day_ends(report, here, guest, "deleted", "delete", JANUARY_2028, 0)


def case_source(report, lab):
    """A kernel that keeps time by the HPET, then by the ACPI timer, which take far longer to read."""
    here = lab.host("here")
    here("init", "status=1", "notification=1")
    guest = Guest(lab.vm("s0", page=here))
    boot(report, guest)
    here.serve_clock(guest.vm)
    for source in "hpet", "acpi_pm":
        guest.sh(f"echo {source} > {CLOCK_SOURCE}")
        wait_for(f"the kernel takes {source}", lambda: guest.sh(f"cat {CLOCK_SOURCE}") == source, 10)
        guest.configure_chronyd()
        guest.start_chronyd()
        guest.start_vmclockd()
        wait_selected(report, guest, source)
        said = guest.log_lines("clock source")
        report.check(said, f"{source}: vmclockd says what that costs")
        report.quote(said)
        expect_agreement(report, here, guest, source)
        status, cpu = guest.status(), guest.vmclockd_cpu_percent()
        report.check(cpu < CPU_LIMIT_PERCENT and status["error_bound_ns"] > 0,
                     f"{source}: {status['samples_sent']} samples sent, bound {status['error_bound_ns']} ns, "
                     f"vmclockd takes {cpu:.1f} % of the processor")
        before = Counts(guest)
        here("marker")
        expect_one_reset(report, guest, before, f"{source}, marker")
        wait_selected(report, guest, f"{source}, marker")
        expect_agreement(report, here, guest, f"{source}, marker")
        report.quote(guest.log_lines())
        guest.end_vmclockd()
        guest.stop_chronyd()


PHC_CONF = """
refclock PHC /dev/ptp0 offset -37 poll 0
makestep 0.1 3
bindcmdaddress /run/chrony/chronyd.sock
pidfile /run/chrony/chronyd.pid
cmdport 0
"""


def case_ptp(report, lab):
    """A page that shows its marker alone, beside a PTP clock that the host moves."""
    here = lab.host("here")
    here("init", "status=1", "marker-only=1")
    guest = Guest(lab.vm("p0", page=here, ptp=True))
    boot(report, guest)
    here.serve_clock(guest.vm)
    guest.vm.write("/etc/chrony.conf", PHC_CONF)
    guest.start_chronyd()
    guest.start_vmclockd("chrony-conf = /etc/chrony.conf")
    report.check(guest.wait_status("the PTP clock is trusted", lambda s: (s["ptp"] or {}).get("state") == "trusted", 90),
                 f"trusted: {guest.status()['ptp']}")
    for ns, ppm in (5_000_000, 60), (-100_000_000, -80):
        before = guest.status()["recoveries"]
        here("step", ns, ppm)
        last = guest.wait_status("recovered", lambda s, n=before: s["recoveries"] > n and
                                 s["last_recovery"]["outcome"] == "synchronised")["last_recovery"]
        report.check(last["corrected_by"] == "ptp" and abs(last["remaining_ns"]) < 1000,
                     f"{ns} ns and {ppm} ppm: corrected by {last['corrected_by']} after {last['corrected_ms']:.1f} ms, "
                     f"{last['remaining_ns']} ns left")
        # chronyd may have followed the clock for some milliseconds before it was told to forget.
        report.check(last["corrected_ns"] / ns > 0.7 and last["corrected_ppm"] / ppm > 0.7,
                     f"by {last['corrected_ns']} ns and {last['corrected_ppm']} ppm")
    said = " ".join(guest.sh("vmclockctl doctor | tail -3", check=False)[1].split())
    report.check("to 1 us in about 20 ms, by the PTP clock /dev/ptp0" in said, said)
    guest.vm.write("/etc/ntp.conf", "server 192.0.2.1\n")
    said = " ".join(guest.sh("vmclockctl doctor /etc/ntp.conf | tail -5", check=False)[1].split())
    report.check('"refclock PHC /dev/ptp0 offset -37 poll 2"' in said, said[-200:])
    guest.end_vmclockd()
    guest.sh("rm -f /run/vmclockd/state")
    guest.start_vmclockd("ptp-clock = /dev/ptp0 utc")
    wait_for("TAI is told from UTC", lambda: guest.log_lines("as far as another time scale"), 60)
    before = guest.status()["recoveries"]
    here("step", 5_000_000, 20)
    last = guest.wait_status("recovered", lambda s: s["recoveries"] > before and
                             s["last_recovery"]["outcome"] == "synchronised")["last_recovery"]
    report.check(last["corrected_by"] == "chronyd", "a clock of another time scale is not used")
    another_ptp_clock(report, guest)
    report.quote(guest.log_lines())
    guest.end_vmclockd()
    ptp_hangs(report, here, guest)
    ptp_comes_back(report, guest)


def another_ptp_clock(report, guest):
    """A reload with another ptp-clock ends the use of the one before."""
    for setting in "/dev/ptp9", "none", "/dev/ptp0 37":
        guest.reload(f"ptp-clock = {setting}")
        wanted = {"/dev/ptp9": "absent", "none": None}.get(setting, "trusted")
        seen = guest.wait_status(f"ptp-clock = {setting}", lambda s, w=wanted: (s["ptp"] or {}).get("state") == w, 90)
        report.check(True, f"ptp-clock = {setting}: {seen['ptp']}")
    report.check(not guest.log_lines("is gone"), "none of them is said to be gone")


def ptp_hangs(report, here, guest):
    """A reading of the PTP clock does not return: nothing waits for it."""
    guest.sh("rm -f /run/vmclockd/state")
    guest.start_vmclockd("chrony-conf = /etc/chrony.conf", "LD_PRELOAD=/bin/ptp_noise.so")
    guest.wait_status("the PTP clock is trusted", lambda s: (s["ptp"] or {}).get("state") == "trusted", 90)
    guest.sh("touch /run/ptp-hangs")
    before = guest.status()
    here("step", 5_000_000, 0)
    last = guest.wait_status("recovered", lambda s: s["recoveries"] > before["recoveries"] and
                             s["last_recovery"]["outcome"] == "synchronised")["last_recovery"]
    report.check(last["corrected_by"] == "chronyd" and last["reset_ms"] < 100,
                 f"a PTP clock that hangs: reset after {last['reset_ms']} ms, corrected by {last['corrected_by']}")
    here("marker")
    seen = guest.wait_status("the next disruption", lambda s: s["disruptions"] > before["disruptions"] + 1)
    report.check(seen["last_recovery"]["reset_ms"] < 100, "the next disruption is seen as soon")
    began = time.monotonic()
    code = guest.end_vmclockd()
    report.check(code == 0 and time.monotonic() - began < 3, f"stopped meanwhile: {code} after {time.monotonic() - began:.1f} s")
    guest.sh("rm /run/ptp-hangs")


def ptp_comes_back(report, guest):
    """Its driver lets go of it and takes it again: by another number, for the old one is still open."""
    guest.start_vmclockd("ptp-clock = /dev/ptp0 37")
    guest.wait_status("the PTP clock is trusted", lambda s: (s["ptp"] or {}).get("state") == "trusted", 90)
    guest.sh("cd /sys/bus/platform/drivers/vmclock; echo AMZNC10C:01 > unbind; echo AMZNC10C:01 > bind")
    wait_for("the PTP clock is there again", lambda: guest.log_lines("/dev/ptp1 is there"), 30)
    report.check((guest.status()["ptp"] or {}).get("state") == "trusted", "a PTP clock that comes back is found by its name")
    guest.end_vmclockd()


RECORD = struct.Struct("=QQqqQ")  # struct interval_record
GOOD = (1, 2)


def outside(truth, records):
    """(s since the last disruption, by how many ns) of each reading that was called good and was not.
    The clock was read somewhere between the two counters."""
    found = []
    for before, after, earliest, latest, status in records:
        if status not in GOOD:
            continue
        wrong = max(earliest - truth.utc_ns(after), truth.utc_ns(before) - latest)
        if wrong > 0:
            start = max((d for d in truth.disruptions() if d.counter <= after), key=lambda d: d.counter, default=None)
            found.append((truth.seconds(start, after) if start else -1, wrong))
    return found


def steps(here, disruptions, pause_s):
    """The host's formula moves with the marker, there and back."""
    def meanwhile():
        for number in range(disruptions):
            here("step", (-1) ** number * 5_000_000, (-1) ** number * 60)
            time.sleep(pause_s)
    return meanwhile


def suspend(guest, seconds):
    def meanwhile():
        time.sleep(0.5)
        guest.suspend(seconds)
        time.sleep(3)
    return meanwhile


def tell_intervals(report, lab, here, guest, name, meanwhile):
    """What two programs are told meanwhile: one that sees the marker itself, and one that does not."""
    guest.sh("chmod 600 /dev/vmclock0")
    guest.sh(f"guest intervals 60 {HZ} /run/vmclockd/clock /tmp/seeing 0 & a=$!")
    guest.sh(f"guest intervals 60 {HZ} /run/vmclockd/clock /tmp/blind 100 & b=$!")
    time.sleep(0.5)
    meanwhile()
    guest.sh("kill $a $b; wait $a $b", check=False)
    truth = Truth(lab.path("formulas"))
    for program in "seeing", "blind":
        records = list(RECORD.iter_unpack(here.received(guest.vm, f"/tmp/{program}")))
        good = sum(record[4] in GOOD for record in records)
        wrong = outside(truth, records)
        late = [seconds for seconds, _ in wrong if seconds < 0 or seconds > NOTICE_S]
        widths = sorted(record[3] - record[2] for record in records if record[4] in GOOD)
        report.check(good > len(records) / 4 and not (wrong if program == "seeing" else late),
                     f"{name}, {program}: {len(records)} readings, {good} called good, of which outside {len(wrong)}, "
                     f"the last {1e3 * max((s for s, _ in wrong), default=0):.1f} ms after its disruption; "
                     f"width {widths[len(widths) // 2]} ns, {widths[-1]} ns at most")


def interval_guest(report, lab, chrony, config, **page):
    """A guest whose host's formulas are logged."""
    here = lab.host("here")
    here("init", "status=1", "notification=0", *page.get("init", ()))
    guest = Guest(lab.vm("i0", page=here, ptp=True))
    boot(report, guest)
    here.calibrate(guest.vm)
    here("log", lab.path("formulas"))
    here("serve", 0)
    here("follow", 1000)
    if chrony:
        guest.vm.write("/etc/chrony.conf", chrony)
    else:
        guest.configure_chronyd()
    guest.start_chronyd()
    guest.start_vmclockd(config)
    return here, guest


def case_intervals(report, lab):
    """The true time is in the interval that applications are told, or it is not called good."""
    here, guest = interval_guest(report, lab, None, "# all defaults")
    wait_selected(report, guest, "intervals")
    tell_intervals(report, lab, here, guest, "page", steps(here, 8, 2))
    tell_intervals(report, lab, here, guest, "page, a suspend", suspend(guest, 5))


def case_intervals_ptp(report, lab):
    """The same by chronyd's word, with the marker alone and a PTP clock."""
    here, guest = interval_guest(report, lab, PHC_CONF, "chrony-conf = /etc/chrony.conf", init=["marker-only=1"])
    guest.wait_status("the PTP clock is trusted", lambda s: (s["ptp"] or {}).get("state") == "trusted", 90)
    tell_intervals(report, lab, here, guest, "marker and PTP clock", steps(here, 5, 5))
    tell_intervals(report, lab, here, guest, "marker and PTP clock, a suspend", suspend(guest, 5))


CASES = {"intervals": case_intervals, "intervals-ptp": case_intervals_ptp, "leap": case_leap, "source": case_source, "ptp": case_ptp}


if __name__ == "__main__":
    try:
        sys.exit(main(CASES, __doc__))
    except KeyboardInterrupt:
        sys.exit(130)
