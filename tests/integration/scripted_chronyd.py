# SPDX-License-Identifier: BSD-2-Clause
"""
A chronyd that does what a real one cannot be made to do.

It owns the two sockets a client of chronyd sees, records every datagram with the time the kernel
says it was sent, and answers each command as told: script(RESET_SOURCES, late(0.5), refuse(1))
gives the next two such requests those answers and all later ones the usual answer; always() sets
the usual answer.
"""

import heapq
import itertools
import math
import os
import random
import select
import selectors
import signal
import socket
import struct
import threading
import time

ONLINE = 1
BURST = 3
MODIFY_MINPOLL = 4
MODIFY_MAXPOLL = 5
N_SOURCES = 14
SOURCE_DATA = 15
DFREQ = 31
TRACKING = 33
SOURCESTATS = 34
MAKESTEP = 43
MODIFY_MAKESTEP = 50
SOURCE_NAME = 65
RESET_SOURCES = 66
SELECT_DATA = 69
DOFFSET2 = 71

LENGTHS = {
    ONLINE: 60,
    BURST: 68,
    MODIFY_MINPOLL: 44,
    MODIFY_MAXPOLL: 44,
    N_SOURCES: 32,
    SOURCE_DATA: 76,
    DFREQ: 28,
    TRACKING: 104,
    SOURCESTATS: 84,
    MAKESTEP: 28,
    MODIFY_MAKESTEP: 28,
    SOURCE_NAME: 284,
    RESET_SOURCES: 28,
    SELECT_DATA: 76,
    DOFFSET2: 28,
}

NAMES = {value: name for name, value in list(globals().items()) if isinstance(value, int)}

# Bytes of data a request of each kind carries after its header; what follows is padding.
DATA = {
    ONLINE: 40,
    BURST: 48,
    MODIFY_MINPOLL: 24,
    MODIFY_MAXPOLL: 24,
    SOURCE_DATA: 4,
    SOURCESTATS: 4,
    SELECT_DATA: 4,
    DFREQ: 4,
    DOFFSET2: 4,
    MODIFY_MAKESTEP: 8,
    SOURCE_NAME: 20,
}

REQUEST_HEADER = struct.Struct(">BBBBHHIII")
REPLY_HEADER = struct.Struct(">BBBBHHHHHHIII")
SAMPLE = struct.Struct("=qqdiiii")
SAMPLE_MAGIC = 0x534F434B

REPLY_NULL, REPLY_N_SOURCES, REPLY_SOURCE_DATA, REPLY_TRACKING, REPLY_SOURCE_NAME = 1, 2, 3, 5, 19
OK, FAILED, UNAUTHORISED, INVALID, NO_SUCH_SOURCE, BAD_VERSION, BAD_LENGTH = 0, 1, 2, 3, 4, 18, 19

VMCL = int.from_bytes(b"VMCL", "big")

SO_TIMESTAMPNS = 35  # not in Python's socket module


def float_encode(value):
    if value == 0:
        return 0
    mantissa, exponent = math.frexp(value)
    coefficient = round(mantissa * 2**24)
    if coefficient == 2**24:
        coefficient, exponent = 2**23, exponent + 1
    return ((exponent + 1) & 0x7F) << 25 | (coefficient & 0x1FFFFFF)


def float_decode(bits):
    exponent, coefficient = bits >> 25, bits & 0x1FFFFFF
    exponent -= (exponent & 0x40) << 1
    coefficient -= (coefficient & 0x1000000) << 1
    return coefficient * 2.0 ** (exponent - 25)


def address_encode(address):
    family = 0 if not address else 2 if ":" in address else 1
    packed = socket.inet_pton(socket.AF_INET6 if family == 2 else socket.AF_INET, address or "0.0.0.0")
    return packed.ljust(16, b"\0") + struct.pack(">HH", family, 0)


def address_decode(data):
    family = int.from_bytes(data[16:18], "big")
    if family == 1:
        return socket.inet_ntop(socket.AF_INET, data[:4])
    if family == 2:
        return socket.inet_ntop(socket.AF_INET6, data[:16])
    return None


class Request:
    def __init__(self, raw, sent, sender):
        self.raw = raw
        self.sent = sent
        self.sender = sender
        self.answered = None  # when, if it was
        header = REQUEST_HEADER.unpack(raw[:20].ljust(20, b"\0"))
        self.version, self.type, _, _, self.command, self.attempt, self.sequence, _, _ = header

    @property
    def data(self):
        """The command's arguments, decoded."""
        data = self.raw[20:]
        if self.command in (DFREQ, DOFFSET2):
            return float_decode(int.from_bytes(data[:4], "big"))
        if self.command == MODIFY_MAKESTEP:
            limit, threshold = struct.unpack(">iI", data[:8])
            return limit, float_decode(threshold)
        if self.command in (MODIFY_MINPOLL, MODIFY_MAXPOLL):
            return address_decode(data[:20]), struct.unpack(">i", data[20:24])[0]
        if self.command == BURST:
            good, total = struct.unpack(">ii", data[40:48])
            return address_decode(data[20:40]), good, total
        if self.command == SOURCE_NAME:
            return address_decode(data[:20])
        if self.command in (SOURCE_DATA, SOURCESTATS, SELECT_DATA):
            return int.from_bytes(data[:4], "big")
        return None

    def faults(self):
        """What chronyd's protocol says against this request, as a list."""
        found = []
        if self.raw[:4] != b"\x06\x01\0\0":
            found.append(f"starts {self.raw[:4].hex()}")
        if self.raw[12:20] != bytes(8):
            found.append(f"reserved fields are {self.raw[12:20].hex()}")
        if self.command not in LENGTHS:
            found.append(f"unknown command {self.command}")
        elif len(self.raw) != LENGTHS[self.command]:
            found.append(f"{len(self.raw)} bytes, not {LENGTHS[self.command]}")
        elif any(self.raw[20 + DATA.get(self.command, 0) :]):
            found.append("padding is not zero")
        return found

    def __repr__(self):
        name = NAMES.get(self.command, self.command)
        data = "" if self.data is None else f" {self.data}"
        return f"{self.sent:.6f} {name}{data} sequence {self.sequence} attempt {self.attempt}"


class Sample:
    def __init__(self, raw, sent):
        self.raw = raw
        self.sent = sent
        self.time, self.offset, self.pulse, self.leap, self.magic = 0.0, 0.0, None, None, None
        if len(raw) == SAMPLE.size:
            sec, usec, self.offset, self.pulse, self.leap, _, self.magic = SAMPLE.unpack(raw)
            self.time = sec + usec * 1e-6

    def __repr__(self):
        return f"{self.sent:.6f} sample of {self.time:.6f} offset {self.offset:.9f}"


# Answers: functions of the chronyd and a request.


def ok(chronyd, request):
    chronyd.reply(request)


def silent(chronyd, request):
    pass


def refuse(status):
    return lambda chronyd, request: chronyd.reply(request, status=status)


def late(seconds, answer=ok):
    return lambda chronyd, request: chronyd.later(seconds, lambda: answer(chronyd, request))


def while_stopped(pid, seconds, answer=ok):
    """The process that asked is stopped before the answer, and continued well after it."""

    def stop_and_answer(chronyd, request):
        os.kill(pid, signal.SIGSTOP)
        chronyd.later(seconds / 2, lambda: answer(chronyd, request))
        chronyd.later(seconds, lambda: os.kill(pid, signal.SIGCONT))

    return stop_and_answer


def doubled(chronyd, request):
    chronyd.reply(request)
    chronyd.reply(request)


def restarting(seconds):
    """Dies on the request and is back after so many seconds, knowing nothing of it."""

    def answer(chronyd, request):
        chronyd.stop_listening()
        chronyd.later(seconds, chronyd.listen)

    return answer


def _bytes(change):
    def answer(chronyd, request):
        chronyd.send(change(bytearray(chronyd.good_reply(request))), request.sender)

    return answer


def _at(offset, value):
    def change(reply):
        reply[offset : offset + len(value)] = value
        return reply

    return _bytes(change)


def _other_sequence(reply):
    reply[16:20] = ((int.from_bytes(reply[16:20], "big") + 1) & 0xFFFFFFFF).to_bytes(4, "big")
    return reply


GARBAGE = {
    "empty": _bytes(lambda reply: b""),
    "one byte": _bytes(lambda reply: reply[:1]),
    "short": _bytes(lambda reply: reply[:27]),
    "long": _bytes(lambda reply: reply + bytes(76)),
    "huge": _bytes(lambda reply: reply + bytes(60000)),
    "other sequence": _bytes(_other_sequence),
    "other version": _at(0, b"\x05"),
    "a request": _at(1, b"\x01"),
    "wrong command": _at(4, TRACKING.to_bytes(2, "big")),
    "random": _bytes(lambda reply: random.Random(1).randbytes(len(reply))),
}


def forged(from_name="forger.sock"):
    """The right answer, but from another socket; None: from one without a name."""

    def answer(chronyd, request):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as forger:
            if from_name:
                path = os.path.join(os.path.dirname(chronyd.command_path), from_name)
                forger.bind(path)
                os.chmod(path, 0o666)
            try:
                forger.sendto(chronyd.good_reply(request), request.sender)
                chronyd.forged += 1
            except PermissionError:  # the receiver is connected: the kernel did its work
                chronyd.forged += 1
            finally:
                if from_name:
                    os.unlink(path)

    return answer


class ScriptedChronyd:
    def __init__(self, sock_path, command_path, selects_after=4):
        self.sock_path = sock_path
        self.command_path = command_path
        self.requests = []
        self.samples = []
        self.replies = []  # (time, request, status)
        self.forged = 0
        self.listened = []  # times
        # The model: what TRACKING says. Selected after so many samples.
        self.refid = 0
        self.selects = VMCL
        self.selects_after = selects_after
        self.unselected = 0
        self.ntp_sources = []
        self.names = {}  # of a source by its address, where it has one
        self.address = None  # of the source of ntp_refid
        self.updated = None  # when its reference was; None: always just now
        self.update_interval = 0
        self.ntp_refid = 0  # what it selects of itself, without any sample of ours
        self.ntp_delay = 0.2

        self._lock = threading.RLock()
        self._scripts = {}
        self._usual = {}
        self._timers = []
        self._order = itertools.count()
        self._sockets = []
        self._frozen = False
        self._over = False
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._woken)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # What a test tells it.

    def start(self):
        self.listen()
        return self

    def listen(self):
        """As chronyd starts: whatever lies at its paths is removed and bound again."""
        with self._lock:
            self.stop_listening()
            for path, receive in (
                (self.command_path, self._request),
                (self.sock_path, self._sample),
            ):
                if os.path.lexists(path):
                    os.unlink(path)
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
                sock.bind(path)
                os.chmod(path, 0o666)
                sock.setblocking(False)
                self._sockets.append((sock, path, receive))
                if not self._frozen:
                    self._selector.register(sock, selectors.EVENT_READ, receive)
            self.forget()
            self.listened.append(time.time())
            self._wake()

    def stop_listening(self, unlink=False):
        """As chronyd dies: its files stay, unless it had the time to remove them."""
        with self._lock:
            for sock, path, _ in self._sockets:
                if not self._frozen:
                    self._selector.unregister(sock)
                sock.close()
                if unlink:
                    os.unlink(path)
            self._sockets = []

    def freeze(self):
        """As after SIGSTOP: the sockets are there, nobody reads."""
        with self._lock:
            self._frozen = True
            for sock, _, _ in self._sockets:
                self._selector.unregister(sock)

    def thaw(self, drop=False):
        """It goes on, with what came meanwhile or without."""
        with self._lock:
            self._frozen = False
            for sock, _, receive in self._sockets:
                while drop and select.select([sock], [], [], 0)[0]:
                    sock.recv(1)
                self._selector.register(sock, selectors.EVENT_READ, receive)
            self._wake()

    def script(self, command, *answers):
        with self._lock:
            self._scripts.setdefault(command, []).extend(answers)

    def always(self, command, answer):
        with self._lock:
            self._usual[command] = answer

    def stop(self):
        if self._over:
            return
        self._over = True
        self._wake()
        self._thread.join()
        self.stop_listening()
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()

    # What a test asks it.

    def sent(self, command, since=0.0):
        with self._lock:
            return [r for r in self.requests if r.command == command and r.sent >= since]

    def samples_since(self, since):
        with self._lock:
            return [s for s in self.samples if s.sent >= since]

    def evidence(self):
        with self._lock:
            lines = [repr(r) for r in self.requests[-60:]] + [repr(s) for s in self.samples[-5:]]
        return "-- scripted chronyd received\n" + "\n".join(lines)

    # What answers use.

    def good_reply(self, request, status=None):
        command, body, kind = request.command, b"", REPLY_NULL
        if status is None:
            status = OK
            if len(request.raw) < LENGTHS.get(command, 28):
                status = BAD_LENGTH
            elif command not in LENGTHS:
                status = INVALID
            elif command == BURST and not self.ntp_sources:
                status = NO_SUCH_SOURCE
            elif command in (MODIFY_MINPOLL, MODIFY_MAXPOLL):
                known = request.data[0] in self.ntp_sources
                status = OK if known else NO_SUCH_SOURCE
            elif command in (SOURCESTATS, SELECT_DATA):
                status = NO_SUCH_SOURCE
        if status == OK and command == TRACKING:
            kind, body = REPLY_TRACKING, self._tracking()
        elif status == OK and command == N_SOURCES:
            kind, body = REPLY_N_SOURCES, struct.pack(">I", len(self.ntp_sources))
        elif status == OK and command == SOURCE_DATA:
            if request.data < len(self.ntp_sources):
                kind, body = REPLY_SOURCE_DATA, self._source(self.ntp_sources[request.data])
            else:
                status = NO_SUCH_SOURCE
        elif status == OK and command == SOURCE_NAME:
            if request.data in self.ntp_sources:
                kind, body = REPLY_SOURCE_NAME, self.names.get(request.data, request.data).encode().ljust(256, b"\0")
            else:
                status = NO_SUCH_SOURCE
        sequence = request.sequence
        return REPLY_HEADER.pack(6, 2, 0, 0, command, kind, status, 0, 0, 0, sequence, 0, 0) + body

    def reply(self, request, status=None):
        raw = self.good_reply(request, status)
        status = int.from_bytes(raw[8:10], "big")
        if status == OK and request.command == RESET_SOURCES:
            self.forget()
        now = time.time()
        self.replies.append((now, request, status))
        if request.answered is None:
            request.answered = now
        self.send(raw, request.sender)

    def send(self, raw, receiver):
        with self._lock:
            for sock, path, _ in self._sockets:
                if path == self.command_path:
                    try:
                        sock.sendto(raw, receiver)
                    except OSError:
                        pass  # the client is gone or does not read: chronyd does not care either

    def later(self, seconds, action):
        with self._lock:
            heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), action))

    def forget(self):
        """All samples of all sources, as after a reset."""
        self.refid = 0
        self.unselected = 0
        if self.ntp_refid:
            self.later(self.ntp_delay, self.select_ntp)

    def select_ntp(self):
        self.refid = self.ntp_refid

    # The thread.

    def _tracking(self):
        unsynchronised = self.refid == 0
        now = int(self.updated or time.time())
        words = [0] * 8 + [float_encode(self.update_interval)]
        return struct.pack(
            ">I20sHH3I9I",
            self.refid,
            address_encode(self.address) if self.refid == self.ntp_refid else bytes(20),
            0 if unsynchronised else 1,
            3 if unsynchronised else 0,
            now >> 32,
            now & 0xFFFFFFFF,
            0,
            *words,
        )

    def _source(self, address):
        # poll, stratum, state, mode, flags, reachability, age, three Floats
        return address_encode(address) + struct.pack(">hHHHHHI3I", 6, 1, 0, 0, 0, 0o377, 0, 0, 0, 0)

    def _wake(self):
        self._wake_write.send(b".")

    def _woken(self, sock):
        sock.recv(4096)

    def _receive(self, sock):
        raw, control, _, sender = sock.recvmsg(65536, 1024)
        for level, kind, value in control:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                sec, nsec = struct.unpack("@ll", value[:16])
                return raw, sec + nsec * 1e-9, sender
        return raw, time.time(), sender

    def _request(self, sock):
        raw, sent, sender = self._receive(sock)
        request = Request(raw, sent, sender)
        self.requests.append(request)
        if len(raw) < 28:
            return
        scripted = self._scripts.get(request.command)
        answer = scripted.pop(0) if scripted else self._usual.get(request.command, ok)
        answer(self, request)

    def _sample(self, sock):
        raw, sent, _ = self._receive(sock)
        self.samples.append(Sample(raw, sent))
        self.unselected += 1
        if self.unselected >= self.selects_after:
            self.refid = self.selects

    def _run(self):
        while not self._over:
            with self._lock:
                now = time.monotonic()
                while self._timers and self._timers[0][0] <= now:
                    heapq.heappop(self._timers)[2]()
                wait = self._timers[0][0] - now if self._timers else None
            # A timer may be set by the test meanwhile: look again now and then.
            for key, _ in self._selector.select(0.05 if wait is None else min(wait, 0.05)):
                with self._lock:
                    try:
                        key.data(key.fileobj)
                    except (BlockingIOError, ValueError, OSError):
                        pass  # closed or emptied between select and here
