/* SPDX-License-Identifier: MIT */

/*
 * Devices: what the host is, has and wants, and what the driver knows.
 *
 * The model of a device is told what it has plugged, or in its balloon, before
 * the driver that was opened on it adopts what the other one knew; how it
 * misbehaves it is told last.
 */

#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "host_internal.h"
#include "save_objects.h"
#include "virtio/state.h"

/* Bytes: one a device block, a bit a frame; for all devices together. */
#define NOTES_MAX	((uint64_t)1 << 26)

/* What a device is told when all else is done. */
struct later {
	uint32_t trick;
	uint64_t countdown;
	unsigned told;
	bool opened, tricked, late, refuse, migrating;
	uint64_t answers, violations;
	char violation[64];
	uint32_t tell_at;
	uint64_t tell_value;
	uint64_t asked[4];
	/* Of a balloon. */
	uint64_t reported, hinted, stats_reports, stat[MODEL_BALLOON_STATS];
	uint32_t stats;
	/* Of the driver. */
	struct cf_vmem_saved vmem;
	struct cf_balloon_saved balloon;
	struct fact_report_text text;
};

/* ---- both ways ---- */

#define ERR_BIT(err)	(1u << (err))

/* Of a pass over a driver's blocks: any. */
#define PASS_ERRS	(ERR_BIT(CF_ERR_COUNT) - 1)

/* As cf_vmem_answer(). */
#define ANSWER_ERRS							\
	(ERR_BIT(0) | ERR_BIT(CF_EINVAL) | ERR_BIT(CF_EBUSY) |		\
	 ERR_BIT(CF_EAGAIN) | ERR_BIT(CF_EREFUSED))

/* 0, or a code that stands in @errs. */
static void code_err(struct code *code, int *value, uint32_t errs)
{
	uint32_t err = code_choice(code, (uint32_t)-*value, CF_ERR_COUNT);

	code->failed |= !(errs >> err & 1);
	*value = -(int)err;
}

static void code_host(struct code *code, struct host_config *config)
{
	uint32_t node = (uint32_t)(config->node + 1);

	config->over = (enum over)code_choice(code, config->over, OVER_COUNT);
	code_u64(code, &config->first);
	code_u64(code, &config->last);
	code_u64(code, &config->block_bytes);
	code_u32(code, &node);
	config->node = (int)(node & 0xffff) - 1;
	code_bool(code, &config->deflate_on_oom);
	code_bool(code, &config->must_tell_host);
	code_bool(code, &config->reporting);
	code_bool(code, &config->hinting);
}

static void code_device(struct code *code, struct device *device)
{
	code_host(code, &device->config);
	device->zone = (enum cf_zone_kind)code_choice(code, device->zone,
						      CF_ZONE_DEVICE);
	code_bool(code, &device->big_blocks);
	code_bool(code, &device->small_pages);
	code_u64(code, &device->retry_ms);
	code_bool(code, &device->poisoned);
	code_u32(code, &device->poison);
	code_bool(code, &device->loaded);
	code_bool(code, &device->opened);
	code_u64(code, &device->wanted);
	code_err(code, &device->answer_err,
		 device->noun == NOUN_MEM ? ANSWER_ERRS : ERR_BIT(0));
	device->answer = (enum cf_vmem_state)code_choice(code,
		device->answer, CF_VMEM_MIXED + 1);
	device->told = code_choice(code, device->told, CF_VMEM_MIXED + 2);
}

/* What a driver finds when it is opened. */
static void code_model(struct code *code, struct host_device *host,
		       uint32_t *target)
{
	if (host->mem) {
		code_u64(code, &host->mem->usable);
		code_u64(code, &host->mem->requested);
	} else {
		code_u32(code, target);
		code_u32(code, &host->hint_round);
	}
}

static void code_conduct(struct code *code, struct later *later)
{
	unsigned i;

	later->trick = code_choice(code, later->trick, MODEL_TRICK_COUNT);
	code_u64(code, &later->countdown);
	code_bool(code, &later->tricked);
	code_bool(code, &later->late);
	code_bool(code, &later->refuse);
	code_bool(code, &later->migrating);
	code_u64(code, &later->answers);
	code_u64(code, &later->violations);
	code_text(code, later->violation, sizeof(later->violation));
	later->tell_at = code_choice(code, later->tell_at,
				     MODEL_CONFIG_BYTES - 8);
	code_u64(code, &later->tell_value);
	for (i = 0; i < 4; i++)
		code_u64(code, &later->asked[i]);
	code_u64(code, &later->reported);
	code_u64(code, &later->hinted);
	code_u64(code, &later->stats_reports);
	code_u32(code, &later->stats);
	for (i = 0; i < MODEL_BALLOON_STATS; i++)
		code_u64(code, &later->stat[i]);
}

static void code_broken(struct code *code, enum cf_virtio_broken *broken,
			uint64_t *value)
{
	*broken = (enum cf_virtio_broken)code_choice(code, *broken,
						     CF_VIRTIO_BROKEN_COUNT);
	code_u64(code, value);
}

static void code_stopper(struct code *code, struct cf_vmem_stopper *stopper)
{
	code_u64(code, &stopper->pfn);
	code_u32(code, &stopper->owner);
	stopper->type = (enum cf_type)code_choice(code, stopper->type,
						  CF_TYPE_COUNT);
	stopper->reason = (enum cf_reason)code_choice(code, stopper->reason,
						      CF_REASON_COUNT);
	code_u64(code, &stopper->frames);
	code_u64(code, &stopper->parts);
}

static void code_vmem(struct code *code, struct cf_vmem_saved *saved,
		      struct fact_report_text *text)
{
	unsigned i;

	code_bool(code, &saved->was_reset);
	code_bool(code, &saved->ended);
	code_bool(code, &saved->backing_off);
	code_u64(code, &saved->retry_in_ms);
	code_u64(code, &saved->retry_ms);
	code_u64(code, &saved->usable);
	code_u64(code, &saved->requested);
	code_u64(code, &saved->plugged);
	code_u64(code, &saved->requests);
	code_u64(code, &saved->nacks);
	code_u64(code, &saved->busies);
	code_u64(code, &saved->retries);
	code_broken(code, &saved->broken, &saved->broken_value);
	code_err(code, &saved->err, PASS_ERRS);
	fact_report(code, &saved->report, text);
	saved->stoppers = code_choice(code, saved->stoppers,
				      CF_VMEM_STOPPERS + 1);
	for (i = 0; i < saved->stoppers; i++)
		code_stopper(code, &saved->stopper[i]);
}

static void code_balloon(struct code *code, struct cf_balloon_saved *saved)
{
	code_u64(code, &saved->held);
	code_u64(code, &saved->features);
	code_u64(code, &saved->retry_in_ms);
	code_u64(code, &saved->low_in_ms);
	code_bool(code, &saved->draining);
	code_bool(code, &saved->low);
	code_u64(code, &saved->migrated);
	code_u64(code, &saved->reported);
	code_u64(code, &saved->report_ends);
	code_u64(code, &saved->hints);
	code_u64(code, &saved->hint_rounds);
	code_u64(code, &saved->stats_sent);
	code_u64(code, &saved->low_deflated);
	code_broken(code, &saved->broken, &saved->broken_value);
}

static void code_known(struct code *code, struct cf_vmem_known *known)
{
	code_u64(code, &known->block);
	code_u64(code, &known->plugged);
	code_u64(code, &known->taken);
	code_bool(code, &known->want_online);
}

/* Memory in which models of devices note blocks of theirs, or frames. */
static uint64_t notes_of(struct machine *machine, enum noun noun)
{
	const struct host_device *host;
	uint64_t notes = 0;
	unsigned i;

	for (i = 0; i < machine->host_devices; i++) {
		host = machine->host_device[i];
		model_lock(host->model);
		if (noun == NOUN_MEM && host->mem)
			notes += host->mem->region / host->mem->block;
		else if (noun == NOUN_BALLOON && host->balloon)
			notes += bits_bytes(host->balloon->held);
		model_unlock(host->model);
	}
	return notes;
}

/* ---- saving ---- */

/* What is hinted comes back when the round ends, which the host says. */
static const char *balloon_refusal(struct machine *machine,
				   struct cf_balloon *balloon)
{
	struct cf_balloon_status status;

	cf_balloon_status(balloon, &status);
	if (machine->migrating && (status.hinting || status.hinted))
		return "gives hints to a migration: end it with"
		       " \"migrating off\" first";
	return "has frames on their way: let it settle first";
}

static const char *refusal(struct machine *machine, uint32_t number)
{
	struct device *device = machine->object[number].device;

	if (notes_of(machine, device->noun) > NOTES_MAX)
		return device->noun == NOUN_MEM ?
		       "has more blocks than a file keeps" :
		       "has frames in its balloon in more places than a file"
		       " keeps";
	if (device->noun == NOUN_MEM && cf_vmem_is_busy(&device->vmem))
		return "has not finished with its device: let it settle first";
	if (device->noun == NOUN_BALLOON &&
	    cf_balloon_is_busy(&device->balloon))
		return balloon_refusal(machine, &device->balloon);
	if (device->noun == NOUN_BALLOON && device->loaded &&
	    model_balloon_awaits(device->host->balloon))
		return "has not begun to give hints: let it settle first";
	return NULL;
}

static void take_conduct(struct host_device *host, struct later *later)
{
	struct model *model = host->model;

	later->trick = model->trick;
	later->countdown = model->countdown;
	later->tricked = model->tricked;
	later->late = model->late;
	later->answers = model->answers;
	later->violations = model->violations;
	later->migrating = host->machine->migrating;
	(void)snprintf(later->violation, sizeof(later->violation), "%s",
		       model->violation ? model->violation : "");
	if (host->mem) {
		later->refuse = host->mem->refuse;
		later->tell_at = host->mem->tell_at;
		later->tell_value = host->mem->tell_value;
		(void)memcpy(later->asked, host->mem->asked,
			     sizeof(later->asked));
		return;
	}
	later->reported = host->balloon->reported;
	later->hinted = host->balloon->hinted;
	later->stats_reports = host->balloon->stats_reports;
	later->stats = host->balloon->stats;
	(void)memcpy(later->stat, host->balloon->stat, sizeof(later->stat));
}

static void save(struct saving *saving, uint32_t number)
{
	struct device *device = saving_machine(saving)->object[number].device;
	struct host_device *host = device->host;
	struct code *code = saving_begin(saving, number, 0);
	struct later later;
	uint32_t target = 0;

	(void)memset(&later, 0, sizeof(later));
	code_device(code, device);
	model_lock(host->model);
	if (host->balloon)
		target = cf_wire_get32(host->model->config +
				       CF_BALLOON_NUM_PAGES);
	code_model(code, host, &target);
	take_conduct(host, &later);
	model_unlock(host->model);
	code_conduct(code, &later);
	if (host->mem) {
		cf_vmem_save(&device->vmem, &later.vmem);
		fact_report_take(&later.vmem.report, &later.text);
		code_vmem(code, &later.vmem, &later.text);
	} else {
		cf_balloon_save(&device->balloon, &later.balloon);
		code_balloon(code, &later.balloon);
	}
	saving_end(saving, SAVE_OBJECT);
}

/* Stretches of bytes that are set, @frames frames each. */
static void save_given(struct saving *saving, struct fact_range range,
		       const uint8_t *set, uint64_t count, cf_pfn frames)
{
	cf_pfn base = range.first;
	const uint8_t *at = set, *end = set + count, *stop;

	while ((at = memchr(at, 1, (size_t)(end - at))) != NULL) {
		stop = memchr(at, 0, (size_t)(end - at));
		if (!stop)
			stop = end;
		range.first = base + (cf_pfn)(at - set) * frames;
		range.last = base + (cf_pfn)(stop - set) * frames;
		saving_range(saving, SAVE_GIVEN, &range);
		at = stop;
	}
}

static void save_ballooned(struct saving *saving, struct fact_range range,
			   const struct bits *held)
{
	struct stretch in = { 0, 0 };

	while (bits_next(held, true, bits_end(held), &in)) {
		range.first = in.first;
		range.last = in.last;
		saving_range(saving, SAVE_GIVEN, &range);
	}
}

static void save_host(struct saving *saving, uint32_t number)
{
	struct host_device *host =
		saving_machine(saving)->object[number].device->host;
	struct fact_range range = { .number = number };

	model_lock(host->model);
	if (host->mem) {
		range.first = host->mem->addr >> CF_FRAME_SHIFT;
		save_given(saving, range, host->mem->plugged_map,
			   host->mem->region / host->mem->block,
			   host->mem->block >> CF_FRAME_SHIFT);
	} else {
		save_ballooned(saving, range, host->balloon->held);
	}
	model_unlock(host->model);
}

static void save_parts(struct saving *saving, uint32_t number)
{
	struct device *device = saving_machine(saving)->object[number].device;
	struct cf_vmem_known known;
	uint64_t block = 0;

	while (device->noun == NOUN_MEM &&
	       cf_vmem_save_next(&device->vmem, &block, &known)) {
		code_known(saving_begin(saving, number, 0), &known);
		saving_end(saving, SAVE_PART);
	}
}

static bool owner(struct machine *machine, uint32_t number, uint32_t *ret_id)
{
	struct device *device = machine->object[number].device;

	/* One that is being made has no driver yet. */
	if (!device_is_loaded(device) || !device->opened)
		return false;
	*ret_id = device_owner(device);
	return true;
}

/* ---- restoring ---- */

/* As a scenario could ask for it? */
static bool host_fits(struct restore *restore,
		      const struct host_config *config)
{
	cf_pfn last = restore->machine->map_config.last;
	uint64_t bytes = config->block_bytes;

	if (config->kind == NOUN_BALLOON)
		return true;
	return config->first < config->last && config->last <= last &&
	       bytes >= CF_FRAME_BYTES && !(bytes & (bytes - 1)) &&
	       (config->last - config->first) * CF_FRAME_BYTES / bytes <=
	       NOTES_MAX - notes_of(restore->machine, NOUN_MEM);
}

/* As the device would let its host ask. */
static bool model_fits(const struct host_device *host)
{
	const struct model_mem *mem = host->mem;

	return !mem || (mem->usable <= mem->region &&
			mem->requested <= mem->usable &&
			mem->usable % mem->block == 0 &&
			mem->requested % mem->block == 0);
}

static int read_device(struct restore *restore, struct device *device,
		       struct code *code, struct later *later)
{
	struct host_config *config = &device->config;
	uint32_t target = 0;

	code_device(code, device);
	config->kind = device->noun;
	config->name = device->name;
	config->interrupt = device_interrupt;
	config->context = device;
	if (code->failed || !host_fits(restore, config) ||
	    host_device_add(restore->machine, config, &device->host))
		return -1;
	code_model(code, device->host, &target);
	if (!model_fits(device->host))
		return -1;
	if (device->noun == NOUN_BALLOON)
		model_balloon_target(device->host->balloon, target);
	code_conduct(code, later);
	if (device->noun == NOUN_MEM)
		code_vmem(code, &later->vmem, &later->text);
	else
		code_balloon(code, &later->balloon);
	return code->failed ? -1 : 0;
}

static int restore_device(struct restore *restore, uint32_t number,
			  struct code *code)
{
	struct device *device = calloc(1, sizeof(*device));
	struct later *later = calloc(1, sizeof(*later));

	restore->aside[number] = later;
	if (!device || !later) {
		free(device);
		return restore_wrong(restore, "out of memory");
	}
	restore->machine->object[number].device = device;
	device->machine = restore->machine;
	device->name = restore->machine->name[number];
	device->noun = restore->name[number].noun;
	if (read_device(restore, device, code, later))
		return restore_wrong(restore, "%s can be no such device",
				     device->name);
	restore_words(restore, &later->vmem.report, &later->text);
	later->opened = device->opened;
	later->told = device->told;
	device->opened = false;
	if (device->noun == NOUN_MEM)
		model_mem_request(device->host->mem,
				  device->host->mem->requested);
	return 0;
}

static int restore_frames(struct restore *restore,
			  const struct fact_range *range)
{
	struct machine *machine = restore->machine;
	struct device *device = machine->object[range->number].device;
	struct host_device *host = device->host;

	if (host->mem)
		return model_mem_give(host->mem, range->first * CF_FRAME_BYTES,
				      (range->last - range->first) *
				      CF_FRAME_BYTES) ? 0 : -1;
	/*
	 * Drivers that went may have left it frames that are in use again,
	 * or are not there any more: finish() looks at what this one knows.
	 */
	return model_balloon_give(host->balloon, range->first, range->last) &&
	       notes_of(machine, NOUN_BALLOON) <= NOTES_MAX ? 0 : -1;
}

/* Open a driver on the device; it is told nothing yet. */
static int open_driver(struct device *device)
{
	struct host_link link;
	int err = host_device_link(device->host, &link);

	if (err)
		return err;
	err = device->noun == NOUN_MEM ? device_mem_load(device, &link) :
					 device_balloon_load(device, &link);
	device->opened = true;
	return err;
}

static int start(struct restore *restore, uint32_t number)
{
	struct device *device = restore->machine->object[number].device;

	return device->loaded ? open_driver(device) : -CF_EINVAL;
}

static int part(struct restore *restore, const struct fact_object *fact,
		struct code *code)
{
	struct device *device = restore->machine->object[fact->number].device;
	struct cf_vmem_known known;

	code_known(code, &known);
	return code->failed || device->noun != NOUN_MEM || !device->opened ?
	       -1 : cf_vmem_adopt_block(&device->vmem, &known);
}

/* A driver that has ended can still be asked why. */
static int close_driver(struct device *device)
{
	int err;

	if (open_driver(device))
		return 0;	/* it could not start anew, and has ended */
	err = device->noun == NOUN_MEM ?
	      cf_vmem_remove(&device->vmem, false) :
	      cf_balloon_remove(&device->balloon, NULL);
	return err;
}

static void give_conduct(struct host_device *host, struct later *later)
{
	struct model *model = host->model;

	model_lock(model);
	model->trick = (enum model_trick)later->trick;
	model->countdown = later->countdown;
	model->tricked = later->tricked;
	model->late = later->late;
	model->answers = later->answers;
	model->violations = later->violations;
	host->machine->migrating |= later->migrating;
	(void)memcpy(host->violation, later->violation,
		     sizeof(host->violation));
	model->violation = later->violations ? host->violation : NULL;
	if (host->mem) {
		host->mem->refuse = later->refuse;
		host->mem->migrating = later->migrating;
		host->mem->tell_at = later->tell_at;
		host->mem->tell_value = later->tell_value;
		(void)memcpy(host->mem->asked, later->asked,
			     sizeof(later->asked));
		model_mem_refresh(host->mem);
	} else {
		host->balloon->reported = later->reported;
		host->balloon->hinted = later->hinted;
		host->balloon->stats_reports = later->stats_reports;
		host->balloon->stats = later->stats;
		(void)memcpy(host->balloon->stat, later->stat,
			     sizeof(later->stat));
	}
	model_unlock(model);
}

/* What the driver says is in the balloon, the host has. */
static int balloon_adopt(struct device *device, const struct later *later,
			 uint64_t now_ms)
{
	struct cf_balloon *balloon = &device->balloon;
	int err = cf_balloon_adopt(balloon, &later->balloon, now_ms);
	cf_pfn cursor = 0;
	struct cf_span span;

	if (err || !device->opened || later->balloon.broken)
		return err;
	while (cf_balloon_save_next(balloon, &cursor, &span))
		if (!model_balloon_has(device->host->balloon, span.first,
				       span.last))
			return -CF_EINVAL;
	return 0;
}

static int finish(struct restore *restore, uint32_t number)
{
	struct device *device = restore->machine->object[number].device;
	struct later *later = restore->aside[number];
	uint64_t now_ms = now_ns() / 1000000;
	int err = 0;

	if (device->loaded != device->opened)
		return -1;
	if (!device->loaded && later->opened)
		err = close_driver(device);
	if (!err && device->noun == NOUN_MEM)
		err = cf_vmem_adopt(&device->vmem, &later->vmem, now_ms);
	else if (!err)
		err = balloon_adopt(device, later, now_ms);
	device->opened = later->opened;
	device->told = later->told;
	device->report_began_ns = now_ns();
	give_conduct(device->host, later);
	return err ? -1 : 0;
}

const struct object_kind save_mem = {
	.noun = NOUN_MEM,
	.refusal = refusal, .save = save, .save_given = save_host,
	.save_parts = save_parts, .owner = owner, .restore = restore_device,
	.given = restore_frames, .start = start, .part = part,
	.finish = finish,
};

const struct object_kind save_balloon = {
	.noun = NOUN_BALLOON,
	.refusal = refusal, .save = save, .save_given = save_host,
	.owner = owner, .restore = restore_device, .given = restore_frames,
	.start = start, .finish = finish,
};
