# SPDX-License-Identifier: BSD-2-Clause
VERSION = 0.1.0

prefix      = /usr/local
exec_prefix = $(prefix)
sbindir     = $(exec_prefix)/sbin
bindir      = $(exec_prefix)/bin
datarootdir = $(prefix)/share
mandir      = $(datarootdir)/man
docdir      = $(datarootdir)/doc/vmclockd
sysconfdir  = /etc
unitdir     = $(prefix)/lib/systemd/system

BUILD    ?= build
CC       ?= cc
INSTALL  ?= install
PKG_CONFIG ?= pkg-config

CFLAGS   ?= -O2 -g
WARNINGS  = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
            -Wvla -Wwrite-strings -Wformat=2 -Wundef
HARDENING = -fstack-protector-strong -fPIE
CPPFLAGS += -I. -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -MMD -MP
COMPILE   = $(CC) -std=c11 $(WARNINGS) $(HARDENING) $(CPPFLAGS) $(CFLAGS)
LINK      = $(CC) $(CFLAGS) -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)

daemon_libs = libevent_core libsystemd inih
ctl_libs    = inih jansson

refclock = $(patsubst %.c,$(BUILD)/%.o,$(wildcard refclock/*.c))
shared   = $(addprefix $(BUILD)/daemon/,config.o device.o state_file.o system_clock.o journal.o log.o)
daemon   = $(addprefix $(BUILD)/daemon/,chronyd.o event_loop.o runner.o sock_sender.o vmclockd.o)
checks   = $(patsubst tests/%.c,%,$(wildcard tests/check_*.c))

all: $(BUILD)/vmclockd $(BUILD)/vmclockctl $(BUILD)/vmclocksim

$(BUILD)/vmclockd: $(daemon) $(shared) $(refclock)
	$(LINK) -o $@ $^ $$($(PKG_CONFIG) --libs $(daemon_libs)) -lm $(LDLIBS)

$(BUILD)/vmclockctl: $(BUILD)/daemon/vmclockctl.o $(shared) $(refclock)
	$(LINK) -o $@ $^ $$($(PKG_CONFIG) --libs $(ctl_libs)) -lm $(LDLIBS)

$(BUILD)/vmclocksim: $(BUILD)/tests/sim/vmclocksim.o $(BUILD)/tests/sim/sim_page.o $(refclock)
	$(LINK) -o $@ $^ -lm $(LDLIBS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

$(BUILD)/check_%: $(BUILD)/tests/check_%.o $(BUILD)/tests/sim/sim_page.o $(BUILD)/tests/virtual.o \
                  $(shared) $(BUILD)/daemon/chronyd.o $(BUILD)/daemon/sock_sender.o $(refclock)
	$(LINK) -o $@ $^ $$($(PKG_CONFIG) --libs check inih) -lm $(LDLIBS)

clean:
	rm -rf $(BUILD)

.PHONY: all clean
.SECONDARY:
-include $(wildcard $(addsuffix /*.d,$(addprefix $(BUILD)/,refclock daemon tests tests/sim tests/bench)))
