#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# make demo: a simulated host, a private chronyd and vmclockd; the host migrates its guest, and
# one sees what becomes of it. Needs no root. chronyd runs with -x: the machine's clock is never
# touched. Everything lives in one private directory and ends with this script.
#
# usage: demo.sh [BUILD_DIRECTORY]

set -eu

build=${1:-build}
dir=''
sim='' chronyd='' vmclockd='' # process ids

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$(printf '\033[1m') plain=$(printf '\033[0m')
else
    bold='' plain=''
fi

n=0
step() {
    n=$((n + 1))
    printf '\n%s%d. %s%s\n' "$bold" "$n" "$1" "$plain"
}

# Logs have priorities in front, as the journal wants them; people do not.
show() {
    sed 's/^<[0-7]>//' | fold -s -w 76 | sed 's/^/    /'
}

# Ends with the first thing that did not happen, and with what the programs said.
fail() {
    printf '\n%sdemo: %s%s\n' "$bold" "$1" "$plain"
    [ -z "$sim" ] || running "$sim" || printf 'demo: vmclocksim has ended\n'
    [ -z "$chronyd" ] || running "$chronyd" || printf 'demo: chronyd has ended\n'
    [ -z "$vmclockd" ] || running "$vmclockd" || printf 'demo: vmclockd has ended\n'
    for log in vmclocksim chronyd vmclockd; do
        if [ -n "$dir" ] && [ -s "$dir/$log.log" ]; then
            printf '\nThe last lines of %s:\n' "$log"
            tail -n 25 "$dir/$log.log" | show
        fi
    done
    exit 1
} >&2

running() {
    [ -n "$1" ] && kill -0 "$1" 2>/dev/null
}

clean_up() {
    status=$?
    trap '' HUP INT PIPE TERM # a second Ctrl-C must not leave half of it behind
    set +e
    for pid in $vmclockd $chronyd $sim; do
        kill "$pid" 2>/dev/null
    done
    tries=0
    while { running "$vmclockd" || running "$chronyd" || running "$sim"; } && [ $tries -lt 30 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    for pid in $vmclockd $chronyd $sim; do
        running "$pid" && kill -9 "$pid"
        wait "$pid" 2>/dev/null
    done
    [ -n "$dir" ] && rm -rf "$dir"
    exit $status
}

# within SECONDS COMMAND...: until it succeeds; false when it did not in time or a program died.
within() {
    tries=$(($1 * 5))
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        for pid in $vmclockd $chronyd $sim; do
            running "$pid" || return 1
        done
        sleep 0.2
    done
}

# The simulator answers every command with one line.
simulate() {
    lines=$(wc -l <"$dir/vmclocksim.log")
    printf '%s\n' "$*" >&3
    within 3 answered || fail "vmclocksim did not answer: $*"
    tail -n 1 "$dir/vmclocksim.log" | show
    if tail -n 1 "$dir/vmclocksim.log" | grep -q '^error:'; then
        fail "vmclocksim refused: $*"
    fi
}

answered() {
    [ "$(wc -l <"$dir/vmclocksim.log")" -gt "$lines" ]
}

serving() {
    grep -q '^serving' "$dir/vmclocksim.log"
}

chrony() {
    "$build/chrony/chronyc" -n -h "$dir/chronyd.sock" "$@"
}

chronyd_answers() {
    chrony tracking >/dev/null 2>&1
}

ctl() {
    "$build/vmclockctl" -c "$dir/vmclockd.conf" "$@"
}

# The value of one key of the status, which is only asked for numbers and plain words.
status_of() {
    ctl status --json 2>/dev/null | tr ',{}' '[\n*]' |
        sed -n "s/^ *\"$1\" *: *\"\{0,1\}\([^\"]*\)\"\{0,1\} *\$/\1/p" | head -n 1
}

selected() {
    chrony sources 2>/dev/null | grep -q '^#\* VMCL'
}

feeding() {
    [ "$(status_of state)" = feeding ] && selected
}

reset_confirmed() {
    count=$(status_of recoveries)
    [ "${count:-0}" -ge 1 ]
}

resumed() {
    count=$(status_of samples_sent)
    [ "${count:-0}" -gt "$sent" ] && feeding
}

trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 141' PIPE
trap 'exit 143' TERM

for program in vmclocksim vmclockd vmclockctl; do
    [ -x "$build/$program" ] || fail "$build/$program is missing: run make first"
done
[ -x "$build/chrony/chronyd" ] || fail "$build/chrony/chronyd is missing: run make demo"
user=$(id -un) || fail "the present user has no name, and chronyd wants one"

dir=$(mktemp -d "${TMPDIR:-/tmp}/vmclockd-demo.XXXXXX")
if [ ${#dir} -gt 80 ]; then # sockets are in it, whose names are limited to 107 bytes
    rmdir "$dir"
    dir=$(mktemp -d /tmp/vmclockd-demo.XXXXXX)
fi
cat >"$dir/chrony.conf" <<CONF
refclock SOCK $dir/vmclock.sock refid VMCL poll -2 filter 16 trust prefer delay 1e-5 stratum 1
makestep 1 3
bindcmdaddress $dir/chronyd.sock
pidfile $dir/chronyd.pid
driftfile $dir/drift
port 0
cmdport 0
user $user
CONF

cat >"$dir/vmclockd.conf" <<CONF
device = $dir/vmclock0
sock = $dir/vmclock.sock
command-socket = $dir/chronyd.sock
state-file = $dir/state
clock-file = $dir/clock
CONF

step "A simulated host starts to serve a clock in a vmclock page."
mkfifo "$dir/commands"
"$build/vmclocksim" "$dir/vmclock0" <"$dir/commands" >"$dir/vmclocksim.log" 2>&1 &
sim=$!
exec 3>"$dir/commands"
within 5 serving || fail "vmclocksim does not serve"
show <"$dir/vmclocksim.log"

step "A private chronyd starts; with -x it leaves the machine's clock alone."
"$build/chrony/chronyd" -x -d -U -f "$dir/chrony.conf" >"$dir/chronyd.log" 2>&1 3>&- &
chronyd=$!
within 5 chronyd_answers || fail "chronyd does not answer"
sed -n "s|^\(refclock SOCK \)$dir/|\1|p" "$dir/chrony.conf" | show

step "vmclockd starts, reads the page and feeds chronyd."
"$build/vmclockd" -c "$dir/vmclockd.conf" >"$dir/vmclockd.log" 2>&1 3>&- &
vmclockd=$!
within 15 feeding || fail "chronyd did not select the simulated clock within 15 s"
sleep 3 # a few more samples make chronyd's statistics worth a look
show <"$dir/vmclockd.log"

step "chronyd has selected it: VMCL, a reference clock like any other."
chrony sources
chrony sourcestats
printf '\n'
ctl status | show

step "The guest is migrated: its clock is now 5 ms off and its counter 60 ppm slow."
lines_before=$(wc -l <"$dir/vmclockd.log")
simulate migrate 5ms 60

step "vmclockd sees the new marker and has chronyd forget what it believed."
within 10 reset_confirmed || fail "no confirmed reset within 10 s"
sent=$(status_of samples_sent)
within 10 resumed || fail "no samples within 10 s of the reset"
sleep 2
tail -n +$((lines_before + 1)) "$dir/vmclockd.log" | show

step "Samples flow again, from the new host's clock."
printf '%s\n' "    What is left of the 5 ms, and grows, is what chronyd -x must not correct."
ctl status | show
printf '\n'
chrony sources

step "All of it is ended and removed."
