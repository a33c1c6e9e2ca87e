/* SPDX-License-Identifier: MIT */
/*
 * rawdev beside a model: who uses each part, by name and by number, which
 * frames are bad, and how far removal is.  Random calls, one context.
 */
#include "owners/rawdev.h"
#include "play.h"

#define PARTS_MAX	1024
#define USES_MAX	64
#define NAMES		4

static const char *const names[NAMES] = { "nvme", "nic", "gpu", "vmm" };

struct use {
	bool there, pinned;
	uint32_t part;
	const char *who;
};

struct part {
	uint32_t named, pins;	/* references with names; of these, pins */
	uint32_t refs;		/* all */
	uint32_t stray_pins;	/* pins by number */
	bool bad;		/* a frame is: it is used no more */
	uint64_t mark;
};

static struct {
	struct rawdev *device;
	struct rawdev_config config;
	void *storage;
	uint32_t parts, uses;
	struct part part[PARTS_MAX];
	struct use use[USES_MAX];
	bool closing, gone;
	uint64_t revoked, failures, forgotten;
	uint64_t told;		/* calls of revoke, or of failed */
	uint32_t told_part;	/* whose users failed may tell */
} w;

/* ---- who uses what ---- */

static struct use *find_use(uint32_t part, const char *who, bool pinned)
{
	struct use *use;

	for (use = w.use; use < w.use + USES_MAX; use++)
		if (use->there && use->part == part && use->pinned == pinned &&
		    !strcmp(use->who, who))
			return use;
	return NULL;
}

static uint32_t uses_of(uint32_t part)
{
	return w.part[part].named;
}

static void add_use(uint32_t part, const char *who, bool pinned)
{
	struct use *use = w.use;

	while (use->there)
		use++;
	*use = (struct use){ true, pinned, part, who };
	w.uses++;
	w.part[part].named++;
	w.part[part].pins += pinned;
	w.part[part].refs++;
}

static void remove_use(struct use *use)
{
	use->there = false;
	w.uses--;
	w.part[use->part].named--;
	w.part[use->part].pins -= use->pinned;
	w.part[use->part].refs--;
}

static bool any_used(void)
{
	uint32_t i;

	for (i = 0; i < w.parts; i++)
		if (w.part[i].refs)
			return true;
	return false;
}

/* A few parts are used often, all others now and then. */
static uint32_t draw_part(void)
{
	return draw_chance(80) ? draw(6) % w.parts : draw(w.parts);
}

/* ---- callbacks ---- */

static void revoke(void *context, const char *who, uint32_t part, bool pinned)
{
	REQUIRE(context == &w);
	REQUIRE(find_use(part, who, pinned));
	w.told++;
}

static void failed(void *context, const char *who, cf_pfn bad)
{
	uint32_t part = (uint32_t)((bad - w.config.first) >> w.config.order);

	REQUIRE(context == &w);
	REQUIRE_EQ(part, w.told_part);
	REQUIRE(find_use(part, who, false) || find_use(part, who, true));
	w.told++;
}

/* ---- begin, end, compare ---- */

static uint64_t mark_of(uint32_t part)
{
	return UINT64_C(0x5ca1ab1e) << 32 | part;
}

static void create(void)
{
	uint32_t i;

	REQUIRE_EQ(rawdev_create(m.map, &w.config, w.storage, &w.device), 0);
	w.parts = rawdev_parts(w.device);
	REQUIRE(w.parts <= PARTS_MAX);
	w.closing = w.gone = false;
	w.revoked = w.failures = w.forgotten = 0;
	for (i = 0; i < w.parts; i++) {
		w.part[i].mark = mark_of(i);
		if (!w.part[i].bad)
			play_stamp(rawdev_pfn(w.device, i), w.part[i].mark);
	}
}

static void begin(void)
{
	struct machine_config machine = {
		.blocks = 1, .absent = 2, .poison_max = 12,
	};

	memset(&w, 0, sizeof(w));
	REQUIRE(machine_make(machine));
	w.config = (struct rawdev_config){
		.pagemap = { .kind = draw(2) ? CF_PAGEMAP_P2P :
				     CF_PAGEMAP_GENERIC },
		.first = m.block, .last = 2 * m.block,
		.order = draw(10), .holds = draw(2) ? 5 : USES_MAX,
		.revoke = revoke, .failed = failed, .context = &w,
	};
	w.storage = play_room(rawdev_bytes(&w.config));
	create();
}

static void compare_part(uint32_t i)
{
	const struct part *part = &w.part[i];
	cf_pfn pfn = rawdev_pfn(w.device, i);
	struct cf_snapshot run;

	if (part->bad && !part->refs)
		return;
	REQUIRE(!cf_snapshot(m.map, pfn, &run));
	REQUIRE_EQ(run.type, CF_TYPE_DEVICE);
	REQUIRE_EQ(run.order, w.config.order);
	REQUIRE_EQ(run.owner, rawdev_owner(w.device));
	REQUIRE_EQ(run.refs, part->refs);
	REQUIRE_EQ(run.pins, part->pins + part->stray_pins);
	REQUIRE_EQ((run.flags & CF_FLAG_POISON) != 0, part->bad);
	REQUIRE_EQ((run.flags & CF_FLAG_CLOSED) != 0, w.closing);
	REQUIRE_EQ(play_mark(pfn), part->mark);
}

static void compare(void)
{
	struct rawdev_finding finding;
	struct rawdev_stat stat;
	uint32_t i, used = 0, bad = 0, pins = 0;

	for (i = 0; i < w.parts; i++) {
		if (!w.gone)
			compare_part(i);
		used += w.part[i].refs != 0;
		bad += w.part[i].bad && !w.part[i].refs;
		pins += w.part[i].pins;
	}
	rawdev_stat(w.device, &stat);
	REQUIRE_EQ(stat.used, used);
	REQUIRE_EQ(stat.bad, bad);
	REQUIRE_EQ(stat.held, 0);
	REQUIRE_EQ(stat.idle + stat.gone, w.parts - used - bad);
	REQUIRE(w.gone || stat.gone == 0);
	REQUIRE(!w.gone || stat.idle == 0);
	REQUIRE_EQ(stat.pins, pins);
	REQUIRE_EQ(stat.mappings, w.uses - pins);
	REQUIRE_EQ(stat.revoked, w.revoked);
	REQUIRE_EQ(stat.failures, w.failures);
	REQUIRE_EQ(stat.forgotten, w.forgotten);
	REQUIRE_EQ(stat.strangers, 0);
	REQUIRE(rawdev_verify(w.device, &finding));
	REQUIRE(machine_verify());
}

static void put_stray(uint32_t i)
{
	struct part *part = &w.part[i];
	cf_pfn pfn = rawdev_pfn(w.device, i);

	part->refs--;
	if (part->stray_pins) {
		part->stray_pins--;
		cf_unpin(m.map, pfn);
	} else {
		cf_put(m.map, pfn);
	}
}

static void leave(void)
{
	struct use *use;
	uint32_t i;

	for (use = w.use; use < w.use + USES_MAX; use++) {
		if (!use->there)
			continue;
		REQUIRE_EQ(use->pinned ?
			   rawdev_unpin(w.device, use->part, use->who) :
			   rawdev_unmap(w.device, use->part, use->who), 0);
		remove_use(use);
	}
	for (i = 0; i < w.parts; i++)
		while (w.part[i].refs)
			put_stray(i);
}

static void end(void)
{
	leave();
	compare();
	if (w.closing)
		REQUIRE_EQ(rawdev_remove_cancel(w.device), 0);
	w.closing = false;
	compare();
	REQUIRE_EQ(rawdev_destroy(w.device, NULL), 0);
	free(w.storage);
	REQUIRE(machine_end());
}

/* ---- calls ---- */

static uint32_t use_codes(uint32_t i)
{
	const struct part *part = &w.part[i];
	bool full = w.uses == w.config.holds;

	if (w.gone || (part->bad && !part->refs))
		return E(CF_EREFUSED);
	/* Which of the two is seen first nobody promises. */
	if (w.closing || part->bad)
		return full ? E(CF_EREFUSED) | E(CF_ELIMIT) : E(CF_EREFUSED);
	return full ? E(CF_ELIMIT) : OK;
}

static void call_use(void)
{
	bool wrong = draw_chance(2);
	uint32_t i = wrong ? w.parts + draw(2) : draw_part();
	const char *who = draw_chance(1) ? NULL : names[draw(NAMES)];
	bool pinned = draw(2);
	uint32_t codes = wrong || !who ? E(CF_EINVAL) : use_codes(i);
	int err = pinned ? rawdev_pin(w.device, i, who) :
		  rawdev_map(w.device, i, who);

	if (play_told(pinned ? "pin" : "map", err, codes, " part %u for %s", i,
		      who ? who : "nobody"))
		add_use(i, who, pinned);
}

static void call_end_use(void)
{
	uint32_t i = draw_part();
	const char *who = names[draw(NAMES)];
	struct use *use = &w.use[draw(USES_MAX)];
	bool pinned = draw(2);
	int err;

	/* One that is there, for the most part. */
	if (use->there && draw_chance(90)) {
		i = use->part;
		who = use->who;
		pinned = use->pinned;
	}
	use = find_use(i, who, pinned);
	err = pinned ? rawdev_unpin(w.device, i, who) :
	      rawdev_unmap(w.device, i, who);
	if (play_told(pinned ? "unpin" : "unmap", err, use ? OK : E(CF_EINVAL),
		      " part %u for %s", i, who))
		remove_use(use);
}

/* The put of a reference that has a name here, and is the only one. */
static void call_forget(void)
{
	struct use *use = &w.use[draw(USES_MAX)];

	if (!use->there || w.part[use->part].refs != 1)
		return;
	if (use->pinned)
		cf_unpin(m.map, rawdev_pfn(w.device, use->part));
	else
		cf_put(m.map, rawdev_pfn(w.device, use->part));
	(void)play_told("forget", 0, OK, " part %u for %s", use->part,
			use->who);
	remove_use(use);
	w.forgotten++;
}

static void call_stray(void)
{
	uint32_t i = draw_part();
	struct part *part = &w.part[i];
	bool pin = draw(2);
	uint32_t codes = part->refs && !w.closing ? OK : E(CF_EGONE);
	cf_pfn pfn = rawdev_pfn(w.device, i);
	int err = pin ? cf_pin(m.map, pfn) : cf_try_get(m.map, pfn);

	if (!play_told("stray", err, codes, " part %u", i))
		return;
	part->refs++;
	part->stray_pins += pin;
}

static void call_put_stray(void)
{
	uint32_t i = draw_part();

	if (w.part[i].refs == w.part[i].named)
		return;
	(void)play_told("put", 0, OK, " part %u", i);
	put_stray(i);
}

static uint32_t bad_frames(void)
{
	cf_pfn pfn;
	uint32_t count = 0;

	for (pfn = w.config.first; pfn < w.config.last; pfn++)
		count += cf_retire_state(m.map, pfn) != CF_RETIRE_NONE;
	return count;
}

static void call_retire(void)
{
	uint32_t i = draw_part();
	struct part *part = &w.part[i];
	cf_pfn pfn = rawdev_pfn(w.device, i) + draw(1u << w.config.order);
	bool known = cf_retire_state(m.map, pfn) != CF_RETIRE_NONE;
	enum cf_retire_state state = CF_RETIRE_NONE;
	uint32_t codes = OK;

	if (!known && bad_frames() == m.config.poison_max)
		codes = E(CF_ELIMIT);
	else if (!known && w.closing)
		codes = E(CF_EBUSY);
	w.told = 0;
	w.told_part = i;
	if (!play_told("retire", cf_retire(m.map, pfn, &state), codes,
		       " part %u, frame %#llx", i, (unsigned long long)pfn))
		return;
	if (w.gone) {
		REQUIRE_EQ(state, CF_RETIRE_PENDING);
		return;
	}
	REQUIRE_EQ(state, part->refs ? CF_RETIRE_PENDING : CF_RETIRE_DONE);
	REQUIRE_EQ(w.told, known ? 0 : uses_of(i));
	w.failures += w.told;
	part->bad = true;
}

static void call_start(void)
{
	uint32_t codes = w.gone ? E(CF_EGONE) : w.closing ? E(CF_EBUSY) : OK;

	w.told = 0;
	if (!play_told("start", rawdev_remove_start(w.device), codes, " "))
		return;
	REQUIRE_EQ(w.told, w.uses);
	w.revoked += w.told;
	w.closing = true;
}

static void check_report(const struct cf_report *report)
{
	uint32_t i = (uint32_t)((report->pfn - w.config.first) >>
				w.config.order);

	REQUIRE(i < w.parts);
	REQUIRE_EQ(report->pfn, rawdev_pfn(w.device, i));
	REQUIRE(w.part[i].refs);
	REQUIRE_EQ(report->refs, w.part[i].refs);
	REQUIRE_EQ(report->pins, w.part[i].pins + w.part[i].stray_pins);
	REQUIRE_EQ(report->owner, rawdev_owner(w.device));
	REQUIRE_EQ(report->detail != NULL, w.part[i].named != 0);
	REQUIRE(!report->detail || find_use(i, report->detail, false) ||
		find_use(i, report->detail, true));
}

static void call_step(void)
{
	uint32_t codes = !w.closing || w.gone ? E(CF_EINVAL) :
			 any_used() ? E(CF_EBUSY) : OK;
	struct cf_report report;
	int err = rawdev_remove_step(w.device, &report);

	if (play_told("step", err, codes, " ")) {
		w.gone = true;
		w.closing = false;
	} else if (err == -CF_EBUSY) {
		check_report(&report);
	}
}

static void call_cancel(void)
{
	uint32_t codes = w.closing ? OK : E(CF_EINVAL);

	if (play_told("cancel", rawdev_remove_cancel(w.device), codes, " "))
		w.closing = false;
}

/* Metadata of a range that comes again knows its bad frames. */
static void remember_bad(void)
{
	uint32_t i;
	cf_pfn pfn;

	memset(w.part, 0, sizeof(w.part));
	for (pfn = w.config.first; pfn < w.config.last; pfn++) {
		i = (uint32_t)((pfn - w.config.first) >> w.config.order);
		if (cf_retire_state(m.map, pfn) != CF_RETIRE_NONE)
			w.part[i].bad = true;
	}
}

/* It goes, if nobody uses it, and comes again. */
static void call_destroy(void)
{
	uint32_t codes = w.closing || any_used() ? E(CF_EBUSY) : OK;
	struct cf_report report;
	int err = rawdev_destroy(w.device, &report);

	if (!play_told("destroy", err, codes, " ")) {
		if (!w.closing)
			check_report(&report);
		return;
	}
	w.config.order = draw(10);
	remember_bad();
	free(w.storage);
	w.storage = play_room(rawdev_bytes(&w.config));
	create();
}

/* Everybody lets go. */
static void call_leave(void)
{
	(void)play_told("leave", 0, OK, " ");
	leave();
}

static void call(void)
{
	uint32_t turn = draw(100);

	if (w.closing && draw_chance(15))
		call_cancel();
	else if (turn < 31)
		call_use();
	else if (turn < 32)
		call_leave();
	else if (turn < 58)
		call_end_use();
	else if (turn < 66)
		call_stray();
	else if (turn < 74)
		call_put_stray();
	else if (turn < 78)
		call_forget();
	else if (turn < 83)
		call_retire();
	else if (turn < 86)
		call_start();
	else if (turn < 91)
		call_step();
	else if (turn < 97)
		call_cancel();
	else
		call_destroy();
}

int main(int argc, char **argv)
{
	static const char *const calls[] = {
		"map", "pin", "unmap", "unpin", "forget", "stray", "put",
		"leave", "retire", "start", "step", "cancel", "destroy", NULL,
	};
	static const struct play play = {
		"rawdev", begin, call, compare, end, calls,
	};

	return play_main(argc, argv, &play);
}
