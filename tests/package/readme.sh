#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The README's program compiles without a warning and does what it shows.
# shellcheck source=tests/package/lib.bash
. "${ANYKV_ROOT:?}/tests/package/lib.bash"

[[ " $ANYKV_ENGINES " == *" fused "* ]] || { echo "1..0 # SKIP the program uses the engine fused"; exit 0; }
awk '/^```c$/ {on = 1; next} /^```$/ && on {exit} on' "$root/README.md" >"$tmp/program.c"
compiles() {
    "${CC:-cc}" -std=c17 -Wall -Wextra -Werror -I"$root/include" -o "$tmp/program" "$tmp/program.c" \
        -L"$build" -lanykv -Wl,-rpath,"$build"
}
prints_luna() { (cd "$tmp" && [ "$(./program)" = Luna ] && [ -s names.fsdb ]); }

ok "the README has a program" test -s "$tmp/program.c"
ok "it compiles" compiles
ok "and finds by one name what another shares" prints_luna
finish
