/* SPDX-License-Identifier: MIT */
/*
 * Calls that meet another one half way: they wait for it instead of saying
 * what is true for a moment only.
 */
#include "core/internal.h"
#include "tests/unit/machine.h"

/* The linker sends the engine's calls here: --wrap. */
void __real_cfi_chunk_open(struct cfi_block *block, unsigned chunk);
void __wrap_cfi_chunk_open(struct cfi_block *block, unsigned chunk);
void __real_cf_port_read_unlock(void);
void __wrap_cf_port_read_unlock(void);
void __real_cf_port_relax(unsigned spins);
void __wrap_cf_port_relax(unsigned spins);

/* Set: a context that opens a chunk, or ends a refill, begins it once. */
static _Thread_local void (*at_open)(void *unused);
static _Thread_local void (*at_unlock)(void *unused);

/* The other context has 20 ms to come to where it has to wait. */
static void begin_once(void (**act)(void *unused))
{
	void (*once)(void *unused) = *act;

	*act = NULL;
	if (once)
		background_begin(once, NULL);
}

void __wrap_cfi_chunk_open(struct cfi_block *block, unsigned chunk)
{
	begin_once(&at_open);
	__real_cfi_chunk_open(block, chunk);
}

void __wrap_cf_port_read_unlock(void)
{
	__real_cf_port_read_unlock();
	begin_once(&at_unlock);
}

/* A context that waits gives the one it waits for time to go on. */
static _Thread_local bool is_patient;

void __wrap_cf_port_relax(unsigned spins)
{
	if (is_patient) {
		rest();
		rest();
	}
	is_patient = false;
	__real_cf_port_relax(spins);
}

/* Cut a chunk that is one OFFLINE run in two while @look looks at it. */
static void cut_while(void (*look)(void *unused))
{
	if (!CHECK(machine_make((struct machine_config){ 0 })))
		return;
	CHECK_EQ(cf_offline_alloc_range(m.map, CF_OWNER_NONE, 0, 512, 0, NULL),
		 0);
	at_open = look;
	CHECK_EQ(cf_offline_free_range(m.map, CF_OWNER_NONE, 500, 512), 0);
	if (CHECK(at_open == NULL))
		background_end();
	at_open = NULL;
	CHECK_EQ(cf_offline_free_range(m.map, CF_OWNER_NONE, 0, 500), 0);
	CHECK(machine_end());
}

static void take_snapshot(void *unused)
{
	struct cf_snapshot run = { .type = CF_TYPE_NONE };

	(void)unused;
	CHECK_EQ(cf_snapshot(m.map, 0, &run), 0);
	CHECK_EQ(run.type, CF_TYPE_OFFLINE);
}

static void snapshot_of_a_cut(void)
{
	cut_while(take_snapshot);
}

#define KPF_OFFLINE	23	/* the bit of /proc/kpageflags */

static void export_flags(void *unused)
{
	static uint64_t flags[500];
	unsigned offline = 0;
	unsigned i;

	(void)unused;
	cf_export_flags(m.map, 0, 500, flags);
	for (i = 0; i < 500; i++)
		offline += flags[i] >> KPF_OFFLINE & 1;
	CHECK_EQ(offline, 500);
}

static void export_of_a_cut(void)
{
	cut_while(export_flags);
}

/* The only free frames are in the hands of a context that refills. */
static int other_code;
static cf_pfn other_frame;

static void alloc_one(void *unused)
{
	(void)unused;
	is_patient = true;
	other_code = cf_alloc(m.map, kernel(0), &other_frame);
}

static void alloc_during_refill(void)
{
	cf_pfn large[15];
	cf_pfn small;
	unsigned i;

	if (!CHECK(machine_make((struct machine_config){ 0 })))
		return;
	for (i = 0; i < 15; i++)
		large[i] = alloc(kernel(6));
	other_code = -CF_ENOMEM;
	at_unlock = alloc_one;
	small = alloc(kernel(0));
	if (CHECK(at_unlock == NULL))
		background_end();
	at_unlock = NULL;
	if (CHECK_EQ(other_code, 0))
		cf_put(m.map, other_frame);
	cf_put(m.map, small);
	put_all(large, 15);
	CHECK(machine_end());
}

int main(void)
{
	tap_run("a snapshot waits for a run that is being cut",
		snapshot_of_a_cut);
	tap_run("so does the export of its frames", export_of_a_cut);
	tap_run("an allocation finds what another's refill has in hand",
		alloc_during_refill);
	return tap_done();
}
