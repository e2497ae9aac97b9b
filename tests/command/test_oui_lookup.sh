#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The OUI example: IEEE's registry on two engines with the same program, and
# what it says of files that are missing or ragged.
# shellcheck source=tests/command/lib disable=SC1091,SC2154
. "$(dirname "$0")/lib"
need fused memory
ANYKV=${ANYKV_BUILD:?}/examples/oui_lookup

printf 'Registry,Assignment,Organization Name,Organization Address\r\n' | tee oui.csv mam.csv oui36.csv >iab.csv
cat >>oui.csv <<'ROWS'
MA-L,00000C,"Cisco Systems, Inc","170 ""West""
Tasman Drive "
MA-L,000142,"Cisco Systems, Inc","170 ""West""
Tasman Drive "
MA-L,70B3D5,Registration Authority,
ROWS
echo 'MA-S,70B3D5E00,Jeaway,' >>oui36.csv

for engine in fused memory; do
    run --engine "$engine" --lookups 20000 "$dir" 00:00:0C:01:02:03 70-b3-d5-e0-00-01 70b3d5f00001 ffffffffffff
    exits "$engine: it runs" 0
    has "$engine: three spellings of four prefixes" "keys        12," "$out"
    has "$engine: quotes and lines in a field" '{"organization":"Cisco Systems, Inc","address":"170 \"West\"\nTasman Drive"}' "$out"
    has "$engine: the longest prefix counts" '70b3d5e00  {"organization":"Jeaway"' "$out"
    has "$engine: else a shorter one" '70b3d5     {"organization":"Registration Authority"' "$out"
    has "$engine: an unknown one is told" "not assigned" "$out"
    has "$engine: look-ups are timed" "akv_get_many, 64 at a time" "$out"
done
run --output kept.fsdb --lookups 0 "$dir"
has "equal organisations are one object" "objects     3," "$out"
ok "--output keeps the file" test -s kept.fsdb

echo 'MA-L,000001,no address' >>mam.csv
run --lookups 0 "$dir"
exits "a ragged row is a failure" 1
has "that names file, row and fields" "mam.csv, row 2: 3 fields, not 4" "$err"
mkdir empty
run empty
exits "no data is a failure" 1
has "that names the package" "Debian package ieee-data" "$err"

if [ -r /usr/share/ieee-data/oui.csv ]; then
    run --lookups 200000
    exits "IEEE's own data" 0
    keys=$(printf '%s\n' "$out" | sed -n 's/^keys *\([0-9]*\).*/\1/p')
    objects=$(printf '%s\n' "$out" | sed -n 's/^objects *\([0-9]*\).*/\1/p')
    ok "tens of thousands of keys" test "${keys:-0}" -gt 50000
    ok "share far fewer objects" test "$((${objects:-0} * 3))" -lt "${keys:-0}"
else
    skip "IEEE's own data" "ieee-data is not installed"
fi

done_testing
