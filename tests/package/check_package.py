#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The Debian package in a real guest: Debian of that suite with its systemd, udev, AppArmor and
chrony, the kernel's vmclock driver, and what happens to a service in its life: installed, booted,
migrated, upgraded in the middle of a recovery, frozen, chrony upgraded and purged, a machine
without the device, a chronyd without root, upgraded from the first release, purged; or the short of
that, if CASE is "quick"; or, if it is "selinux", a migration under an enforcing SELinux, without
vmclockd's policy module and with it. Run tests/vm/setup.sh, build-deb and build-image first; `make
check-package` does, and `make check-selinux`. One line per step; the last line is "N passed, N
failed".

usage: check_package.py [--suite SUITE] [--screens FILE] [CASE...]"""

import argparse
import functools
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../vm"))

import lab as vmlab  # noqa: E402
from cases import run_cases  # noqa: E402
from guest import SERVER_CONF, SERVER_LINE, Guest, wait_for  # noqa: E402
from steps import (SETTLE_S, Counts, expect_agreement, expect_forgotten, expect_one_reset, expect_resets,  # noqa: E402
                   expect_samples_kept, migrate, move_on, wait_selected)

PACKAGE_DIR = os.environ.get("PACKAGE_DIR") or os.path.join(HERE, "../../build/package")
KERNEL_ARGUMENTS = "root=/dev/vda rw loglevel=0 systemd.show_status=0 audit=1 audit_backlog_limit=8192"
INSTALL = "apt-get install -y -qq -o Dpkg::Use-Pty=0"
UPGRADE_VMCLOCKD = "dpkg -i /repository/again/vmclockd.deb"
FIRST_RELEASE = "/repository/first/vmclockd.deb"
UPGRADE_FIRST_RELEASE = "dpkg --force-confold -i /repository/vmclockd_*.deb"
DROP_IN = "/etc/chrony/conf.d/vmclockd.conf"
SOCKET, FIRST_SOCKET = "/run/chrony/vmclock.sock", "/run/chrony.vmclock.sock"
# For a suite whose chrony has none; as chrony's own example, but for what root cannot do harm with.
RESTRICTED_UNIT = """
[Unit]
After=chrony.service
Conflicts=chrony.service

[Service]
Type=forking
PIDFile=/run/chrony/chronyd.pid
EnvironmentFile=-/etc/default/chrony
ExecStart=/usr/sbin/chronyd -U $DAEMON_OPTS
User=_chrony
LogsDirectory=chrony
RuntimeDirectory=chrony
RuntimeDirectoryMode=0750
RuntimeDirectoryPreserve=restart
StateDirectory=chrony
AmbientCapabilities=CAP_SYS_TIME
CapabilityBoundingSet=CAP_SYS_TIME
NoNewPrivileges=yes
"""


class Disk:
    """A disk of its own over the suite's image, or over another disk that is not in use."""

    def __init__(self, lab, name, backing):
        self.path = lab.path(name + ".qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", backing,
                        "-F", "qcow2" if backing.endswith("qcow2") else "raw", self.path], check=True)

    def arguments(self):
        # a flush of this disk need not outlive a crash of this machine
        return ["-drive", f"if=none,id=disk,format=qcow2,cache=unsafe,file={self.path}",
                "-device", "virtio-blk-pci,drive=disk"]


def options_of(disk, **options):
    return {"arguments": disk.arguments(), **options,
            "kernel_arguments": KERNEL_ARGUMENTS + " " + options.get("kernel_arguments", "")}


class Machine(Guest):
    """A guest with a service manager, which starts chronyd and vmclockd and keeps their logs."""

    def configure_ntp(self):
        self.vm.write("/etc/ntp-server.conf", SERVER_CONF)
        self.sh("systemctl enable --now lab-ntp.service")
        self.vm.write("/etc/chrony/sources.d/lab.sources", SERVER_LINE)
        self.sh("chronyc reload sources")

    def log_lines(self, *words):
        lines = self.sh("journalctl -b -q -u vmclockd -o cat").splitlines()
        return [line for line in lines if not words or any(word in line for word in words)]

    def show(self, unit, *properties):
        output = self.sh(f"systemctl show {unit} -p " + ",".join(properties))
        values = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
        return [values.get(name, "") for name in properties]

    def reboot(self, lab, name, disk, **options):
        self.sh("systemctl --no-block reboot")
        self.vm.process.wait(120)
        self.vm.quit()
        self.vm = lab.vm(name, **options_of(disk, **options))

    def boot(self, report):
        kernel, seconds = self.vm.boot()
        state = self.sh("systemctl is-system-running --wait", check=False, timeout=240)[1]
        report.step(f"       Linux {kernel}, {self.sh('. /etc/os-release; echo $PRETTY_NAME')}, booted in {seconds:.0f} s")
        failed = self.sh("systemctl --failed --no-legend --plain")
        report.check(state == "running" and not failed, f"the system is {state}; failed units: {failed or 'none'}")
        # in emulation udev is at it for half a minute longer
        self.sh("udevadm settle", timeout=150)
        cycles = self.sh("journalctl -b -q | grep -i 'ordering cycle'", check=False)[1]
        report.check(not cycles, f"no ordering cycle {cycles}")


def denials(guest):
    """What AppArmor or the system call filter forbade vmclockd, or chronyd with our socket."""
    lines = guest.sh("journalctl -b -q -o cat --grep 'DENIED|type=1326|SECCOMP'", check=False)[1].splitlines()
    return [line for line in lines if "vmclock" in line]


def expect_at_work(report, guest, what):
    wait_for("vmclockd", lambda: guest.show("vmclockd", "ActiveState")[0] != "activating", 20)
    enabled = guest.sh("systemctl is-enabled vmclockd", check=False)[1]
    active, pid, restarts = guest.show("vmclockd", "ActiveState", "MainPID", "NRestarts")
    report.check(enabled == "enabled" and active == "active", f"{what}: vmclockd is {enabled} and {active}")
    confined = guest.sh(f"cat /proc/{pid}/attr/current", check=False)[1].strip("\0\n")
    report.check(confined == "vmclockd (enforce)", f"{what}: AppArmor: {confined}")
    names = [source[2] for source in guest.chronyc("sources") or []]
    report.check("VMCL" in names, f"{what}: chronyd has the sources {' '.join(names)}")
    mode = guest.sh("stat -c '%a %U:%G' /dev/vmclock0")
    report.check(mode == "600 root:root", f"{what}: /dev/vmclock0 is {mode}")
    forbidden = denials(guest)
    report.check(not forbidden, f"{what}: nothing was forbidden to vmclockd")
    report.quote(forbidden)


def expect_node_modes(report, guest):
    """A later rule may open the device, but not on the kernels where that would let anybody forge
    the host's time."""
    later, release = "/etc/udev/rules.d/90-later.rules", "/proc/sys/kernel/osrelease"
    guest.vm.write(later, 'KERNEL=="vmclock0", MODE="0644"')
    guest.sh("udevadm control --reload")
    found = {}
    for kernel in ("6.1.0-50-amd64", "6.12.7", "6.13.0", "6.18.46-cloud-amd64", "6.19-rc1", "7.2.0", "7.3.4", "7.20.1"):
        guest.vm.write("/run/osrelease", kernel)
        guest.sh(f"mount --bind /run/osrelease {release}")
        guest.sh("udevadm trigger --settle --action=change /sys/class/misc/vmclock0", timeout=60)
        found[kernel] = guest.sh(f"umount {release}; stat -c %a /dev/vmclock0")
    guest.sh(f"rm {later} /run/osrelease; udevadm control --reload; "
             "udevadm trigger --settle --action=change /sys/class/misc/vmclock0", timeout=60)
    report.check(all((mode == "600") == kernel.startswith(("6.13", "6.18", "6.19", "7.2.")) for kernel, mode in found.items()),
                 "/dev/vmclock0, that a later rule opens, is " + ", ".join(f"{mode} on {kernel}" for kernel, mode in found.items()))


def screen(options, guest, title, command):
    if options.screens:
        with open(options.screens, "a") as f:
            f.write(f"==== {options.suite}: {title}\n# {command}\n{guest.sh(command, check=False)[1]}\n\n")


def expect_no_reset(report, guest, before, what):
    seen = Counts(guest).since(before)[2]
    report.check(seen == 0, f"{what}: {seen} resets")


def install(report, lab, options, disk, package="vmclockd"):
    guest = Machine(lab.vm("install", **options_of(disk)))
    guest.boot(report)
    report.check(guest.sh("test -e /dev/vmclock0", check=False)[0] == 0, "udev has loaded the driver")
    guest.sh("apt-get update -qq", timeout=120)
    report.quote(guest.sh(INSTALL + f" --install-recommends {package}", timeout=300).splitlines()[-12:])
    expect_at_work(report, guest, "installed")
    expect_node_modes(report, guest)
    screen(options, guest, "just installed", "systemctl status vmclockd chrony")
    return guest


def suite_disk(lab, options, name, suffix=""):
    return Disk(lab, name, os.path.join(os.path.abspath(PACKAGE_DIR), f"{options.suite}{suffix}.img"))


def case_life(report, lab, options):
    """QEMU's own device, nothing but the marker: the whole life of the package."""
    disk = suite_disk(lab, options, "life")
    guest = install(report, lab, options, disk)
    guest.configure_ntp()
    # it has the boot wait for chronyd
    guest.sh("systemctl enable chrony-wait.service")

    guest.reboot(lab, "l0", disk)
    guest.boot(report)
    expect_at_work(report, guest, "rebooted")
    boot_order(report, guest, "chrony-wait.service")
    wait_for("chronyd selects the NTP server", lambda: guest.reference() == "\x7f\0\0\x01", 60)
    report.check(guest.status()["mode"] == "marker-only", "rebooted: marker-only, chronyd follows its NTP server")

    wait_for("NTP samples", lambda: (guest.ntp_span_s() or 0) > SETTLE_S + 3, 30)
    before, moved = Counts(guest), time.monotonic()
    migrate(report, lab, guest, "l1", **options_of(disk))
    expect_one_reset(report, guest, before, "migration")
    expect_forgotten(report, guest, moved, "migration")
    screen(options, guest, "a migration with the marker alone", "journalctl -b -u vmclockd -o short-precise")
    screen(options, guest, "after the migration", "vmclockctl status")

    upgrade_in_recovery(report, lab, options, guest, disk)
    watchdog(report, guest, options)
    chrony_changes(report, lab, guest, disk)
    purge(report, guest)


def boot_order(report, guest, *later):
    """Readiness, by systemd's own clock, in microseconds since the boot; what waits for the time to be
    right does not hold vmclockd up. Nothing is ordered after vmclockd: no cycle goes through it."""
    units = ("chrony.service", "vmclockd.service", *later)
    times = {unit: int(guest.show(unit, "ActiveEnterTimestampMonotonic")[0] or 0) for unit in units}
    report.check(0 < times[units[0]] and sorted(times.values()) == list(times.values()),
                 "boot order: " + ", ".join(f"{unit} {us / 1e6:.3f} s" for unit, us in times.items()))
    before, = guest.show("vmclockd", "Before")
    report.check(before == "shutdown.target", f"vmclockd is ordered before {before}")


def upgrade_in_recovery(report, lab, options, guest, disk):
    wait_for("NTP samples", lambda: (guest.ntp_span_s() or 0) > SETTLE_S, 30)
    before, moved = Counts(guest), time.monotonic()
    pid = guest.show("chrony", "MainPID")[0]
    guest.sh(f"kill -STOP {pid}")
    migrate(report, lab, guest, "l2", **options_of(disk))
    guest.wait_status("a recovery that cannot go on", lambda s: s["state"] == "recovering")
    old = guest.show("vmclockd", "MainPID")[0]
    guest.sh(UPGRADE_VMCLOCKD, timeout=120)
    version = guest.sh("dpkg-query -W -f '${Version}' vmclockd")
    report.check(version.endswith("again") and guest.show("vmclockd", "MainPID")[0] != old and
                 Counts(guest).since(before)[2] == 0, f"upgraded to {version} in the middle of a recovery")
    guest.sh(f"kill -CONT {pid}")
    wait_for("a confirmed reset", lambda: Counts(guest).since(before)[2] > 0, 30)
    time.sleep(SETTLE_S)
    seen = Counts(guest).since(before)[2]
    report.check(seen == 1, f"upgraded in the middle of a recovery: {seen} reset(s), by the new one")
    expect_forgotten(report, guest, moved, "upgraded in the middle of a recovery")
    screen(options, guest, "upgraded in the middle of a recovery", "journalctl -b -u vmclockd -o short-precise -n 12")
    report.check(guest.show("chrony", "MainPID")[0] == pid, "upgraded: chronyd was not restarted")


def watchdog(report, guest, options):
    wait_for("NTP samples", lambda: (guest.ntp_span_s() or 0) > 3, 30)
    before, started = Counts(guest), time.monotonic()
    old, restarts = guest.show("vmclockd", "MainPID", "NRestarts")
    guest.sh(f"kill -STOP {old}")
    wait_for("the watchdog", lambda: guest.show("vmclockd", "NRestarts")[0] != restarts, 90, 1)
    wait_for("active", lambda: guest.show("vmclockd", "ActiveState")[0] == "active", 20)
    time.sleep(SETTLE_S)
    report.check(guest.show("vmclockd", "MainPID")[0] != old,
                 f"stopped, the watchdog bit, running again after {time.monotonic() - started - SETTLE_S:.0f} s")
    expect_no_reset(report, guest, before, "bitten by the watchdog")
    expect_samples_kept(report, guest, started, "bitten by the watchdog")
    screen(options, guest, "frozen, and bitten by the watchdog", "journalctl -b -u vmclockd -o short-precise -n 12")


def chrony_changes(report, lab, guest, disk):
    old, restarts = guest.show("vmclockd", "MainPID", "NRestarts")
    before = Counts(guest)
    guest.sh("dpkg -i /repository/again/chrony.deb", timeout=180)
    guest.wait_status("chronyd is reachable", lambda s: s["chronyd"]["reachable"])
    names = [source[2] for source in guest.chronyc("sources") or []]
    version = guest.sh("dpkg-query -W -f '${Version}' chrony")
    report.check("VMCL" in names, f"chrony upgraded to {version}: its sources are {' '.join(names)}")
    guest.sh("systemctl restart chrony")
    guest.wait_status("chronyd is reachable", lambda s: s["chronyd"]["reachable"])
    expect_no_reset(report, guest, before, "chrony upgraded and restarted")
    migrate(report, lab, guest, "l3", **options_of(disk))
    expect_one_reset(report, guest, before, "migration under the new chronyd")

    guest.sh("apt-get purge -y -qq chrony", timeout=180)
    guest.wait_status("chronyd is not reachable", lambda s: not s["chronyd"]["reachable"])
    report.check(guest.show("vmclockd", "MainPID", "NRestarts") == [old, restarts],
                 "chrony purged: vmclockd runs on, the same process")
    report.check(guest.sh("ls /etc/chrony/conf.d") == "vmclockd.conf", "chrony purged: our drop-in is there")
    guest.sh(INSTALL + " chrony", timeout=180)
    guest.wait_status("chronyd is reachable", lambda s: s["chronyd"]["reachable"])
    report.check("VMCL" in [source[2] for source in guest.chronyc("sources")], "chrony installed again: VMCL is there")
    report.check(guest.show("vmclockd", "MainPID", "NRestarts") == [old, restarts],
                 "chrony installed again: still the same vmclockd")


LEFT_OVER = ("find / -xdev \\( -path /proc -o -path /sys -o -path /repository -o -path '/usr/lib/modules' "
             "-o -path /var/lib/apt -o -path /var/cache/apt \\) -prune -o -iname '*vmclock*' -print; "
             "find /run /dev /tmp -iname '*vmclock*' ! -path '/dev/vmclock0' ! -path '/run/udev/*'; "
             "grep -rl vmclock /etc /var/lib/systemd /var/lib/dpkg/info /var/lib/dpkg/triggers; "
             "grep -A1 '^Package: vmclockd' /var/lib/dpkg/status; "
             "grep vmclockd /sys/kernel/security/apparmor/profiles")


def serve_clockbound(report, guest, what):
    """The segment of ClockBound's clients, in the directory that is theirs."""
    guest.sh("echo 'clockbound = /run/clockbound/shm0' >>/etc/vmclockd.conf; systemctl reload vmclockd")
    wait_for("the segment", lambda: guest.sh("test -s /run/clockbound/shm0", check=False)[0] == 0, 20)
    modes = guest.sh("stat -c '%n %a %U' /run/clockbound /run/clockbound/shm0").splitlines()
    report.check(modes == ["/run/clockbound 755 root", "/run/clockbound/shm0 644 root"], f"{what}: {', '.join(modes)}")


def purge(report, guest):
    guest.sh("apt-get purge -y -qq vmclockd", timeout=120)
    left = guest.sh(LEFT_OVER, check=False)[1] + guest.sh("find /run/clockbound 2>/dev/null", check=False)[1]
    report.check(not left, "vmclockd purged: nothing is left")
    report.quote(left.splitlines())
    sources = guest.chronyc("sources")
    report.check(sources is not None and "VMCL" not in [source[2] for source in sources],
                 "vmclockd purged: chronyd runs, and has no VMCL")
    state = guest.sh("systemctl is-system-running", check=False)[1]
    report.check(state == "running", f"vmclockd purged: the system is {state}")


def case_image(report, lab, options):
    """The package in an image that boots elsewhere: without the device; with a full page whose
    driver is loaded late."""
    disk = suite_disk(lab, options, "image")
    guest = Machine(lab.vm("build", **options_of(disk, vmclock=False)))
    guest.boot(report)
    guest.sh("apt-get update -qq", timeout=120)
    line_refused(report, guest)
    guest.sh(INSTALL + " --install-recommends vmclockd", timeout=300)
    absent(report, guest, "installed without a device")
    guest.reboot(lab, "elsewhere", disk, vmclock=False)
    guest.boot(report)
    absent(report, guest, "booted without a device")
    screen(options, guest, "booted without a device", "systemctl status vmclockd")

    here = lab.host("here")
    here("init", "status=1", "notification=1")
    guest.reboot(lab, "i0", disk, page=here, kernel_arguments="modprobe.blacklist=ptp_vmclock")
    guest.boot(report)
    absent(report, guest, "booted without the driver")
    here.serve_clock(guest.vm)
    guest.sh("modprobe ptp_vmclock")
    wait_for("vmclockd", lambda: guest.show("vmclockd", "ActiveState")[0] == "active", 20)
    expect_at_work(report, guest, "the driver was loaded")
    wait_selected(report, guest, "the driver was loaded", 60)
    expect_agreement(report, here, guest, "the driver was loaded")

    migrate_to_new_formula(report, lab, guest, here, disk)
    expect_at_work(report, guest, "migrated")
    screen(options, guest, "a migration with a full page", "journalctl -b -u vmclockd -o short-precise")
    screen(options, guest, "after the migration", "systemctl status vmclockd; chronyc sources; vmclockctl status")
    chronyd_without_root(report, guest)


def chronyd_without_root(report, guest):
    """Beside a full page. It takes the place of chronyd with root, whose directory goes, and is
    restarted, while the same vmclockd runs."""
    if guest.sh("systemctl cat chronyd-restricted", check=False)[0] != 0:
        guest.vm.write("/etc/systemd/system/chronyd-restricted.service", RESTRICTED_UNIT)
        guest.sh("systemctl daemon-reload")
    ours = guest.show("vmclockd", "MainPID", "NRestarts")
    guest.sh("systemctl stop chrony")
    gone = guest.sh("test -e /run/chrony", check=False)[0] != 0
    for action in ("start", "restart"):
        guest.sh(f"systemctl {action} chronyd-restricted", check=False)
        active, pid = guest.show("chronyd-restricted", "ActiveState", "MainPID")
        if not report.check(active == "active", f"chronyd without root, {action}: it is {active}"):
            report.quote(guest.sh("journalctl -b -q -u chronyd-restricted -o cat").splitlines()[-8:])
            return
        user = guest.sh(f"stat -c %U /proc/{pid}; cat /proc/{pid}/attr/current").strip("\0").splitlines()
        socket = guest.sh(f"stat -c '%U %a' {SOCKET} /run/chrony").splitlines()
        report.check(user == ["_chrony", "/usr/sbin/chronyd (enforce)"] and socket[0].startswith("_chrony "),
                     f"chronyd without root, {action}: {', '.join(user)}; the socket is {socket[0]} in {socket[1]}")
        wait_selected(report, guest, f"chronyd without root, {action}", 60)
    guest.sh("systemctl stop chronyd-restricted; systemctl start chrony")
    wait_selected(report, guest, "chronyd with root again", 60)
    report.check(gone and guest.show("vmclockd", "MainPID", "NRestarts") == ours,
                 "chronyd's directory was removed in between, vmclockd is the same process")
    forbidden = denials(guest)
    report.check(not forbidden, "chronyd without root: nothing was forbidden")
    report.quote(forbidden)


def upgrade_first_release(report, guest):
    """Nobody has changed its line: it moves, and chronyd is restarted for it."""
    report.check(guest.sh(f"test -S {FIRST_SOCKET}", check=False)[0] == 0, f"the first release: {FIRST_SOCKET} is there")
    guest.sh(UPGRADE_FIRST_RELEASE, timeout=120)
    line = guest.sh(f"grep ^refclock {DROP_IN}")
    there = guest.sh(f"ls {SOCKET} {FIRST_SOCKET} 2>/dev/null", check=False)[1].split()
    report.check(SOCKET in line and there == [SOCKET], f"upgraded: {line}; there is {' '.join(there)}")
    expect_at_work(report, guest, "upgraded")


def case_upgrade(report, lab, options):
    """From the first release, whose line somebody has changed, and which has settings of chronyd to
    give back: it may not, for chronyd stands still."""
    disk = suite_disk(lab, options, "upgrade")
    guest = install(report, lab, options, disk, FIRST_RELEASE)
    guest.configure_ntp()
    guest.sh(f"sed -i 's/filter 16/filter 12/' {DROP_IN}; systemctl restart chrony")
    wait_for("NTP samples", lambda: (guest.ntp_span_s() or 0) > SETTLE_S, 60)
    before = Counts(guest)
    migrate(report, lab, guest, "u1", **options_of(disk))
    expect_one_reset(report, guest, before, "migration")
    pid = guest.show("chrony", "MainPID")[0]
    guest.sh(f"kill -STOP {pid}")
    old = guest.show("vmclockd", "MainPID")[0]
    guest.sh(UPGRADE_FIRST_RELEASE, timeout=120)
    line = guest.sh(f"grep ^refclock {DROP_IN}")
    report.check(FIRST_SOCKET in line and guest.show("vmclockd", "MainPID")[0] != old and
                 guest.show("chrony", "MainPID")[0] == pid, f"upgraded: {line}; chronyd was not restarted")
    report.check(bool(guest.log_lines("will be put back at the next start")), "the first release gave back nothing")
    guest.sh(f"kill -CONT {pid}")
    wait_for("settings are restored", lambda: guest.log_lines("settings are restored"), 60, 1)
    report.check(True, "upgraded: what the first release had changed is put back")

    here = lab.host("here")
    here("init", "status=1", "notification=1")
    guest.reboot(lab, "u2", disk, page=here)
    guest.boot(report)
    here.serve_clock(guest.vm)
    expect_at_work(report, guest, "rebooted")
    wait_selected(report, guest, f"samples go to {FIRST_SOCKET}", 60)
    purge(report, guest)


def line_refused(report, guest):
    """Beside a chronyd that ends at our line, here because AppArmor lets it make no socket of ours."""
    local = "/etc/apparmor.d/local/usr.sbin.chronyd"
    guest.sh(INSTALL + " chrony", timeout=180)
    old = guest.show("chrony", "MainPID")[0]
    load = "apparmor_parser -r /etc/apparmor.d/usr.sbin.chronyd"
    guest.sh(f"echo 'deny {SOCKET} rw,' > {local}; {load}", timeout=60)
    said = guest.sh(INSTALL + " vmclockd", timeout=180)
    active, pid = guest.show("chrony", "ActiveState", "MainPID")
    names = guest.sh("cd /etc/chrony/conf.d; ls vmclockd*")
    report.check(active == "active" and pid != old and names == "vmclockd.conf.disabled",
                 f"chronyd does not start with our line: it is {active}, with {names}")
    report.quote([line for line in said.splitlines() if line.startswith("vmclockd: ")])
    guest.sh("apt-get purge -y -qq vmclockd", timeout=120)
    report.check(not guest.sh("ls /etc/chrony/conf.d/vmclockd*", check=False)[1].startswith("/"),
                 "purged: nothing of ours is left beside chronyd")
    guest.sh(f": > {local}; {load}", timeout=60)


def migrate_to_new_formula(report, lab, guest, here, disk):
    there = lab.host("there")
    there("init", "status=4", "notification=1", f"marker={here('show')['marker'] + 1}")
    before = Counts(guest)
    destination = lab.vm("there", incoming=True, autostart=False, **options_of(disk, page=there))
    _, resets = move_on(report, guest, here, there, destination)
    expect_resets(report, guest, before, resets, "migration with a new formula")
    wait_selected(report, guest, "migrated")
    expect_agreement(report, there, guest, "migrated")


def absent(report, guest, what):
    active, result, condition = guest.show("vmclockd", "ActiveState", "Result", "ConditionResult")
    failed = guest.sh("systemctl --failed --no-legend --plain")
    report.check((active, result, condition, failed) == ("inactive", "success", "no", ""),
                 f"{what}: vmclockd is {active}, result {result}, condition {condition}; failed units: {failed or 'none'}")


def case_quick(report, lab, options):
    """The short of it: installed, upgraded, booted with a full page, migrated, a chronyd without root,
    purged."""
    disk = suite_disk(lab, options, "quick")
    guest = install(report, lab, options, disk, FIRST_RELEASE)
    upgrade_first_release(report, guest)
    here = lab.host("here")
    here("init", "status=1", "notification=1")
    guest.reboot(lab, "q0", disk, page=here)
    guest.boot(report)
    here.serve_clock(guest.vm)
    expect_at_work(report, guest, "rebooted")
    boot_order(report, guest)
    wait_selected(report, guest, "rebooted", 60)
    expect_agreement(report, here, guest, "rebooted")
    migrate_to_new_formula(report, lab, guest, here, disk)
    expect_at_work(report, guest, "migrated")
    chronyd_without_root(report, guest)
    serve_clockbound(report, guest, "clockbound")
    purge(report, guest)


# For the policy that is in force to be another, with what "make install-selinux" and a package do
# after that: label what is there, and restart the service.
LOAD_MODULE = "cp -r /repository/with/. /etc/selinux/default && load_policy"
LABEL = "restorecon -RFvi /usr/sbin/vmclockd /dev/vmclock* /run/vmclockd /run/chrony"
DENIED_S = 15  # to see what a migration comes to whose reset cannot be confirmed


class ConfinedMachine(Machine):
    def chronyc(self, command):
        """chronyc_t may not write to this console, but into a pipe."""
        status, output = self.sh(f'lines=$(chronyc -c {command}); status=$?; echo "$lines"; (exit $status)', check=False)
        return [line.split(",") for line in output.splitlines()] if status == 0 and output else None


def avcs(guest):
    """What SELinux has denied, or would have, chronyd, vmclockd and the kernel that makes its node."""
    lines = guest.sh("journalctl -b -q -o cat --grep 'avc: +denied'", check=False)[1].splitlines()
    return [line for line in lines if line.startswith("audit:") and
            ("vmclock" in line or ":chronyd_t:" in line or 'comm="chronyd"' in line)]


def context(guest, unit):
    return guest.sh(f"ps -o label= -p {guest.show(unit, 'MainPID')[0]}")


def doctor_on_selinux(guest):
    checks = json.loads(guest.sh("vmclockctl doctor --json", check=False)[1])["checks"]
    return next((check for check in checks if check["check"] == "SELinux"), {})


def case_selinux(report, lab, options):
    """SELinux, enforcing: chronyd may not answer the service that has no domain of its own, and may
    answer vmclockd_t. A full page, so that samples flow as well."""
    disk = suite_disk(lab, options, "selinux", "-selinux")
    here = lab.host("here")
    here("init", "status=1", "notification=1")
    guest = ConfinedMachine(lab.vm("s0", **options_of(disk, page=here, kernel_arguments="security=selinux")))
    guest.boot(report)
    here.serve_clock(guest.vm)
    enforcing = guest.sh("cat /sys/fs/selinux/enforce")
    report.check(enforcing == "1", f"SELinux: enforcing {enforcing}, chronyd is {context(guest, 'chrony')}")

    here = without_module(report, lab, guest, here, disk)
    with_module(report, lab, guest, here, disk)


def moved(report, lab, guest, here, name, disk):
    there = lab.host(name)
    there("init", "status=4", "notification=1", f"marker={here('show')['marker'] + 1}")
    destination = lab.vm(name, incoming=True, autostart=False,
                         **options_of(disk, page=there, kernel_arguments="security=selinux"))
    return there, move_on(report, guest, here, there, destination)[1]


def without_module(report, lab, guest, here, disk):
    domain = context(guest, "vmclockd")
    report.check(":vmclockd_t:" not in domain, f"without the module: vmclockd is {domain}")
    before, asked = Counts(guest), len(avcs(guest))
    there, _ = moved(report, lab, guest, here, "s1", disk)
    time.sleep(DENIED_S)
    status, after, denied = guest.status(), Counts(guest), avcs(guest)[asked:]
    outcome = (status["last_recovery"] or {}).get("outcome")
    report.check(after.since(before)[1:] == (0, 0) and outcome == "unconfirmed" and denied,
                 f"without the module: migrated, {DENIED_S} s later {after.since(before)[2]} resets are confirmed, "
                 f"{len(denied)} replies were denied, outcome {outcome}")
    # Left to itself, with the samples that flow, it needs nobody's commands.
    wait_for("chronyd selects VMCL by itself", lambda: guest.reference() == "VMCL", 10)
    report.check(guest.reference() == "VMCL", "without the module: chronyd is synchronised by itself")
    report.quote(denied[:1] + guest.log_lines()[-5:])
    found = doctor_on_selinux(guest)
    report.check(found.get("result") == "problem" and "initrc_t" in found["message"] and "vmclockd-selinux" in found["mend"],
                 f"without the module: doctor: {found}")
    return there


def with_module(report, lab, guest, here, disk):
    guest.sh(LOAD_MODULE, timeout=120)
    report.quote(guest.sh(LABEL).splitlines())
    guest.sh("systemctl restart vmclockd")
    domain, device = context(guest, "vmclockd"), guest.sh("stat -c %C /dev/vmclock0")
    report.check(":vmclockd_t:" in domain and ":vmclock_device_t:" in device,
                 f"with the module: vmclockd is {domain}, its device {device}")
    restarted = time.monotonic()
    wait_selected(report, guest, "with the module", 60)
    report.step(f"       {time.monotonic() - restarted:.1f} s after the restart")
    found = doctor_on_selinux(guest)
    report.check(found.get("result") == "ok" and "vmclockd_t" in found["message"], f"with the module: doctor: {found}")

    before = Counts(guest)
    there, resets = moved(report, lab, guest, here, "s2", disk)
    expect_resets(report, guest, before, resets, "with the module: migration")
    wait_selected(report, guest, "with the module: migrated")
    took = guest.status()["last_recovery"]
    report.check(took["outcome"] == "synchronised", f"with the module: synchronised after {took['synchronised_ms']} ms")
    expect_agreement(report, there, guest, "with the module: migrated")

    # What else it does, and is done to it.
    before = Counts(guest)
    guest.sh("systemctl reload vmclockd; vmclockctl recover")
    guest.wait_status("a recovery that was asked for", lambda s: s["recoveries"] > before.recoveries)
    guest.sh("systemctl restart chrony")
    guest.wait_status("chronyd is reachable", lambda s: s["chronyd"]["reachable"])
    guest.sh("systemctl stop vmclockd; rmmod ptp_vmclock; modprobe ptp_vmclock")
    device = guest.sh("stat -c %C /dev/vmclock0")
    report.check(":vmclock_device_t:" in device, f"the driver is loaded again: its node is {device} at once")
    guest.sh("systemctl start vmclockd")
    guest.wait_status("chronyd is reachable", lambda s: s["chronyd"]["reachable"])
    serve_clockbound(report, guest, "with the module")
    labels = guest.sh("ls -Zd /run/vmclockd /run/vmclockd/* /run/chrony/vmclockd.* /run/clockbound /run/clockbound/*").splitlines()
    report.check(all(":vmclockd_runtime_t:" in line for line in labels), "its files are of vmclockd_runtime_t")
    report.quote([line for line in labels if ":vmclockd_runtime_t:" not in line])
    # the doctor's own question is from this shell, which has no domain that may be answered
    denied = [line for line in avcs(guest) if ":vmclockd_t:" in line or ":chronyd_t:" in line and ":initrc_t:" not in line]
    report.check(not denied, f"with the module: {len(denied)} denials of vmclockd_t or chronyd_t")
    report.quote(denied)


ALL = {"life": case_life, "image": case_image, "upgrade": case_upgrade}
CASES = {**ALL, "quick": case_quick, "selinux": case_selinux}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="bookworm")
    parser.add_argument("--screens", metavar="FILE", help="append what is seen of the service's life there")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    options = parser.parse_args()
    if not set(options.cases) <= set(CASES):
        parser.error("the cases are " + ", ".join(CASES))

    cases = {name: functools.wraps(case)(functools.partial(case, options=options)) for name, case in CASES.items()}
    return run_cases(cases, options.cases or ALL, lambda: vmlab.Lab(os.path.join(PACKAGE_DIR, "initrd")))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
