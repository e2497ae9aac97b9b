#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# MaxMind databases become .fsdb files that answer as libmaxminddb does.
# shellcheck source=tests/command/lib disable=SC1091,SC2154
. "$(dirname "$0")/lib"
mmdb=${ANYKV_BUILD:?}/tests/command/mmdb

if [ ! -x "$mmdb" ]; then
    : >any.mmdb
    run import -e "${ANYKV_ENGINES%% *}" any.db any.mmdb
    exits "a build without libmaxminddb reads no MaxMind database" 3
    has "and says what it lacks" "without libmaxminddb" "$err"
    ok "and leaves no store" test ! -e any.db
    done_testing
    exit 0
fi
need fused

same() { contains ": the same" "$("$mmdb" compare "$1" "$2" 2>&1)"; } # .mmdb, .fsdb
for kind in v4 v6; do
    for bits in 24 28 32; do
        "$mmdb" make $kind t.mmdb $bits $bits
        run fused build t.fsdb t.mmdb
        exits "a database of $kind with records of $bits bits is read" 0
        ok "and every network answers the same" same t.mmdb t.fsdb
    done
done
run fused info t.fsdb
has "each record is one object" "num_objects    40" "$out"
run fused lookup t.fsdb "$("$ANYKV" scan --limit 1 t.fsdb | cut -d/ -f1)"
has "which is a document" '"number":' "$out"
run verify t.fsdb
exits "and the file is sound" 0
run import --format mmdb -e fused u.fsdb t.mmdb
exits "import reads it too" 0
ok "to the same file" cmp -s t.fsdb u.fsdb
"$mmdb" make whole w.mmdb
run fused build w.fsdb w.mmdb
ok "a network around all of IPv4 is that too" same w.mmdb w.fsdb
run get w.fsdb 0.0.0.0/0
is "under its IPv4 name" '"rest"' "$out"
"$mmdb" make empty e.mmdb
run fused build e.fsdb --input e.mmdb
exits "one without networks is fine" 0
run count e.fsdb
is "and has no keys" 0 "$out"

run fused build no.fsdb t.mmdb --key number
exits "--key is wrong use" 2
run fused build no.fsdb t.mmdb --input t.mmdb
exits "so are two inputs" 2
run fused build no.fsdb --format mmdb <t.mmdb
exits "so is standard input" 2
run fused build no.fsdb none.mmdb
exits "no file is a failure" 3
has "that names it" "none.mmdb" "$err"
echo text >text.mmdb
run fused build no.fsdb text.mmdb --json
exits "so is a file that is no database" 3
json "told as JSON" "$err"
has "with the reason" "no MaxMind database" "$err"

# Damaged and hostile databases: told, soon, and without a file.
for kind in loop meet outside grow deep self key utf8 cut; do
    "$mmdb" make $kind x.mmdb
    run fused build no.fsdb x.mmdb
    exits "a database with '$kind' is refused" 3
    has "with '$kind' and its place" "x.mmdb: network" "$err"
done
size=$(wc -c <t.mmdb)
bad=0
for i in 1 2 3 5 7 9 19; do
    head -c $((size * i / 20)) t.mmdb >x.mmdb
    "$ANYKV" fused build no.fsdb x.mmdb >/dev/null 2>.err
    [ $? = 3 ] && [ -s .err ] || bad=$i
done
is "a cut database is refused" 0 "$bad"
for i in $(seq 1 40); do
    { head -c $((size * i / 41)) t.mmdb; printf '\377\377\377\377'; tail -c +$((size * i / 41 + 5)) t.mmdb; } >x.mmdb
    "$ANYKV" fused build x.fsdb x.mmdb >/dev/null 2>.err
    [ $? -le 3 ] || bad=$i
done
is "a damaged one is read or refused" 0 "$bad"
ok "none of these leaves a file" test ! -e no.fsdb

done_testing
