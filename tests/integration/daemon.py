# SPDX-License-Identifier: BSD-2-Clause
"""vmclockd as its users see it: a process, a configuration file, log lines, status --json."""

import itertools
import json
import os
import signal
import socket
import subprocess
import threading
import time

import harness
from harness import eventually

OK, DEGRADED, NO_DAEMON, USAGE, DEVICE, CONFIG = 0, 1, 2, 64, 69, 78


class NotifySocket:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self, path):
        self.path = path
        self.received = []  # (time, text)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self._socket.settimeout(0.1)
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._over:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            self.received.append((time.time(), data.decode(errors="replace")))

    def assignments(self, name):
        """(time, value) of each `name=value` line received."""
        found = []
        for when, text in list(self.received):
            for line in text.splitlines():
                key, _, value = line.partition("=")
                if key == name:
                    found.append((when, value))
        return found

    def stop(self):
        self._over = True
        self._thread.join()
        self._socket.close()

    def evidence(self):
        return "-- notified\n" + "\n".join(f"{when:.3f} {text!r}" for when, text in self.received)


class Daemon:
    """The keyword watch_interval="10ms" is the line `watch-interval = 10ms`."""

    numbers = itertools.count()

    def __init__(self, directory, device, sock, command_socket, **settings):
        self.directory = directory
        self.configuration = os.path.join(directory, f"vmclockd-{next(self.numbers)}.conf")
        self.settings = {
            "device": device,
            "sock": sock,
            "command_socket": command_socket,
            "state_file": os.path.join(directory, "state"),
            "clock_file": os.path.join(directory, "clock"),
            **settings,
        }
        self.configure()
        self.process = None
        self.lines = []  # (time, line)
        self._reader = None

    def configure(self, **settings):
        """Write the configuration; a setting of None is left out, a list is repeated."""
        self.settings.update(settings)
        lines = []
        for key, value in self.settings.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    lines.append(f"{key.replace('_', '-')} = {one}")
        self.write_configuration("\n".join(lines) + "\n")

    def write_configuration(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        with open(self.configuration, "wb") as file:
            file.write(data)

    def start(
        self, *options, environment=None, stderr=subprocess.PIPE, program="vmclockd", wrapper=()
    ):
        inherited = {
            key: value
            for key, value in os.environ.items()
            if key not in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM")
        }
        self.process = subprocess.Popen(
            [*wrapper, harness.program(program), "-c", self.configuration, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env={**inherited, **(environment or {})},
        )
        self._reader = None
        if self.process.stderr:
            stream = self.process.stderr
            self._reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
            self._reader.start()
        return self

    def _read(self, stream):
        for line in stream:
            self.lines.append((time.time(), line.decode(errors="replace").rstrip("\n")))
        stream.close()

    def pid(self):
        return self.process.pid

    def running(self):
        return self.process.poll() is None

    def send(self, number):
        self.process.send_signal(number)

    def ends(self, timeout=15):
        """Its exit status once it has ended of itself; a signal's number negated."""
        status = self.process.wait(timeout)
        if self._reader:
            self._reader.join(5)
        return status

    def stop(self, number=signal.SIGTERM, timeout=15):
        """Its exit status, or None if it does not run."""
        if not self.process:
            return None
        if not self.running():
            return self.ends()
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        try:
            return self.ends(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"signal {number} did not end vmclockd in {timeout} s") from None

    # The log.

    def log(self, since=0.0):
        return [line for when, line in list(self.lines) if when >= since]

    def said(self, *words, since=0.0):
        """The lines with all of these words, whatever their case."""
        return [
            line
            for line in self.log(since)
            if all(word.lower() in line.lower() for word in words)
        ]

    def says(self, *words, since=0.0, timeout=15):
        return eventually(
            lambda: self.said(*words, since=since), f"vmclockd says {words}", timeout=timeout
        )

    def confirmations(self, expected):
        """How many resets were confirmed; waits for the lines, which come after the status."""
        words = "chronyd confirmed the reset"
        eventually(lambda: len(self.said(words)) >= expected, f"{expected} times {words}")
        return len(self.said(words))

    # vmclockctl.

    def ctl(self, *words, timeout=20, environment=None):
        command = [harness.program("vmclockctl"), "-c", self.configuration, *words]
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip

    def status(self):
        """status --json as a dict; None while there is none."""
        done = self.ctl("status", "--json")
        if done.returncode not in (OK, DEGRADED):
            return None
        return json.loads(done.stdout)

    def reaches(self, timeout=15, **expected):
        """Wait until status has all of these values; returns that status."""
        last = {}

        def there():
            status = self.status()
            last["status"] = status
            if status and all(status.get(key) == value for key, value in expected.items()):
                return status
            return None

        return eventually(there, lambda: f"status {expected}: {last}", timeout, every=0.03)

    def evidence(self):
        lines = [f"{when:.6f} {line}" for when, line in self.lines]
        if len(lines) > 80:
            lines = lines[:40] + ["..."] + lines[-40:]
        return "-- vmclockd said\n" + "\n".join(lines)
