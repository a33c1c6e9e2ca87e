/* SPDX-License-Identifier: MIT */

/*
 * The drivers, built natively, against QEMU's own devices.  QEMU's RAM and
 * the memory of its virtio-mem are mapped where the map of this process has
 * its frames, so what is plugged here is what QEMU plugs, and what it takes
 * away is gone.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/virtio/qemu.h"
#include "tests/virtio/scene.h"

#define RAM_BYTES	(256 * MIB)
#define MEM_BYTES	(512 * MIB)
#define MEM_FIRST	((cf_pfn)1 << 20)	/* at 4 GiB, as q35 does */
#define MEM_LAST	(MEM_FIRST + (MEM_BYTES >> CF_FRAME_SHIFT))

static struct qemu_device device[2];
static char mem_file[160];

static bool map_file(const char *path, cf_pfn first, uint64_t bytes)
{
	int fd = open(path, O_RDWR);
	void *at = MAP_FAILED;

	if (fd >= 0)
		at = mmap(s.memory.base + first * CF_FRAME_BYTES, bytes,
			  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			  0);
	close(fd);
	return CHECK(at != MAP_FAILED);
}

/* QEMU's view of the device, in bytes. */
static uint64_t qemu_size(void)
{
	return qemu_number(qemu_ask("{\"execute\":\"qom-get\",\"arguments\":{"
				    "\"path\":\"/machine/peripheral/vmem0\","
				    "\"property\":\"size\"}}"), "return");
}

static void qemu_request(uint64_t bytes)
{
	CHECK(qemu_ask("{\"execute\":\"qom-set\",\"arguments\":{"
		       "\"path\":\"/machine/peripheral/vmem0\",\"property\":"
		       "\"requested-size\",\"value\":%llu}}",
		       (unsigned long long)bytes) != NULL);
}

static uint64_t mem_blocks(void)
{
	struct stat status;

	return stat(mem_file, &status) ? 0 : (uint64_t)status.st_blocks * 512;
}

/* The first MiB, which on a PC is not all memory. */
static cf_pfn low;

static bool take_low(void)
{
	struct cf_request request = {
		.order = 8,
		.type = CF_TYPE_KERNEL,
		.flags = CF_ALLOC_FROZEN,
	};

	return CHECK_EQ(cf_alloc(s.map, request, &low), 0) &&
	       CHECK_EQ(low, 0);
}

static bool make_machine(void)
{
	struct cf_host_config host = { .last = MEM_LAST };
	struct cf_map_config map = { .cpus = 1, .no_caches = true };
	struct cf_block_config block = { .meta = CF_META_PORT };

	memset(&s, 0, sizeof(s));
	s.block = (cf_pfn)1 << CF_BLOCK_ORDER_MAX;
	s.boot_last = RAM_BYTES >> CF_FRAME_SHIFT;
	s.region_first = MEM_FIRST;
	s.region_last = MEM_LAST;
	/* Two blocks: the first is NORMAL, the second may go. */
	return CHECK_EQ(cf_host_memory_create(&host, &s.memory), 0) &&
	       CHECK_EQ(cf_host_map_create(&s.memory, &map, &s.map), 0) &&
	       CHECK_EQ(cf_block_add(s.map, 0, s.boot_last, &block), 0) &&
	       CHECK_EQ(cf_block_online(s.map, 0, s.block, CF_ZONE_NORMAL,
					NULL), 0) &&
	       CHECK_EQ(cf_block_online(s.map, s.block, s.boot_last,
					CF_ZONE_MOVABLE, NULL), 0);
}

static bool begin_with(const char *options)
{
	char backend[256], mem[256];
	const char *words[] = {
		"-object", backend, "-device", mem,
		"-object", "iothread,id=io0",
		"-device", "virtio-balloon-pci,id=bal0,deflate-on-oom=on,"
			   "free-page-reporting=on,free-page-hint=on,"
			   "iothread=io0",
		NULL,
	};
	const char *ram;

	if (!make_machine() || !take_low())
		return false;
	/* The folder is made by qemu_start(): QEMU makes the file. */
	snprintf(mem_file, sizeof(mem_file), "/dev/shm/coldframe-vmem-%d",
		 (int)getpid());
	snprintf(backend, sizeof(backend), "memory-backend-file,id=vm0,size="
		 "512M,mem-path=%s,share=on", mem_file);
	snprintf(mem, sizeof(mem), "virtio-mem-pci,id=vmem0,memdev=vm0,"
		 "requested-size=0%s", options);
	if (!CHECK(qemu_start(words, RAM_BYTES, &ram)) ||
	    !map_file(ram, 0, RAM_BYTES) ||
	    !map_file(mem_file, MEM_FIRST, MEM_BYTES))
		return false;
	return CHECK(qemu_find(0x1058, 0xe0000000, &device[0])) &&
	       CHECK(qemu_find(0x1002, 0xe0010000, &device[1]));
}

static bool begin(void)
{
	return begin_with("");
}

static bool end(void)
{
	cf_pfn at;

	data_drop(SCENE_FOLIOS);
	if (s.data.owner)
		CHECK_EQ(cf_owner_unregister(s.map, s.data.owner, NULL), 0);
	while (s.shares)
		cf_free_frozen(s.map, s.shared[--s.shares], 5);
	cf_free_frozen(s.map, low, 8);
	CHECK(scene_verify());
	qemu_stop();
	unlink(mem_file);
	for (at = 0; at < s.boot_last; at += s.block)
		CHECK_EQ(cf_block_offline(s.map, at, at + s.block, 16, NULL),
			 0);
	CHECK_EQ(cf_block_remove(s.map, 0, s.boot_last), 0);
	CHECK_EQ(cf_host_map_destroy(s.map), 0);
	cf_host_memory_destroy(&s.memory);
	return true;
}

static bool open_mem(void)
{
	struct cf_vmem_config config = {
		.map = s.map,
		.ops = &cf_virtio_pci_ops,
		.transport = &s.bus[0].pci,
		.first = MEM_FIRST,
	};

	s.bus[0].access = qemu_access(&device[0]);
	if (!CHECK_EQ(cf_virtio_pci_probe(&s.bus[0].pci, &s.bus[0].access),
		      0) ||
	    !CHECK(scene_share(cf_vmem_shared_bytes(), &config.shared)) ||
	    !CHECK_EQ(cf_vmem_open(&s.vmem, &config), 0))
		return false;
	s.storage = realloc(s.storage, cf_vmem_bytes(&s.vmem));
	return CHECK_EQ(cf_vmem_start(&s.vmem, s.storage), 0);
}

/* QEMU looks at its queues when it comes to it. */
static void mem_work(void)
{
	unsigned tries;

	for (tries = 0; tries < 5000; tries++) {
		scene_mem_work();
		if (!scene_mem_status().waiting)
			return;
		usleep(200);
	}
}

static bool resize(uint64_t bytes)
{
	struct cf_vmem_status status;

	qemu_request(bytes);
	mem_work();
	status = scene_mem_status();
	return CHECK_EQ(status.broken, CF_VIRTIO_FINE) &&
	       CHECK_EQ(status.plugged, bytes) && CHECK_EQ(qemu_size(), bytes);
}

static void mem_follows(void)
{
	enum cf_vmem_state state = CF_VMEM_MIXED;
	uint64_t full;

	if (!CHECK(begin() && open_mem()))
		return;
	CHECK_EQ(scene_mem_status().device_block, 2 * MIB);
	CHECK(resize(320 * MIB));
	CHECK(data_add(12000, 0) && data_add(30, 9));
	CHECK(data_check());
	full = mem_blocks();
	CHECK(full > 40 * MIB);
	CHECK_EQ(cf_vmem_ask(&s.vmem, MEM_FIRST, MEM_FIRST + 1024), 0);
	mem_work();
	CHECK_EQ(cf_vmem_answer(&s.vmem, &state), 0);
	CHECK_EQ(state, CF_VMEM_PLUGGED);
	CHECK(resize(64 * MIB));
	CHECK(data_check());
	CHECK(mem_blocks() <= 64 * MIB);
	CHECK(resize(66 * MIB));
	CHECK(resize(512 * MIB));
	CHECK(data_check());
	CHECK(resize(0));
	CHECK(data_check());
	CHECK_EQ(mem_blocks(), 0);
	CHECK_EQ(cf_vmem_remove(&s.vmem, false), 0);
	free(s.storage);
	s.storage = NULL;
	CHECK(end());
}

/* What a driver that was forced out left behind: somebody else takes it. */
static void adopt_and_remove(cf_pfn block)
{
	static const struct cf_owner_ops no_ops;
	cf_pfn at = block, last = block + s.block;
	struct cf_span span;
	uint32_t heir;

	CHECK_EQ(cf_owner_register(s.map, "heir", &no_ops, NULL, &heir), 0);
	CHECK_EQ(cf_block_adopt(s.map, block, last, heir), 0);
	cf_walk_begin(s.map);
	while (cf_walk_next(s.map, &at, last, &span)) {
		if (span.kind != CF_SPAN_RUN || span.type != CF_TYPE_OFFLINE)
			continue;
		CHECK_EQ(cf_offline_adopt_range(s.map, heir, span.first,
						span.last), 0);
		CHECK_EQ(cf_offline_set_skippable(s.map, heir, span.first,
						  span.last, true), 0);
	}
	cf_walk_end(s.map);
	CHECK_EQ(cf_block_offline(s.map, block, last, 8, NULL), 0);
	CHECK_EQ(cf_block_remove(s.map, block, last), 0);
	CHECK_EQ(cf_owner_unregister(s.map, heir, NULL), 0);
}

/* A second life of the driver begins by unplugging what the first left. */
static void mem_again(void)
{
	cf_pfn at;

	if (!CHECK(begin() && open_mem()))
		return;
	CHECK(resize(130 * MIB));
	CHECK_EQ(cf_vmem_remove(&s.vmem, true), 0);
	CHECK_EQ(qemu_size(), 130 * MIB);
	/* Whole blocks can go; the partly plugged one is adopted first. */
	at = MEM_FIRST + s.block;
	CHECK_EQ(cf_block_offline(s.map, MEM_FIRST, at, 8, NULL), 0);
	CHECK_EQ(cf_block_remove(s.map, MEM_FIRST, at), 0);
	CHECK_EQ(cf_block_offline(s.map, at, at + s.block, 8, NULL),
		 -CF_EBUSY);
	CHECK(scene_verify());
	free(s.storage);
	s.storage = NULL;
	adopt_and_remove(at);
	if (CHECK(open_mem())) {
		mem_work();
		CHECK_EQ(scene_mem_status().plugged, 130 * MIB);
		CHECK(resize(0));
		CHECK_EQ(cf_vmem_remove(&s.vmem, false), 0);
	}
	free(s.storage);
	s.storage = NULL;
	CHECK(end());
}

/* Device blocks of other sizes; those of 128 MiB and more are big blocks. */
static void mem_sizes(void)
{
	static const struct {
		const char *option;
		uint64_t block;
		bool big;
	} sizes[] = {
		{ ",block-size=1M", 1 * MIB, false },
		{ ",block-size=8M", 8 * MIB, false },
		{ ",block-size=128M", 128 * MIB, true },
		{ ",block-size=256M", 256 * MIB, true },
		{ ",unplugged-inaccessible=on", 2 * MIB, false },
	};
	unsigned i;

	for (i = 0; i < 5; i++) {
		if (!CHECK(begin_with(sizes[i].option) && open_mem()))
			return;
		CHECK_EQ(scene_mem_status().device_block, sizes[i].block);
		CHECK_EQ(scene_mem_status().big_blocks, sizes[i].big);
		CHECK(resize(512 * MIB));
		CHECK(data_add(5000, 0) && data_check());
		CHECK(resize(256 * MIB));
		CHECK(data_check());
		data_drop(5000);
		CHECK(resize(0));
		CHECK_EQ(mem_blocks(), 0);
		CHECK_EQ(cf_vmem_remove(&s.vmem, false), 0);
		free(s.storage);
		s.storage = NULL;
		CHECK(end());
	}
}

/* While the machine is copied elsewhere, it takes nothing back. */
static void mem_busy(void)
{
	if (!CHECK(begin() && open_mem()))
		return;
	CHECK(resize(128 * MIB));
	CHECK(qemu_ask("{\"execute\":\"migrate-set-parameters\","
		       "\"arguments\":{\"max-bandwidth\":4096}}") != NULL);
	CHECK(qemu_ask("{\"execute\":\"migrate\",\"arguments\":{\"uri\":"
		       "\"exec:cat >/dev/null\"}}") != NULL);
	qemu_request(0);
	mem_work();
	CHECK_EQ(scene_mem_status().plugged, 128 * MIB);
	CHECK_EQ(scene_mem_status().phase, CF_VMEM_BACKING_OFF);
	CHECK(scene_mem_status().busies > 0);
	CHECK(qemu_ask("{\"execute\":\"migrate_cancel\"}") != NULL);
	for (unsigned tries = 0; tries < 100; tries++) {
		s.now += 100000;
		mem_work();
		if (scene_mem_status().plugged == 0)
			break;
		usleep(10000);
	}
	CHECK_EQ(scene_mem_status().plugged, 0);
	CHECK_EQ(qemu_size(), 0);
	CHECK_EQ(cf_vmem_remove(&s.vmem, false), 0);
	free(s.storage);
	s.storage = NULL;
	CHECK(end());
}

/* Somebody presses the reset button: the device forgets, the driver sees. */
static void mem_reset(void)
{
	int err;

	if (!CHECK(begin() && open_mem()))
		return;
	CHECK(resize(64 * MIB));
	CHECK(qemu_ask("{\"execute\":\"system_reset\"}") != NULL);
	for (unsigned tries = 0; tries < 100 && qemu_size(); tries++)
		usleep(10000);
	CHECK_EQ(qemu_size(), 0);
	mem_work();
	CHECK_EQ(scene_mem_status().phase, CF_VMEM_BROKEN);
	CHECK(scene_mem_status().broken == CF_VIRTIO_BROKEN_STATUS ||
	      scene_mem_status().broken == CF_VIRTIO_BROKEN_NEEDS_RESET);
	/* Its BAR may be gone as well: then it does not reset. */
	err = cf_vmem_remove(&s.vmem, true);
	CHECK(err == 0 || err == -CF_EPORT);
	free(s.storage);
	s.storage = NULL;
	adopt_and_remove(MEM_FIRST);
	CHECK(end());
}

static uint64_t qemu_actual(void)
{
	return qemu_number(qemu_ask("{\"execute\":\"query-balloon\"}"),
			   "actual");
}

static void balloon_work(void)
{
	unsigned tries;

	for (tries = 0; tries < 5000; tries++) {
		scene_balloon_until(1);
		if (!scene_balloon_status().waiting)
			return;
		usleep(200);
	}
}

static void balloon_to(uint64_t frames)
{
	CHECK(qemu_ask("{\"execute\":\"balloon\",\"arguments\":{\"value\":"
		       "%llu}}", (unsigned long long)
		       (RAM_BYTES - (frames << CF_FRAME_SHIFT))) != NULL);
	balloon_work();
	CHECK_EQ(scene_balloon_status().broken, CF_VIRTIO_FINE);
	CHECK_EQ(scene_balloon_status().held, frames);
	CHECK_EQ(qemu_actual(), RAM_BYTES - (frames << CF_FRAME_SHIFT));
}

static bool open_balloon(void)
{
	struct cf_balloon_config config = {
		.map = s.map,
		.ops = &cf_virtio_pci_ops,
		.transport = &s.bus[1].pci,
	};

	s.bus[1].access = qemu_access(&device[1]);
	s.reported = calloc(1, cf_balloon_reported_bytes(s.map));
	config.reported = s.reported;
	return CHECK_EQ(cf_virtio_pci_probe(&s.bus[1].pci, &s.bus[1].access),
			0) &&
	       CHECK(scene_share(cf_balloon_shared_bytes(),
				 &config.shared)) &&
	       CHECK_EQ(cf_balloon_open(&s.balloon, &config), 0);
}

/* Every frame the driver holds reads as zero: QEMU has taken it. */
static bool held_is_gone(void)
{
	cf_pfn at = 0;
	struct cf_span span;
	bool ok = true;

	cf_walk_begin(s.map);
	while (ok && cf_walk_next(s.map, &at, s.boot_last, &span))
		if (span.kind == CF_SPAN_RUN && span.type == CF_TYPE_OFFLINE)
			ok = s.memory.base[span.first * CF_FRAME_BYTES] == 0;
	cf_walk_end(s.map);
	return ok;
}

static void balloon_follows(void)
{
	cf_pfn pfn;

	if (!CHECK(begin() && open_balloon()))
		return;
	/* Not where the queues are. */
	for (pfn = 512; pfn < s.boot_last; pfn++)
		s.memory.base[pfn * CF_FRAME_BYTES] = 7;
	CHECK(data_add(3000, 0));
	balloon_to(20000);
	CHECK(held_is_gone());
	CHECK(data_check());
	balloon_to(40000);
	/* All of a block moves to the other. */
	balloon_to(20000);
	CHECK_EQ(cf_block_offline(s.map, s.block, 2 * s.block, 16, NULL), 0);
	CHECK_EQ(cf_block_online(s.map, s.block, 2 * s.block, CF_ZONE_MOVABLE,
				 NULL), 0);
	CHECK_EQ(scene_balloon_status().held, 20000);
	CHECK(held_is_gone());
	CHECK(data_check());
	/* Reports: what is free and whole reads as zero afterwards. */
	balloon_work();
	CHECK(scene_balloon_status().reported > 0);
	CHECK(data_check());
	balloon_to(0);
	CHECK_EQ(cf_balloon_remove(&s.balloon, NULL), 0);
	free(s.reported);
	CHECK(data_check());
	CHECK(end());
}

/* It asks for statistics in its own time. */
static void balloon_tells(void)
{
	const char *answer = NULL;
	struct cf_stat stat;
	unsigned tries;

	if (!CHECK(begin() && open_balloon()))
		return;
	scene_balloon_until(100);
	CHECK(qemu_ask("{\"execute\":\"qom-set\",\"arguments\":{\"path\":"
		       "\"/machine/peripheral/bal0\",\"property\":"
		       "\"guest-stats-polling-interval\",\"value\":1}}"));
	for (tries = 0; tries < 100; tries++) {
		usleep(100000);
		balloon_work();
		answer = qemu_ask("{\"execute\":\"qom-get\",\"arguments\":{"
				  "\"path\":\"/machine/peripheral/bal0\","
				  "\"property\":\"guest-stats\"}}");
		if (scene_balloon_status().stats_sent > 2)
			break;
	}
	cf_stat(s.map, &stat);
	CHECK(scene_balloon_status().stats_sent > 2);
	CHECK_EQ(qemu_number(answer, "stat-total-memory"),
		 stat.managed << CF_FRAME_SHIFT);
	CHECK_EQ(qemu_number(answer, "stat-free-memory"),
		 stat.free << CF_FRAME_SHIFT);
	CHECK_EQ(cf_balloon_remove(&s.balloon, NULL), 0);
	free(s.reported);
	CHECK(end());
}

/* The machine is copied elsewhere: what is free need not be. */
static void balloon_hints(void)
{
	struct cf_balloon_status status;
	const char *answer;
	unsigned tries;

	if (!CHECK(begin() && open_balloon()))
		return;
	scene_balloon_until(100);
	CHECK(data_add(3000, 0));
	CHECK(qemu_ask("{\"execute\":\"migrate\",\"arguments\":{\"uri\":"
		       "\"exec:cat >/dev/null\"}}") != NULL);
	for (tries = 0; tries < 2000; tries++) {
		balloon_work();
		usleep(500);
		answer = qemu_ask("{\"execute\":\"query-migrate\"}");
		if (answer && strstr(answer, "\"completed\""))
			break;
	}
	/* It stopped to be copied; the end of the round comes when it runs. */
	CHECK(qemu_ask("{\"execute\":\"cont\"}") != NULL);
	for (unsigned more = 0; more < 1000; more++) {
		balloon_work();
		status = scene_balloon_status();
		if (!status.hinted)
			break;
		usleep(2000);
	}
	tap_print("# %llu rounds of hints\n",
		  (unsigned long long)status.hint_rounds);
	CHECK(tries < 2000);
	CHECK(status.hint_rounds > 0);
	CHECK_EQ(status.broken, CF_VIRTIO_FINE);
	/* The round is over: all is free again. */
	CHECK_EQ(status.hinted, 0);
	CHECK(data_check());
	CHECK_EQ(cf_balloon_remove(&s.balloon, NULL), 0);
	free(s.reported);
	CHECK(end());
}

/* However it ends. */
static void clean_up(void)
{
	qemu_stop();
	if (mem_file[0])
		unlink(mem_file);
}

int main(void)
{
	atexit(clean_up);
	if (!qemu_is_there()) {
		tap_skip("QEMU's devices",
			 "no qemu-system-x86_64: install qemu-system-x86");
		return tap_done();
	}
	cf_host_enter();
	tap_run("virtio-mem follows QEMU", mem_follows);
	tap_run("virtio-mem, a second life", mem_again);
	tap_run("virtio-mem, block sizes", mem_sizes);
	tap_run("virtio-mem, busy while migrating", mem_busy);
	tap_run("virtio-mem, reset behind its driver's back", mem_reset);
	tap_run("virtio-balloon follows QEMU", balloon_follows);
	tap_run("virtio-balloon tells statistics", balloon_tells);
	tap_run("virtio-balloon hints while QEMU migrates", balloon_hints);
	return tap_done();
}
