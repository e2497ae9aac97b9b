#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# import, export, convert: every format in and out, and what is refused.
# shellcheck source=tests/command/lib disable=SC1091,SC2154
. "$(dirname "$0")/lib"
need fused

build() { # file, import options; input on stdin
    local file=$1
    shift
    run import -e fused --replace "$file" "$@"
}

# ndjson
cat >a.ndjson <<'END'
{"key":"moon","value":"Luna"}
{"key":"sun","value":{"name":"Sol","age":4600000000}}

{"key":"tab\tkey","value":[1,2.5,null,true,"x"]}
{"key_hex":"00ff","value_hex":"deadbeef"}
{"key":"","value_base64":"AAEC"}
END
run import -e fused a.fsdb a.ndjson
exits "import of ndjson is fine" 0
has "import tells how many" "5 records" "$out"
run count a.fsdb
is "all lines are there" 5 "$out"
run get a.fsdb sun
is "documents print as JSON" '{"name":"Sol","age":4600000000}' "$out"
run get a.fsdb -x '\x00\xff'
exits "keys of any bytes are found by escapes" 0
run get a.fsdb --key-hex 00ff
exits "and by hex" 0
run get a.fsdb ''
exits "and the empty key" 0

# What export writes, import reads back to the same bytes.
for format in ndjson json; do
    run export a.fsdb "a.$format.out" --format $format
    exits "export of $format is fine" 0
    run import -e fused "b.$format.fsdb" "a.$format.out" --format $format
    exits "import of that $format is fine" 0
    run export "b.$format.fsdb" "b.out" --format $format
    ok "$format survives the round trip" cmp -s "a.$format.out" b.out
    ok "so does the file of $format" cmp -s "b.ndjson.fsdb" "b.$format.fsdb"
done
json "export of ndjson is JSON" "$(cat a.ndjson.out)"
json "export of json is JSON" "$(tr -d '\n' <a.json.out)"

run export a.fsdb --format csv
exits "csv can't hold bytes that are no text" 3
has "and says what to do" "--hex" "$err"
for format in csv tsv; do
    run export a.fsdb "a.$format" --format $format --hex
    exits "export of hex $format is fine" 0
    run import -e fused "c.$format.fsdb" "a.$format" --values keep
    exits "import of hex $format is fine" 0
    run export a.fsdb raw1.out --format $format --hex
    run export "c.$format.fsdb" raw2.out --format $format --hex
    ok "hex $format survives the round trip" cmp -s raw1.out raw2.out
done

# JSON in its three forms, from standard input, the format from the first byte
forms='[["a",1],["b",{"c":[]}]]
[{"key":"a","value":1},{"key":"b","value":{"c":[]}}]
{"a" : 1 , "b": {"c":[]}}'
while read -r form; do
    build j.fsdb --format json - < <(echo "$form")
    exits "import of $form is fine" 0
    run scan j.fsdb
    is "$form holds both" $'a\t1\nb\t{"c":[]}' "$out"
done <<<"$forms"
build j.fsdb --format json < <(echo '[]')
exits "an empty array is fine" 0
run count j.fsdb
is "and gives an empty store" 0 "$out"
build j.fsdb < <(echo '[["k","[\"}{"],["l","x"]]')
exits "brackets in strings do not count" 0
run get j.fsdb k --format text
is "the string is whole" '["}{' "$out"
for bad in '[["a",1]' '[["a",1],]' '[["a"]]' '[["a",1,2]]' '{"a":1,}' '{"a"}' '[1]' '[["a",1]] x' \
    '[["a",01]]' '{a:1}' '' '[[["a"],1]]'; do
    build bad.fsdb --format json < <(printf '%s' "$bad")
    exits "json '$bad' is refused" 3
    ok "and leaves no store: '$bad'" test ! -e bad.fsdb
done

# csv and tsv
printf 'id,name,note\r\n1,"Smith, J","said ""hi"""\r\n2,"two\nlines",\r\n' >t.csv
run import -e fused t.fsdb t.csv
exits "import of csv is fine" 0
run get t.fsdb 1
is "the other columns make the value" '{"name":"Smith, J","note":"said \"hi\""}' "$out"
run get t.fsdb 2
is "cells may hold line ends" '{"name":"two\nlines","note":""}' "$out"
run import -e fused --replace t.fsdb t.csv --key name --value note
run get t.fsdb 'Smith, J' --format text
is "columns can be picked" 'said "hi"' "$out"
run import -e fused --replace t.fsdb t.csv --key nothing
exits "a column that is not there is refused" 3
has "and those that are there are named" "id, name, note" "$err"
run import -e fused --replace t.fsdb t.csv --key name --columns note,id
run get t.fsdb 'Smith, J'
is "the columns of the object can be picked" '{"note":"said \"hi\"","id":"1"}' "$out"
run import -e fused --replace t.fsdb t.csv --columns note,moon
exits "one that is not there is refused" 3
has "and named" "'moon'" "$err"
run import -e fused --replace t.fsdb t.csv --columns note,note
exits "and so is one twice" 3
run import -e fused --replace t.fsdb t.csv --columns note --value note
exits "--columns and --value are wrong use" 2
printf 'key\tvalue\na\\tb\tx\\\\y\n' >t.tsv
run import -e fused --replace t.fsdb t.tsv
run get t.fsdb -x 'a\tb' --format raw
has "tsv escapes are undone" 'x\y' "$out"
build bad.fsdb --format csv < <(printf 'a,b\n1,2\n3\n4,5\n')
exits "a ragged row is refused" 3
has "and its number told" "row 3" "$err"
build bad.fsdb --format csv --json < <(printf 'a,b\n1,2\n3,4,5\n')
json "the ragged row is told as JSON" "$err"
has "with its number" "row 3" "$err"
build bad.fsdb --format csv < <(printf 'a,b\n1,"2\n')
has "a quote that is never closed is told" "row 2" "$err"
build bad.fsdb --format csv < <(printf 'a,b\n1,"2"x\n')
has "text after a quote is told" "row 2" "$err"
build bad.fsdb --format csv < <(printf 'a,a\n1,2\n')
has "a column twice is told" "twice" "$err"
build bad.fsdb --format csv < <(printf 'a,b\n1,\xff\n')
has "invalid UTF-8 in a row is told" "row 2" "$err"
ok "nothing is left of any of those" test ! -e bad.fsdb
build t.fsdb --format csv < <(printf '\xef\xbb\xbfkey,value\nk,v\n')
run get t.fsdb k --format text
is "a byte order mark is no part of the header" v "$out"

# refused lines
build bad.fsdb < <(printf '{"key":"a","value":1}\n{"key":"b","value":"\xff"}\n')
exits "invalid UTF-8 is refused" 3
has "with the line" "line 2" "$err"
build bad.fsdb < <(printf '{"key":"a","value":%s%s}\n' "$(printf '%600s' '' | tr ' ' '[')" \
    "$(printf '%600s' '' | tr ' ' ']')")
exits "JSON too deep is refused" 3
has "with the line and the limit" "512" "$err"
for bad in '{"key":"a"}' '{"value":1}' '{"key":"a","value":1,"vaule":2}' '{"key":"a","value":1} x' \
    '{"key":"a","value_hex":"0"}' '{"key":1.5,"value":1}' '{"key":"a","value":1,"encoding":"xml"}' \
    '{"key":"a","value":1,"expiry_ms":-1}' 'true' '{"key":"a","value":"\ud800"}'; do
    build bad.fsdb --format ndjson < <(echo "$bad")
    exits "ndjson $bad is refused" 3
    has "and its line told" "line 1" "$err"
done
ok "nothing is left of any of those" test ! -e bad.fsdb
build bad.fsdb < <(echo 'hello')
exits "an input that tells no format is wrong use" 2

# whole objects as values
build o.fsdb --key id < <(echo '{"id":7,"name":"x"}')
run get o.fsdb 7
is "--key takes whole objects" '{"id":7,"name":"x"}' "$out"
build o.fsdb --key id < <(echo '{"name":"x"}')
has "an object without the key is told" '"id"' "$err"

# numbers that MessagePack can't hold
build n.fsdb < <(echo '{"key":"n","value":0.1000000000000000055511151231257827}')
exits "a number that would change is refused" 3
build n.fsdb --lossy < <(echo '{"key":"n","value":0.1000000000000000055511151231257827}')
exits "unless --lossy" 0
build n.fsdb < <(echo '{"key":"n","value":18446744073709551615}')
run get n.fsdb n
is "2^64-1 is exact" 18446744073709551615 "$out"

# an existing store
cp n.fsdb before
echo '{"key":"n","value":1}' >one.ndjson
run import n.fsdb one.ndjson
exits "a finished file can't be added to" 3
has "and says what to do" "--replace" "$err"
run import -e fused --replace n.fsdb bad-name.ndjson
exits "a missing input fails" 3
ok "and leaves the old file" cmp -s n.fsdb before
build n.fsdb < <(printf '{"key":"n","value":1}\n{')
exits "a bad last line fails" 3
ok "and leaves the old file as well" cmp -s n.fsdb before
is "and nothing beside it" "" "$(find . -name 'n.fsdb?*')"

# a long input, to cross the reader's blocks and batches
numbered_lines 20000 >long.ndjson
run import -e fused long.fsdb long.ndjson --json
exits "a long input is fine" 0
json "import --json is JSON" "$out"
has "and counts" '"written":20000' "$out"
run get long.fsdb 013999 --format text
is "a value deep in it is right" "$(printf '%0100d' 13999)" "$out"

# convert
run convert long.fsdb -e fused copy.fsdb
exits "convert is fine" 0
ok "convert copies byte by byte" cmp -s long.fsdb copy.fsdb
run convert long.fsdb -e fused copy.fsdb
exits "convert does not add to a file" 3
run convert long.fsdb -e fused copy.fsdb --replace --json
json "convert --json is JSON" "$out"
run convert nothing.fsdb -e fused other.fsdb
exits "convert of nothing fails" 3
ok "and makes nothing" test ! -e other.fsdb

case " $ANYKV_ENGINES " in
*" memory "*)
    run convert long.fsdb memory:
    exits "convert into memory is fine" 0
    run import memory: a.ndjson
    exits "import into memory is fine" 0
    echo '{"key":"k","value":"v","expiry_ms":4102444800000}' >ttl.ndjson
    run import memory: ttl.ndjson
    exits "memory keeps an expiry" 0
    ;;
esac
echo '{"key":"k","value":"v","expiry_ms":4102444800000}' >ttl.ndjson
run import -e fused ttl.fsdb ttl.ndjson
exits "an expiry that can't be kept is refused" 3
has "naming what lacks" "ttl" "$err"
run import -e fused ttl.fsdb ttl.ndjson --drop-expiry
exits "unless it may be dropped" 0
echo '{"key":"k","value":"v","expiry_ms":1000}' >ttl.ndjson
run import -e fused --replace ttl.fsdb ttl.ndjson
has "what has expired is left out" "1 left out" "$out"

done_testing
