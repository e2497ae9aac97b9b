#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A build with one engine holds that engine alone and is whole.
# shellcheck source=tests/package/lib.bash
. "${ANYKV_ROOT:?}/tests/package/lib.bash"

build_it() { "${ANYKV_MAKE:-make}" -C "$root" BUILD="$tmp/$1" ENGINES="$1" CFLAGS=-O0 -j2; }
lists_only() { [ "$("$tmp/$1/anykv" engines | grep -cE '^(fused|lsm|memory)')" = 1 ] && "$tmp/$1/anykv" engines | grep -q "^$1"; }
has_no_trace() { ! nm "$tmp/$1/libanykv.a" 2>/dev/null | grep -q "akvi_$2\$"; }
tests_of() { "${ANYKV_MAKE:-make}" -C "$root" BUILD="$tmp/$1" ENGINES="$1" -n check-programs | grep -oE 'unit/test_[a-z0-9_]+\.o'; }
tests_fit() {
    local all
    all=$(tests_of "$1")
    [[ $all == *unit/test_env_memory.o* && $all == *"unit/test_$1"* && $all != *"unit/test_$2"* ]]
}
unknown_is_told() { "${ANYKV_MAKE:-make}" -C "$root" BUILD="$tmp/x" ENGINES=nosuch 2>&1 | grep -q "ENGINES names 'nosuch'"; }

for pair in "memory fused" "fused memory" "lsm memory"; do
    read -r e other <<<"$pair"
    [ -d "$root/engines/$e" ] || continue
    ok "make ENGINES=$e builds" build_it "$e"
    ok "the command lists $e only" lists_only "$e"
    ok "nothing of $other is in it" has_no_trace "$e" "$other"
    ok "all tests are built but those of $other" tests_fit "$e" "$other"
done
ok "an unknown engine is told at once" unknown_is_told
finish
