#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Build every harness for libFuzzer with clang and run each for SECONDS (default 60).
#
#     tests/fuzz/run.sh [SECONDS [NAME...]]
#
# What is found grows in $BUILD/fuzz/NAME.corpus; an input that breaks something is left in
# $BUILD/fuzz/NAME.crash-*, and FUZZ_TRACE=1 with fuzz_tracker tells what led to it.
set -eu

cd "$(dirname "$0")/../.."
seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- page reply config chrony_conf state tracker
out=${BUILD:-build}/fuzz
mkdir -p "$out"
failed=

flags="-std=c11 -I. -D_GNU_SOURCE -O2 -g -fno-omit-frame-pointer
    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all"
sources=$(make -s --no-print-directory fuzz-sources)
libraries=$("${PKG_CONFIG:-pkg-config}" --libs inih)

for name in "$@"; do
    # shellcheck disable=SC2086 # lists of words
    ${FUZZ_CC:-clang} $flags -DVERSION='"fuzz"' -o "$out/fuzz_$name" "tests/fuzz/fuzz_$name.c" \
        $sources $libraries -lm
    mkdir -p "$out/$name.corpus"
    echo "$name: $seconds s"
    if "$out/fuzz_$name" -max_total_time="$seconds" -max_len=1024 -len_control=0 -timeout=20 \
        -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1 -artifact_prefix="$out/$name." \
        "$out/$name.corpus" "tests/fuzz/corpus/$name" >"$out/$name.log" 2>&1; then
        grep -E 'DONE|number_of_executed_units' "$out/$name.log"
    else
        grep -E 'broken:|runtime error:|ERROR:|SUMMARY:|Test unit written' "$out/$name.log" ||
            tail -n 20 "$out/$name.log"
        failed="$failed $name"
    fi
done
[ -z "$failed" ] || { echo "broken:$failed" >&2; exit 1; }
