/* SPDX-License-Identifier: MIT */
/*
 * A machine against the one that was made of its file, run by run and frame
 * by frame; a host that takes frames away meanwhile; a port that fails.
 * Method: while a machine is saved every frame that may not be read is out of
 * reach of this process, so that one read of one is a crash.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tap.h"
#include "dump/write.h"
#include "machine/bits.h"
#include "machine/host_internal.h"
#include "machine/restore.h"
#include "tools/coldframe/save_source.h"

static char folder[] = "/tmp/coldframe-save-XXXXXX";
static char path[64];

/* A machine and the scenario it came from. */
struct world {
	struct scenario scenario;
	struct machine *machine;
};

static const char everything[] =
	"machine memory 64M span 512M block 16M bad-frames 8 nodes 2\n"
	"owner files movable splits\n"
	"owner gone\n"
	"owner vm exposes plugged\n"
	"owner hv exposes backed\n"
	"owner balloon balloon movable\n"
	"owner pool keeps dissolves\n"
	"unregister gone\n"
	"watermarks min 0 low 8M high 16M\n"
	"add block 5 owner vm node 1\n"
	"plug vm block 5 chunks 0-3\n"
	"online block 5 zone movable\n"
	"add blocks 8-9 each metadata self\n"
	"online block 8\n"
	"add block 10 owner hv metadata caller\n"
	"plug hv frames 160M+3M\n"
	"plug hv frames 168M+100f\n"
	"online block 10\n"
	"alloc data 4M order 3 owner files zone movable\n"
	"alloc tables 5 type pgtable\n"
	"alloc objects 3 order 2 type slab\n"
	"alloc large 1 order 12\n"
	"alloc empty 2M order 9 untouched\n"
	"alloc huge 3 order 9 owner pool\n"
	"alloc given 2 order 1 owner files zone movable\n"
	"give given owner allocator\n"
	"free huge\n"
	"inflate balloon 8M\n"
	"offline-alloc gap frames 40M+1027f owner files movable\n"
	"payload gap 77\n"
	"pin data[2] times 3\n"
	"get data[4]\n"
	"freeze data[6]\n"
	"remember known data[4]\n"
	"get known times 2\n"
	"retire frame 20M\n"
	"remember bad data[7]+3\n"
	"retire bad\n"
	"scanner ksm\n"
	"scan ksm\n"
	"mark here\n"
	"guest secret 2M\n"
	"guest convert secret 3 times 300\n"
	"guest step secret\n"
	"pool large-runs\n"
	"pool size large-runs 2\n"
	"pool take large-runs 1\n"
	"offline start leave block 8\n";

/* Blocks whose frames are somebody's who is not their range's owner. */
static const char orphans[] =
	"machine memory 32M span 256M block 16M\n"
	"owner vm exposes plugged\n"
	"owner pool keeps\n"
	"owner keeper exposes backed\n"
	"add blocks 4-6 owner vm each\n"
	"plug vm block 4 chunks 0-3\n"
	"plug vm block 5 chunks 2-5\n"
	"online block 4 zone movable\n"
	"online block 5\n"
	"alloc kept 4 order 4 owner pool\n"
	"free kept\n"
	"alloc held 4 order 2 owner pool\n"
	"unregister vm force\n"
	"unregister pool force\n"
	"owner next exposes plugged\n"
	"adopt block 5 owner next\n"
	"offline-adopt block 5 chunks 0-1 owner next\n"
	"skippable block 5 chunk 0 owner next\n"
	"offline-adopt block 5 chunk 6 owner keeper\n"
	"offline-adopt block 4 chunk 7 owner keeper\n";

/* Workers and walkers are at it. */
static const char busy[] =
	"machine memory 64M span 256M block 16M cpus 3 bad-frames 8\n"
	"owner files movable\n"
	"add blocks 5-6\n"
	"online blocks 5-6 zone movable\n"
	"alloc data 4M order 3 owner files zone movable\n"
	"offline-alloc gap frames 40M+1027f owner files\n"
	"remember bad data[7]+3\n"
	"retire bad\n"
	"walker fast\n"
	"walker slow pause 100us\n"
	"load 2 workers order 4 hold 8M zone movable\n"
	"wait 20ms\n";

/* Memory of devices: in use, idle, of a file, and bad. */
static const char devices[] =
	"machine memory 32M span 256M block 16M bad-frames 8\n"
	"pagemap gpu block 4 kind private\n"
	"pagemap shared block 5 kind coherent metadata self\n"
	"pagemap pmem block 6 kind fs-dax\n"
	"hand-out textures 2 pagemap gpu order 9\n"
	"hand-out gone 64K pagemap gpu\n"
	"hand-out kept 3 pagemap shared order 9\n"
	"hand-out mapping 128K pagemap pmem\n"
	"free gone\n"
	"remember hit kept[1]+5\n"
	"retire hit\n"
	"alloc tables 1 order 2 type pgtable\n"
	"remember bad tables[0]+1\n"
	"retire bad\n";

/* The machine keeps pointers into @world. */
static void make(struct world *world, const char *text)
{
	struct machine_config config = { .seed = 5 };
	struct outcome outcome;
	struct step *step = malloc(sizeof(*step));

	scenario_init(&world->scenario, text, strlen(text));
	while (scenario_next(&world->scenario, step) == SCENARIO_STEP)
		;
	if (world->scenario.error[0])
		printf("# %s\n", world->scenario.error);
	config.names = world->scenario.name;
	config.names_count = world->scenario.names;
	world->machine = machine_create(&config);
	scenario_init(&world->scenario, text, strlen(text));
	while (scenario_next(&world->scenario, step) == SCENARIO_STEP) {
		machine_step(world->machine, step, &outcome);
		if (outcome.err)
			printf("# line %u: %s\n", step->line, outcome.why);
		CHECK(!outcome.err);
	}
	free(step);
}

static struct owner *owner_called(struct world *world, const char *name)
{
	uint32_t i;

	for (i = 0; i < world->machine->config.names_count; i++)
		if (!strcmp(world->machine->name[i], name))
			return world->machine->object[i].owner;
	return NULL;
}

/* ---- out of reach ---- */

static void protect(struct machine *machine, cf_pfn first, cf_pfn last,
		    int protection)
{
	CHECK(!mprotect(frame_address(machine, first),
			(last - first) * CF_FRAME_BYTES, protection));
}

/* May a span's frames be read, by the words alone? */
static bool is_readable(struct machine *machine, const struct cf_span *span)
{
	uint32_t traits = cf_owner_traits(machine->map, span->owner);

	if (span->kind != CF_SPAN_RUN || span->type == CF_TYPE_OFFLINE ||
	    span->type == CF_TYPE_RETIRED)
		return false;
	/* What a block hosts is the engine's to read and write. */
	return span->type == CF_TYPE_RESERVED || span->refs ||
	       !(traits & (CF_OWNER_PRIVATE | CF_OWNER_GONE));
}

/* All frames that nobody but their owner may read. */
static void guard(struct machine *machine)
{
	cf_pfn at = 0, last = machine->map_config.last, bad;
	struct cf_block_info info;
	struct cf_span span;

	cf_walk_begin(machine->map);
	while (cf_walk_next(machine->map, &at, last, &span)) {
		bool hosts = span.kind == CF_SPAN_BLOCK_OFFLINE &&
			     !cf_block_info(machine->map, span.first, &info) &&
			     info.self_hosted;

		if (!hosts && !is_readable(machine, &span))
			protect(machine, span.first, span.last, PROT_NONE);
		bad = bad_next(machine, span.first, span.last);
		if (bad < span.last)
			protect(machine, bad, bad + 1, PROT_NONE);
	}
	cf_walk_end(machine->map);
}

/* Memory of devices: in reach only of those who open it. */
static void shut(struct machine *machine)
{
	cf_pfn at = 0, last = machine->map_config.last;
	struct cf_span span;

	cf_walk_begin(machine->map);
	while (cf_walk_next(machine->map, &at, last, &span))
		if (span.kind == CF_SPAN_RUN && span.type == CF_TYPE_DEVICE)
			protect(machine, span.first, span.last, PROT_NONE);
	cf_walk_end(machine->map);
}

static void unguard(struct machine *machine)
{
	protect(machine, 0, machine->map_config.last, PROT_READ | PROT_WRITE);
}

static int save_with(struct machine *machine, const struct save_source *source,
		     struct save_totals *ret_totals, char *why)
{
	struct save_config config = {
		.level = 1, .out = -1, .source = source,
	};

	why[0] = '\0';
	return machine_save(machine, path, &config, ret_totals, why);
}

static struct machine *restored(struct restore **ret_restore)
{
	char why[SAVE_WHY_BYTES] = "";
	struct machine_config config = { .seed = 5 };
	struct scenario_origin origin;
	struct machine *machine = NULL;
	struct save_totals totals;

	*ret_restore = restore_open(path, why);
	if (*ret_restore) {
		restore_origin(*ret_restore, &origin);
		config.names = origin.name;
		config.names_count = origin.names;
		machine = restore_machine(*ret_restore, &config, &totals, why);
	}
	if (!machine)
		printf("# %s\n", why);
	return machine;
}

/* ---- frame by frame ---- */

static bool same_span(const struct cf_span *a, const struct cf_span *b)
{
	return a->first == b->first && a->last == b->last &&
	       a->kind == b->kind && a->type == b->type &&
	       a->order == b->order && a->flags == b->flags &&
	       a->owner == b->owner && a->refs == b->refs &&
	       a->pins == b->pins && a->payload == b->payload &&
	       a->node == b->node && a->zone == b->zone &&
	       a->isolated == b->isolated;
}

/* How many frames of a span have the same contents in both machines. */
static cf_pfn same_contents(struct machine *a, struct machine *b,
			    const struct cf_span *span)
{
	cf_pfn pfn, count = 0;

	for (pfn = span->first; pfn < span->last; pfn++)
		count += bad_next(a, pfn, pfn + 1) == pfn ||
			 !memcmp(frame_address(a, pfn), frame_address(b, pfn),
				 CF_FRAME_BYTES);
	return count;
}

/* Of a device, and in nobody's hands: what is in it is not kept. */
static bool is_idle(const struct cf_span *span)
{
	return span->type == CF_TYPE_DEVICE && !span->refs;
}

static void compare(struct machine *a, struct machine *b, bool contents)
{
	cf_pfn at = 0, other = 0, last = a->map_config.last;
	struct cf_span span, twin;
	uint64_t spans = 0, frames = 0, wrong = 0;

	cf_walk_begin(a->map);
	cf_walk_begin(b->map);
	while (cf_walk_next(a->map, &at, last, &span) &&
	       cf_walk_next(b->map, &other, last, &twin)) {
		spans++;
		if (!same_span(&span, &twin) && wrong++ < 5)
			printf("# at %llu, and %llu: %s of order %u, %u\n",
			       (unsigned long long)span.first,
			       (unsigned long long)twin.first,
			       cf_type_name(span.type), span.order,
			       twin.order);
		if (!contents || !is_readable(a, &span) ||
		    span.type == CF_TYPE_RESERVED || is_idle(&span))
			continue;
		frames += span.last - span.first;
		CHECK(same_contents(a, b, &span) == span.last - span.first);
	}
	cf_walk_end(b->map);
	cf_walk_end(a->map);
	CHECK(!wrong && at == last && other == last);
	CHECK(spans > 10 && (!contents || frames >= 16));
}

/* What runs by itself stands still until both were compared. */
static void round_trip(const char *text, const struct save_source *source)
{
	struct world world;
	char why[SAVE_WHY_BYTES];
	struct save_totals totals;
	struct restore *restore;
	struct machine *again;

	make(&world, text);
	machine_rest(world.machine);
	CHECK(!cf_drain(world.machine->map));
	guard(world.machine);
	if (source->context)
		shut(world.machine);
	CHECK(!save_with(world.machine, source, &totals, why));
	printf("# %s%llu runs, %llu frames, %llu zero, %llu left out\n", why,
	       (unsigned long long)totals.runs,
	       (unsigned long long)totals.contents,
	       (unsigned long long)totals.zeroes,
	       (unsigned long long)totals.left_out);
	CHECK(totals.left_out > 0);
	unguard(world.machine);
	again = restored(&restore);
	CHECK(again != NULL);
	if (again)
		compare(world.machine, again, true);
	machine_destroy(again);
	if (restore)
		restore_close(restore);
	machine_destroy(world.machine);
}

static void test_everything(void)
{
	round_trip(everything, &save_source);
}

static void test_orphans(void)
{
	round_trip(orphans, &save_source);
}

static void test_busy(void)
{
	round_trip(busy, &save_source);
}

/* ---- memory of devices ---- */

/* Of devices, in reach only while the filter reads. */
struct door {
	uint64_t frames;		/* read */
	bool meddle;			/* once: somebody takes a reference */
	cf_pfn taken;			/* 0: nobody has */
};

static void get_last(struct door *door, struct cf_map *map)
{
	cf_pfn at = 0, last = cf_map_config_of(map)->last;
	struct cf_span span;

	door->meddle = false;
	cf_walk_begin(map);
	while (cf_walk_next(map, &at, last, &span))
		if (span.kind == CF_SPAN_RUN && span.type == CF_TYPE_DEVICE &&
		    span.refs)
			door->taken = span.first;
	cf_walk_end(map);
	CHECK(!cf_get(map, door->taken));
}

static void read_by_door(void *context, struct cf_map *map, cf_pfn first,
			 unsigned count, void *memory, uint8_t *ret_seen)
{
	struct cf_host_memory *host = cf_map_config_of(map)->machine;
	unsigned char *at = host->base + first * CF_FRAME_BYTES;
	size_t bytes = count * CF_FRAME_BYTES;
	struct door *door = context;
	struct cf_block_info info;
	bool device = !cf_block_info(map, first, &info) &&
		      info.zone == CF_ZONE_DEVICE;

	if (device)
		CHECK(!mprotect(at, bytes, PROT_READ));
	save_source.read(NULL, map, first, count, memory, ret_seen);
	if (!device)
		return;
	CHECK(!mprotect(at, bytes, PROT_NONE));
	door->frames += count;
	if (door->meddle)
		get_last(door, map);
}

/* All that is read of a device is read by the filter, and is in use. */
static void test_devices(void)
{
	struct door door = { .frames = 0 };
	struct save_source source = { &door, read_by_door };

	round_trip(devices, &source);
	/* Two runs and three, of which a frame is bad, and a file's pages. */
	CHECK(door.frames == 5 * CF_CHUNK_FRAMES - 1 + 32);
}

/* A run of a device that is another one at the end: no file comes of it. */
static void test_device_moves(void)
{
	struct door door = { .meddle = true };
	struct save_source source = { &door, read_by_door };
	char why[SAVE_WHY_BYTES];
	struct save_totals totals;
	struct world world;

	make(&world, devices);
	(void)unlink(path);
	shut(world.machine);
	CHECK(save_with(world.machine, &source, &totals, why));
	printf("# %s\n", why);
	CHECK(door.taken && strstr(why, "while it was saved"));
	CHECK(access(path, F_OK));
	cf_put(world.machine->map, door.taken);
	CHECK(!save_with(world.machine, &source, &totals, why));
	unguard(world.machine);
	machine_destroy(world.machine);
}

/* What devices note is bounded in a file: to save more is refused. */
static void test_notes(void)
{
	const uint64_t most = (uint64_t)1 << 26;
	char why[SAVE_WHY_BYTES] = "";
	struct model_balloon *balloon;
	struct model_mem *mem;
	struct bits *held, *places = bits_new(most * 16);
	struct world world;
	uint64_t was;
	cf_pfn at;

	make(&world, "machine memory 64M span 256M block 16M\n"
		     "virtio-mem vm0 block 6\n"
		     "virtio-balloon b\n");
	mem = world.machine->host_device[0]->mem;
	balloon = world.machine->host_device[1]->balloon;
	CHECK(!machine_save_refused(world.machine, why));
	held = balloon->held;
	balloon->held = places;
	for (at = 0; at < most / 4096; at++)
		bits_set(places, at << 15, (at << 15) + 1, true);
	CHECK(!machine_save_refused(world.machine, why));
	bits_set(places, at << 15, (at + 2) << 15, true);
	CHECK(!machine_save_refused(world.machine, why));
	bits_set(places, (at + 2) << 15, ((at + 2) << 15) + 1, true);
	CHECK(machine_save_refused(world.machine, why));
	CHECK(strstr(why, "b has frames in its balloon in more places"));
	balloon->held = held;
	bits_free(places);
	was = mem->region;
	mem->region = (most + 1) * mem->block;
	CHECK(machine_save_refused(world.machine, why));
	CHECK(strstr(why, "vm0 has more blocks"));
	mem->region = was;
	CHECK(!machine_save_refused(world.machine, why));
	machine_destroy(world.machine);
}

/* ---- a dump of it ---- */

/* Whatever the level, and though the filter looks at words alone. */
static void dump(struct machine *machine, struct dump_options options)
{
	struct dump_why why = { "" };
	struct dump_result result;
	struct dump_source source;

	CHECK(!dump_source_live(&source, machine_map(machine), "test",
				options.level, &why));
	CHECK(!dump_write(&source, &options, path, &result, &why));
	dump_source_close(&source);
	if (why.text[0])
		printf("# %s\n", why.text);
	CHECK(result.written + result.tally.frames[DUMP_ZERO] > 0);
	CHECK(result.tally.frames[DUMP_OFFLINE] > 0 && !result.lost);
}

/* Free frames of blocks in use are part of a dump. */
static void open_free(struct machine *machine)
{
	cf_pfn at = 0, last = machine->map_config.last;
	struct cf_span span;

	cf_walk_begin(machine->map);
	while (cf_walk_next(machine->map, &at, last, &span))
		if (span.kind == CF_SPAN_FREE || span.kind == CF_SPAN_TRANSIT)
			protect(machine, span.first, span.last, PROT_READ);
	cf_walk_end(machine->map);
}

/* The same frames are out of reach: ballooned, not plugged, private, bad. */
static void test_dump(void)
{
	struct dump_options options = { .level = 0 };
	struct world world;

	make(&world, everything);
	CHECK(!cf_drain(world.machine->map));
	guard(world.machine);
	open_free(world.machine);
	for (options.level = 0; options.level <= DUMP_LEVEL_MAX;
	     options.level++) {
		options.format = options.level % 2 ? DUMP_ELF : DUMP_KDUMP;
		dump(world.machine, options);
	}
	unguard(world.machine);
	machine_destroy(world.machine);
}

/* ---- the guard itself ---- */

static void read_all(void *context, struct cf_map *map, cf_pfn first,
		     unsigned count, void *memory, uint8_t *ret_seen)
{
	(void)context;
	(void)memcpy(memory, cf_port_frame_address(cf_map_config_of(map)->
						   machine, first, count),
		     count * CF_FRAME_BYTES);
	(void)memset(ret_seen, SAVE_SEEN_DATA, count);
}

/* Without the filter it crashes: the guard sees what it is there for. */
static void test_guard(void)
{
	static const struct save_source greedy = { .read = read_all };
	char why[SAVE_WHY_BYTES];
	struct save_totals totals;
	struct world world;
	int status = 0;
	pid_t child;

	(void)fflush(stdout);
	child = fork();
	if (!child) {
		(void)signal(SIGSEGV, SIG_DFL);
		make(&world, everything);
		CHECK(!cf_drain(world.machine->map));
		guard(world.machine);
		(void)save_with(world.machine, &greedy, &totals, why);
		_exit(0);
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* ---- a host that takes frames away ---- */

#define TAKEN_MAX	64

struct host {
	struct world *world;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool reading, resting, stop, gone;	/* under @lock */
	uint64_t taken;			/* the thread's */
	cf_pfn victim;			/* 0: what is free; or this run's */
};

/* The host has them: who touches them now is wrong. */
static void give_to_host(struct machine *machine, cf_pfn first, cf_pfn last)
{
	cf_content_sync(machine->map);
	CHECK(!cf_host_discard(&machine->memory, first, last));
	protect(machine, first, last, PROT_NONE);
}

static void take_free(struct host *host, uint32_t id)
{
	struct machine *machine = host->world->machine;
	cf_pfn pfn[TAKEN_MAX];
	size_t done, i;

	if (cf_offline_alloc_bulk(machine->map, id, 0, 0, TAKEN_MAX, pfn,
				  &done))
		CHECK(done < TAKEN_MAX);
	for (i = 0; i < done; i++)
		give_to_host(machine, pfn[i], pfn[i] + 1);
	for (i = 0; i < done; i++) {
		protect(machine, pfn[i], pfn[i] + 1, PROT_READ | PROT_WRITE);
		CHECK(!cf_offline_free(machine->map, id, pfn[i], 0));
	}
	host->taken += done;
}

/* What is in use moves away first. */
static void take_used(struct host *host, uint32_t id)
{
	struct machine *machine = host->world->machine;
	cf_pfn last = host->victim + CF_CHUNK_FRAMES;

	if (host->taken || cf_offline_alloc_range(machine->map, id,
						  host->victim, last, 0,
						  NULL))
		return;
	give_to_host(machine, host->victim, last);
	host->taken += CF_CHUNK_FRAMES;
	(void)pthread_mutex_lock(&host->lock);
	host->gone = true;
	(void)pthread_cond_broadcast(&host->changed);
	(void)pthread_mutex_unlock(&host->lock);
}

static void *host_main(void *argument)
{
	struct host *host = argument;
	uint32_t id = owner_called(host->world, "balloon")->id;
	bool stop = false;

	while (!stop) {
		(void)pthread_mutex_lock(&host->lock);
		while (!host->reading && !host->stop) {
			host->resting = true;
			(void)pthread_cond_broadcast(&host->changed);
			(void)pthread_cond_wait(&host->changed, &host->lock);
		}
		host->resting = false;
		stop = host->stop;
		(void)pthread_mutex_unlock(&host->lock);
		if (!stop && host->victim)
			take_used(host, id);
		else if (!stop)
			take_free(host, id);
	}
	return NULL;
}

static void set_reading(struct host *host, bool reading, bool stop)
{
	(void)pthread_mutex_lock(&host->lock);
	host->reading = reading;
	host->stop = stop;
	(void)pthread_cond_broadcast(&host->changed);
	while (!reading && !stop && !host->resting)
		(void)pthread_cond_wait(&host->changed, &host->lock);
	(void)pthread_mutex_unlock(&host->lock);
}

/* From the first contents on the host is at work. */
static void read_beside_host(void *context, struct cf_map *map, cf_pfn first,
			     unsigned count, void *memory, uint8_t *ret_seen)
{
	struct host *host = context;

	set_reading(host, true, false);
	(void)pthread_mutex_lock(&host->lock);
	while (host->victim && !host->gone)
		(void)pthread_cond_wait(&host->changed, &host->lock);
	(void)pthread_mutex_unlock(&host->lock);
	save_source.read(NULL, map, first, count, memory, ret_seen);
}

static void start_host(struct host *host)
{
	(void)pthread_mutex_init(&host->lock, NULL);
	(void)pthread_cond_init(&host->changed, NULL);
	CHECK(!pthread_create(&host->thread, NULL, host_main, host));
}

static const char used[] =
	"machine memory 64M span 128M block 16M small-pages\n"
	"owner files movable\n"
	"owner balloon balloon movable\n"
	"add block 4\n"
	"online block 4 zone movable\n"
	"alloc data 12M order 0 owner files zone movable\n"
	"free data every 3\n"
	"drain\n";

/* Free frames come and go: a save is of the moment when it began. */
static void test_host_free(void)
{
	struct world world;
	struct host host = { .world = &world };
	struct save_source source = { &host, read_beside_host };
	char why[SAVE_WHY_BYTES];
	struct save_totals totals;
	struct restore *restore;
	struct machine *again;
	unsigned i;

	make(&world, used);
	start_host(&host);
	for (i = 0; i < 5; i++) {
		CHECK(!save_with(world.machine, &source, &totals, why));
		if (why[0])
			printf("# %s\n", why);
		set_reading(&host, false, false);
	}
	set_reading(&host, false, true);
	CHECK(!pthread_join(host.thread, NULL));
	printf("# %llu frames taken\n", (unsigned long long)host.taken);
	CHECK(host.taken > 0);
	again = restored(&restore);
	CHECK(again != NULL);
	CHECK(!cf_drain(world.machine->map));
	if (again)
		compare(world.machine, again, false);
	machine_destroy(again);
	if (restore)
		restore_close(restore);
	machine_destroy(world.machine);
}

/* Runs move away under the save: it says so, and leaves nothing. */
static void test_host_used(void)
{
	struct world world;
	struct host host = { .world = &world };
	struct save_source source = { &host, read_beside_host };
	char why[SAVE_WHY_BYTES];
	struct save_totals totals;

	make(&world, used);
	(void)unlink(path);
	host.victim = 4 * world.machine->block_frames + 5 * CF_CHUNK_FRAMES;
	start_host(&host);
	CHECK(save_with(world.machine, &source, &totals, why));
	printf("# %s\n", why);
	CHECK(strstr(why, "while") || strstr(why, "motion"));
	CHECK(access(path, F_OK));
	set_reading(&host, false, true);
	CHECK(!pthread_join(host.thread, NULL));
	CHECK(host.taken == CF_CHUNK_FRAMES);
	CHECK(machine_verify(world.machine, why, sizeof(why)));
	machine_destroy(world.machine);
}

/* ---- a port that fails ---- */

struct fault {
	struct restore *restore;
	enum cf_host_call call;
	uint64_t nth;
};

static void arm(void *context, const char *what, uint64_t done, uint64_t total)
{
	struct fault *fault = context;

	(void)what;
	(void)total;
	if (!done && fault->restore->machine->restoring)
		cf_host_fault_arm(&fault->restore->machine->memory,
				  fault->call, fault->nth);
}

enum { RESTORED = 10, FAILED = 11, WRONG = 12 };

/* In a child: what became of it with the nth call failing. */
static int restore_failing(enum cf_host_call call, uint64_t nth)
{
	char why[SAVE_WHY_BYTES] = "";
	struct fault fault = { NULL, call, nth };
	struct machine_config config = {
		.seed = 5, .progress = arm, .context = &fault,
	};
	struct scenario_origin origin;
	struct save_totals totals;
	struct machine *machine;
	uint64_t calls;

	fault.restore = restore_open(path, why);
	if (!fault.restore)
		return WRONG;
	restore_origin(fault.restore, &origin);
	config.names = origin.name;
	config.names_count = origin.names;
	machine = restore_machine(fault.restore, &config, &totals, why);
	restore_close(fault.restore);
	if (!machine)
		return why[0] ? FAILED : WRONG;
	calls = cf_host_fault_calls(&machine->memory, call);
	/* It was called, and nobody minded. */
	return calls < nth ? RESTORED : WRONG;
}

static int in_child(enum cf_host_call call, uint64_t nth)
{
	pid_t child;
	int status;

	(void)fflush(stdout);
	child = fork();
	if (!child)
		_exit(restore_failing(call, nth));
	if (child < 0 || waitpid(child, &status, 0) != child)
		return WRONG;
	return WIFEXITED(status) ? WEXITSTATUS(status) : WRONG;
}

static void test_faults(void)
{
	static const char *const names[CF_HOST_CALL_COUNT] = {
		"meta_alloc", "frame_address", "first_exposed", "returned",
	};
	struct world world;
	char why[SAVE_WHY_BYTES];
	struct save_totals totals;
	unsigned call;
	uint64_t nth;
	int how;

	make(&world, orphans);
	CHECK(!save_with(world.machine, &save_source, &totals, why));
	for (call = 0; call < CF_HOST_CALL_COUNT; call++) {
		for (nth = 1, how = FAILED; how == FAILED; nth++)
			how = in_child((enum cf_host_call)call, nth);
		printf("# %s: %llu calls\n", names[call],
		       (unsigned long long)nth - 2);
		CHECK(how == RESTORED);
	}
	machine_destroy(world.machine);
}

/* What is in use and cannot be reached is not left out in silence. */
static void test_unreachable(void)
{
	struct world world;
	char why[SAVE_WHY_BYTES];
	struct save_totals totals;
	uint64_t nth;

	make(&world, used);
	(void)unlink(path);
	for (nth = 1; nth < 3000; nth += 1000) {
		cf_host_fault_arm(&world.machine->memory,
				  CF_HOST_FRAME_ADDRESS, nth);
		CHECK(save_with(world.machine, &save_source, &totals, why));
		cf_host_fault_disarm(&world.machine->memory);
		CHECK(strstr(why, "cannot be reached"));
		CHECK(access(path, F_OK));
	}
	CHECK(!save_with(world.machine, &save_source, &totals, why));
	CHECK(!access(path, F_OK));
	machine_destroy(world.machine);
}

/* ---- records ---- */

static void test_code(void)
{
	unsigned char bytes[64];
	struct code code = { bytes, bytes + sizeof(bytes), false, false };
	char text[8] = "abc", back[4] = "", small[3] = "";
	uint64_t large = 0x0123456789abcdef, zero = 0;
	uint32_t word = 5;
	bool flag = true;

	code_u64(&code, &large);
	code_bool(&code, &flag);
	code_text(&code, text, sizeof(text));
	word = code_choice(&code, word, 6);
	CHECK(!code.failed && code.at == bytes + 8 + 1 + 2 + 3 + 4);
	CHECK(bytes[0] == 0xef && bytes[7] == 0x01);
	code = (struct code){ bytes, code.at, true, false };
	code_u64(&code, &zero);
	code_bool(&code, &flag);
	code_text(&code, back, sizeof(back));
	CHECK(zero == large && flag && !strcmp(back, "abc"));
	CHECK(code_choice(&code, 0, 5) == 0 && code.failed);
	code = (struct code){ bytes + 9, bytes + 14, true, false };
	code_text(&code, small, sizeof(small));
	CHECK(code.failed && !small[0]);
	bytes[8] = 2;
	code = (struct code){ bytes + 8, bytes + 9, true, false };
	code_bool(&code, &flag);
	CHECK(code.failed);
	/* What does not fit stays what it was. */
	code = (struct code){ bytes, bytes + 3, false, false };
	code_u64(&code, &large);
	CHECK(code.failed && large == 0x0123456789abcdef);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	(void)snprintf(path, sizeof(path), "%s/m", folder);
	tap_run("records read as they were written", test_code);
	tap_run("everything there is, frame by frame", test_everything);
	tap_run("orphans and blocks that changed hands", test_orphans);
	tap_run("workers and walkers at it, frame by frame", test_busy);
	tap_run("devices, by the filter alone", test_devices);
	tap_run("a device's run that changes meanwhile", test_device_moves);
	tap_run("more than devices may note", test_notes);
	tap_run("a dump of everything, at each level", test_dump);
	tap_run("a reader that asks nobody crashes", test_guard);
	tap_run("a host that takes free frames meanwhile", test_host_free);
	tap_run("a host that takes frames in use", test_host_used);
	tap_run("every call of the port fails in turn", test_faults);
	tap_run("what cannot be reached is said", test_unreachable);
	(void)unlink(path);
	(void)rmdir(folder);
	return tap_done();
}
