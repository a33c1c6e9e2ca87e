/* SPDX-License-Identifier: MIT */

/*
 * The machine: switched on by its first step, off at its end; in between one
 * function a step.
 */

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "device.h"
#include "known.h"
#include "pagemap.h"
#include "pools.h"

int refuse(struct outcome *outcome, enum cf_err err, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	(void)vsnprintf(outcome->why, sizeof(outcome->why), format, values);
	va_end(values);
	outcome->err = -(int)err;
	return -(int)err;
}

void did(struct outcome *outcome, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	(void)vsnprintf(outcome->what, sizeof(outcome->what), format, values);
	va_end(values);
}

void progress(struct machine *machine, const char *what, uint64_t done,
	      uint64_t total)
{
	if (machine->config.progress)
		machine->config.progress(machine->config.context, what, done,
					 total);
}

uint64_t now_ns(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

const char *machine_size(uint64_t frames, char buffer[24])
{
	static const char units[] = "KMGT";
	uint64_t kib = frames * (CF_FRAME_BYTES / 1024), scale = 1, rest;
	unsigned unit = 0;

	while (unit < 3 && kib / scale >= 1024) {
		scale *= 1024;
		unit++;
	}
	rest = (kib % scale * 200 + scale) / (2 * scale);	/* hundredths */
	if (kib % scale && (rest == 0 || rest == 100))
		/* What is nearly whole must not look it. */
		(void)snprintf(buffer, 24, "%lluK", (unsigned long long)kib);
	else if (kib % scale)
		(void)snprintf(buffer, 24, "%.2f%c",
			       (double)kib / (double)scale, units[unit]);
	else
		(void)snprintf(buffer, 24, "%llu%.*s",
			       (unsigned long long)(kib / scale), kib != 0,
			       &units[unit]);
	return buffer;
}

static void on_signal(void *context, enum cf_signal what, cf_pfn pfn)
{
	struct machine *machine = context;

	(void)pfn;
	(void)pthread_mutex_lock(&machine->signal_lock);
	if (what == CF_SIGNAL_LOW)
		machine->low_signals++;
	else if (what == CF_SIGNAL_CHUNK_EMPTY)
		machine->empty_signals++;
	(void)pthread_mutex_unlock(&machine->signal_lock);
}

uint64_t machine_low_signals(struct machine *machine)
{
	uint64_t signals;

	(void)pthread_mutex_lock(&machine->signal_lock);
	signals = machine->low_signals;
	(void)pthread_mutex_unlock(&machine->signal_lock);
	return signals;
}

struct machine *machine_create(const struct machine_config *config)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	uint32_t i;

	if (!machine)
		return NULL;
	machine->config = *config;
	for (i = 0; i < config->names_count; i++)
		(void)memcpy(machine->name[i], config->names[i].text.start,
			     config->names[i].text.length);
	(void)pthread_mutex_init(&machine->side_lock, NULL);
	(void)pthread_mutex_init(&machine->signal_lock, NULL);
	return machine;
}

bool machine_is_on(const struct machine *machine)
{
	return machine->cpus != NULL;
}

/* How many frames the system did not take: they cost memory, nothing else. */
static uint64_t discard(struct machine *machine, cf_pfn first, cf_pfn last)
{
	return cf_host_discard(&machine->memory, first, last) ? last - first :
								0;
}

int give_back(struct machine *machine, cf_pfn first, cf_pfn last)
{
	cf_content_sync(machine->map);
	return cf_host_discard(&machine->memory, first, last);
}

cf_pfn first_unused(struct machine *machine, cf_pfn block)
{
	size_t bytes = cf_block_meta_bytes(machine->map, 1);
	struct cf_block_info info;

	if (cf_block_info(machine->map, block, &info) || !info.self_hosted)
		return block;
	return block + (bytes + CF_FRAME_BYTES - 1) / CF_FRAME_BYTES;
}

/* What went offline is the system's, but for metadata a block hosts. */
static void discard_done(void *context, enum cf_event event, cf_pfn first,
			 cf_pfn last)
{
	struct machine *machine = context;
	cf_pfn from = first, at;

	if (event != CF_EVENT_OFFLINE || machine->restoring)
		return;
	for (at = first; at < last; at += machine->block_frames) {
		cf_pfn unused = first_unused(machine, at);

		if (unused == at)
			continue;
		if (from < at)
			machine->unreturned += discard(machine, from, at);
		from = unused;
	}
	machine->unreturned += discard(machine, from, last);
}

static int start_map(struct machine *machine, const struct step *step,
		     struct outcome *outcome)
{
	cf_pfn span = step->key[KEY_SPAN] / CF_FRAME_BYTES;
	struct cf_host_config host = {
		.last = span + HOST_SHARED_FRAMES <= CF_PFN_LIMIT ?
			span + HOST_SHARED_FRAMES : span,
		.huge = !step_has(step, KEY_SMALL_PAGES) &&
			!step_has(step, KEY_DEBUG_PAGEALLOC),
		.debug_pagealloc = step_has(step, KEY_DEBUG_PAGEALLOC),
		.hooks = { .context = machine, .signal = on_signal },
	};
	struct cf_map_config config = {
		.last = span,
		.block_order = (uint32_t)__builtin_ctzll(
			step->key[KEY_BLOCK] / CF_FRAME_BYTES),
		.cpus = (uint32_t)step_value(step, KEY_CPUS, 1),
		.nodes = (uint32_t)step_value(step, KEY_NODES, 1),
		.poison_max = (uint32_t)step->key[KEY_BAD_FRAMES],
		.fenced = step_has(step, KEY_FENCED),
		.no_caches = step_has(step, KEY_NO_CACHES),
	};

	if (cf_host_memory_create(&host, &machine->memory))
		return refuse(outcome, CF_ENOMEM,
			      "the process has no address space for %llu MiB",
			      (unsigned long long)span >> 8);
	if (cf_host_map_create(&machine->memory, &config, &machine->map)) {
		cf_host_memory_destroy(&machine->memory);
		machine->map = NULL;
		return refuse(outcome, CF_ENOMEM, "the map does not fit");
	}
	machine->map_config = *cf_map_config_of(machine->map);
	machine->block_frames = (cf_pfn)1 << machine->map_config.block_order;
	return 0;
}

/* The machine's own parts, in the order machine_destroy() takes them down. */
static int start_parts(struct machine *machine)
{
	int err;

	(void)cf_host_enter();
	err = cf_side_add(machine->map, &machine->side, sizeof(struct run *));
	if (err)
		return err;
	machine->side_added = true;
	machine->discarder = (struct cf_subscriber){
		.name = "machine",
		.priority = -1,
		.context = machine,
		.done = discard_done,
	};
	err = cf_subscriber_add(machine->map, &machine->discarder);
	if (err)
		return err;
	machine->folios = owner_new(machine, "folios");
	if (!machine->folios)
		return -CF_ENOMEM;
	machine->folios->movable = true;
	err = owner_register(machine, machine->folios);
	if (err)
		return err;
	machine->cpus = cpus_new(machine->map, machine->map_config.cpus);
	return machine->cpus ? 0 : -CF_ENOMEM;
}

/* The memory it boots with: all of it NORMAL, shared out among the nodes. */
static int boot_memory(struct machine *machine, cf_pfn frames)
{
	uint64_t blocks = frames / machine->block_frames, i;
	uint64_t nodes = machine->map_config.nodes;
	struct cf_block_config config = { .meta = CF_META_PORT };
	cf_pfn first;
	int err = 0;

	for (i = 0; !err && i < nodes; i++) {
		uint64_t share = blocks / nodes + (i < blocks % nodes);

		first = machine->added_last;
		if (!share)
			continue;
		config.node = (uint32_t)i;
		machine->added_last += share * machine->block_frames;
		err = block_group_add(machine, first, machine->added_last,
				      config);
		if (!err)
			err = cf_block_online(machine->map, first,
					      machine->added_last,
					      CF_ZONE_NORMAL, NULL);
	}
	return err;
}

int step_machine(struct machine *machine, const struct step *step,
		 struct outcome *outcome)
{
	cf_pfn frames = step->key[KEY_MEMORY] / CF_FRAME_BYTES;
	struct cf_stat stat;
	char size[24], span[24];
	int err;

	err = start_map(machine, step, outcome);
	if (err)
		return err;
	err = start_parts(machine);
	if (!err)
		err = boot_memory(machine, frames);
	if (err)
		return refuse(outcome, (enum cf_err)-err, "%s",
			      cf_strerror(err));
	cf_stat(machine->map, &stat);
	did(outcome, "%s in %llu block%s of %llu MiB, room up to %s, %u CPU%s",
	    machine_size(stat.managed, size),
	    (unsigned long long)(frames / machine->block_frames),
	    frames / machine->block_frames == 1 ? "" : "s",
	    (unsigned long long)machine->block_frames >> 8,
	    machine_size(machine->map_config.last, span),
	    machine->map_config.cpus,
	    machine->map_config.cpus == 1 ? "" : "s");
	return 0;
}

static void free_objects(struct machine *machine, enum noun noun)
{
	uint32_t i;

	for (i = 0; i < machine->config.names_count; i++) {
		union object *object = &machine->object[i];

		if (machine->config.names[i].noun != noun || !object->any)
			continue;
		switch (noun) {
		case NOUN_SET:
			set_remove(machine, object->set);
			break;
		case NOUN_OWNER:
			owner_free(object->owner);
			break;
		case NOUN_SUBSCRIBER:
		case NOUN_SCANNER:
			watcher_free(object->watcher);
			break;
		case NOUN_WALKER:
			walker_free(object->walker);
			break;
		case NOUN_MEM:
		case NOUN_BALLOON:
			device_free(object->device);
			break;
		case NOUN_POOL:
			pool_free(object->any);
			break;
		case NOUN_GUEST:
			guest_free(object->any);
			break;
		case NOUN_ELASTIC:
			objects_free(object->any);
			break;
		case NOUN_PAGEMAP:
			pagemap_free(object->any);
			break;
		default:
			free(object->any);
			break;
		}
		object->any = NULL;
	}
}

/*
 * What is still online stays so: the map goes with the process.  Nothing in
 * it is asked any more once the threads have ended.
 */
static void switch_off(struct machine *machine)
{
	static const enum noun nouns[] = {
		NOUN_ELASTIC, NOUN_GUEST, NOUN_POOL,
		NOUN_SUBSCRIBER, NOUN_SCANNER, NOUN_OPERATION, NOUN_SET,
		NOUN_FRAME, NOUN_MARK, NOUN_OWNER, NOUN_MEM, NOUN_BALLOON,
		NOUN_PAGEMAP,
	};
	size_t i;

	cpus_free(machine->cpus);
	/* The last one that empties its caches into blocks. */
	cf_host_leave(machine->map);
	for (i = 0; i < sizeof(nouns) / sizeof(nouns[0]); i++)
		free_objects(machine, nouns[i]);
	owner_free(machine->folios);
	block_groups_forget(machine, 0, CF_PFN_LIMIT);
	free(machine->bad);
	cf_host_memory_destroy(&machine->memory);
}

void machine_destroy(struct machine *machine)
{
	char why[OUTCOME_TEXT_BYTES];

	if (!machine)
		return;
	while (machine->rests)
		machine_go_on(machine);
	(void)load_end(machine, why, sizeof(why));
	free_objects(machine, NOUN_WALKER);
	if (machine->map)
		switch_off(machine);
	texts_forget(machine);
	(void)pthread_mutex_destroy(&machine->side_lock);
	(void)pthread_mutex_destroy(&machine->signal_lock);
	free(machine);
}

bool machine_finish(struct machine *machine, char *why, size_t bytes)
{
	/* One that was restored, and no step has woken. */
	if (load_wake(machine)) {
		(void)snprintf(why, bytes, "no thread is left");
		return false;
	}
	return !load_end(machine, why, bytes);
}

void machine_rest(struct machine *machine)
{
	if (machine->rests++)
		return;
	load_pause(machine);
	walkers_rest(machine);
}

void machine_go_on(struct machine *machine)
{
	if (--machine->rests)
		return;
	walkers_go_on(machine);
	load_resume(machine);
}

bool machine_verify(struct machine *machine, char *why, size_t bytes)
{
	struct cf_finding finding;
	bool holds;

	machine_rest(machine);
	holds = cf_verify(machine->map, &finding);
	machine_go_on(machine);
	if (!holds)
		(void)snprintf(why, bytes, "%s at frame %llu: %llu expected,"
			       " %llu found", cf_finding_name(finding.kind),
			       (unsigned long long)finding.pfn,
			       (unsigned long long)finding.expected,
			       (unsigned long long)finding.found);
	return holds;
}

int step_verify(struct machine *machine, const struct step *step,
		struct outcome *outcome)
{
	char why[OUTCOME_TEXT_BYTES];

	(void)step;
	if (!machine_verify(machine, why, sizeof(why))) {
		outcome->wrong = true;
		return refuse(outcome, CF_EINVAL, "%s", why);
	}
	did(outcome, "every equation holds");
	return 0;
}

int step_mark(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	struct mark *mark = calloc(1, sizeof(*mark));
	struct subject subject = { .kind = SUBJECT_MAP };
	struct condition condition = { .property = PROPERTY_COUNT };
	struct value value;
	unsigned i;

	if (!mark)
		return refuse(outcome, CF_ENOMEM, "the process has no memory");
	for (i = 0;; i++) {
		condition.property = subject_property(SUBJECT_MAP, i);
		if (condition.property == PROPERTY_COUNT)
			break;
		if (value_of(machine, &subject, &condition, &value, outcome))
			return outcome->err;
		mark->value[condition.property] = value.number;
	}
	machine->object[step->name].mark = mark;
	machine->last_mark = mark;
	did(outcome, "all counters noted, rss %.1f MiB",
	    (double)mark->value[PROPERTY_RSS] / 1048576);
	return 0;
}

int step_export(struct machine *machine, const struct step *step,
		struct outcome *outcome)
{
	char path[4096], why[OUTCOME_TEXT_BYTES];

	if (step->text.length >= sizeof(path))
		return refuse(outcome, CF_EINVAL, "the path is too long");
	(void)memcpy(path, step->text.start, step->text.length);
	path[step->text.length] = '\0';
	if (machine_export(machine, path, why, sizeof(why)))
		return refuse(outcome, CF_EPORT, "%s", why);
	did(outcome, "proc/ and sys/ written");
	return 0;
}

struct cf_map *machine_map(struct machine *machine)
{
	return machine->map;
}

/*
 * What runs goes on meanwhile, but for debug_pagealloc: there a frame that is
 * freed cannot be touched from then on.
 */
static int write_dump(struct machine *machine,
		      const struct machine_dump *request, char *text,
		      size_t bytes)
{
	bool still = machine->memory.config.debug_pagealloc;
	int err;

	if (still) {
		load_pause(machine);
		walkers_rest(machine);
	}
	err = machine->config.dump(machine->config.dump_context, request, text,
				   bytes);
	if (still) {
		walkers_go_on(machine);
		load_resume(machine);
	}
	return err;
}

int step_dump(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	char path[4096], text[OUTCOME_TEXT_BYTES];
	const struct machine_dump request = {
		.map = machine->map, .path = path,
		.level = (unsigned)step_value(step, KEY_LEVEL, 1),
		.elf = step_has(step, KEY_ELF),
	};

	if (!machine->config.dump)
		return refuse(outcome, CF_EPORT,
			      "this machine writes no dumps");
	if (step->text.length >= sizeof(path))
		return refuse(outcome, CF_EINVAL, "the path is too long");
	(void)memcpy(path, step->text.start, step->text.length);
	path[step->text.length] = '\0';
	if (!strcmp(path, "-"))
		return refuse(outcome, CF_EINVAL,
			      "a step writes to a file, not to a stream");
	if (write_dump(machine, &request, text, sizeof(text)))
		return refuse(outcome, CF_EPORT, "%s", text);
	did(outcome, "%s", text);
	return 0;
}

int step_print(struct machine *machine, const struct step *step,
	       struct outcome *outcome)
{
	if (machine->config.out &&
	    machine_print(machine, (enum print)step->amount.number,
			  machine->config.out))
		return refuse(outcome, CF_ENOMEM, "it cannot be printed");
	return 0;
}

int step_say(struct machine *machine, const struct step *step,
	     struct outcome *outcome)
{
	(void)outcome;
	if (machine->config.out)
		(void)fprintf(machine->config.out, "\n%.*s\n",
			      (int)step->text.length, step->text.start);
	return 0;
}
