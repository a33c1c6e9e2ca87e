/* SPDX-License-Identifier: MIT */

/*
 * Subscribers, and among them scanners: those that keep frame numbers without
 * a reference, as the kernel's same-page merging does.  A scanner pauses when
 * memory is about to go, goes on when that is cancelled or done, and asks the
 * engine for every number again before it trusts it.
 */

#include <stdlib.h>

#include "internal.h"
#include "known.h"

static int watch_going(void *context, enum cf_event event, cf_pfn first,
		       cf_pfn last)
{
	struct watcher *watcher = context;
	int veto;

	(void)first;
	(void)last;
	if (watcher->machine->restoring)
		return 0;
	(void)pthread_mutex_lock(&watcher->lock);
	veto = watcher->veto ? -CF_EREFUSED : 0;
	watcher->going++;
	watcher->vetoes += veto != 0;
	if (event == CF_EVENT_OFFLINE)
		watcher->paused = true;
	(void)pthread_mutex_unlock(&watcher->lock);
	return veto;
}

static void watch_end(struct watcher *watcher, enum cf_event event,
		      uint64_t *counter)
{
	(void)pthread_mutex_lock(&watcher->lock);
	(*counter)++;
	if (event == CF_EVENT_OFFLINE)
		watcher->paused = false;
	(void)pthread_mutex_unlock(&watcher->lock);
}

static void watch_cancel(void *context, enum cf_event event, cf_pfn first,
			 cf_pfn last)
{
	struct watcher *watcher = context;

	(void)first;
	(void)last;
	watch_end(watcher, event, &watcher->cancelled);
}

static void watch_done(void *context, enum cf_event event, cf_pfn first,
		       cf_pfn last)
{
	struct watcher *watcher = context;

	(void)first;
	(void)last;
	watch_end(watcher, event, &watcher->done);
}

struct watcher *watcher_new(struct machine *machine, uint32_t number)
{
	struct watcher *watcher = calloc(1, sizeof(*watcher));

	if (!watcher)
		return NULL;
	watcher->machine = machine;
	(void)pthread_mutex_init(&watcher->lock, NULL);
	watcher->subscriber = (struct cf_subscriber){
		.name = machine->name[number],
		.context = watcher,
		.going = watch_going,
		.cancel = watch_cancel,
		.done = watch_done,
	};
	return watcher;
}

void watcher_free(struct watcher *watcher)
{
	if (!watcher)
		return;
	(void)pthread_mutex_destroy(&watcher->lock);
	free(watcher->kept);
	free(watcher);
}

static int watch(struct machine *machine, const struct step *step,
		 struct outcome *outcome, bool scans)
{
	struct watcher *watcher = watcher_new(machine, step->name);
	int err;

	if (!watcher)
		return refuse(outcome, CF_ENOMEM, "the process has no memory");
	watcher->veto = step_has(step, KEY_VETO);
	watcher->first = step->place.first;
	watcher->last = step->place.last;
	watcher->subscriber.priority = (int)step->key[KEY_PRIORITY];
	watcher->scans = scans;
	if (step->place.kind == PLACE_NONE)
		watcher->last = machine->map_config.last;
	machine->object[step->name].watcher = watcher;
	err = cf_subscriber_add(machine->map, &watcher->subscriber);
	if (err)
		return refuse(outcome, (enum cf_err)-err, "%s",
			      cf_strerror(err));
	watcher->added = true;
	did(outcome, "told of blocks that come and go, priority %d",
	    watcher->subscriber.priority);
	return 0;
}

int step_subscriber(struct machine *machine, const struct step *step,
		    struct outcome *outcome)
{
	return watch(machine, step, outcome, false);
}

int step_scanner(struct machine *machine, const struct step *step,
		 struct outcome *outcome)
{
	return watch(machine, step, outcome, true);
}

int step_veto(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	struct watcher *watcher = machine->object[step->name].watcher;

	if (!watcher)
		return refuse(outcome, CF_EGONE, "it was not added");
	(void)pthread_mutex_lock(&watcher->lock);
	watcher->veto = !step_has(step, KEY_OFF);
	(void)pthread_mutex_unlock(&watcher->lock);
	did(outcome, "%s from now on", step_has(step, KEY_OFF) ?
	    "agrees" : "refuses");
	return 0;
}

int step_unsubscribe(struct machine *machine, const struct step *step,
		     struct outcome *outcome)
{
	struct watcher *watcher = machine->object[step->name].watcher;
	int err;

	if (!watcher || !watcher->added)
		return refuse(outcome, CF_EGONE, "it is not there");
	err = cf_subscriber_remove(machine->map, &watcher->subscriber);
	if (err)
		return refuse(outcome, (enum cf_err)-err, "%s",
			      cf_strerror(err));
	watcher->added = false;
	did(outcome, "told of nothing any more");
	return 0;
}

/* Ask again for each number that was kept; drop those refused. */
static void visit_kept(struct machine *machine, struct watcher *watcher)
{
	size_t i, left = 0;

	for (i = 0; i < watcher->count; i++) {
		cf_pfn pfn = watcher->kept[i];

		if (cf_try_get(machine->map, pfn)) {
			watcher->stale++;
			continue;
		}
		cf_put(machine->map, pfn);
		watcher->kept[left++] = pfn;
	}
	watcher->count = left;
}

int watcher_keep(struct watcher *watcher, cf_pfn pfn)
{
	size_t room = watcher->room ? 2 * watcher->room : 256;
	cf_pfn *kept;

	if (watcher->count == watcher->room) {
		kept = realloc(watcher->kept, room * sizeof(*kept));
		if (!kept)
			return -CF_ENOMEM;
		watcher->kept = kept;
		watcher->room = room;
	}
	watcher->kept[watcher->count++] = pfn;
	return 0;
}

/* All folios of a block, in order; a section is one block long. */
static int find_folios(struct machine *machine, struct watcher *watcher,
		       cf_pfn first, cf_pfn last)
{
	struct cf_span span;
	int err = 0;

	cf_walk_begin(machine->map);
	while (!err && cf_walk_next(machine->map, &first, last, &span))
		if (span.kind == CF_SPAN_RUN && span.type == CF_TYPE_FOLIO)
			err = watcher_keep(watcher, span.first);
	cf_walk_end(machine->map);
	return err;
}

static cf_pfn min_pfn(cf_pfn a, cf_pfn b)
{
	return a < b ? a : b;
}

int step_scan(struct machine *machine, const struct step *step,
	      struct outcome *outcome)
{
	struct watcher *watcher = machine->object[step->name].watcher;
	uint64_t stale;
	cf_pfn at, end, last;
	int err = 0;

	if (!watcher)
		return refuse(outcome, CF_EGONE, "it was not added");
	if (watcher->paused) {
		did(outcome, "paused: memory is going; %zu numbers kept",
		    watcher->count);
		return 0;
	}
	stale = watcher->stale;
	visit_kept(machine, watcher);
	stale = watcher->stale - stale;
	watcher->count = 0;
	last = min_pfn(watcher->last, machine->added_last);
	for (at = watcher->first; !err && at < last; at = end) {
		end = min_pfn((at / machine->block_frames + 1) *
			      machine->block_frames, last);
		err = find_folios(machine, watcher, at, end);
	}
	if (err)
		return refuse(outcome, CF_ENOMEM, "the process has no memory");
	watcher->passes++;
	did(outcome, "%llu stale numbers refused, %zu kept",
	    (unsigned long long)stale, watcher->count);
	return 0;
}
