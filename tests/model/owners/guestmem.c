/* SPDX-License-Identifier: MIT */
/*
 * guestmem beside a model: what each page is, who holds it, by name and by
 * number, what is in it, and which conversion it is of; blocks go and come
 * back, firmware refuses.  Random calls, one context.
 */
#include "owners/guestmem.h"
#include "owners/guestmem_state.h"
#include "play.h"

#define PAGES		24
#define NAMES		3
#define CONVERSIONS	3
#define LOOSE		16
#define NO_CONVERSION	CONVERSIONS
#define KEY		UINT64_C(0xa5a5000000000000)

static const char *const names[NAMES] = { "vhost", "vfio", "kvm" };

struct page {
	enum guestmem_state state;
	cf_pfn pfn;
	uint32_t named[NAMES];	/* references, by name */
	uint32_t stray, pins;	/* by number; of these, pins */
	unsigned of;		/* which conversion */
	uint64_t mark;
};

/* A run that was a page, and goes with its last put. */
struct loose {
	cf_pfn pfn;
	uint32_t refs, pins;
};

static struct {
	struct guestmem *guest;
	struct guestmem_config config;
	struct guestmem_firmware firmware;
	void *storage;
	struct page page[PAGES];
	struct guestmem_conversion conversion[CONVERSIONS];
	struct loose loose[LOOSE];
	unsigned refuse;	/* the firmware does, at this call of it */
	unsigned asked;		/* calls of it */
	bool carries;		/* it moves private pages */
	bool offline;		/* the block at gone */
	cf_pfn gone;
	uint64_t conversions, moved, moved_private, strangers, stolen;
	cf_pfn culprit;
	uint64_t marks;
	cf_pfn *full;
	size_t full_count;
} w;

static uint32_t frames(void)
{
	return 1u << w.config.order;
}

static uint32_t named_of(const struct page *page)
{
	uint32_t i, sum = 0;

	for (i = 0; i < NAMES; i++)
		sum += page->named[i];
	return sum;
}

static uint32_t all_named(void)
{
	uint32_t i, sum = 0;

	for (i = 0; i < PAGES; i++)
		sum += named_of(&w.page[i]);
	return sum;
}

/* Those of others; the guest's own comes to them while it is shared. */
static uint32_t others_of(const struct page *page)
{
	return named_of(page) + page->stray;
}

static uint32_t refs_of(const struct page *page)
{
	return others_of(page) + (page->state == GUESTMEM_SHARED);
}

static void stamp_page(struct page *page)
{
	uint32_t i;

	page->mark = ++w.marks << 16;
	for (i = 0; i < frames(); i++)
		play_stamp(page->pfn + i, page->mark + i);
}

static struct page *page_at(cf_pfn pfn)
{
	uint32_t i;

	for (i = 0; i < PAGES; i++)
		if (w.page[i].state != GUESTMEM_ABSENT &&
		    w.page[i].pfn == pfn)
			return &w.page[i];
	return NULL;
}

static void make_absent(struct page *page)
{
	*page = (struct page){
		.state = GUESTMEM_ABSENT, .pfn = CF_PFN_NONE,
		.of = NO_CONVERSION,
	};
}

/* ---- firmware ---- */

/* What is in a private page only the guest can read. */
static void turn_key(cf_pfn pfn)
{
	uint32_t i;

	for (i = 0; i < frames(); i++)
		play_stamp(pfn + i, play_mark(pfn + i) ^ KEY);
}

static bool refuses(void)
{
	w.asked++;
	return w.refuse && --w.refuse == 0;
}

static int make_private(void *context, cf_pfn pfn, unsigned order)
{
	struct page *page = page_at(pfn);

	REQUIRE(context == &w && order == w.config.order);
	REQUIRE(page && page->state == GUESTMEM_CONVERTING);
	REQUIRE_EQ(others_of(page), 0);
	if (refuses())
		return -1;
	turn_key(pfn);
	page->state = GUESTMEM_PRIVATE;
	w.conversions++;
	return 0;
}

static int make_shared(void *context, cf_pfn pfn, unsigned order)
{
	struct page *page = page_at(pfn);

	REQUIRE(context == &w && order == w.config.order);
	REQUIRE(page && page->state == GUESTMEM_PRIVATE);
	if (refuses())
		return -1;
	turn_key(pfn);
	page->state = GUESTMEM_SHARED;
	return 0;
}

static int carry(void *context, cf_pfn source, cf_pfn target, unsigned order)
{
	struct page *page = page_at(source);
	uint32_t i;

	REQUIRE(context == &w && order == w.config.order);
	REQUIRE(page && page->state == GUESTMEM_PRIVATE);
	if (refuses())
		return -1;
	for (i = 0; i < frames(); i++)
		play_stamp(target + i, play_mark(source + i));
	page->pfn = target;
	w.moved_private++;
	return 0;
}

/* ---- ranges of pages ---- */

struct range {
	uint32_t first, last;
};

static struct range draw_range(void)
{
	struct range range = { .first = draw(PAGES) };

	range.last = range.first + draw_chance(50) + draw(5);
	if (range.last > PAGES && !draw_chance(5))
		range.last = PAGES;
	return range;
}

static bool is_wrong(struct range range)
{
	return range.first >= range.last || range.last > PAGES;
}

static void populate(struct range range)
{
	uint32_t codes = is_wrong(range) ? E(CF_EINVAL) : OK;
	uint32_t i, j;
	cf_pfn pfn;
	int err;

	if (codes == OK && unused_frames() < m.block)
		codes |= E(CF_ENOMEM);
	err = guestmem_populate(w.guest, range.first, range.last);
	(void)play_told("populate", err, codes, " %u to %u", range.first,
			range.last);
	if (err == -CF_EINVAL)
		return;
	for (i = range.first; i < range.last; i++) {
		struct page *page = &w.page[i];

		if (page->state != GUESTMEM_ABSENT)
			continue;
		if (guestmem_look(w.guest, i, &pfn) == GUESTMEM_ABSENT) {
			/* Here it failed. */
			REQUIRE_EQ(err, -CF_ENOMEM);
			return;
		}
		page->state = GUESTMEM_SHARED;
		page->pfn = pfn;
		for (j = 0; j < frames(); j++)
			REQUIRE_EQ(play_mark(pfn + j), 0);
		stamp_page(page);
	}
	REQUIRE_EQ(err, 0);
}

/* ---- begin, end, compare ---- */

static void create(void)
{
	uint32_t i;

	REQUIRE_EQ(guestmem_create(m.map, &w.config, w.storage, &w.guest), 0);
	for (i = 0; i < PAGES; i++)
		make_absent(&w.page[i]);
	w.conversions = w.moved = w.moved_private = 0;
	w.strangers = w.stolen = 0;
	w.culprit = CF_PFN_NONE;
}

static void begin(void)
{
	struct machine_config machine = { .blocks = 4 };

	memset(&w, 0, sizeof(w));
	REQUIRE(machine_make(machine));
	w.carries = draw(2);
	w.firmware = (struct guestmem_firmware){
		.make_private = make_private, .make_shared = make_shared,
		.move = w.carries ? carry : NULL,
	};
	w.config = (struct guestmem_config){
		.pages = PAGES, .order = draw(2) ? 0 : draw(6),
		.holds = draw(2) ? 6 : 100, .node = CF_NODE_ANY,
		.firmware = &w.firmware, .context = &w,
	};
	w.storage = play_room(guestmem_bytes(m.map, &w.config));
	w.full = play_room(m.last * sizeof(cf_pfn));
	create();
	if (draw_chance(70))
		populate((struct range){ 0, PAGES });
}

/* Everybody who has a reference is found, and nobody else. */
static void compare_holders(uint64_t number)
{
	const struct page *page = &w.page[number];
	struct guestmem_holder holder[100];
	uint32_t named[NAMES] = { 0 };
	uint32_t stray = 0, i, j;
	size_t count = guestmem_holders(w.guest, number, number + 1, holder,
					100);

	REQUIRE(count <= 100);
	for (i = 0; i < count; i++) {
		REQUIRE_EQ(holder[i].page, number);
		REQUIRE_EQ(holder[i].pfn, page->pfn);
		REQUIRE_EQ(holder[i].pins, page->pins);
		for (j = 0; j < NAMES && holder[i].who; j++)
			if (!strcmp(holder[i].who, names[j]))
				named[j] += holder[i].refs;
		if (!holder[i].who)
			stray += holder[i].refs;
	}
	REQUIRE_EQ(stray, page->stray);
	for (j = 0; j < NAMES; j++)
		REQUIRE_EQ(named[j], page->named[j]);
}

static void compare_page(uint64_t number)
{
	const struct page *page = &w.page[number];
	uint64_t key = page->state == GUESTMEM_PRIVATE ? KEY : 0;
	struct cf_snapshot run;
	uint32_t i;
	cf_pfn pfn;

	REQUIRE_EQ(guestmem_look(w.guest, number, &pfn), page->state);
	REQUIRE_EQ(pfn, page->pfn);
	compare_holders(number);
	if (page->state == GUESTMEM_ABSENT)
		return;
	REQUIRE(!cf_snapshot(m.map, pfn, &run));
	REQUIRE_EQ(run.type, CF_TYPE_FOLIO);
	REQUIRE_EQ(run.order, w.config.order);
	REQUIRE_EQ(run.owner, guestmem_owner(w.guest));
	REQUIRE_EQ(run.refs, refs_of(page));
	REQUIRE_EQ(run.pins, page->pins);
	for (i = 0; i < frames(); i++)
		REQUIRE_EQ(play_mark(pfn + i), (page->mark + i) ^ key);
}

static void compare(void)
{
	uint64_t pages[GUESTMEM_STATES] = { 0 };
	struct guestmem_stat stat;
	bool busy = false;
	uint32_t i;
	cf_pfn pfn;

	for (i = 0; i < PAGES; i++) {
		compare_page(i);
		pages[w.page[i].state]++;
		busy |= w.page[i].of != NO_CONVERSION;
	}
	guestmem_stat(w.guest, &stat);
	for (i = 0; i < GUESTMEM_STATES; i++)
		REQUIRE_EQ(stat.pages[i], pages[i]);
	REQUIRE_EQ(stat.conversions, w.conversions);
	REQUIRE_EQ(stat.moved, w.moved);
	REQUIRE_EQ(stat.moved_private, w.moved_private);
	REQUIRE_EQ(stat.holds, all_named());
	REQUIRE_EQ(stat.strangers, w.strangers);
	REQUIRE_EQ(stat.stolen, w.stolen);
	REQUIRE_EQ(stat.culprit, w.culprit);
	REQUIRE_EQ(guestmem_is_busy(w.guest), busy);
	REQUIRE(guestmem_verify(w.guest, &pfn));
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

static void put_loose(struct loose *loose)
{
	loose->refs--;
	if (loose->pins) {
		loose->pins--;
		cf_unpin(m.map, loose->pfn);
	} else {
		cf_put(m.map, loose->pfn);
	}
}

static void put_stray(struct page *page)
{
	page->stray--;
	if (page->pins) {
		page->pins--;
		cf_unpin(m.map, page->pfn);
	} else {
		cf_put(m.map, page->pfn);
	}
}

/* Pages of a conversion that has come to its end are nobody's. */
static void end_conversion(unsigned number)
{
	uint32_t i;

	for (i = 0; i < PAGES; i++)
		if (w.page[i].of == number)
			w.page[i].of = NO_CONVERSION;
}

/* What cancelling leaves of the pages; those that firmware keeps stay. */
static void see_cancelled(unsigned number)
{
	uint32_t i;

	for (i = 0; i < PAGES; i++) {
		struct page *page = &w.page[i];

		if (page->of != number || page->state == GUESTMEM_PRIVATE)
			continue;
		page->state = GUESTMEM_SHARED;
		page->of = NO_CONVERSION;
	}
}

static void end(void)
{
	uint32_t i, j;

	w.refuse = 0;
	set_full(false);
	for (i = 0; i < LOOSE; i++)
		while (w.loose[i].refs)
			put_loose(&w.loose[i]);
	for (i = 0; i < PAGES; i++) {
		while (w.page[i].stray)
			put_stray(&w.page[i]);
		for (j = 0; j < NAMES; j++)
			for (; w.page[i].named[j]; w.page[i].named[j]--)
				REQUIRE_EQ(guestmem_put(w.guest, i, names[j]),
					   0);
	}
	for (i = 0; i < CONVERSIONS; i++) {
		if (!w.conversion[i].going)
			continue;
		REQUIRE_EQ(guestmem_convert_cancel(&w.conversion[i]), 0);
		see_cancelled(i);
	}
	compare();
	REQUIRE_EQ(guestmem_destroy(w.guest, NULL), 0);
	free(w.storage);
	free(w.full);
	if (w.offline)
		REQUIRE_EQ(cf_block_online(m.map, w.gone, w.gone + m.block,
					   CF_ZONE_NORMAL, NULL), 0);
	REQUIRE(machine_end());
}

/* ---- calls ---- */

/* Some page that is held, if there is one. */
static struct page *draw_held(void)
{
	uint32_t i, at = draw(PAGES);

	for (i = 0; i < PAGES; i++, at = (at + 1) % PAGES)
		if (others_of(&w.page[at]))
			break;
	return &w.page[at];
}

static void call_populate(void)
{
	populate(draw_range());
}

static struct loose *find_loose(void)
{
	uint32_t i;

	for (i = 0; i < LOOSE; i++)
		if (!w.loose[i].refs)
			return &w.loose[i];
	return NULL;
}

/* Why a page cannot be given up; the firmware aside. */
static uint32_t discard_code(const struct page *page)
{
	if (page->of != NO_CONVERSION || named_of(page))
		return E(CF_EBUSY);
	return OK;
}

static void call_discard(void)
{
	struct range range = draw_range();
	struct page was[PAGES];
	uint32_t codes, i, strays = 0;
	int err;

	if (draw_chance(30)) {
		range.first = (uint32_t)(draw_held() - w.page);
		range.last = range.first + 1;
	}
	codes = is_wrong(range) ? E(CF_EINVAL) : OK;
	for (i = range.first; i < range.last && i < PAGES && codes == OK; i++) {
		codes = discard_code(&w.page[i]);
		strays += w.page[i].stray != 0;
	}
	if (strays > 1 || (strays && !find_loose()))
		return;
	if (w.refuse && codes != E(CF_EINVAL))
		codes |= E(CF_EPORT);
	memcpy(was, w.page, sizeof(was));
	err = guestmem_discard(w.guest, range.first, range.last);
	(void)play_told("discard", err, codes, " %u to %u", range.first,
			range.last);
	if (err == -CF_EINVAL)
		return;
	for (i = range.first; i < range.last; i++) {
		if (guestmem_look(w.guest, i, NULL) != GUESTMEM_ABSENT)
			break;
		if (was[i].stray)
			*find_loose() = (struct loose){
				was[i].pfn, was[i].stray, was[i].pins,
			};
		make_absent(&w.page[i]);
	}
	/* All before the one that failed, and it as it was. */
	REQUIRE_EQ(i == range.last, err == 0);
}

static uint32_t get_codes(const struct page *page)
{
	switch (page->state) {
	case GUESTMEM_ABSENT:
		return E(CF_EGONE);
	case GUESTMEM_PRIVATE:
		return E(CF_EREFUSED);
	case GUESTMEM_CONVERTING:
		return E(CF_EAGAIN);
	default:
		return all_named() == w.config.holds ? E(CF_ELIMIT) : OK;
	}
}

static void call_get(void)
{
	bool wrong = draw_chance(3);
	uint32_t number = wrong ? PAGES : draw(PAGES), who = draw(NAMES);
	struct page *page = &w.page[number % PAGES];
	uint32_t codes = wrong ? E(CF_EINVAL) : get_codes(page);
	cf_pfn pfn;

	if (!play_told("get", guestmem_get(w.guest, number, names[who], &pfn),
		       codes, " %u for %s", number, names[who]))
		return;
	REQUIRE_EQ(pfn, page->pfn);
	page->named[who]++;
}

static void call_put(void)
{
	struct page *page = draw_held();
	uint32_t number = (uint32_t)(page - w.page), who = draw(NAMES);
	int err;

	if (page->stray && draw(2)) {
		(void)play_told("put", 0, OK, " %u, by number", number);
		put_stray(page);
		return;
	}
	err = guestmem_put(w.guest, number, names[who]);
	if (play_told("put", err, page->named[who] ? OK : E(CF_EINVAL),
		      " %u for %s", number, names[who]))
		page->named[who]--;
}

static void call_put_loose(void)
{
	uint32_t i, at = draw(LOOSE);
	struct loose *loose = &w.loose[at];

	for (i = 0; i < LOOSE && !loose->refs; i++)
		loose = &w.loose[(at + i) % LOOSE];
	if (!loose->refs)
		return;
	(void)play_told("put-loose", 0, OK, " %#llx",
			(unsigned long long)loose->pfn);
	put_loose(loose);
}

static void call_stray(void)
{
	struct page *page = draw(2) ? draw_held() : &w.page[draw(PAGES)];
	bool pin = draw_chance(30);
	int err;

	if (page->state == GUESTMEM_ABSENT)
		return;
	err = pin ? cf_pin(m.map, page->pfn) : cf_try_get(m.map, page->pfn);
	if (!play_told("stray", err, refs_of(page) ? OK : E(CF_EGONE),
		       " %u", (uint32_t)(page - w.page)))
		return;
	page->stray++;
	page->pins += pin;
}

/* Somebody puts the page's own reference, which was not his. */
static void call_steal(void)
{
	struct page *page = &w.page[draw(PAGES)];

	if (page->state != GUESTMEM_SHARED || others_of(page))
		return;
	(void)play_told("steal", 0, OK, " %u", (uint32_t)(page - w.page));
	cf_put(m.map, page->pfn);
	w.stolen++;
	w.culprit = page->pfn;
}

/* A run that is no page comes to the hook. */
static void call_stranger(void)
{
	struct cf_request request = folio(draw(3), 0);
	cf_pfn pfn;

	if (cf_alloc(m.map, request, &pfn))
		return;
	REQUIRE_EQ(cf_owner_change(m.map, pfn, guestmem_owner(w.guest)), 0);
	cf_put(m.map, pfn);
	(void)play_told("stranger", 0, OK, " %#llx", (unsigned long long)pfn);
	w.strangers++;
	w.culprit = pfn;
}

/* ---- conversions ---- */

static uint32_t start_codes(struct range range)
{
	uint32_t i;

	if (is_wrong(range))
		return E(CF_EINVAL);
	for (i = range.first; i < range.last; i++) {
		const struct page *page = &w.page[i];

		if (page->of != NO_CONVERSION)
			return E(CF_EBUSY);
		if (page->state == GUESTMEM_ABSENT)
			return E(CF_EGONE);
		if (page->state == GUESTMEM_PRIVATE)
			return E(CF_EREFUSED);
	}
	return OK;
}

static void call_start(void)
{
	unsigned number = draw(CONVERSIONS);
	struct guestmem_conversion *conversion = &w.conversion[number];
	struct range range = draw_range();
	uint32_t codes = conversion->going ? E(CF_EINVAL) :
			 start_codes(range);
	uint32_t i;

	if (!play_told("start", guestmem_convert_start(w.guest, conversion,
						       range.first,
						       range.last),
		       codes, " %u: %u to %u", number, range.first,
		       range.last))
		return;
	for (i = range.first; i < range.last; i++) {
		w.page[i].state = GUESTMEM_CONVERTING;
		w.page[i].of = number;
	}
}

/* The first page of it that somebody holds, or NULL. */
static struct page *waits_for(unsigned number)
{
	uint32_t i;

	for (i = 0; i < PAGES; i++)
		if (w.page[i].of == number && others_of(&w.page[i]))
			return &w.page[i];
	return NULL;
}

static uint64_t waiting(unsigned number)
{
	uint64_t count = 0;
	uint32_t i;

	for (i = 0; i < PAGES; i++)
		count += w.page[i].of == number &&
			 others_of(&w.page[i]) != 0;
	return count;
}

static void check_waiting(unsigned number, const struct cf_report *report)
{
	const struct page *page = waits_for(number);

	REQUIRE_EQ(report->pfn, page->pfn);
	REQUIRE_EQ(report->refs, refs_of(page));
	REQUIRE_EQ(report->pins, page->pins);
	REQUIRE_EQ(report->reason, CF_REASON_REFERENCED);
	REQUIRE_EQ(report->frames[CF_REASON_REFERENCED],
		   waiting(number) * frames());
	REQUIRE_EQ(w.conversion[number].waiting, waiting(number));
}

static void call_step(void)
{
	unsigned number = draw(CONVERSIONS), before = w.asked;
	struct guestmem_conversion *conversion = &w.conversion[number];
	struct cf_report report;
	uint32_t codes = OK;
	int err;

	if (!conversion->going || conversion->cancelling)
		codes = E(CF_EINVAL);
	else if (waits_for(number))
		codes = E(CF_EAGAIN);
	else if (w.refuse)
		codes |= E(CF_EPORT);
	err = guestmem_convert_step(conversion, &report);
	if (play_told("step", err, codes, " %u", number)) {
		REQUIRE(!conversion->going);
		REQUIRE_EQ(conversion->done,
			   conversion->last - conversion->first);
		end_conversion(number);
		return;
	}
	if (err == -CF_EAGAIN)
		check_waiting(number, &report);
	if (err == -CF_EPORT)
		REQUIRE_EQ(report.pfn,
			   w.page[conversion->first + conversion->done].pfn);
	else
		REQUIRE_EQ(w.asked, before);
}

static void call_cancel(void)
{
	unsigned number = draw(CONVERSIONS);
	struct guestmem_conversion *conversion = &w.conversion[number];
	uint32_t codes = OK;
	int err;

	if (!conversion->going)
		codes = E(CF_EINVAL);
	else if (w.refuse)
		codes |= E(CF_EPORT);
	err = guestmem_convert_cancel(conversion);
	(void)play_told("cancel", err, codes, " %u", number);
	if (err == -CF_EINVAL)
		return;
	REQUIRE_EQ(conversion->going, err != 0);
	see_cancelled(number);
}

/* What of the private pages does not become shared, the firmware aside. */
static uint32_t share_code(const struct page *page)
{
	if (page->of != NO_CONVERSION)
		return E(CF_EBUSY);
	return page->state == GUESTMEM_ABSENT ? E(CF_EGONE) : OK;
}

static void call_share(void)
{
	struct range range = draw_range();
	uint32_t codes = is_wrong(range) ? E(CF_EINVAL) : OK;
	uint32_t i, good = 0;
	uint64_t done = 0;
	int err;

	for (i = range.first; i < range.last && i < PAGES && codes == OK; i++) {
		codes = share_code(&w.page[i]);
		good += codes == OK;
	}
	if (w.refuse && codes != E(CF_EINVAL))
		codes |= E(CF_EPORT);
	err = guestmem_share(w.guest, range.first, range.last, &done);
	(void)play_told("share", err, codes, " %u to %u", range.first,
			range.last);
	if (err != -CF_EINVAL)
		REQUIRE(err == -CF_EPORT ? done < range.last - range.first :
			done == good);
}

/* ---- blocks ---- */

/* Does everything of the guest's in the block agree to move? */
static bool is_movable(cf_pfn first)
{
	uint32_t i;

	for (i = 0; i < LOOSE; i++)
		if (w.loose[i].refs && w.loose[i].pfn - first < m.block)
			return false;
	for (i = 0; i < PAGES; i++) {
		const struct page *page = &w.page[i];

		if (page->state == GUESTMEM_ABSENT ||
		    page->pfn - first >= m.block)
			continue;
		if (page->state == GUESTMEM_CONVERTING || others_of(page) ||
		    (page->state == GUESTMEM_PRIVATE && !w.carries))
			return false;
	}
	return true;
}

/* Shared pages may be elsewhere now; private ones say so themselves. */
static void see_moved(void)
{
	struct guestmem_stat stat;
	uint32_t i, seen = 0;
	cf_pfn pfn;

	for (i = 0; i < PAGES; i++) {
		struct page *page = &w.page[i];

		(void)guestmem_look(w.guest, i, &pfn);
		if (page->state != GUESTMEM_SHARED || pfn == page->pfn)
			continue;
		REQUIRE_EQ(others_of(page), 0);
		page->pfn = pfn;
		seen++;
	}
	guestmem_stat(w.guest, &stat);
	REQUIRE(stat.moved >= w.moved + seen);
	w.moved = stat.moved;
}

static void call_offline(void)
{
	cf_pfn first = draw((uint32_t)(m.last / m.block)) * m.block;
	uint32_t codes = OK;
	uint32_t i;
	int err;

	if (w.full_count || unused_frames() < 2 * m.block)
		return;
	if (!is_movable(first))
		codes = E(CF_EBUSY) | E(CF_EAGAIN);
	else if (w.refuse && w.carries)
		codes |= E(CF_EBUSY) | E(CF_EAGAIN);
	err = cf_block_offline(m.map, first, first + m.block, 3, NULL);
	see_moved();
	if (!play_told("offline", err, codes, " %#llx",
		       (unsigned long long)first))
		return;
	for (i = 0; i < PAGES; i++)
		REQUIRE(w.page[i].pfn - first >= m.block);
	w.offline = true;
	w.gone = first;
}

static void call_block(void)
{
	if (!w.offline) {
		call_offline();
		return;
	}
	(void)play_told("online", cf_block_online(m.map, w.gone,
						  w.gone + m.block,
						  CF_ZONE_NORMAL, NULL), OK,
			" %#llx", (unsigned long long)w.gone);
	w.offline = false;
}

/* ---- the end, and scarcity ---- */

static bool is_in_use(void)
{
	uint32_t i;

	for (i = 0; i < PAGES; i++)
		if (w.page[i].of != NO_CONVERSION || others_of(&w.page[i]))
			return true;
	return false;
}

static void call_destroy(void)
{
	uint32_t codes = is_in_use() ? E(CF_EBUSY) : OK;
	struct cf_report report;
	uint32_t i;
	int err;

	if (w.refuse && codes == OK)
		codes |= E(CF_EPORT);
	err = guestmem_destroy(w.guest, &report);
	if (play_told("destroy", err, codes, " ")) {
		create();
		return;
	}
	if (err == -CF_EBUSY)
		REQUIRE(page_at(report.pfn));
	for (i = 0; i < PAGES && err == -CF_EPORT; i++)
		if (guestmem_look(w.guest, i, NULL) == GUESTMEM_ABSENT)
			make_absent(&w.page[i]);
}

static void call_scarcity(void)
{
	if (draw(2)) {
		set_full(!w.full_count);
		(void)play_told("memory", 0, OK, " %s",
				w.full_count ? "is out" : "is there");
	} else {
		w.refuse = draw(5);
		(void)play_told("firmware", 0, OK, " refuses call %u",
				w.refuse);
	}
}

static void call(void)
{
	static const struct {
		unsigned share;
		void (*call)(void);
	} calls[] = {
		{ 10, call_populate }, { 5, call_discard }, { 11, call_get },
		{ 16, call_put }, { 3, call_put_loose }, { 5, call_stray },
		{ 2, call_steal }, { 2, call_stranger }, { 11, call_start },
		{ 13, call_step }, { 5, call_cancel }, { 5, call_share },
		{ 6, call_block }, { 1, call_destroy }, { 5, call_scarcity },
	};
	unsigned turn = draw(100), i = 0;

	while (turn >= calls[i].share)
		turn -= calls[i++].share;
	calls[i].call();
}

int main(int argc, char **argv)
{
	static const char *const calls[] = {
		"populate", "discard", "get", "put", "put-loose", "stray",
		"steal", "stranger", "start", "step", "cancel", "share",
		"offline", "online", "destroy", NULL,
	};
	static const struct play play = {
		"guestmem", begin, call, compare, end, calls,
	};

	return play_main(argc, argv, &play);
}
