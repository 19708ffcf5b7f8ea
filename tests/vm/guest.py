# SPDX-License-Identifier: BSD-2-Clause
"""A guest with chronyd and vmclockd in it. Outlives the VM it runs in: a migration
moves it to another one."""

import json
import time

STATE_FILE = "/run/vmclockd/state"
REFCLOCK = "refclock SOCK /run/chrony/vmclock.sock refid VMCL poll -2 filter 16 trust prefer delay 1e-5 stratum 1"
CHRONY_CONF = f"""
{REFCLOCK}
makestep 1 3
bindcmdaddress /run/chrony/chronyd.sock
pidfile /run/chrony/chronyd.pid
cmdport 0
"""
# The time server of a guest that has nothing but the marker: a second chronyd, which
# serves the guest's own clock and never touches it.
SERVER_PORT = 1123
SERVER_CONF = f"""
local stratum 5
port {SERVER_PORT}
allow 127.0.0.1
bindcmdaddress /
pidfile /run/ntp-server.pid
cmdport 0
"""
# It keeps all its samples, so that their span says when chronyd last forgot them.
SERVER_LINE = f"server 127.0.0.1 port {SERVER_PORT} minpoll 0 maxpoll 0 minsamples 64 maxsamples 64"


def wait_for(what, condition, timeout, interval=0.1):
    end = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout} s: {what}")
        time.sleep(interval)


class Guest:
    def __init__(self, vm):
        self.vm = vm
        self.runs = 0
        self.log = None

    def sh(self, command, **options):
        return self.vm.sh(command, **options)

    def migrate(self, destination):
        downtime = self.vm.migrate(destination)
        self.vm = destination
        return downtime

    def suspend(self, seconds):
        """To memory; the host wakes it after that time."""
        self.vm.start("echo mem > /sys/power/state")
        wait_for("suspended", lambda: self.vm.qmp("query-status")["status"] == "suspended", 20)
        time.sleep(seconds)
        self.vm.qmp("system_wakeup")
        self.vm.ended(60)

    # ---- chronyd

    def start_ntp_server(self):
        self.vm.write("/etc/ntp-server.conf", SERVER_CONF)
        self.sh("chronyd -x -n -u root -f /etc/ntp-server.conf -l /run/ntp-server.log &")

    def configure_chronyd(self, more=""):
        self.vm.write("/etc/chrony.conf", CHRONY_CONF + more)

    def start_chronyd(self):
        self.sh("chronyd -n -f /etc/chrony.conf -l /run/chronyd.log & chronyd=$!")
        try:
            wait_for("chronyd answers", lambda: self.chronyc("activity") is not None, 20)
        except TimeoutError as error:
            raise RuntimeError(f"{error}; its log: {self.chronyd_log()}") from None

    def stop_chronyd(self):
        self.sh("kill $chronyd; wait $chronyd", check=False)

    def signal_chronyd(self, signal):
        self.sh(f"kill -{signal} $chronyd")

    def chronyc(self, command):
        """Its answer as a list of lists, None if there was none."""
        status, output = self.sh(f"chronyc -c {command}", check=False)
        return [line.split(",") for line in output.splitlines()] if status == 0 else None

    def reference(self):
        tracking = self.chronyc("tracking")
        return bytes.fromhex(tracking[0][0]).decode("latin-1").strip("\0") if tracking else None

    def ntp_span_s(self):
        """Age of the oldest NTP sample that chronyd still has; None if there is not enough."""
        for name, samples, _, span, *_ in self.chronyc("sourcestats") or []:
            if name == "127.0.0.1" and int(samples) > 1:
                return float(span)
        return None

    def chronyd_version(self):
        return self.sh("chronyd --version").split()[3]

    def chronyd_log(self):
        return self.sh("cat /run/chronyd.log").splitlines()

    # ---- vmclockd

    def start_vmclockd(self, config="# all defaults", environment=""):
        self.runs += 1
        self.log = f"/run/vmclockd.{self.runs}.log"
        self.vm.write("/etc/vmclockd.conf", config)
        self.sh(f"{environment} vmclockd --config /etc/vmclockd.conf 2> {self.log} & vmclockd=$!")
        pid = int(self.sh("echo $vmclockd"))
        # the state file of the run before may still be there
        wait_for("vmclockd's state", lambda: (self.status() or {}).get("pid") == pid, 20)

    def end_vmclockd(self, signal="TERM"):
        """Its exit status, 128 + the number of the signal that it died of."""
        return self.sh(f"kill -{signal} $vmclockd; wait $vmclockd", check=False)[0]

    def reload(self, config):
        before = len(self.log_lines("was read again"))
        self.vm.write("/etc/vmclockd.conf", config)
        self.sh("kill -HUP $vmclockd")
        wait_for("the configuration is read again", lambda: len(self.log_lines("was read again")) > before, 20)

    def status(self):
        code, output = self.sh("vmclockctl status --json", check=False)
        status = json.loads(output) if code in (0, 1) and output else None
        return None if status and status["error"] else status  # it is alive, and does not write

    def wait_status(self, what, condition, timeout=30):
        """The first status that the condition is true for."""
        def matching():
            status = self.status()
            return status if status and condition(status) else None
        return wait_for(what, matching, timeout)

    def log_lines(self, *words):
        """The lines of this run's log that have one of these words."""
        lines = self.sh(f"cat {self.log}").splitlines()
        return [line for line in lines if not words or any(word in line for word in words)]

    def resets(self):
        return len(self.log_lines("chronyd confirmed the reset"))

    def vmclockd_cpu_percent(self, seconds=3):
        """Of one processor, over that time of the guest's clock."""
        def reading():
            stat, uptime = self.sh("cat /proc/$vmclockd/stat /proc/uptime").splitlines()
            user, system = stat.rsplit(")", 1)[1].split()[11:13]
            return int(user) + int(system), float(uptime.split()[0])
        ticks, start = reading()
        time.sleep(seconds)
        more_ticks, end = reading()
        return (more_ticks - ticks) / (end - start)  # a tick is 10 ms

    def kept(self):
        """Private memory in KiB and open descriptors of vmclockd."""
        lines = self.sh("cat /proc/$vmclockd/smaps_rollup").splitlines()[1:]
        fields = dict(line.split(":") for line in lines)
        return int(fields["Private_Dirty"].split()[0]), len(self.sh("ls /proc/$vmclockd/fd").split())
