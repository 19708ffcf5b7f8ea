# SPDX-License-Identifier: BSD-2-Clause
"""What the benchmarks share: a directory, a simulated host, a chronyd, the daemon."""

import os
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import threading

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(PROJECT, os.environ.get("BUILD") or "build")

SAMPLE = struct.Struct("=qqdiiii")
CHRONYD_HEADER, TRACKING_BYTES, TRACKING = 28, 104, 33


class Failed(Exception):
    """A program did not do what the measurement needs."""


def program(name):
    path = os.path.join(BUILD, name)
    if not os.access(path, os.X_OK):
        raise Failed(f"{path} is not built: make bench")
    return path


def read_text(path):
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def conditions():
    """One line: what the numbers were taken on."""
    cpu = {}
    for line in read_text("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        cpu.setdefault(key.strip(), value.strip())
    uname = os.uname()
    source = read_text("/sys/devices/system/clocksource/clocksource0/current_clocksource").strip()
    kind = "a virtual machine" if "hypervisor" in cpu.get("flags", "") else "real hardware"
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return (f"{os.cpu_count()} x {cpu.get('model name', uname.machine)}, {kind}, "
            f"{uname.sysname} {uname.release}, clock source {source or 'unknown'}, load {load}")


class Chronyd:
    """Both of chronyd's sockets: takes samples, says ok to every command, is synchronised."""

    def __init__(self, directory):
        self.samples = []
        self.sock = self._bind(os.path.join(directory, "vmclock.sock"))
        self.command = self._bind(os.path.join(directory, "chronyd.sock"))
        self.wake, self.wake_end = os.pipe()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    @staticmethod
    def _bind(path):
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.bind(path)
        return made

    def _serve(self):
        while True:
            ready, _, _ = select.select([self.sock, self.command, self.wake], [], [])
            if self.wake in ready:
                return
            if self.sock in ready:
                sec, usec, offset, _, _, _, _ = SAMPLE.unpack(self.sock.recv(SAMPLE.size + 1))
                self.samples.append((sec * 1000000 + usec, offset))
            if self.command in ready:
                self._answer(*self.command.recvfrom(512))

    def _answer(self, request, client):
        number, sequence = struct.unpack_from(">H2xI", request, 4)
        reply = bytearray(TRACKING_BYTES if number == TRACKING else CHRONYD_HEADER)
        struct.pack_into(">BBxxH", reply, 0, 6, 2, number)
        struct.pack_into(">I", reply, 16, sequence)
        if number == TRACKING:
            reply[28:32] = b"VMCL"
        try:
            self.command.sendto(reply, client)
        except OSError:
            pass  # the client is gone

    def close(self):
        os.write(self.wake_end, b"x")
        self.thread.join()
        self.sock.close()
        self.command.close()
        os.close(self.wake)
        os.close(self.wake_end)


class Lab:
    """A directory and what runs in it; everything is ended and removed at the end."""

    def __init__(self):
        # In memory, as /run and the device are; the paths of sockets have to be short.
        parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"
        self.directory = tempfile.mkdtemp(prefix="vmclock-bench.", dir=parent)
        self.processes = []
        self.chronyd = None
        self.log = os.path.join(self.directory, "log")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for process in reversed(self.processes):
            self.stop(process)
        if self.chronyd:
            self.chronyd.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def start(self, arguments, **options):
        process = subprocess.Popen(arguments, **options)
        self.processes.append(process)
        return process

    @staticmethod
    def stop(process):
        if process.poll() is None:
            process.terminate()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()

    def start_chronyd(self):
        self.chronyd = Chronyd(self.directory)

    def start_host(self, *options):
        """vmclocksim; returns when it serves."""
        host = self.start([program("vmclocksim"), "--stay", *options, self.path("page")],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if not host.stdout.readline().startswith(b"serving"):
            raise Failed("vmclocksim does not serve")
        return host

    def configuration(self, *lines):
        """Defaults, but for where things are, and the lines given."""
        name = self.path("conf")
        with open(name, "w", encoding="ascii") as file:
            print(f"device = {self.path('page')}", f"sock = {self.path('vmclock.sock')}",
                  f"command-socket = {self.path('chronyd.sock')}",
                  f"state-file = {self.path('state')}", f"clock-file = {self.path('clock')}", *lines, sep="\n", file=file)
        return name

    def start_daemon(self, *lines, how=(), **options):
        with open(self.log, "ab") as log:
            return self.start([*how, program("vmclockd"), "-c", self.configuration(*lines)],
                              stderr=log, **options)

    def complaint(self, what):
        """Failed, with the last of what was logged."""
        return Failed("\n  ".join([what, *read_text(self.log).splitlines()[-8:]]))

    def check(self, process):
        if process.poll() is not None:
            raise self.complaint(f"{process.args[0]} ended with status {process.returncode}")
