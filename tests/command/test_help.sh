#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# help, version, options, engines; the manual and completion name all there is.
# shellcheck source=tests/command/lib disable=SC1091,SC2154
. "$(dirname "$0")/lib"

commands="get put del scan count stats verify compact import export convert checkpoint
options engines bench version help"

run
exits "no command is wrong use" 2
has "no command points at help" "anykv help" "$err"
run frobnicate
exits "an unknown command is wrong use" 2
has "an unknown command is named" "'frobnicate'" "$err"
run fused frobnicate --json
exits "an unknown second word is wrong use" 2
json "that is told as JSON" "$err"
for words in "fused --help" "fused -h" "help fused"; do
    read -ra ask <<<"$words"
    run "${ask[@]}"
    exits "$words is fine" 0
    has "$words lists the commands under it" "fused build" "$out"
    is "$words lists no other" "" "$(echo "$out" | grep '^  get')"
done
run --version
exits "--version works" 0
has "--version names anykv" "anykv " "$out"
run version --json
json "version --json is JSON" "$out"
run help --json
json "help --json is JSON" "$out"

# Commands of two words; those of an engine that is not built in are not there.
under=("fused build" "fused info" "fused lookup")
case " $ANYKV_ENGINES " in
*" fused "*) under+=("fused objects" "fused watch" "fused merge") ;;
esac
case " $ANYKV_ENGINES " in
*" lsm "*) under+=("lsm dump" "lsm repair") ;;
esac

run help
list=$out
man=$(cat "$root/docs/anykv.1")
for c in $commands "${under[@]}"; do
    has "help lists $c" "  $c " "$list"
done
while read -r c; do
    read -ra words <<<"$c"
    run "${words[@]}" --help
    exits "$c --help is fine" 0
    has "$c --help shows an example" "Examples:" "$out"
    has "$c --help shows how it is called" "Usage: anykv $c" "$out"
    run help "${words[@]}"
    exits "help $c is fine" 0
    run "${words[@]}" --no-such-option
    exits "$c refuses an unknown option" 2
    has "$c names the unknown option" "--no-such-option" "$err"
    has "the manual tells of $c" ".It Cm $c" "$man"
    run help --words "${words[@]}"
    for word in $out; do
        word=${word%%=*}
        has "the manual tells of $c $word" " ${word#-}" "$man"
    done
done < <(echo "$commands" | tr ' ' '\n'; printf '%s\n' "${under[@]}")

run options
exits "options is fine" 0
has "options lists the common ones" "sync" "$out"
run options --json
json "options --json is JSON" "$out"
for engine in $ANYKV_ENGINES; do
    run options "$engine" --json
    json "options $engine --json is JSON" "$out"
    run options "$engine" --man
    has "options $engine --man is mdoc" ".Bl -tag" "$out"
    has "the manual has the options of $engine as they are" "$out" "$man"
done
run options --man
has "the manual has the common options as they are" "$out" "$man"
run options no-such
exits "options of an unknown engine is wrong use" 2
has "options of an unknown engine names it" "no-such" "$err"
run options no-such --json
json "that is told as JSON" "$err"

case " $ANYKV_ENGINES " in
*" fused "*)
    run fused
    exits "a group without a command is wrong use" 2
    has "which tells its commands" "usage: anykv fused build" "$err"
    run fused --json
    exits "as JSON too" 2
    json "which is JSON" "$err"
    has "and says what is missing" "needs a command" "$err"
    ;;
esac

run engines
has "engines tells what letters mean" "N: native" "$out"
run engines --json
json "engines --json is JSON" "$out"
run engines --names
is "engines --names lists those of the build" "$(echo "$ANYKV_ENGINES" | tr ' ' '\n' | sort)" \
    "$(echo "$out" | sort)"

# Completion, by calling its function as the shell would.
# shellcheck disable=SC1091
. "$root/docs/completion/anykv.bash"
complete_words() {
    COMP_WORDS=("$ANYKV" "$@")
    COMP_CWORD=$#
    _anykv
    printf '%s ' "${COMPREPLY[@]-}"
}
has "completion knows the commands" "verify " "$(complete_words ver)"
has "completion knows second words" "build " "$(complete_words fused b)"
has "completion knows options" "--prefix " "$(complete_words scan --pre)"
has "completion knows choices" "always " "$(complete_words put --sync al)"
has "completion knows choices after =" "always " "$(complete_words put --sync = al)"
has "completion knows engines" "${ANYKV_ENGINES%% *}" "$(complete_words import -e '')"
has "completion knows options by name" "sync" "$(complete_words put -o sy)"
touch some-file.fsdb
has "completion offers files" "some-file.fsdb" "$(complete_words get some-)"

done_testing
