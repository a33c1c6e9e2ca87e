/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_RUN_QEMU_H
#define COLDFRAME_RUN_QEMU_H

#include "program.h"
#include "qemu.h"

/* What --machine and its like say. */
struct run_qemu {
	bool wanted;			/* --machine=qemu */
	bool kind_given, patience_given;
	enum cpu_kind kind;
	uint64_t patience_s;
	bool json;			/* how to say what is wrong */
	char image[4096];
	struct player_qemu config;	/* of the file that runs */
};

/* Each takes an option's value. Return: EXIT_OK, or said: EXIT_WRONG. */
int run_qemu_machine(struct run_qemu *run, const char *text);
int run_qemu_cpu_kind(struct run_qemu *run, const char *text);
int run_qemu_patience(struct run_qemu *run, const char *text);

/* What fits together, and is QEMU there? EXIT_OK, or said: EXIT_WRONG. */
int run_qemu_check(struct run_qemu *run);

/* A session's play hook; @context is a struct run_qemu. */
int run_qemu_play(void *context, const struct program *program,
		  const struct machine_config *config,
		  struct player *ret_player);

#endif
