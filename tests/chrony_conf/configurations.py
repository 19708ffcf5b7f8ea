# SPDX-License-Identifier: BSD-2-Clause
"""Configurations of chronyd, made by chance: right ones, unusual ones, and some with one mistake."""

import os
import random
import re


class Maker:
    """Configuration number `number`: a dict of file names and bytes; "@D" stands for where."""

    addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:DB8::2", "::1"]

    def __init__(self, seed, number):
        self.random = random.Random(f"{seed} {number}")
        self.files = {}
        self.newer = False  # something that not every version takes
        self.broken = self.random.random() < 0.3
        self.make()

    def chance(self, of):
        return self.random.random() < of

    def pick(self, *of):
        return self.random.choice(of)

    def spelled(self, word):
        return self.pick(word, word, word, word.upper(), word.capitalize())

    def blank(self):
        return self.pick(" ", " ", " ", "  ", "\t", " \v", "\f")

    def integer(self, low, high):
        number = self.random.randint(low, high)
        return self.pick(str(number), str(number), f"{number:+d}", f"0{number}" if number >= 0 else str(number))

    def real(self):
        return self.pick("0", "1e-5", "0.5", ".25", "3.", "1E-3", "+2", "-1", "0x1p-3", "inf", "nan")

    def options(self, makers, most):
        words = []
        for _ in range(self.random.randint(0, most)):
            name, value = self.random.choice(makers)
            words.append(self.spelled(name))
            if value:
                words.append(value())
                # A number ends where it can no longer be one.
                if re.fullmatch(r"[-+0-9]+", words[-1]) and self.chance(0.03):
                    words[-1] += self.pick("trust", "x", ".5", "e3", "prefer")
        return words

    def refclock(self):
        poll = lambda: self.integer(-6, 20)
        makers = [
            ("poll", poll), ("poll", poll), ("dpoll", poll), ("delay", self.real),
            ("offset", self.real), ("precision", self.real), ("maxdispersion", self.real),
            ("width", self.real), ("rate", lambda: self.integer(1, 4)),
            ("filter", lambda: self.integer(1, 64)), ("stratum", lambda: self.integer(0, 15)),
            ("minsamples", lambda: self.integer(0, 8)), ("maxsamples", lambda: self.integer(0, 8)),
            ("maxlockage", lambda: self.integer(1, 8)), ("lock", lambda: self.pick("SOC0", "GPS")),
            *((flag, None) for flag in ("noselect", "prefer", "trust", "require", "local", "pps")),
            ("prefer", None), ("trust", None),
        ]  # fmt: skip
        words = ["refclock", "SOCK", f"@D/{self.pick('x', 'y', 'z#', ';z')}{self.random.randint(0, 9)}.sock"]
        words += self.options(makers, 6)
        if self.chance(0.6):
            words += [self.spelled("refid"), self.pick("VMCL", "PPS1", "A#B;", '"xy"')]
        return self.line(words)

    def server(self):
        poll = lambda: self.pick(self.integer(-9, 26), self.integer(-7, 24), self.integer(3, 10))
        count = lambda: self.integer(1, 9)
        makers = [
            *((flag, None) for flag in (
                "noselect", "prefer", "trust", "require", "iburst", "burst", "offline",
                "auto_offline", "xleave", "copy")),
            ("minpoll", poll), ("maxpoll", poll), ("minpoll", poll), ("maxpoll", poll),
            ("key", count), ("certset", count), ("maxdelay", self.real), ("mindelay", self.real),
            ("maxdelayratio", self.real), ("maxdelaydevratio", self.real),
            ("maxdelayquant", self.real), ("asymmetry", lambda: "0.1"), ("offset", self.real),
            ("minsamples", count), ("maxsamples", count), ("filter", count), ("polltarget", count),
            ("port", lambda: self.integer(1, 999)), ("ntsport", count), ("presend", count),
            ("minstratum", count), ("version", lambda: self.integer(1, 4)),
            ("maxsources", lambda: self.integer(1, 8)), ("extfield", lambda: "F323"),
        ]  # fmt: skip
        name = self.random.choice(self.addresses)
        if self.chance(0.1):
            name = self.pick("name.invalid", "192.0.2", "192.0.2.01", "[::1]", "::ffff:192.0.2.9")
        kind = self.pick("server", "server", "server", "peer", "pool")
        return self.line([self.spelled(kind), name, *self.options(makers, 6)])

    def other(self):
        return self.line(
            self.pick(
                f"makestep {self.real()} {self.integer(-3, 9)}",
                f"makestep 1{self.pick('', '-3', 'e1')} {self.pick('3', '3x', '3.5', '-1')}",
                "makestep 1 3", "rtcsync", "manual", "local stratum 10", "LOCAL", "maxslewrate 1000",
                "maxchange 1000 1 2", "maxupdateskew 100", "minsources 2", "maxdistance 3",
                "leapsectz right/UTC", "logchange 0.5", "leapsecmode slew", "allow 192.0.2.0/24",
                "deny", "clientloglimit 100000", "noclientlog", "reselectdist 1e-4",
                "stratumweight 0.001", "combinelimit 3", "maxdrift 500", "corrtimeratio 3",
                "smoothtime 400 0.001", "dscp 46", "log", "authselectmode mix", "user root",
                "bindcmdaddress 127.0.0.1", "bindcmdaddress ::1", "generatecommandkey",
                "linux_hz 100", "hwclockfile /nowhere",
            ).split()
        )  # fmt: skip

    def comment(self):
        mark = self.pick("!", ";", "#", "%", " # ", "\t!")
        length = self.pick(0, 9, 9, 9, 2040)
        return mark + "x" * length + self.pick("", " refclock SOCK @D/no.sock", " \\")

    def socket(self):
        return self.line(["bindcmdaddress", self.pick("@D/chronyd.sock", "@D/other.sock", "/")])

    def line(self, words):
        text = self.blank().join(words)
        if self.chance(0.1):
            text = self.blank() + text
        return text + self.pick("", "", "", " ", "\r")

    def wrong(self):
        """What no chronyd starts with."""
        return self.pick(
            "directive", "refclock", "refclock SOCK", "refclock sock @D/x.sock", "refclock NEW @D/x",
            "refclock SOCK @D/x.sock trust # ours", "refclock SOCK @D/x.sock poll",
            "refclock SOCK @D/x.sock poll x", "refclock SOCK @D/x.sock poll 2.5",
            "refclock SOCK @D/x.sock refid TOOLONG", "refclock SOCK @D/x.sock stratum 16",
            "refclock SOCK @D/x.sock unknown", "refclock SOCK @D/x.sock:mode=0666",
            "refclock SOCK @D/x.sock filter 16,", "refclock SOCK @D/" + "x" * 120,
            "refclock SOCK @D/t.sock tai", "server", "peer 192.0.2.1 minpoll", "pool 192.0.2.1 #",
            "server 192.0.2.1 minpoll 4x", "server 192.0.2.1 iburst 3", "server 192.0.2.1 key 0",
            "server 192.0.2.1 extfield F320", "makestep", "makestep 1", "makestep 1 3 # as before",
            "makestep x 3", "makestep 1, 3", "maxchange 1 1", "maxchange a 1 1", "minsources",
            "minsources x", "bindcmdaddress", "bindcmdaddress name", "bindcmdaddress /a b",
            "include @D/missing", "include", "include @D/one @D/two", "confdir",
            "confdir " + " ".join(f"@D/{n}" for n in range(11)), "include @D/chrony.conf",
            "#" + "x" * 2046, "\ufeff# a byte order mark", "leapsectz", "leapsectz a b",
        )  # fmt: skip

    def unusual(self):
        """What newer versions take, or refuse."""
        self.newer = True
        return self.pick(
            "server 192.0.2.1 ipv4", "server 192.0.2.2 ipv6 minpoll 3", "server 192.0.2.3 maxunreach 9",
            "refclock SOCK @D/n.sock optional", "refclock SOCK @D/n.sock maxunreach 9",
            "refclock SOCK @D/n.sock poll 99", "server 192.0.2.1 minpoll 99 maxpoll -99",
            "server 192.0.2.1 version 9", "minstratum 2", "opencommands tracking", "refresh 60",
            "hwtstimeout 0.01", "ptpdomain 3", "minsources 1x", "server 192.0.2.1 extfield F324",
            "refclock SOCK @D/n.sock filter -1", "leapseclist /nowhere", "local activate 0.1",
        )  # fmt: skip

    def lines(self, kinds, most):
        return [self.random.choice(kinds)() for _ in range(self.random.randint(0, most))]

    def named(self, level):
        """A line that names files, which are made; at most so many levels below."""
        where = f"{level}{self.random.randint(0, 9)}"
        how = self.pick("include", "glob", "confdir", "sourcedir", "sourcedir", "nothing")
        kinds = [self.refclock, self.server, self.server, self.other, self.comment, self.comment]
        if how == "include":
            self.put(f"i{where}", self.lines(kinds, 4), level)
            return f"{self.spelled('include')} {self.pick('@D/', '@D//', '')}i{where}"
        if how == "glob":
            for name in ("2", "1", ".h", "10", "a b"):
                if self.chance(0.6):
                    self.put(f"g{where}{name}.x", self.lines(kinds, 2), level)
            return f"include @D/g{where}{self.pick('*', '?', '[12]*', '*.x', 'none*')}"
        if how == "nothing":
            return self.pick("include @D/none*", "confdir @D/none", "confdir @D/chrony.conf",
                "sourcedir", "sourcedir @D/none", "include /dev/null", "confdir @D/c*",
                "sourcedir " + " ".join(["@D/none"] * 11))  # fmt: skip
        directories = self.random.sample("abcd", self.random.randint(1, 3))
        sources = how == "sourcedir"
        for directory in directories:
            for _ in range(self.random.randint(0, 3)):
                name = self.pick("10", "20", "B", "a", ".hidden", "") + self.pick(
                    ".sources" if sources else ".conf", ".conf", ".sources", ".conf~"
                )
                if sources and name.endswith(".sources"):
                    # What is wrong there, chronyd passes over.
                    kinds = [self.server] * 5 + [self.refclock, self.other, self.comment, self.wrong]
                self.put(f"{where}{directory}/{name}", self.lines(kinds, 3), level)
        if self.chance(0.1):
            self.files[f"{where}{directories[0]}/dir{'.sources' if sources else '.conf'}/x"] = b""
        return how + "".join(
            f" {self.pick('@D/', '@D/', '')}{where}{directory}{self.pick('', '/')}" for directory in directories
        )

    def put(self, name, lines, level):
        if level < 3 and self.chance(0.25):
            lines.insert(self.random.randint(0, len(lines)), self.named(level + 1))
        end = self.pick("\n", "\n", "\n", "")
        self.files[name] = ("\n".join(lines) + end).encode()

    def chain(self, length):
        """Files that include one another."""
        for n in range(1, length):
            self.files[f"level{n}"] = f"include @D/level{n + 1}\nmanual\n".encode()
        self.files[f"level{length}"] = b"server 192.0.2.1 minpoll 5\n"
        return "include @D/level1"

    def make(self):
        kinds = [self.refclock, self.server, self.server, self.other, self.comment]
        lines = self.lines(kinds, 6)
        for _ in range(self.random.randint(0, 3)):
            lines.insert(self.random.randint(0, len(lines)), self.named(1))
        if self.chance(0.15):
            lines.append(self.socket())
        if self.chance(0.05):
            lines.append(self.chain(9))
        if self.chance(0.1):
            lines.insert(self.random.randint(0, len(lines)), self.unusual())
        if self.broken:
            wrong = self.chain(10) if self.chance(0.05) else self.wrong()
            lines.insert(self.random.randint(0, len(lines)), wrong)
        # Nothing of the machine's; and something to do, or chronyd ends.
        first = ["bindcmdaddress @D/chronyd.sock", "pidfile @D/pid", "port 0", "cmdport 0"]
        self.files["chrony.conf"] = ("\n".join([*first, *lines, "server 192.0.2.250"]) + "\n").encode()

    def write(self, directory):
        for name, data in self.files.items():
            path = os.path.join(directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data.replace(b"@D", directory.encode()))
