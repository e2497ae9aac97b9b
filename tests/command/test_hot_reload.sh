#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The hot reload example: a file replaced under threads that read it.
# shellcheck source=tests/command/lib disable=SC1091,SC2154
. "$(dirname "$0")/lib"
need fused
ANYKV=${ANYKV_BUILD:?}/examples/hot_reload

TMPDIR=$dir run
exits "no read is dropped or sees two files" 0
has "each release is swapped in" "generation 21" "$out"
has "none was dropped" "dropped    0" "$out"
has "the bad release was refused and told" "refused    " "$out"
ok "threads read meanwhile" test "$(printf '%s\n' "$out" | sed -n 's/^reads *\([0-9]*\).*/\1/p')" -gt 100
is "nothing is left behind" "" "$(ls "$dir")"

run --threads 1 --reloads 3 kept.fsdb
exits "on a path that was named" 0
ok "the file is kept there" test -s kept.fsdb
run nowhere/f.fsdb
exits "a folder that is not there is a failure" 1
has "that names it" "nowhere" "$err"
run --threads 0
exits "no thread is wrong use" 2

done_testing
