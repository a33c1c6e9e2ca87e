/* SPDX-License-Identifier: MIT */
/*
 * A host takes frames away, and gives them back, while dumps are written:
 * what is gone has no access, so that a read of it ends the program, and
 * frames that are in a dump have what they had while they were there.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dump/write.h"
#include "tests/unit/machine.h"

#define BLOCKS	8
#define FIRST	((cf_pfn)2 * m.block)	/* what the host takes from */
#define LAST	((cf_pfn)6 * m.block)
#define DUMPS	12

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool stop;			/* under @lock */
static uint64_t taken, refused;
static uint32_t driver;
static char path[80];

static unsigned char *address(cf_pfn pfn)
{
	return m.memory.base + pfn * CF_FRAME_BYTES;
}

static bool goes_on(void)
{
	bool on;

	(void)pthread_mutex_lock(&lock);
	on = !stop;
	(void)pthread_mutex_unlock(&lock);
	return on;
}

/* Marks frames, waits for readers, and only then takes them. */
static void *host(void *unused)
{
	cf_pfn first, last;
	unsigned i = 0;

	(void)unused;
	while (goes_on()) {
		first = FIRST + i++ * 37 % (LAST - FIRST - 300);
		last = first + 1 + i % 300;
		if (cf_offline_alloc_range(m.map, driver, first, last, 0,
					   NULL)) {
			refused++;
			continue;
		}
		cf_content_sync(m.map);
		CHECK_EQ(mprotect(address(first), (last - first) *
				  CF_FRAME_BYTES, PROT_NONE), 0);
		taken++;
		(void)usleep(100);
		CHECK_EQ(mprotect(address(first), (last - first) *
				  CF_FRAME_BYTES, PROT_READ | PROT_WRITE), 0);
		CHECK_EQ(cf_offline_free_range(m.map, driver, first, last),
			 0);
	}
	return NULL;
}

/* Frames in use never move, and have what was written to them. */
static uint64_t wrong_frames(struct dump *dump, const cf_pfn *kept,
			     size_t count)
{
	static unsigned char frame[CF_FRAME_BYTES];
	struct dump_why why;
	uint64_t wrong = 0;
	size_t i;

	for (i = 0; i < count; i++)
		wrong += dump_read(dump, kept[i], frame, &why) != 1 ||
			 memcmp(frame, address(kept[i]), CF_FRAME_BYTES);
	return wrong;
}

static void one(unsigned number, const cf_pfn *kept, size_t count)
{
	const struct dump_options options = {
		.format = number & 1 ? DUMP_ELF : DUMP_KDUMP,
		.compress = COMPRESS_ZLIB, .level = 0, .threads = 2,
	};
	struct dump_why why = { "" };
	struct dump_result result;
	struct dump_source source;
	struct dump *dump;
	int err;

	if (!CHECK(!dump_source_live(&source, m.map, "test", 0, &why)))
		return;
	err = dump_write(&source, &options, path, &result, &why);
	dump_source_close(&source);
	if (!CHECK(!err) || !CHECK(!dump_open(path, &dump, &why))) {
		printf("# %s\n", why.text);
		return;
	}
	CHECK_EQ(dump_tally_present(&result.tally), BLOCKS * m.block);
	CHECK_EQ(dump->counts.lost, result.lost);
	CHECK_EQ(wrong_frames(dump, kept, count), 0);
	dump_close(dump);
}

static void race(void)
{
	struct machine_config config = {
		.blocks = BLOCKS, .cpus = 3, .block_order = 11,
	};
	static const struct cf_owner_ops ops = { .release = NULL };
	cf_pfn kept[200];
	pthread_t thread;
	unsigned i;

	if (!CHECK(machine_make(config)))
		return;
	CHECK_EQ(cf_owner_register(m.map, "host", &ops, NULL, &driver), 0);
	for (i = 0; i < 200; i++) {
		kept[i] = alloc(kernel(0));
		memset(address(kept[i]), (int)i + 1, CF_FRAME_BYTES);
	}
	CHECK_EQ(pthread_create(&thread, NULL, host, NULL), 0);
	for (i = 0; i < DUMPS; i++)
		one(i, kept, 200);
	(void)pthread_mutex_lock(&lock);
	stop = true;
	(void)pthread_mutex_unlock(&lock);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(taken > 0);
	printf("# taken %llu times, refused %llu times\n",
	       (unsigned long long)taken, (unsigned long long)refused);
	put_all(kept, 200);
	CHECK_EQ(cf_owner_unregister(m.map, driver, NULL), 0);
	CHECK(machine_end());
}

int main(void)
{
	(void)snprintf(path, sizeof(path), "%s/coldframe-dump-race-%ld",
		       access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm",
		       (long)getpid());
	tap_run("a host that takes frames away", race);
	(void)unlink(path);
	return tap_done();
}
