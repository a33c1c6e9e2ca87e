/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a sysroot, in the form of tests/fuzz/tree.h: every command that
 * looks at a host ends with an exit status that is documented, JSON is JSON,
 * and a capture of the sysroot says the same as the sysroot.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "linux/owners.h"
#include "linux/verdict.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/tree.h"

#define BYTES_MAX	(1 << 16)
#define FRAMES_MAX	(UINT64_C(1) << 22)

static void check_piece(const struct lx_piece *piece, uint64_t frames)
{
	uint64_t sum = 0;
	unsigned int class;

	for (class = 0; class < LX_CLASS_COUNT; class++)
		sum += piece->count[class];
	HOLDS(sum == piece->frames && sum <= frames);
}

static void check_judgement(const struct lx_judgement *judgement)
{
	size_t i;

	HOLDS(judgement->verdict < LX_VERDICT_COUNT);
	HOLDS(judgement->count <= LX_REASON_COUNT);
	for (i = 0; i < judgement->count; i++) {
		HOLDS(judgement->reason[i].code < LX_REASON_COUNT);
		HOLDS(judgement->reason[i].confidence < LX_CONFIDENCE_COUNT);
	}
}

/* Pieces of all blocks, and verdicts on them. */
static void check_blocks(const struct lx_host *host)
{
	struct lx_judgement judgement;
	struct lx_error err = { .text = "" };
	struct lx_piece piece;
	struct lx_judge judge;
	struct lx_scan scan;
	size_t i;

	if (lx_scan_open(&scan, host, &err))
		return;
	HOLDS(!lx_judge_init(&judge, host, true, &err));
	for (i = 0; i < host->blocks.count; i++) {
		uint64_t first = host->blocks.block[i].id *
				 host->blocks.frames;

		if (lx_scan_piece(&scan, first, first + host->blocks.frames,
				  &piece, &err))
			break;
		check_piece(&piece, host->blocks.frames);
		lx_judge_block(&judge, &host->blocks.block[i], &piece,
			       &judgement);
		check_judgement(&judgement);
	}
	lx_judge_free(&judge);
	lx_scan_close(&scan);
}

/* Is what it tells of small enough to look at it all? */
static bool check_host(const char *root)
{
	struct lx_host host = { .root = NULL };
	struct lx_error err = { .text = "" };
	bool small;

	if (lx_host_read(root, &host, &err)) {
		HOLDS(err.text[0]);
		return true;
	}
	small = host.blocks.count <= 4096 && lx_host_end(&host) <= FRAMES_MAX;
	if (small)
		check_blocks(&host);
	lx_host_free(&host);
	return small;
}

static void check_owners(const char *root)
{
	const struct lx_asked asked = { 0, 4096, NULL };
	struct lx_owners owners = { .count = 0 };
	struct lx_error err = { .text = "" };

	(void)lx_owners_mapped(root, &asked, &owners, &err);
	lx_owners_free(&owners);
	(void)lx_owners_cgroups(root, &asked, &owners, &err);
	lx_owners_free(&owners);
	(void)lx_owners_field(root, "VmLck:", &owners, &err);
	lx_owners_free(&owners);
	(void)lx_owners_field(root, "VmPTE:", &owners, &err);
	lx_owners_free(&owners);
	(void)lx_owners_vmalloc(root, &owners, &err);
	lx_owners_free(&owners);
	(void)lx_owners_slabs(root, &owners, &err);
	lx_owners_free(&owners);
}

static void run_json(const char *name, const char *option, const char *root)
{
	const char *words[] = { name, "-J", "-s", root, option, NULL };

	if (commands_run(words) == 0)
		commands_check_json();
}

static void run_all(const char *root)
{
	char file[512];
	const char *capture[] = { "capture", "-s", root, file, NULL };
	const char *diff[] = { "diff", "-J", root, file, NULL };
	const char *why[] = { "why", "-a", "-s", root, "0-3", "pfn:512",
			      NULL };
	const char *watch[] = { "watch", "-s", root, "-c", "1", "0", NULL };
	const char *plan[] = { "plan", "--shrink", "4M", "-s", root, NULL };
	const char *why_json[] = { "why", "-J", "-s", root, "0", "pfn:700+900",
				   "pfn:512", NULL };
	const char *plan_json[] = { "plan", "-J", "--shrink", "9M",
				    "--doubtful", "-s", root, NULL };
	const char *watch_json[] = { "watch", "-J", "-s", root, "-c", "1",
				     "0", NULL };
	const char *table[] = { "blocks", "--output-all", "-s", root, NULL };

	run_json("blocks", NULL, root);
	run_json("chunks", NULL, root);
	run_json("chunks", "-l", root);
	run_json("offline-map", NULL, root);
	run_json("offline-map", "-l", root);
	run_json("account", NULL, root);
	run_json("why", "--spoilers", root);
	(void)commands_run(why);
	(void)commands_run(watch);
	(void)commands_run(plan);
	(void)commands_run(why_json);
	commands_check_json();
	(void)commands_run(plan_json);
	commands_check_json();
	(void)commands_run(watch_json);
	commands_check_json();
	(void)commands_run(table);
	snprintf(file, sizeof(file), "%s/capture", root);
	if (!commands_run(capture) && !commands_run(diff))
		commands_check_json();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct command_line line = { .count = 0 };
	const char *root = fuzz_folder();

	if (count > BYTES_MAX)
		return 0;
	tree_make(bytes, count, &line);
	check_owners(root);
	if (check_host(root))
		run_all(root);
	while (line.count)
		free(line.word[--line.count]);
	fuzz_folder_clear();
	return 0;
}
