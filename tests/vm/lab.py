# SPDX-License-Identifier: BSD-2-Clause
"""Virtual machines for the tests: QEMU in software emulation, the guest's console
as a shell, live migration and snapshots, and the host's side of the vmclock page.

    with Lab() as lab:
        host = lab.host("a")             # a page that this host writes
        host("init", "status=1")
        vm = lab.vm("a", page=host)      # or lab.vm("a") for QEMU's own vmclock device
        vm.boot()
        print(vm.sh("guest page"))

Whatever was started ends with the `with` block, however that ends."""

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
VM_DIR = os.path.abspath(os.environ.get("VM_DIR") or os.path.join(HERE, "../../build/vm"))

# As in shared.h. The guest has 256 MiB, of which the part from 128 MiB on is a file
# that the host maps as well.
SHARED_PHYS_MIB = 128
SHARED_MIB = 16
FILE_OFFSET = 0x3000

# On the TSC alone, as a guest of a real hypervisor would be.
KERNEL_ARGUMENTS = "console=ttyS0 quiet panic=-1 clocksource=tsc tsc=reliable nokaslr random.trust_cpu=on"


def build_initramfs(chrony, programs=None, output=None):
    """With the chrony of a suite (see fetch-chrony) or of a directory; / is the installed one."""
    chrony = os.path.join(VM_DIR, "chrony", chrony)
    if not os.path.exists(chrony):
        subprocess.run([os.path.join(HERE, "fetch-chrony"), os.path.basename(chrony)], check=True)
    command = [os.path.join(HERE, "build-initramfs"), "-c", chrony]
    command += ["-d", programs] if programs else []
    command += ["-o", output] if output else []
    subprocess.run(command, check=True)


def _die_with_parent():
    """In the child: even if this script is killed outright, no VM stays behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Lab:
    def __init__(self, initrd=None):
        self.initrd = initrd or os.path.join(VM_DIR, "initrd")
        self._processes = []

    def __enter__(self):
        # Not in VM_DIR: a socket's path must be short, and the shared page in memory.
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.dir = tempfile.mkdtemp(prefix="vmclockd-vm-", dir=base)
        self._sigterm = signal.signal(signal.SIGTERM, lambda *_: exit(128 + signal.SIGTERM))
        return self

    def __exit__(self, *_):
        for process in self._processes:
            process.kill()
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
        signal.signal(signal.SIGTERM, self._sigterm)

    def path(self, name):
        return os.path.join(self.dir, name)

    def popen(self, command, **options):
        process = subprocess.Popen(command, preexec_fn=_die_with_parent, **options)
        self._processes.append(process)
        return process

    def host(self, name):
        return Host(self, name)

    def vm(self, name, **options):
        return VM(self, name, **options)


class Host:
    """A host's vmclock page, and vmhost, the one program that writes it. host(COMMAND...)
    gives its answer as a dictionary; see vmhost.c for the commands."""

    def __init__(self, lab, name, *arguments):
        self.memory = lab.path(name + ".mem")
        with open(self.memory, "wb") as f:
            f.truncate(SHARED_MIB << 20)
        self._process = lab.popen([os.path.join(VM_DIR, "bin/vmhost"), self.memory, *arguments],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def __call__(self, *words):
        self._process.stdin.write(" ".join(str(word) for word in words) + "\n")
        answer = self._process.stdout.readline()
        if not answer or "error:" in answer:
            raise RuntimeError("vmhost: " + (answer.strip() or "it has ended"))
        pairs = (word.split("=", 1) for word in answer.split())
        return {name: float(value) if "." in value else int(value) for name, value in pairs}

    def calibrate(self, vm, count=500):
        """Again while others use the processors: the page's bounds, and what the guest's
        clock can be held against, are no better than the shortest round trip."""
        with vm.mailbox(self):
            end = time.monotonic() + 20
            while (found := self("calibrate", count))["round_trip_ns"] > 2000 and time.monotonic() < end:
                pass
            return found

    def serve_clock(self, vm):
        """The host's own clock in the page from here on; gives the calibration that it is by."""
        calibration = self.calibrate(vm)
        self("serve", 100)
        return calibration

    def compare_clock(self, vm, count=400):
        with vm.mailbox(self):
            return self("compare-clock", count)

    def compare_page(self, vm, count=400):
        with vm.mailbox(self):
            return self("compare-page", count)

    def received(self, vm, path):
        """A file of the guest, as bytes."""
        size = int(vm.sh("guest send " + path))
        with open(self.memory, "rb") as f:
            f.seek(FILE_OFFSET)
            return f.read(size)

    def end(self):
        self._process.stdin.close()
        self._process.wait()


class VM:
    """One QEMU. With a page (a Host) the guest's vmclock device is that page; without,
    it is QEMU's own, or none if not `vmclock`. With `ptp` the truth of a page that shows its marker only is a
    second device, whose PTP clock is /dev/ptp0. An `incoming` VM waits for a migration and stays stopped until
    resume(), unless `autostart`."""

    def __init__(self, lab, name, page=None, incoming=False, autostart=True, snapshots=False, cpus=1, arguments=(),
                 kernel_arguments="", vmclock=True, ptp=False):
        self.lab, self.name = lab, name
        self._table = "vmclock-ptp" if ptp else "vmclock"
        self._qmp_path, self._console_path = lab.path(name + ".qmp"), lab.path(name + ".con")
        self.notify_path = lab.path(name + ".ntf")
        self._stderr = lab.path(name + ".err")
        self.buffer = b""
        self.started = time.monotonic()
        with open(self._stderr, "wb") as err:
            self.process = lab.popen(self._command(page, incoming, autostart, snapshots, cpus, arguments,
                                                   kernel_arguments, vmclock),
                                     stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        self._qmp_socket = self._connect(self._qmp_path)
        self._qmp = self._qmp_socket.makefile("rwb")
        self._qmp_read()
        self.qmp("qmp_capabilities")
        self._console = self._connect(self._console_path)
        if page:
            page("notify", self.notify_path)
            # the page is the host's, not part of the guest that migrates
            self.qmp("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])

    def _command(self, page, incoming, autostart, snapshots, cpus, arguments, kernel_arguments, vmclock):
        command = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "256M",
                   "-smp", str(cpus), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                   "-chardev", f"socket,id=console,path={self._console_path},server=on,wait=off",
                   "-serial", "chardev:console", "-qmp", f"unix:{self._qmp_path},server=on,wait=off",
                   "-kernel", os.path.join(VM_DIR, "kernel/vmlinuz"), "-initrd", self.lab.initrd]
        kernel = [KERNEL_ARGUMENTS, kernel_arguments]
        if page:
            above = 256 - SHARED_PHYS_MIB - SHARED_MIB
            command += ["-object", f"memory-backend-ram,id=low,size={SHARED_PHYS_MIB}M",
                        "-object", f"memory-backend-file,id=page,size={SHARED_MIB}M,mem-path={page.memory},share=on",
                        "-object", f"memory-backend-ram,id=high,size={above}M",
                        "-numa", f"node,nodeid=0,cpus=0-{cpus - 1},memdev=low", "-numa", "node,nodeid=1,memdev=page",
                        "-numa", "node,nodeid=2,memdev=high",
                        "-acpitable", "file=" + os.path.join(VM_DIR, f"bin/{self._table}.aml"),
                        "-chardev", f"socket,id=notify,path={self.notify_path},server=on,wait=off",
                        "-device", "isa-serial,chardev=notify,index=3,iobase=0x2e8,irq=10"]
            # the spare UART belongs to the event device: the serial driver must not touch it
            kernel += [f"memmap={SHARED_MIB}M${SHARED_PHYS_MIB << 20:#x}", "8250.nr_uarts=1", "pnpacpi=off"]
        elif vmclock:
            command += ["-device", "vmclock"]
        if snapshots:
            image = self.lab.path(self.name + ".qcow2")
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1G"], check=True)
            command += ["-drive", f"if=none,id=snapshots,format=qcow2,file={image}"]
        if incoming:
            command += ["-incoming", "defer"]
        if not autostart:
            command += ["-S"]
        return command + ["-append", " ".join(kernel)] + list(arguments)

    def _connect(self, path):
        end = time.monotonic() + 20
        while True:
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(path)
                return s
            except OSError:
                s.close()
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"QEMU {self.name} does not run: {self._errors()}")
                time.sleep(0.02)

    def _errors(self):
        with open(self._stderr, errors="replace") as f:
            return f.read()

    def _qmp_read(self):
        line = self._qmp.readline()
        if not line:
            raise RuntimeError(f"QEMU {self.name} has ended: {self._errors()}")
        return json.loads(line)

    def qmp(self, command, **arguments):
        request = {"execute": command, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}}
        self._qmp.write(json.dumps(request).encode() + b"\n")
        self._qmp.flush()
        while True:
            reply = self._qmp_read()
            if "error" in reply:
                raise RuntimeError(f"{command}: {reply['error']['desc']}")
            if "return" in reply:
                return reply["return"]

    def hmp(self, line):
        output = self.qmp("human-monitor-command", command_line=line).strip()
        if output:
            raise RuntimeError(f"{line}: {output}")

    def expect(self, pattern, timeout):
        pattern = re.compile(pattern)
        end = time.monotonic() + timeout
        while True:
            match = pattern.search(self.buffer)
            if match:
                before, self.buffer = self.buffer[:match.start()], self.buffer[match.end():]
                return before.decode(errors="replace").replace("\r", ""), match
            self._console.settimeout(max(0.001, end - time.monotonic()))
            try:
                data = self._console.recv(65536)
            except socket.timeout:
                tail = self.buffer[-2000:].decode(errors="replace")
                raise TimeoutError(f"guest {self.name}: no {pattern.pattern} in {timeout} s, but: {tail}") from None
            if not data:
                raise RuntimeError(f"QEMU {self.name} has ended: {self._errors()}")
            self.buffer += data

    def boot(self, timeout=180):
        """Waits for the guest's shell; gives the kernel's version and the seconds it took."""
        match = self.expect(rb"GUEST-UP (\S+) \S+\r?\n", timeout)[1]
        return match.group(1).decode(), time.monotonic() - self.started

    def sh(self, command, timeout=60, check=True):
        """Runs one line in the guest's shell and gives its output. Without `check`, its
        status comes with it."""
        self.start(command)
        status, output = self.ended(timeout)
        if not check:
            return status, output
        if status:
            raise RuntimeError(f"guest {self.name}: {command}: status {status}: {output}")
        return output

    def start(self, command):
        self._console.sendall(command.encode() + b"\n")

    def ended(self, timeout):
        """The status and the output of what was started."""
        output, match = self.expect(rb"GUEST-STATUS (\d+)\r?\n", timeout)
        return int(match.group(1)), output.strip("\n")

    def write(self, path, text):
        """A small file in the guest."""
        lines = " ".join("'" + line.replace("'", "'\\''") + "'" for line in text.strip().splitlines())
        self.sh(f"printf '%s\\n' {lines} > {path}")

    @contextlib.contextmanager
    def mailbox(self, host):
        """The guest answers the host's questions; it spins meanwhile, at lowest priority."""
        self.sh("guest mailbox & mailbox=$!")
        try:
            yield
        finally:
            host("end-mailbox")
            self.sh("wait $mailbox")

    def migrate(self, destination, timeout=60):
        """Live-migrates to a VM that waits for it, where the console then is. Gives the
        downtime in ms. This VM is over with it."""
        uri = "unix:" + self.lab.path("migration")
        destination.qmp("migrate-incoming", uri=uri)
        self.qmp("migrate", uri=uri)
        end = time.monotonic() + timeout
        while (info := self.qmp("query-migrate")).get("status") != "completed":
            if info.get("status") == "failed" or time.monotonic() > end:
                raise RuntimeError(f"migration of {self.name}: {info}")
            time.sleep(0.01)
        destination.buffer = self.buffer
        self.quit()
        return info["downtime"]

    def resume(self):
        self.qmp("cont")

    def quit(self):
        with contextlib.suppress(RuntimeError, OSError):
            self.qmp("quit")
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._console.close()
        self._qmp_socket.close()
