# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the packaging tests share: TAP output and a temporary folder. Sourced.
set -u
# Rules of a make that runs this test are not for the makes that it runs.
unset MAKEFLAGS MFLAGS MAKELEVEL
root=${ANYKV_ROOT:?run by make check}
build=${ANYKV_BUILD:?run by make check}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
tap_n=0 tap_bad=0

# ok NAME COMMAND...: a test that passes when the command does.
ok() {
    local name=$1
    shift
    tap_n=$((tap_n + 1))
    if "$@" >"$tmp/out" 2>&1; then
        echo "ok $tap_n - $name"
    else
        echo "not ok $tap_n - $name"
        sed 's/^/# /' "$tmp/out"
        tap_bad=1
    fi
}

finish() {
    echo "1..$tap_n"
    exit $tap_bad
}
