/* SPDX-License-Identifier: MIT */
/*
 * elastic beside a model: which objects there are, how large, how often each
 * is locked and what is in it, while the pool shrinks, blocks go and memory
 * runs out.  Random calls, one context.
 */
#include <sys/mman.h>

#include "owners/elastic/elastic.h"
#include "play.h"

#define OBJECTS		160
#define ENDED		16
#define BYTES_MAX	((size_t)1 << 30)

struct object {
	bool there;
	elastic_handle handle;
	size_t bytes;
	uint32_t locks;
	unsigned char *at;	/* while it is locked */
	unsigned char mark;
};

static struct {
	struct elastic *pool;
	struct elastic_config config;
	struct object object[OBJECTS];
	elastic_handle ended[ENDED];	/* name nothing any more */
	uint32_t endings;
	bool offline;
	cf_pfn gone;
	cf_pfn *full;
	size_t full_count;
} w;

static struct elastic_stat stat_of(void)
{
	struct elastic_stat stat;

	elastic_stat(w.pool, &stat);
	return stat;
}

/* ---- contents ---- */

/* The first and the last bytes, and some between. */
static size_t step_of(const struct object *object)
{
	return object->bytes < 64 ? 1 : object->bytes / 61;
}

static void fill_object(struct object *object, unsigned char *memory)
{
	size_t i;

	for (i = 0; i < object->bytes; i += step_of(object))
		memory[i] = (unsigned char)(object->mark + i);
	memory[object->bytes - 1] = object->mark;
}

static void check_object(const struct object *object,
			 const unsigned char *memory)
{
	size_t i;

	for (i = 0; i + 1 < object->bytes; i += step_of(object))
		REQUIRE_EQ(memory[i], (unsigned char)(object->mark + i));
	REQUIRE_EQ(memory[object->bytes - 1], object->mark);
}

static void check_one(struct object *object)
{
	unsigned char *memory;

	if (!object->there)
		return;
	REQUIRE_EQ(elastic_bytes(w.pool, object->handle), object->bytes);
	memory = elastic_lock(w.pool, object->handle);
	REQUIRE(memory);
	REQUIRE(!object->locks || memory == object->at);
	check_object(object, memory);
	REQUIRE_EQ(elastic_unlock(w.pool, object->handle), 0);
}

static void check_all(void)
{
	uint32_t i;

	for (i = 0; i < OBJECTS; i++)
		check_one(&w.object[i]);
}

/* ---- begin, end, compare ---- */

static void create(void)
{
	w.config.memory = &m.memory;
	w.config.map = m.map;
	REQUIRE_EQ(elastic_create(&w.config, &w.pool), 0);
	memset(w.object, 0, sizeof(w.object));
	memset(w.ended, 0, sizeof(w.ended));
}

static void begin(void)
{
	struct machine_config machine = { .blocks = 5 };

	memset(&w, 0, sizeof(w));
	REQUIRE(machine_make(machine));
	w.full = play_room(m.last * sizeof(cf_pfn));
	create();
}

static void compare(void)
{
	struct elastic_stat stat = stat_of();
	uint64_t objects = 0, locked = 0, bytes = 0;
	uint32_t i;

	for (i = 0; i < OBJECTS; i++) {
		objects += w.object[i].there;
		locked += w.object[i].locks != 0;
		bytes += w.object[i].there ? w.object[i].bytes : 0;
		/* Where it is locked it stays, and is its holder's. */
		if (w.object[i].locks)
			check_object(&w.object[i], w.object[i].at);
	}
	REQUIRE_EQ(stat.objects, objects);
	REQUIRE_EQ(stat.locked, locked);
	REQUIRE_EQ(stat.object_bytes, bytes);
	REQUIRE(stat.used_bytes >= bytes);
	REQUIRE(objects || !stat.used_bytes);
	REQUIRE_EQ(stat.given_bytes % CF_FRAME_BYTES, 0);
	REQUIRE_EQ(stat_now().offline, stat.given_bytes / CF_FRAME_BYTES);
	check_one(&w.object[draw(OBJECTS)]);
	REQUIRE(machine_verify());
}

static void set_full(bool full)
{
	if (full)
		w.full_count = fill(kernel(0), w.full, m.last);
	else
		put_all(w.full, w.full_count);
	if (!full)
		w.full_count = 0;
}

static void end(void)
{
	uint32_t i;

	check_all();
	set_full(false);
	for (i = 0; i < OBJECTS; i++)
		for (; w.object[i].locks; w.object[i].locks--)
			REQUIRE_EQ(elastic_unlock(w.pool,
						  w.object[i].handle), 0);
	compare();
	/* Half of them are ended with the pool. */
	for (i = 0; i < OBJECTS; i += 2)
		if (w.object[i].there)
			REQUIRE_EQ(elastic_free(w.pool, w.object[i].handle),
				   0);
	REQUIRE_EQ(elastic_destroy(w.pool, NULL), 0);
	if (w.offline)
		REQUIRE_EQ(cf_block_online(m.map, w.gone, w.gone + m.block,
					   CF_ZONE_NORMAL, NULL), 0);
	free(w.full);
	REQUIRE(machine_end());
}

/* ---- calls ---- */

static size_t draw_bytes(void)
{
	static const uint16_t often[] = { 16, 100, 500, 1300 };
	unsigned turn = draw(100);

	if (turn < 2)
		return draw(2) ? 0 : BYTES_MAX + 1;
	if (turn < 3)
		return BYTES_MAX;
	if (turn < 60)
		return often[draw(4)];
	if (turn < 75)
		return 1 + draw(2048);
	if (turn < 95)
		return 1 + draw(32768);
	return 1 + draw(1 << 21);
}

/* Somewhere among frames that are free, or could be, there is room. */
static bool is_ample(size_t bytes)
{
	return bytes <= CF_CHUNK_FRAMES * CF_FRAME_BYTES &&
	       (bytes <= CF_FRAME_BYTES ? unused_frames() > 0 :
					  whole_chunks() > 0);
}

static void call_alloc(void)
{
	struct object *object = &w.object[draw(OBJECTS)];
	size_t bytes = draw_bytes();
	uint32_t codes = OK;
	unsigned char *memory;

	if (object->there)
		return;
	if (!bytes || bytes > BYTES_MAX)
		codes = E(CF_EINVAL);
	else if (!is_ample(bytes))
		codes = OK | E(CF_ENOMEM);
	if (!play_told("alloc", elastic_alloc(w.pool, bytes, &object->handle),
		       codes, " %zu bytes", bytes))
		return;
	*object = (struct object){
		.there = true, .handle = object->handle, .bytes = bytes,
		.mark = (unsigned char)draw(256),
	};
	memory = elastic_lock(w.pool, object->handle);
	REQUIRE(memory);
	REQUIRE_EQ((uintptr_t)memory % (bytes > 2048 ? 4096 : 16), 0);
	fill_object(object, memory);
	REQUIRE_EQ(elastic_unlock(w.pool, object->handle), 0);
}

/* One that is there, if any is. */
static struct object *draw_object(void)
{
	uint32_t i, at = draw(OBJECTS);

	for (i = 0; i < OBJECTS && !w.object[at].there; i++)
		at = (at + 1) % OBJECTS;
	return &w.object[at];
}

static void call_free(void)
{
	struct object *object = draw_object();

	if (!object->there)
		return;
	if (!play_told("free", elastic_free(w.pool, object->handle),
		       object->locks ? E(CF_EBUSY) : OK, " %#llx",
		       (unsigned long long)object->handle))
		return;
	object->there = false;
	w.ended[w.endings++ % ENDED] = object->handle;
}

static void call_lock(void)
{
	struct object *object = draw_object();
	unsigned char *memory;

	if (!object->there)
		return;
	memory = elastic_lock(w.pool, object->handle);
	(void)play_told("lock", memory ? 0 : -CF_EGONE, OK, " %#llx",
			(unsigned long long)object->handle);
	REQUIRE(!object->locks || memory == object->at);
	check_object(object, memory);
	object->at = memory;
	object->locks++;
}

static void call_unlock(void)
{
	uint32_t i, at = draw(OBJECTS);
	struct object *object = &w.object[at];

	/* One that is locked, for the most part. */
	for (i = 0; i < OBJECTS && !object->locks && !draw_chance(1); i++)
		object = &w.object[(at + i) % OBJECTS];
	if (!object->there)
		return;
	if (play_told("unlock", elastic_unlock(w.pool, object->handle),
		      object->locks ? OK : E(CF_EINVAL), " %#llx",
		      (unsigned long long)object->handle))
		object->locks--;
}

/* A handle of an object that was, or of none ever. */
static void call_ended(void)
{
	elastic_handle handle = w.ended[draw(ENDED)];

	if (draw_chance(10))
		handle = (uint64_t)draw(3) << 32 | (draw(3) ? 0 : 1u << 30);
	(void)play_told("ended", elastic_free(w.pool, handle), E(CF_EGONE),
			" %#llx", (unsigned long long)handle);
	REQUIRE_EQ(elastic_unlock(w.pool, handle), -CF_EGONE);
	REQUIRE(!elastic_lock(w.pool, handle));
	REQUIRE_EQ(elastic_bytes(w.pool, handle), 0);
}

static void check_report(const struct cf_report *report)
{
	const struct object *object = w.object;
	unsigned char *base = m.memory.base;
	cf_pfn pfn = report->pfn;

	if (pfn == CF_PFN_NONE) {
		REQUIRE_EQ(stat_of().locked, 0);
		return;
	}
	REQUIRE_EQ(report->owner, elastic_owner(w.pool));
	REQUIRE_EQ(report->pins, 1);
	for (; object < w.object + OBJECTS; object++)
		if (object->locks &&
		    ((cf_pfn)(object->at - base) >> CF_FRAME_SHIFT) - pfn <
		    (cf_pfn)1 << report->order)
			return;
	play_fail(__FILE__, __LINE__, "no locked object at %#llx",
		  (unsigned long long)pfn);
}

/* Free frames that the process has memory for. */
static uint64_t resident_free(void)
{
	struct cf_span span;
	unsigned char there;
	uint64_t count = 0;
	cf_pfn cursor = 0;

	REQUIRE_EQ(cf_drain(m.map), 0);
	cf_walk_begin(m.map);
	while (cf_walk_next(m.map, &cursor, m.last, &span))
		for (; span.kind == CF_SPAN_FREE && span.first < span.last;
		     span.first++) {
			REQUIRE(!mincore(m.memory.base + span.first *
					 CF_FRAME_BYTES, CF_FRAME_BYTES,
					 &there));
			count += there & 1;
		}
	cf_walk_end(m.map);
	return count;
}

static void call_shrink(void)
{
	uint64_t bytes = draw(3) ? (uint64_t)draw(4096) << CF_FRAME_SHIFT :
			 ~UINT64_C(0);
	uint64_t chunk = (uint64_t)CF_CHUNK_FRAMES << CF_FRAME_SHIFT;
	struct elastic_stat before = stat_of(), after;
	uint64_t given = 0;
	struct cf_report report;
	int err = elastic_shrink(w.pool, bytes, &given, &report);

	(void)play_told("shrink", err, OK | E(CF_ENOMEM), " by %llu bytes",
			(unsigned long long)bytes);
	after = stat_of();
	check_report(&report);
	REQUIRE(err ? given < bytes : given >= bytes || !~bytes);
	REQUIRE(!~bytes || given <= bytes + chunk);
	/* What was resident is of what is out of use now. */
	REQUIRE(after.given_bytes - before.given_bytes >= given);
	REQUIRE(after.used_bytes <= before.used_bytes);
	check_all();
	/* All that there was to give. */
	if (!~bytes)
		REQUIRE_EQ(resident_free(), 0);
}

/* Nothing is locked, and any block's worth of chunks has room elsewhere. */
static bool can_go(void)
{
	return !stat_of().locked && !w.full_count &&
	       whole_chunks() >= 2 * m.block / CF_CHUNK_FRAMES;
}

static void call_block(void)
{
	cf_pfn first = draw((uint32_t)(m.last / m.block)) * m.block;
	uint32_t i, codes;
	int err;

	if (w.offline) {
		err = cf_block_online(m.map, w.gone, w.gone + m.block,
				      CF_ZONE_NORMAL, NULL);
		w.offline = !play_told("online", err, OK, " %#llx",
				       (unsigned long long)w.gone);
		return;
	}
	codes = can_go() ? OK :
		OK | E(CF_EBUSY) | E(CF_EAGAIN) | E(CF_ENOMEM);
	err = cf_block_offline(m.map, first, first + m.block, 4, NULL);
	if (play_told("offline", err, codes, " %#llx",
		      (unsigned long long)first)) {
		w.offline = true;
		w.gone = first;
		for (i = 0; i < OBJECTS; i++)
			REQUIRE(!w.object[i].locks ||
				((cf_pfn)(w.object[i].at - m.memory.base) >>
				 CF_FRAME_SHIFT) - first >= m.block);
	}
	check_all();
}

static void call_memory(void)
{
	set_full(!w.full_count);
	(void)play_told("memory", 0, OK, " %s",
			w.full_count ? "is out" : "is there");
}

static void call_destroy(void)
{
	struct cf_report report = { .pfn = CF_PFN_NONE };
	uint64_t locked = stat_of().locked;

	if (play_told("destroy", elastic_destroy(w.pool, &report),
		      locked ? E(CF_EBUSY) : OK, " ")) {
		/* Nothing that was given back is left out of use. */
		REQUIRE_EQ(stat_now().offline, 0);
		create();
	} else {
		check_report(&report);
	}
}

static void call(void)
{
	static const struct {
		unsigned share;
		void (*call)(void);
	} calls[] = {
		{ 40, call_alloc }, { 19, call_free }, { 10, call_lock },
		{ 11, call_unlock }, { 4, call_ended }, { 7, call_shrink },
		{ 6, call_block }, { 2, call_memory }, { 1, call_destroy },
	};
	unsigned turn = draw(100), i = 0;

	while (turn >= calls[i].share)
		turn -= calls[i++].share;
	calls[i].call();
}

int main(int argc, char **argv)
{
	static const char *const calls[] = {
		"alloc", "free", "lock", "unlock", "shrink", "offline",
		"online", "memory", "destroy", NULL,
	};
	static const struct play play = {
		"elastic", begin, call, compare, end, calls,
	};

	return play_main(argc, argv, &play);
}
