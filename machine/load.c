/* SPDX-License-Identifier: MIT */

/*
 * The load: workers that allocate, fill, reference, check and free at random,
 * each on a CPU of its own.
 *
 * Every run is written when it is allocated and checked before it is freed,
 * so that a frame that was handed out twice, lost its contents on the way
 * somewhere else, or was given back to the system in use is found.  What a
 * worker holds may be moved: runs are bound to their slots as those of sets.
 *
 * A worker looks for orders to pause or stop between batches of operations,
 * and reports what it did there.
 */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"
#include "known.h"

#define BATCH_OPS	64
#define DEFAULT_ORDER	3
#define SLOTS_MAX	65536

/*
 * Field key: (C) constant, (L) load->lock, (O) only the worker.
 */
struct worker {
	struct load *load;	/* (C) */
	unsigned cpu;		/* (C) */
	uint64_t random;	/* (O) */
	uint64_t serial;	/* (O) seeds of contents so far */
	struct run *slot;	/* (C) the runs' own locks guard them */
	size_t slots;		/* (C) */
	uint64_t frames;	/* (O) held now */
	struct load_totals sum;	/* (O) since the last report */
	char why[OUTCOME_TEXT_BYTES];	/* (O) first wrong contents */
};

struct load {
	struct machine *machine;
	struct owner *owner;
	unsigned count;		/* (C) workers */
	unsigned started;	/* (C) of these, those that got a thread */
	unsigned max_order;
	enum cf_zone_kind zone;
	uint64_t hold_frames;	/* (C) a worker's share */
	uint64_t ops;		/* (C) of all; 0: no bound */
	uint64_t until_ns;	/* (C) 0: no bound */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool asleep;		/* restored: load_wake() starts it */
	uint64_t left_ns;	/* of a bound in time, while it sleeps */
	bool stop, pause;	/* (L) */
	unsigned parked, ended;	/* (L) */
	struct load_totals sum;	/* (L) */
	char why[OUTCOME_TEXT_BYTES];	/* (L) */
	struct worker worker[];
};

static uint64_t next_random(struct worker *worker)
{
	uint64_t x = worker->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	worker->random = x;
	return x * 0x2545f4914f6cdd1d;
}

static uint64_t below(struct worker *worker, uint64_t limit)
{
	return (next_random(worker) >> 11) % limit;
}

/* Small runs are many, large ones few. */
static unsigned random_order(struct worker *worker)
{
	uint64_t bits = next_random(worker);
	unsigned order = 0;

	while (order < worker->load->max_order && (bits & 1)) {
		bits >>= 1;
		order++;
	}
	return order;
}

static struct cf_request random_request(struct worker *worker, unsigned order)
{
	const struct load *load = worker->load;
	bool folio = load->zone == CF_ZONE_MOVABLE || below(worker, 2);

	return (struct cf_request){
		.order = (uint8_t)order,
		.type = folio ? CF_TYPE_FOLIO : CF_TYPE_KERNEL,
		.owner = (uint16_t)(folio ? load->owner->id : CF_OWNER_NONE),
		.zone = (uint8_t)load->zone,
		.node = CF_NODE_ANY,
	};
}

static void op_alloc(struct worker *worker, struct run *run)
{
	struct machine *machine = worker->load->machine;
	unsigned order = random_order(worker);
	struct cf_request request = random_request(worker, order);
	uint64_t frames = (uint64_t)1 << order;
	cf_pfn pfn;

	if (worker->frames + frames > worker->load->hold_frames ||
	    cf_alloc(machine->map, request, &pfn)) {
		worker->sum.failed++;
		return;
	}
	run_lock(run);
	run->pfn = pfn;
	run->order = (uint8_t)order;
	run->refs = 1;
	run->seed = worker->random ^ ++worker->serial;
	run->state = RUN_HELD;
	run_fill(machine, run);
	run_unlock(run);
	/* From here on it can be moved. */
	if (request.owner && run_bind(machine, pfn, run))
		worker->sum.failed++;
	worker->frames += frames;
	worker->sum.allocs++;
}

static void check_slot(struct worker *worker, const struct run *run)
{
	cf_pfn frame;

	if (run_intact(worker->load->machine, run, &frame))
		return;
	worker->sum.errors++;
	if (!worker->why[0])
		(void)snprintf(worker->why, sizeof(worker->why),
			       "worker on cpu %u: contents of frame %llu (run"
			       " of order %u at %llu) changed", worker->cpu,
			       (unsigned long long)frame, run->order,
			       (unsigned long long)run->pfn);
}

static void op_free(struct worker *worker, struct run *run)
{
	struct machine *machine = worker->load->machine;
	uint32_t refs;
	cf_pfn pfn;

	run_lock(run);
	check_slot(worker, run);
	pfn = run->pfn;
	refs = run->refs;
	run->state = RUN_GONE;
	run->refs = 0;
	run_unbind(machine, pfn);
	run_unlock(run);
	worker->frames -= (uint64_t)1 << run->order;
	worker->sum.frees++;
	worker->sum.moved += run->moved;
	run->moved = 0;
	while (refs--)
		cf_put(machine->map, pfn);
}

static void op_get(struct worker *worker, struct run *run)
{
	run_lock(run);
	if (!cf_get(worker->load->machine->map, run->pfn))
		run->refs++;
	run_unlock(run);
}

/* Contents stay where they are while the pin is out. */
static void op_pin(struct worker *worker, struct run *run)
{
	struct cf_map *map = worker->load->machine->map;
	cf_pfn pfn;
	int err;

	run_lock(run);
	pfn = run->pfn;
	err = cf_pin(map, pfn);
	run_unlock(run);
	if (err)
		return;
	run_lock(run);
	if (run->pfn != pfn) {
		worker->sum.errors++;
		(void)snprintf(worker->why, sizeof(worker->why),
			       "worker on cpu %u: frame %llu moved while it"
			       " was pinned", worker->cpu,
			       (unsigned long long)pfn);
	}
	check_slot(worker, run);
	run_unlock(run);
	cf_unpin(map, pfn);
}

/* By number, of somebody else's run, as a walker would. */
static void op_stray(struct worker *worker)
{
	const struct load *load = worker->load;
	struct cf_map *map = load->machine->map;
	struct worker *other = &worker->load->worker[below(worker,
							   load->count)];
	struct run *run = &other->slot[below(worker, other->slots)];
	cf_pfn pfn, head;

	run_lock(run);
	pfn = run->pfn;
	run_unlock(run);
	if (pfn != CF_PFN_NONE && !cf_try_get_interior(map, pfn, &head))
		cf_put(map, head);
}

static void one_op(struct worker *worker)
{
	struct run *run = &worker->slot[below(worker, worker->slots)];
	uint64_t dice = below(worker, 16);

	worker->sum.ops++;
	if (dice == 0)
		op_stray(worker);
	else if (run->state != RUN_HELD)
		op_alloc(worker, run);
	else if (dice == 1)
		op_get(worker, run);
	else if (dice == 2)
		op_pin(worker, run);
	else if (dice > 7)
		op_free(worker, run);
}

static void add_totals(struct load_totals *sum, const struct load_totals *add)
{
	sum->ops += add->ops;
	sum->allocs += add->allocs;
	sum->frees += add->frees;
	sum->failed += add->failed;
	sum->errors += add->errors;
	sum->moved += add->moved;
}

static bool is_enough(const struct load *load)
{
	if (load->stop)
		return true;
	if (load->ops && load->sum.ops >= load->ops)
		return true;
	return load->until_ns && now_ns() >= load->until_ns;
}

/* Report, pause if told so. @held: frames; @before: what was reported last. */
static bool go_on(struct worker *worker, uint64_t *before)
{
	struct load *load = worker->load;
	bool on;

	(void)pthread_mutex_lock(&load->lock);
	add_totals(&load->sum, &worker->sum);
	worker->sum = (struct load_totals){ .ops = 0 };
	load->sum.held += worker->frames - *before;
	*before = worker->frames;
	if (worker->why[0] && !load->why[0])
		(void)memcpy(load->why, worker->why, sizeof(load->why));
	while (load->pause) {
		load->parked++;
		(void)pthread_cond_broadcast(&load->changed);
		(void)pthread_cond_wait(&load->changed, &load->lock);
		load->parked--;
	}
	on = !is_enough(load);
	(void)pthread_mutex_unlock(&load->lock);
	return on;
}

static void worker_main(void *argument)
{
	struct worker *worker = argument;
	struct load *load = worker->load;
	uint64_t reported = worker->frames;
	size_t i;

	while (go_on(worker, &reported))
		for (i = 0; i < BATCH_OPS; i++)
			one_op(worker);
	for (i = 0; i < worker->slots; i++)
		if (worker->slot[i].state == RUN_HELD)
			op_free(worker, &worker->slot[i]);
	(void)go_on(worker, &reported);
	(void)pthread_mutex_lock(&load->lock);
	load->ended++;
	(void)pthread_cond_broadcast(&load->changed);
	(void)pthread_mutex_unlock(&load->lock);
}

static int make_slots(struct worker *worker)
{
	size_t i;

	worker->slots = worker->load->hold_frames;
	if (worker->slots > SLOTS_MAX)
		worker->slots = SLOTS_MAX;
	if (!worker->slots)
		worker->slots = 1;
	worker->slot = calloc(worker->slots, sizeof(*worker->slot));
	if (!worker->slot)
		return -CF_ENOMEM;
	for (i = 0; i < worker->slots; i++)
		run_init(&worker->slot[i], 0);
	return 0;
}

static void load_free(struct load *load)
{
	unsigned i;

	for (i = 0; i < load->count; i++)
		free(load->worker[i].slot);
	if (load->owner && load->owner->registered &&
	    cf_owner_unregister(load->machine->map, load->owner->id, NULL))
		cf_port_panic("the load's owner is registered", __FILE__,
			      __LINE__, load->owner->id, 0);
	owner_free(load->owner);
	(void)pthread_cond_destroy(&load->changed);
	(void)pthread_mutex_destroy(&load->lock);
	free(load);
}

/* Workers on the last CPUs, and nothing for them to do yet. */
static struct load *load_make(struct machine *machine, unsigned count)
{
	struct load *load = calloc(1, sizeof(*load) +
				      count * sizeof(struct worker));
	unsigned i;

	if (!load)
		return NULL;
	load->machine = machine;
	load->count = count;
	(void)pthread_mutex_init(&load->lock, NULL);
	(void)pthread_cond_init(&load->changed, NULL);
	for (i = 0; i < count; i++) {
		load->worker[i].load = load;
		load->worker[i].cpu = machine->map_config.cpus - count + i;
		load->worker[i].random = machine->config.seed * 2654435761 +
					 i * 0x9e3779b97f4a7c15 + 1;
	}
	return load;
}

static struct load *load_new(struct machine *machine, const struct step *step)
{
	unsigned count = (unsigned)step->amount.number;
	uint64_t hold = step_value(step, KEY_HOLD, 0) / CF_FRAME_BYTES;
	struct load *load = load_make(machine, count);
	struct cf_stat stat;

	if (!load)
		return NULL;
	cf_stat(machine->map, &stat);
	load->max_order = (unsigned)step_value(step, KEY_ORDER,
					       DEFAULT_ORDER);
	load->zone = (enum cf_zone_kind)step->key[KEY_ZONE];
	load->hold_frames = (hold ? hold : stat.free / 4) / count;
	load->ops = step->key[KEY_OPS];
	if (step_has(step, KEY_FOR))
		load->until_ns = now_ns() + step->key[KEY_FOR];
	return load;
}

static int load_ready(struct machine *machine, struct load *load)
{
	unsigned i;
	int err = 0;

	load->owner = owner_new(machine, "load");
	if (!load->owner)
		return -CF_ENOMEM;
	load->owner->movable = true;
	err = owner_register(machine, load->owner);
	for (i = 0; !err && i < load->count; i++)
		err = make_slots(&load->worker[i]);
	return err;
}

static int start_workers(struct machine *machine, struct load *load)
{
	int err = 0;

	while (!err && load->started < load->count) {
		struct worker *worker = &load->worker[load->started];

		err = cpus_start(machine->cpus, worker->cpu, worker_main,
				 worker);
		if (!err)
			load->started++;
	}
	return err;
}

int step_load(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	struct load *load = load_new(machine, step);
	char why[OUTCOME_TEXT_BYTES];
	int err;

	if (!load)
		return refuse(outcome, CF_ENOMEM, "the process has no memory");
	err = load_ready(machine, load);
	machine->load = load;
	if (!err)
		err = start_workers(machine, load);
	if (err) {
		load->ops = 1;	/* those that run end at once */
		(void)load_end(machine, why, sizeof(why));
		return refuse(outcome, (enum cf_err)-err,
			      "the load cannot start");
	}
	did(outcome, "%u worker%s, each up to %llu frames, runs up to order"
	    " %u", load->count, load->count == 1 ? "" : "s",
	    (unsigned long long)load->hold_frames, load->max_order);
	return 0;
}

void load_pause(struct machine *machine)
{
	struct load *load = machine->load;

	if (!load)
		return;
	(void)pthread_mutex_lock(&load->lock);
	load->pause = true;
	while (load->parked + load->ended < load->started)
		(void)pthread_cond_wait(&load->changed, &load->lock);
	(void)pthread_mutex_unlock(&load->lock);
}

void load_resume(struct machine *machine)
{
	struct load *load = machine->load;

	if (!load)
		return;
	(void)pthread_mutex_lock(&load->lock);
	load->pause = false;
	(void)pthread_cond_broadcast(&load->changed);
	(void)pthread_mutex_unlock(&load->lock);
}

void load_totals(struct machine *machine, struct load_totals *ret_totals)
{
	struct load *load = machine->load;

	*ret_totals = machine->load_past;
	if (!load)
		return;
	(void)pthread_mutex_lock(&load->lock);
	add_totals(ret_totals, &load->sum);
	ret_totals->workers = load->count;
	ret_totals->held = load->sum.held;
	(void)pthread_mutex_unlock(&load->lock);
}

/* Wait for a load that has a bound to reach it. */
static void wait_bound(struct machine *machine, struct load *load)
{
	struct timespec wake;
	uint64_t began = now_ns(), total, done;

	(void)pthread_mutex_lock(&load->lock);
	while (load->ended < load->started) {
		done = load->ops ? load->sum.ops : now_ns() - began;
		total = load->ops;
		if (!load->ops && load->until_ns > began)
			total = load->until_ns - began;
		(void)clock_gettime(CLOCK_REALTIME, &wake);
		wake.tv_nsec += 50000000;
		if (wake.tv_nsec >= 1000000000) {
			wake.tv_nsec -= 1000000000;
			wake.tv_sec++;
		}
		(void)pthread_cond_timedwait(&load->changed, &load->lock,
					     &wake);
		(void)pthread_mutex_unlock(&load->lock);
		progress(machine, "load", done, total);
		(void)pthread_mutex_lock(&load->lock);
	}
	(void)pthread_mutex_unlock(&load->lock);
}

int load_end(struct machine *machine, char *why, size_t bytes)
{
	struct load *load = machine->load;
	uint64_t errors;
	unsigned i;

	if (!load)
		return 0;
	(void)pthread_mutex_lock(&load->lock);
	load->stop = !load->ops && !load->until_ns;
	(void)pthread_cond_broadcast(&load->changed);
	(void)pthread_mutex_unlock(&load->lock);
	wait_bound(machine, load);
	for (i = 0; i < load->started; i++)
		cpus_wait(machine->cpus, load->worker[i].cpu);
	errors = load->sum.errors;
	(void)snprintf(why, bytes, "%s", load->why);
	add_totals(&machine->load_past, &load->sum);
	machine->load_past.workers = load->count;
	machine->load_past.held = 0;
	machine->load = NULL;
	load_free(load);
	return errors ? -1 : 0;
}

int step_load_stop(struct machine *machine, const struct step *step,
		   struct outcome *outcome)
{
	struct load_totals sum;
	char why[OUTCOME_TEXT_BYTES];

	(void)step;
	if (!machine->load)
		return refuse(outcome, CF_EGONE, "no load is running");
	if (load_end(machine, why, sizeof(why)))
		return refuse(outcome, CF_EINVAL, "%s", why);
	sum = machine->load_past;
	did(outcome, "%llu operations, %llu runs freed, contents of all"
	    " intact, %llu moved", (unsigned long long)sum.ops,
	    (unsigned long long)sum.frees, (unsigned long long)sum.moved);
	return 0;
}

/* ---- saved and restored ---- */

bool load_facts(struct machine *machine, struct fact_load *ret_fact)
{
	const struct load *load = machine->load;
	uint64_t now = now_ns();

	if (!load)
		return false;
	*ret_fact = (struct fact_load){
		.count = load->count,
		.max_order = load->max_order,
		.zone = (uint32_t)load->zone,
		.hold_frames = load->hold_frames,
		.ops = load->ops,
		.timed = load->until_ns || load->left_ns,
		.left_ns = load->asleep ? load->left_ns :
			   load->until_ns > now ? load->until_ns - now :
			   load->until_ns != 0,
		.sum = load->sum,
	};
	return true;
}

bool load_worker_facts(struct machine *machine, uint32_t number,
		       struct fact_worker *ret_fact)
{
	const struct load *load = machine->load;

	if (!load || number >= load->count)
		return false;
	*ret_fact = (struct fact_worker){
		number, load->worker[number].random,
		load->worker[number].serial,
	};
	return true;
}

struct owner *load_owner(struct machine *machine)
{
	return machine->load ? machine->load->owner : NULL;
}

struct run *load_slot(struct machine *machine, uint32_t worker, uint64_t slot)
{
	struct load *load = machine->load;

	if (!load || worker >= load->count ||
	    slot >= load->worker[worker].slots)
		return NULL;
	return &load->worker[worker].slot[slot];
}

int load_restore(struct machine *machine, const struct fact_load *fact,
		 struct owner *owner)
{
	struct load *load;
	unsigned i;
	int err = 0;

	load = load_make(machine, fact->count);
	if (!load)
		return -CF_ENOMEM;
	machine->load = load;
	load->owner = owner;
	load->max_order = fact->max_order;
	load->zone = (enum cf_zone_kind)fact->zone;
	load->hold_frames = fact->hold_frames;
	load->ops = fact->ops;
	load->asleep = true;
	/* A bound that has passed is one still. */
	if (fact->timed)
		load->left_ns = fact->left_ns ? fact->left_ns : 1;
	load->sum = fact->sum;
	load->sum.held = 0;
	for (i = 0; !err && i < load->count; i++)
		err = make_slots(&load->worker[i]);
	return err;
}

int load_worker_restore(struct machine *machine,
			const struct fact_worker *fact)
{
	struct load *load = machine->load;

	if (!load || fact->number >= load->count || !fact->random)
		return -CF_EINVAL;
	load->worker[fact->number].random = fact->random;
	load->worker[fact->number].serial = fact->serial;
	return 0;
}

void load_count_slot(struct machine *machine, uint32_t worker,
		     const struct run *run)
{
	struct load *load = machine->load;

	load->worker[worker].frames += (uint64_t)1 << run->order;
	load->sum.held += (uint64_t)1 << run->order;
}

int load_wake(struct machine *machine)
{
	struct load *load = machine->load;

	if (!load || !load->asleep)
		return 0;
	load->asleep = false;
	if (load->left_ns)
		load->until_ns = now_ns() + load->left_ns;
	load->left_ns = 0;
	return start_workers(machine, load);
}
