/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_COLDFRAME_QEMU_H
#define TOOLS_COLDFRAME_QEMU_H

#include <sys/types.h>

#include "machine/player.h"
#include "qemu_monitor.h"

/* QEMU, and the guest in it: a child that ends when this process does. */

enum cpu_kind {
	CPU_X86_64,
	CPU_AARCH64,
	CPU_KIND_COUNT
};

/* "x86-64", "aarch64"; by the word or by QEMU's spelling. False: neither. */
bool qemu_cpu_kind(const char *word, enum cpu_kind *ret_kind);

#define QEMU_DEVICES_MAX	8

/* A device that the scenario declares. Sizes are bytes. */
struct qemu_device {
	enum noun kind;			/* NOUN_MEM, NOUN_BALLOON */
	struct text name;		/* in the scenario */
	uint32_t line;
	uint64_t first, last;		/* of the region, from frame 0 on */
	uint64_t block;
	unsigned node;
	bool deflate_on_oom, reporting, hinting;
};

/*
 * What a machine of QEMU's is to be. Sizes are bytes.
 *
 * With devices the frames of the scenario have addresses: those of frame 0
 * plus @place, up to @frames. Regions come right behind the machine's RAM.
 */
struct qemu_config {
	enum cpu_kind kind;
	const char *text;		/* of the scenario */
	size_t bytes;
	uint64_t seed;
	unsigned cpus, nodes;
	uint64_t memory;		/* RAM */
	uint64_t memory_max;		/* with all regions plugged */
	uint64_t place, frames;
	struct qemu_device device[QEMU_DEVICES_MAX];
	unsigned devices;
	uint64_t start_ns;		/* patience with the start ... */
	uint64_t patience_ns;		/* ... and then with a step */
};

struct qemu {
	pid_t pid;			/* 0: none */
	struct channel console;
	struct monitor monitor;
	int errors;			/* file of what QEMU says, or -1 */
	uint64_t said;			/* bytes of it when the guest started */
	uint64_t patience_ns;
	/* Of regions, and behind them of RAM; 0: not asked for yet. */
	uint64_t host_address[QEMU_DEVICES_MAX + 1];
	char words[256];		/* the guest's last, that were none of
					 * its answers; or why it is gone */
};

/**
 * qemu_find() - QEMU's program and the guest's image for a kind of CPU.
 * @ret_image: storage for a path
 *
 * Return: true; or false: said on stderr, with the package to install.
 */
bool qemu_find(enum cpu_kind kind, char *ret_image, size_t bytes);

/**
 * qemu_start() - start it and wait until the guest has read its scenario.
 * @image: of qemu_find()
 *
 * Return: true; or false with qemu->words. Pair with qemu_end() either way.
 */
bool qemu_start(struct qemu *qemu, const struct qemu_config *config,
		const char *image);
void qemu_end(struct qemu *qemu);

/**
 * qemu_ask() - one command to the guest, and its answer.
 * @hear: called with each object that is not yet the answer, if it takes it:
 *        true; may be NULL
 *
 * Return: a new reference; or NULL with qemu->words: it is gone, or late.
 */
json_t *qemu_ask(struct qemu *qemu, const char *command,
		 bool (*hear)(void *context, json_t *object), void *context);

/* Lines that QEMU itself said since the guest started: complaints. */
uint64_t qemu_complaints(const struct qemu *qemu);

/* Bytes in memory of [first, first + bytes) of QEMU's address space. */
uint64_t qemu_resident_range(const struct qemu *qemu, uint64_t first,
			     uint64_t bytes);

/**
 * qemu_plan() - what a scenario's devices ask of QEMU.
 * @config: its kind, and what memory the scenario counts, are set
 *
 * Return: 0; or the line of a step that QEMU cannot do, and why.
 */
uint32_t qemu_plan(struct qemu_config *config, const struct scenario *scenario,
		   const struct step *step, size_t steps,
		   const char **ret_why);

/* Bytes that QEMU has plugged of a virtio-mem, or in the balloon. */
bool qemu_plugged(struct qemu *qemu, unsigned number, uint64_t *ret_bytes);
bool qemu_ballooned(struct qemu *qemu, const struct qemu_config *config,
		    uint64_t *ret_bytes);

/**
 * qemu_agrees() - does QEMU say of its devices what the guest does?
 * @report: with the guest's, as print devices has them
 */
bool qemu_agrees(struct qemu *qemu, const struct qemu_config *config,
		 const json_t *report, char *why, size_t bytes);

/* QEMU holds events back for a second, a busy host for longer. */
#define QEMU_EVENTS_NS	30000000000ull

/* Do its events tell, within @for_ns, what is plugged and ballooned now? */
bool qemu_told(struct qemu *qemu, const struct qemu_config *config,
	       uint64_t for_ns, char *why, size_t bytes);

/**
 * qemu_answer() - do for the guest what only the host can.
 * @words: of the guest: what, the number of a device, a value
 * @line:  what to answer, with its end
 */
void qemu_answer(struct qemu *qemu, const struct qemu_config *config,
		 const char *words, char *line, size_t bytes);

/* The guest in QEMU as a player. */
struct player_qemu {
	struct qemu_config qemu;
	const char *image;
	const struct step *steps;
	const struct machine_config *machine;	/* out, progress, context */
	/* The guest is gone: does not come back. @context: machine's. */
	void (*gone)(void *context, const char *why);
};

/* Return: 0; or -1 with @why. @config stays valid. */
int player_qemu(const struct player_qemu *config, struct player *ret_player,
		char *why, size_t bytes);

#endif
