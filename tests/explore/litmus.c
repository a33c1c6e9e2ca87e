/* SPDX-License-Identifier: MIT */

/*
 * The explorer on programs whose outcomes are known: the classic litmus
 * programs, with each strength of order that matters.  Exactly the outcomes
 * the model allows must be seen.
 */

#include "engine.h"

#include <stdlib.h>
#include <string.h>

#define SEEN_MAX 64

static char seen[SEEN_MAX][16];
static unsigned seen_count;
static char seen_text[SEEN_MAX * 17];

void litmus_forget(void)
{
	seen_count = 0;
}

void litmus_note(const char *outcome)
{
	unsigned i;

	for (i = 0; i < seen_count; i++)
		if (strcmp(seen[i], outcome) == 0)
			return;
	if (seen_count == SEEN_MAX)
		abort();
	strncpy(seen[seen_count], outcome, 15);
	seen[seen_count++][15] = '\0';
}

static int compare(const void *left, const void *right)
{
	return strcmp(left, right);
}

const char *litmus_seen(void)
{
	unsigned i;

	qsort(seen, seen_count, sizeof(seen[0]), compare);
	seen_text[0] = '\0';
	for (i = 0; i < seen_count; i++) {
		if (i)
			strcat(seen_text, " ");
		strcat(seen_text, seen[i]);
	}
	return seen_text;
}

/* ---- the words all of them use ---- */

static struct litmus {
	cfi_u64 x, y, z;
	uint64_t plain;
	uint64_t r[EXPLORE_THREADS_MAX][4];	/* what each thread read */
} *w;

static void set_up(void)
{
	w = explore_memory(sizeof(*w));
	explore_name(&w->x, 8, "x", -1);
	explore_name(&w->y, 8, "y", -1);
	explore_name(&w->z, 8, "z", -1);
	explore_name(&w->plain, 8, "plain", -1);
}

static void outcome(unsigned count, const uint64_t *value)
{
	char text[16];
	unsigned i;

	for (i = 0; i < count; i++)
		text[i] = (char)('0' + value[i]);
	text[count] = '\0';
	explore_outcome(text);
}

#define READ(thread, index) (w->r[thread][index])

static void end_2(void)
{
	uint64_t value[] = { READ(0, 0), READ(1, 0) };

	outcome(2, value);
}

static void end_thread_1(void)
{
	outcome(2, w->r[1]);
}

#define PROGRAM(title, text, t0, t1, t2, last, results)			\
static const struct explore_program title = {				\
	.name = "litmus-" #title, .worry = text, .setup = set_up,	\
	.thread = { t0, t1, t2 }, .end = last, .outcomes = results,	\
	.quick = true,							\
};

/* ---- SB: store buffering ---- */

#define SB(name, store, load)						\
static void name##_0(void)						\
{									\
	store(&w->x, 1);						\
	READ(0, 0) = load(&w->y);					\
}									\
static void name##_1(void)						\
{									\
	store(&w->y, 1);						\
	READ(1, 0) = load(&w->x);					\
}

SB(sb_relaxed, cfi_store_relaxed, cfi_load_relaxed)
SB(sb_release, cfi_store_release, cfi_load_acquire)
SB(sb_seq_cst, cfi_store_seq_cst, cfi_load_seq_cst)
SB(sb_exchange, (void)cfi_swap_seq_cst, cfi_load_seq_cst)
SB(sb_half, cfi_store_seq_cst, cfi_load_acquire)
PROGRAM(sb_relaxed, "store buffering, relaxed", sb_relaxed_0, sb_relaxed_1,
	NULL, end_2, "00 01 10 11")
PROGRAM(sb_release, "store buffering, release and acquire", sb_release_0,
	sb_release_1, NULL, end_2, "00 01 10 11")
PROGRAM(sb_seq_cst, "store buffering, seq_cst", sb_seq_cst_0, sb_seq_cst_1,
	NULL, end_2, "01 10 11")
PROGRAM(sb_exchange, "store buffering, seq_cst exchanges", sb_exchange_0,
	sb_exchange_1, NULL, end_2, "01 10 11")
PROGRAM(sb_half, "store buffering, loads are only acquire", sb_half_0,
	sb_half_1, NULL, end_2, "00 01 10 11")

/* ---- MP: message passing ---- */

#define MP(name, store, load)						\
static void name##_0(void)						\
{									\
	cfi_store_relaxed(&w->x, 1);					\
	store(&w->y, 1);						\
}									\
static void name##_1(void)						\
{									\
	READ(1, 0) = load(&w->y);					\
	READ(1, 1) = cfi_load_relaxed(&w->x);				\
}

MP(mp_relaxed, cfi_store_relaxed, cfi_load_relaxed)
MP(mp_no_acquire, cfi_store_release, cfi_load_relaxed)
MP(mp_no_release, cfi_store_relaxed, cfi_load_acquire)
MP(mp_release, cfi_store_release, cfi_load_acquire)
PROGRAM(mp_relaxed, "message passing, relaxed", mp_relaxed_0, mp_relaxed_1,
	NULL, end_thread_1, "00 01 10 11")
PROGRAM(mp_no_acquire, "message passing, no acquire", mp_no_acquire_0,
	mp_no_acquire_1, NULL, end_thread_1, "00 01 10 11")
PROGRAM(mp_no_release, "message passing, no release", mp_no_release_0,
	mp_no_release_1, NULL, end_thread_1, "00 01 10 11")
PROGRAM(mp_release, "message passing, release and acquire", mp_release_0,
	mp_release_1, NULL, end_thread_1, "00 01 11")

/* A release sequence goes through read-modify-writes of others, only. */
static void mp_chain_1(void)
{
	(void)cfi_add_relaxed(&w->y, 1);
}

static void mp_chain_2(void)
{
	READ(1, 0) = cfi_load_acquire(&w->y);
	READ(1, 1) = cfi_load_relaxed(&w->x);
}

PROGRAM(mp_chain, "a release sequence through another's addition",
	mp_release_0, mp_chain_1, mp_chain_2, end_thread_1,
	"00 01 10 11 21")

/* ---- LB: load buffering ---- */

#define LB(name, load, store)						\
static void name##_0(void)						\
{									\
	READ(0, 0) = load(&w->x);					\
	store(&w->y, 1);						\
}									\
static void name##_1(void)						\
{									\
	READ(1, 0) = load(&w->y);					\
	store(&w->x, 1);						\
}

LB(lb_relaxed, cfi_load_relaxed, cfi_store_relaxed)
LB(lb_release, cfi_load_acquire, cfi_store_release)
LB(lb_acquire, cfi_load_acquire, cfi_store_relaxed)
PROGRAM(lb_relaxed, "load buffering, relaxed", lb_relaxed_0, lb_relaxed_1,
	NULL, end_2, "00 01 10 11")
PROGRAM(lb_release, "load buffering, acquire and release", lb_release_0,
	lb_release_1, NULL, end_2, "00 01 10")

PROGRAM(lb_acquire, "load buffering, nothing to acquire from", lb_acquire_0,
	lb_acquire_1, NULL, end_2, "00 01 10 11")

/* What is stored is what was read: no value comes out of thin air. */
static void lb_depends_0(void)
{
	READ(0, 0) = cfi_load_relaxed(&w->x);
	cfi_store_relaxed(&w->y, READ(0, 0));
}

static void lb_depends_1(void)
{
	READ(1, 0) = cfi_load_relaxed(&w->y);
	cfi_store_relaxed(&w->x, READ(1, 0) ? READ(1, 0) : 1);
}

static void lb_thin_air_1(void)
{
	READ(1, 0) = cfi_load_relaxed(&w->y);
	cfi_store_relaxed(&w->x, READ(1, 0));
}

PROGRAM(lb_thin_air, "load buffering, each store is what was read",
	lb_depends_0, lb_thin_air_1, NULL, end_2, "00")
PROGRAM(lb_depends, "load buffering, one store depends on its load",
	lb_depends_0, lb_depends_1, NULL, end_2, "00 10 11")

/* ---- CoRR: two loads of one word ---- */

static void corr_0(void)
{
	cfi_store_relaxed(&w->x, 1);
}

static void corr_1(void)
{
	READ(1, 0) = cfi_load_relaxed(&w->x);
	READ(1, 1) = cfi_load_relaxed(&w->x);
}

static void corr_2(void)
{
	cfi_store_relaxed(&w->x, 2);
}

PROGRAM(corr, "two loads of one word never go back", corr_0, corr_1, NULL,
	end_thread_1, "00 01 11")
PROGRAM(corr_2_stores, "two loads of one word, two stores", corr_0, corr_1,
	corr_2, end_thread_1, "00 01 02 11 12 21 22")

/* ---- WRC: write to read causality ---- */

#define WRC(name, load, store)						\
static void name##_1(void)						\
{									\
	READ(1, 0) = load(&w->x);					\
	store(&w->y, 1);						\
}									\
static void name##_2(void)						\
{									\
	READ(2, 0) = load(&w->y);					\
	READ(2, 1) = cfi_load_relaxed(&w->x);				\
}

static void end_wrc(void)
{
	uint64_t value[] = { READ(1, 0), READ(2, 0), READ(2, 1) };

	outcome(3, value);
}

WRC(wrc_relaxed, cfi_load_relaxed, cfi_store_relaxed)
WRC(wrc_release, cfi_load_acquire, cfi_store_release)
PROGRAM(wrc_relaxed, "write to read causality, relaxed", corr_0,
	wrc_relaxed_1, wrc_relaxed_2, end_wrc,
	"000 001 010 011 100 101 110 111")
PROGRAM(wrc_release, "write to read causality, release and acquire", corr_0,
	wrc_release_1, wrc_release_2, end_wrc, "000 001 010 011 100 101 111")

/* ---- 2+2W: two stores each, crossed ---- */

#define TWO_TWO(name, store)						\
static void name##_0(void)						\
{									\
	store(&w->x, 1);						\
	store(&w->y, 2);						\
}									\
static void name##_1(void)						\
{									\
	store(&w->y, 1);						\
	store(&w->x, 2);						\
}

static void end_words(void)
{
	uint64_t value[] = { w->x.v, w->y.v };

	outcome(2, value);
}

TWO_TWO(two_two_relaxed, cfi_store_relaxed)
TWO_TWO(two_two_release, cfi_store_release)
TWO_TWO(two_two_seq_cst, cfi_store_seq_cst)
PROGRAM(two_two_relaxed, "2+2W, relaxed", two_two_relaxed_0,
	two_two_relaxed_1, NULL, end_words, "11 12 21 22")
PROGRAM(two_two_release, "2+2W, release", two_two_release_0,
	two_two_release_1, NULL, end_words, "11 12 21 22")
PROGRAM(two_two_seq_cst, "2+2W, seq_cst", two_two_seq_cst_0,
	two_two_seq_cst_1, NULL, end_words, "12 21 22")

/* ---- IRIW: independent reads of independent writes ---- */

#define IRIW(iriw, store, load)						\
static void iriw##_0(void)						\
{									\
	store(&w->x, 1);						\
}									\
static void iriw##_1(void)						\
{									\
	store(&w->y, 1);						\
}									\
static void iriw##_2(void)						\
{									\
	READ(2, 0) = load(&w->x);					\
	READ(2, 1) = load(&w->y);					\
}									\
static void iriw##_3(void)						\
{									\
	READ(3, 0) = load(&w->y);					\
	READ(3, 1) = load(&w->x);					\
}									\
static const struct explore_program iriw = {				\
	.name = "litmus-" #iriw, .worry = "independent reads",		\
	.setup = set_up, .end = end_iriw, .quick = true,		\
	.thread = { iriw##_0, iriw##_1, iriw##_2, iriw##_3 },		\
	.outcomes = iriw##_outcomes,					\
};

static void end_iriw(void)
{
	uint64_t value[] = { READ(2, 0), READ(2, 1), READ(3, 0), READ(3, 1) };

	outcome(4, value);
}

#define ALL_BUT_1010							\
	"0000 0001 0010 0011 0100 0101 0110 0111 "			\
	"1000 1001 1011 1100 1101 1110 1111"
static const char iriw_relaxed_outcomes[] =
	"0000 0001 0010 0011 0100 0101 0110 0111 "
	"1000 1001 1010 1011 1100 1101 1110 1111";
static const char iriw_release_outcomes[] =
	"0000 0001 0010 0011 0100 0101 0110 0111 "
	"1000 1001 1010 1011 1100 1101 1110 1111";
static const char iriw_seq_cst_outcomes[] = ALL_BUT_1010;

IRIW(iriw_relaxed, cfi_store_relaxed, cfi_load_relaxed)
IRIW(iriw_release, cfi_store_release, cfi_load_acquire)
IRIW(iriw_seq_cst, cfi_store_seq_cst, cfi_load_seq_cst)

/* ---- read-modify-writes, exchanges, locks ---- */

static void add_0(void)
{
	READ(0, 0) = cfi_add_relaxed(&w->x, 1);
}

static void add_1(void)
{
	READ(1, 0) = cfi_add_relaxed(&w->x, 1);
}

static void add_2(void)
{
	READ(2, 0) = cfi_add_relaxed(&w->x, 1);
}

static void end_3(void)
{
	uint64_t value[] = { READ(0, 0), READ(1, 0), READ(2, 0) };

	outcome(3, value);
}

PROGRAM(additions, "three additions: each order, no value twice", add_0,
	add_1, add_2, end_3, "012 021 102 120 201 210")

static void cas_0(void)
{
	uint64_t old = 0;

	READ(0, 0) = cfi_cas_relaxed(&w->x, &old, 1);
}

static void cas_1(void)
{
	uint64_t old = 0;

	READ(1, 0) = cfi_cas_relaxed(&w->x, &old, 2);
}

PROGRAM(exchange, "of two exchanges exactly one happens", cas_0, cas_1, NULL,
	end_2, "01 10")

static const struct explore_site here = { __FILE__, "locked", __LINE__ };

static void lock_add(void)
{
	explore_lock(&w->z.v, &here);
	READ(explore_self(), 0) = w->plain;
	w->plain++;
	explore_store(&w->z.v, 0, EXPLORE_RELEASE, &here);
}

PROGRAM(lock, "under a lock nothing is lost", lock_add, lock_add, lock_add,
	end_3, "012 021 102 120 201 210")

/* ---- waiting ---- */

static void wait_for_x(void)
{
	while (cfi_load_acquire(&w->x) == 0)
		explore_wait();
	READ(1, 0) = w->plain;
}

static void write_then_x(void)
{
	w->plain = 1;
	cfi_store_release(&w->x, 1);
}

static void end_1(void)
{
	outcome(1, w->r[1]);
}

static void store_and_wait(void)
{
	uint64_t x, y;

	cfi_store_relaxed(&w->y, 7);
	for (;;) {
		x = cfi_load_relaxed(&w->x);
		y = cfi_load_relaxed(&w->y);
		if (x)
			break;
		explore_wait();
	}
	READ(1, 0) = y;
}

static void add_and_wake(void)
{
	(void)cfi_add_relaxed(&w->y, 1);
	cfi_store_relaxed(&w->x, 1);
}

PROGRAM(wait_beside, "a wait is not over because of a store it cannot read",
	add_and_wake, store_and_wait, NULL, end_1, "7 8")
PROGRAM(wait, "a wait ends when what it waits for is there", write_then_x,
	wait_for_x, NULL, end_1, "1")

/* ---- what must be found ---- */

#define MUST_FAIL(title, text, t0, t1, found, switches)			\
static const struct explore_program title = {				\
	.name = "finds-" #title, .worry = text, .setup = set_up,	\
	.thread = { t0, t1 }, .fails = found, .preemptions = switches,	\
	.quick = true,							\
};

static void race_1(void)
{
	if (cfi_load_relaxed(&w->x) == 1)
		READ(1, 0) = w->plain;
}

MUST_FAIL(race, "plain memory behind a relaxed load", write_then_x, race_1,
	  "data race: thread 1 reads plain", 0)

static void wait_for_ever(void)
{
	while (cfi_load_acquire(&w->x) != 2)
		explore_wait();
}

MUST_FAIL(deadlock, "a wait for what never comes", write_then_x,
	  wait_for_ever, "deadlock", 0)

static void lock_xz(void)
{
	explore_lock(&w->x.v, &here);
	explore_lock(&w->z.v, &here);
	explore_store(&w->z.v, 0, EXPLORE_RELEASE, &here);
	explore_store(&w->x.v, 0, EXPLORE_RELEASE, &here);
}

static void lock_zx(void)
{
	explore_lock(&w->z.v, &here);
	explore_lock(&w->x.v, &here);
	explore_store(&w->x.v, 0, EXPLORE_RELEASE, &here);
	explore_store(&w->z.v, 0, EXPLORE_RELEASE, &here);
}

MUST_FAIL(lock_order, "two locks in two orders", lock_xz, lock_zx, "deadlock",
	  1)

static void spin_both(void)
{
	for (;;)
		(void)cfi_add_relaxed(&w->x, 2);
}

MUST_FAIL(livelock, "a thread that runs on and on", spin_both, race_1,
	  "livelock", 0)

static void go_astray(void)
{
	uint64_t *none = (uint64_t *)(uintptr_t)cfi_load_relaxed(&w->x);

	*none = 1;
}

MUST_FAIL(crash, "a pointer read before it is written", write_then_x,
	  go_astray, "crash", 0)

/* Sleeps unless the flag is up; the waker looks before it wakes. */
static void sleeper(void)
{
	if (cfi_load_seq_cst(&w->x) == 0) {
		cfi_store_seq_cst(&w->y, 1);
		while (cfi_load_acquire(&w->z) == 0)
			explore_wait();
	}
}

static void waker(void)
{
	(void)cfi_swap_seq_cst(&w->x, 1);
	if (cfi_load_seq_cst(&w->y))
		cfi_store_release(&w->z, 1);
}

MUST_FAIL(lost_wakeup, "a sleeper that nobody wakes", sleeper, waker,
	  "deadlock", 1)

/* Other bytes of the same 8 do not hide a race. */
static void byte_0(void)
{
	((uint8_t *)&w->plain)[0] = 1;
}

static void byte_1(void)
{
	((uint8_t *)&w->plain)[1] = 1;
	READ(1, 0) = ((uint8_t *)&w->plain)[0];
}

MUST_FAIL(race_of_bytes, "a race behind a write of other bytes", byte_0, byte_1,
	  "data race", 0)

/* Each waits for what the other never does, and wakes it by its lock. */
static void poll_locked(void)
{
	uint64_t there = 0;

	while (!there) {
		explore_lock(&w->z.v, &here);
		there = w->plain;
		explore_store(&w->z.v, 0, EXPLORE_RELEASE, &here);
		if (!there)
			explore_wait();
	}
}

MUST_FAIL(pollers, "two that wake each other in vain", poll_locked, poll_locked,
	  "lock", 1)

static void add_plainly(void)
{
	uint64_t was = cfi_load_relaxed(&w->x);

	cfi_store_relaxed(&w->x, was + 1);
	(void)cfi_add_seq_cst(&w->y, 1);
	REQUIRE(cfi_load_seq_cst(&w->y) < 2 || cfi_load_relaxed(&w->x) == 2);
}

MUST_FAIL(lost_update, "an addition in two steps", add_plainly, add_plainly,
	  "w->x", 1)

const struct explore_program *const explore_litmus[] = {
	&sb_relaxed, &sb_release, &sb_seq_cst, &sb_exchange, &sb_half,
	&mp_relaxed, &mp_no_acquire, &mp_no_release, &mp_release, &mp_chain,
	&lb_relaxed, &lb_release, &lb_acquire, &lb_depends,
	&lb_thin_air, &corr, &corr_2_stores, &wrc_relaxed,
	&wrc_release, &two_two_relaxed, &two_two_release, &two_two_seq_cst,
	&iriw_relaxed, &iriw_release, &iriw_seq_cst,
	&additions, &exchange, &lock, &wait, &wait_beside,
	&race, &deadlock, &lock_order, &livelock, &crash, &race_of_bytes,
	&pollers, &lost_wakeup,
	&lost_update,
	NULL
};

/* ---- a program from the command line ---- */

/*
 * Threads apart by '|', accesses by ';', each a kind, a word, an order and
 * values: Lxa loads x, acquire; Syr1 stores 1; Axs1 adds 1; Cxb02 exchanges 0
 * for 2.  Orders: r relaxed, a acquire, l release, b acq_rel, s seq_cst.
 */
static const char *given[EXPLORE_THREADS_MAX];
static unsigned given_load[EXPLORE_THREADS_MAX];	/* of each thread */

static enum explore_order order_of(char letter)
{
	switch (letter) {
	case 'a':
		return EXPLORE_ACQUIRE;
	case 'l':
		return EXPLORE_RELEASE;
	case 'b':
		return EXPLORE_ACQ_REL;
	case 's':
		return EXPLORE_SEQ_CST;
	default:
		return EXPLORE_RELAXED;
	}
}

static uint64_t *word_of(char letter)
{
	return letter == 'x' ? &w->x.v : letter == 'y' ? &w->y.v : &w->z.v;
}

static const char *do_access(const char *at, uint64_t **read)
{
	static const struct explore_site site = { __FILE__, "given", 0 };
	uint64_t *word = word_of(at[1]);
	enum explore_order order = order_of(at[2]);
	uint64_t old;

	switch (at[0]) {
	case 'L':
		*(*read)++ = explore_load(word, order, &site);
		return at + 3;
	case 'S':
		explore_store(word, (uint64_t)(at[3] - '0'), order, &site);
		return at + 4;
	case 'A':
		*(*read)++ = explore_change(word, EXPLORE_ADD, 1, order, &site);
		return at + 4;
	default:
		old = (uint64_t)(at[3] - '0');
		(void)explore_cas(word, &old, (uint64_t)(at[4] - '0'), order,
				  &site);
		*(*read)++ = old;
		return at + 5;
	}
}

static void given_thread(void)
{
	const char *at = given[explore_self()];
	uint64_t *read = w->r[explore_self()];

	while (*at && *at != '|') {
		at = do_access(at, &read);
		at += *at == ';';
	}
}

static void end_given(void)
{
	char text[16];
	unsigned thread, i, length = 0;

	for (thread = 0; thread < EXPLORE_THREADS_MAX; thread++)
		for (i = 0; i < given_load[thread]; i++)
			text[length++] = (char)('0' + w->r[thread][i]);
	text[length++] = '.';
	text[length++] = (char)('0' + w->x.v);
	text[length++] = (char)('0' + w->y.v);
	text[length++] = (char)('0' + w->z.v);
	text[length] = '\0';
	explore_outcome(text);
}

/* One access; NULL: it is none. */
static const char *check_access(const char *at)
{
	unsigned values = at[0] == 'L' ? 0 : at[0] == 'C' ? 2 : 1;
	unsigned i;

	if (!at[0] || !strchr("LSAC", at[0]) || !at[1] ||
	    !strchr("xyz", at[1]) || !at[2] || !strchr("ralbs", at[2]))
		return NULL;
	for (i = 0; i < values; i++)
		if (at[3 + i] < '0' || at[3 + i] > '9')
			return NULL;
	return at + 3 + values;
}

static const char *check_thread(const char *at, unsigned thread)
{
	given[thread] = at;
	for (;;) {
		given_load[thread] += *at != 'S';
		at = check_access(at);
		if (!at || given_load[thread] > 3)
			return NULL;
		if (*at != ';')
			return at;
		at++;
	}
}

/* The program the text stands for, or NULL. */
const struct explore_program *litmus_parse(const char *text)
{
	static struct explore_program program = {
		.name = "given", .worry = "", .setup = set_up,
		.end = end_given,
	};
	unsigned thread;

	for (thread = 0; thread < EXPLORE_THREADS_MAX; thread++) {
		program.thread[thread] = given_thread;
		text = check_thread(text, thread);
		if (!text || (*text && *text != '|'))
			return NULL;
		if (!*text)
			return &program;
		text++;
	}
	return NULL;
}
