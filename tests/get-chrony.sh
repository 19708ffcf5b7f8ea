#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Bring chronyd and chronyc into DIRECTORY: copies of the installed ones, which AppArmor does not
# confine, or those of the package, unpacked. The package is not installed: it would take this
# machine's clock over from whatever keeps it.
# usage: get-chrony.sh DIRECTORY
set -eu
directory=$1
[ -x "$directory/chronyd" ] && [ -x "$directory/chronyc" ] && exit 0

rm -rf "$directory"
mkdir -p "$directory"
if [ -x /usr/sbin/chronyd ] && [ -x /usr/bin/chronyc ]; then
    cp /usr/sbin/chronyd /usr/bin/chronyc "$directory"
    exit 0
fi

command -v apt-get >/dev/null || { echo "please install chrony" >&2; exit 69; }
run=
[ "$(id -u)" = 0 ] || run=sudo
echo "unpacking chrony"
(cd "$directory" && { apt-get -o APT::Sandbox::User=root -q=2 download chrony 2>/dev/null ||
    { $run apt-get update -qq && apt-get -o APT::Sandbox::User=root -q=2 download chrony; }; })
# Its libraries are harmless, and installed as usual.
libraries=$(dpkg-deb -f "$directory"/chrony_*.deb Depends | tr , '\n' |
    sed -n 's/^ *\(lib[^ ]*\).*/\1/p')
# shellcheck disable=SC2086 # a list of words
DEBIAN_FRONTEND=noninteractive $run apt-get install -y -qq --no-install-recommends $libraries \
    >/dev/null
dpkg-deb -x "$directory"/chrony_*.deb "$directory/root"
mv "$directory/root/usr/sbin/chronyd" "$directory/root/usr/bin/chronyc" "$directory"
rm -r "$directory/root" "$directory"/chrony_*.deb
