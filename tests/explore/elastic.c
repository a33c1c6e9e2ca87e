/* SPDX-License-Identifier: MIT */

/*
 * Objects of a pool that others move: the engine a frame at a time, the pool
 * itself object by object.  Whoever has one locked has it where it is.
 */

#include "process.h"

#include "owners/elastic/elastic.h"
#include "port/host/host.h"

#include "ground.h"

#define BASE_FRAMES	16	/* that have an address, and objects in them */
#define SMALL		2048	/* two of them fill a frame */

enum {
	OF_POOL	= 1,	/* what an object holds, by who wrote it */
	OF_USER	= 2,
};

static struct {
	struct cf_host_memory memory;
	struct elastic *pool;
	elastic_handle object[3];
	cf_pfn pfn;		/* where the first one was */
	uint64_t taken;		/* somebody else has that frame */
	uint64_t wrote;		/* a user was there */
	uint64_t ended;
} *w;

/* ---- a process ---- */

#define PART_BYTES	((size_t)16 << 10)	/* a thread's */
#define GROUND_BYTES	((size_t)256 << 10)	/* of the set-up */

static struct process {
	char *part[EXPLORE_THREADS_MAX + 1];
	size_t used[EXPLORE_THREADS_MAX + 1];
} *process;

void process_init(void)
{
	unsigned i;

	process = explore_memory(sizeof(*process));
	for (i = 0; i < EXPLORE_THREADS_MAX; i++)
		process->part[i] = explore_memory(PART_BYTES);
	process->part[EXPLORE_THREADS_MAX] = explore_memory(GROUND_BYTES);
}

/* Zeroed, as all of it is; nothing is given back. */
void *process_alloc(size_t bytes)
{
	unsigned self = explore_self();
	size_t at = process->used[self];

	bytes = (bytes + 15) & ~(size_t)15;
	REQUIRE(at + bytes <= (self == EXPLORE_THREADS_MAX ? GROUND_BYTES :
							     PART_BYTES));
	process->used[self] = at + bytes;
	return process->part[self] + at;
}

/* Tables do not grow after set-up. */
void *process_grow(void *memory, size_t bytes)
{
	REQUIRE(!memory);
	return process_alloc(bytes);
}

int process_resident(void *memory, size_t bytes, unsigned char *ret_present)
{
	(void)memory;
	memset(ret_present, 1, bytes / CF_FRAME_BYTES);
	return 0;
}

/* The pool is in a map that is there: nobody makes one. */
int cf_host_memory_create(const struct cf_host_config *config,
			  struct cf_host_memory *ret_memory)
{
	(void)config;
	(void)ret_memory;
	return -CF_ENOMEM;
}

void cf_host_memory_destroy(struct cf_host_memory *memory)
{
	(void)memory;
}

int cf_host_map_create(struct cf_host_memory *memory,
		       const struct cf_map_config *config,
		       struct cf_map **ret_map)
{
	(void)memory;
	(void)config;
	(void)ret_map;
	return -CF_ENOMEM;
}

int cf_host_map_destroy(struct cf_map *map)
{
	(void)map;
	return 0;
}

int cf_host_discard(struct cf_host_memory *memory, cf_pfn first, cf_pfn last)
{
	(void)memory;
	for (; first < last; first++)
		*ground_contents(first) = 0;
	return 0;
}

/* ---- the pool ---- */

static void make_pool(void)
{
	struct elastic_config config = { .map = NULL };

	ground_init((struct ground_config) { .blocks = 1 });
	process_init();
	w = explore_memory(sizeof(*w));
	explore_name(w, sizeof(*w), "the program's", -1);
	w->memory.config.last = GROUND_BLOCK;
	w->memory.base = explore_memory(BASE_FRAMES * CF_FRAME_BYTES);
	explore_name(w->memory.base, BASE_FRAMES * CF_FRAME_BYTES, "objects",
		     -1);
	config.map = ground_map;
	config.memory = &w->memory;
	MUST(elastic_create(&config, &w->pool));
}

static void add_object(unsigned i, size_t bytes)
{
	MUST(elastic_alloc(w->pool, bytes, &w->object[i]));
}

/* The frame an object is in, while it is locked. */
static cf_pfn frame_of(const void *memory)
{
	return (cf_pfn)((const unsigned char *)memory - w->memory.base) >>
	       CF_FRAME_SHIFT;
}

/* ---- an object of its own frame ---- */

static void make_large(void)
{
	void *memory;

	make_pool();
	add_object(0, CF_FRAME_BYTES);
	memory = elastic_lock(w->pool, w->object[0]);
	REQUIRE(memory);
	w->pfn = frame_of(memory);
	*ground_contents(w->pfn) = OF_POOL;
	MUST(elastic_unlock(w->pool, w->object[0]));
}

/* Somebody wants that very frame: what is in it has to go elsewhere. */
static void take_frame(void)
{
	struct cf_request request = { .type = CF_TYPE_SLAB };
	int err = cf_alloc_range(ground_map, w->pfn, w->pfn + 1, request,
				 NULL);

	REQUIRE(err == 0 || err == -CF_EAGAIN || err == -CF_EBUSY);
	if (err)
		return;
	*ground_contents(w->pfn) = 0;
	w->taken = 1;
}

static void write_locked(void)
{
	void *memory = elastic_lock(w->pool, w->object[0]);
	cf_pfn pfn;

	/* The engine has it in hand this moment. */
	if (!memory)
		return;
	pfn = frame_of(memory);
	REQUIRE(*ground_contents(pfn) == OF_POOL);
	*ground_contents(pfn) = OF_USER;
	w->wrote = 1;
	MUST(elastic_unlock(w->pool, w->object[0]));
}

static void has_its_object(void)
{
	struct elastic_stat stat;
	struct cf_snapshot run;
	void *memory = elastic_lock(w->pool, w->object[0]);
	cf_pfn pfn;

	REQUIRE(memory);
	pfn = frame_of(memory);
	REQUIRE((pfn != w->pfn) == w->taken);
	REQUIRE(*ground_contents(pfn) == (w->wrote ? OF_USER : OF_POOL));
	MUST(elastic_unlock(w->pool, w->object[0]));
	MUST(cf_snapshot(ground_map, pfn, &run));
	REQUIRE(run.refs == 1 && run.pins == 0 && run.flags == 0);
	REQUIRE(run.owner == elastic_owner(w->pool));
	elastic_stat(w->pool, &stat);
	REQUIRE(stat.objects == 1 && stat.locked == 0);
	REQUIRE(stat.moved == w->taken);
	ground_verify();
}

static const struct explore_program lock_against_move = {
	.name = "elastic-lock-against-move",
	.worry = "who has an object locked has it where it is, with all that "
		 "was written to it; nobody else moves it then",
	.setup = make_large,
	.thread = { take_frame, write_locked },
	.end = has_its_object,
	.quick = true,
};

static void end_object(void)
{
	MUST(elastic_free(w->pool, w->object[0]));
	w->ended = 1;
}

static void has_no_object(void)
{
	struct elastic_stat stat;

	elastic_stat(w->pool, &stat);
	REQUIRE(stat.objects == 0 && stat.used_bytes == 0);
	REQUIRE(!elastic_lock(w->pool, w->object[0]));
	REQUIRE(elastic_free(w->pool, w->object[0]) == -CF_EGONE);
	MUST(elastic_destroy(w->pool, NULL));
	ground_verify();
}

static const struct explore_program free_against_move = {
	.name = "elastic-free-against-move",
	.worry = "an object that ends while the engine moves its frame ends "
		 "once, where it is by then",
	.setup = make_large,
	.thread = { take_frame, end_object },
	.end = has_no_object,
	.quick = true,
};

/* ---- objects that share frames ---- */

static uint64_t *small(unsigned i)
{
	return elastic_lock(w->pool, w->object[i]);
}

/* Two frames, each half full: a shrink would make one of them. */
static void make_small(void)
{
	unsigned i;

	make_pool();
	for (i = 0; i < 3; i++) {
		add_object(i, SMALL);
		*small(i) = OF_POOL;
		MUST(elastic_unlock(w->pool, w->object[i]));
	}
	MUST(elastic_free(w->pool, w->object[1]));
}

/* Objects together, and no memory back. */
static void merge(void)
{
	uint64_t given;

	MUST(elastic_shrink(w->pool, 0, &given, NULL));
	REQUIRE(given == 0);
}

static void write_small(void)
{
	uint64_t *memory = small(2);

	REQUIRE(memory);
	REQUIRE(*memory == OF_POOL);
	*memory = OF_USER;
	REQUIRE(*memory == OF_USER);
	MUST(elastic_unlock(w->pool, w->object[2]));
}

static void has_both(void)
{
	struct elastic_stat stat;

	REQUIRE(*small(0) == OF_POOL);
	REQUIRE(*small(2) == OF_USER);
	MUST(elastic_unlock(w->pool, w->object[0]));
	MUST(elastic_unlock(w->pool, w->object[2]));
	elastic_stat(w->pool, &stat);
	REQUIRE(stat.objects == 2 && stat.merged <= 1);
	REQUIRE(stat.used_bytes == (2 - stat.merged) * CF_FRAME_BYTES);
	ground_verify();
}

static const struct explore_program shrink_against_lock = {
	.name = "elastic-shrink-against-lock",
	.worry = "objects are moved together behind their users' backs, but "
		 "for those that are locked",
	.setup = make_small,
	.thread = { merge, write_small },
	.end = has_both,
	.quick = true,
};

const struct explore_program *const explore_elastic[] = {
	&lock_against_move,
	&free_against_move,
	&shrink_against_lock,
	NULL
};
