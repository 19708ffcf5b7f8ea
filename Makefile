# SPDX-License-Identifier: BSD-2-Clause
VERSION = 0.2.0
ABI     = 0

prefix      = /usr/local
exec_prefix = $(prefix)
sbindir     = $(exec_prefix)/sbin
bindir      = $(exec_prefix)/bin
libdir      = $(exec_prefix)/lib
includedir  = $(prefix)/include
datarootdir = $(prefix)/share
mandir      = $(datarootdir)/man
docdir      = $(datarootdir)/doc/vmclockd
pkgdatadir  = $(datarootdir)/vmclockd
completionsdir = $(datarootdir)/bash-completion/completions
zshdir      = $(datarootdir)/zsh/site-functions
fishdir     = $(datarootdir)/fish/vendor_completions.d
sysconfdir  = /etc
unitdir     = $(prefix)/lib/systemd/system
udevrulesdir = $(prefix)/lib/udev/rules.d
catalogdir  = $(prefix)/lib/systemd/catalog
# Where chrony.conf's confdir points: elsewhere than on Debian it is $(sysconfdir)/chrony.d
chronyconfdir = $(sysconfdir)/chrony/conf.d
apparmordir = $(sysconfdir)/apparmor.d
selinuxdir  = $(datarootdir)/selinux

BUILD    ?= build
CC       ?= cc
INSTALL  ?= install
PKG_CONFIG ?= pkg-config

CFLAGS   ?= -O2 -g
WARNINGS  = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
            -Wvla -Wwrite-strings -Wformat=2 -Wundef
MACHINE  := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
HARDENING = -fstack-protector-strong -fPIE $(HARDENING_$(MACHINE)) $(FORTIFY)
HARDENING_x86_64  = -fstack-clash-protection -fcf-protection
HARDENING_i686    = $(HARDENING_x86_64)
HARDENING_aarch64 = -fstack-clash-protection -mbranch-protection=standard
# Only where the compiler optimizes, no sanitizer looks for the same, and nobody has set it.
ifeq ($(findstring fsanitize,$(CFLAGS))$(findstring _FORTIFY_SOURCE,$(CFLAGS) $(CPPFLAGS)),)
FORTIFY   = $(if $(filter -O1 -O2 -O3 -Os,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif
# A directory whose entries have 64-bit numbers ends at the first for readdir() of 32 bits.
CPPFLAGS += -D_FILE_OFFSET_BITS=64
CPPFLAGS += -I. -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -MMD -MP
COMPILE   = $(CC) -std=c11 -pthread $(WARNINGS) $(HARDENING) $(CPPFLAGS) $(CFLAGS)
LINK      = $(CC) $(CFLAGS) -pthread -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(LDFLAGS)

# SYSTEMD=no: without libsystemd, which tells the watchdog's time; the rest speaks its protocols.
SYSTEMD    ?= yes
daemon_libs = libevent_core inih $(if $(filter no,$(SYSTEMD)),,libsystemd)
CPPFLAGS   += $(if $(filter no,$(SYSTEMD)),-DWITHOUT_SYSTEMD)
ctl_libs    = inih jansson

refclock = $(patsubst %.c,$(BUILD)/%.o,$(wildcard refclock/*.c))
shared   = $(addprefix $(BUILD)/daemon/,chrony_conf.o chrony_conf_file.o chrony_conf_source.o chrony_settings.o chronyd_process.o config.o config_key.o config_path.o config_value.o edit_distance.o device.o process.o ptp_device.o message.o metrics.o replace_file.o state_file.o state_key.o standard_streams.o state_known.o system_clock.o journal.o log.o history.o)
daemon   = $(addprefix $(BUILD)/daemon/,announcement.o clock_file.o clockbound.o chronyd.o chronyd_link.o clock_source.o device_node.o edges.o event_loop.o exit_status.o last_process.o lock.o notifications.o notify.o ptp_reader.o publisher.o reload.o runner.o service_manager.o shared_file.o sock_sender.o vmclockd.o watched_device.o written_file.o)
ctl      = $(addprefix $(BUILD)/daemon/,apparmor.o chronyd.o chronyd_program.o doctor.o doctor_chrony.o doctor_chronyd.o doctor_prospect.o doctor_refclock.o doctor_selinux.o doctor_system.o format.o device_node.o history_report.o now_report.o page_report.o selinux.o sock_sender.o state_reader.o status_report.o status_json.o status_warnings.o vmclockctl.o watch.o)
fuzzers  = $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
models   = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/model_*.c))
checks   = $(patsubst tests/%.c,%,$(wildcard tests/check_*.c))

all: $(BUILD)/vmclockd $(BUILD)/vmclockctl $(BUILD)/vmclocksim \
     $(BUILD)/lib/libvmclock.so.$(ABI) $(BUILD)/lib/libvmclock.so $(BUILD)/lib/libvmclock.a

$(BUILD)/vmclockd: $(daemon) $(shared) $(refclock)
	$(LINK) -o $@ $^ $$($(PKG_CONFIG) --libs $(daemon_libs)) -lm $(LDLIBS)

$(BUILD)/vmclockctl: $(ctl) $(shared) $(refclock) $(BUILD)/lib/libvmclock.a
	$(LINK) -o $@ $^ $$($(PKG_CONFIG) --libs $(ctl_libs)) -lm $(LDLIBS)

$(BUILD)/vmclocksim: $(BUILD)/tests/sim/vmclocksim.o $(BUILD)/tests/sim/sim_page.o $(refclock)
	$(LINK) -o $@ $^ -lm $(LDLIBS)

# The library, small and by itself: what it takes of the core is compiled once more, for a shared one.
lib = $(addprefix $(BUILD)/pic/,lib/vmclock.o lib/vmclock_time32.o refclock/bound_reason.o)

# On 32 bits the one has 64 bits of time_t, and the other 32.
$(BUILD)/pic/lib/vmclock.o: CPPFLAGS += -D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64
$(BUILD)/pic/lib/vmclock_time32.o: CPPFLAGS += -U_TIME_BITS -U_FILE_OFFSET_BITS

$(BUILD)/pic/%.o: %.c
	@mkdir -p $(@D)
	$(COMPILE) -fPIC -fvisibility=hidden -c -o $@ $<

$(BUILD)/lib/libvmclock.so.$(ABI): $(lib) lib/vmclock.map
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -shared -Wl,-soname,$(@F) -Wl,--version-script=lib/vmclock.map \
	    -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(LDFLAGS) -o $@ $(lib) $(LDLIBS)

$(BUILD)/lib/libvmclock.so: $(BUILD)/lib/libvmclock.so.$(ABI)
	ln -sf $(<F) $@

$(BUILD)/lib/libvmclock.a: $(lib)
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

$(BUILD)/check_%: $(BUILD)/tests/check_%.o $(BUILD)/tests/sim/sim_page.o $(BUILD)/tests/virtual.o $(models) \
                  $(BUILD)/tests/tracker_fixture.o $(shared) $(refclock) $(addprefix $(BUILD)/daemon/, \
                  apparmor.o chronyd.o chronyd_program.o clock_file.o clockbound.o format.o device_node.o selinux.o \
                  shared_file.o sock_sender.o written_file.o) $(BUILD)/lib/libvmclock.a
	$(LINK) -o $@ $^ $$($(PKG_CONFIG) --libs check inih) -lm $(LDLIBS)

# --- trying it ---------------------------------------------------------------

packages-%:
	@tests/install-packages.sh $*

$(BUILD)/chrony/chronyd:
	@tests/get-chrony.sh $(BUILD)/chrony

demo: packages-demo
	@$(MAKE) --no-print-directory -s all $(BUILD)/chrony/chronyd
	@tests/demo.sh $(BUILD)

# --- tests -------------------------------------------------------------------

SANITIZE = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
MANUALS  = daemon/vmclockd.8 daemon/vmclockctl.8 daemon/vmclock-recovery.7 daemon/vmclockd-events.7 \
           conf/vmclockd.conf.5 lib/vmclock_now.3 tests/sim/vmclocksim.1

# What does not measure time runs side by side.
SIDE_BY_SIDE = --no-print-directory --jobs=$(shell nproc) --output-sync

check: packages-check
	@$(MAKE) $(SIDE_BY_SIDE) all $(BUILD)/chrony/chronyd check-layers check-version check-manuals \
	    check-messages check-vectors check-units
	@$(MAKE) $(SIDE_BY_SIDE) check-recovery check-sanitized
	@$(MAKE) --no-print-directory $(BUILD)/interpose.so
	@$(MAKE) --no-print-directory compare-chrony-conf COUNT=100
	@tests/get-inih.sh $(BUILD)/inih
	@tests/get-promtool.sh $(BUILD)/promtool
	@tests/get-supervisors.sh $(BUILD)/supervisors
	BUILD=$(BUILD) tests/integration/run.py

check-sanitized:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/sanitized CFLAGS="$(SANITIZE)" RANDOM_RUNS=300 \
	    check-units check-corpora $(BUILD)/sanitized/vmclockd

# The core is pure: it includes itself and what of the C library makes no system call.
check-layers:
	@if grep -n '^#include' refclock/*.[ch] | grep -Ev \
	    '"refclock/[a-z_]+\.h"|<(assert|math|stdbool|stddef|stdint|string|sys/time)\.h>'; \
	then echo "refclock/ must not include these"; exit 1; fi

check-vectors:
	@tests/make_vectors.py | cmp - tests/clock_vectors.h

check-manuals:
	@mandoc -T lint -W style $(MANUALS)

# The catalog and the diagnostics are those of the table.
check-messages: $(BUILD)/print-messages
	@$< catalog | diff -u systemd/vmclockd.catalog - && \
	    $< manual <daemon/vmclockd-events.7 | diff -u daemon/vmclockd-events.7 - || \
	    { echo "make messages writes what differs" >&2; exit 1; }

messages: $(BUILD)/print-messages
	$< catalog >systemd/vmclockd.catalog
	$< manual <daemon/vmclockd-events.7 >$(BUILD)/vmclockd-events.7
	mv $(BUILD)/vmclockd-events.7 daemon/vmclockd-events.7

$(BUILD)/print-messages: $(BUILD)/daemon/print_messages.o
	$(LINK) -o $@ $^ $(LDLIBS)

# One version, in all that states it.
check-version:
	@for stated in \
	    "vmclockd.spec $$(sed -n 's/^Version: *//p' vmclockd.spec)" \
	    "debian/changelog $$(sed -n '1s/^vmclockd (\(.*\)-[^-]*).*/\1/p' debian/changelog)" \
	    "NEWS $$(sed -n '/^## /{s/^## \([^ ]*\).*/\1/p;q}' NEWS)"; do \
	    [ "$${stated#* }" = "$(VERSION)" ] || { \
	        echo "Makefile has version $(VERSION), $${stated%% *} \"$${stated#* }\"" >&2; exit 1; }; done

# What test_faults.py makes vmclockd's calls fail with.
$(BUILD)/interpose.so: tests/integration/interpose.c
	$(COMPILE) -U_FORTIFY_SOURCE -shared -fPIC -o $@ $< $(LDFLAGS) -ldl

check-units: $(addprefix unit-,$(checks))

unit-%: $(BUILD)/%
	@$<

# Every state of the recovery.
check-recovery: $(BUILD)/walk_recovery
	@$(BUILD)/walk_recovery

$(BUILD)/walk_recovery: $(BUILD)/tests/walk_recovery.o $(refclock)
	$(LINK) -o $@ $^ -lm $(LDLIBS)

# vmclockd's reader of chrony.conf against each chronyd at hand; by itself a long one, for which the
# newer ones are fetched.
check-chrony-conf: packages-check
	@for suite in trixie forky; do tests/vm/fetch-chrony $$suite || true; done
	@$(MAKE) --no-print-directory $(BUILD)/chrony/chronyd compare-chrony-conf \
	    COUNT=$(if $(filter file,$(origin COUNT)),3000,$(COUNT))

compare-chrony-conf: $(BUILD)/chrony_conf_reading
	BUILD=$(BUILD) tests/chrony_conf/compare $(COUNT)

$(BUILD)/chrony_conf_reading: $(BUILD)/tests/chrony_conf/reading.o $(shared) $(refclock)
	$(LINK) -o $@ $^ $$($(PKG_CONFIG) --libs inih) -lm $(LDLIBS)

check-corpora: $(addprefix $(BUILD)/replay_,$(fuzzers))
	@for fuzzer in $(fuzzers); do \
	    $(BUILD)/replay_$$fuzzer tests/fuzz/corpus/$$fuzzer/* || exit 1; done

$(BUILD)/replay_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/replay.o $(models) $(shared) $(refclock)
	$(LINK) -o $@ $^ $$($(PKG_CONFIG) --libs inih) -lm $(LDLIBS)

check-vm: packages-build
	@$(MAKE) --no-print-directory all $(BUILD)/chrony/chronyd
	tests/vm/setup.sh
	tests/vm/check_vm.py
	tests/vm/check_vm_time.py
	tests/vm/check_vm_faults.py
	@for suite in trixie forky; do \
	    tests/vm/fetch-chrony $$suite >/dev/null && \
	    BUILD=$(BUILD) CHRONY_ROOT=$${VM_DIR:-build/vm}/chrony/$$suite tests/integration/run.py test_refclock_line. && \
	    tests/vm/check_vm.py --chrony $$suite marker clock || exit 1; \
	done

# What of the core the units, the walk and the corpora reach; tests/uncovered.md has the rest.
coverage: packages-coverage
	@rm -rf $(BUILD)/coverage
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/coverage CFLAGS="-O0 -g --coverage" RANDOM_RUNS=300 \
	    check-units check-recovery check-corpora >/dev/null
	gcovr --root . --object-directory $(BUILD)/coverage --filter refclock/ --branches \
	    --exclude-lines-by-pattern '.*assert\(.*' --exclude-unreachable-branches $(BUILD)/coverage

# The Debian package in a guest of SUITE with its systemd, udev, AppArmor and chrony; as root. With
# QUICK=1 the short of it, without lintian.
SUITE ?= bookworm
QUICK ?=
check-package: packages-build
	tests/vm/setup.sh
	tests/package/build-deb $(SUITE) $(if $(QUICK),--quick,--twice)
	tests/package/build-image $(SUITE)
	tests/package/check_package.py --suite $(SUITE) $(if $(QUICK),quick)

# A migration under an enforcing SELinux, without our policy module and with it; as root.
check-selinux: packages-build packages-selinux
	tests/vm/setup.sh
	tests/package/build-deb $(SUITE) --quick
	tests/package/build-image $(SUITE) selinux
	tests/package/check_package.py --suite $(SUITE) selinux

# Other architectures: their units under emulation, and an arm64 guest.
check-cross:
	@for arch in arm64 armhf i386; do tests/cross/check-cross $$arch || exit 1; done

# musl in place of glibc, without libsystemd.
check-musl:
	tests/cross/check-musl

check-vm-arm64:
	tests/vm/setup-arm64.sh
	tests/vm/check_vm_arm64.py

# Check samples these; this runs all.
faults: packages-check
	@$(MAKE) --no-print-directory all $(BUILD)/interpose.so
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/sanitized CFLAGS="$(SANITIZE)" $(BUILD)/sanitized/vmclockd
	BUILD=$(BUILD) FAULTS=all tests/integration/run.py -v faults

# A hundred thousand disruptions before a scripted chronyd, with and without a clock, fewer before
# the real one, in the slow motion of valgrind, and by live migration; a marker that flaps for minutes.
COUNT = 100000

soak: packages-soak soak-virtual
	@$(MAKE) --no-print-directory all $(BUILD)/chrony/chronyd
	BUILD=$(BUILD) tests/integration/soak.py scripted $(COUNT)
	BUILD=$(BUILD) tests/integration/soak.py marker $(COUNT)
	BUILD=$(BUILD) tests/integration/soak.py real $$(($(COUNT) / 100))
	BUILD=$(BUILD) tests/integration/soak.py --valgrind scripted $$(($(COUNT) / 100))
	BUILD=$(BUILD) tests/integration/soak.py --valgrind marker $$(($(COUNT) / 100))
	tests/vm/setup.sh
	tests/vm/soak_vm.py $$(($(COUNT) / 2000))

fuzz-sources: # what every harness is linked with
	@echo $(patsubst $(BUILD)/%.o,%.c,$(models) $(shared) $(refclock))

fuzz: packages-fuzz
	BUILD=$(BUILD) tests/fuzz/run.sh $(SECONDS)

# The recovery's states with a reload in each, which takes forty minutes; and what check does a few thousand
# times. RUNS of each of two kinds, of which one has three disruptions on average: a million and more.
RUNS ?= 300000

soak-virtual: packages-check
	@$(MAKE) --no-print-directory $(BUILD)/check_tracker_random $(BUILD)/walk_recovery
	$(BUILD)/walk_recovery reload
	CK_FORK=no RANDOM_RUNS=$(RUNS) $(BUILD)/check_tracker_random

bench: packages-check
	@$(MAKE) --no-print-directory all $(addprefix $(BUILD)/bench/,bench_now detect empty_timer lock_memory.so)
	BUILD=$(BUILD) tests/bench/bench_daemon.py
	BUILD=$(BUILD) tests/bench/bench_now.py
	tests/vm/setup.sh
	tests/bench/bench_recovery.py
	tests/bench/bench_steady.py
	tests/bench/bench_detect.py
	tests/bench/bench_reading.py

$(BUILD)/bench/bench_now: $(BUILD)/tests/bench/bench_now.o $(BUILD)/lib/libvmclock.a
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ $(LDLIBS)

$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ $(LDLIBS)

$(BUILD)/bench/%.so: tests/bench/%.c
	@mkdir -p $(@D)
	$(COMPILE) -shared -fPIC -o $@ $< $(LDFLAGS)

# --- the code ----------------------------------------------------------------

sources = $(wildcard lib/*.[ch] refclock/*.[ch] daemon/*.[ch] tests/*.[ch] tests/*/*.[ch])
checked = $(filter-out %.h tests/vm/% tests/integration/%,$(sources))

format:
	clang-format -i $(filter-out tests/clock_vectors.h,$(sources))

tidy: packages-tidy
	@for file in $(checked); do \
	    clang-tidy --quiet $$file -- -std=c11 -Ilib $(filter-out -MMD -MP,$(CPPFLAGS)) || exit 1; done
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
	    --suppress=missingIncludeSystem --error-exitcode=1 -D__x86_64__ -Ilib $(filter-out -MMD -MP,$(CPPFLAGS)) $(checked)
	$(MAKE) --no-print-directory BUILD=$(BUILD)/gcc CC=gcc CFLAGS="-O2 -Werror" all
	$(MAKE) --no-print-directory BUILD=$(BUILD)/clang CC=clang CFLAGS="-O2 -Werror" all

# What finds little and takes long. -Wpadded tells of the machine, a cast of a call or a comparison
# with an exact 0 is meant, a float is NAN or INFINITY, and a switch without a default has the
# compiler see to it that no value is forgotten, or means to name a few of many; gcc sees to what
# falls through. Control flow protection is ours, but not of the C library's own start-up code. Check
# and inih are not built for MemorySanitizer: it has the corpora that need neither, and the walk.
# ThreadSanitizer would have little to find: vmclockd's second thread reads the PTP clock, and has a
# mutex and an eventfd with the first.
analyze: packages-analyze tidy
	$(MAKE) --no-print-directory BUILD=$(BUILD)/weverything CC=clang CFLAGS="-O2 -Werror -Weverything \
	    -Wno-padded -Wno-bad-function-cast -Wno-float-equal -Wno-double-promotion -Wno-switch-enum \
	    -Wno-disabled-macro-expansion -Wno-implicit-fallthrough" $(BUILD)/weverything/vmclockd $(BUILD)/weverything/vmclockctl
	$(MAKE) --no-print-directory BUILD=$(BUILD)/analyzed CC=gcc CFLAGS="-O2 -Werror -fanalyzer -Wnull-dereference \
	    -Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wcast-qual -Wcast-align=strict -Wformat-signedness \
	    -Wstrict-overflow=2 -Warith-conversion -Wunused-macros" all
	scan-build --status-bugs -enable-checker security.insecureAPI.strcpy $(MAKE) BUILD=$(BUILD)/scanned all
	$(MAKE) --no-print-directory BUILD=$(BUILD)/hardened CC=gcc CFLAGS=-O2 all
	hardening-check --nocfprotection $(addprefix $(BUILD)/hardened/,vmclockd vmclockctl)
	$(MAKE) --no-print-directory BUILD=$(BUILD)/memory CC=clang CFLAGS="-O1 -g -fsanitize=memory" \
	    fuzzers="page reply state tracker" check-corpora check-recovery
	for check in $(checks); do $(MAKE) --no-print-directory $(BUILD)/$$check && CK_FORK=no \
	    RANDOM_RUNS=100 valgrind --quiet --leak-check=full --error-exitcode=99 $(BUILD)/$$check || exit 1; done

# --- installing --------------------------------------------------------------

# $(call fill_in,FILE): into $(BUILD), with this installation's paths
fill_in = sed 's|@sbindir@|$(sbindir)|; s|@sysconfdir@|$(sysconfdir)|' $1 >$(BUILD)/$(notdir $1)
# $(call install_config,FILE,DIRECTORY,NAME,EARLIER): once; then it is the administrator's, unless it
# is still the EARLIER one.
install_config = $(INSTALL) -d $(DESTDIR)$2; \
    [ -e $(DESTDIR)$2/$3 ] $(if $4,&& ! cmp -s $4 $(DESTDIR)$2/$3) || $(INSTALL) -m 644 $1 $(DESTDIR)$2/$3

install: all
	$(call fill_in,systemd/vmclockd.service)
	$(call fill_in,conf/vmclockd.apparmor)
	$(INSTALL) -d $(addprefix $(DESTDIR),$(sbindir) $(unitdir) $(udevrulesdir) \
	    $(catalogdir) $(completionsdir) $(mandir)/man8 $(mandir)/man7 $(mandir)/man5 $(pkgdatadir) $(docdir)/examples)
	$(INSTALL) -d $(addprefix $(DESTDIR),$(bindir) $(zshdir) $(fishdir))
	$(INSTALL) -m 755 $(BUILD)/vmclockd $(DESTDIR)$(sbindir)
	$(INSTALL) -m 755 $(BUILD)/vmclockctl $(DESTDIR)$(bindir)
	[ $(DESTDIR)$(bindir) -ef $(DESTDIR)$(sbindir) ] || \
	    ln -sfr $(DESTDIR)$(bindir)/vmclockctl $(DESTDIR)$(sbindir)/vmclockctl # users' units name it so
	$(INSTALL) -d $(addprefix $(DESTDIR),$(libdir)/pkgconfig $(includedir) $(mandir)/man3)
	$(INSTALL) -m 644 $(BUILD)/lib/libvmclock.so.$(ABI) $(DESTDIR)$(libdir)/libvmclock.so.$(VERSION)
	ln -sf libvmclock.so.$(VERSION) $(DESTDIR)$(libdir)/libvmclock.so.$(ABI)
	ln -sf libvmclock.so.$(ABI) $(DESTDIR)$(libdir)/libvmclock.so
	$(INSTALL) -m 644 $(BUILD)/lib/libvmclock.a $(DESTDIR)$(libdir)
	sed 's|@prefix@|$(prefix)|; s|@libdir@|$(libdir)|; s|@includedir@|$(includedir)|; s|@version@|$(VERSION)|' \
	    lib/vmclock.pc.in >$(BUILD)/vmclock.pc
	$(INSTALL) -m 644 $(BUILD)/vmclock.pc $(DESTDIR)$(libdir)/pkgconfig
	$(INSTALL) -m 644 lib/vmclock.h $(DESTDIR)$(includedir)
	$(INSTALL) -m 644 lib/vmclock_now.3 $(DESTDIR)$(mandir)/man3
	for name in vmclock_open vmclock_close vmclock_status_str vmclock_why; do \
	    ln -sf vmclock_now.3 $(DESTDIR)$(mandir)/man3/$$name.3 || exit 1; done
	$(INSTALL) -m 644 lib/example.c $(DESTDIR)$(docdir)/examples/vmclock.c
	$(INSTALL) -m 644 daemon/vmclockd.8 daemon/vmclockctl.8 $(DESTDIR)$(mandir)/man8
	$(INSTALL) -m 644 daemon/vmclock-recovery.7 daemon/vmclockd-events.7 $(DESTDIR)$(mandir)/man7
	$(INSTALL) -m 644 conf/vmclockd.conf.5 $(DESTDIR)$(mandir)/man5
	$(call install_config,conf/chrony-vmclock.conf,$(chronyconfdir),vmclockd.conf,$(DESTDIR)$(pkgdatadir)/chrony-vmclock.conf)
	$(INSTALL) -m 644 conf/chrony-vmclock.conf $(DESTDIR)$(pkgdatadir)
	$(INSTALL) -m 644 README.md NEWS LICENSE doc/containers.md $(DESTDIR)$(docdir)
	$(INSTALL) -m 644 $(wildcard systemd/examples/*) conf/prometheus/vmclockd.rules.yml \
	    conf/grafana/vmclockd.json $(DESTDIR)$(docdir)/examples
	$(INSTALL) -d $(DESTDIR)$(docdir)/examples/runit $(DESTDIR)$(docdir)/examples/s6
	$(INSTALL) -m 644 conf/init/vmclockd.openrc $(DESTDIR)$(docdir)/examples
	$(INSTALL) -m 644 $(wildcard conf/init/runit/*) $(DESTDIR)$(docdir)/examples/runit
	$(INSTALL) -m 644 $(wildcard conf/init/s6/*) $(DESTDIR)$(docdir)/examples/s6
	$(INSTALL) -m 644 $(BUILD)/vmclockd.service $(DESTDIR)$(unitdir)
	$(INSTALL) -m 644 systemd/60-vmclock.rules $(DESTDIR)$(udevrulesdir)
	$(INSTALL) -m 644 systemd/vmclockd.catalog $(DESTDIR)$(catalogdir)
	$(INSTALL) -d $(DESTDIR)$(apparmordir)
	$(INSTALL) -m 644 $(BUILD)/vmclockd.apparmor $(DESTDIR)$(apparmordir)/vmclockd
	$(call install_config,conf/vmclockd.conf,$(sysconfdir),vmclockd.conf)
	$(INSTALL) -m 644 conf/completions/vmclockd conf/completions/vmclockctl $(DESTDIR)$(completionsdir)
	$(INSTALL) -m 644 conf/completions/_vmclockctl $(DESTDIR)$(zshdir)
	$(INSTALL) -m 644 conf/completions/vmclockctl.fish $(DESTDIR)$(fishdir)

# The configuration stays: it is the administrator's. chronyd is not left with a line of ours.
uninstall:
	rm -f $(addprefix $(DESTDIR),$(sbindir)/vmclockd $(sbindir)/vmclockctl $(bindir)/vmclockctl \
	    $(zshdir)/_vmclockctl $(fishdir)/vmclockctl.fish \
	    $(mandir)/man8/vmclockd.8 $(mandir)/man8/vmclockctl.8 $(mandir)/man5/vmclockd.conf.5 \
	    $(mandir)/man7/vmclock-recovery.7 $(mandir)/man7/vmclockd-events.7 \
	    $(unitdir)/vmclockd.service $(udevrulesdir)/60-vmclock.rules $(catalogdir)/vmclockd.catalog \
	    $(libdir)/libvmclock.so.$(VERSION) $(libdir)/libvmclock.so.$(ABI) $(libdir)/libvmclock.so $(libdir)/libvmclock.a \
	    $(libdir)/pkgconfig/vmclock.pc $(includedir)/vmclock.h $(mandir)/man3/vmclock_now.3 \
	    $(mandir)/man3/vmclock_open.3 $(mandir)/man3/vmclock_close.3 $(mandir)/man3/vmclock_status_str.3 \
	    $(mandir)/man3/vmclock_why.3 \
	    $(completionsdir)/vmclockd $(completionsdir)/vmclockctl $(chronyconfdir)/vmclockd.conf $(apparmordir)/vmclockd)
	rm -rf $(DESTDIR)$(docdir) $(DESTDIR)$(pkgdatadir)

# The policy module; with DESTDIR it is put there and not loaded. Files that are there are labelled, and
# a vmclockd that runs gets its domain when it is restarted.
SELINUX_MAKEFILE = /usr/share/selinux/devel/Makefile

install-selinux: $(BUILD)/selinux/vmclockd.pp
	$(INSTALL) -d $(DESTDIR)$(selinuxdir)/packages $(DESTDIR)$(selinuxdir)/devel/include/distributed
	$(INSTALL) -m 644 $< $(DESTDIR)$(selinuxdir)/packages
	$(INSTALL) -m 644 selinux/vmclockd.if $(DESTDIR)$(selinuxdir)/devel/include/distributed
	$(if $(DESTDIR),,semodule -i $(selinuxdir)/packages/vmclockd.pp)
	$(if $(DESTDIR),,restorecon -RFi $(SELINUX_LABELLED))

SELINUX_LABELLED = $(sbindir)/vmclockd /dev/vmclock* /run/vmclockd /run/chrony

uninstall-selinux:
	$(if $(DESTDIR),,semodule -r vmclockd)
	rm -f $(DESTDIR)$(selinuxdir)/packages/vmclockd.pp $(DESTDIR)$(selinuxdir)/devel/include/distributed/vmclockd.if
	$(if $(DESTDIR),,restorecon -RFi $(SELINUX_LABELLED))

# The policy's own makefile takes what lies in its directory.
$(BUILD)/selinux/vmclockd.pp: $(wildcard selinux/*)
	@[ -e $(SELINUX_MAKEFILE) ] || { echo "$(SELINUX_MAKEFILE) is missing: install selinux-policy-devel," \
	    "or, on Debian, selinux-policy-dev" >&2; exit 69; }
	@mkdir -p $(@D)
	@cp $^ $(@D)
	$(MAKE) --no-print-directory -C $(@D) -f $(SELINUX_MAKEFILE) vmclockd.pp

# What is committed, as it is released.
dist: check-version
	@mkdir -p $(BUILD)
	git archive --format=tar.gz --prefix=vmclockd-$(VERSION)/ -o $(BUILD)/vmclockd-$(VERSION).tar.gz HEAD

clean:
	rm -rf $(BUILD)

.PHONY: all demo check check-layers check-version check-vectors check-manuals check-messages messages check-units check-recovery check-sanitized check-corpora \
        check-chrony-conf compare-chrony-conf check-vm check-package check-selinux check-cross check-musl \
        check-vm-arm64 faults fuzz fuzz-sources soak soak-virtual coverage bench \
        format tidy analyze install uninstall install-selinux uninstall-selinux dist clean
.SECONDARY:
-include $(wildcard $(addsuffix /*.d,$(addprefix $(BUILD)/,pic/lib pic/refclock refclock daemon lib tests tests/sim tests/fuzz tests/bench tests/chrony_conf)))
