#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# put, del, import and export on a store that takes writes.
# shellcheck source=tests/command/lib disable=SC1091,SC2154
. "$(dirname "$0")/lib"
need memory

run put m.db k v
exits "put makes no store by itself" 3
has "and says what would" "name the engine" "$err"
run put -e memory m.db k v
exits "nor with the engine named" 3
has "and says what would" "'put --create' makes one" "$err"
run put --create -e memory m.db moon Luna
exits "put --create makes one" 0
run put m.db sun Sol --json
json "put --json is JSON" "$out"
run get m.db moon sun
is "the next runs find both" $'moon\tLuna\nsun\tSol' "$out"
run put m.db moon Selene --if-absent
exits "--if-absent holds back" 3
run put m.db moon Selene --if-value Luna
exits "--if-value lets through" 0
run get m.db moon --format raw
is "and the value is the new one" Selene "$out"
run put m.db doc '{"a": [1, 2]}' --encoding json --ttl 1h
run get m.db doc --json
json "get --json is JSON" "$out"
has "the document is a document" '"value":{"a":[1,2]}' "$out"
has "with its encoding" '"encoding":"json"' "$out"
has "its expiry" '"expiry_ms":' "$out"
has "and its version" '"version":"' "$out"
run get m.db doc
is "which prints as JSON" '{"a":[1,2]}' "$out"
run get m.db doc --format raw
is "and raw as it was stored" '{"a": [1, 2]}' "$out"
run put m.db gone soon --ttl 1ms
sleep 0.1
run get m.db gone
exits "what has expired is absent" 1
printf '\0\1\2' >bytes
run put m.db -x 'b\x00' --file bytes
run get m.db -x 'b\x00'
is "bytes print in hex" 000102 "$out"
run put m.db esc "$(printf 'red\033[31m')"
run get m.db esc
is "so does what would drive a terminal" 7265641b5b33316d "$out"
run get m.db esc --format text
is "or as text with escapes" 'red\x1b[31m' "$out"

# What export writes, import reads back: values, tags, expiries.
run put m.db pretty "$(printf '{\n "x": 1\n}')" --encoding json
run put m.db opaque xyz --encoding opaque
printf '\xc1' >bad-msgpack
run put m.db pack --file bad-msgpack --encoding msgpack
printf '\xcc\x01' >long-form
run get m.db pack
is "a tag that is not true is no matter" c1 "$out"
run put m.db pack2 --file long-form --encoding msgpack
run put m.db quoted '"text"' --encoding json
for format in ndjson json; do
    run export m.db one.$format --format $format
    exits "export to $format is fine" 0
    run import -e memory copy.$format.db one.$format
    exits "import from $format is fine" 0
    run export "copy.$format.db" two.$format --format $format
    # An expiry may come back a moment later.
    sed 's/,"expiry_ms":[0-9]*//' one.$format >one
    sed 's/,"expiry_ms":[0-9]*//' two.$format >two
    ok "$format round trip" cmp -s one two
    has "expiries are kept in $format" '"expiry_ms":' "$(cat two.$format)"
done
run import m.db --format tsv < <(printf 'key\tvalue\nadded\tlate\n')
exits "import adds to a store" 0
run get m.db moon added --format text
is "and keeps what was there" $'moon\tSelene\nadded\tlate' "$out"
run import m.db --replace --format tsv < <(printf 'key\tvalue\nonly\tone\n')
run count m.db
is "--replace drops it" 1 "$out"
run import m.db < <(
    printf '{"key":"x","value":1}\n{"key":"y","value":{"z":2}}\n{"key":"s","value":"t"}\n'
)
run export m.db
has "documents are tagged" '{"key":"y","value":{"z":2},"encoding":"json"}' "$out"
has "strings are not" '{"key":"s","value":"t"}' "$out"
run import m.db --values msgpack < <(printf '{"key":"p","value":[1]}\n')
run get m.db p --format hex
is "--values msgpack packs" 9101 "$out"
run import m.db --values json < <(
    printf '{"key":"p","value":"s"}\n{"key":"q","value":[1],"encoding":"msgpack"}\n'
)
run get m.db p q --format raw
is "--values json makes documents" $'p\t"s"\nq\t[1]' "$out"
run import m.db --values raw < <(printf '{"key":"r","value":[1]}\n')
run get m.db r --json
has "--values raw leaves no tag" '{"key":"r","value":"[1]","version"' "$out"

run del m.db p q
exits "del is fine" 0
run del m.db p --if-present
exits "del --if-present of an absent key is 1" 1
run del m.db x nothing --json
is "del --json" '{"ok":true,"deleted":2}' "$out"
run get m.db x
exits "what is deleted is absent" 1
run verify m.db
exits "verify is fine" 0
run compact m.db
exits "compact is fine" 0
run checkpoint m.db copy.db
exits "checkpoint is fine" 0
run get copy.db only
is "and opens" one "$out"

done_testing
