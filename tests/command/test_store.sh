#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# get, put, del, scan, count, stats, verify, compact, checkpoint, bench; exit
# codes; --json everywhere.
# shellcheck source=tests/command/lib disable=SC1091,SC2154
. "$(dirname "$0")/lib"
need fused memory

cat >s.ndjson <<'END'
{"key":"a","value":1}
{"key":"b:1","value":"one"}
{"key":"b:2","value":"two\nlines"}
{"key":"b:3","value":{"x":"\u00e9"}}
{"key_hex":"ff","value_hex":"ff00"}
END
run import -e fused s.fsdb s.ndjson

# get
run get s.fsdb a
exits "get is fine" 0
is "get prints the value" 1 "$out"
run get s.fsdb zzz
exits "an absent key is 1" 1
is "an absent key prints nothing" "" "$out"
run get s.fsdb a zzz b:1
exits "one absent key of several is 1" 1
is "the others are printed" $'a\t1\nb:1\t"one"' "$out"
run get s.fsdb zzz --json
is "an absent key as JSON" '{"key":"zzz","absent":true}' "$out"
run get s.fsdb a b:3 --json
json "get --json is JSON" "$out"
has "with the value as it is" '"value":{"x":"é"}' "$out"
for pair in 'hex=a3 6f6e65' 'base64=o29uZQ==' 'json="one"'; do
    run get s.fsdb b:1 --format "${pair%%=*}"
    is "get --format ${pair%%=*}" "$(echo "${pair#*=}" | tr -d ' ')" "$out"
done
run get s.fsdb b:1 --format xml
exits "an unknown format is wrong use" 2
has "and the known ones are told" "auto|text|json|hex|raw|base64" "$err"
run get s.fsdb
exits "get without a key is wrong use" 2
run get s.fsdb --key-hex 0g
exits "bad hex is wrong use" 2
run get s.fsdb -x 'a\q'
exits "a bad escape is wrong use" 2
run get nothing.fsdb a
exits "a store that is not there is a failure" 3
has "and it is named" "nothing.fsdb" "$err"
run get nothing.fsdb a --json
json "that is told as JSON" "$err"
has "with a code" '"code":"AKV_' "$err"
run get -e no-such s.fsdb a
exits "a wrong engine name is wrong use" 2
has "and those there are are told" "fused" "$err"
run get nope:s.fsdb a
exits "so is one in a URI" 2
has "which is named" "no engine 'nope'" "$err"
cp s.fsdb nope:s.fsdb
run get nope:s.fsdb a
exits "unless a file has that very name" 0
run get -e memory s.fsdb a
exits "memory has no files" 3
run get s.fsdb a -o no_such=1
exits "an unknown option is wrong use" 2
has "and it is named" "no_such" "$err"
run get s.fsdb a -o mode=no-such
exits "an option's bad value is wrong use" 2
has "and it is named" "no-such" "$err"
run verify s.fsdb -o no_such=1
exits "of verify too" 2
run get s.fsdb a -o mode
exits "an option without a value is wrong use" 2
run get s.fsdb a -o mode=read
exits "a known option is fine" 0
run get "fused:s.fsdb?mode=read" a
is "a URI is fine" 1 "$out"

# put and del
run put s.fsdb k v
exits "a finished file takes no puts" 3
run put --create -e fused one.fsdb k v
exits "put makes a store with --create" 0
run get one.fsdb k --format raw
is "which holds the value" v "$out"
printf 'from a file' >value
run put --create -e fused two.fsdb k --file value --json
json "put --json is JSON" "$out"
run get two.fsdb k --format raw
is "--file is the value" "from a file" "$out"
run put --create -e fused three.fsdb k --file - < <(printf 'piped')
run get three.fsdb k --format raw
is "so is standard input" piped "$out"
run put --create memory: k
exits "put without a value is wrong use" 2
run put --create memory: k v --file value
exits "put with two values is wrong use" 2
run put --create memory: k v --ttl 1h --encoding json --if-absent --sync never
exits "put with all it can have is fine" 0
run put --create memory: k v --if-present
exits "a condition that does not hold is a failure" 3
run put --create memory: k v --if-present --json
json "which is told as JSON" "$err"
run put --create memory: k v --if-present --if-absent
exits "two conditions are wrong use" 2
run put --create memory: k v --ttl soon
exits "a bad time is wrong use" 2
run put --create -e fused ttl.fsdb k v --ttl 1h
exits "a capability that lacks is a failure" 3
has "and it is named" "ttl" "$err"
run del s.fsdb a
exits "a finished file takes no deletes" 3
has "which names what lacks" "write" "$err"

# scan
run scan s.fsdb
is "scan prints all in order" \
    $'a\t1\nb:1\t"one"\nb:2\t"two\\nlines"\nb:3\t{"x":"é"}\n\\xff\t"/wA="' "$out"
run scan s.fsdb --prefix b: --keys-only --reverse --limit 2
is "prefix, reverse, limit" $'b:3\nb:2' "$out"
run scan s.fsdb --lower b:2 --upper b:3 --keys-only
is "bounds" 'b:2' "$out"
run scan s.fsdb --upper '' --keys-only
is "an empty upper bound bounds" '' "$out"
run scan s.fsdb --json
json "scan --json is JSON" "$out"
run scan s.fsdb --json --keys-only
has "keys that are no text are in hex" '{"key_hex":"ff"}' "$out"
"$ANYKV" scan s.fsdb --prefix b: -k -0 >nul
is "scan -0 ends keys by NUL" "b:1 b:2 b:3 " "$(tr '\0' ' ' <nul)"
"$ANYKV" scan s.fsdb --prefix b:1 -0 >nul
is "scan -0 gives raw values" "b:1 o29uZQA=" "$(head -c 3 nul) $(tail -c 5 nul | base64)"
run scan s.fsdb --limit x
exits "a limit that is no number is wrong use" 2

# count
run count s.fsdb
is "count" 5 "$out"
run count s.fsdb --prefix b:
is "count of a prefix" 3 "$out"
run count s.fsdb --json
is "count --json" '{"count":5}' "$out"

# stats
run stats s.fsdb
has "stats tell the engine's figures" "num_keys" "$out"
run stats s.fsdb --json
json "stats --json is JSON" "$(echo "$out" | tr -d '\n')"
run stats s.fsdb --openmetrics
has "stats --openmetrics ends as it must" "# EOF" "$out"

# verify
run verify s.fsdb
exits "verify of a good file is fine" 0
run verify s.fsdb --json
json "verify --json is JSON" "$out"
has "and says so" '"ok":true,"faults":0' "$out"
cp s.fsdb bad.fsdb
printf 'X' | dd of=bad.fsdb bs=1 seek=50 conv=notrunc status=none
run verify bad.fsdb
exits "verify of a damaged file fails" 3
has "with the file" "bad.fsdb" "$err"
run verify bad.fsdb --json
json "faults are told as JSON" "$err"
has "with an offset" '"offset":' "$err"
run get bad.fsdb a --json -o verify_on_open=true
exits "a damaged file is not opened" 3
has "and is told as corrupt" "AKV_CORRUPT" "$err"
head -c 39 s.fsdb >short.fsdb
run verify -e fused short.fsdb
exits "a cut file is a failure" 3
: >empty.fsdb
run verify -e fused empty.fsdb
exits "an empty file is a failure" 3

# compact, checkpoint
run compact s.fsdb
exits "compact with nothing to do is fine" 0
run compact s.fsdb --json
json "compact --json is JSON" "$out"
run checkpoint s.fsdb copy.fsdb
exits "checkpoint is fine" 0
ok "and copies the file" cmp -s s.fsdb copy.fsdb
run checkpoint s.fsdb copy.fsdb
exits "checkpoint onto something fails" 3
run checkpoint s.fsdb copy2.fsdb --json
json "checkpoint --json is JSON" "$out"

# folders and disks that refuse
mkdir closed
chmod 0 closed
if [ "$(id -u)" = 0 ]; then
    skip "an unreadable folder is a failure" "root reads all"
else
    run get closed/s.fsdb a
    exits "an unreadable folder is a failure" 3
fi
run put --create -e fused no/such/folder/x.fsdb k v
exits "a folder that is not there is a failure" 3
has "and it is named" "no/such/folder" "$err"
run put --create -e fused /proc/x.fsdb k v
exits "a folder that takes no files is a failure" 3
run get s.fsdb/x a
exits "a path below a file is a failure" 3
if [ -c /dev/full ]; then
    "$ANYKV" scan s.fsdb >/dev/full 2>.err
    is "output onto a full disk is a failure" 3 $?
    "$ANYKV" export s.fsdb --json >/dev/full 2>.err
    is "so is an export" 3 $?
    json "which is told as JSON" "$(cat .err)"
    run export s.fsdb /dev/full
    exits "and one to a file" 3
else
    skip "output onto a full disk is a failure" "no /dev/full"
fi
numbered_lines 3000 >big.ndjson
(
    trap '' XFSZ
    ulimit -f 64
    "$ANYKV" import -e fused --replace s.fsdb big.ndjson >.out2 2>.err2
)
is "a file that may not grow is a failure" 3 $?
ok "which leaves the old file" cmp -s s.fsdb copy.fsdb
is "and nothing beside it" "" "$(find . -name 's.fsdb?*')"

# bench
for engine in fused memory; do
    run bench -e $engine --n 200 --value-size 20
    exits "bench of $engine is fine" 0
    has "and reads in order" "readseq" "$out"
    run bench -e $engine --n 200 --json
    json "bench --json of $engine is JSON" "$(echo "$out" | tr -d '\n')"
done
TMPDIR=$dir/tmp
mkdir tmp
export TMPDIR
run bench -e fused --n 50
is "bench leaves nothing" "" "$(ls tmp)"
run bench
exits "bench without an engine is wrong use" 2
run bench -e fused --n 50 kept.fsdb
ok "bench at a path leaves the store" test -f kept.fsdb

done_testing
