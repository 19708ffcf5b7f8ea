#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Install what building, testing or the demo needs on Debian and Ubuntu, if it is missing.
# usage: install-packages.sh build|demo|check|tidy|fuzz|coverage|soak|analyze|selinux ...
set -eu

build="gcc make libc6-dev pkg-config libevent-dev libsystemd-dev libinih-dev libjansson-dev"
demo="$build"
check="$build g++ check python3 mandoc strace"
tidy="$check clang clang-format clang-tidy cppcheck"
fuzz="$build clang libclang-rt-dev"
coverage="$check gcovr"
soak="$check valgrind"
analyze="$tidy clang-tools devscripts valgrind"
selinux="make selinux-policy-dev"

wanted=
for what in "$@"; do
    case $what in
    build) wanted="$wanted $build" ;;
    demo) wanted="$wanted $demo" ;;
    check) wanted="$wanted $check" ;;
    tidy) wanted="$wanted $tidy" ;;
    fuzz) wanted="$wanted $fuzz" ;;
    coverage) wanted="$wanted $coverage" ;;
    soak) wanted="$wanted $soak" ;;
    analyze) wanted="$wanted $analyze" ;;
    selinux) wanted="$wanted $selinux" ;;
    *) echo "usage: $0 build|demo|check|tidy|fuzz|coverage|soak|analyze|selinux ..." >&2; exit 64 ;;
    esac
done

missing=
for package in $wanted; do
    dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null || {
    echo "missing here, by Debian's names:$missing; please install them" >&2
    exit 69
}
run=
[ "$(id -u)" = 0 ] || run=sudo
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$run apt-get update -qq
# shellcheck disable=SC2086 # a list of words
$run apt-get install -y -qq --no-install-recommends $missing >/dev/null
