#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# fused build, fused info and fused lookup.
# shellcheck source=tests/command/lib disable=SC1091,SC2154
. "$(dirname "$0")/lib"
need fused

printf 'prefix,org\n01,Alpha\n02,Beta\n03,Alpha\n' >t.csv
run fused build t.fsdb --input t.csv
exits "fused build is fine" 0
has "and counts" "3 records" "$out"
run fused info t.fsdb
exits "fused info is fine" 0
has "equal objects are one" "num_objects    2" "$out"
has "keys are three" "num_keys       3" "$out"
run fused info t.fsdb --json
json "fused info --json is JSON" "$out"
has "with the original's names" '"file_size_kb":' "$out"
run get t.fsdb 03
is "values are documents" '{"org":"Alpha"}' "$out"
run fused build u.fsdb --input t.csv -o dedupe=false
run fused info u.fsdb
has "unless told otherwise" "num_objects    3" "$out"

run stats t.fsdb
for figure in path version num_keys num_objects index_offset data_offset file_size file_crc32; do
    has "stats have the original's $figure" $'\n'"$figure " $'\n'"$out"
done

# The same records in every form, of which the key and two columns are taken.
records='"k":"01","org":"Alpha","n":7,"no":0'
printf '{%s}\n' "$records" >r.ndjson
printf '[{%s}]\n' "$records" >r.json
printf 'k,org,n,no\n01,Alpha,7,0\n' >r.csv
printf 'k\torg\tn\tno\n01\tAlpha\t7\t0\n' >r.tsv
for form in ndjson json csv tsv; do
    run fused build "$form.fsdb" "r.$form" --key k --columns org,n
    exits "fused build from $form is fine" 0
    run get "$form.fsdb" 01
    has "and takes the columns named of $form" '{"org":"Alpha","n":' "$out"
    ok "and no others of $form" test "${out#*no}" = "$out"
done
run fused build x.fsdb r.ndjson --key k --columns n,none,k
run get x.fsdb 01
is "in the order named, without those that are not there" '{"n":7,"k":"01"}' "$out"
run fused build x.fsdb r.ndjson --key k --columns n,n
exits "a column twice is wrong use" 2
run fused build x.fsdb r.ndjson --columns n
exits "and so are columns without a key" 2

run fused objects t.fsdb
exits "fused objects is fine" 0
is "and prints each object once, by its first key" $'40\t{"org":"Alpha"}\n59\t{"org":"Beta"}' "$out"
run fused objects t.fsdb --json
json "fused objects --json is JSON" "$out"
has "a line each" '{"offset":59,"value":{"org":"Beta"}' "$out"

# The bytes that the format's description gives for {"v":1} under "k".
echo '{"key":"k","value":{"v":1}}' | "$ANYKV" fused build one.fsdb -q -o hash_section=false
is "the bytes are those of the format" \
    465344420200000000000001000000010000000000000034000000000000002\
81ecc24ac0000000000000004a279d7f381a1760100016b0000000000000028 \
    "$(od -An -v -tx1 one.fsdb | tr -d ' \n')"
run fused info t.fsdb
has "a store has a hash section" "section        used" "$out"
run fused info one.fsdb
has "unless told otherwise" "section        none" "$out"
: | "$ANYKV" fused build none.fsdb -q --format ndjson
is "an empty store is a bare header" 40 "$(wc -c <none.fsdb | tr -d ' ')"

cp t.fsdb before.fsdb
printf 'prefix,org\n01,Alpha\n02\n' >ragged.csv
run fused build t.fsdb --input ragged.csv --json
exits "a ragged row fails" 3
json "which is told as JSON" "$err"
has "with the row" "row 3" "$err"
ok "and leaves the old file" cmp -s t.fsdb before.fsdb
run fused build t.fsdb --input t.csv --key none
exits "a missing column fails" 3
run fused build
exits "fused build without a file is wrong use" 2
key=$(printf '%65536s' '' | tr ' ' k)
echo "{\"key\":\"$key\",\"value\":1}" | "$ANYKV" fused build long.fsdb >.out 2>.err
is "a key over the limit fails" 3 $?
ok "and leaves nothing" test ! -e long.fsdb
has "and tells the line" "line 1" "$(cat .err)"

# Addresses among blocks.
printf 'block,net\n10.0.0.0/8,ten\n10.1.0.0/16,one\n2001:db8::/32,doc\nmoon,none\n' >ip.csv
run fused build ip.fsdb --input ip.csv -q
run fused lookup ip.fsdb 10.1.2.3
exits "fused lookup is fine" 0
is "and prints the longest block" $'10.1.2.3\t10.1.0.0/16\t{"net":"one"}' "$out"
run fused lookup ip.fsdb ::ffff:10.2.0.0 2001:DB8::1 --json
exits "of several too" 0
json "fused lookup --json is JSON" "$out"
has "with the block" '{"key":"10.0.0.0/8","value":{"net":"ten"}' "$out"
has "and the address" '"address":"2001:DB8::1"' "$out"
run fused lookup ip.fsdb 11.0.0.0 10.0.0.0
exits "an address in no block is absent" 1
has "and told" "'11.0.0.0'" "$err"
has "and the others are answered" "10.0.0.0/8" "$out"
run fused lookup ip.fsdb 11.0.0.0 --json
exits "as JSON too" 1
is "which says so" '{"address":"11.0.0.0","absent":true}' "$out"
run fused lookup ip.fsdb moon
exits "what is no address is a failure" 3
has "and named" "'moon' is no IP address" "$err"
run fused lookup ip.fsdb
exits "fused lookup without an address is wrong use" 2
run fused info ip.fsdb --addresses
exits "fused info --addresses is fine" 0
has "and counts the blocks of IPv4" "ip_v4_keys     2" "$out"
has "of IPv6" "ip_v6_keys     1" "$out"
has "and the keys that are none" "ip_others      1" "$out"
run fused info ip.fsdb -a --json
json "fused info --addresses --json is JSON" "$out"
has "with the same counts" '"ip_v4_keys":2,"ip_v6_keys":1,"ip_others":1}' "$out"
run fused info ip.fsdb
exits "fused info without it is fine" 0
is "and says nothing of addresses" "${out/ip_/}" "$out"

head -c 45 t.fsdb >cut.fsdb
run fused info cut.fsdb --json
exits "fused info of a cut file fails" 3
json "which is told as JSON" "$err"
has "with the offset" '"offset":' "$err"
printf 'FSDB\003' | cat - <(tail -c +6 t.fsdb) >version.fsdb
run fused info version.fsdb
exits "another version fails" 3
has "and is named" "3" "$err"
echo 'not a store' >text.fsdb
run fused info text.fsdb
exits "another kind of file fails" 3

# Damaged and hostile files: no command falls over, and verify tells where.
for file in "$root"/tests/data/fused/x_*.fsdb; do
    name=$(basename "$file")
    for c in scan export count stats "fused info"; do
        read -ra words <<<"$c"
        run "${words[@]}" "$file"
        ok "$c of $name ends as it should" test "$code" -le 3
        [ "$code" = 3 ] && has "$c of $name says why" "$name" "$err"
    done
    run verify -e fused "$file"
    case $name in
    x_flags_pad_reserved.fsdb | x_gap_before_index.fsdb | x_trailing_covered.fsdb)
        exits "verify of $name finds no fault" 0
        ;;
    *)
        exits "verify of $name finds a fault" 3
        has "and tells where in $name" "at offset" "$err"
        ;;
    esac
done

# What can be read of a damaged file can be copied out of it.
run convert "$root/tests/data/fused/x_offset_out_of_bounds.fsdb" -e fused rest.fsdb
exits "convert of a damaged file fails" 3
run convert --salvage "$root/tests/data/fused/x_offset_out_of_bounds.fsdb" -e fused rest.fsdb
exits "convert --salvage copies the rest" 0
has "and says what it left out" "1 left out: unreadable" "$out"
run verify rest.fsdb
exits "into a sound file" 0

done_testing
