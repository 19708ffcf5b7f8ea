#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Bring runit's and s6's programs into DIRECTORY, unpacked and not installed. Does nothing, and says so,
# where they are not to be had.
# usage: get-supervisors.sh DIRECTORY
set -e
directory=$1
[ ! -e "$directory/done" ] || exit 0
mkdir -p "$directory/deb"
packages=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances runit s6 2>/dev/null | grep -E '^(runit|s6|execline|libs6-|libskarnet|libexecline)' | sort -u)
# shellcheck disable=SC2086 # a list of words
(cd "$directory/deb" && apt-get download -qq $packages) >"$directory/log" 2>&1 || {
    echo "no runit or s6 can be had: $(tail -n 1 "$directory/log")"
    exit 0
}
for deb in "$directory"/deb/*.deb; do
    dpkg-deb -x "$deb" "$directory/root"
done
rm -r "$directory/deb"
touch "$directory/done"
