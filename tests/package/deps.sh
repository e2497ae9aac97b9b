#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a target needs: named and left to the user, or named and installed.
# A machine that lacks a package is made of programs put first in PATH; nothing
# of this one is changed.
# shellcheck source=tests/package/lib.bash
. "${ANYKV_ROOT:?}/tests/package/lib.bash"

bin=$tmp/bin
mkdir "$bin"
# fake NAME: a program whose script is standard input.
fake() { { echo '#!/bin/sh'; cat; } >"$bin/$1" && chmod +x "$bin/$1"; }
# cmocka is there once apt-get has been asked for it.
fake pkg-config <<'SH'
case "$*" in *cmocka*) [ -e "$FAKE/installed" ] ;; esac
SH
fake apt-get <<'SH'
echo "apt-get $*" >>"$FAKE/calls"
case "$*" in *libcmocka-dev*) : >"$FAKE/installed" ;; esac
SH
fake sudo <<'SH'
echo "sudo $*" >>"$FAKE/calls"
exec "$@"
SH
fake id <<'SH'
echo "$FAKE_ID"
SH
# deps USER-ID [VARIABLE=VALUE...]: leaves $out, $code and what was called in $calls.
deps() {
    local user=$1
    shift
    rm -f "$tmp/installed" "$tmp/calls"
    touch "$tmp/calls"
    out=$(env -u CI -u DEPS PATH="$bin:$PATH" FAKE="$tmp" FAKE_ID="$user" "$@" "$root/.ci/deps" cmocka zlib 2>&1)
    code=$?
    calls=$(cat "$tmp/calls")
}
installs() { [ "$code" = 0 ] && [[ $out == *libcmocka-dev* && $calls == *"install"*libcmocka-dev* ]]; }
by_sudo() { [[ $calls == "sudo apt-get"* ]]; }
only_the_missing() { [[ $calls != *zlib1g-dev* ]]; }
stops_with_a_command() { [ "$code" != 0 ] && [[ $out == *"sudo apt-get install libcmocka-dev"* && -z $calls ]]; }

deps 1000
ok "without the right to install, one command is told and nothing is run" stops_with_a_command
deps 0
ok "root installs what is missing after naming it" installs
ok "and no more than that" only_the_missing
deps 1000 CI=true
ok "CI installs" installs
ok "by sudo when it is not root" by_sudo
deps 1000 DEPS=install
ok "DEPS=install installs" installs
: >"$tmp/installed"
deps_there() { PATH="$bin:$PATH" FAKE="$tmp" FAKE_ID=1000 "$root/.ci/deps" cmocka zlib; }
ok "nothing is said when all is there" test -z "$(deps_there 2>&1)"
finish
