/* SPDX-License-Identifier: MIT */

/*
 * The reference owners: a run that is given up against one that is handed
 * out, a conversion against references by name and by number, and its end
 * against its cancelling.
 */

#include "owners/guestmem.h"
#include "owners/hugepool.h"

#include "ground.h"

#define THREADS 3

static struct pools {
	struct hugepool *pool;
	struct guestmem *guest;
	struct guestmem_conversion conversion, other;
	unsigned refuse_close, refuse_open;	/* the firmware does, so often:
						 * one thread's each */
	cf_pfn pfn;			/* of the run or the page */
	int err[THREADS];
	cf_pfn taken[THREADS];
} *w;

/* Leaves of side tables. */
static void *take_meta(size_t bytes)
{
	return explore_memory(bytes);
}

static void set_up(void)
{
	ground_init((struct ground_config) { .blocks = 1 });
	explore_port_machine()->meta_alloc = take_meta;
	w = explore_memory(sizeof(*w));
	explore_name(w, sizeof(*w), "the test's own", -1);
}

/* ---- a pool of one run, and no memory for another ---- */

static void set_up_pool(void)
{
	const struct hugepool_config config = { .runs = 2 };
	uint32_t count;
	void *storage;

	set_up();
	storage = explore_memory(hugepool_bytes(ground_map, &config));
	explore_name(storage, hugepool_bytes(ground_map, &config), "pool", -1);
	MUST(hugepool_create(ground_map, &config, storage, &w->pool));
	MUST(hugepool_resize(w->pool, HUGEPOOL_2M, 0, 1, &count));
	MUST(hugepool_alloc(w->pool, HUGEPOOL_2M, 0, 0, &w->pfn));
	*ground_contents(w->pfn) = 1;
	(void)ground_alloc(CF_TYPE_KERNEL, 9, 0);
}

static void set_up_free(void)
{
	set_up_pool();
	cf_put(ground_map, w->pfn);
}

static void hand_out(void)
{
	unsigned self = explore_self();

	w->taken[self] = CF_PFN_NONE;
	w->err[self] = hugepool_alloc(w->pool, HUGEPOOL_2M, 0, 0,
				      &w->taken[self]);
	if (!w->err[self])
		*ground_contents(w->taken[self]) = 2;
}

/* One frame of the run is wanted: the pool is asked for all of it. */
static void want_frame(void)
{
	const struct cf_request request = { .type = CF_TYPE_KERNEL };

	w->err[1] = cf_alloc_range(ground_map, w->pfn, w->pfn + 1, request,
				   NULL);
	if (!w->err[1])
		*ground_contents(w->pfn) = 3;
}

static void end_dissolve(void)
{
	struct hugepool_finding finding;
	struct cf_snapshot run;

	REQUIRE((w->err[0] == 0) + (w->err[1] == 0) <= 1);
	REQUIRE(w->err[0] == 0 || w->err[0] == -CF_ENOMEM ||
		w->err[0] == -CF_EAGAIN);
	MUST(cf_snapshot(ground_map, w->pfn, &run));
	REQUIRE(run.refs == (w->err[0] == 0 || w->err[1] == 0));
	REQUIRE(run.owner == (w->err[1] ? hugepool_owner(w->pool) : 0));
	REQUIRE(hugepool_verify(w->pool, &finding));
	ground_verify();
}

static const struct explore_program dissolve_against_alloc = {
	.name = "pool-dissolve-against-alloc",
	.worry = "a run of a pool is given up for memory that goes, or handed "
		 "out, and never both (hugetlb pools and offlining, 2024)",
	.setup = set_up_free,
	.thread = { hand_out, want_frame },
	.end = end_dissolve,
};

/* ---- the only run is promised ---- */

static void set_up_reserved(void)
{
	set_up_free();
	MUST(hugepool_reserve(w->pool, HUGEPOOL_2M, 1));
}

static void use_promise(void)
{
	MUST(hugepool_alloc(w->pool, HUGEPOOL_2M, 0, HUGEPOOL_RESERVED,
			    &w->taken[0]));
	*ground_contents(w->taken[0]) = 2;
}

static void end_reserved(void)
{
	struct hugepool_finding finding;
	struct hugepool_stat stat;

	REQUIRE(w->err[1] == -CF_ENOMEM);
	MUST(hugepool_stat(w->pool, HUGEPOOL_2M, 0, &stat));
	REQUIRE(stat.free == 0 && stat.reserved == 0);
	REQUIRE(hugepool_verify(w->pool, &finding));
	ground_verify();
}

static const struct explore_program promise_against_alloc = {
	.name = "pool-promise-against-alloc",
	.worry = "what was reserved is there for who reserved it, whoever "
		 "comes when (hugetlb reservations)",
	.setup = set_up_reserved,
	.thread = { use_promise, hand_out },
	.end = end_reserved,
	.quick = true,
};

/* Reserved while others allocate: one gets it, and a promise holds. */
static void reserve_and_use(void)
{
	w->err[0] = hugepool_reserve(w->pool, HUGEPOOL_2M, 1);
	if (!w->err[0])
		use_promise();
}

static void end_either_has_it(void)
{
	struct hugepool_finding finding;

	REQUIRE(!w->err[0] != !w->err[1]);
	REQUIRE(w->err[0] == 0 || w->err[0] == -CF_ENOMEM);
	REQUIRE(hugepool_verify(w->pool, &finding));
	ground_verify();
}

static const struct explore_program reserve_against_alloc = {
	.name = "pool-reserve-against-alloc",
	.worry = "a run is promised or handed out, never both",
	.setup = set_up_free,
	.thread = { reserve_and_use, hand_out },
	.end = end_either_has_it,
	.quick = true,
};

/* Two that reserve all the surplus there may be. */
static void set_up_surplus(void)
{
	const struct hugepool_config config = { .runs = 2 };
	void *storage;

	set_up();
	storage = explore_memory(hugepool_bytes(ground_map, &config));
	explore_name(storage, hugepool_bytes(ground_map, &config), "pool", -1);
	MUST(hugepool_create(ground_map, &config, storage, &w->pool));
	hugepool_set_surplus(w->pool, HUGEPOOL_2M, 2);
	/* The side table has its leaf from here on. */
	MUST(hugepool_alloc(w->pool, HUGEPOOL_2M, 0, 0, &w->pfn));
	cf_put(ground_map, w->pfn);
}

static void reserve_all(void)
{
	w->err[explore_self()] = hugepool_reserve(w->pool, HUGEPOOL_2M, 2);
}

static void end_one_has_all(void)
{
	struct hugepool_finding finding;
	struct hugepool_stat stat;

	REQUIRE(!w->err[0] != !w->err[1]);
	REQUIRE(w->err[0] + w->err[1] == -CF_ENOMEM);
	MUST(hugepool_stat(w->pool, HUGEPOOL_2M, 0, &stat));
	REQUIRE(stat.reserved == 2 && stat.surplus == 2 && stat.total == 2);
	REQUIRE(hugepool_verify(w->pool, &finding));
	ground_verify();
}

static const struct explore_program reserve_against_reserve = {
	.name = "pool-reserve-against-reserve",
	.worry = "of two that reserve all the surplus there may be one gets "
		 "it: they do not refuse each other (hugetlb reservations)",
	.setup = set_up_surplus,
	.thread = { reserve_all, reserve_all },
	.end = end_one_has_all,
	.quick = true,
};

/* ---- the last put, and the next user ---- */

static void put_run(void)
{
	REQUIRE(*ground_contents(w->pfn) == 1);
	cf_put(ground_map, w->pfn);
}

static void look_by_number(void)
{
	uint64_t contents;

	if (cf_try_get(ground_map, w->pfn))
		return;
	contents = *ground_contents(w->pfn);
	REQUIRE(contents == 1);
	cf_put(ground_map, w->pfn);
}

static void end_put(void)
{
	struct hugepool_finding finding;
	struct hugepool_stat stat;

	MUST(hugepool_stat(w->pool, HUGEPOOL_2M, 0, &stat));
	REQUIRE(stat.total == 1 && stat.strangers == 0);
	REQUIRE(stat.free == (w->err[1] != 0));
	REQUIRE(w->err[1] == 0 || w->err[1] == -CF_ENOMEM);
	REQUIRE(hugepool_verify(w->pool, &finding));
	ground_verify();
}

static const struct explore_program put_against_alloc = {
	.name = "pool-put-against-alloc",
	.worry = "a run of a pool goes from its last put to the next user, "
		 "who sees all that the last one did (folio_owner_ops, 2024)",
	.setup = set_up_pool,
	.thread = { put_run, hand_out },
	.end = end_put,
};

/* ---- a guest of one page, or two ---- */

static int agree(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
	return 0;
}

static const struct guestmem_firmware firmware = {
	.make_private = agree,
	.make_shared = agree,
};

static void make_guest(uint64_t pages,
		       const struct guestmem_firmware *with)
{
	const struct guestmem_config config = {
		.pages = pages, .holds = 2, .firmware = with,
	};
	void *storage;

	set_up();
	storage = explore_memory(guestmem_bytes(ground_map, &config));
	explore_name(storage, guestmem_bytes(ground_map, &config), "guest",
		     -1);
	MUST(guestmem_create(ground_map, &config, storage, &w->guest));
	/* Not zeroed: contents of the explorer's frames are a word each. */
	MUST(guestmem_populate(w->guest, 0, pages));
	REQUIRE(guestmem_look(w->guest, 0, &w->pfn) == GUESTMEM_SHARED);
	*ground_contents(w->pfn) = 1;
}

static void set_up_guest(void)
{
	make_guest(1, &firmware);
}

/* Once it is private the guest writes it, and nobody else looks. */
static void convert(void)
{
	MUST(guestmem_convert_start(w->guest, &w->conversion, 0, 1));
	w->err[0] = guestmem_convert_step(&w->conversion, NULL);
	if (!w->err[0])
		*ground_contents(w->pfn) = 2;
}

static void get_by_name(void)
{
	cf_pfn pfn;

	w->err[1] = guestmem_get(w->guest, 0, "host", &pfn);
	if (w->err[1])
		return;
	REQUIRE(pfn == w->pfn && *ground_contents(pfn) == 1);
	MUST(guestmem_put(w->guest, 0, "host"));
}

static void end_convert(void)
{
	struct cf_snapshot run;
	cf_pfn pfn;

	REQUIRE(w->err[0] == 0 || w->err[0] == -CF_EAGAIN);
	/* All references are gone: it goes through now at the latest. */
	if (w->err[0])
		MUST(guestmem_convert_step(&w->conversion, NULL));
	REQUIRE(guestmem_look(w->guest, 0, &pfn) == GUESTMEM_PRIVATE);
	MUST(cf_snapshot(ground_map, pfn, &run));
	REQUIRE(pfn == w->pfn && run.refs == 0);
	REQUIRE(guestmem_verify(w->guest, &pfn));
	ground_verify();
}

static const struct explore_program convert_against_speculation = {
	.name = "guest-convert-against-try-get",
	.worry = "a page is private once nobody has a reference, also none by "
		 "number, and nobody gets one after that (guest_memfd, 2024)",
	.setup = set_up_guest,
	.thread = { convert, look_by_number },
	.end = end_convert,
	.quick = true,
};

static const struct explore_program convert_against_get = {
	.name = "guest-freeze-against-get",
	.worry = "a reference by name is refused, or waited for, when its page "
		 "is being frozen (guest_memfd, 2024)",
	.setup = set_up_guest,
	.thread = { convert, get_by_name },
	.end = end_convert,
};

/* As a dump or a save: a page without references is its guest's alone. */
static void dump_page(void)
{
	unsigned ticket = cf_content_begin(ground_map);
	struct cf_snapshot run;

	MUST(cf_snapshot(ground_map, w->pfn, &run));
	if (run.refs)
		REQUIRE(*ground_contents(w->pfn) == 1);
	cf_content_end(ground_map, ticket);
}

static const struct explore_program convert_against_dump = {
	.name = "guest-convert-against-dump",
	.worry = "who reads contents, as dump and save do, has passed before "
		 "a page is private, or sees that it is (guest_memfd, 2024)",
	.setup = set_up_guest,
	.thread = { convert, dump_page },
	.end = end_convert,
	.quick = true,
};

/* ---- cancelled while the last reference goes ---- */

static void set_up_converting(void)
{
	set_up_guest();
	MUST(cf_try_get(ground_map, w->pfn));
	MUST(guestmem_convert_start(w->guest, &w->conversion, 0, 1));
}

static void cancel(void)
{
	w->err[0] = guestmem_convert_cancel(&w->conversion);
	if (!w->err[0])
		REQUIRE(*ground_contents(w->pfn) == 1);
}

static void put_last(void)
{
	REQUIRE(*ground_contents(w->pfn) == 1);
	cf_put(ground_map, w->pfn);
}

static void end_cancel(void)
{
	struct guestmem_stat stat;
	struct cf_snapshot run;
	cf_pfn pfn;

	REQUIRE(w->err[0] == 0 || w->err[0] == -CF_EAGAIN);
	if (w->err[0])
		MUST(guestmem_convert_cancel(&w->conversion));
	MUST(cf_snapshot(ground_map, w->pfn, &run));
	REQUIRE(run.refs == 1 && run.owner == guestmem_owner(w->guest));
	REQUIRE(guestmem_look(w->guest, 0, &pfn) == GUESTMEM_SHARED);
	guestmem_stat(w->guest, &stat);
	REQUIRE(stat.stolen == 0 && stat.strangers == 0);
	REQUIRE(guestmem_verify(w->guest, &pfn));
	ground_verify();
}

static const struct explore_program cancel_against_put = {
	.name = "guest-cancel-against-put",
	.worry = "a conversion that is cancelled while the last reference goes "
		 "has its page back, with one reference (guest_memfd, 2024)",
	.setup = set_up_converting,
	.thread = { cancel, put_last },
	.end = end_cancel,
	.quick = true,
};

/* ---- cancelled twice, and converted again in between ---- */

static int close_or_not(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
	return w->refuse_close && --w->refuse_close == 0;
}

static int open_or_not(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
	return w->refuse_open && --w->refuse_open == 0;
}

static int copy_page(void *context, cf_pfn source, cf_pfn target,
		     unsigned order)
{
	(void)context;
	(void)order;
	*ground_contents(target) = *ground_contents(source);
	return 0;
}

/* The first page is private; the second was refused. */
static void set_up_half_way(void)
{
	static const struct guestmem_firmware unsure = {
		.make_private = close_or_not, .make_shared = open_or_not,
	};

	make_guest(2, &unsure);
	w->refuse_close = 2;
	MUST(guestmem_convert_start(w->guest, &w->conversion, 0, 2));
	REQUIRE(guestmem_convert_step(&w->conversion, NULL) == -CF_EPORT);
	w->refuse_open = 1;
}

static void cancel_twice(void)
{
	REQUIRE(guestmem_convert_cancel(&w->conversion) == -CF_EPORT);
	MUST(guestmem_convert_cancel(&w->conversion));
}

/* The second page, as soon as it is nobody's. */
static void convert_second(void)
{
	w->err[1] = guestmem_convert_start(w->guest, &w->other, 1, 2);
	if (!w->err[1])
		MUST(guestmem_convert_step(&w->other, NULL));
	else
		REQUIRE(w->err[1] == -CF_EBUSY);
}

static void end_half_way(void)
{
	cf_pfn pfn;

	REQUIRE(guestmem_look(w->guest, 0, &pfn) == GUESTMEM_SHARED);
	REQUIRE(guestmem_look(w->guest, 1, &pfn) ==
		(w->err[1] ? GUESTMEM_SHARED : GUESTMEM_PRIVATE));
	REQUIRE(!w->conversion.going && !w->other.going);
	REQUIRE(guestmem_verify(w->guest, &pfn));
	ground_verify();
}

static const struct explore_program cancel_against_start = {
	.name = "guest-cancel-against-start",
	.worry = "a conversion that is cancelled in several calls leaves alone "
		 "what is another conversion's by then",
	.setup = set_up_half_way,
	.thread = { cancel_twice, convert_second },
	.end = end_half_way,
	.quick = true,
};

/* ---- while the firmware moves a private page ---- */

static const struct guestmem_firmware movers = {
	.make_private = close_or_not, .make_shared = open_or_not,
	.move = copy_page,
};

/* The first page is private, and its conversion goes on. */
static void set_up_private_half(void)
{
	make_guest(2, &movers);
	w->refuse_close = 2;
	MUST(guestmem_convert_start(w->guest, &w->conversion, 0, 2));
	REQUIRE(guestmem_convert_step(&w->conversion, NULL) == -CF_EPORT);
}

static void cancel_once(void)
{
	w->err[0] = guestmem_convert_cancel(&w->conversion);
}

static void end_moved(void)
{
	struct cf_snapshot run;
	cf_pfn pfn;

	REQUIRE(w->err[0] == 0 || w->err[0] == -CF_EAGAIN);
	REQUIRE(w->conversion.going == (w->err[0] != 0));
	if (w->err[0])
		MUST(guestmem_convert_cancel(&w->conversion));
	REQUIRE(guestmem_look(w->guest, 0, &pfn) == GUESTMEM_SHARED);
	REQUIRE(w->err[1] || pfn != w->pfn);
	MUST(cf_snapshot(ground_map, pfn, &run));
	REQUIRE(run.refs == 1 && *ground_contents(pfn) == 1);
	REQUIRE(guestmem_verify(w->guest, &pfn));
	ground_verify();
}

static const struct explore_program cancel_against_dissolve = {
	.name = "guest-cancel-against-dissolve",
	.worry = "a conversion is cancelled when all its pages are shared, "
		 "also if the firmware was just moving one (guest_memfd, 2024)",
	.setup = set_up_private_half,
	.thread = { cancel_once, want_frame },
	.end = end_moved,
	.quick = true,
};

static void set_up_private(void)
{
	make_guest(1, &movers);
	MUST(guestmem_convert_start(w->guest, &w->conversion, 0, 1));
	MUST(guestmem_convert_step(&w->conversion, NULL));
}

static void share(void)
{
	uint64_t done;

	w->err[0] = guestmem_share(w->guest, 0, 1, &done);
	REQUIRE(done == !w->err[0]);
}

static void end_shared(void)
{
	uint64_t done;
	cf_pfn pfn;

	REQUIRE(w->err[0] == 0 || w->err[0] == -CF_EAGAIN);
	REQUIRE(guestmem_look(w->guest, 0, &pfn) ==
		(w->err[0] ? GUESTMEM_PRIVATE : GUESTMEM_SHARED));
	REQUIRE(w->err[1] || pfn != w->pfn);
	REQUIRE(*ground_contents(pfn) == 1);
	MUST(guestmem_share(w->guest, 0, 1, &done));
	REQUIRE(guestmem_verify(w->guest, &pfn));
	ground_verify();
}

static const struct explore_program share_against_dissolve = {
	.name = "guest-share-against-dissolve",
	.worry = "a page that the firmware is just moving is asked for again, "
		 "or shared where it is by then (guest_memfd, 2024)",
	.setup = set_up_private,
	.thread = { share, want_frame },
	.end = end_shared,
	.quick = true,
};

const struct explore_program *const explore_pools[] = {
	&dissolve_against_alloc, &promise_against_alloc,
	&reserve_against_alloc, &reserve_against_reserve, &put_against_alloc,
	&convert_against_speculation, &convert_against_get,
	&convert_against_dump,
	&cancel_against_put,
	&cancel_against_start, &cancel_against_dissolve,
	&share_against_dissolve,
	NULL
};
