#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Each public header compiles alone, as C and as C++, without a warning.
# shellcheck source=tests/package/lib.bash
. "${ANYKV_ROOT:?}/tests/package/lib.bash"

warn=(-Wall -Wextra -Wpedantic -Werror -Wstrict-prototypes)
for header in "$root"/include/anykv/*.h; do
    name=$(basename "$header")
    printf '#include <anykv/%s>\n#include <anykv/%s>\nint x;\n' "$name" "$name" >"$tmp/one.c"
    cp "$tmp/one.c" "$tmp/one.cc"
    ok "$name compiles alone as C17" "${CC:-cc}" -std=c17 "${warn[@]}" -I"$root/include" -fsyntax-only "$tmp/one.c"
    ok "$name compiles alone as C++" "${CXX:-c++}" -std=c++17 -Wall -Wextra -Werror -I"$root/include" -fsyntax-only "$tmp/one.cc"
done
finish
