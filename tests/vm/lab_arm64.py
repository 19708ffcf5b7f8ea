# SPDX-License-Identifier: BSD-2-Clause
"""As lab.py, on QEMU's ARM machine: its vmclock device exists on x86 only, so the page is a
device-tree node at the shared memory. There are no notifications."""

import os
import subprocess

import lab
from lab import SHARED_MIB, VM_DIR

RAM_START_MIB = 1024  # of the machine `virt`
MEMORY_MIB = 256
SHARED_PHYS_MIB = 192  # as in shared.h; QEMU has the initramfs at 128 MiB
PAGE_ADDRESS = (RAM_START_MIB + SHARED_PHYS_MIB) << 20

KERNEL_ARGUMENTS = "console=ttyAMA0 quiet panic=-1 nokaslr cma=0 numa=off random.trust_cpu=on"


class Lab(lab.Lab):
    def vm(self, name, **options):
        return VM(self, name, **options)

    def host(self, name):
        """QEMU makes the guest's counter, of 1 GHz, from the host's CLOCK_MONOTONIC."""
        return lab.Host(self, name, "monotonic")


class VM(lab.VM):
    def _machine(self, page, cpus):
        above = MEMORY_MIB - SHARED_PHYS_MIB - SHARED_MIB
        return ["-m", f"{MEMORY_MIB}M", "-smp", str(cpus), "-cpu", "max,pauth-impdef=on",
                "-object", f"memory-backend-ram,id=low,size={SHARED_PHYS_MIB}M",
                "-object", f"memory-backend-file,id=page,size={SHARED_MIB}M,mem-path={page.memory},share=on",
                "-object", f"memory-backend-ram,id=high,size={above}M",
                "-numa", f"node,nodeid=0,cpus=0-{cpus - 1},memdev=low", "-numa", "node,nodeid=1,memdev=page",
                "-numa", "node,nodeid=2,memdev=high",
                "-accel", "tcg,thread=multi", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-chardev", f"socket,id=console,path={self._console_path},server=on,wait=off",
                "-serial", "chardev:console",
                # nobody in the guest reads it
                "-chardev", f"socket,id=notify,path={self.notify_path},server=on,wait=off"]

    def _device_tree(self, machine):
        """QEMU's own with the page's node."""
        path = self.lab.path(self.name + ".dtb")
        # without the sockets, which are the running machine's
        words = [word for pair in zip(machine, machine[1:]) for word in pair
                 if pair[0] in ("-m", "-smp", "-cpu", "-object", "-numa", "-accel")]
        subprocess.run(["qemu-system-aarch64", "-machine", f"virt,dumpdtb={path}", "-nodefaults", "-display", "none",
                        "-serial", "null", *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def put(node, name, kind, *values):
            subprocess.run(["fdtput", "-p", "-t", kind, path, node, name, *values], check=True)

        high, low = f"{PAGE_ADDRESS >> 32:#x}", f"{PAGE_ADDRESS & 0xffffffff:#x}"
        reserved = f"/reserved-memory/page@{PAGE_ADDRESS:x}"
        put(reserved, "reg", "x", high, low, "0", f"{SHARED_MIB << 20:#x}")
        put(reserved, "no-map", "x")
        for name in "#address-cells", "#size-cells":
            put("/reserved-memory", name, "x", "2")
        put("/reserved-memory", "ranges", "x")
        device = f"/ptp@{PAGE_ADDRESS:x}"
        put(device, "compatible", "s", "amazon,vmclock")
        put(device, "reg", "x", high, low, "0", "0x1000")
        return path

    def _command(self, page, incoming, autostart, snapshots, cpus, arguments, kernel_arguments, vmclock):
        machine = self._machine(page, cpus)
        command = ["qemu-system-aarch64", "-machine", "virt", *machine, "-dtb", self._device_tree(machine),
                   "-qmp", f"unix:{self._qmp_path},server=on,wait=off",
                   "-kernel", os.path.join(VM_DIR, "kernel/vmlinuz"), "-initrd", self.lab.initrd,
                   "-append", f"{KERNEL_ARGUMENTS} {kernel_arguments}"]
        if incoming:
            command += ["-incoming", "defer"]
        if not autostart:
            command += ["-S"]
        return command + list(arguments)
