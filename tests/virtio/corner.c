/* SPDX-License-Identifier: MIT */

/*
 * What the drivers do where stories seldom get: queues too small, limits of
 * the map, frames without a number, other people's operations on the
 * driver's blocks, a device that breaks between two lines.
 * Method: each once, on models; where it takes another thread at the right
 * moment a callback of the driver's stands for it.
 */

#include "tests/virtio/scene.h"
#include "virtio/balloon_internal.h"
#include "virtio/state.h"

#define HINT		CF_BALLOON_F_HINT
#define REPORT		CF_BALLOON_F_REPORTING
#define LOW		CF_BALLOON_F_DEFLATE_ON_OOM
#define POISON		CF_BALLOON_F_POISON
#define ALL_NUMBERS	((cf_pfn)1 << 32)

/* ---- queues ---- */

static uint16_t queue_most;

static uint16_t small_queue(void *transport, uint16_t index)
{
	uint16_t size = s.straight->queue_size(transport, index);

	return size < queue_most ? size : queue_most;
}

static void twist_queue(struct cf_virtio_ops *ops)
{
	ops->queue_size = small_queue;
}

/* One descriptor is too few for a request and its answer, or for two. */
static void queue_of_one(void)
{
	struct scene_config config = { .twist = twist_queue };

	queue_most = 1;
	if (!CHECK(scene_make(config) && scene_mem_model()))
		return;
	CHECK_EQ(scene_mem_open(), -CF_EREFUSED);
	CHECK_EQ(scene_mem_status().broken, CF_VIRTIO_BROKEN_QUEUE);
	CHECK_EQ(cf_vmem_start(&s.vmem, NULL), -CF_EREFUSED);
	CHECK(scene_end());
	if (!CHECK(scene_make(config) && scene_balloon_model()))
		return;
	CHECK_EQ(scene_balloon_open(), -CF_EREFUSED);
	CHECK_EQ(scene_balloon_status().broken, CF_VIRTIO_BROKEN_QUEUE);
	CHECK(scene_end());
}

/* Two are enough, and four for hints and reports: a few at a time. */
static void queues_of_few(void)
{
	struct scene_config config = {
		.boot_blocks = 4, .movable = true, .twist = twist_queue,
		.balloon_features = HINT | REPORT,
	};
	struct cf_stat before, now;

	queue_most = 2;
	if (!CHECK(scene_make(config) && scene_mem()))
		return;
	CHECK(scene_resize(100 * MIB) && scene_resize(0));
	CHECK(scene_end());
	queue_most = 4;
	if (!CHECK(scene_make(config) && scene_balloon()))
		return;
	scene_balloon_until(3000);
	CHECK(scene_balloon_status().reported > 2 * s.block);
	cf_stat(s.map, &before);
	model_late(&s.bal->model, true);
	model_balloon_hint(s.bal, 2);
	scene_balloon_work();
	/* One is begun with, three are hints; the fourth had no room. */
	CHECK_EQ(scene_balloon_status().hinted, 3 * CF_CHUNK_FRAMES);
	model_late(&s.bal->model, false);
	scene_balloon_work();
	CHECK(scene_balloon_status().hinted > 2 * s.block);
	CHECK(!scene_balloon_status().hinting);
	model_balloon_hint(s.bal, CF_BALLOON_HINT_DONE);
	scene_balloon_work();
	cf_stat(s.map, &now);
	CHECK_EQ(now.free, before.free);
	CHECK(scene_balloon_size(9000));
	CHECK_EQ(cf_block_offline(s.map, 3 * s.block, 4 * s.block, 8, NULL),
		 0);
	CHECK_EQ(scene_balloon_status().held, 9000);
	CHECK_EQ(cf_block_online(s.map, 3 * s.block, 4 * s.block,
				 CF_ZONE_MOVABLE, NULL), 0);
	CHECK(scene_balloon_check() && scene_end());
}

/* ---- starting ---- */

static uint64_t fickle_features(void *transport)
{
	static unsigned calls;
	uint64_t features = s.straight->features(transport);

	/* Offered when it is asked what to want, and not afterwards. */
	return calls++ % 2 ? features & ~POISON : features;
}

static void twist_features(struct cf_virtio_ops *ops)
{
	ops->features = fickle_features;
}

static void fickle(void)
{
	struct scene_config config = {
		.twist = twist_features,
		.balloon_features = POISON | REPORT,
		.balloon = { .poisoned = true, .poison = 1 },
	};

	if (!CHECK(scene_make(config) && scene_balloon_model()))
		return;
	CHECK_EQ(scene_balloon_open(), -CF_EREFUSED);
	CHECK_EQ(scene_balloon_status().broken, CF_VIRTIO_BROKEN_FEATURES);
	CHECK(scene_end());
}

/* Zeroed, or refused: nothing can be done with it, and nothing happens. */
static void not_opened(void)
{
	struct cf_vmem_config vmem_config = { .node = 0 };
	struct cf_balloon_config config = { .small = true };
	static struct cf_balloon balloon;
	static struct cf_vmem vmem;
	uint64_t orphans = 1;

	CHECK_EQ(cf_balloon_work(&balloon, 1).when, CF_WHEN_NEVER);
	CHECK_EQ(cf_balloon_remove(&balloon, &orphans), 0);
	CHECK_EQ(orphans, 0);
	CHECK(!cf_balloon_low(&balloon));
	CHECK_EQ(cf_balloon_open(&balloon, &config), -CF_EINVAL);
	CHECK_EQ(cf_vmem_work(&vmem, 1).when, CF_WHEN_NEVER);
	CHECK_EQ(cf_vmem_remove(&vmem, true), 0);
	CHECK_EQ(cf_vmem_open(&vmem, &vmem_config), -CF_EINVAL);
}

/* All ids but @left are taken. */
static unsigned take_owners(uint32_t id[CF_OWNERS_MAX])
{
	static const struct cf_owner_ops no_ops;
	unsigned count = 0;

	while (count < CF_OWNERS_MAX &&
	       cf_owner_register(s.map, "x", &no_ops, NULL, &id[count]) == 0)
		count++;
	return count;
}

static void no_owner_left(void)
{
	static uint32_t id[CF_OWNERS_MAX];
	unsigned count;

	if (!CHECK(scene_make((struct scene_config){ 0 }) &&
		   scene_mem_model() && scene_balloon_model()))
		return;
	count = take_owners(id);
	CHECK_EQ(scene_mem_open(), -CF_ELIMIT);
	CHECK_EQ(scene_balloon_open(), -CF_ELIMIT);
	CHECK_EQ(cf_balloon_work(&s.balloon, 1).when, CF_WHEN_NEVER);
	CHECK_EQ(cf_vmem_work(&s.vmem, 1).when, CF_WHEN_NEVER);
	CHECK_EQ(cf_balloon_remove(&s.balloon, NULL), 0);
	s.balloon_open = false;
	while (count)
		CHECK_EQ(cf_owner_unregister(s.map, id[--count], NULL), 0);
	CHECK(scene_end());
}

/* Somebody begins to take a block offline. */
static int start(struct cf_offline *offline, cf_pfn first)
{
	return cf_block_offline_start(s.map, offline, first, first + s.block,
				      NULL);
}

/* Nobody joins those who are told while an operation goes. */
static void starts_beside_operation(void)
{
	struct cf_offline offline = { { 0 } };

	if (!CHECK(scene_make((struct scene_config){ 0 }) &&
		   scene_mem_model()))
		return;
	CHECK_EQ(start(&offline, s.block), 0);
	CHECK_EQ(scene_mem_open(), -CF_EBUSY);
	CHECK_EQ(cf_block_offline_cancel(&offline), 0);
	CHECK_EQ(cf_vmem_start(&s.vmem, s.storage), 0);
	s.vmem_started = true;
	CHECK(scene_resize(20 * MIB));
	/* Nor leaves them. */
	CHECK_EQ(start(&offline, s.block), 0);
	CHECK_EQ(cf_vmem_remove(&s.vmem, true), -CF_EBUSY);
	CHECK_EQ(cf_block_offline_cancel(&offline), 0);
	CHECK(scene_resize(0));
	CHECK(scene_end());
}

/* A unit that no request has a count for. */
static void unit_too_large(void)
{
	struct scene_config config = {
		.region = 512 * MIB,
		.device_block = 4096,
		.vmem = {
			.big_blocks = true,
			.big_block_frames = 256 * MIB_FRAMES,
		},
	};

	if (!CHECK(scene_make(config) && scene_mem_model()))
		return;
	CHECK_EQ(scene_mem_open(), -CF_EINVAL);
	CHECK(scene_end());
}

/* More device blocks than a request has a count for: by several. */
static void many_at_once(void)
{
	struct scene_config config = {
		.block_order = 15, .region = 512 * MIB, .device_block = 4096,
	};

	if (!CHECK(scene_make(config) && scene_mem()))
		return;
	CHECK(scene_resize(512 * MIB));
	CHECK(scene_mem_check());
	CHECK(scene_resize(0));
	CHECK(scene_end());
}

/* Big blocks for everybody's use; what stays plugged says why it is out. */
static void big_and_normal(void)
{
	struct scene_config config = {
		.vmem = { .big_blocks = true, .online = CF_VMEM_ONLINE_NORMAL },
	};
	struct cf_block_info info;

	if (!CHECK(scene_make(config) && scene_mem()) ||
	    !CHECK(scene_resize(96 * MIB)))
		return;
	CHECK_EQ(cf_block_info(s.map, s.region_first, &info), 0);
	CHECK_EQ(info.zone, CF_ZONE_NORMAL);
	CHECK(scene_resize(32 * MIB));
	CHECK(scene_mem_check());
	CHECK(scene_resize(0));
	CHECK(scene_end());
}

static void describes(void)
{
	struct cf_request request = {
		.type = CF_TYPE_FOLIO, .node = CF_NODE_ANY,
		.zone = CF_ZONE_MOVABLE,
	};
	struct cf_report report = { .reason = CF_REASON_NONE };
	cf_pfn first;

	if (!CHECK(scene_make((struct scene_config){ 0 }) && scene_mem()) ||
	    !CHECK(scene_resize(8 * MIB)) || !CHECK(data_add(10, 0)))
		return;
	first = s.region_first + 8 * MIB_FRAMES;
	request.owner = (uint16_t)s.data.owner;
	CHECK_EQ(cf_alloc_range(s.map, first, first + 512, request, &report),
		 -CF_EBUSY);
	CHECK_EQ(report.pfn, first);
	CHECK(report.detail && strstr(report.detail, "not plugged"));
	CHECK(scene_end());
}

/* The longest wait is never shorter than the first. */
static void one_wait(void)
{
	struct scene_config config = {
		.vmem = { .retry_min_ms = 1000, .retry_max_ms = 10 },
	};
	struct cf_next next;
	unsigned i;

	if (!CHECK(scene_make(config) && scene_mem()))
		return;
	s.mem->refuse = true;
	CHECK(model_mem_request(s.mem, 32 * MIB));
	for (i = 0; i < 4; i++) {
		scene_mem_work();
		next = cf_vmem_work(&s.vmem, s.now);
		CHECK_EQ(next.when, CF_WHEN_AT);
		CHECK_EQ(next.at_ms, s.now + 1000);
		s.now = next.at_ms;
	}
	s.mem->refuse = false;
	CHECK(scene_end());
}

/* ---- other people's operations ---- */

/* The answer to PLUG comes while the block is on its way out. */
static void exposes_later(void)
{
	struct cf_offline offline = { { 0 } };
	struct cf_block_info info;

	if (!CHECK(scene_make((struct scene_config){ 0 }) && scene_mem()) ||
	    !CHECK(scene_resize(8 * MIB)))
		return;
	model_late(&s.mem->model, true);
	CHECK(model_mem_request(s.mem, 16 * MIB));
	scene_mem_work();
	CHECK_EQ(start(&offline, s.region_first), 0);
	model_late(&s.mem->model, false);
	scene_mem_work();
	/* The device's, the driver's, and nobody's to use. */
	CHECK_EQ(s.mem->plugged, 16 * MIB);
	CHECK_EQ(cf_block_info(s.map, s.region_first, &info), 0);
	CHECK_EQ(info.free, 8 * MIB_FRAMES);
	CHECK(scene_mem_check());
	CHECK_EQ(cf_block_offline_cancel(&offline), 0);
	CHECK(scene_resize(16 * MIB));
	CHECK_EQ(cf_block_info(s.map, s.region_first, &info), 0);
	CHECK_EQ(info.free, 16 * MIB_FRAMES);
	CHECK(scene_mem_check() && scene_end());
}

/* Of a unit of two blocks somebody else is at the second. */
static void unit_is_anothers(void)
{
	struct scene_config config = {
		.vmem = {
			.big_blocks = true,
			.big_block_frames = 64 * MIB_FRAMES,
		},
	};
	struct cf_block_info info;
	struct cf_offline offline = { { 0 } };
	unsigned i;

	if (!CHECK(scene_make(config) && scene_mem()) ||
	    !CHECK(scene_resize(64 * MIB)))
		return;
	CHECK_EQ(start(&offline, s.region_first + s.block), 0);
	CHECK(model_mem_request(s.mem, 0));
	scene_mem_work();
	CHECK_EQ(scene_mem_status().plugged, 64 * MIB);
	CHECK_EQ(scene_mem_status().phase, CF_VMEM_BACKING_OFF);
	/* What it had taken of the first came back. */
	CHECK_EQ(cf_block_info(s.map, s.region_first, &info), 0);
	CHECK_EQ(info.state, CF_BLOCK_ONLINE);
	CHECK_EQ(info.free, s.block);
	CHECK_EQ(cf_block_offline_cancel(&offline), 0);
	for (i = 0; i < 20 && scene_mem_status().plugged; i++) {
		s.now += 1000000;
		scene_mem_work();
	}
	CHECK_EQ(scene_mem_status().plugged, 0);
	CHECK(scene_end());
}

/* Not given up by the host, and the port does not take it back either. */
static void not_unplugged(void)
{
	struct cf_block_info info;

	if (!CHECK(scene_make((struct scene_config){ 0 }) && scene_mem()) ||
	    !CHECK(scene_resize(16 * MIB)))
		return;
	s.mem->refuse = true;
	s.port_refuses = true;
	CHECK(model_mem_request(s.mem, 8 * MIB));
	scene_mem_work();
	CHECK_EQ(scene_mem_status().plugged, 16 * MIB);
	CHECK_EQ(scene_mem_status().phase, CF_VMEM_BACKING_OFF);
	CHECK_EQ(cf_block_info(s.map, s.region_first, &info), 0);
	CHECK(info.free < 16 * MIB_FRAMES);
	CHECK(scene_mem_check());
	s.port_refuses = false;
	s.now += 1000000;
	CHECK(model_mem_request(s.mem, 16 * MIB));
	scene_mem_work();
	CHECK_EQ(cf_block_info(s.map, s.region_first, &info), 0);
	CHECK_EQ(info.free, 16 * MIB_FRAMES);
	s.mem->refuse = false;
	CHECK(scene_mem_check() && scene_end());
}

/* More of those who keep memory than there is room for: the first. */
static void many_stoppers(void)
{
	static const struct cf_owner_ops no_ops;
	struct cf_request request = {
		.order = CF_CHUNK_ORDER,
		.type = CF_TYPE_FOLIO,
		.zone = CF_ZONE_MOVABLE,
		.node = CF_NODE_ANY,
		.flags = CF_ALLOC_FROZEN,
	};
	uint32_t id[CF_VMEM_STOPPERS + 2];
	cf_pfn pfn[CF_VMEM_STOPPERS + 2];
	struct cf_vmem_saved saved;
	struct cf_vmem_status status;
	unsigned i;

	if (!CHECK(scene_make((struct scene_config){ 0 }) && scene_mem()) ||
	    !CHECK(scene_resize(32 * MIB)))
		return;
	for (i = 0; i < CF_VMEM_STOPPERS + 2; i++) {
		CHECK_EQ(cf_owner_register(s.map, "keeps", &no_ops, NULL,
					   &id[i]), 0);
		request.owner = (uint16_t)id[i];
		CHECK_EQ(cf_alloc(s.map, request, &pfn[i]), 0);
		CHECK(pfn[i] >= s.region_first);
	}
	CHECK(model_mem_request(s.mem, 0));
	scene_mem_work();
	status = scene_mem_status();
	CHECK_EQ(status.plugged, (CF_VMEM_STOPPERS + 2) * 2 * MIB);
	CHECK_EQ(status.stoppers, CF_VMEM_STOPPERS);
	for (i = 0; i < CF_VMEM_STOPPERS; i++)
		CHECK_EQ(status.stopper[i].frames, CF_CHUNK_FRAMES);
	/* They are told to who goes on here. */
	cf_vmem_save(&s.vmem, &saved);
	CHECK_EQ(saved.stoppers, CF_VMEM_STOPPERS);
	CHECK_EQ(saved.stopper[3].owner, status.stopper[3].owner);
	saved.stopper[3].owner = 99;
	CHECK_EQ(cf_vmem_adopt(&s.vmem, &saved, s.now), 0);
	CHECK_EQ(scene_mem_status().stopper[3].owner, 99);
	for (i = 0; i < CF_VMEM_STOPPERS + 2; i++) {
		cf_free_frozen(s.map, pfn[i], CF_CHUNK_ORDER);
		CHECK_EQ(cf_owner_unregister(s.map, id[i], NULL), 0);
	}
	s.now += 1000000;
	CHECK(scene_resize(0));
	CHECK(scene_end());
}

/* A block of somebody else's in the region; blocks that are offline. */
static void adopts_blocks(void)
{
	static const struct cf_owner_ops no_ops;
	struct cf_block_config block = { .meta = CF_META_PORT };
	cf_pfn first, last;
	struct cf_vmem_saved saved;
	struct cf_vmem_status status;

	if (!CHECK(scene_make((struct scene_config){ 0 }) && scene_mem()) ||
	    !CHECK(scene_resize(64 * MIB)))
		return;
	first = s.region_first + s.block;
	last = first + s.block;
	CHECK_EQ(cf_block_offline(s.map, first, last, 8, NULL), 0);
	scene_mem_work();
	cf_vmem_save(&s.vmem, &saved);
	CHECK_EQ(cf_vmem_adopt(&s.vmem, &saved, s.now), 0);
	CHECK_EQ(cf_vmem_adopt(&s.vmem, &saved, s.now), 0);
	status = scene_mem_status();
	CHECK_EQ(status.plugged, 64 * MIB);
	CHECK_EQ(cf_block_online(s.map, first, last, CF_ZONE_MOVABLE, NULL),
		 0);
	CHECK_EQ(cf_vmem_adopt(&s.vmem, &saved, s.now), 0);
	first += s.block;
	CHECK_EQ(cf_owner_register(s.map, "other", &no_ops, NULL,
				   &block.range_owner), 0);
	CHECK_EQ(cf_block_add(s.map, first, first + s.block, &block), 0);
	CHECK_EQ(cf_vmem_adopt(&s.vmem, &saved, s.now), -CF_EINVAL);
	CHECK_EQ(cf_block_remove(s.map, first, first + s.block), 0);
	CHECK_EQ(cf_owner_unregister(s.map, block.range_owner, NULL), 0);
	CHECK_EQ(cf_vmem_adopt(&s.vmem, &saved, s.now), 0);
	CHECK(scene_resize(0));
	CHECK(scene_end());
}

/* Of a driver that is not loaded only what is told of it goes on. */
static void adopts_words(void)
{
	static struct cf_balloon balloon;
	static struct cf_vmem vmem;
	struct cf_balloon_saved bal = { .held = 5, .features = LOW };
	struct cf_vmem_saved mem = { .plugged = 8 * MIB, .requested = MIB };
	struct cf_balloon_status balloon_status;
	struct cf_vmem_status status;

	CHECK_EQ(cf_vmem_adopt(&vmem, &mem, 1), 0);
	cf_vmem_status(&vmem, &status);
	CHECK_EQ(status.plugged, 8 * MIB);
	CHECK_EQ(status.requested, MIB);
	CHECK_EQ(cf_balloon_adopt(&balloon, &bal, 1), 0);
	cf_balloon_status(&balloon, &balloon_status);
	CHECK_EQ(balloon_status.features, LOW);
	CHECK_EQ(balloon_status.held, 5);
}

/* ---- frames the device has no number for ---- */

static cf_pfn unnamed;			/* this one and all above */

/* Cut to 32 bits it would be another frame's. */
static cf_pfn far_frame(void *context, cf_pfn pfn)
{
	(void)context;
	return pfn < unnamed ? pfn : pfn + ALL_NUMBERS - s.block;
}

static void unnamed_frames(void)
{
	struct scene_config config = {
		.boot_blocks = 3, .movable = true,
		.balloon = { .device_frame = far_frame, .retry_ms = 500 },
	};
	struct cf_report report;
	struct cf_next next;
	uint64_t moved;

	if (!CHECK(scene_make(config)))
		return;
	unnamed = 2 * s.block;
	if (!CHECK(scene_balloon()))
		return;
	model_balloon_target(s.bal, 2000);
	scene_balloon_work();
	CHECK(s.bal->ballooned <= 2000);
	CHECK_EQ(s.bal->model.violations, 0);
	/* Those that the search found, and then no more for a while. */
	model_balloon_target(s.bal, (uint32_t)(3 * s.block));
	scene_balloon_until(60000);
	CHECK(s.bal->ballooned >= s.block);
	CHECK_EQ(scene_balloon_status().phase, CF_BALLOON_BACKING_OFF);
	next = cf_balloon_work(&s.balloon, s.now);
	CHECK_EQ(next.when, CF_WHEN_AT);
	CHECK(scene_balloon_check());
	/* Nor does one move to where it would have none. */
	model_balloon_target(s.bal, 3000);
	scene_balloon_work();
	CHECK(scene_balloon_status().held > 0);
	moved = scene_balloon_status().migrated;
	unnamed = 0;
	CHECK(cf_block_offline(s.map, s.block, 2 * s.block, 2, &report) != 0);
	CHECK(report.reason != CF_REASON_NONE);
	CHECK_EQ(scene_balloon_status().migrated, moved);
	unnamed = 2 * s.block;
	CHECK(scene_balloon_check());
	CHECK(scene_end());
}

/* ---- a device that breaks between two lines ---- */

static bool breaks_now;

/* Called when numbers are written, right before they are sent. */
static cf_pfn break_here(void *context, cf_pfn pfn)
{
	(void)context;
	if (breaks_now)
		balloon_of(&s.balloon)->device.broken =
			CF_VIRTIO_BROKEN_RING_ID;
	return pfn;
}

static bool breaking_scene(uint64_t features)
{
	struct scene_config config = {
		.boot_blocks = 4, .balloon_features = features,
		.balloon.device_frame = break_here,
	};

	breaks_now = false;
	return CHECK(scene_make(config) && scene_balloon());
}

static uint64_t free_frames(void)
{
	struct cf_stat stat;

	cf_stat(s.map, &stat);
	return stat.free;
}

/* Nothing was sent: all is as it was. */
static void breaks_before_sending(void)
{
	uint64_t before;
	unsigned i;

	for (i = 0; i < 4 && breaking_scene(HINT | REPORT); i++) {
		CHECK(scene_balloon_size(3000));
		/* Used, which is seen, and free again: to be reported. */
		CHECK(data_add(3000, 0));
		scene_balloon_until(3000);
		data_drop(3000);
		s.now += 3000;
		before = free_frames();
		breaks_now = true;
		if (i < 2)
			model_balloon_target(s.bal, i ? 4000 : 100);
		if (i == 3)
			model_balloon_hint(s.bal, 2);
		scene_balloon_work();
		CHECK_EQ(scene_balloon_status().broken,
			 CF_VIRTIO_BROKEN_RING_ID);
		CHECK_EQ(scene_balloon_status().held, 3000);
		CHECK_EQ(scene_balloon_status().deflating, 0);
		CHECK_EQ(scene_balloon_status().reporting, 0);
		CHECK_EQ(scene_balloon_status().hinted, 0);
		CHECK_EQ(free_frames(), before);
		CHECK_EQ(s.bal->ballooned, 3000);
		CHECK(scene_balloon_check() && scene_end());
	}
}

/* A block with frames of the balloon, and none that is being reported. */
static bool moves_out_of(cf_pfn *ret_first)
{
	cf_pfn at, first;
	struct cf_span span;
	unsigned held, other;

	for (first = s.block; first < s.boot_last; first += s.block) {
		held = other = 0;
		cf_walk_begin(s.map);
		for (at = first; cf_walk_next(s.map, &at, first + s.block,
					      &span); ) {
			if (span.kind != CF_SPAN_RUN ||
			    span.type != CF_TYPE_OFFLINE)
				continue;
			held += span.payload == FRAME_HELD;
			other += span.payload != FRAME_HELD;
		}
		cf_walk_end(s.map);
		*ret_first = first;
		if (held && !other)
			return true;
	}
	return false;
}

static unsigned relaxed;

/* While the first half of a migration waits, all answers come. */
static void answer_all(void *context, unsigned spins)
{
	(void)context;
	(void)spins;
	relaxed++;
	model_answer(&s.bal->model, ~(uint64_t)0);
}

/*
 * The source is back, and the device has lied about a report meanwhile: it
 * is not told of the target, which is the guest's as the source is.
 */
static void breaks_in_a_move(void)
{
	struct scene_config config = {
		.boot_blocks = 8, .movable = true, .balloon_features = REPORT,
		.balloon = { .relax = answer_all, .report_ms = ~(uint64_t)0 },
	};
	uint64_t held;
	cf_pfn first;

	if (!CHECK(scene_make(config) && scene_balloon()) ||
	    !CHECK(scene_balloon_size(9000)))
		return;
	relaxed = 0;
	model_late(&s.bal->model, true);
	CHECK(cf_balloon_report(&s.balloon));
	scene_balloon_work();
	CHECK(scene_balloon_status().reporting > 0);
	if (!CHECK(moves_out_of(&first)))
		return;
	held = scene_balloon_status().held;
	/* Answers come queue by queue: that of the report is the second. */
	model_trick(&s.bal->model, MODEL_LIE_ID_RANGE, 2);
	CHECK(cf_block_offline(s.map, first, first + s.block, 1, NULL) != 0);
	CHECK_EQ(relaxed, 1);
	CHECK_EQ(scene_balloon_status().broken, CF_VIRTIO_BROKEN_RING_ID);
	/* One run was given back and no other was taken for it. */
	CHECK(scene_balloon_status().held < held);
	CHECK_EQ(s.bal->ballooned, scene_balloon_status().held);
	CHECK_EQ(cf_balloon_remove(&s.balloon, NULL), 0);
	s.balloon_open = false;
	CHECK(scene_balloon_check() && scene_end());
}

/* ---- the layers below ---- */

static void small_things(void)
{
	struct cf_virtio_memory memory = { .bytes = 64 };
	struct cf_virtio_queue queue = { .size = 8 };
	struct cf_ring_slot slot[8];
	struct cf_virtio device;
	struct cf_ring ring;
	uint8_t bytes[4] = { 0 };

	CHECK_EQ(cf_ring_private_bytes(8), sizeof(slot));
	if (!CHECK(scene_make((struct scene_config){ .bus = BUS_PCI }) &&
		   scene_mem()))
		return;
	CHECK_EQ(cf_virtio_pci_ops.config_write(&s.bus[0].pci, 1 << 20, bytes,
						4), -CF_EINVAL);
	CHECK_EQ(cf_virtio_pci_ops.queue_enable(&s.bus[0].pci, 0xffff,
						&queue), -CF_EREFUSED);
	CHECK(scene_resize(4 * MIB));
	/* Another look at the same device: a second driver's. */
	CHECK_EQ(cf_virtio_open(&device, &cf_virtio_pci_ops, &s.bus[0].pci,
				CF_VIRTIO_ID_MEM), 0);
	CHECK_EQ(cf_virtio_queue(&device, 0, 8, &memory, slot, &ring),
		 -CF_ENOMEM);
	CHECK_EQ(cf_virtio_break(&device, CF_VIRTIO_BROKEN_ID, 1),
		 -CF_EREFUSED);
	CHECK_EQ(cf_virtio_break(&device, CF_VIRTIO_BROKEN_QUEUE, 2),
		 -CF_EREFUSED);
	CHECK_EQ(device.broken, CF_VIRTIO_BROKEN_ID);
	CHECK_EQ(device.broken_value, 1);
	/* The first driver sees that it was reset. */
	scene_mem_work();
	CHECK_EQ(scene_mem_status().broken, CF_VIRTIO_BROKEN_STATUS);
	CHECK(scene_end());
	/* A queue that is ready is somebody's, or the device did not reset. */
	if (!CHECK(scene_make((struct scene_config){ .bus = BUS_MMIO }) &&
		   scene_mem()))
		return;
	CHECK_EQ(cf_virtio_mmio_ops.queue_size(&s.bus[0].mmio, 0), 0);
	CHECK(scene_end());
}

int main(void)
{
	cf_host_enter();
	tap_run("queues of one", queue_of_one);
	tap_run("queues of a few", queues_of_few);
	tap_run("features that come and go", fickle);
	tap_run("drivers that are not open", not_opened);
	tap_run("no owner is left", no_owner_left);
	tap_run("starts and ends beside an operation", starts_beside_operation);
	tap_run("a unit too large for a request", unit_too_large);
	tap_run("more than a request can ask for", many_at_once);
	tap_run("big blocks, online in zone NORMAL", big_and_normal);
	tap_run("says of a frame that it is not plugged", describes);
	tap_run("the first wait is the longest", one_wait);
	tap_run("plugged while its block goes", exposes_later);
	tap_run("a unit somebody else is at", unit_is_anothers);
	tap_run("neither unplugged nor taken back", not_unplugged);
	tap_run("many who keep memory", many_stoppers);
	tap_run("adopts blocks as they are", adopts_blocks);
	tap_run("adopts what is told", adopts_words);
	tap_run("frames without a number", unnamed_frames);
	tap_run("breaks before something is sent", breaks_before_sending);
	tap_run("breaks in the middle of a move", breaks_in_a_move);
	tap_run("queues, status, transports", small_things);
	return tap_done();
}
