# SPDX-License-Identifier: BSD-2-Clause
"""A journal's native socket that only the daemon under test sees, by a mount namespace."""

import os
import socket
import subprocess
import threading
import unittest

from harness import eventually

# Where the journal is for the program that is run so, and stderr connected to it as systemd says.
INSIDE = """
mount -t tmpfs none /run && mkdir -p /run/systemd/journal || exit
mount --bind "$1" /run/systemd/journal || exit
export JOURNAL_STREAM="$2"
[ -n "$2" ] || JOURNAL_STREAM=$(stat -L -c %d:%i /dev/stderr)
shift 2
exec "$@"
"""


class PrivateJournal:
    """Entries as dicts, in order. `deaf`: it has the socket, and never reads."""

    def __init__(self, directory, deaf=False):
        probe = ["unshare", "--mount", "true"]
        if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
            raise unittest.SkipTest("a private journal needs root: no mount namespace here")
        self.directory = directory
        self.entries = []
        os.mkdir(directory)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(os.path.join(directory, "socket"))
        self._socket.settimeout(0.1)
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        if not deaf:
            self._thread.start()

    def wrapper(self, stream=""):
        """What to run the daemon by; `stream`: a JOURNAL_STREAM that is not stderr's."""
        inside = ["sh", "-c", INSIDE, "sh", self.directory, stream]
        return ["unshare", "--mount", "--propagation", "private", *inside]

    def _run(self):
        while not self._over:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            entry = {}
            for line in data.decode().splitlines():
                name, separator, value = line.partition("=")
                assert separator, f"not a field of one line: {line!r} in {data!r}"
                assert name not in entry, f"twice: {line!r} in {data!r}"
                entry[name] = value
            self.entries.append(entry)

    def found(self, event, **fields):
        """The entries of this VMCLOCK_EVENT with all of these fields; "VMCLOCK_" is added."""
        wanted = {f"VMCLOCK_{name}": value for name, value in fields.items()}
        return [
            entry
            for entry in list(self.entries)
            if entry.get("VMCLOCK_EVENT") == event and wanted.items() <= entry.items()
        ]

    def has(self, event, times=1, timeout=15, **fields):
        """Waits for the entry of that number, and returns it."""
        return eventually(
            lambda: len(self.found(event, **fields)) >= times
            and self.found(event, **fields)[times - 1],
            lambda: f"{times} times {event} {fields} in the journal",
            timeout,
        )

    def stop(self):
        self._over = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def evidence(self):
        return "-- the journal\n" + "\n".join(map(str, self.entries))
