/* SPDX-License-Identifier: MIT */
/*
 * The machine of unit tests: it is made, compared and taken apart here.
 * Nothing in this file knows whether a test has failed; callers check.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/internal.h"
#include "tests/unit/guard.h"
#include "tests/unit/machine.h"

struct machine m;

__attribute__((format(printf, 1, 2)))
static bool complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)printf("# ");
	(void)vprintf(format, arguments);
	(void)printf("\n");
	va_end(arguments);
	(void)fflush(stdout);
	return false;
}

static int on_first_exposed(void *context, cf_pfn first, cf_pfn last)
{
	(void)context;
	m.exposed += last - first;
	return 0;
}

static int on_returned(void *context, cf_pfn first, cf_pfn last)
{
	(void)context;
	m.returned += last - first;
	return 0;
}

static void on_signal(void *context, enum cf_signal what, cf_pfn pfn)
{
	(void)context;
	m.signals[what]++;
	m.signal_pfn[what] = pfn;
}

static bool make_map(void)
{
	struct cf_host_config host = {
		.last = m.last,
		.debug_pagealloc = m.config.debug_pagealloc,
		.hooks = { .first_exposed = on_first_exposed,
			   .returned = on_returned, .signal = on_signal },
	};
	struct cf_map_config config = {
		.block_order = m.config.block_order,
		.nodes = m.config.nodes,
		.cpus = m.config.cpus,
		.poison_max = m.config.poison_max,
		.no_caches = m.config.no_caches,
		.fenced = m.config.fenced,
	};
	int err;

	err = cf_host_memory_create(&host, &m.memory);
	if (err)
		return complain("no memory: %s", cf_strerror(err));
	err = cf_host_map_create(&m.memory, &config, &m.map);
	if (err)
		return complain("no map: %s", cf_strerror(err));
	if (!guard_is_blank(m.map))
		return false;
	guard_lay(m.map);
	(void)cf_host_enter();
	return true;
}

static bool add_block(cf_pfn first, cf_pfn last, enum cf_zone_kind kind,
		      const struct cf_block_config *config)
{
	struct cf_report report;
	int err;

	err = cf_block_add(m.map, first, last, config);
	if (err)
		return complain("add: %s", cf_strerror(err));
	err = cf_block_online(m.map, first, last, kind, &report);
	if (err)
		return complain("online: %s, %s at %#llx", cf_strerror(err),
				cf_reason_name(report.reason),
				(unsigned long long)report.pfn);
	return true;
}

bool add_online(cf_pfn first, cf_pfn last, enum cf_zone_kind kind,
		uint32_t range_owner)
{
	struct cf_block_config config = { .range_owner = range_owner };

	return add_block(first, last, kind, &config);
}

/* The blocks of one node, one by one. */
static bool add_node(unsigned node, cf_pfn first)
{
	struct cf_block_config config = { .node = node };
	unsigned blocks = m.config.blocks + m.config.movable;
	unsigned i;

	for (i = 0; i < blocks; i++, first += m.block)
		if (!add_block(first, first + m.block, i < m.config.blocks ?
			       CF_ZONE_NORMAL : CF_ZONE_MOVABLE, &config))
			return false;
	return true;
}

bool machine_make(struct machine_config config)
{
	unsigned node, blocks;

	memset(&m, 0, sizeof(m));
	if (!config.block_order)
		config.block_order = BLOCK_ORDER;
	if (!config.blocks && !config.movable)
		config.blocks = 1;
	if (!config.nodes)
		config.nodes = 1;
	if (!config.cpus)
		config.cpus = 2;
	m.config = config;
	m.block = (cf_pfn)1 << config.block_order;
	blocks = config.blocks + config.movable;
	m.last = (config.nodes * blocks + config.absent) * m.block;
	if (!make_map())
		return false;
	for (node = 0; node < config.nodes; node++)
		if (!add_node(node, node * blocks * m.block))
			return false;
	return true;
}

bool machine_verify(void)
{
	struct cf_finding finding;

	if (cf_verify(m.map, &finding))
		return true;
	return complain("verify: %s at %#llx: expected %#llx, found %#llx",
			cf_finding_name(finding.kind),
			(unsigned long long)finding.pfn,
			(unsigned long long)finding.expected,
			(unsigned long long)finding.found);
}

/* The equations of struct cf_stat. */
static bool stat_holds(void)
{
	struct cf_stat s = stat_now();
	uint64_t used = 0;
	unsigned type;

	for (type = CF_TYPE_KERNEL; type <= CF_TYPE_SLAB; type++)
		used += s.by_type[type];
	if (s.present != s.managed + s.offline + s.retired + s.reserved)
		return complain("present is not the sum of its parts");
	if (s.managed != s.free + s.cached + used)
		return complain("managed %llu, free %llu cached %llu used %llu",
				(unsigned long long)s.managed,
				(unsigned long long)s.free,
				(unsigned long long)s.cached,
				(unsigned long long)used);
	if (s.never_onlined > s.offline || s.skippable > s.offline)
		return complain("more never onlined or skippable than offline");
	return true;
}

static void say_report(cf_pfn at, int err, const struct cf_report *report)
{
	(void)complain("block %#llx stays: %s; %s, %s of order %u at %#llx",
		       (unsigned long long)at, cf_strerror(err),
		       cf_reason_name(report->reason),
		       cf_type_name(report->type), report->order,
		       (unsigned long long)report->pfn);
}

static bool all_offline(void)
{
	struct cf_report report;
	bool done = true;
	cf_pfn at;
	int err;

	for (at = 0; at < m.last; at += m.block) {
		if (block_info(at).state != CF_BLOCK_ONLINE)
			continue;
		err = cf_block_offline(m.map, at, at + m.block, 4, &report);
		if (err)
			say_report(at, err, &report);
		done = done && !err;
	}
	return done;
}

/* Whatever is in the blocks: their frames cease to have a state. */
static void reset_blocks(void)
{
	unsigned long state = cf_lock(&m.map->hotplug);
	unsigned long inner;
	cf_pfn at;

	for (at = 0; at < m.last; at += m.block) {
		struct cfi_block *block = cfi_block_of(m.map, at);

		if (!block || cfi_block_state(block) == CF_BLOCK_OFFLINE)
			continue;
		inner = cfi_block_lock(block);
		cfi_block_reset(m.map, block);
		cfi_block_unlock(block, inner);
	}
	cf_unlock(&m.map->hotplug, state);
}

static bool remove_map(void)
{
	cf_pfn at;
	int err;

	if (!guard_holds(m.map))
		return false;
	for (at = 0; at < m.last;) {
		struct cfi_block *block = cfi_block_of(m.map, at);
		cf_pfn end = at + m.block;

		if (block) {
			end = at + block->piece_blocks * m.block;
			err = cf_block_remove(m.map, at, end);
			if (err)
				return complain("block %#llx stays: %s",
						(unsigned long long)at,
						cf_strerror(err));
		}
		at = end;
	}
	err = cf_host_map_destroy(m.map);
	cf_host_memory_destroy(&m.memory);
	return err == 0 || complain("the map stays: %s", cf_strerror(err));
}

bool machine_end(void)
{
	if (!m.map)
		return false;
	cf_host_fault_disarm(&m.memory);
	return machine_verify() && stat_holds() && all_offline() &&
	       machine_verify() && remove_map();
}

bool machine_wipe(void)
{
	bool holds;

	if (!m.map)
		return false;
	cf_host_fault_disarm(&m.memory);
	holds = machine_verify() && stat_holds();
	(void)!cf_drain(m.map);
	reset_blocks();
	return remove_map() && holds;
}

struct other {
	void (*act)(void *context);
	void *context;
};

static void *run_other(void *context)
{
	const struct other *other = context;

	(void)cf_host_enter();
	other->act(other->context);
	return NULL;
}

void machine_on_other(void (*act)(void *context), void *context)
{
	struct other other = { act, context };
	pthread_t thread;

	if (pthread_create(&thread, NULL, run_other, &other))
		abort();
	(void)pthread_join(thread, NULL);
}

/* Background. */
static struct {
	pthread_mutex_t lock;
	pthread_t thread;
	struct other other;
	bool done;		/* under the lock */
} background = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void *run_background(void *unused)
{
	(void)run_other(&background.other);
	(void)pthread_mutex_lock(&background.lock);
	background.done = true;
	(void)pthread_mutex_unlock(&background.lock);
	return unused;
}

void background_begin(void (*act)(void *context), void *context)
{
	background.other = (struct other){ act, context };
	background.done = false;
	if (pthread_create(&background.thread, NULL, run_background, NULL))
		abort();
	rest();
}

bool background_is_done(void)
{
	bool done;

	(void)pthread_mutex_lock(&background.lock);
	done = background.done;
	(void)pthread_mutex_unlock(&background.lock);
	return done;
}

void background_end(void)
{
	(void)pthread_join(background.thread, NULL);
}

void rest(void)
{
	const struct timespec a_while = { 0, 20000000 };

	(void)nanosleep(&a_while, NULL);
}

/* Panics: the child says what it heard through a pipe. */
static int panic_pipe;

#ifdef UNIT_COVERAGE
void __gcov_dump(void);
#else
#define __gcov_dump()	((void)0)
#endif

static void tell_panic(const char *expression, const char *file, int line,
		       uint64_t value, uint64_t other)
{
	ssize_t written = write(panic_pipe, &value, sizeof(value));

	(void)expression;
	(void)file;
	(void)line;
	(void)other;
	(void)written;
	__gcov_dump();
	_exit(3);
}

static void act_in_child(void (*act)(void), int out)
{
	const struct rlimit no_core = { 0, 0 };
	int null = open("/dev/null", O_WRONLY);

	(void)setrlimit(RLIMIT_CORE, &no_core);
	/* The port prints the check; the parent knows it by its value. */
	(void)dup2(null, STDERR_FILENO);
	panic_pipe = out;
	cf_host_on_panic(tell_panic);
	(void)alarm(20);
	act();
	_exit(0);
}

bool panics(void (*act)(void), uint64_t value)
{
	uint64_t heard = 0;
	int status = 0;
	ssize_t got;
	pid_t child;
	int ends[2];

	(void)fflush(stdout);
	if (pipe(ends))
		abort();
	child = fork();
	if (child < 0)
		abort();
	if (child == 0)
		act_in_child(act, ends[1]);
	(void)close(ends[1]);
	got = read(ends[0], &heard, sizeof(heard));
	(void)close(ends[0]);
	(void)waitpid(child, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 3)
		return complain("no panic: status %#x", (unsigned)status);
	if (got != sizeof(heard) || heard != value)
		return complain("the panic names %#llx, not %#llx",
				(unsigned long long)heard,
				(unsigned long long)value);
	return true;
}

uint64_t whole_chunks(void)
{
	uint64_t chunks = 0;
	cf_pfn at;

	for (at = 0; at < m.last; at += m.block)
		chunks += block_info(at).chunks_free;
	return chunks;
}

size_t fill(struct cf_request request, cf_pfn *frames, size_t most)
{
	size_t count = 0;

	while (count < most && !cf_alloc(m.map, request, &frames[count]))
		count++;
	return count;
}

void put_all(const cf_pfn *frames, size_t count)
{
	while (count > 0)
		cf_put(m.map, frames[--count]);
}

/* Images. */

#define IMAGE_FRAMES	((size_t)1 << 18)
#define IMAGE_BLOCKS	1024

struct image {
	uint64_t word[IMAGE_FRAMES];
	struct cf_block_info block[IMAGE_BLOCKS];
	struct cf_stat stat;
};

static struct image before, after;

static cf_pfn image_blocks(void)
{
	return cfi_min_pfn(m.last / m.block, IMAGE_BLOCKS);
}

static void take(struct image *image)
{
	struct cf_snapshot run;
	cf_pfn at;

	for (at = 0; at < m.last && at < IMAGE_FRAMES; at++)
		image->word[at] = cf_snapshot(m.map, at, &run) ? 0 : run.word;
	for (at = 0; at < image_blocks() * m.block; at += m.block) {
		struct cf_block_info *info = &image->block[at / m.block];

		*info = block_info(at);
		/* These change when frames in stock go home. */
		info->free = 0;
		info->chunks_free = 0;
		info->chunks_split = 0;
	}
	image->stat = stat_now();
	image->stat.free += image->stat.cached;
	image->stat.cached = 0;
}

void image_take(void)
{
	if (m.map)
		take(&before);
}

static bool same_block(const struct cf_block_info *a,
		       const struct cf_block_info *b)
{
	return a->state == b->state && a->zone == b->zone &&
	       a->node == b->node && a->range_owner == b->range_owner &&
	       a->orphan == b->orphan && a->offline == b->offline &&
	       a->never_onlined == b->never_onlined &&
	       a->skippable == b->skippable && a->retired == b->retired &&
	       a->reserved == b->reserved &&
	       a->chunks_isolated == b->chunks_isolated;
}

bool image_same(void)
{
	cf_pfn at;

	if (!m.map)
		return true;
	take(&after);
	for (at = 0; at < m.last && at < IMAGE_FRAMES; at++)
		if (before.word[at] != after.word[at])
			return complain("word at %#llx: was %#llx, is %#llx",
					(unsigned long long)at,
					(unsigned long long)before.word[at],
					(unsigned long long)after.word[at]);
	for (at = 0; at < image_blocks() * m.block; at += m.block)
		if (!same_block(&before.block[at / m.block],
				&after.block[at / m.block]))
			return complain("block %#llx has changed",
					(unsigned long long)at);
	if (memcmp(&before.stat, &after.stat, sizeof(before.stat)) != 0)
		return complain("a counter has changed");
	return machine_verify();
}

/* The owner. */

static int note(struct keeper *keeper, enum hook hook, cf_pfn pfn,
		unsigned order)
{
	keeper->calls[hook]++;
	keeper->pfn[hook] = pfn;
	keeper->order[hook] = order;
	if (keeper->then)
		keeper->then(keeper, hook, pfn, order);
	return keeper->answer[hook];
}

static enum cf_verdict on_release(void *context, cf_pfn pfn, unsigned order)
{
	struct keeper *keeper = context;

	(void)note(keeper, HOOK_RELEASE, pfn, order);
	return keeper->verdict;
}

static int on_isolate(void *context, cf_pfn pfn, unsigned order)
{
	return note(context, HOOK_ISOLATE, pfn, order);
}

static int move_counted(const struct keeper *keeper, cf_pfn source,
			cf_pfn target, unsigned order)
{
	int err = cf_freeze(m.map, source, keeper->refs + 1);

	if (err)
		return err;
	if (cf_copy_run(m.map, source, target, order))
		abort();
	cf_unfreeze(m.map, target, keeper->refs);
	return 0;
}

static int on_migrate(void *context, cf_pfn source, cf_pfn target,
		      unsigned order)
{
	struct keeper *keeper = context;
	struct cf_snapshot run;
	int err;

	keeper->target = target;
	err = note(keeper, HOOK_MIGRATE, source, order);
	if (err || cf_snapshot(m.map, source, &run))
		return err;
	return run.type == CF_TYPE_OFFLINE ? 0 :
	       move_counted(keeper, source, target, order);
}

static void on_putback(void *context, cf_pfn pfn, unsigned order)
{
	(void)note(context, HOOK_PUTBACK, pfn, order);
}

static int on_split(void *context, cf_pfn pfn, unsigned order)
{
	return note(context, HOOK_SPLIT, pfn, order);
}

static int on_dissolve(void *context, cf_pfn pfn, unsigned order)
{
	return note(context, HOOK_DISSOLVE, pfn, order);
}

static int on_online(void *context, cf_pfn first, cf_pfn last)
{
	struct keeper *keeper = context;

	keeper->online_last = last;
	return note(keeper, HOOK_ONLINE, first, 0);
}

static const char *on_describe(void *context, cf_pfn pfn)
{
	(void)note(context, HOOK_DESCRIBE, pfn, 0);
	return KEEPER_DETAIL;
}

bool keeper_add(struct keeper *keeper, const char *name, unsigned hooks)
{
	int err;

	keeper->refs = 1;
	keeper->ops = (struct cf_owner_ops){
		.release = hooks & 1u << HOOK_RELEASE ? on_release : NULL,
		.isolate = hooks & 1u << HOOK_ISOLATE ? on_isolate : NULL,
		.migrate = hooks & 1u << HOOK_MIGRATE ? on_migrate : NULL,
		.putback = hooks & 1u << HOOK_PUTBACK ? on_putback : NULL,
		.split = hooks & 1u << HOOK_SPLIT ? on_split : NULL,
		.dissolve = hooks & 1u << HOOK_DISSOLVE ? on_dissolve : NULL,
		.online = hooks & 1u << HOOK_ONLINE ? on_online : NULL,
		.describe = hooks & 1u << HOOK_DESCRIBE ? on_describe : NULL,
	};
	err = cf_owner_register(m.map, name, &keeper->ops, keeper,
				&keeper->id);
	return err == 0 || complain("no owner: %s", cf_strerror(err));
}

bool keeper_remove(struct keeper *keeper)
{
	uint64_t orphans = 0;
	int err = cf_owner_unregister(m.map, keeper->id, &orphans);

	if (err)
		return complain("owner stays: %s", cf_strerror(err));
	return orphans == 0 || complain("%llu frames were the owner's",
					(unsigned long long)orphans);
}
