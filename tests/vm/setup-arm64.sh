#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What check_vm_arm64.py needs on a Debian 12 amd64 machine, as setup.sh does it (as root):
# QEMU for ARM, an arm64 kernel (its vmclock driver is built in), the test programs and an
# initramfs with vmclockd and chronyd of tests/cross/check-cross arm64. Does only what has
# not been done yet. All files go to $VM_DIR (default: build/vm/arm64 of the source tree).
tests=$(cd "$(dirname "$0")/.." && pwd)
build=$(dirname "$tests")/build
export VM_DIR=${VM_DIR:-$build/vm/arm64}
# shellcheck source=tests/vm/debs.sh
. "$tests/vm/debs.sh"
exec 9>"$VM_DIR/lock"; flock 9
mkdir -p "$VM_DIR"/{bin,kernel,logs}
cross=$build/cross/arm64

tools=(device-tree-compiler cpio gcc libc6-dev python3)
have_tools() {
    local status
    status=$(dpkg-query -W -f '${db:Status-Status}\n' "${tools[@]}" 2>/dev/null) &&
        ! grep -qvx installed <<<"$status" &&
        qemu-system-aarch64 -version 2>/dev/null | grep -Eq 'version [1-9][0-9]+\.'
}
install_tools() {
    # all of QEMU in one version: a part of it may be there already
    update_lists system bookworm-backports
    private_apt system apt-get install -y --no-install-recommends "${tools[@]}"
    private_apt system apt-get install -y --no-install-recommends -t bookworm-backports \
        qemu-system-arm qemu-system-common qemu-system-data qemu-utils
}
fetch_kernel() {
    local kver
    update_lists kernel trixie trixie-backports
    kver=$(private_apt kernel apt-cache search --names-only '^linux-binary-7\..*-cloud-arm64$' |
        sed 's/^linux-binary-\([^ ]*\).*/\1/' | sort -V | tail -1)
    [ -n "$kver" ] || { echo "no arm64 kernel found"; return 1; }
    download kernel "$VM_DIR/debs" "linux-binary-$kver"
    dpkg-deb --fsys-tarfile "$VM_DIR"/debs/linux-binary-*.deb |
        tar xO --wildcards './usr/lib/modules/*/vmlinuz' >"$VM_DIR/kernel/vmlinuz"
    grep -q 'amazon,vmclock' "$VM_DIR/kernel/vmlinuz" || { echo "no vmclock driver in $kver"; return 1; }
    rm -r "$VM_DIR/debs"
    echo "$kver" >"$VM_DIR/kernel/version"
}
fetch_busybox() {
    update_lists base "$(. /etc/os-release; echo "$VERSION_CODENAME")"
    download base "$VM_DIR/debs" busybox-static
    dpkg-deb --fsys-tarfile "$VM_DIR"/debs/busybox-static_*.deb | tar xO ./bin/busybox >"$VM_DIR/bin/busybox"
    chmod 755 "$VM_DIR/bin/busybox"
    rm -r "$VM_DIR/debs"
}
step() {
    local name=$1 start=$SECONDS status
    shift
    set +e
    (set -e; "$@") >"$VM_DIR/logs/setup-$name.log" 2>&1
    status=$?
    set -e
    [ $status = 0 ] || { echo "setup-arm64: $name failed:"; tail -20 "$VM_DIR/logs/setup-$name.log"; exit 1; } >&2
    printf 'setup-arm64: %-10s %3d s\n' "$name" $((SECONDS - start))
}

build_programs() {
    gcc -std=gnu11 -O2 -Wall -Wextra -o "$VM_DIR/bin/vmhost" "$tests/vm/vmhost.c"
    aarch64-linux-gnu-gcc --sysroot="$cross/root" -std=gnu11 -O2 -Wall -Wextra -static \
        -D_GNU_SOURCE -I"$tests/.." -o "$VM_DIR/bin/guest" "$tests/vm/guest.c" "$tests/../lib/vmclock.c" \
        "$tests/../refclock/bound_reason.c"
}

# copy PROGRAM|LIBRARY DIRECTORY: with the libraries it needs, which all are in one directory
copy() {
    local library
    cp -L "$1" "$root/$2/"
    while read -r library; do
        [ -e "$root/$libraries/$library" ] || copy "$cross/root/$libraries/$library" "$libraries"
    done < <(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
}
build_initramfs() {
    local libraries=lib/aarch64-linux-gnu program
    root=$(mktemp -d "$VM_DIR/initrd.XXXXXX")
    trap 'rm -rf "$root"' EXIT
    mkdir -p "$root"/{bin,dev,etc,modules,proc,run,sys,tmp,"$libraries"}
    for program in "$cross"/objects/{vmclockd,vmclockctl} "$cross"/root/usr/{sbin/chronyd,bin/chronyc}; do
        copy "$program" bin
    done
    cp -L "$cross/root/lib/ld-linux-aarch64.so.1" "$root/lib/"
    cp "$VM_DIR"/bin/{busybox,guest} "$root/bin/"
    ln -s busybox "$root/bin/sh"
    : >"$root/modules/order" # the driver is built in
    cp "$tests/vm/init" "$root/init"
    chmod 755 "$root" "$root/init"
    printf '%s\n' root:x:0:0::/:/bin/sh _chrony:x:100:100::/:/bin/false >"$root/etc/passwd"
    printf '%s\n' root:x:0: _chrony:x:100: >"$root/etc/group"
    (cd "$root" && find . | cpio -o -H newc --quiet -R 0:0) >"$VM_DIR/initrd"
}

"$tests/cross/check-cross" arm64 build
have_tools || step tools install_tools
[ -e "$VM_DIR/kernel/version" ] || DEB_ARCH=arm64 step kernel fetch_kernel
[ -e "$VM_DIR/bin/busybox" ] || DEB_ARCH=arm64 step busybox fetch_busybox
step programs build_programs
step initramfs build_initramfs
