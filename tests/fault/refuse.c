/* SPDX-License-Identifier: MIT */
/*
 * Every refusal that a header documents, made to happen once; the machine is
 * compared frame by frame with what it was before. codes.py holds the list
 * against the headers.
 */
#include <stdio.h>
#include <string.h>

#include "../tap.h"
#include "scene.h"

static const char *const code_names[CF_ERR_COUNT] = {
	"0", "CF_EINVAL", "CF_EBUSY", "CF_EAGAIN", "CF_ENOMEM", "CF_EGONE",
	"CF_EREFUSED", "CF_ELIMIT", "CF_EPORT",
};

static const struct refusal *const tables[] = {
	frame_refusals, range_refusals, block_refusals, owner_refusals,
	device_refusals,
};

#define TABLES	(sizeof(tables) / sizeof(tables[0]))

static const struct refusal *current;
static struct image before, after;

static void refuse(void)
{
	static struct scene scene;
	struct cf_finding finding = { 0 };
	enum same same = SAME_ALL;
	int err;

	scene_init(&scene);
	image_take(&scene.stage, &before);
	err = current->call(&scene);
	(void)stage_disarm(&scene.stage);
	CHECK_EQ(err, -current->code);
	if (!CHECK(cf_verify(scene.stage.map, &finding)))
		printf("# verify: %s\n", cf_finding_name(finding.kind));
	image_take(&scene.stage, &after);
	/* To fill the table of bad frames some must have been retired. */
	if (!strcmp(current->function, "retire") &&
	    current->code == CF_ELIMIT)
		same = SAME_MOVED;
	CHECK(image_same(&scene.stage, &before, &after, same));
	CHECK(scene_done(&scene));
}

int main(int argc, char **argv)
{
	const struct refusal *refusal;
	char name[96];
	size_t i;

	for (i = 0; i < TABLES; i++) {
		for (refusal = tables[i]; refusal->function; refusal++) {
			snprintf(name, sizeof(name), "cf_%s -%s",
				 refusal->function,
				 code_names[refusal->code]);
			current = refusal;
			if (argc == 1 || strstr(name, argv[1]))
				tap_run(name, refuse);
		}
	}
	return tap_done();
}
