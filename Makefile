# SPDX-License-Identifier: MIT
#
# Builds anykv: the library, the command, tests, benchmarks. GNU make.
# `make help` lists the targets and variables.

# ------------------------------------------------------------------ variables

S       := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
BUILD   ?= build
ENGINES ?= fused lsm memory
SAN     ?=
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
BINDIR  ?= $(PREFIX)/bin
MANDIR  ?= $(PREFIX)/share/man
INCLUDEDIR ?= $(PREFIX)/include
COMPDIR ?= $(PREFIX)/share/bash-completion/completions
JOBS    ?= $(shell nproc 2>/dev/null || echo 2)
CFLAGS  ?= -O2 -g
CXX     ?= c++
PKG_CONFIG ?= pkg-config
FUZZ_SECONDS ?= 60
FUZZ_CC ?= clang

comma := ,
# One short line a step; V=1 shows the commands.
Q   := $(if $(V),,@)
say  = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))
ABI   := 0
VER   := $(shell sed -n 's/^\#define AKV_VERSION_TEXT *"\(.*\)"/\1/p' $(S)/include/anykv/anykv.h)
# A sanitized build lives in a folder of its own, so both can stand.
OUT   := $(BUILD)$(if $(SAN),/san-$(subst $(comma),+,$(SAN)))

known_engines := $(notdir $(patsubst %/,%,$(wildcard $(S)/engines/*/)))
bad_engines   := $(filter-out $(known_engines),$(ENGINES))
ifneq ($(bad_engines),)
$(error ENGINES names '$(bad_engines)'; there are: $(known_engines))
endif

# What each part needs, as pkg-config modules. The floor serves every engine.
msgpack       := $(shell $(PKG_CONFIG) --exists msgpack-c 2>/dev/null && echo msgpack-c || echo msgpack)
PKGS_common   := zlib $(msgpack)
PKGS_fused    :=
PKGS_memory   :=
# What is taken when it is there.
if_there       = $(foreach p,$(1),$(shell $(PKG_CONFIG) --exists $(p) 2>/dev/null && echo $(p)))
PKGS_lsm      := snappy $(call if_there,liblz4 libzstd)
PKGS_optional := $(call if_there,libdeflate)
PKGS          := $(sort $(PKGS_common) $(PKGS_optional) $(foreach e,$(ENGINES),$(PKGS_$(e))))

# Of single programs: not part of the library.
maxminddb  := $(if $(filter fused,$(ENGINES)),$(shell $(PKG_CONFIG) --exists libmaxminddb 2>/dev/null && echo libmaxminddb))
geoip      := $(if $(filter fused,$(ENGINES)),$(shell $(PKG_CONFIG) --exists geoip 2>/dev/null && echo geoip))

pkg_cflags := $(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null))
pkg_libs   := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual \
        -Wwrite-strings -Wconversion -Wno-sign-conversion -Wformat=2 -Wundef -Wvla
san_flags := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
# Sanitized builds keep the assertions.
def_flags := $(if $(SAN),,-DNDEBUG) $(if $(filter libdeflate,$(PKGS_optional)),-DAKVI_HAVE_LIBDEFLATE=1)
base_flags := -std=c17 -D_GNU_SOURCE -I$(S)/include -I$(S) $(def_flags) $(pkg_cflags) $(WARN) $(san_flags)
ALL_CFLAGS := $(base_flags) -fPIC -fvisibility=hidden -pthread $(CFLAGS)
LIBS       := $(pkg_libs) -pthread -lm
# Codecs that no engine of this build asks for are left out of common/codec/compress.c.
codec_defs := $(foreach c,snappy lz4 zstd,$(if $(filter $(c) lib$(c),$(PKGS)),-DAKVI_HAVE_$(shell echo $(c) | tr a-z A-Z)=1))

# -------------------------------------------------------------------- sources

common_src := $(wildcard $(S)/common/*/*.c)
engine_src  = $(wildcard $(S)/engines/$(1)/*.c)
lib_src    := $(common_src) $(foreach e,$(ENGINES),$(call engine_src,$(e)))
tool_src   := $(wildcard $(S)/tools/*.c)
conf_src   := $(filter-out $(S)/tests/conformance/run_%.c,$(wildcard $(S)/tests/conformance/*.c))

# Tests whose file name has an engine for its second word (test_fused_merge.c)
# are built only with that engine.
absent_engines := $(filter-out $(ENGINES),$(known_engines))
with_engines = $(foreach f,$(1),$(if $(filter $(absent_engines),$(word 2,$(subst _, ,$(basename $(notdir $(f)))))),,$(f)))
# Those that use several engines say so here.
multi_engine := $(if $(filter-out $(ENGINES),fused memory),%/run_compare.c %/two_engines.c %/oui_lookup.c %/kill_build.c %/run_compare_lsm.c)
unit_src    := $(filter-out $(multi_engine),$(call with_engines,$(wildcard $(S)/tests/unit/test_*.c)))
conf_run    := $(filter-out $(multi_engine),$(call with_engines,$(wildcard $(S)/tests/conformance/run_*.c)))
crash_src   := $(filter-out $(multi_engine),$(call with_engines,$(wildcard $(S)/tests/crash/*.c)))
fuzz_src    := $(call with_engines,$(wildcard $(S)/tests/fuzz/fuzz_*.c))
# Those that include the header of an engine that is not there.
with_headers = $(filter-out $(if $(absent_engines),$(shell grep -lF $(foreach e,$(absent_engines),-e '<anykv/$(e).h>') $(1) /dev/null)),$(1))
example_src := $(filter-out $(multi_engine),$(call with_headers,$(wildcard $(S)/examples/*.c)))

obj = $(patsubst $(S)/%.c,$(OUT)/obj/%.o,$(1))
lib_obj  := $(call obj,$(lib_src))
prog      = $(patsubst $(S)/%.c,$(OUT)/%,$(1))

static  := $(OUT)/libanykv.a
shared  := $(OUT)/libanykv.so.$(VER)
conflib := $(OUT)/libanykv-conformance.a
engine_libs := $(foreach e,$(ENGINES),$(OUT)/libanykv-$(e).a)
pc_files    := $(OUT)/anykv.pc $(OUT)/anykv-conformance.pc $(foreach e,$(ENGINES),$(OUT)/anykv-$(e).pc)

# -------------------------------------------------------------------- targets

.PHONY: all help check check-programs check-emulated interop demo bench install uninstall lint format fuzz clean deps-build deps-check deps-bench
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

all: deps-build
	@$(MAKE) --no-print-directory -f $(S)/Makefile build-all

.PHONY: build-all build-tests build-bench
build-all: $(OUT)/anykv $(shared) $(static) $(engine_libs) $(conflib) $(pc_files)

help:
	@sed -n 's/^\#\# //p' $(S)/Makefile

## make            the library and the command, in build/
## make demo       the main job on real data: IEEE's OUI registry in one file
## make check      build and run every test
## make check-emulated ARCH=s390x   the programs among the tests, big-endian; or ARCH=arm64
## make interop    the original FuseDB package and this library read each other's files
## make bench      workloads against peers: a table, JSON and a chart in build/bench/
## make install    DESTDIR, PREFIX, LIBDIR
## make lint       format, clang-tidy, scripts, manual pages
## make fuzz       the fuzz targets over their corpora; FUZZ_SECONDS each
## make clean
## Variables: ENGINES="fused memory"  SAN=address,undefined  SAN=thread  CC  CFLAGS
##            BUILD=DIR  JOBS=N  V=1 (show commands)  DEPS=install (install what is missing)

# Settings that objects depend on: a changed one rebuilds just what it reaches.
define stamp
$(1): FORCE
	@mkdir -p $$(@D); echo '$(2)' | cmp -s - $$@ || echo '$(2)' > $$@
endef
.PHONY: FORCE
$(eval $(call stamp,$(OUT)/flags.stamp,$(CC) $(ALL_CFLAGS)))
$(eval $(call stamp,$(OUT)/engines.stamp,$(ENGINES) $(LIBS)))

$(OUT)/obj/%.o: $(S)/%.c $(OUT)/flags.stamp
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(OUT)/obj/common/codec/compress.o: ALL_CFLAGS += $(codec_defs)
$(OUT)/obj/common/codec/compress.o: $(OUT)/engines.stamp

# The command and registry.c know the engines of a build; the archive of one
# engine has its own registry.
engine_defs = $(foreach e,$(1),-DAKVI_ENGINE_$(shell echo $(e) | tr a-z A-Z)=1)
$(OUT)/obj/engines/registry.o: $(S)/engines/registry.c $(OUT)/flags.stamp $(OUT)/engines.stamp
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(call engine_defs,$(ENGINES)) -MMD -MP -c $< -o $@
$(OUT)/obj/tools/%.o: $(S)/tools/%.c $(OUT)/flags.stamp $(OUT)/engines.stamp
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(call engine_defs,$(ENGINES)) -MMD -MP -c $< -o $@
$(OUT)/obj/engines/registry-%.o: $(S)/engines/registry.c $(OUT)/flags.stamp
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(call engine_defs,$*) -MMD -MP -c $< -o $@

$(static): $(lib_obj) $(OUT)/obj/engines/registry.o $(OUT)/engines.stamp
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

$(shared): $(lib_obj) $(OUT)/obj/engines/registry.o $(S)/common/front/exports.map $(OUT)/engines.stamp
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libanykv.so.$(ABI) \
	    -Wl,--version-script=$(S)/common/front/exports.map -Wl,-z,nodelete $(if $(SAN),,-Wl$(comma)-z$(comma)defs) \
	    -o $@ $(filter %.o,$^) $(LIBS)
	$(Q)ln -sf $(@F) $(OUT)/libanykv.so.$(ABI)
	$(Q)ln -sf $(@F) $(OUT)/libanykv.so

define engine_archive
$(OUT)/libanykv-$(1).a: $(call obj,$(common_src) $(call engine_src,$(1))) $(OUT)/obj/engines/registry-$(1).o
	@rm -f $$@
	$$(call say,AR,$$@)
	$$(Q)$$(AR) rcs $$@ $$^
endef
$(foreach e,$(ENGINES),$(eval $(call engine_archive,$(e))))

$(conflib): $(call obj,$(conf_src))
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^

# The command reads MaxMind databases where their library is.
$(eval $(call stamp,$(OUT)/maxminddb.stamp,$(maxminddb)))
$(OUT)/obj/tools/source_mmdb.o: $(OUT)/maxminddb.stamp
ifneq ($(maxminddb),)
$(OUT)/obj/tools/source_mmdb.o: ALL_CFLAGS += -DHAVE_LIBMAXMINDDB=1
$(OUT)/anykv: TOOL_LIBS := $(shell $(PKG_CONFIG) --libs libmaxminddb)
endif

$(OUT)/anykv: $(call obj,$(tool_src)) $(static)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(TOOL_LIBS) $(LIBS)

# ---------------------------------------------------------- pkg-config files

# pc_fill NAME,LIBRARY,NEEDS,NEEDS OF A STATIC LINK,DESCRIPTION
pc_template := $(S)/common/front/anykv.pc.in
pc_fill = sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
          -e 's|@VERSION@|$(VER)|' -e 's|@NAME@|$(1)|' -e 's|@LIB@|$(2)|' -e 's|@REQUIRES@|$(3)|' \
          -e 's|@PRIVATE@|$(4)|' -e 's|@DESCRIPTION@|$(5)|' $(pc_template) > $@
engine_line = $(shell sed -n 's/^ *\.description *= "\(.*\)",$$/\1/p' $(call engine_src,$(1)))

$(eval $(call stamp,$(OUT)/pc.stamp,$(PREFIX) $(LIBDIR) $(INCLUDEDIR) $(PKGS) $(foreach e,$(ENGINES),$(call engine_line,$(e)))))
$(OUT)/anykv.pc: $(pc_template) $(OUT)/pc.stamp
	$(Q)$(call pc_fill,anykv,anykv,,$(PKGS),One key-value interface over several storage engines)
$(OUT)/anykv-conformance.pc: $(pc_template) $(OUT)/pc.stamp
	$(Q)$(call pc_fill,anykv-conformance,anykv-conformance -pthread,anykv,,Proof that an engine keeps the contract of anykv.h)
$(OUT)/anykv-%.pc: $(pc_template) $(OUT)/pc.stamp
	$(Q)$(call pc_fill,anykv-$*,anykv-$*,,$(sort $(PKGS_common) $(PKGS_optional) $(PKGS_$*)),$(call engine_line,$*))

# ---------------------------------------------------------------------- tests

cmocka_libs := $(shell $(PKG_CONFIG) --libs cmocka 2>/dev/null || echo -lcmocka)
unit_prog   := $(call prog,$(unit_src))
conf_prog   := $(call prog,$(conf_run))
crash_prog  := $(call prog,$(crash_src))
replay_prog := $(patsubst $(S)/tests/fuzz/fuzz_%.c,$(OUT)/tests/fuzz/replay_%,$(fuzz_src))
example_prog := $(call prog,$(example_src))
script_tests := $(wildcard $(S)/tests/command/*.sh $(S)/tests/package/*.sh)
# Under a sanitizer the packaging is not tested again; under TSan only what has
# threads is worth its slowness.
threaded := $(shell grep -lE 'pthread_create|akv_conformance_run|akvi_pool' $(unit_src) $(conf_run) /dev/null 2>/dev/null)
ifeq ($(SAN),thread)
tests := $(call prog,$(threaded))
else ifneq ($(SAN),)
tests := $(unit_prog) $(conf_prog) $(crash_prog) $(replay_prog) $(wildcard $(S)/tests/command/*.sh)
else
tests := $(unit_prog) $(conf_prog) $(crash_prog) $(replay_prog) $(script_tests)
endif

$(OUT)/tests/unit/%: $(OUT)/obj/tests/unit/%.o $(OUT)/obj/tests/testing.o $(static)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(cmocka_libs) $(LIBS)
$(OUT)/tests/conformance/%: $(OUT)/obj/tests/conformance/%.o $(conflib) $(static)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(OUT)/tests/crash/%: $(OUT)/obj/tests/crash/%.o $(static)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(OUT)/tests/fuzz/replay_%: $(OUT)/obj/tests/fuzz/fuzz_%.o $(OUT)/obj/tests/fuzz/replay.o $(static)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(OUT)/examples/%: $(OUT)/obj/examples/%.o $(conflib) $(static)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# An example that reads the tables of libGeoIP, where that is.
$(eval $(call stamp,$(OUT)/geoip.stamp,$(geoip)))
$(OUT)/obj/examples/ip_country.o: $(OUT)/geoip.stamp
ifneq ($(geoip),)
$(OUT)/obj/examples/ip_country.o: ALL_CFLAGS += -DHAVE_GEOIP=1
$(OUT)/examples/ip_country: LIBS += $(shell $(PKG_CONFIG) --libs geoip)
endif

# What makes MaxMind databases for a test, and compares with their library.
mmdb_prog := $(if $(maxminddb),$(OUT)/tests/command/mmdb)
$(OUT)/tests/command/mmdb: $(OUT)/obj/tests/command/mmdb.o $(OUT)/obj/bench/mmdb_write.o $(static)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs libmaxminddb) $(LIBS)

build-tests: build-all $(filter-out %.sh,$(tests)) $(example_prog) $(mmdb_prog)

# tests/tap runs one test and makes its output fit for prove.
run_tests = ANYKV_ROOT=$(abspath $(S)) ANYKV_BUILD=$(abspath $(OUT)) ANYKV=$(abspath $(OUT)/anykv) \
    CC="$(CC)" CXX="$(CXX)" ANYKV_ENGINES="$(ENGINES)" ANYKV_MAKE="$(MAKE)" CMOCKA_MESSAGE_OUTPUT=TAP \
    TSAN_OPTIONS="$${TSAN_OPTIONS:-halt_on_error=1 second_deadlock_stack=1}" \
    prove --exec $(S)/tests/tap --jobs $(JOBS) --merge $(PROVE_FLAGS)

check: deps-check
	@$(MAKE) --no-print-directory -f $(S)/Makefile build-tests
	@$(run_tests) $(if $(TESTS_ONLY),$(TESTS_ONLY),$(tests))

# The tests that are programs, and nothing else: for tests/emulated.
check-programs: $(unit_prog) $(conf_prog) $(replay_prog)
	@$(run_tests) $^

check-emulated:
	$(S)/tests/emulated $(ARCH)

# The original package, in an environment of its own, and our files in turn.
interop: deps-interop
	@$(MAKE) --no-print-directory -f $(S)/Makefile build-all
	@$(S)/tests/interop/install $(BUILD)/interop/venv
	@ANYKV_PYTHON=$(abspath $(BUILD))/interop/venv/bin/python; export ANYKV_PYTHON; \
	    $(run_tests) $(wildcard $(S)/tests/interop/*.py)

demo: deps-demo
	@$(MAKE) --no-print-directory -f $(S)/Makefile build-all $(OUT)/examples/oui_lookup
	@$(OUT)/examples/oui_lookup

# ----------------------------------------------------------------- benchmarks

bench_src  := $(wildcard $(S)/bench/*.c)
build-bench: build-all $(OUT)/bench/bench $(OUT)/bench/interface_cost $(OUT)/bench/interface_cost_shared

bench_peers := lmdb sqlite3 libcdb geoip libmaxminddb rocksdb leveldb
bench_libs  := $(shell $(PKG_CONFIG) --libs $(filter-out rocksdb leveldb,$(bench_peers)) 2>/dev/null)
# RocksDB as bench/rocksdb makes it when that has been run, else Debian's.
rocksdb_dir := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/anykv/rocksdb
bench_libs  += -lleveldb $(if $(wildcard $(rocksdb_dir)/libs),$(rocksdb_dir)/librocksdb.a $(shell cat $(rocksdb_dir)/libs) -lstdc++,-lrocksdb)
$(OUT)/bench/interface_cost: $(OUT)/obj/bench/interface_cost.o $(static)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(OUT)/bench/interface_cost_shared: $(OUT)/obj/bench/interface_cost.o $(shared)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< -L$(OUT) -lanykv -Wl,-rpath,$(abspath $(OUT)) $(LIBS)
$(OUT)/bench/bench: $(filter-out %/interface_cost.o,$(call obj,$(bench_src))) $(shared)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) -L$(OUT) -lanykv -Wl,-rpath,$(abspath $(OUT)) $(bench_libs) $(LIBS)

bench: deps-bench
	@$(MAKE) --no-print-directory -f $(S)/Makefile build-bench
	@$(S)/bench/run $(OUT)/bench $(BENCH_FLAGS)

# -------------------------------------------------------------------- install

headers := anykv.h engine.h env.h doc.h conformance.h $(foreach e,$(ENGINES),$(e).h)
install: build-all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)/anykv \
	    $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man3 $(DESTDIR)$(COMPDIR)
	install -m 755 $(OUT)/anykv $(DESTDIR)$(BINDIR)/
	install -m 755 $(shared) $(DESTDIR)$(LIBDIR)/
	ln -sf libanykv.so.$(VER) $(DESTDIR)$(LIBDIR)/libanykv.so.$(ABI)
	ln -sf libanykv.so.$(VER) $(DESTDIR)$(LIBDIR)/libanykv.so
	install -m 644 $(static) $(engine_libs) $(conflib) $(DESTDIR)$(LIBDIR)/
	install -m 644 $(pc_files) $(DESTDIR)$(LIBDIR)/pkgconfig/
	install -m 644 $(wildcard $(addprefix $(S)/include/anykv/,$(headers))) $(DESTDIR)$(INCLUDEDIR)/anykv/
	install -m 644 $(wildcard $(S)/docs/*.1) $(DESTDIR)$(MANDIR)/man1/
	install -m 644 $(wildcard $(S)/docs/*.3) $(DESTDIR)$(MANDIR)/man3/
	install -m 644 $(S)/docs/completion/anykv.bash $(DESTDIR)$(COMPDIR)/anykv

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/anykv $(DESTDIR)$(LIBDIR)/libanykv.so* $(DESTDIR)$(LIBDIR)/libanykv.a \
	    $(DESTDIR)$(LIBDIR)/libanykv-*.a $(DESTDIR)$(LIBDIR)/pkgconfig/anykv.pc \
	    $(DESTDIR)$(LIBDIR)/pkgconfig/anykv-*.pc $(DESTDIR)$(COMPDIR)/anykv \
	    $(patsubst $(S)/docs/%,$(DESTDIR)$(MANDIR)/man1/%,$(wildcard $(S)/docs/*.1)) \
	    $(patsubst $(S)/docs/%,$(DESTDIR)$(MANDIR)/man3/%,$(wildcard $(S)/docs/*.3))
	rm -rf $(DESTDIR)$(INCLUDEDIR)/anykv

# --------------------------------------------------------------- lint, fuzz

c_files := $(shell cd $(S) && find common engines include tools tests examples bench -name '*.[ch]' 2>/dev/null | sort)
lint: deps-lint
	@cd $(S) && clang-format --dry-run --Werror $(c_files)
	@cd $(S) && printf '%s\n' $(filter %.c,$(c_files)) | xargs -P $(JOBS) -n 1 sh -c \
	    'clang-tidy --quiet --warnings-as-errors="*" "$$@" -- -std=c17 -D_GNU_SOURCE -Iinclude -I. $(pkg_cflags) $(def_flags) $(codec_defs) 2>/dev/null || exit 255' tidy
	@cd $(S) && shellcheck -x -e SC2317 .ci/run .ci/deps tests/tap tests/layers tests/emulated tests/fuzz/run tests/interop/install bench/run bench/rocksdb $(wildcard $(S)/tests/command/*.sh $(S)/tests/package/*.sh)
	@cd $(S) && mandoc -Tlint -W warning $(patsubst $(S)/%,%,$(wildcard $(S)/docs/*.[13]))
	@cd $(S) && sh tests/layers
	@echo "lint: clean"

format:
	cd $(S) && clang-format -i $(c_files)

fuzz: deps-fuzz
	@$(MAKE) --no-print-directory -f $(S)/Makefile build-fuzz
	@printf '%s\n' $(patsubst $(S)/tests/fuzz/fuzz_%.c,%,$(fuzz_src)) | xargs -P $(JOBS) -I{} \
	    $(S)/tests/fuzz/run $(BUILD)/fuzz {} $(S)/tests/fuzz/corpus/{} $(FUZZ_SECONDS)

fuzz_flags := $(filter-out -fsanitize% -DNDEBUG,$(base_flags)) -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
fuzz_obj   := $(patsubst $(S)/%.c,$(BUILD)/fuzz/obj/%.o,$(lib_src) $(S)/engines/registry.c $(fuzz_src))
fuzz_prog  := $(patsubst $(S)/tests/fuzz/%.c,$(BUILD)/fuzz/%,$(fuzz_src))
.PHONY: build-fuzz
build-fuzz: $(fuzz_prog)
$(BUILD)/fuzz/obj/%.o: $(S)/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(FUZZ_CC) $(fuzz_flags) $(call engine_defs,$(ENGINES)) -pthread -MMD -MP -c $< -o $@
$(BUILD)/fuzz/obj/common/codec/compress.o: fuzz_flags += $(codec_defs)
$(BUILD)/fuzz/libanykv.a: $(filter-out $(BUILD)/fuzz/obj/tests/%,$(fuzz_obj))
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^
$(BUILD)/fuzz/fuzz_%: $(BUILD)/fuzz/obj/tests/fuzz/fuzz_%.o $(BUILD)/fuzz/libanykv.a
	$(call say,LINK,$@)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LIBS)

clean:
	rm -rf $(BUILD)

# ------------------------------------------------------- what must be there

pkgs_all := $(PKGS_common) $(foreach e,$(ENGINES),$(PKGS_$(e)))
deps-build:
	@$(S)/.ci/deps cc $(pkgs_all)
deps-check:
	@$(S)/.ci/deps cc cxx prove cmocka $(if $(multi_engine),,ieee-data) \
	    $(if $(filter fused,$(ENGINES)),geoip geoip-database libmaxminddb) $(pkgs_all)
.PHONY: deps-demo deps-interop deps-lint deps-fuzz
deps-demo:
	@$(S)/.ci/deps cc ieee-data $(pkgs_all)
deps-bench:
	@$(S)/.ci/deps cc $(pkgs_all) libdeflate geoip-database $(bench_peers)
deps-interop:
	@$(S)/.ci/deps cc prove python3-venv $(pkgs_all)
deps-lint:
	@$(S)/.ci/deps clang-format clang-tidy shellcheck mandoc $(bench_peers) $(pkgs_all)
deps-fuzz:
	@$(S)/.ci/deps clang fuzzer $(pkgs_all)

%.d: ;
-include $(shell find $(OUT)/obj $(BUILD)/fuzz/obj -name '*.d' 2>/dev/null)
