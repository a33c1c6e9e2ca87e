/* SPDX-License-Identifier: MIT */
/*
 * Subscribers: order, veto, and that cancel reaches those that saw going.
 * Three of them write one line a call into a log.
 */
#include "core/internal.h"
#include "tests/unit/machine.h"

#define SUBSCRIBERS	3

struct listener {
	struct cf_subscriber subscriber;
	char letter;
	bool veto;
	unsigned held;		/* hooks that saw the wrong locks */
};

static struct listener listener[SUBSCRIBERS];
static char heard[256];
static cf_pfn heard_first, heard_last;

/* "aG-" is a's going for offlining, "bD+" b's done for onlining. */
static void note(const struct listener *from, char call, enum cf_event event,
		 cf_pfn first, cf_pfn last)
{
	size_t length = strlen(heard);

	heard_first = first;
	heard_last = last;
	(void)snprintf(heard + length, sizeof(heard) - length, "%c%c%c ",
		       from->letter, call,
		       event == CF_EVENT_ONLINE ? '+' : '-');
	/* They may allocate and free; HOTPLUG alone is held. */
	cf_assert_unlocked(CF_RANK_HOTPLUG);
	cf_put(m.map, alloc(kernel(0)));
}

static int going(void *context, enum cf_event event, cf_pfn first, cf_pfn last)
{
	const struct listener *from = context;

	note(from, 'G', event, first, last);
	return from->veto;
}

static void cancelled(void *context, enum cf_event event, cf_pfn first,
		      cf_pfn last)
{
	note(context, 'C', event, first, last);
}

static void done(void *context, enum cf_event event, cf_pfn first, cf_pfn last)
{
	note(context, 'D', event, first, last);
}

static bool heard_is(const char *want)
{
	bool same = strcmp(heard, want) == 0;

	if (!same)
		(void)printf("# heard %s\n", heard);
	heard[0] = '\0';
	return same;
}

/* a before b before c, added in another order. */
static bool begin(void)
{
	static const int added[SUBSCRIBERS] = { 2, 0, 1 };
	struct machine_config config = { .blocks = 2 };
	int i;

	if (!CHECK(machine_make(config)))
		return false;
	memset(listener, 0, sizeof(listener));
	heard[0] = '\0';
	for (i = 0; i < SUBSCRIBERS; i++) {
		struct listener *l = &listener[added[i]];

		l->letter = (char)('a' + added[i]);
		l->subscriber = (struct cf_subscriber){
			.name = added[i] == 1 ? "bee" : "other",
			.priority = -added[i], .context = l,
			.going = going, .cancel = cancelled, .done = done,
		};
		CHECK_EQ(cf_subscriber_add(m.map, &l->subscriber), 0);
	}
	return true;
}

static void finish(void)
{
	int i;

	for (i = 0; i < SUBSCRIBERS; i++)
		CHECK_EQ(cf_subscriber_remove(m.map, &listener[i].subscriber),
			 0);
	CHECK(machine_end());
	CHECK(heard_is(""));
}

static void all_agree(void)
{
	if (!begin())
		return;
	CHECK_EQ(cf_block_offline(m.map, 1024, 2048, 2, NULL), 0);
	CHECK(heard_is("aG- bG- cG- aD- bD- cD- "));
	CHECK_EQ(heard_first, 1024);
	CHECK_EQ(heard_last, 2048);
	CHECK_EQ(cf_block_online(m.map, 1024, 2048, CF_ZONE_NORMAL, NULL), 0);
	CHECK(heard_is("aG+ bG+ cG+ aD+ bD+ cD+ "));
	finish();
}

/* Each in turn says no: those before it are told, last one first. */
static void veto(void)
{
	static const char *const offline[] = {
		"aG- ", "aG- bG- aC- ", "aG- bG- cG- bC- aC- ",
	};
	static const char *const online[] = {
		"aG+ ", "aG+ bG+ aC+ ", "aG+ bG+ cG+ bC+ aC+ ",
	};
	struct cf_offline operation = { { 0 } };
	struct cf_report report;
	int i;

	if (!begin())
		return;
	for (i = 0; i < SUBSCRIBERS; i++) {
		listener[i].veto = true;
		FAILS(CF_EREFUSED, cf_block_offline(m.map, 1024, 2048, 2,
						    &report));
		CHECK(heard_is(offline[i]));
		FAILS(CF_EREFUSED, cf_block_offline_start(m.map, &operation,
							  1024, 2048, &report));
		CHECK(heard_is(offline[i]));
		CHECK_EQ(report.reason, CF_REASON_VETO);
		CHECK_EQ(report.owner, i);
		CHECK(report.who && strcmp(report.who, i == 1 ? "bee" :
					   "other") == 0);
		CHECK_EQ(report.pfn, 1024);
		CHECK_EQ(report.frames[CF_REASON_VETO], 1024);
		listener[i].veto = false;
	}
	CHECK_EQ(cf_block_offline(m.map, 1024, 2048, 2, NULL), 0);
	heard[0] = '\0';
	for (i = 0; i < SUBSCRIBERS; i++) {
		listener[i].veto = true;
		FAILS(CF_EREFUSED, cf_block_online(m.map, 1024, 2048,
						   CF_ZONE_NORMAL, &report));
		CHECK(heard_is(online[i]));
		CHECK_EQ(report.reason, CF_REASON_VETO);
		listener[i].veto = false;
	}
	finish();
}

/* What starts and does not end is cancelled. */
static void cancel(void)
{
	struct cf_subscriber late = { .name = "late" };
	struct cf_offline operation = { { 0 } };
	struct cf_report report;

	if (!begin())
		return;
	CHECK_EQ(cf_block_offline_start(m.map, &operation, 0, 1024, NULL), 0);
	CHECK(heard_is("aG- bG- cG- "));
	/* Another one that meets it: told or not, it must fit together. */
	FAILS(CF_EBUSY, cf_block_offline(m.map, 0, 2048, 2, &report));
	CHECK(heard_is(""));
	FAILS(CF_EBUSY, cf_subscriber_remove(m.map, &listener[0].subscriber));
	/* It would hear of an end whose beginning it has not seen. */
	FAILS(CF_EBUSY, cf_subscriber_add(m.map, &late));
	CHECK_EQ(cf_block_offline_cancel(&operation), 0);
	CHECK(heard_is("cC- bC- aC- "));
	/* A port that fails to expose. */
	CHECK_EQ(cf_block_offline(m.map, 0, 1024, 2, NULL), 0);
	heard[0] = '\0';
	cf_host_fault_arm(&m.memory, CF_HOST_FIRST_EXPOSED, 1);
	FAILS(CF_EPORT, cf_block_online(m.map, 0, 1024, CF_ZONE_NORMAL, NULL));
	CHECK(heard_is("aG+ bG+ cG+ cC+ bC+ aC+ "));
	cf_host_fault_disarm(&m.memory);
	finish();
}

/* Steps tell nobody; an offlining that gives up does once. */
static void passes(void)
{
	if (!begin())
		return;
	CHECK_EQ(cf_alloc_range(m.map, 5, 6, kernel(0), NULL), 0);
	FAILS(CF_EBUSY, cf_block_offline(m.map, 0, 1024, 5, NULL));
	CHECK(heard_is("aG- bG- cG- cC- bC- aC- "));
	cf_put(m.map, 5);
	finish();
}

static void missing_hooks(void)
{
	struct cf_subscriber mute = { .name = "mute", .priority = 7 };

	if (!begin())
		return;
	CHECK_EQ(cf_subscriber_add(m.map, &mute), 0);
	listener[1].subscriber.done = NULL;
	listener[2].veto = true;
	FAILS(CF_EREFUSED, cf_block_offline(m.map, 0, 1024, 1, NULL));
	CHECK(heard_is("aG- bG- cG- bC- aC- "));
	listener[2].veto = false;
	CHECK_EQ(cf_block_offline(m.map, 0, 1024, 1, NULL), 0);
	CHECK(heard_is("aG- bG- cG- aD- cD- "));
	CHECK_EQ(cf_subscriber_remove(m.map, &mute), 0);
	finish();
}

static void add_and_remove(void)
{
	struct cf_subscriber nameless = { .priority = 1 };
	struct cf_subscriber first = { .name = "x", .priority = 1 };

	if (!begin())
		return;
	FAILS(CF_EINVAL, cf_subscriber_add(m.map, &nameless));
	FAILS(CF_EBUSY, cf_subscriber_add(m.map, &listener[0].subscriber));
	FAILS(CF_EBUSY, cf_subscriber_add(m.map, &listener[2].subscriber));
	FAILS(CF_EINVAL, cf_subscriber_remove(m.map, &first));
	CHECK_EQ(cf_subscriber_remove(m.map, &listener[1].subscriber), 0);
	FAILS(CF_EINVAL, cf_subscriber_remove(m.map,
					      &listener[1].subscriber));
	CHECK_EQ(cf_block_offline(m.map, 0, 1024, 1, NULL), 0);
	CHECK(heard_is("aG- cG- aD- cD- "));
	CHECK_EQ(cf_subscriber_add(m.map, &listener[1].subscriber), 0);
	CHECK_EQ(cf_block_online(m.map, 0, 1024, CF_ZONE_NORMAL, NULL), 0);
	CHECK(heard_is("aG+ bG+ cG+ aD+ bD+ cD+ "));
	finish();
}

int main(void)
{
	tap_run("all agree, by falling priority", all_agree);
	tap_run("each in turn says no", veto);
	tap_run("what does not end is cancelled", cancel);
	tap_run("passes tell nobody", passes);
	tap_run("hooks that are missing", missing_hooks);
	tap_run("adding and removing", add_and_remove);
	return tap_done();
}
