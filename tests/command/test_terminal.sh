#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The progress bar: on a terminal and only there. Interruption takes a build
# back.
# shellcheck source=tests/command/lib disable=SC1091,SC2154
. "$(dirname "$0")/lib"
need fused

numbered_lines 5000 >in.ndjson
if script --version 2>/dev/null | grep -q util-linux; then
    on_terminal() { script -qec "$*" /dev/null </dev/null; }
    has "fused build shows a bar" "ETA" "$(on_terminal "'$ANYKV' fused build a.fsdb -i in.ndjson")"
    has "import shows a bar" "ETA" "$(on_terminal "'$ANYKV' import -e fused b.fsdb in.ndjson")"
    has "convert shows a bar" "ETA" "$(on_terminal "'$ANYKV' convert -e fused a.fsdb c.fsdb")"
    has "verify shows a bar" "ETA" "$(on_terminal "'$ANYKV' verify a.fsdb")"
    quiet=$(on_terminal "'$ANYKV' verify -q a.fsdb")
    is "--quiet shows none" "" "$quiet"
else
    skip "the bar" "no script program"
fi
run import -e fused --replace b.fsdb in.ndjson
is "no bar off a terminal" "" "$err"

# A build that waits for more input, interrupted.
cp b.fsdb before.fsdb
mkfifo pipe
"$ANYKV" fused build b.fsdb --format ndjson -i pipe >.out 2>.err &
pid=$!
exec 9>pipe
head -n 100 in.ndjson >&9
sleep 0.2
kill -TERM $pid
exec 9>&-
wait $pid
is "an interrupted build is a failure" 3 $?
ok "which leaves the old file" cmp -s b.fsdb before.fsdb
is "and nothing beside it" "" "$(find . -name 'b.fsdb?*')"

# A file over the limit of its size is told, and cleared away.
size_limited() (ulimit -f 8; "$ANYKV" "$@") >.out 2>.err
size_limited import -q -e fused --replace b.fsdb in.ndjson
is "a build over the limit of a file's size is a failure" 3 $?
has "which says so" "File too large" "$(cat .err)"
ok "and leaves the old file" cmp -s b.fsdb before.fsdb
is "and nothing beside that" "" "$(find . -name 'b.fsdb?*')"

done_testing
