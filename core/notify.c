/* SPDX-License-Identifier: MIT */

/*
 * Subscribers: told before and after blocks come and go.
 *
 * They stand in a list by falling priority.  Going may veto; then those that
 * saw going, and only those, see cancel, last one first.  No lock is held
 * across two hooks but hotplug itself, which is what keeps the list still.
 */

#include "internal.h"

static struct cf_subscriber **place(struct cf_map *map, int priority)
{
	struct cf_subscriber **at = &map->subscriber;

	while (*at && (*at)->priority >= priority)
		at = &(*at)->next;
	return at;
}

static struct cf_subscriber **find(struct cf_map *map,
				   const struct cf_subscriber *subscriber)
{
	struct cf_subscriber **at = &map->subscriber;

	while (*at && *at != subscriber)
		at = &(*at)->next;
	return at;
}

int cf_subscriber_add(struct cf_map *map, struct cf_subscriber *subscriber)
{
	struct cf_subscriber **at;
	unsigned long state;
	int err = 0;

	if (!subscriber->name)
		return -CF_EINVAL;
	state = cf_lock(&map->hotplug);
	if (map->operations || *find(map, subscriber)) {
		err = -CF_EBUSY;
	} else {
		at = place(map, subscriber->priority);
		subscriber->next = *at;
		*at = subscriber;
	}
	cf_unlock(&map->hotplug, state);
	return err;
}

int cf_subscriber_remove(struct cf_map *map, struct cf_subscriber *subscriber)
{
	struct cf_subscriber **at;
	unsigned long state;
	int err = 0;

	state = cf_lock(&map->hotplug);
	at = find(map, subscriber);
	if (!*at)
		err = -CF_EINVAL;
	else if (map->operations)
		err = -CF_EBUSY;
	else
		*at = subscriber->next;
	cf_unlock(&map->hotplug, state);
	return err;
}

/* Cancel for all before @end, last one first: the list is singly linked. */
static void cancel_before(struct cf_map *map, const struct cf_subscriber *end,
			  enum cf_event event, cf_pfn first, cf_pfn last)
{
	struct cf_subscriber *at;

	while (end != map->subscriber) {
		for (at = map->subscriber; at->next != end; at = at->next)
			;
		if (at->cancel)
			at->cancel(at->context, event, first, last);
		end = at;
	}
}

int cfi_notify_going(struct cf_map *map, enum cf_event event, cf_pfn first,
		     cf_pfn last, struct cf_report *report)
{
	struct cf_subscriber *at;
	uint32_t number = 0;

	for (at = map->subscriber; at; at = at->next, number++) {
		if (!at->going ||
		    at->going(at->context, event, first, last) == 0)
			continue;
		cfi_report_add(map, report, CF_REASON_VETO, first, 0,
			       last - first);
		if (report) {
			report->owner = number;
			report->who = at->name;
			report->detail = at->why;
		}
		cancel_before(map, at, event, first, last);
		return -CF_EREFUSED;
	}
	return 0;
}

void cfi_notify_cancel(struct cf_map *map, enum cf_event event, cf_pfn first,
		       cf_pfn last)
{
	cancel_before(map, NULL, event, first, last);
}

void cfi_notify_done(struct cf_map *map, enum cf_event event, cf_pfn first,
		     cf_pfn last)
{
	const struct cf_subscriber *at;

	for (at = map->subscriber; at; at = at->next)
		if (at->done)
			at->done(at->context, event, first, last);
}
