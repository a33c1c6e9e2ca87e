/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GROUPS_H
#define BENCH_GROUPS_H

/*
 * Each group runs in a process of its own and prints cells (cell_print()).
 * They return the exit status; GROUP_MISSING: what is to be measured is not
 * there.
 */
#define GROUP_MISSING	2

int group_primitives(void);
int group_compared(void);
int group_engine(void);
int group_sizes(void);
int group_hotplug(void);
int group_move(void);
int group_scarce(void);
int group_memory(void);
int group_fragments(void);

/* @library: what malloc() must come from, a part of its file's name. */
int group_malloc(const char *library, const char *column);

/* @file: a shared object, see plugin.h. */
int group_plugin(const char *file);

/* Where rows go: sections of the result, and their headings. */
#define SECTION_MACHINE		"machine"
#define SECTION_OTHERS		"others"
#define SECTION_REFUSALS	"refusals"
#define SECTION_ENGINE		"engine"
#define SECTION_SIZES		"sizes"
#define SECTION_HOTPLUG		"hotplug"
#define SECTION_MOVE		"move"
#define SECTION_COMPACT		"compact"
#define SECTION_SCARCE		"scarce"
#define SECTION_FRAGMENTS	"fragments"
#define SECTION_MEMORY		"memory"
#define SECTION_WALK		"walk"
#define SECTION_LATENCY		"latency"
#define SECTION_CALLS		"instructions"
#define SECTION_SYSTEM		"system"
#define SECTION_PUTS		"puts"

/* What coldframe's column is called beside others. */
#define COLUMN_COLDFRAME	"coldframe"

/* What machine this is: the nth line of it; NULL: there are no more. */
const char *machine_line(unsigned nth);

#endif
