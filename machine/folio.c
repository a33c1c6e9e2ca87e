/* SPDX-License-Identifier: MIT */

/*
 * What an owner of counted runs does when it is asked: it finds its run by
 * the frame, and moves, cuts, keeps or gives it up.
 *
 * An owner knows of the references the machine took by the run's name.  Those
 * that somebody took by a frame's number, and those of a run that was freed,
 * it does not know: such a run cannot be moved.
 */

#include "internal.h"

static uint64_t frames_of(unsigned order)
{
	return (uint64_t)1 << order;
}

enum cf_verdict folio_release(void *context, cf_pfn pfn, unsigned order)
{
	struct owner *owner = context;
	struct run *run = run_find(owner->machine, pfn);

	owner_count(owner, &owner->releases);
	if (!run)
		return CF_VERDICT_FREE;
	if (!owner->keeps) {
		run_unbind(owner->machine, pfn);
		return CF_VERDICT_FREE;
	}
	run_lock(run);
	run->state = RUN_KEPT;
	run->refs = 0;
	run_unlock(run);
	(void)pthread_mutex_lock(&owner->lock);
	run->next_kept = owner->kept;
	owner->kept = run;
	owner->kept_frames += frames_of(order);
	(void)pthread_mutex_unlock(&owner->lock);
	return CF_VERDICT_KEEP;
}

int folio_isolate(void *context, cf_pfn pfn, unsigned order)
{
	struct owner *owner = context;

	(void)pfn;
	(void)order;
	owner_count(owner, &owner->isolates);
	return owner->stubborn ? -CF_EREFUSED : 0;
}

void folio_putback(void *context, cf_pfn pfn, unsigned order)
{
	struct owner *owner = context;

	(void)pfn;
	(void)order;
	owner_count(owner, &owner->putbacks);
}

/* Nobody of ours holds it: only the engine may, and then it is free at once. */
static int move_unknown(struct machine *machine, cf_pfn source)
{
	if (!cf_freeze(machine->map, source, 1))
		cf_unfreeze(machine->map, source, 1);
	return -CF_EAGAIN;
}

/* Caller holds the run; its references and one of the engine's are all. */
static int move_run(struct machine *machine, struct run *run, cf_pfn target)
{
	cf_pfn source = run->pfn;
	int err;

	err = run_bind(machine, target, run);
	if (err)
		return err;
	err = cf_freeze(machine->map, source, run->refs + 1);
	if (err)
		goto unbind;
	err = cf_copy_run(machine->map, source, target, run->order);
	if (err)
		goto unfreeze;
	run->pfn = target;
	run->moved++;
	run_unbind(machine, source);
	cf_unfreeze(machine->map, target, run->refs);
	return 0;

unfreeze:
	cf_unfreeze(machine->map, source, run->refs + 1);
unbind:
	run_unbind(machine, target);
	return err;
}

int folio_migrate(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	struct owner *owner = context;
	struct machine *machine = owner->machine;
	struct run *run;
	int err;

	if (driver_has(owner, source))
		return driver_move(owner, source, target, order);
	run = run_find(machine, source);
	if (!run)
		return move_unknown(machine, source);
	run_lock(run);
	if (run->pfn != source || run->state != RUN_HELD)
		err = move_unknown(machine, source);
	else
		err = move_run(machine, run, target);
	run_unlock(run);
	if (!err)
		owner_count(owner, &owner->migrates);
	return err;
}

/* The upper half of a run that was cut, as a run of its own. */
static int add_half(struct machine *machine, struct run *run)
{
	struct run *half = set_add_run(machine, run->set);
	cf_pfn pfn = run->pfn + frames_of(run->order);

	if (!half || run_bind(machine, pfn, half))
		return -CF_ENOMEM;
	half->pfn = pfn;
	half->order = run->order;
	half->state = run->state;
	half->refs = run->refs;
	half->written = run->written;
	half->moved = run->moved;
	half->seed = run->seed;
	half->skew = run->skew + frames_of(run->order);
	return 0;
}

/* Halves it: halves fit where the whole did not. */
int folio_split(void *context, cf_pfn pfn, unsigned order)
{
	struct owner *owner = context;
	struct machine *machine = owner->machine;
	struct run *run = run_find(machine, pfn);
	int err;

	if (!run || !order)
		return -CF_EREFUSED;
	run_lock(run);
	err = -CF_EAGAIN;
	if (run->pfn != pfn || run->state != RUN_HELD || !run->set)
		goto unlock;
	err = cf_freeze(machine->map, pfn, run->refs);
	if (err)
		goto unlock;
	err = cf_split(machine->map, pfn, order - 1);
	if (!err) {
		run->order--;
		err = add_half(machine, run);
		if (!err)
			cf_unfreeze(machine->map, pfn + frames_of(order - 1),
				    run->refs);
	}
	cf_unfreeze(machine->map, pfn, run->refs);
unlock:
	run_unlock(run);
	if (!err)
		owner_count(owner, &owner->splits_done);
	return err;
}

static bool forget_kept(struct owner *owner, struct run *run)
{
	struct run **at;
	bool found = false;

	(void)pthread_mutex_lock(&owner->lock);
	for (at = &owner->kept; *at; at = &(*at)->next_kept) {
		if (*at != run)
			continue;
		*at = run->next_kept;
		owner->kept_frames -= frames_of(run->order);
		owner->dissolved++;
		found = true;
		break;
	}
	(void)pthread_mutex_unlock(&owner->lock);
	return found;
}

int folio_dissolve(void *context, cf_pfn pfn, unsigned order)
{
	struct owner *owner = context;
	struct run *run = run_find(owner->machine, pfn);

	(void)order;
	if (!run || !forget_kept(owner, run))
		return -CF_EAGAIN;
	run_lock(run);
	run->state = RUN_GONE;
	run_unlock(run);
	run_unbind(owner->machine, pfn);
	return 0;
}

const char *folio_describe(void *context, cf_pfn pfn)
{
	struct owner *owner = context;
	struct run *run = run_find(owner->machine, pfn);

	return run && run->set ? run->set->name : NULL;
}
