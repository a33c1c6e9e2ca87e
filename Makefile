# SPDX-License-Identifier: MIT
# A few verbs in front of Meson and Ninja; `make help` lists them.

PREFIX ?= /usr/local

.PHONY: all run test check soak fuzz prove verdicts mutate coverage bench \
	bench-quick install clean help

all:
	@scripts/setup -n run
	@scripts/build build

run:
	@scripts/setup run
	@scripts/build build
	build/tools/coldframe/coldframe run scenarios/demo.cf

test:
	@scripts/setup test
	@scripts/test all

check:
	@scripts/setup -n check
	@scripts/test quick

# How long, and from which seed on: make soak SECONDS=600 SEED=1; the threads
# of the race suite under ThreadSanitizer instead: make soak RACE=1
soak:
	@scripts/setup -n run
	@scripts/soak $(if $(RACE),-r) $(if $(SECONDS),-t $(SECONDS)) $(if $(SEED),-s $(SEED))

# Which targets, how long each, by what: make fuzz TARGET=reader SECONDS=600
fuzz:
	@scripts/fuzz $(if $(ENGINE),--engine $(ENGINE)) \
	    $(if $(SECONDS),--seconds $(SECONDS)) $(TARGET)

prove:
	@scripts/setup -n run
	@scripts/prove

# Guests of Linux take every memory block offline: make verdicts GUESTS=--more;
# with the kernel of another suite of Debian: SUITE=bookworm-backports
verdicts:
	@scripts/setup verdicts
	@$(if $(SUITE),scripts/kernel $(SUITE))
	@scripts/build build
	@tests/linux/page_types.py build/tools/coldframe/coldframe
	@tests/linux/offline.py $(if $(SUITE),--root out/kernel-$(SUITE)) \
	    $(GUESTS) build/tools/coldframe/coldframe

mutate:
	@scripts/setup test
	@scripts/mutate

coverage:
	@scripts/setup -n run
	@scripts/coverage --report docs/coverage.md

# Whose it is to be kept as: make bench NAME=laptop
bench:
	@scripts/setup bench
	@bench/run $(NAME)

bench-quick:
	@scripts/setup -n run
	@bench/run --quick

install:
	@scripts/setup -n run
	@scripts/build build
	@meson configure build -Dprefix=$(PREFIX)
	@meson install -C build

clean:
	rm -rf build build-debug build-clang build-asan build-tsan build-prove \
	    build-coverage build-soak build-soak-race build-fuzz build-afl

help:
	@echo 'make          build the library and the command in build/'
	@echo 'make run      install what is missing, build, run the demonstration'
	@echo 'make test     install what is missing, run every test'
	@echo 'make check    unit and build tests and tidy; installs nothing'
	@echo 'make soak     random operations, SECONDS=60 long, from SEED on'
	@echo 'make fuzz     bytes of all kinds, TARGET=all for SECONDS=60 each'
	@echo 'make prove    explore every interleaving of small programs'
	@echo 'make verdicts ask guests of Linux whether coldframe blocks is right'
	@echo 'make mutate   break the engine in small ways; do the tests notice?'
	@echo 'make coverage lines and branches of core/ that the tests run'
	@echo 'make bench    install what is missing, measure: ten minutes;'
	@echo '              NAME=x keeps it in bench/results'
	@echo 'make bench-quick  the same, roughly: one minute'
	@echo 'make install  install below PREFIX ($(PREFIX)); DESTDIR is heeded'
	@echo 'make clean    remove the build directories'
