#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# fused merge: several files made one.
# shellcheck source=tests/command/lib disable=SC1091,SC2154
. "$(dirname "$0")/lib"
need fused
golden=$root/tests/data/fused

run fused merge -o ab.fsdb --plain "$golden/merge_a.fsdb" "$golden/merge_b.fsdb"
exits "fused merge is fine" 0
ok "the bytes are those of the original's merge" cmp ab.fsdb "$golden/merge_ab.fsdb"
run fused merge --output ba.fsdb --plain "$golden/merge_b.fsdb" "$golden/merge_a.fsdb" --json
json "fused merge --json is JSON" "$out"
ok "the order of sources counts" cmp ba.fsdb "$golden/merge_ba.fsdb"
run fused merge -o none.fsdb
is "no source makes an empty file" 40 "$(wc -c <none.fsdb | tr -d ' ')"

printf '{"key":"moon","value":"%s"}\n' Luna | "$ANYKV" fused build -q old.fsdb --format ndjson
printf '{"key":"moon","value":"%s"}\n' Mond | "$ANYKV" fused build -q new.fsdb --format ndjson
run fused merge -o old.fsdb old.fsdb new.fsdb --buffer 1 --temp-dir .
exits "a source can be the output" 0
run get old.fsdb moon
is "the last source counts" '"Mond"' "$out"
run verify old.fsdb
exits "and the file is sound" 0
run fused info old.fsdb
has "with a hash section" "section        used" "$out"

cp ab.fsdb before.fsdb
printf '\1' | dd of=ba.fsdb bs=1 seek=60 conv=notrunc 2>/dev/null
run fused merge -o ab.fsdb new.fsdb ba.fsdb
exits "a damaged source is a failure" 3
has "that names it" "ba.fsdb" "$err"
has "and where" "offset" "$err"
ok "the output is as it was" cmp ab.fsdb before.fsdb
run fused merge -o x.fsdb nowhere.fsdb
exits "so is one that is not there" 3
has "which is named" "nowhere.fsdb" "$err"
run fused merge new.fsdb
exits "no output is wrong use" 2
run fused merge -o x.fsdb --buffer 0 new.fsdb
exits "and so is no memory" 2
ok "nothing is left behind" test "$(echo x.* ./*.tmp-*)" = 'x.* ./*.tmp-*'

done_testing
