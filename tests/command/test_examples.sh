#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The examples run, and print what they should. (The OUI example has a test of
# its own.)
# shellcheck source=tests/command/lib disable=SC1091,SC2154
. "$(dirname "$0")/lib"

example() {
    ANYKV=${ANYKV_BUILD:?}/examples/$1
    shift
    TMPDIR=$dir run "$@"
}

example own_engine
exits "an engine of one's own passes the conformance suite" 0
has "it is used like any other" "# apple is red" "$out"
has "and its range was deleted by emulation" "# pear is green
TAP version 13" "$out"
ok "hundreds of cases ran" test "$(printf '%s\n' "$out" | grep -c '^ok ')" -gt 150
ok "and none failed" test "$(printf '%s\n' "$out" | grep -c '^not ok ')" -eq 0

has_engine() { contains " $1 " " $ANYKV_ENGINES "; }
if has_engine fused && has_engine memory; then
    example two_engines
    exits "one program runs on two engines" 0
    has "the answers are equal" "memory and fused gave the same" "$out"
    has "a range from the far end" "reverse  planet/venus: 108.2 Mkm, no moon" "$out"
    is "nothing is left behind" "" "$(ls "$dir")"
    example two_engines "$dir/planets.fsdb"
    exits "on a path that was named" 0
    ok "the file is kept there" test -s "$dir/planets.fsdb"
    example two_engines "$dir/nowhere/planets.fsdb"
    exits "a folder that is not there is a failure" 1
    has "that names it" "nowhere" "$err"
else
    skip "one program runs on two engines" "this build has just: $ANYKV_ENGINES"
fi
done_testing
