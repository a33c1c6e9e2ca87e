/* SPDX-License-Identifier: MIT */

/*
 * Side tables: what owners keep beside frames, against blocks that go.
 */

#include "ground.h"

static struct {
	cf_pfn pfn;
	void *meta;		/* of the second block */
	struct cf_lock lock;	/* of leaves */
	struct cf_side side, second;
	bool ready;		/* set up: leaves are counted */
	uint64_t closed;	/* the table is about to end */
	char *leaf[4];		/* given out from the first up */
	uint64_t leaves, freed;
} *w;


#define ENTRY_BYTES 8

/* Memory for leaves comes dirty, and whoever gets it back makes it dirty. */
static void scribble(void *memory, size_t bytes)
{
	volatile uint64_t *word = memory;
	size_t i;

	/* Entries are plain; the first few are what is looked at. */
	for (i = 0; i < bytes / sizeof(*word) && i < 8; i++)
		word[i] = ~(uint64_t)0;
}

static void *take_leaf(size_t bytes)
{
	unsigned long state;
	void *leaf;

	if (!w->ready)
		return explore_memory(bytes);
	REQUIRE(bytes <= ENTRY_BYTES * GROUND_BLOCK);
	state = cf_lock(&w->lock);
	REQUIRE(w->leaves < 4);
	leaf = w->leaf[w->leaves++];
	cf_unlock(&w->lock, state);
	scribble(leaf, bytes);
	return leaf;
}

static void give_leaf(void *leaf, size_t bytes)
{
	unsigned long state;

	scribble(leaf, bytes);
	state = cf_lock(&w->lock);
	w->freed++;
	cf_unlock(&w->lock, state);
}

static void add_block(void)
{
	struct cf_block_config config = {
		.meta = CF_META_CALLER,
		.memory = w->meta,
	};

	MUST(cf_block_add(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK, &config));
}

/* A table, and a second block, offline. */
static void set_up_side(void)
{
	unsigned i;

	ground_init((struct ground_config) { .blocks = 2, .online = 1 });
	w = explore_memory(sizeof(*w));
	w->lock.rank = CF_RANK_LEAF;
	w->meta = ground_meta(1);
	for (i = 0; i < 4; i++) {
		w->leaf[i] = explore_memory(ENTRY_BYTES * GROUND_BLOCK);
		explore_name(w->leaf[i], ENTRY_BYTES * GROUND_BLOCK,
			     "side table leaf", i);
	}
	explore_port_machine()->meta_alloc = take_leaf;
	explore_port_machine()->meta_free = give_leaf;
	MUST(cf_side_add(ground_map, &w->side, ENTRY_BYTES));
	w->pfn = GROUND_BLOCK;
	add_block();
}

static void set_up_bare(void)
{
	set_up_side();
	w->ready = true;
}

static void set_up_leaf(void)
{
	uint64_t *entry;
	void *found;

	set_up_side();
	MUST(cf_side_extend(&w->side, w->pfn, &found));
	entry = found;
	*entry = 5;
	w->ready = true;
}

static void remove_block(void)
{
	MUST(cf_block_remove(ground_map, GROUND_BLOCK, 2 * GROUND_BLOCK));
}

static void find_entry(void)
{
	uint64_t *entry;

	cf_walk_begin(ground_map);
	entry = cf_side_find(&w->side, w->pfn);
	if (entry)
		REQUIRE(*entry == 5);
	cf_walk_end(ground_map);
}

static void nothing_found(void)
{
	REQUIRE(w->freed == 1);
	REQUIRE(cf_side_find(&w->side, w->pfn) == NULL);
	ground_verify();
}

static const struct explore_program side_find_against_removal = {
	.name = "side-find-against-removal",
	.worry = "what is kept beside frames stays as long as it is read",
	.setup = set_up_leaf,
	.thread = { remove_block, find_entry },
	.end = nothing_found,
	.quick = true,
};

static void remove_and_add(void)
{
	remove_block();
	add_block();
}

static const struct explore_program side_find_against_re_adding = {
	.name = "side-find-against-re-adding",
	.worry = "and is gone with the block: the next one there has none",
	.setup = set_up_leaf,
	.thread = { remove_and_add, find_entry },
	.end = nothing_found,
	.quick = true,
};

/* The entry lives for as long as the section; zero, or the other's 7. */
static void extend_and_read(void)
{
	void *found = NULL;
	uint64_t *entry;
	int err;

	cf_walk_begin(ground_map);
	err = cf_side_extend(&w->side, w->pfn + explore_self(), &found);
	entry = found;
	if (err)
		REQUIRE(err == -CF_EGONE);
	else
		REQUIRE(*entry == 0);
	if (!err)
		*entry = 7;
	cf_walk_end(ground_map);
}

static void no_leaf_lost(void)
{
	REQUIRE(w->leaves == w->freed);
	REQUIRE(cf_side_find(&w->side, w->pfn) == NULL);
	ground_verify();
}

static const struct explore_program side_extend_against_removal = {
	.name = "side-extend-against-removal",
	.worry = "an entry made while its block goes is not left behind",
	.setup = set_up_bare,
	.thread = { remove_block, extend_and_read },
	.end = no_leaf_lost,
	.quick = true,
};

/* By a number alone: what is found may have gone already. */
static void extend_outside(void)
{
	void *found;
	int err = cf_side_extend(&w->side, w->pfn, &found);

	REQUIRE(err == 0 || err == -CF_EGONE);
}

static const struct explore_program side_extend_by_number = {
	.name = "side-extend-by-number",
	.worry = "nor if who makes it has nothing that keeps the block",
	.setup = set_up_bare,
	.thread = { remove_block, extend_outside },
	.end = no_leaf_lost,
	.quick = true,
};

static void one_leaf_at_most(void)
{
	bool there = cf_side_find(&w->side, w->pfn) != NULL;

	REQUIRE(w->leaves == w->freed + there);
	ground_verify();
}

static const struct explore_program side_extend_against_re_adding = {
	.name = "side-extend-against-re-adding",
	.worry = "nor is it when another block comes there",
	.setup = set_up_bare,
	.thread = { remove_and_add, extend_and_read },
	.end = one_leaf_at_most,
	.quick = true,
};

/* Whichever leaf it is, an entry of it is zero until somebody writes it. */
static void find_any(void)
{
	uint64_t *entry;

	cf_walk_begin(ground_map);
	entry = cf_side_find(&w->side, w->pfn + 5);
	if (entry)
		REQUIRE(*entry == 0);
	cf_walk_end(ground_map);
}

static const struct explore_program side_users_against_re_adding = {
	.name = "side-users-against-re-adding",
	.worry = "nor do those that only look see another table's leftovers",
	.setup = set_up_bare,
	.thread = { remove_and_add, extend_and_read, find_any },
	.end = one_leaf_at_most,
};

static void one_leaf(void)
{
	REQUIRE(cf_side_find(&w->side, w->pfn) != NULL);
	REQUIRE(w->leaves == w->freed + 1);
	ground_verify();
}

static const struct explore_program two_side_extends = {
	.name = "two-side-extends",
	.worry = "of two that extend a table at once both get zeroed entries "
		 "of one leaf",
	.setup = set_up_bare,
	.thread = { extend_and_read, extend_and_read },
	.end = one_leaf,
	.quick = true,
};

/* A number handed on, with what its entry says. */
static void extend_and_hand_on(void)
{
	uint64_t *entry;
	void *found;
	cf_pfn pfn;

	pfn = ground_alloc(CF_TYPE_PGTABLE, 0, 0);
	MUST(cf_side_extend(&w->side, pfn, &found));
	entry = found;
	*entry = 5;
	cf_free_frozen(ground_map, pfn, 0);
	MUST(cf_alloc(ground_map, (struct cf_request) {
		.type = CF_TYPE_FOLIO }, &pfn));
}

static void get_and_find(void)
{
	uint64_t *entry;

	if (cf_try_get(ground_map, 0))
		return;
	entry = cf_side_find(&w->side, 0);
	REQUIRE(entry && *entry == 5);
	cf_put(ground_map, 0);
}

static const struct explore_program side_entry_with_reference = {
	.name = "side-entry-with-reference",
	.worry = "whoever gets a reference finds what its maker said beside",
	.setup = set_up_bare,
	.thread = { extend_and_hand_on, get_and_find },
	.end = ground_verify,
	.quick = true,
};

static void remove_table(void)
{
	explore_store(&w->closed, 1, EXPLORE_RELAXED, EXPLORE_SITE);
	cf_side_remove(ground_map, &w->side);
}

static void table_is_gone(void)
{
	REQUIRE(w->freed == 2);		/* leaf and directory */
	ground_verify();
}

static const struct explore_program side_removal_against_block = {
	.name = "side-removal-against-block",
	.worry = "a table and a block that go at once free one leaf once",
	.setup = set_up_leaf,
	.thread = { remove_table, remove_block },
	.end = table_is_gone,
	.quick = true,
};

/* Another table comes while a block, and its leaf in the first, goes. */
static void add_table(void)
{
	MUST(cf_side_add(ground_map, &w->second, ENTRY_BYTES));
}

static void both_know(void)
{
	void *found;

	REQUIRE(w->freed == 1);
	add_block();
	MUST(cf_side_extend(&w->second, w->pfn, &found));
	remove_block();
	REQUIRE(w->freed == 2);
	ground_verify();
}

static const struct explore_program side_add_against_removal = {
	.name = "side-add-against-removal",
	.worry = "a block that goes leaves every table, new ones too",
	.setup = set_up_leaf,
	.thread = { remove_block, add_table },
	.end = both_know,
	.quick = true,
};

static void find_while_open(void)
{
	uint64_t *entry;

	cf_walk_begin(ground_map);
	if (!explore_load(&w->closed, EXPLORE_RELAXED, EXPLORE_SITE)) {
		entry = cf_side_find(&w->side, w->pfn);
		REQUIRE(entry && *entry == 5);
	}
	cf_walk_end(ground_map);
}

static const struct explore_program side_find_against_end = {
	.name = "side-find-against-end",
	.worry = "a table stays for those who were inside when it was ended",
	.setup = set_up_leaf,
	.thread = { remove_table, find_while_open },
	.end = table_is_gone,
	.quick = true,
};

const struct explore_program *const explore_sides[] = {
	&side_find_against_removal, &side_find_against_re_adding,
	&side_extend_against_removal, &side_extend_against_re_adding,
	&side_extend_by_number, &side_users_against_re_adding,
	&two_side_extends, &side_add_against_removal,
	&side_entry_with_reference,
	&side_removal_against_block, &side_find_against_end, NULL
};
