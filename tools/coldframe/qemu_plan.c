/* SPDX-License-Identifier: MIT */

/* Which machine of QEMU's a scenario needs. */

#include "qemu_kind.h"

#define GIB		((uint64_t)1 << 30)

/* Of a scenario without devices; what is not touched costs nothing. */
#define SPAN_MAX	(32 * GIB)

/* Regions begin there: RAM must end there, and frames before it have RAM. */
#define FRAMES_MAX	(256 * GIB)

static struct qemu_device device_of(const struct scenario *scenario,
				    const struct step *step)
{
	return (struct qemu_device){
		.kind = step->kind == STEP_VIRTIO_MEM ? NOUN_MEM :
							NOUN_BALLOON,
		.name = scenario->name[step->name].text,
		.line = step->line,
		.first = step->place.first * CF_FRAME_BYTES,
		.last = step->place.last * CF_FRAME_BYTES,
		.block = step_value(step, KEY_DEVICE_BLOCK,
				    CF_CHUNK_FRAMES * CF_FRAME_BYTES),
		.node = (unsigned)step_value(step, KEY_NODE, 0),
		.deflate_on_oom = step_has(step, KEY_DEFLATE_ON_OOM),
		.reporting = step_has(step, KEY_REPORTING),
		.hinting = step_has(step, KEY_HINTING),
	};
}

/* NULL, or why QEMU cannot have it. */
static const char *add_device(struct qemu_config *config,
			      const struct scenario *scenario,
			      const struct step *step)
{
	struct qemu_device device = device_of(scenario, step);
	unsigned i;

	if (config->devices == QEMU_DEVICES_MAX)
		return "QEMU is given eight devices at most";
	for (i = 0; i < config->devices; i++)
		if (device.kind == NOUN_BALLOON &&
		    config->device[i].kind == NOUN_BALLOON)
			return "QEMU has one balloon at most";
	if (device.node >= config->nodes)
		config->nodes = device.node + 1;
	config->device[config->devices++] = device;
	return NULL;
}

/* Where regions begin, and where they end; 0: there are none. */
static uint64_t regions(const struct qemu_config *config, uint64_t *ret_last)
{
	uint64_t first = 0, last = 0;
	unsigned i;

	for (i = 0; i < config->devices; i++) {
		const struct qemu_device *device = &config->device[i];

		if (device->kind != NOUN_MEM)
			continue;
		if (!first || device->first < first)
			first = device->first;
		if (device->last > last)
			last = device->last;
	}
	*ret_last = last;
	return first;
}

/* RAM up to the first region, and the regions behind it. */
static const char *lay_out(struct qemu_config *config, uint64_t span)
{
	const struct qemu_kind *kind = &qemu_kinds[config->kind];
	uint64_t last, first = regions(config, &last), ram;

	if (!first)
		first = last = span < SPAN_MAX ? span : SPAN_MAX;
	if (last > FRAMES_MAX)
		return "QEMU is given 256 GiB at most";
	ram = (first + GIB - 1) / GIB * GIB;
	config->memory = kind->own + ram;
	config->memory_max = config->memory + (last - first);
	config->place = kind->ram + ram - first;
	config->frames = last;
	return NULL;
}

/* Blocks that no device brings need RAM. */
static bool is_behind(const struct qemu_config *config,
		      const struct step *step)
{
	uint64_t last, first = regions(config, &last);

	return step->kind == STEP_ADD &&
	       step->place.last * CF_FRAME_BYTES > (first ? first :
						    config->frames);
}

uint32_t qemu_plan(struct qemu_config *config, const struct scenario *scenario,
		   const struct step *step, size_t steps, const char **ret_why)
{
	size_t i;

	config->nodes = 1;
	*ret_why = NULL;
	for (i = 0; i < steps && !*ret_why; i++)
		if (step[i].kind == STEP_VIRTIO_MEM ||
		    step[i].kind == STEP_VIRTIO_BALLOON)
			*ret_why = add_device(config, scenario, &step[i]);
	if (*ret_why)
		return step[i - 1].line;
	*ret_why = lay_out(config, scenario->span_frames * CF_FRAME_BYTES);
	if (*ret_why)
		return config->device[0].line;
	for (i = 0; i < steps && config->devices; i++) {
		if (!is_behind(config, &step[i]))
			continue;
		*ret_why = "in QEMU there is no RAM behind a virtio-mem";
		return step[i].line;
	}
	return 0;
}
