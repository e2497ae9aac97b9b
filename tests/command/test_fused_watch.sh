#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# fused watch: a line for each file that replaces the one watched.
# shellcheck source=tests/command/lib disable=SC1091,SC2154
. "$(dirname "$0")/lib"
need fused

build() { printf '{"key":"%s","value":1}\n' "$@" | "$ANYKV" fused build -q f.fsdb --format ndjson; }
wait_lines() { # file, n
    local i
    for ((i = 0; i < 500; i++)); do
        [ "$(wc -l <"$1")" -ge "$2" ] && return 0
        sleep 0.02
    done
    return 1
}

build a
"$ANYKV" fused watch f.fsdb --interval 20ms --json >lines &
pid=$!
for ((i = 0; i < 100; i++)); do # until it is up and has seen one
    build a b
    sleep 0.05
    [ -s lines ] && break
done
n=$(wc -l <lines)
echo FSDB >bad
mv bad f.fsdb
ok "a bad file is told" wait_lines lines $((n + 1))
build c
ok "and a good one after it" wait_lines lines $((n + 2))
kill "$pid"
wait "$pid"
is "an interrupt ends it well" 0 $?
json "its lines are JSON" "$(cat lines)"
has "the bad one names its place" '"code":"AKV_CORRUPT"' "$(cat lines)"
has "a good one tells its keys" '"keys":1,' "$(tail -n 1 lines)"

run fused watch no.fsdb
exits "a file that is not there is a failure" 3
run fused watch f.fsdb --interval 0
exits "no interval is a failure" 3
"$ANYKV" fused watch f.fsdb --count 1 --interval 20ms >lines &
pid=$!
for ((i = 0; i < 100; i++)); do
    build d
    sleep 0.05
    [ -s lines ] && break
done
wait "$pid"
is "it ends by itself after --count" 0 $?
is "with so many lines" 1 "$(wc -l <lines | tr -d ' ')"

done_testing
