#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The big build example, a tenth of its size in a tenth of its memory.
# shellcheck source=tests/command/lib disable=SC1091,SC2154
. "$(dirname "$0")/lib"
need fused
ANYKV=${ANYKV_BUILD:?}/examples/big_build

# Under a sanitizer memory says nothing of the program.
keys=2000000 limit=32
nm "$ANYKV" 2>/dev/null | grep -q '__asan_init\|__tsan_init' && keys=200000 limit=100000
TMPDIR=$dir run --keys $keys --objects $((keys / 20)) --buffer 24 --limit $limit
exits "a build larger than its buffer keeps to its memory" 0
has "all keys are there" "keys        $keys," "$out"
is "nothing is left behind" "" "$(ls "$dir")"
TMPDIR=$dir run --keys 100000 --objects 1000 --buffer 1 --plain kept.fsdb
exits "on a path that was named" 0
ok "the file is kept there" test -s kept.fsdb
run --keys 100000 --objects 10 --limit 1 kept.fsdb
exits "more memory than allowed is a failure" 1
run nowhere/f.fsdb --keys 10 --objects 10
exits "a folder that is not there is a failure" 1
has "that names it" "nowhere" "$err"
run --keys none
exits "no number is wrong use" 2

done_testing
