/* SPDX-License-Identifier: MIT */
/*
 * Memory of a confidential guest. Its firmware here is the memory's
 * protection: a private page that anybody touches kills the test. One promise
 * a test.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "owners/guestmem_state.h"
#include "tests/unit/describe.h"
#include "tests/unit/machine.h"

#define PAGES	16

static struct guestmem *guest;
static void *storage;
static struct cf_report report;

/* What the firmware was asked, and the nth call from now that it refuses. */
static struct {
	unsigned closed, opened, moved;
	unsigned refuse_close, refuse_open, refuse_move;
	void (*meanwhile)(void);	/* others do, while a page is moved */
} firmware;

static unsigned char *contents(cf_pfn pfn)
{
	return m.memory.base + pfn * CF_FRAME_BYTES;
}

static int protect(cf_pfn pfn, unsigned order, int how)
{
	return mprotect(contents(pfn), CF_FRAME_BYTES << order, how);
}

static bool refuses(unsigned *turn)
{
	return *turn && --*turn == 0;
}

static int close_page(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	if (refuses(&firmware.refuse_close))
		return -1;
	firmware.closed++;
	return protect(pfn, order, PROT_NONE);
}

static int open_page(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	if (refuses(&firmware.refuse_open))
		return -1;
	firmware.opened++;
	return protect(pfn, order, PROT_READ | PROT_WRITE);
}

static int move_page(void *context, cf_pfn source, cf_pfn target,
		     unsigned order)
{
	(void)context;
	if (refuses(&firmware.refuse_move))
		return -1;
	firmware.moved++;
	if (firmware.meanwhile)
		firmware.meanwhile();
	/* As a firmware would, by ways of its own. */
	(void)protect(source, order, PROT_READ | PROT_WRITE);
	memcpy(contents(target), contents(source), CF_FRAME_BYTES << order);
	return protect(target, order, PROT_NONE);
}

static const struct guestmem_firmware fixed = {
	.make_private = close_page, .make_shared = open_page,
};
static const struct guestmem_firmware moving = {
	.make_private = close_page, .make_shared = open_page,
	.move = move_page,
};

static bool begin_with(struct guestmem_config config, unsigned blocks,
		       unsigned movable)
{
	size_t bytes;

	memset(&firmware, 0, sizeof(firmware));
	if (!CHECK(machine_make((struct machine_config){ .blocks = blocks,
							 .movable = movable,
							 .cpus = 2 })))
		return false;
	if (!config.firmware)
		config.firmware = &fixed;
	config.pages = PAGES;
	config.holds = 4;
	bytes = guestmem_bytes(m.map, &config);
	storage = aligned_alloc(16, (bytes + 15) & ~(size_t)15);
	return CHECK(bytes && storage) &&
	       CHECK_EQ(guestmem_create(m.map, &config, storage, &guest), 0);
}

static bool begin(unsigned order)
{
	return begin_with((struct guestmem_config){ .order = order }, 2, 0) &&
	       CHECK_EQ(guestmem_populate(guest, 0, 4), 0);
}

static bool good(void)
{
	cf_pfn pfn;

	if (guestmem_verify(guest, &pfn))
		return true;
	printf("# guest: frame %#llx\n", (unsigned long long)pfn);
	return false;
}

static void finish(void)
{
	CHECK(good());
	CHECK_EQ(guestmem_destroy(guest, &report), 0);
	free(storage);
	CHECK(machine_end());
}

static cf_pfn frame_of(uint64_t page)
{
	cf_pfn pfn;

	(void)guestmem_look(guest, page, &pfn);
	return pfn;
}

#define IS(page, state) \
	CHECK_EQ(guestmem_look(guest, (page), NULL), GUESTMEM_ ## state)

static struct guestmem_stat stat_of(void)
{
	struct guestmem_stat stat;

	guestmem_stat(guest, &stat);
	return stat;
}

static struct guestmem_conversion conversion;

static bool start(uint64_t first, uint64_t last)
{
	memset(&conversion, 0, sizeof(conversion));
	return CHECK_EQ(guestmem_convert_start(guest, &conversion, first,
					       last), 0);
}

static void close_all(uint64_t first, uint64_t last)
{
	if (start(first, last))
		CHECK_EQ(guestmem_convert_step(&conversion, &report), 0);
}

static void converts(unsigned order)
{
	cf_pfn pfn, moved;
	uint64_t done;

	if (!begin(order))
		return;
	pfn = frame_of(1);
	CHECK_EQ(*contents(pfn), 0);
	CHECK_EQ(snapshot(pfn).type, CF_TYPE_FOLIO);
	CHECK_EQ(snapshot(pfn).order, order);
	close_all(0, 4);
	IS(1, PRIVATE);
	/* In place, frozen, and its owner's alone. */
	CHECK_EQ(frame_of(1), pfn);
	CHECK_EQ(snapshot(pfn).refs, 0);
	CHECK_EQ(snapshot(pfn).owner, guestmem_owner(guest));
	CHECK(cf_owner_traits(m.map, guestmem_owner(guest)) &
	      CF_OWNER_PRIVATE);
	CHECK_EQ(cf_try_get(m.map, pfn), -CF_EGONE);
	CHECK_EQ(guestmem_get(guest, 1, "host", &moved), -CF_EREFUSED);
	CHECK_EQ(firmware.closed, 4);
	CHECK_EQ(guestmem_share(guest, 1, 3, &done), 0);
	CHECK_EQ(done, 2);
	IS(0, PRIVATE);
	IS(1, SHARED);
	CHECK_EQ(frame_of(1), pfn);
	CHECK_EQ(snapshot(pfn).refs, 1);
	CHECK_EQ(snapshot(pfn).order, order);
	*contents(pfn) = 1;
	finish();
	CHECK_EQ(firmware.opened, 4);
}

static void converts_frames(void)
{
	converts(0);
}

static void converts_chunks(void)
{
	if (!begin_with((struct guestmem_config){ .order = 9 }, 6, 0))
		return;
	CHECK_EQ(guestmem_populate(guest, 0, 2), 0);
	close_all(0, 2);
	CHECK_EQ(snapshot(frame_of(0)).order, 9);
	CHECK_EQ(snapshot(frame_of(0)).refs, 0);
	finish();
}

static void waits_for_references(void)
{
	struct guestmem_holder holder[4];
	cf_pfn pfn, other;
	int err;

	if (!begin(0))
		return;
	CHECK_EQ(guestmem_get(guest, 1, "vhost", &pfn), 0);
	CHECK_EQ(guestmem_get(guest, 1, "vmm", &other), 0);
	CHECK_EQ(other, pfn);
	CHECK_EQ(cf_try_get(m.map, pfn), 0);	/* somebody without a name */
	CHECK_EQ(cf_pin(m.map, pfn), 0);
	if (!start(0, 3))
		return;
	CHECK_EQ(guestmem_convert_step(&conversion, &report), -CF_EAGAIN);
	CHECK_EQ(conversion.waiting, 1);
	CHECK_EQ(conversion.done, 0);
	CHECK_EQ(report.reason, CF_REASON_REFERENCED);
	CHECK_EQ(report.pfn, pfn);
	CHECK_EQ(report.refs, 4);
	CHECK_EQ(report.pins, 1);
	CHECK(report.who && !strcmp(report.who, "guestmem"));
	CHECK(report.detail && !strcmp(report.detail, "vmm"));
	/* The point: who it is. */
	CHECK_EQ(guestmem_holders(guest, 0, 4, holder, 4), 3);
	CHECK(!strcmp(holder[0].who, "vmm") && holder[0].page == 1 &&
	      holder[0].pfn == pfn && holder[0].refs == 1);
	CHECK(!strcmp(holder[1].who, "vhost"));
	CHECK(!holder[2].who && holder[2].refs == 2 && holder[2].pins == 1);
	/* No new references by name, and nothing is private yet. */
	CHECK_EQ(guestmem_get(guest, 0, "late", &other), -CF_EAGAIN);
	CHECK_EQ(firmware.closed, 0);
	CHECK_EQ(guestmem_put(guest, 1, "vhost"), 0);
	CHECK_EQ(guestmem_put(guest, 1, "vhost"), -CF_EINVAL);
	CHECK_EQ(guestmem_put(guest, 1, "vmm"), 0);
	cf_unpin(m.map, pfn);
	err = guestmem_convert_step(&conversion, &report);
	CHECK_EQ(err, -CF_EAGAIN);
	CHECK_EQ(guestmem_holders(guest, 0, 4, holder, 4), 1);
	cf_put(m.map, pfn);
	CHECK_EQ(guestmem_holders(guest, 0, 4, holder, 4), 0);
	CHECK_EQ(guestmem_convert_step(&conversion, &report), 0);
	CHECK_EQ(conversion.done, 3);
	CHECK_EQ(guestmem_convert_step(&conversion, &report), -CF_EINVAL);
	finish();
}

static void cancels(void)
{
	uint64_t mark = 0x1234;
	cf_pfn pfn, other;

	if (!begin(0))
		return;
	memcpy(contents(frame_of(0)), &mark, sizeof(mark));
	CHECK_EQ(guestmem_get(guest, 1, "vmm", &pfn), 0);
	memcpy(contents(pfn), &mark, sizeof(mark));
	if (!start(0, 2))
		return;
	CHECK_EQ(guestmem_convert_step(&conversion, NULL), -CF_EAGAIN);
	CHECK_EQ(snapshot(frame_of(0)).refs, 0);
	CHECK_EQ(guestmem_convert_cancel(&conversion), 0);
	CHECK_EQ(guestmem_convert_cancel(&conversion), -CF_EINVAL);
	/* Both with the owner's reference, and contents as they were. */
	IS(0, SHARED);
	IS(1, SHARED);
	CHECK_EQ(snapshot(frame_of(0)).refs, 1);
	CHECK_EQ(snapshot(pfn).refs, 2);
	CHECK(!memcmp(contents(frame_of(0)), &mark, sizeof(mark)));
	CHECK_EQ(guestmem_put(guest, 1, "vmm"), 0);
	CHECK(!memcmp(contents(pfn), &mark, sizeof(mark)));
	CHECK_EQ(guestmem_get(guest, 0, "vmm", &other), 0);
	CHECK_EQ(guestmem_put(guest, 0, "vmm"), 0);
	CHECK_EQ(stat_of().stolen, 0);
	finish();
}

/* Until it has ended nobody else has any page of a conversion. */
static void half_way(void)
{
	struct guestmem_conversion other = { .going = false };
	uint64_t done;

	if (!begin(0))
		return;
	/* Page 0 is private by now, and 1 is to be. */
	firmware.refuse_close = 2;
	if (!start(0, 2))
		return;
	CHECK_EQ(guestmem_convert_step(&conversion, &report), -CF_EPORT);
	CHECK_EQ(guestmem_share(guest, 0, 1, &done), -CF_EBUSY);
	CHECK_EQ(guestmem_discard(guest, 0, 1), -CF_EBUSY);
	CHECK_EQ(guestmem_convert_start(guest, &other, 0, 1), -CF_EBUSY);
	CHECK(guestmem_is_busy(guest));
	CHECK_EQ(guestmem_destroy(guest, &report), -CF_EBUSY);
	CHECK_EQ(report.pfn, frame_of(0));
	CHECK_EQ(guestmem_convert_step(&conversion, &report), 0);
	IS(0, PRIVATE);
	IS(1, PRIVATE);
	CHECK_EQ(guestmem_share(guest, 0, 2, &done), 0);
	/* Half way back: what is shared again is free for others. */
	firmware.refuse_close = 2;
	if (!start(0, 3))
		return;
	CHECK_EQ(guestmem_convert_step(&conversion, &report), -CF_EPORT);
	firmware.refuse_open = 1;
	CHECK_EQ(guestmem_convert_cancel(&conversion), -CF_EPORT);
	CHECK_EQ(guestmem_convert_step(&conversion, &report), -CF_EINVAL);
	CHECK_EQ(guestmem_convert_start(guest, &other, 1, 2), 0);
	CHECK_EQ(guestmem_convert_cancel(&conversion), 0);
	IS(0, SHARED);
	IS(1, CONVERTING);
	IS(2, SHARED);
	CHECK_EQ(guestmem_convert_step(&other, &report), 0);
	IS(1, PRIVATE);
	CHECK(!guestmem_is_busy(guest));
	finish();
}

static void firmware_refuses(void)
{
	uint64_t done;

	if (!begin(0))
		return;
	firmware.refuse_close = 2;
	if (!start(0, 3))
		return;
	CHECK_EQ(guestmem_convert_step(&conversion, &report), -CF_EPORT);
	CHECK_EQ(report.reason, CF_REASON_PORT);
	CHECK_EQ(report.pfn, frame_of(1));
	CHECK_EQ(conversion.done, 1);
	/* Once more, and it works. */
	CHECK_EQ(guestmem_convert_step(&conversion, &report), 0);
	firmware.refuse_open = 2;
	CHECK_EQ(guestmem_share(guest, 0, 3, &done), -CF_EPORT);
	CHECK_EQ(done, 1);
	IS(1, PRIVATE);
	CHECK_EQ(guestmem_share(guest, 0, 3, &done), 0);
	/* Or it is cancelled half way. */
	firmware.refuse_close = 2;
	if (!start(0, 3))
		return;
	CHECK_EQ(guestmem_convert_step(&conversion, &report), -CF_EPORT);
	CHECK_EQ(guestmem_convert_cancel(&conversion), 0);
	CHECK_EQ(stat_of().pages[GUESTMEM_SHARED], 4);
	/* The way back is refused as well: call again. */
	firmware.refuse_close = 2;
	if (!start(0, 3))
		return;
	CHECK_EQ(guestmem_convert_step(&conversion, &report), -CF_EPORT);
	firmware.refuse_open = 1;
	CHECK_EQ(guestmem_convert_cancel(&conversion), -CF_EPORT);
	IS(0, PRIVATE);
	IS(1, SHARED);
	CHECK_EQ(guestmem_convert_cancel(&conversion), 0);
	CHECK_EQ(stat_of().pages[GUESTMEM_SHARED], 4);
	close_all(3, 4);
	firmware.refuse_open = 1;
	CHECK_EQ(guestmem_discard(guest, 3, 4), -CF_EPORT);
	IS(3, PRIVATE);
	firmware.refuse_open = 1;
	CHECK_EQ(guestmem_destroy(guest, &report), -CF_EPORT);
	CHECK_EQ(guestmem_populate(guest, 0, 3), 0);
	finish();
}

/* The port has no memory for the side table, or maps no contents. */
static void port_refuses(void)
{
	if (!begin_with((struct guestmem_config){ .order = 0 }, 2, 0))
		return;
	cf_host_fault_arm(&m.memory, CF_HOST_META_ALLOC, 1);
	CHECK_EQ(guestmem_populate(guest, 0, 1), -CF_ENOMEM);
	cf_host_fault_arm(&m.memory, CF_HOST_FRAME_ADDRESS, 1);
	CHECK_EQ(guestmem_populate(guest, 0, 1), -CF_EPORT);
	IS(0, ABSENT);
	cf_host_fault_disarm(&m.memory);
	CHECK_EQ(unused_frames(), m.last);
	CHECK_EQ(guestmem_populate(guest, 0, 1), 0);
	/* A page that cannot be copied stays where it is. */
	cf_host_fault_arm(&m.memory, CF_HOST_FRAME_ADDRESS, 1);
	CHECK(cf_block_offline(m.map, 0, m.block, 1, &report) != 0);
	cf_host_fault_disarm(&m.memory);
	IS(0, SHARED);
	CHECK_EQ(snapshot(frame_of(0)).refs, 1);
	CHECK_EQ(stat_of().moved, 0);
	finish();
}

/* ---- the rest of the machine ---- */

static void moves_shared_pages(void)
{
	uint64_t mark = 0x5678;
	cf_pfn pfn, other;

	if (!begin(2))
		return;
	pfn = frame_of(0);
	CHECK(pfn < m.block);
	memcpy(contents(pfn) + 3 * CF_FRAME_BYTES, &mark, sizeof(mark));
	CHECK_EQ(guestmem_get(guest, 1, "vmm", &other), 0);
	CHECK_EQ(cf_block_offline(m.map, 0, m.block, 4, &report), -CF_EBUSY);
	CHECK_EQ(report.pfn, other);
	CHECK(report.detail && !strcmp(report.detail, "vmm"));
	CHECK_EQ(guestmem_put(guest, 1, "vmm"), 0);
	CHECK_EQ(cf_block_offline(m.map, 0, m.block, 4, &report), 0);
	CHECK(frame_of(0) >= m.block);
	CHECK(!memcmp(contents(frame_of(0)) + 3 * CF_FRAME_BYTES, &mark,
		      sizeof(mark)));
	CHECK_EQ(stat_of().moved, 4);
	CHECK_EQ(cf_block_online(m.map, 0, m.block, CF_ZONE_NORMAL, NULL), 0);
	finish();
}

static void keeps_private_pages(void)
{
	struct cf_compaction done;
	cf_pfn pfn;

	if (!begin(0))
		return;
	close_all(0, 4);
	pfn = frame_of(0);
	/* Each of these would read or copy it, if it did not know. */
	CHECK_EQ(cf_block_offline(m.map, 0, m.block, 4, &report), -CF_EBUSY);
	CHECK_EQ(report.reason, CF_REASON_FROZEN);
	CHECK_EQ(report.owner, guestmem_owner(guest));
	CHECK(report.detail && strstr(report.detail, "private"));
	CHECK_EQ(cf_alloc_range(m.map, pfn, pfn + 1, kernel(0), &report),
		 -CF_EBUSY);
	CHECK_EQ(cf_compact(m.map, 0, CF_ZONE_NORMAL, 9, &done), -CF_ENOMEM);
	CHECK_EQ(cf_try_get(m.map, pfn), -CF_EGONE);
	CHECK_EQ(frame_of(0), pfn);
	CHECK_EQ(stat_of().moved, 0);
	finish();
}

static void moves_private_by_firmware(void)
{
	if (!begin_with((struct guestmem_config){ .firmware = &moving }, 2, 0))
		return;
	CHECK_EQ(guestmem_populate(guest, 0, 4), 0);
	*contents(frame_of(2)) = 42;
	close_all(0, 4);
	firmware.refuse_move = 1;
	CHECK(cf_block_offline(m.map, 0, m.block, 1, &report) != 0);
	IS(2, PRIVATE);
	CHECK_EQ(cf_block_offline(m.map, 0, m.block, 4, &report), 0);
	CHECK(frame_of(2) >= m.block);
	CHECK_EQ(stat_of().moved_private, firmware.moved);
	CHECK(firmware.moved >= 4);
	(void)protect(frame_of(2), 0, PROT_READ);
	CHECK_EQ(*contents(frame_of(2)), 42);
	CHECK_EQ(cf_block_online(m.map, 0, m.block, CF_ZONE_NORMAL, NULL), 0);
	finish();
}

/* The page is in the firmware's hands, and was of no conversion. */
static void all_come_again(void)
{
	struct guestmem_conversion other = { .going = false };
	uint64_t done;
	cf_pfn pfn;

	firmware.meanwhile = NULL;
	IS(0, CONVERTING);
	CHECK_EQ(guestmem_get(guest, 0, "vmm", &pfn), -CF_EAGAIN);
	CHECK_EQ(guestmem_convert_start(guest, &other, 0, 1), -CF_EAGAIN);
	CHECK_EQ(guestmem_discard(guest, 0, 1), -CF_EAGAIN);
	CHECK_EQ(guestmem_share(guest, 0, 1, &done), -CF_EAGAIN);
	CHECK_EQ(done, 0);
}

/* The same of a conversion, whose second page the firmware refused. */
static void conversion_comes_again(void)
{
	uint64_t done;

	firmware.meanwhile = NULL;
	CHECK_EQ(guestmem_share(guest, 0, 1, &done), -CF_EBUSY);
	CHECK_EQ(guestmem_discard(guest, 0, 1), -CF_EBUSY);
	CHECK_EQ(guestmem_convert_cancel(&conversion), -CF_EAGAIN);
	CHECK(conversion.going);
	IS(0, CONVERTING);
	IS(1, SHARED);
}

static void moves_meanwhile(void)
{
	uint64_t done;

	if (!begin_with((struct guestmem_config){ .firmware = &moving }, 2, 0))
		return;
	CHECK_EQ(guestmem_populate(guest, 0, 2), 0);
	close_all(0, 1);
	firmware.meanwhile = all_come_again;
	CHECK_EQ(cf_block_offline(m.map, 0, m.block, 4, &report), 0);
	CHECK(!firmware.meanwhile);
	IS(0, PRIVATE);
	CHECK_EQ(cf_block_online(m.map, 0, m.block, CF_ZONE_NORMAL, NULL), 0);
	CHECK_EQ(guestmem_share(guest, 0, 1, &done), 0);
	firmware.refuse_close = 2;
	if (!start(0, 2))
		return;
	CHECK_EQ(guestmem_convert_step(&conversion, NULL), -CF_EPORT);
	firmware.meanwhile = conversion_comes_again;
	CHECK_EQ(cf_block_offline(m.map, m.block, m.last, 4, &report), 0);
	CHECK(!firmware.meanwhile);
	IS(0, PRIVATE);
	CHECK_EQ(guestmem_convert_cancel(&conversion), 0);
	IS(0, SHARED);
	CHECK_EQ(cf_block_online(m.map, m.block, m.last, CF_ZONE_NORMAL, NULL),
		 0);
	finish();
}

static void while_blocks_go(void)
{
	struct cf_offline operation = { { 0 } };
	uint64_t done;

	if (!begin(0))
		return;
	close_all(3, 4);
	if (!start(0, 2))
		return;
	/* Without references, but about to be something: wait for it. */
	CHECK_EQ(cf_block_offline_start(m.map, &operation, 0, m.block, NULL),
		 0);
	CHECK(cf_block_offline_step(&operation) != 0);
	CHECK_EQ(guestmem_convert_step(&conversion, &report), 0);
	CHECK_EQ(cf_block_offline_step(&operation), -CF_EBUSY);
	CHECK_EQ(guestmem_share(guest, 0, 4, &done), 0);
	CHECK_EQ(done, 4);
	CHECK_EQ(cf_block_offline_step(&operation), 0);
	CHECK(frame_of(0) >= m.block);
	CHECK_EQ(cf_block_online(m.map, 0, m.block, CF_ZONE_NORMAL, NULL), 0);
	finish();
}

static void gives_up_pages(void)
{
	cf_pfn pfn;

	if (!begin(0))
		return;
	close_all(0, 2);
	pfn = frame_of(2);
	CHECK_EQ(cf_try_get(m.map, pfn), 0);
	CHECK_EQ(guestmem_discard(guest, 0, 4), 0);
	CHECK_EQ(stat_of().pages[GUESTMEM_ABSENT], PAGES);
	/* Somebody still reads it: it goes with his put, and is nobody's. */
	CHECK_EQ(snapshot(pfn).owner, CF_OWNER_NONE);
	cf_put(m.map, pfn);
	CHECK_EQ(unused_frames(), m.last);
	CHECK_EQ(guestmem_populate(guest, 0, 1), 0);
	CHECK_EQ(guestmem_get(guest, 0, "vmm", &pfn), 0);
	CHECK_EQ(guestmem_discard(guest, 0, 1), -CF_EBUSY);
	CHECK_EQ(guestmem_put(guest, 0, "vmm"), 0);
	finish();
}

/* ---- wrong use ---- */

static void forgives_strangers(void)
{
	struct guestmem_stat stat;
	cf_pfn pfn, bad;

	if (!begin(0))
		return;
	pfn = alloc(kernel(1));
	CHECK_EQ(cf_owner_change(m.map, pfn, guestmem_owner(guest)), 0);
	CHECK(!guestmem_verify(guest, &bad));
	CHECK_EQ(bad, pfn);
	cf_put(m.map, pfn);
	stat = stat_of();
	CHECK_EQ(stat.strangers, 1);
	CHECK_EQ(stat.culprit, pfn);
	CHECK(!is_head(pfn));
	/* A put of what is the owner's own: the page stays. */
	pfn = frame_of(0);
	cf_put(m.map, pfn);
	stat = stat_of();
	CHECK_EQ(stat.stolen, 1);
	CHECK_EQ(stat.culprit, pfn);
	IS(0, SHARED);
	CHECK_EQ(snapshot(pfn).refs, 1);
	finish();
}

static void refuses_all(void)
{
	struct guestmem_conversion other = { .going = false };
	struct guestmem_holder holder;
	uint64_t done;
	cf_pfn pfn;
	unsigned i;

	if (!begin(0))
		return;
	CHECK_EQ(guestmem_populate(guest, 2, 2), -CF_EINVAL);
	CHECK_EQ(guestmem_populate(guest, 0, PAGES + 1), -CF_EINVAL);
	CHECK_EQ(guestmem_discard(guest, 0, PAGES + 1), -CF_EINVAL);
	CHECK_EQ(guestmem_get(guest, PAGES, "x", &pfn), -CF_EINVAL);
	CHECK_EQ(guestmem_get(guest, 0, NULL, &pfn), -CF_EINVAL);
	CHECK_EQ(guestmem_get(guest, 5, "x", &pfn), -CF_EGONE);
	CHECK_EQ(guestmem_put(guest, PAGES, "x"), -CF_EINVAL);
	CHECK_EQ(guestmem_share(guest, 0, PAGES + 1, &done), -CF_EINVAL);
	CHECK_EQ(guestmem_share(guest, 5, 6, &done), -CF_EGONE);
	CHECK_EQ(guestmem_convert_step(&other, NULL), -CF_EINVAL);
	CHECK_EQ(guestmem_convert_start(guest, &other, 0, 5), -CF_EGONE);
	CHECK_EQ(guestmem_convert_start(guest, &other, 1, 1), -CF_EINVAL);
	CHECK_EQ(guestmem_holders(guest, 0, PAGES, &holder, 1), 0);
	for (i = 0; i < 4; i++)
		CHECK_EQ(guestmem_get(guest, 0, "x", &pfn), 0);
	CHECK_EQ(guestmem_get(guest, 0, "x", &pfn), -CF_ELIMIT);
	CHECK_EQ(guestmem_holders(guest, 0, PAGES, &holder, 1), 4);
	if (!start(0, 1))
		return;
	CHECK_EQ(guestmem_convert_start(guest, &conversion, 1, 2),
		 -CF_EINVAL);
	CHECK_EQ(guestmem_convert_start(guest, &other, 0, 2), -CF_EBUSY);
	IS(1, SHARED);
	CHECK_EQ(guestmem_share(guest, 0, 1, &done), -CF_EBUSY);
	CHECK_EQ(guestmem_discard(guest, 0, 1), -CF_EBUSY);
	CHECK_EQ(guestmem_destroy(guest, &report), -CF_EBUSY);
	CHECK_EQ(report.pfn, frame_of(0));
	CHECK_EQ(report.owner, guestmem_owner(guest));
	while (i--)
		CHECK_EQ(guestmem_put(guest, 0, "x"), 0);
	CHECK_EQ(guestmem_convert_step(&conversion, NULL), 0);
	CHECK_EQ(guestmem_convert_start(guest, &other, 0, 1), -CF_EREFUSED);
	CHECK(!strcmp(guestmem_state_name(GUESTMEM_PRIVATE), "private"));
	CHECK(!guestmem_state_name(GUESTMEM_STATES));
	finish();
}

static void out_of_memory(void)
{
	struct guestmem_config config = { .order = 0 };
	static const struct cf_owner_ops idle = { .release = NULL };
	static cf_pfn frames[8192];
	uint32_t id[CF_OWNERS_MAX], ids = 0;
	void *more = aligned_alloc(16, 4096);
	struct guestmem *none;
	uint64_t done;
	size_t count;

	if (!begin(0))
		return;
	CHECK_EQ(guestmem_bytes(m.map, &config), 0);
	CHECK_EQ(guestmem_create(m.map, &config, storage, &none), -CF_EINVAL);
	config.firmware = &fixed;
	config.pages = 1;
	cf_host_fault_arm(&m.memory, CF_HOST_META_ALLOC, 1);
	CHECK_EQ(guestmem_create(m.map, &config, more, &none), -CF_ENOMEM);
	cf_host_fault_disarm(&m.memory);
	while (!cf_owner_register(m.map, "one of many", &idle, NULL,
				  &id[ids]))
		ids++;
	CHECK_EQ(guestmem_create(m.map, &config, more, &none), -CF_ELIMIT);
	while (ids > 0)
		CHECK_EQ(cf_owner_unregister(m.map, id[--ids], NULL), 0);
	free(more);
	count = fill(kernel(0), frames, 8192);
	CHECK_EQ(guestmem_populate(guest, 4, 5), -CF_ENOMEM);
	IS(4, ABSENT);
	/* Neither way takes memory. */
	close_all(0, 4);
	CHECK_EQ(guestmem_share(guest, 0, 4, &done), 0);
	put_all(frames, count);
	finish();
}

/* A report is made while the guest's lock is held: it does not wait. */
static void describes_under_the_lock(void)
{
	if (!begin(0))
		return;
	memset(&report_made, 0, sizeof(report_made));
	report_made.map = m.map;
	report_made.owner = guestmem_owner(guest);
	close_all(0, 1);
	CHECK_EQ(report_made.asked, 1);
	CHECK(report_made.text == NULL);
	finish();
}

int main(void)
{
	tap_run("frames become private and shared again", converts_frames);
	tap_run("and chunks", converts_chunks);
	tap_run("a conversion waits, and says for whom", waits_for_references);
	tap_run("a conversion is cancelled", cancels);
	tap_run("the firmware refuses", firmware_refuses);
	tap_run("a conversion half way", half_way);
	tap_run("the port refuses", port_refuses);
	tap_run("shared pages move by copying", moves_shared_pages);
	tap_run("private pages are not touched", keeps_private_pages);
	tap_run("private pages move by the firmware",
		moves_private_by_firmware);
	tap_run("and meanwhile all come again", moves_meanwhile);
	tap_run("while a block goes", while_blocks_go);
	tap_run("pages are given up", gives_up_pages);
	tap_run("wrong puts lose nothing", forgives_strangers);
	tap_run("a report while the lock is held", describes_under_the_lock);
	tap_run("what cannot be", refuses_all);
	tap_run("out of memory", out_of_memory);
	return tap_done();
}
