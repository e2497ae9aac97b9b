#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The shared library exports just what the public headers declare.
# shellcheck source=tests/package/lib.bash
. "${ANYKV_ROOT:?}/tests/package/lib.bash"

so=$build/libanykv.so
nm -D --defined-only "$so" | awk '$2 ~ /[TDBRVW]/ {sub(/@.*/, "", $3); print $3}' | sort -u >"$tmp/exported"
# Declarations begin with AKV_API; the name is the word before the first "(".
headers=(anykv engine env doc)
for e in $ANYKV_ENGINES; do headers+=("$e"); done
for h in "${headers[@]}"; do
    [ -r "$root/include/anykv/$h.h" ] && cat "$root/include/anykv/$h.h"
done | tr '\n' ' ' | grep -oE 'AKV_API [^;(]*\(' | grep -oE 'akv_[a-z0-9_]+ *\($' | tr -d ' (' | sort -u >"$tmp/declared"

only_prefix() { ! grep -v '^akv_' "$tmp/exported"; }
all_declared() { [ -z "$(comm -13 "$tmp/declared" "$tmp/exported")" ] || { comm -13 "$tmp/declared" "$tmp/exported"; false; }; }
all_exported() { [ -z "$(comm -23 "$tmp/declared" "$tmp/exported")" ] || { comm -23 "$tmp/declared" "$tmp/exported"; false; }; }
has_soname() { readelf -d "$so" | grep -q 'SONAME.*libanykv\.so\.0'; }
versioned() { nm -D --defined-only "$so" | grep -q 'akv_open@@ANYKV_0'; }

# What dlopen finds room for: glibc keeps little for libraries that come late.
small_tls() { [ $(($(readelf -lW "$so" | awk '$1 == "TLS" {print $6}') + 0)) -le 128 ]; }

ok "some symbols are exported" test -s "$tmp/exported"
ok "only akv_ symbols are exported" only_prefix
ok "every exported symbol is declared in a public header" all_declared
ok "every declared function is exported" all_exported
ok "the soname counts the ABI" has_soname
ok "symbols carry the version node" versioned
ok "thread-local variables are few, so that dlopen can load it" small_tls
finish
