#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What the VM tests need on a Debian 12 amd64 machine (as root): QEMU 10, a kernel
# with the vmclock driver (unpacked, not installed), chrony (the same), the test
# programs and ACPI tables. Does only what has not been done yet. All files go to
# $VM_DIR (default: build/vm of the source tree); KVER picks another kernel.
. "$(dirname "$0")/debs.sh"
exec 9>"$VM_DIR/lock"; flock 9
mkdir -p "$VM_DIR"/{bin,logs}

step() {
    local name=$1 start=$SECONDS
    shift
    # not "if ! ...": that would switch set -e off inside the step
    set +e
    (set -e; "$@") >"$VM_DIR/logs/setup-$name.log" 2>&1
    local status=$?
    set -e
    if [ $status != 0 ]; then
        { echo "setup: $name failed:"; tail -20 "$VM_DIR/logs/setup-$name.log"; } >&2
        exit 1
    fi
    printf 'setup: %-10s %3d s\n' "$name" $((SECONDS - start))
}

tools=(busybox-static acpica-tools cpio e2fsprogs xz-utils kmod gcc libc6-dev python3)
have_tools() {
    local status
    status=$(dpkg-query -W -f '${db:Status-Status}\n' "${tools[@]}" 2>/dev/null) &&
        ! grep -qvx installed <<<"$status"
}
have_qemu() {
    command -v qemu-img >/dev/null &&
        qemu-system-x86_64 -version 2>/dev/null | grep -Eq 'version [1-9][0-9]+\.'
}
install_packages() {
    update_lists system bookworm-backports
    have_tools || private_apt system apt-get install -y --no-install-recommends "${tools[@]}"
    # -t and every one of these names are needed, or the dependencies do not resolve
    have_qemu || private_apt system apt-get install -y --no-install-recommends -t bookworm-backports \
        qemu-system-x86 qemu-system-common qemu-system-data seabios ipxe-qemu qemu-utils
}

# unpack_module NAME: the module after those it depends on; kernel/modules has the order
unpack_module() {
    local file=$VM_DIR/kernel/$1.ko path dependency
    [ ! -e "$file" ] || return 0
    path=$(tar tf "$work/modules.tar" | grep "/$1\.ko\.xz$")
    tar xOf "$work/modules.tar" "$path" | xz -d >"$file"
    for dependency in $(/sbin/modinfo -F depends "$file" | tr , ' '); do unpack_module "$dependency"; done
    echo "$1.ko" >>"$VM_DIR/kernel/modules"
}
fetch_kernel() {
    local kver=${KVER:-}
    # their libc is not this system's: download from these lists, never install
    update_lists kernel trixie trixie-backports
    [ -n "$kver" ] || kver=$(
        private_apt kernel apt-cache search --names-only '^linux-binary-7\..*-cloud-amd64$' |
            sed 's/^linux-binary-\([^ ]*\).*/\1/' | sort -V | tail -1)
    [ -n "$kver" ] || { echo "no kernel with the vmclock driver found"; return 1; }
    work=$(mktemp -d "$VM_DIR/kernel.XXXXXX")
    trap 'rm -rf "$work"' EXIT # of the step's subshell
    download kernel "$work" "linux-binary-$kver" "linux-modules-$kver"
    rm -rf "$VM_DIR/kernel"; mkdir "$VM_DIR/kernel"
    dpkg-deb --fsys-tarfile "$work"/linux-modules-*.deb >"$work/modules.tar"
    unpack_module ptp_vmclock
    dpkg-deb --fsys-tarfile "$work"/linux-binary-*.deb |
        tar xO --wildcards './usr/lib/modules/*/vmlinuz' >"$VM_DIR/kernel/vmlinuz"
    echo "$kver" >"$VM_DIR/kernel/version"
}
have_kernel() {
    local version
    version=$(cat "$VM_DIR/kernel/version" 2>/dev/null) && [ "${KVER:-$version}" = "$version" ]
}

acpi_table() {
    local name=$1
    shift
    gcc -E -P -x c "$@" "$here/vmclock.asl" -o "$VM_DIR/bin/$name.asl"
    iasl -p "$VM_DIR/bin/$name" "$VM_DIR/bin/$name.asl"
}
build() {
    gcc -std=gnu11 -O2 -Wall -Wextra -o "$VM_DIR/bin/vmhost" "$here/vmhost.c"
    # static: the guest's libraries are those of the chrony under test
    gcc -std=gnu11 -O2 -Wall -Wextra -static -D_GNU_SOURCE -I"$here/../.." -o "$VM_DIR/bin/guest" \
        "$here/guest.c" "$here/../../lib/vmclock.c" "$here/../../refclock/bound_reason.c"
    gcc -std=gnu11 -O2 -Wall -Wextra -shared -fPIC -D_GNU_SOURCE -o "$VM_DIR/bin/ptp_noise.so" "$here/ptp_noise.c"
    acpi_table vmclock
    acpi_table vmclock-ptp -DPTP
    touch "$VM_DIR/bin/built"
}
have_build() {
    local file
    for file in "$here"/*.c "$here"/*.h "$here"/*.asl "$here/setup.sh" "$here/../../lib"/*.[ch] "$here/../../refclock"/bound_reason.[ch]; do
        [ "$VM_DIR/bin/built" -nt "$file" ] || return 1
    done
}

{ have_tools && have_qemu; } || step packages install_packages
have_kernel || step kernel fetch_kernel
[ -e "$VM_DIR/chrony/bookworm/version" ] || step chrony "$here/fetch-chrony" bookworm
have_build || step build build
