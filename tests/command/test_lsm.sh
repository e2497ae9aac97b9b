#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# lsm repair, and import --from fastkv.
# shellcheck source=tests/command/lib disable=SC1091,SC2154
. "$(dirname "$0")/lib"
need lsm

# A folder as FastKV writes it.
run import --from fastkv "$root/tests/data/fastkv" new
exits "a folder of FastKV's is imported" 0
has "and counts" "2 entries of 1 tables, 1 records of 1 logs, 0 faults" "$out"
run scan new --json
is "all of it, JSON as JSON" '{"key":"a","value":1,"encoding":"json"}
{"key":"b","value":"x","encoding":"json"}
{"key":"hello","value":"world","encoding":"json"}' "$out"
cp -R "$root/tests/data/fastkv" bad
chmod -R u+w bad
printf 'xxxx' >>bad/wal/wal_1700000000000_1234.log
run import --from fastkv bad more --json
exits "a fault is a failure" 3
json "which is told as JSON" "$err"
has "with the file" "wal_1700000000000_1234.log" "$err"
has "and counted" '"faults":1' "$out"
run count more
is "but the rest is imported" 3 "$out"
run import --from fastkv . none
exits "what is no folder of FastKV's is refused" 3
run import --from fastkv bad
exits "the store must be named" 2

# Repair.
numbered_lines 500 | "$ANYKV" import -q -e lsm s --format ndjson
run lsm repair s
exits "a whole store is repaired" 0
is "with no fault" "repaired; 0 faults" "$out"
rm s/CURRENT
run get s 000007
exits "a store without CURRENT does not open" 3
run lsm repair s --json
exits "until it is repaired" 0
json "which is told as JSON" "$out"
has "with what was wrong" "no CURRENT" "$err"
run count s
is "and all is there" 500 "$out"
rm s/CURRENT s/MANIFEST-*
run lsm repair s -q
exits "a store without a manifest is repaired too" 0
run verify s
exits "and is sound" 0
run count s
is "with all there is" 500 "$out"
run lsm repair none.at.all
exits "what is not there can't be" 3

# What the files hold.
echo '{"key":"k","value":"hi"}' | "$ANYKV" import -q -e lsm d --format ndjson
run del d k
run lsm dump d
exits "a store is dumped" 0
has "with its manifest" "MANIFEST-" "$out"
has "the tables that edits add" "  added at=" "$out"
has "old versions of entries" $'put sequence=1\tk\thi' "$out"
has "and tombstones" $'delete sequence=2\tk' "$out"
run lsm dump d --json
json "as JSON too" "$out"
has "with keys and values" '"sequence":1,"key":"k","value":"hi"' "$out"
table=$(echo d/*.sst)
run lsm dump "${table%% *}" --no-values
exits "so is a file" 0
has "with its properties" "  properties number=" "$out"
printf 'x' | dd of="${table%% *}" bs=1 seek=3 conv=notrunc 2>/dev/null
run lsm dump "${table%% *}" --json
exits "a damaged one fails" 3
json "which is told as JSON" "$err"
has "but its properties are printed" '"kind":"properties"' "$out"
run lsm dump d/CURRENT
exits "what is none of them is refused" 3

done_testing
