/* SPDX-License-Identifier: MIT */
/*
 * Checks that no call from outside can fail, only a defect of the engine
 * itself.  Each is made to fail once from the inside, in a child.
 */
#include "core/internal.h"
#include "tests/unit/machine.h"

/* The case at hand. */
static cf_pfn pfn;
static uint64_t word;

static struct cfi_block *block_of(cf_pfn at)
{
	return cfi_block_of(m.map, at);
}

static bool begin(void)
{
	return CHECK(machine_make((struct machine_config){ .blocks = 2 }));
}

static void mark_run(void)
{
	cfi_mark_run(m.map, pfn, word);
}

static void put_words(void)
{
	cfi_put_words(block_of(pfn), pfn, pfn + 4, word, 10);
}

/* What has a word gets no other. */
static void words_that_stand(void)
{
	if (!begin())
		return;
	pfn = alloc(kernel(2));
	word = snapshot(pfn).word;
	CHECK(panics(mark_run, pfn));
	CHECK(panics(put_words, pfn));
	cf_put(m.map, pfn);
	CHECK(machine_end());
}

static void free_cas(void)
{
	cfi_free_cas(m.map, block_of(pfn), pfn, word);
}

/* Another type, order, flag or count than the caller has left there. */
static void words_that_changed(void)
{
	const uint64_t may = WORD_OWNER_MASK |
			     word_with(0, CF_FLAG_POISON);
	unsigned bit;
	uint64_t was;

	if (!begin())
		return;
	pfn = alloc(with_flags(kernel(0), CF_ALLOC_FROZEN));
	was = snapshot(pfn).word;
	for (bit = 0; bit < 64; bit++) {
		word = was ^ (uint64_t)1 << bit;
		/* Of another order it looks for another word. */
		if ((word ^ was) & (may | WORD_ORDER_MASK))
			continue;
		CHECK(panics(free_cas, pfn));
	}
	cf_free_frozen(m.map, pfn, 0);
	CHECK(machine_end());
}

/* A poison mark and a new name for the owner may have come since. */
static void words_that_may_change(void)
{
	unsigned i;

	if (!begin())
		return;
	for (i = 0; i < 2; i++) {
		pfn = alloc(with_flags(kernel(0), CF_ALLOC_FROZEN));
		word = snapshot(pfn).word;
		word = i ? word_with(word, CF_FLAG_POISON) :
			   word_with_owner(word, CF_OWNER_ORPHAN);
		free_cas();
		CHECK(!is_head(pfn));
	}
	CHECK(machine_end());
}

static void open_again(void)
{
	unsigned long state = cfi_block_lock(block_of(0));

	cfi_chunk_open(block_of(0), 0);
	cfi_block_unlock(block_of(0), state);
}

static void give_again(void)
{
	unsigned long state = cfi_block_lock(block_of(0));

	(void)cfi_give(m.map, block_of(0), 0, 1024);
	cfi_block_unlock(block_of(0), state);
}

static void give_beside(void)
{
	struct cfi_block *block = block_of(m.block);
	unsigned long state = cfi_block_lock(block);

	(void)cfi_give(m.map, block, m.block + 512 + 16, m.block + 512 + 17);
	cfi_block_unlock(block, state);
}

static void give_to_a_full_chunk(void)
{
	unsigned long state = cfi_block_lock(block_of(0));

	block_of(0)->chunk[0].free = 512;
	(void)cfi_give(m.map, block_of(0), 8, 12);
	cfi_block_unlock(block_of(0), state);
}

static void drain_inside(void)
{
	cfi_store_relaxed(&m.map->cpu[cf_port_cpu()].busy, 1);
	cf_drain_cpu(m.map);
}

static void chunks(void)
{
	if (!begin())
		return;
	CHECK_EQ(cf_alloc_range(m.map, 0, 16, kernel(0), NULL), 0);
	CHECK(panics(open_again, 0));
	CHECK(panics(give_again, 0));
	CHECK(panics(give_to_a_full_chunk, 0));
	cf_free_range(m.map, 0, 16);
	/* The frames are named. */
	pfn = m.block + 512;
	CHECK_EQ(cf_alloc_range(m.map, pfn, pfn + 16, kernel(0), NULL), 0);
	CHECK(panics(give_beside, pfn + 16));
	cf_free_range(m.map, pfn, pfn + 16);
	CHECK(machine_end());
}

static void clear_words(void)
{
	unsigned long state = cfi_block_lock(block_of(pfn));

	cfi_clear_words(block_of(pfn), pfn, pfn + 2);
	cfi_block_unlock(block_of(pfn), state);
}

static void carve(void)
{
	unsigned long state = cfi_block_lock(block_of(pfn));

	cfi_carve(m.map, block_of(pfn), pfn + 1);
	cfi_block_unlock(block_of(pfn), state);
}

static void reword(void)
{
	unsigned long state = cfi_block_lock(block_of(pfn));

	(void)cfi_reword(m.map, block_of(pfn), pfn, word);
	cfi_block_unlock(block_of(pfn), state);
}

/* Words of uncounted runs. */
static void uncounted(void)
{
	if (!begin())
		return;
	pfn = alloc(kernel(1));
	CHECK(panics(carve, pfn + 1));
	cf_put(m.map, pfn);
	CHECK_EQ(cf_offline_alloc_range(m.map, CF_OWNER_NONE, 0, 2, 0, NULL),
		 0);
	/* A frame without a word, in a chunk that has words and in one that
	 * has none. */
	pfn = 100;
	CHECK(panics(clear_words, pfn));
	pfn = m.block + 512;
	CHECK(panics(clear_words, pfn));
	pfn = 0;
	word = word_with_order(snapshot(0).word, 2);
	CHECK(panics(reword, pfn));
	pfn = 100;
	word = word_with_order(snapshot(0).word, 0);
	CHECK(panics(reword, pfn));
	CHECK_EQ(cf_offline_free_range(m.map, CF_OWNER_NONE, 0, 2), 0);
	CHECK(machine_end());
}

static void end_unknown_range(void)
{
	struct cfi_range range = { .first = 0, .last = 512, .id = 77,
				   .isolated = true };
	unsigned long state = cf_lock(&m.map->hotplug);

	cfi_unisolate(m.map, &range);
	cf_unlock(&m.map->hotplug, state);
}

static void drop_side_early(void)
{
	unsigned long state = cf_lock(&m.map->hotplug);

	cfi_side_drop_block(m.map, 1);
	cf_unlock(&m.map->hotplug, state);
}

static struct cf_side side;

static void remove_unknown_side(void)
{
	cf_side_remove(m.map, &side);
}

/* Lists and caches that are not as who changes them believes. */
static void lists(void)
{
	if (!begin())
		return;
	CHECK(panics(drain_inside, cf_port_cpu()));
	CHECK(panics(end_unknown_range, 77));
	CHECK(panics(drop_side_early, 1));
	CHECK(panics(remove_unknown_side, (uintptr_t)&side));
	CHECK(machine_end());
}

static int say_moved(void *context, cf_pfn source, cf_pfn target,
		     unsigned order)
{
	(void)context;
	(void)source;
	(void)target;
	(void)order;
	return 0;
}

static void take_block_offline(void)
{
	(void)!cf_block_offline(m.map, 0, m.block, 1, NULL);
}

/* An owner that says it has moved a run and has not frozen the source. */
static void owners_that_lie(void)
{
	static const struct cf_owner_ops ops = { .migrate = say_moved };
	uint64_t left;
	uint32_t id;

	if (!begin())
		return;
	CHECK_EQ(cf_owner_register(m.map, "liar", &ops, NULL, &id), 0);
	pfn = 8;
	CHECK_EQ(cf_alloc_range(m.map, pfn, pfn + 1, folio(0, id), NULL), 0);
	CHECK(panics(take_block_offline, pfn));
	cf_put(m.map, pfn);
	CHECK_EQ(cf_owner_unregister(m.map, id, &left), 0);
	CHECK(machine_end());
}

static unsigned ticket;

static void end_reading(void)
{
	cf_content_end(m.map, ticket);
}

/* A ticket is 0 or 1, and somebody reads with it. */
static void tickets(void)
{
	unsigned turn;

	if (!begin())
		return;
	for (turn = 0; turn < 2; turn++) {
		for (ticket = 0; ticket <= 2; ticket++)
			CHECK(panics(end_reading, ticket));
		/* The next ones read with the other ticket. */
		cf_content_sync(m.map);
	}
	CHECK(machine_end());
}

static void free_half(void)
{
	cf_free_range(m.map, pfn, pfn + 2);
}

static void free_free(void)
{
	cf_free_range(m.map, pfn + 4, pfn + 8);
}

static void ranges(void)
{
	if (!begin())
		return;
	pfn = alloc(kernel(2));
	CHECK(panics(free_half, pfn));
	cf_put(m.map, pfn);
	CHECK_EQ(cf_drain(m.map), 0);
	CHECK(panics(free_free, pfn + 4));
	CHECK(machine_end());
}

int main(void)
{
	tap_run("a word that stands is not written over", words_that_stand);
	tap_run("a frozen word that changed is not freed", words_that_changed);
	tap_run("but for a poison mark and its owner", words_that_may_change);
	tap_run("chunks are opened once and hold 512 frames", chunks);
	tap_run("uncounted words are there, and uncounted", uncounted);
	tap_run("lists hold what they lose", lists);
	tap_run("owners that have not moved what they say", owners_that_lie);
	tap_run("content tickets are somebody's", tickets);
	tap_run("freed ranges are made of runs", ranges);
	return tap_done();
}
