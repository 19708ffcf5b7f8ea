#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Bring Debian's promtool into DIRECTORY, unpacked and not installed: its package would start a server.
# Does nothing, and says so, where there is none to be had.
# usage: get-promtool.sh DIRECTORY
set -e
directory=$1
[ ! -x "$directory/promtool" ] || exit 0
if command -v promtool >/dev/null; then
    mkdir -p "$directory"
    ln -s "$(command -v promtool)" "$directory/promtool"
    exit 0
fi
mkdir -p "$directory/deb"
(cd "$directory/deb" && apt-get download -qq prometheus) >"$directory/log" 2>&1 || {
    echo "no promtool can be had: $(tail -n 1 "$directory/log")"
    exit 0
}
dpkg-deb --fsys-tarfile "$directory"/deb/prometheus_*.deb | tar -xO ./usr/bin/promtool >"$directory/promtool.new"
chmod 755 "$directory/promtool.new"
mv "$directory/promtool.new" "$directory/promtool"
rm -r "$directory/deb"
