#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Bring the newest libinih that this machine's mirrors have into DIRECTORY, unpacked: its reader is
# stricter than Debian 12's. Does nothing, and says so, where there is none to be had.
# usage: get-inih.sh DIRECTORY
directory=$1
[ ! -e "$directory/libinih.so.1" ] || exit 0
mkdir -p "$directory"
VM_DIR=$directory/lists
. "$(dirname "$0")/vm/debs.sh"

unpack() {
    update_lists inih "$1"
    download inih "$directory/debs" libinih1
    dpkg-deb -x "$directory"/debs/libinih1_*.deb "$directory/root"
    cp "$directory"/root/usr/lib/*/libinih.so.1 "$directory"
    rm -r "$directory"/{lists,debs,root}
}

for suite in sid forky trixie; do
    # not "if unpack": that would switch set -e off inside it
    (set -e; unpack "$suite") >"$directory/log" 2>&1 || continue
    echo "libinih of $suite in $directory"
    exit
done
echo "no newer libinih can be had: $(tail -n 1 "$directory/log")"
