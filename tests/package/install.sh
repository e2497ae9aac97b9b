#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# An installed copy builds and runs an example through pkg-config: shared,
# static, and with the archive of one engine. DESTDIR, PREFIX and LIBDIR hold.
# shellcheck source=tests/package/lib.bash
. "${ANYKV_ROOT:?}/tests/package/lib.bash"

out=$tmp/dest
libdir=/opt/anykv/lib64
install_it() {
    "${ANYKV_MAKE:-make}" -C "$root" BUILD="$tmp/build" ENGINES="$ANYKV_ENGINES" CFLAGS=-O0 -j2 \
        DESTDIR="$out" PREFIX=/opt/anykv LIBDIR="$libdir" install
}
pc() {
    PKG_CONFIG_SYSROOT_DIR=$out PKG_CONFIG_PATH=$out$libdir/pkgconfig pkg-config "$@"
}
# compile NAME SOURCE pkg-config arguments...
compile() {
    local name=$1 source=$2 flags
    shift 2
    flags=$(pc --cflags --libs "$@") || return 1
    # shellcheck disable=SC2086
    "${CC:-cc}" -std=c17 -o "$tmp/$name" "$source" $flags
}
has_engine() { [[ " $ANYKV_ENGINES " == *" $1 "* ]]; }
only_under_prefix() { [ "$(cd "$out" && ls)" = opt ] && [ "$(cd "$out/opt" && ls)" = anykv ]; }
# An engine of one's own needs the suite as well.
compile_own() {
    compile own "$root/examples/own_engine.c" --static anykv-conformance
}
# The description of anykv-E.pc is what the command says of E.
described() {
    local line
    line=$(sed -n 's/^Description: //p' "$out$libdir/pkgconfig/anykv-$1.pc")
    [ -n "$line" ] && "$out/opt/anykv/bin/anykv" engines | grep -qxE "$1 +$line"
}
runs() { LD_LIBRARY_PATH=$out$libdir "$tmp/$1"; }
links_no_shared() { ! ldd "$tmp/$1" | grep -q libanykv; }
drops_the_rest() { ! nm "$tmp/one" | grep -E ' [Tt] akv_(txn_begin|scan|open)$'; }

ok "make install honours DESTDIR, PREFIX and LIBDIR" install_it
ok "nothing lands outside the prefix" only_under_prefix
ok "the command runs as installed" "$out/opt/anykv/bin/anykv" version
ok "the manual page is installed" test -s "$out/opt/anykv/share/man/man1/anykv.1"
ok "the completion is installed" test -s "$out/opt/anykv/share/bash-completion/completions/anykv"
for engine in $ANYKV_ENGINES; do
    ok "anykv-$engine.pc tells what $engine is" described "$engine"
done

cat >"$tmp/hello.c" <<'C'
#include <anykv/anykv.h>
#include <stdio.h>
int main(void)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv_value v = AKV_VALUE_INIT;
    akv *db;
    opt.flags = AKV_OPEN_CREATE;
    if (akv_open("memory", NULL, &opt, &db) != AKV_OK) {
        fprintf(stderr, "%s\n", akv_last_error()->text);
        return 1;
    }
    if (akv_put(db, akv_str("k"), akv_str("v"), NULL) != AKV_OK || akv_get(db, akv_str("k"), NULL, &v) != AKV_OK)
        return 2;
    akv_value_release(&v);
    return akv_close(db) == AKV_OK ? 0 : 3;
}
C
if has_engine memory; then
    ok "a program links with the shared library" compile shared "$tmp/hello.c" anykv
    ok "and runs" runs shared
    rm -f "$out$libdir"/libanykv.so*
    ok "a program links with the static library" compile static "$tmp/hello.c" --static anykv
    ok "which needs no shared one" links_no_shared static
    ok "and runs" runs static
    ok "a program links with one engine's archive" compile memory "$tmp/hello.c" --static anykv-memory
    ok "and runs" runs memory
fi
if has_engine fused; then
    cat >"$tmp/one.c" <<'C'
#include <anykv/fused.h>
int main(void)
{
    akv_fused *f = NULL;
    return akv_fused_open("/nonexistent/x.fsdb", NULL, &f) < 0 ? 0 : 1;
}
C
    ok "a product embeds the fused engine alone" compile one "$tmp/one.c" --static anykv-fused
    ok "and runs" runs one
    ok "and the linker drops the shared interface" drops_the_rest
fi
if has_engine fused && has_engine memory; then
    ok "an example builds from the installed copy" compile example "$root/examples/two_engines.c" --static anykv
    ok "and runs" runs example
fi
ok "an engine of one's own builds from the installed copy" compile_own
ok "and passes the suite" runs own
finish
