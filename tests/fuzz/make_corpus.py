#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Write corpus/NAME/: for each harness inputs that reach its corners, and those that once broke it.

The formats are those that the harnesses' first comments give.
"""

import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))

# --- pages ------------------------------------------------------------------------------------

PERIOD_1NS, SHIFT = 0x89705F4136B4A597, 29
NOW = 1790000000  # 2026-09-21
NEW_YEAR_2027 = 1798761600
COUNTER = 10 ** 15

PAGE = {  # offset, format
    "magic": (0x00, "I"), "size": (0x04, "I"), "version": (0x08, "H"), "counter_id": (0x0a, "B"),
    "time_type": (0x0b, "B"), "seq_count": (0x0c, "I"), "marker": (0x10, "Q"),
    "flags": (0x18, "Q"), "status": (0x22, "B"), "tai": (0x24, "h"), "leap": (0x26, "B"),
    "shift": (0x27, "B"), "counter": (0x28, "Q"), "period": (0x30, "Q"),
    "period_esterror": (0x38, "Q"), "period_maxerror": (0x40, "Q"), "sec": (0x48, "Q"),
    "frac": (0x50, "Q"), "time_esterror": (0x58, "Q"), "time_maxerror": (0x60, "Q"),
    "generation": (0x68, "Q"),
}
GOOD = {"magic": 0x4b4c4356, "size": 4096, "version": 1, "counter_id": 1, "time_type": 1,
        "seq_count": 2, "marker": 7, "flags": 1, "status": 2, "tai": 37, "shift": SHIFT,
        "counter": COUNTER, "period": PERIOD_1NS, "sec": NOW + 37}
ACCEPT_FREERUNNING, ARM, PERIOD_KNOWN = 1, 2, 4


def page(options=ACCEPT_FREERUNNING, later_ns=10 ** 8, width=40, system=None, nsec=5 * 10 ** 8,
         **fields):
    raw = bytearray(0x70)
    for name, value in {**GOOD, **fields}.items():
        at, form = PAGE[name]
        struct.pack_into("<" + form, raw, at, value)
    reading = struct.pack("<QIQI", (COUNTER + later_ns) % 2 ** 64, width,
                          (NOW if system is None else system) % 2 ** 64, nsec)
    return bytes([options]) + bytes(raw) + reading


def pages():
    second = 10 ** 9
    before_leap = {"sec": NEW_YEAR_2027 - 10, "time_type": 0, "system": NEW_YEAR_2027}
    yield "tai", page()
    yield "utc", page(time_type=0, sec=NOW)
    yield "period-known", page(ACCEPT_FREERUNNING | PERIOD_KNOWN)
    yield "period-absurd", page(ACCEPT_FREERUNNING | PERIOD_KNOWN, shift=SHIFT - 3)
    yield "arm", page(ARM, counter_id=0)
    yield "foreign-counter", page(counter_id=0)
    yield "marker-only", page(counter_id=0xff, status=0, sec=0, period=0, flags=0)
    yield "bounds", page(flags=0x79, period_esterror=1 << 40, period_maxerror=1 << 45,
                         time_esterror=100, time_maxerror=1000)
    yield "bounds-huge", page(flags=0x79, period_maxerror=2 ** 64 - 1, time_maxerror=2 ** 64 - 1)
    yield "freerunning", page(status=3)
    yield "freerunning-refused", page(0, status=3)
    yield "unreliable", page(status=4)
    yield "initialising", page(status=1)
    yield "status-invalid", page(status=9)
    for time_type in (2, 3, 4, 5):
        yield f"time-type-{time_type}", page(time_type=time_type)
    yield "no-tai-offset", page(flags=0)
    yield "bad-tai-offset", page(tai=-37)
    yield "period-0", page(period=0)
    yield "shift-64", page(shift=64)
    yield "shift-255", page(shift=255)
    yield "reference-ahead", page(later_ns=-5 * second)
    yield "reference-far-ahead", page(later_ns=-4000 * second)
    yield "counter-wraps", page(later_ns=2 ** 63)
    yield "seconds-overflow", page(sec=2 ** 63 + 5)
    yield "seconds-huge", page(sec=2 ** 63 - 1, time_type=0)
    yield "system-clock-extreme", page(system=-2 ** 63)
    yield "reading-backwards", page(width=2 ** 32 - 1)
    yield "reading-nanoseconds", page(nsec=10 ** 9)
    for kind, leap in (("positive", 1), ("negative", 2)):
        yield f"leap-{kind}-before", page(leap=leap, **before_leap)
        yield f"leap-{kind}-around", page(leap=leap, later_ns=10 * second, **before_leap)
        yield f"leap-{kind}-after", page(leap=leap, later_ns=20 * second, **before_leap)
    yield "leap-now", page(leap=3)
    yield "leap-has-been", page(leap=4)
    yield "leap-invalid", page(leap=6)
    yield "leap-beyond-all-calendars", page(leap=1, time_type=0, sec=2 ** 63 - 1)
    for size in (0x17, 0x18, 0x50, 0x58, 0x68, 2 ** 20 + 1):
        yield f"size-{size:x}", page(size=size, flags=0x179)
    yield "bad-magic", page(magic=1)
    yield "bad-version", page(version=2)
    yield "short", page()[:60]


# --- replies ----------------------------------------------------------------------------------

IDS = (33, 66, 31, 71, 43, 50, 3, 4, 5)


def reply(index, status=0, sequence=2, length=104, version=6, kind=2, number=None):
    raw = bytearray(length)
    struct.pack_into(">BBxxHxxH", raw, 0, version, kind, IDS[index] if number is None else number,
                     status)
    if length >= 20:
        struct.pack_into(">I", raw, 16, sequence)
    if length >= 104:
        raw[28:32] = b"VMCL"
        struct.pack_into(">IIIII", raw, 68, 0x0a800000, 0xf4000001, 0x7fffffff, 0x80000000, 1)
    return bytes(raw)


def conversation(index, number, *datagrams, sequence=1):
    return (struct.pack("<BdI", index, number, sequence)
            + b"".join(struct.pack("<H", len(d)) + d for d in datagrams))


def replies():
    for index, number in enumerate(IDS):
        yield f"ok-{number}", conversation(
            index, -1.5e-6, reply(index, length=104 if number == 33 else 28))
    for status in (1, 2, 3, 4, 18, 19, 65535):
        yield f"status-{status}", conversation(1, 0, reply(1, status, length=28))
    yield "doubled", conversation(0, 0, reply(0), reply(0))
    yield "late", conversation(0, 0, reply(0, sequence=1), reply(0))
    yield "of-another-command", conversation(0, 0, reply(0, number=66), reply(0))
    yield "short", conversation(0, 0, b"", reply(0, length=20), reply(0, length=28))
    yield "tracking-one-short", conversation(0, 0, reply(0)[:103])
    yield "tracking-failed", conversation(0, 0, reply(0, status=1, length=28))
    yield "foreign", conversation(0, 0, reply(0, version=5), reply(0, kind=1))
    yield "sequence-wraps", conversation(
        1, 0, reply(1, sequence=0, length=28), sequence=2 ** 32 - 1)
    for name, number in (("nan", float("nan")), ("inf", float("inf")), ("huge", -1e300),
                         ("tiny", 1e-300), ("minute", 5e-20), ("power-of-two", 1 - 1e-9)):
        yield f"number-{name}", conversation(2, number, reply(2, length=28))


# --- configurations ---------------------------------------------------------------------------

def configurations():
    whole = ("# all of them\n"
             "device = /dev/vmclock1\nsock = /run/chrony.vm.sock\n"
             "command-socket = /run/chrony/chronyd.sock\nstate-file = /run/vmclockd/state\n"
             "watch-interval = 20ms\nsample-interval = 0.25s\nreadings = 64\nstep = forward\n"
             "correct-frequency = no\ncorrect-at-start = no\nmax-step = 10m\nmax-rate = 500\n"
             "makestep = 0.1 -1\nburst = 2/4\nboost = 192.0.2.1 6 10\nboost = 2001:db8::1 -2 4\n"
             "accept-freerunning = no\nmax-error = 10us\nrefid = HOST\n")
    yield "empty", ""
    yield "whole", whole
    yield "crlf", whole.replace("\n", "\r\n")
    yield "no-last-newline", whole.rstrip("\n")
    yield "indented", "device = /dev/a\n  sock = /run/b\n\tstep = never # why\n"
    yield "none", "makestep = none\nburst = none\nmax-error = 0\n"
    yield "all-mistakes", ("device = relative\nsock = /" + "x" * 150 + "\nwatch-interval = 10\n"
                           "sample-interval = 1e3ms\nreadings = 65\nstep = maybe\n"
                           "correct-frequency = true\nmakestep = 1\nburst = 8/4\n"
                           "boost = example.org 1 2\nmax-error = -1s\nrefid = FIVER\n"
                           "max-rate = inf\n")
    yield "unknown", "wacth-interval = 10ms\n"
    yield "duplicate", "readings = 4\nreadings = 4\n"
    yield "section", "[vmclockd]\nreadings = 4\n"
    yield "no-value", "readings\nreadings =\n= 4\n"
    yield "colon", "readings: 4\nreadings:=4\n"
    yield "nul", "readings = 4\0\n"
    yield "long-line", "# " + "x" * 300 + "\nreadings = " + "4" * 600 + "\n"
    yield "byte-order-mark", "\ufeffreadings = 4\n"
    yield "byte-order-mark-comment", "\ufeff# one\nreadings = 4\n"
    yield "byte-order-mark-alone", "\ufeff"
    yield "utf-16", "readings = 4\n".encode("utf-16")
    for n in (197, 198, 199, 200, 512):
        yield f"line-of-{n}", "device = /" + "d" * (n - 10) + "\nreadings = 4\nbogus = 1\n"
        yield f"comment-of-{n}", "#" * n + "\nreadings = 4 # " + "x" * n + "\n"
        yield f"line-of-{n}-without-blanks", "device=/" + "d" * (n - 8) + "\nreadings = 4\n"
    yield "one-place", "metrics-file = /run/a.prom\nstate-file = /run//./a.prom\n"
    yield "one-socket", "sock = /run/a\ncommand-socket = /run/a\n"
    yield "place-beside", "metrics-file = /run/a.prom\nstate-file = /run/a.prom.new\n"
    yield "place-of-the-default", "sock = /run/vmclockd/state.lock\n"
    yield "path-ends", "device = /\nsock = //\nstate-file = /./\nmetrics-file = /.prom\n"
    yield "nearly", "statefile = /a\nREADINGS = 4\n" + "k" * 100 + " = 1\n = 1\n"
    yield "seventeen-servers", "".join(f"boost = 192.0.2.{i} 6 10\n" for i in range(17))
    yield "server-twice", "boost = ::1 6 10\nboost = 0::1 4 5\n"
    yield "refid-comment", "refid =;a\n"
    yield "refid-hash", "refid =#a\n"
    yield "number-without-end", "max-rate = 1.2.3\nwatch-interval = .ms\n"


# --- chrony's configurations ------------------------------------------------------------------

def chrony_configurations():
    yield "debian", ("confdir /etc/chrony/conf.d\npool 2.debian.pool.ntp.org iburst\n"
                     "sourcedir /run/chrony-dhcp\nkeyfile /etc/chrony/chrony.keys\n"
                     "driftfile /var/lib/chrony/chrony.drift\nmaxupdateskew 100.0\nrtcsync\n"
                     "makestep 1 3\nleapsectz right/UTC\n")
    yield "cloud", ("server 169.254.169.123 prefer iburst minpoll 4 maxpoll 4\n"
                    "server fd00:ec2::123 minpoll -2\nserver metadata.google.internal iburst\n")
    yield "names", "".join(f"pool {i}.example.org maxpoll {i - 8}\n" for i in range(40))
    yield "refclocks", ("refclock SOCK /run/chrony/vmclock.sock refid VMCL poll -2 filter 16\n"
                        "refclock PHC /dev/ptp0:nocrossts poll 0 tai offset -1e-3 stratum 2\n"
                        "refclock PHC /dev/ptp_kvm\nrefclock PPS\n")
    yield "makesteps", "makestep 0.1 -1\nmakestep nan 4\nmakestep 1e400 99999999999\n"
    yield "polls", "server a minpoll 24 maxpoll -7\nserver b minpoll 99\nserver c maxpoll -9\n"
    yield "comments", "! a\n% b\n; c\n# d\n   \nmakestep 1 3 # e\nMAKESTEP 2 2\n"
    yield "unknown", "makestep 2 2\nshortly-to-come 1\nmakestep 3 3\n"
    yield "itself", "include /proc/self/fd/*\nconfdir /proc/self/fd\nsourcedir /nowhere\n"
    yield "long", "server " + "x" * 3000 + "\n" + "bindcmdaddress /" + "y" * 600 + "\n"
    yield "nul", "makestep 1 3\0 4\nserver \0\n"
    yield "empty", ""


# --- state files ------------------------------------------------------------------------------

BOOT_ID = "6fd2a7f2-b48c-4aaa-9a3f-c1a6b4f0a7c1"


def states():
    good = (f"boot_id = {BOOT_ID}\nconfirmed_marker = 0x7\nput_back = no\npid = 1\nrunning = yes\n"
            "chronyd.refid = \nend = yes\n")
    yield "good", good
    yield "put-back", good.replace("put_back = no", "put_back = yes")
    yield "put-back-alone", f"boot_id = {BOOT_ID}\nput_back = yes\nend = yes\n"
    yield "another-marker", good.replace("0x7", "0xffffffffffffffff")
    yield "bad-marker", good.replace("0x7", "0x1ffffffffffffffff")
    yield "no-number", good.replace("0x7", "seven")
    yield "another-boot", good.replace("6fd2", "0000")
    yield "cut", good[:-12]
    yield "no-newline", good[:-1]
    yield "empty", ""
    yield "not-ours", "#!/bin/sh\n"
    yield "too-many", "a = b\n" * 65 + "end = yes\n"
    yield "long-key", "k" * 40 + " = v\nend = yes\n"
    yield "long-value", "k = " + "v" * 256 + "\nend = yes\n"
    yield "too-large", "k = " + "v" * 200 + "\n" + "a = b\n" * 800 + "end = yes\n"
    yield "nul", "boot_id = \0\nend = yes\n"
    yield "counts", good.replace("0x7", "0x6").replace("end =", "disruptions = 6\nrecoveries = 5\nend =")


# --- the tracker ------------------------------------------------------------------------------

ACTS = ("wait_ms wait_long wake marker formula migrate status poke poke_long whole marker_only "
        "busy lost chronyd status_code reply drop garbage reference sock_error request stop "
        "reconfigure crash frequency clock_source readings system_clock counter race").split()
ARGUMENTS = {"wait_ms": "B", "wait_long": "H", "formula": "hh", "migrate": "hh", "status": "B",
             "poke": "BB", "poke_long": "BQ", "busy": "B", "lost": "B", "chronyd": "B",
             "status_code": "B", "reference": "B", "sock_error": "B", "reconfigure": "BB",
             "frequency": "hh", "clock_source": "B", "readings": "B", "system_clock": "h",
             "counter": "i"}
ANSWERS, SLOW, FROZEN, SILENT, AWAY = range(5)
SAVED, SAVED_OTHER, SAVED_PUT_BACK, DRY_RUN, NO_PAGE, MARKER_ONLY = 1, 2, 4, 8, 16, 32
NO_RATE, NO_BURST, MAX_ERROR, FORWARD, NEVER = 2, 16, 32, 64, 128
SAMPLE_1S, SERVER, SERVERS_2, SERVERS_16 = 12, 16, 32, 48


def world(start, policy, intervals, *acts):
    """Acts are words with their arguments: "migrate 5000 60"."""
    raw = bytes([start, policy, intervals])
    for text in acts:
        name, *arguments = text.split()
        raw += bytes([ACTS.index(name)])
        raw += struct.pack("<" + ARGUMENTS.get(name, ""), *map(int, arguments))
    return raw


def worlds():
    good = ["wake"] * 6 + ["wait_long 150"] + ["wake"] * 4
    lost_at = {"reset": 0, "rate": 1, "offset": 2, "step": 3, "flush": 4}
    yield "steady", world(0, 0, 0, *good)
    yield "migrate", world(0, 0, 0, *good, "migrate 5000 6000", *good)
    yield "migrate-forward-only", world(0, FORWARD, 0, *good, "migrate -900 90", *good)
    yield "migrate-never-step", world(0, NEVER, 0, *good, "migrate 9000 90", *good)
    yield "migrate-with-counter", world(0, 0, 0, *good, "counter 100000", "migrate 0 0", *good)
    yield "migrate-no-rate", world(0, NO_RATE, SERVERS_2, *good, "migrate 3000 900", *good)
    yield "marker-only", world(MARKER_ONLY, 0, SERVERS_2, *good, "marker", *good, "wait_long 3100")
    yield "marker-only-16-servers", world(MARKER_ONLY, 0, SERVERS_16, *good, "marker", *good)
    yield "markers-in-a-row", world(0, 0, 0, *good, *["marker", "wait_ms 1"] * 20)
    yield "late-formula", world(0, 0, 0, *good, "marker", "wait_long 100", "formula 5000 60", *good)
    yield "very-late-formula", world(0, 0, 0, *good, "marker", "wait_long 100", *["wake"] * 60,
                                     "formula 5000 60", *good)
    yield "late-formula-no-rate", world(0, NO_RATE, 0, *good, "frequency 0 500", "marker",
                                        *["wake"] * 70)
    yield "host-corrects", world(0, 0, 0, *good, "formula 100 5", *good)
    yield "unreliable-for-a-while", world(0, 0, 0, *good, "status 4", *good, "status 2", *good)
    yield "unreliable-in-recovery", world(0, 0, 0, *good, "marker", "status 4", *["wake"] * 60)
    yield "monotonic", world(0, 0, SERVER, *good, "poke 11 2", *good, "marker", *good)
    yield "smeared", world(0, 0, 0, *good, "poke 11 3", *good)
    yield "bad-magic", world(0, 0, 0, *good, "poke 0 0", *good, "whole", *good)
    yield "max-error", world(0, MAX_ERROR, 0, "poke 24 80", "poke_long 96 5000", *good)
    yield "leap-announced", world(0, 0, 0, "poke 38 1", *good, "poke 38 3", *good)
    yield "busy", world(0, 0, 0, *good, "busy 1", *["wait_ms 40"] * 5, "busy 0", *good)
    yield "lost", world(0, 0, 0, *good, "lost 1", *["wait_long 50"] * 5, "lost 0", *good)
    yield "lost-with-a-rate-due", world(0, 0, 0, *good, "lost 1", "wait_long 150", "wake")
    yield "lost-and-another-marker", world(0, 0, 0, *good, "lost 1", "marker", "lost 0", *good)
    yield "no-page-at-start", world(NO_PAGE, 0, 0, "wake", "wake", "request", "whole", *good)
    for state, replies_before in lost_at.items():
        yield f"lost-reply-{state}", world(
            0, 0, 0, *good, f"chronyd {SLOW}", "drop", "migrate 5000 6000",
            *["reply"] * replies_before, "drop", "wait_ms 255", *["wake", "reply"] * 8)
    yield "silent", world(0, 0, 0, *good, f"chronyd {SILENT}", "migrate 50 60",
                          *["wait_ms 255"] * 9)
    yield "frozen", world(0, 0, 0, *good, f"chronyd {FROZEN}", "migrate 50 60",
                          *["wait_ms 255"] * 5, "marker", "wake", *["reply"] * 4)
    yield "away", world(0, 0, SERVER, *good, f"chronyd {AWAY}", "marker", *["wake"] * 9)
    yield "refused", world(0, 0, SERVER, *good, "status_code 2", "marker", *["wake"] * 9)
    yield "no-such-command", world(0, 0, 0, *good, "status_code 3", "migrate 50 60", *["wake"] * 9)
    yield "garbage", world(0, 0, 0, *good) + bytes([ACTS.index("garbage"), 3, 1, 2, 3])
    yield "never-synchronised", world(0, 0, 0, *good, "reference 1", "marker", "wait_long 6500",
                                      *["wake"] * 4)
    yield "chronyd-starts", world(0, 0, 0, "reference 1", *good, "wait_long 200", *good)
    yield "sock-comes-back", world(0, 0, 0, *good, "sock_error 111", *good, "sock_error 0", *good)
    yield "request", world(0, 0, 0, *good, "request", *good)
    yield "request-before-a-page", world(NO_PAGE, 0, SERVERS_2, "request", "crash")
    yield "stop", world(MARKER_ONLY, 0, SERVERS_2, *good, "marker", "wake", "stop")
    yield "stop-without-chronyd", world(MARKER_ONLY, 0, SERVER, *good, "marker", "wake",
                                        f"chronyd {AWAY}", "stop")
    yield "stop-then-marker", world(MARKER_ONLY, 0, SERVER, *good, f"chronyd {SLOW}", "stop",
                                    "marker", *["reply"] * 12)
    yield "stop-left-put-back-then-marker", world(
        SAVED | SAVED_PUT_BACK | MARKER_ONLY, 0, SERVERS_2, f"chronyd {SLOW}", "stop", "marker",
        *["reply", "wake"] * 8)
    yield "crash", world(MARKER_ONLY, 0, SERVER, *good, "marker", "crash", *good)
    yield "crash-in-recovery", world(0, 0, SERVER, *good, f"chronyd {SLOW}", "marker", "crash")
    yield "crash-and-marker-meanwhile", world(0, 0, 0, *good, "marker", "crash", *good)
    yield "saved-other-marker", world(SAVED | SAVED_OTHER, 0, 0, *good)
    yield "saved-put-back", world(SAVED | SAVED_PUT_BACK, 0, SERVERS_2, *good)
    yield "dry-run", world(DRY_RUN, 0, 0, *good, "marker", *good)
    yield "reload-without-servers", world(MARKER_ONLY, 0, SERVERS_2, *good, "marker", "wake",
                                          "reconfigure 0 0", *good)
    yield "reload-without-servers-then-recovery", world(
        MARKER_ONLY, 0, SERVERS_2, *good, "marker", "wake", "reconfigure 0 0", "marker", *good)
    yield "reload-in-recovery", world(0, 0, 0, *good, "marker", f"reconfigure {NEVER} 0", *good)
    yield "clock-set", world(0, 0, 0, *good, "system_clock 1500", *good, "request", *good)
    yield "beyond-max-step", world(0, 0, 0, *good, "system_clock 9000", "request", *good)
    yield "beyond-max-rate", world(0, 0, 0, *good, "frequency 900 0", "request", *good)
    yield "clock-source-lost", world(0, 0, 0, *good, "clock_source 0", "migrate 9 9", *good)
    for kind in range(1, 5):
        yield f"readings-{kind}", world(0, 0, 0, *good, f"readings {kind}", "request", *good)
    yield "race", world(0, 0, 0, *good, "race", *good)
    yield "long-wait", world(0, NO_BURST, SAMPLE_1S, *good, "wait_long 60000", *good)


# --- all --------------------------------------------------------------------------------------

def main():
    for name, make in (("page", pages), ("reply", replies), ("config", configurations),
                       ("chrony_conf", chrony_configurations), ("state", states),
                       ("tracker", worlds)):
        folder = os.path.join(HERE, "corpus", name)
        os.makedirs(folder, exist_ok=True)
        for title, content in make():
            with open(os.path.join(folder, title), "wb") as file:
                file.write(content if isinstance(content, bytes) else content.encode())


if __name__ == "__main__":
    main()
