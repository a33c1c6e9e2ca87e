# SPDX-License-Identifier: MIT
#
# coldframe inside another build: everything an embedder needs is the list in
# core/sources.mk, a C17 compiler and a port of its own.
#
#   make -f examples/embed.mk O=out CC=aarch64-linux-gnu-gcc
#
# leaves out/libcoldframe.a. Without make it is one line:
#
#   cc -std=c17 -O2 -ffreestanding -Iinclude -c core/*.c
#
# On aarch64 add CFLAGS=-mno-outline-atomics, or link libgcc.

CF_DIR ?= .
O ?= out
AR ?= ar
CFLAGS ?= -O2 -g

include $(CF_DIR)/core/sources.mk

CF_OBJECTS = $(CF_CORE_SOURCES:%.c=$(O)/%.o)
CF_CFLAGS = -std=c17 -ffreestanding -nostdinc -idirafter \
	$(shell $(CC) -print-file-name=include) -I$(CF_DIR)/include

$(O)/libcoldframe.a: $(CF_OBJECTS)
	rm -f $@
	$(AR) rcs $@ $(CF_OBJECTS)

$(O)/%.o: $(CF_DIR)/core/%.c $(CF_DIR)/core/sources.mk
	mkdir -p $(O)
	$(CC) $(CF_CFLAGS) $(CFLAGS) -MMD -c -o $@ $<

-include $(CF_OBJECTS:.o=.d)
