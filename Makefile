# Coxswain: one Makefile, no configure step. `make help` lists the targets.
#
#   BUILD=dir   where everything is made (default build)
#   SAN=address|undefined|thread   instrument; `make asan` etc. set it with a BUILD of their own
#   CI=true     warnings are errors

BUILD  ?= build
# One name for it, however it is given: dependencies are by name, and a test that gave the whole path found its old objects good.
override BUILD := $(patsubst $(CURDIR)/%,%,$(BUILD))
$(CURDIR)/$(BUILD)/%: $(BUILD)/%
	@:
SAN    ?=
CC     := gcc
PYTHON ?= $(shell hack/venv --path)/bin/python
PREFIX ?= /usr/local
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

MODULES := $(shell grep -v '^\#' lib/LAYERS)
PRESENT := $(foreach m,$(MODULES),$(if $(wildcard lib/$(m)/*.c),$(m)))

# The libraries (pkg-config names) behind each module's fence; hack/check-fences has the headers. A module that is not there brings none.
base_PKGS  := libxxhash
loop_PKGS  := libuv
codec_PKGS := yaml-0.1 openssl
net_PKGS   := libuv libnghttp2 openssl libcurl libmicrohttpd gnutls
ca_PKGS    := openssl cjose libseccomp
agent_PKGS := libcares
PKGS := $(sort $(foreach m,$(PRESENT),$($(m)_PKGS)))
# The agent runs once a pod: it never carries the kube-apiserver's client, the HTTP servers of the control plane, or the CA's libraries
# (hack/check-elf reads the programs); names are resolved by c-ares in the agent alone.
AGENT_PKGS := $(filter-out libcurl libmicrohttpd gnutls cjose libseccomp,$(PKGS))
DAEMON_PKGS := $(filter-out libcares,$(PKGS))
lacking := $(shell for p in $(PKGS); do pkg-config --exists $$p 2>/dev/null || echo $$p; done)
ifneq ($(filter-out help clean format,$(or $(MAKECMDGOALS),all)),)
$(if $(lacking),$(error pkg-config does not know $(lacking), or what these require: hack/deps installs what is needed))
endif
WARN := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wvla -Wformat=2
ifdef CI
WARN += -Werror
endif
# hack/check-elf reads the result. CET: Debian's crt files have no landing pads, so a program is marked for the shadow stack only;
# every object of ours has both.
ARCH := $(shell uname -m)
HARDEN := -fstack-protector-strong -fstack-clash-protection -fPIE
HARDEN_LD := -pie -Wl,-z,relro,-z,now,-z,noexecstack
ifeq ($(ARCH),x86_64)
HARDEN += -fcf-protection
HARDEN_LD += -Wl,-z,shstk
endif
ifeq ($(ARCH),aarch64)
HARDEN += -mbranch-protection=standard
endif
ifeq ($(SAN),)
HARDEN += -D_FORTIFY_SOURCE=3
OPT := -O2
else
OPT := -O1 -fno-omit-frame-pointer -fsanitize=$(SAN) $(if $(filter undefined,$(SAN)),-fno-sanitize-recover=all)
endif
CFLAGS ?= -g
ALL_CFLAGS := -std=gnu11 -D_GNU_SOURCE $(WARN) $(OPT) $(HARDEN) $(CFLAGS) -ffunction-sections -fdata-sections -Ilib -I$(BUILD)/gen \
	$(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LDFLAGS_ALL := $(HARDEN_LD) -Wl,--gc-sections -Wl,--as-needed $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)
libs = $(shell pkg-config --libs $(1) 2>/dev/null) -lm -lpthread
LIBS := $(call libs,$(PKGS))
LIBS_DAEMON := $(call libs,$(DAEMON_PKGS))
# Where there are archives the agent takes the parts that it uses of its libraries into itself: 1.3 MiB less resident memory in every pod than
# with libcrypto.so.
AGENT_LIBDIR := $(shell pkg-config --variable=libdir openssl 2>/dev/null)
AGENT_ARCHIVES := $(foreach l,ssl crypto nghttp2 uv_a yaml xxhash cares,$(AGENT_LIBDIR)/lib$(l).a)
LIBS_AGENT := $(if $(filter $(words $(AGENT_ARCHIVES)),$(words $(wildcard $(AGENT_ARCHIVES)))),$(AGENT_ARCHIVES) -ldl -lm -lpthread,$(call libs,$(AGENT_PKGS)))

# A link that failed or was broken off leaves no half a program that looks made.
.DELETE_ON_ERROR:
.PHONY: all help
all: $(BUILD)/coxswaind $(BUILD)/coxctl $(BUILD)/cox-agent man

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

# --- modules: one static archive each -----------------------------------------------------

module_objs = $(patsubst lib/%.c,$(BUILD)/obj/%.o,$(wildcard lib/$(1)/*.c)) $($(1)_GEN_OBJS)
archive = $(BUILD)/lib/lib$(1).a
# The archives of a module and of everything below it, as the linker wants them.
upto = $(shell awk -v m=$(1) '!/^\#/ { print; if ($$1 == m) exit }' lib/LAYERS)
archives_upto = $(foreach m,$(filter $(PRESENT),$(call upto,$(1))),$(call archive,$(m)))

include $(wildcard lib/*/module.mk)

$(BUILD)/obj/%.o: lib/%.c
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(CC) $(ALL_CFLAGS) $(if $(filter codec net ca,$(firstword $(subst /, ,$*))),-Wconversion) $(CFLAGS_$(firstword $(subst /, ,$*))) -MMD -MP -c $< -o $@

define module_rules
$(call archive,$(1)): $(call module_objs,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcs $$@ $$^
endef
$(foreach m,$(PRESENT),$(eval $(call module_rules,$(m))))

# --- programs -----------------------------------------------------------------------------

define program_rules
$(BUILD)/$(1): $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard cmd/$(1)/*.c)) $(foreach m,$(PRESENT),$(call archive,$(m)))
	@mkdir -p $$(@D)
	@echo "LD $$@"
	@$$(CC) $$(LDFLAGS_ALL) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $(2)
endef
$(eval $(call program_rules,coxswaind,$(LIBS_DAEMON)))
$(eval $(call program_rules,coxctl,$(LIBS_DAEMON)))
$(eval $(call program_rules,cox-agent,$(LIBS_AGENT)))

# --- manual pages: what the programs say of themselves (lib/tool/cli.h, hack/man) -----------

MAN := $(BUILD)/man/coxctl.1 $(BUILD)/man/coxswaind.8 $(BUILD)/man/cox-agent.8
.PHONY: man
## man           the manual pages, into $(BUILD)/man
man: $(MAN)
$(BUILD)/man/coxctl.1: $(BUILD)/coxctl
	@mkdir -p $(@D)
	@$< help --man >$@
$(BUILD)/man/coxswaind.8: $(BUILD)/coxswaind hack/man
	@mkdir -p $(@D)
	@{ $< --help; echo; echo "== FLAGS"; $< discovery --help | tail -n +3; echo "== ENVIRONMENT"; $< --help-env; } | hack/man coxswaind 8 "the control plane of the mesh" '$(VERSION)' >$@
$(BUILD)/man/cox-agent.8: $(BUILD)/cox-agent hack/man
	@mkdir -p $(@D)
	@$< --help | hack/man cox-agent 8 "the part of the mesh that lives in a pod beside Envoy" '$(VERSION)' >$@

# Rewritten when the version changed: what says it is compiled anew.
.PHONY: FORCE
$(BUILD)/version: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@
$(patsubst %.c,$(BUILD)/obj/%.o,$(shell grep -l COX_VERSION cmd/*/*.c)): $(BUILD)/version
$(BUILD)/obj/cmd/%.o: cmd/%.c
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(CC) $(ALL_CFLAGS) -DCOX_VERSION='"$(VERSION)"' -MMD -MP -c $< -o $@

# --- unit tests: one program per file, linked to its module and what lies below ------------

UNIT_SRCS := $(wildcard test/unit/*/*_test.c)
UNIT_BINS := $(UNIT_SRCS:test/unit/%.c=$(BUILD)/unit/%)
unit_module = $(firstword $(subst /, ,$(1)))

$(BUILD)/obj/unit/%.o: test/unit/%.c
	@mkdir -p $(@D)
	@$(CC) $(ALL_CFLAGS) -Itest/unit -MMD -MP -c $< -o $@
define unit_rules
$(BUILD)/unit/$(1): $(BUILD)/obj/unit/$(1).o $(call archives_upto,$(call unit_module,$(1)))
	@mkdir -p $$(@D)
	@$$(CC) $$(LDFLAGS_ALL) -o $$@ $$< -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$(LIBS) -lcmocka
endef
$(foreach t,$(UNIT_SRCS:test/unit/%.c=%),$(eval $(call unit_rules,$(t))))

.PHONY: unit $(PRESENT:%=unit-%)
## unit          the fast tests (cmocka), all modules; unit-<module> for one
unit: $(UNIT_BINS)
	@hack/run-units $(UNIT_BINS)
define unit_module_rule
unit-$(1): $(filter $(BUILD)/unit/$(1)/%,$(UNIT_BINS))
	@hack/run-units $(filter $(BUILD)/unit/$(1)/%,$(UNIT_BINS))
endef
$(foreach m,$(PRESENT),$(eval $(call unit_module_rule,$(m))))

# --- fuzzing: libFuzzer, one program per parser of foreign bytes ---------------------------

FUZZ_SRCS := $(wildcard test/fuzz/*_fuzz.c)
FUZZ_BINS := $(FUZZ_SRCS:test/fuzz/%.c=$(BUILD)/fuzz/%)
FUZZ_SECONDS ?= 5
FUZZ_LIB_SRCS := $(foreach m,$(PRESENT),$(wildcard lib/$(m)/*.c))
FUZZ_OBJS := $(patsubst lib/%.c,$(BUILD)/obj/fuzzlib/%.o,$(FUZZ_LIB_SRCS)) $(foreach m,$(PRESENT),$(patsubst $(BUILD)/obj/gen/%.o,$(BUILD)/obj/fuzzgen/%.o,$($(m)_GEN_OBJS)))
FUZZ_CFLAGS = $(filter-out -D_FORTIFY_SOURCE=3 -fcf-protection -fstack-clash-protection -Werror,$(ALL_CFLAGS)) -w -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined

$(BUILD)/obj/fuzzlib/%.o: lib/%.c
	@mkdir -p $(@D)
	@clang $(FUZZ_CFLAGS) -MMD -MP -c $< -o $@
$(BUILD)/obj/fuzzgen/%.o: $(BUILD)/gen/%.c
	@mkdir -p $(@D)
	@clang $(FUZZ_CFLAGS) -MMD -MP -c $< -o $@
$(BUILD)/fuzz/libfuzzed.a: $(FUZZ_OBJS)
	@mkdir -p $(@D); rm -f $@; ar rcs $@ $^
$(BUILD)/fuzz/%: test/fuzz/%.c $(BUILD)/fuzz/libfuzzed.a
	@mkdir -p $(@D)
	@clang $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $< $(BUILD)/fuzz/libfuzzed.a $(LIBS)
.PHONY: fuzz fuzz-build
fuzz-build: $(FUZZ_BINS)
## fuzz          every fuzz target for FUZZ_SECONDS (default 5) from its seed corpus
fuzz: fuzz-build
	@hack/run-fuzz $(FUZZ_SECONDS) $(FUZZ_BINS)

# --- the rest -----------------------------------------------------------------------------

.PHONY: sim-asan sim-ubsan lint format analyze asan ubsan tsan instrumented check bench sim oracle demo golden crd manifests image install clean
## lint          layers, fences, sizes, bans, headers, formatting, hardening of the programs, what make install puts where
lint: all
	@hack/lint
## format        rewrite the C sources as lint wants them
format:
	@hack/format
## asan ubsan tsan  the unit tests, the simulation and coxswaind under the protocol tests' grpcio client, instrumented
asan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)-asan SAN=address SIM_SEEDS=20 unit sim instrumented
ubsan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)-ubsan SAN=undefined SIM_SEEDS=20 unit sim instrumented
tsan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)-tsan SAN=thread SIM_SEEDS=10 unit sim instrumented
# A finding ends the daemon with another status than 0, which the tests refuse. The quarantine is small so that limits on memory hold.
instrumented: $(BUILD)/coxswaind
	@COX_BUILD=$(abspath $(BUILD)) COX_SAN=$(SAN) ASAN_OPTIONS=quarantine_size_mb=1 $(PYTHON) -m pytest -q $(wildcard test/protocol/test_ads.py test/protocol/test_nds.py)
## analyze       gcc -fanalyzer and clang-tidy (.clang-tidy) over lib/ and cmd/; minutes, then only what changed
ANALYZED := $(patsubst %.c,$(BUILD)/analyze/%.ok,$(wildcard lib/*/*.c cmd/*/*.c))
analyze: $(ANALYZED)
	@echo "analyze: $(words $(ANALYZED)) files, nothing found"
$(BUILD)/analyze/%.ok: %.c .clang-tidy | $(envoy_GEN)/.stamp
	@mkdir -p $(@D)
	@echo "ANALYZE $<"
	@$(CC) $(ALL_CFLAGS) -DCOX_VERSION='""' -fanalyzer -Werror -MMD -MP -MF $(@:.ok=.d) -MT $@ -c $< -o /dev/null
	@clang-tidy-14 --quiet $< -- $(FUZZ_CFLAGS) -DCOX_VERSION='""' 2>/dev/null
	@touch $@
## sim           seeded histories through the whole core, each without and with rejections (SIM_SEEDS=200)
SIM_SEEDS ?= 200
sim: $(BUILD)/sim/coxsim
	@$(BUILD)/sim/coxsim --seeds $(SIM_SEEDS)
## sim-asan sim-ubsan  the same, instrumented
sim-asan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)-asan SAN=address sim
sim-ubsan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)-ubsan SAN=undefined sim
## oracle        thousands of random requests: a real Envoy and `coxctl explain route` must agree (ORACLE_SEEDS=1-12 ORACLE_REQUESTS=200)
ORACLE_SEEDS ?= 1-12
ORACLE_REQUESTS ?= 200
oracle: $(BUILD)/coxctl
	@COX_BUILD=$(abspath $(BUILD)) $$(hack/venv)/bin/python test/lib/routeoracle.py --seeds $(ORACLE_SEEDS) --requests $(ORACLE_REQUESTS)
$(BUILD)/obj/sim/%.o: test/sim/%.c
	@mkdir -p $(@D)
	@$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@
$(BUILD)/sim/coxsim: $(patsubst test/sim/%.c,$(BUILD)/obj/sim/%.o,$(wildcard test/sim/*.c)) $(foreach m,$(PRESENT),$(call archive,$(m)))
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)
## check         all tests, real Envoy and kube-apiserver included
check:
	@hack/check --no-deps
## bench         figures beside a real kube-apiserver, and of the injector, into test/bench/RESULTS.md
bench: all
	@hack/bench
	@hack/bench-inject
## demo          Bookinfo on real Envoys (hack/demo)
demo: all
	@hack/demo --no-deps
## golden        rewrite test/golden outputs; review the diff as code
golden: all
	@$(PYTHON) -m pytest -q test/golden --rewrite
## crd           rewrite crd/*.yaml from the field tables
crd: $(BUILD)/coxctl
	@$(BUILD)/coxctl crd generate --out crd
	@$(MAKE) --no-print-directory manifests
## manifests     rewrite manifests/*.yaml from the charts
manifests: $(BUILD)/coxctl
	@hack/dashboards
	@BUILD=$(BUILD) hack/manifests
## image         build/image/{coxswaind,proxy}.oci.tar (podman load -i ...), with ENVOY=path for the proxy's Envoy; no engine is needed
ENVOY ?= $(shell find $$(hack/venv --path) -path '*/envoy/_bin/envoy' 2>/dev/null | head -1)
image: all
	@mkdir -p $(BUILD)/image
	@BUILD=$(BUILD) images/assemble coxswaind $(BUILD)/image/coxswaind --oci $(BUILD)/image/coxswaind.oci.tar
	@BUILD=$(BUILD) ENVOY=$(ENVOY) images/assemble proxy $(BUILD)/image/proxy --oci $(BUILD)/image/proxy.oci.tar
## install       the programs, manual pages, CRDs, manifests, samples and documents; DESTDIR= PREFIX=/usr/local
install: all
	install -D -m 0755 $(BUILD)/coxswaind $(DESTDIR)$(PREFIX)/bin/coxswaind
	install -D -m 0755 $(BUILD)/coxctl $(DESTDIR)$(PREFIX)/bin/coxctl
	install -D -m 0755 $(BUILD)/cox-agent $(DESTDIR)$(PREFIX)/bin/cox-agent
	for f in $$(find -L crd manifests samples -type f '(' -name '*.yaml' -o -name '*.tpl' -o -name '*.json' -o -name '*.py' -o -name '*.md' ')'); do install -D -m 0644 $$f $(DESTDIR)$(PREFIX)/share/coxswain/$$f || exit 1; done
	for f in $(MAN); do install -D -m 0644 $$f $(DESTDIR)$(PREFIX)/share/man/man$${f##*.}/$${f##*/} || exit 1; done
	for f in README.md ARCHITECTURE.md LICENSE; do install -D -m 0644 $$f $(DESTDIR)$(PREFIX)/share/doc/coxswain/$$f || exit 1; done
clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-ubsan $(BUILD)-tsan

# --- certificates of several clusters: certs/README.md -----------------------------------------

CERTS_DIR ?=
.PHONY: certs-root certs-cluster
## certs-root    a root for several clusters: CERTS_DIR=folder (outside the repository)
certs-root:
	@certs/make-root "$(CERTS_DIR)"
## certs-cluster an intermediate CA under it, as a cacerts secret: CERTS_DIR=folder CLUSTER=name
certs-cluster:
	@certs/make-cluster "$(CERTS_DIR)" "$(CLUSTER)"

# --- kube-driver: prints what a kube source says, for test/kube ------------------------------

$(BUILD)/obj/kube-driver/%.o: test/kube/driver/%.c
	@mkdir -p $(@D)
	@$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@
$(BUILD)/kube-driver: $(BUILD)/obj/kube-driver/kube_driver.o $(call archives_upto,source) $(call archive,status)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)
# ca-driver: an authority with commands on stdin, for test/kube and the figures of test/bench.
$(BUILD)/ca-driver: $(BUILD)/obj/kube-driver/ca_driver.o $(call archives_upto,ca)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)

-include $(shell find $(BUILD)/obj $(BUILD)/analyze -name '*.d' 2>/dev/null)
