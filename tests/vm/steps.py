# SPDX-License-Identifier: BSD-2-Clause
"""What cases are made of: what is done to a guest, and what is expected of it then. Whatever is
expected is reported, met or not."""

import time

from guest import SERVER_LINE, Guest, wait_for

# The guest's clock against the host's, both ways through a mailbox. Half of an
# exchange's round trip (0.2 us, 1 us where others use the processors too) cannot be
# told from an error, the same again for the calibration of the guest's counter.
CLOCK_LIMIT_NS = 2000
# How long to wait for a second reset, which must not come.
SETTLE_S = 3
# So long vmclockd waits for a new host's formula before it goes on without.
HOST_WAIT_S = 5
# A loop that spins takes all of the processor, one look per 10 ms a few percent of
# it even in emulation.
CPU_LIMIT_PERCENT = 30
# An answer that took longer could be from anywhere.
NARROW_NS = 100000


class Counts:
    """What vmclockd and chronyd have counted until now; two of them tell of the time between."""

    def __init__(self, guest):
        status = guest.status()
        self.disruptions, self.recoveries = status["disruptions"], status["recoveries"]
        self.run, self.resets = guest.runs, guest.resets()
        self.reset_lines = guest.log_lines("disruption marker", "chronyd confirmed the reset")

    def since(self, earlier):
        """Disruptions, recoveries and resets in the log; the last start again from 0 with vmclockd."""
        before = earlier.resets if earlier.run == self.run else 0
        return self.disruptions - earlier.disruptions, self.recoveries - earlier.recoveries, self.resets - before

    def new_lines(self, earlier):
        return self.reset_lines[len(earlier.reset_lines) if earlier.run == self.run else 0:]


def boot(report, guest):
    kernel, seconds = guest.vm.boot()
    report.step(f"       Linux {kernel}, chrony {guest.chronyd_version()}, booted in {seconds:.1f} s")


def migrate(report, lab, guest, name, **options):
    destination = lab.vm(name, incoming=True, **options)
    downtime = guest.migrate(destination)
    report.step(f"       live-migrated to {name}, downtime {downtime} ms")


def move_on(report, guest, here, there, destination):
    """To another host, which knows the marker it must give, but the guest's counter only once the
    guest runs there. Its calibration, and how many resets it takes."""
    here("freeze")
    downtime = guest.migrate(destination)
    time.sleep(1)  # the guest's counter stands still while the guest does
    destination.resume()
    resumed = time.monotonic()
    there("status", 4)  # an update, so that the guest is notified
    report.step(f"       live-migrated, downtime {downtime} ms and another second")
    calibration = there.serve_clock(guest.vm)
    # On a loaded machine the calibration may take longer than vmclockd waits: then it
    # has gone on without the formula, and recovers once more when that is there.
    resets = 2 if guest.log_lines("continuing without it") else 1
    report.check(resets == 1 or time.monotonic() - resumed > HOST_WAIT_S,
                 f"vmclockd waited for the new host's page, {time.monotonic() - resumed:.1f} s until now")
    return calibration, resets


def wait_selected(report, guest, what, timeout=40):
    def selected():
        status = guest.status()
        return status and status["chronyd"]["synchronised"] and guest.reference() == "VMCL"
    wait_for("chronyd selects VMCL", selected, timeout)
    sources, stats = guest.chronyc("sources")[0], guest.chronyc("sourcestats")[0]
    report.check(sources[:3] == ["#", "*", "VMCL"],
                 f"{what}: chronyd's reference is {sources[2]}, reach {sources[5]}, samples {stats[1]}, "
                 f"standard deviation {float(stats[7]) * 1e9:.0f} ns")


def expect_one_reset(report, guest, before, what, timeout=30):
    expect_resets(report, guest, before, 1, what, timeout)


def expect_resets(report, guest, before, count, what, timeout=30):
    try:
        guest.wait_status("a confirmed reset", lambda s: s["recoveries"] >= before.recoveries + count, timeout)
    except TimeoutError as error:
        report.check(False, f"{what}: {error}")
        report.quote([str(guest.status())] + guest.log_lines()[-10:])
        return
    time.sleep(SETTLE_S)
    after = Counts(guest)
    took = guest.status()["last_recovery"]
    report.check(after.since(before) == (1, count, count),
                 f"{what}: disruptions, recoveries, resets in the log +{'+'.join(map(str, after.since(before)))}; "
                 f"reset after {took['reset_ms']} ms, outcome {took['outcome']}")
    report.quote(after.new_lines(before))


def expect_forgotten(report, guest, since, what):
    """chronyd's own evidence: it has no sample from before the reset."""
    span = guest.ntp_span_s()
    limit = time.monotonic() - since + 1
    report.check(span is None or span <= limit, f"{what}: chronyd's NTP samples span {span} s, at most {limit:.1f} s")


def expect_samples_kept(report, guest, since, what):
    span = wait_for("NTP samples", guest.ntp_span_s, 20)
    report.check(span > time.monotonic() - since, f"{what}: chronyd still has NTP samples of the last {span} s")


def expect_resets_in_chronyd(report, guest, before, count, what):
    """chronyd 4.9 says so itself; older ones are silent."""
    if chronyd_reset_lines(guest) is not None:
        seen = chronyd_reset_lines(guest) - before
        if not report.check(seen == count, f"{what}: chronyd logged {seen} reset(s)"):
            report.quote(guest.chronyd_log()[-10:] + guest.log_lines()[-10:])


def chronyd_reset_lines(guest):
    if tuple(int(part) for part in guest.chronyd_version().split(".")[:2]) < (4, 9):
        return None
    return sum("Reset all sources" in line for line in guest.chronyd_log())


def expect_page_shown(report, guest):
    code, output = guest.sh("vmclockctl page", check=False)
    report.check(code == 0, f"vmclockctl page: status {code}")
    report.quote(output.split("\n\n")[-1].splitlines())


def expect_agreement(report, host, guest, what, timeout=20):
    """chronyd may need a few updates more."""
    end = time.monotonic() + timeout
    while True:
        seen = host.compare_clock(guest.vm)
        if abs(seen["median_ns"]) < CLOCK_LIMIT_NS or time.monotonic() > end:
            break
        time.sleep(1)
    report.check(abs(seen["median_ns"]) < CLOCK_LIMIT_NS,
                 f"{what}: guest's CLOCK_REALTIME less the host's: median {seen['median_ns']} ns, "
                 f"5 to 95 % {seen['p5_ns']} to {seen['p95_ns']} ns")


def migrate_to_new_formula(report, lab, guest, here, calibration, *flags):
    there = lab.host("there")
    there("init", "status=4", *flags, f"marker={here('show')['marker'] + 1}")
    before, logged = Counts(guest), chronyd_reset_lines(guest)
    destination = lab.vm("c1", page=there, incoming=True, autostart=False)
    new, resets = move_on(report, guest, here, there, destination)
    ticks = new["offset"] - calibration["offset"]
    report.step(f"       calibrated on the new host: the counter is off by {ticks / new['counter_mhz'] / 1e6:.3f} s; "
                "it serves its clock")
    samples = guest.status()["samples_sent"]
    expect_resets(report, guest, before, resets, "migration with a new formula")
    expect_resets_in_chronyd(report, guest, logged, resets, "migration with a new formula")
    wait_selected(report, guest, "migrated")
    more = guest.status()["samples_sent"] - samples
    report.check(more > 0, f"migrated: {more} samples more")
    expect_agreement(report, there, guest, "migrated")
    report.check(Counts(guest).since(before) == (1, resets, resets), f"migrated: still {resets} reset(s)")
    report.quote([str(guest.status())])


def foreign_counter(report, lab, counter_id):
    """A full page by the counter of other machines: its marker is good all the same."""
    here = lab.host("here")
    here("init", "status=1", f"counter-id={counter_id}")
    guest = Guest(lab.vm("f0", page=here))
    boot(report, guest)
    here.serve_clock(guest.vm)
    guest.start_ntp_server()
    guest.configure_chronyd(SERVER_LINE + "\nlocal stratum 10\n")
    guest.start_chronyd()
    guest.start_vmclockd()
    status = guest.status()
    report.check(status["mode"] == "marker-only" and status["samples_sent"] == 0,
                 f"mode {status['mode']}, state {status['state']}, {status['samples_sent']} samples sent")
    reasons = guest.log_lines("counter")
    report.check(reasons, "vmclockd says why")
    report.quote(reasons)
    expect_page_shown(report, guest)
    wait_for("NTP samples", lambda: (guest.ntp_span_s() or 0) > 6, 30)
    before, disrupted = Counts(guest), time.monotonic()
    here("marker")
    expect_one_reset(report, guest, before, "marker")
    expect_forgotten(report, guest, disrupted, "marker")


def start_with_clock(report, lab, name):
    """A guest with a full page, chronyd synchronised to it."""
    here = lab.host("here")
    here("init", "status=1", "notification=1")
    guest = Guest(lab.vm(name, page=here))
    boot(report, guest)
    here.serve_clock(guest.vm)
    guest.configure_chronyd()
    guest.start_chronyd()
    guest.start_vmclockd()
    wait_selected(report, guest, "start")
    expect_agreement(report, here, guest, "start")
    return here, guest


def undisturbed_ns(compare, guest):
    """Once no answer took so long that it could be from anywhere."""
    def narrow():
        seen = compare(guest.vm, 40)
        return seen if seen["bracket_ns"] < NARROW_NS else None
    return wait_for("an undisturbed comparison", narrow, 20)["median_ns"]


def error_ns(host, guest):
    """The guest's clock less the host's."""
    return undisturbed_ns(host.compare_clock, guest)


def expect_page(report, host, guest, what):
    """The guest's clock is the page's, which is no longer the host's."""
    error = error_ns(host, guest) - undisturbed_ns(host.compare_page, guest)
    report.check(abs(error) < CLOCK_LIMIT_NS, f"{what}: guest's CLOCK_REALTIME less the page's: {error} ns")
