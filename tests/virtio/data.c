/* SPDX-License-Identifier: MIT */

/* Movable folios that know what they hold. */

#include "tests/virtio/scene.h"

static uint64_t *words_of(unsigned index)
{
	void *at = s.memory.base + s.data.pfn[index] * CF_FRAME_BYTES;

	return at;
}

static uint64_t mark(unsigned index, unsigned frame)
{
	return 0x9e3779b97f4a7c15u * (index + 1) + frame;
}

static void fill(unsigned index)
{
	unsigned frames = 1u << s.data.order[index], i;

	for (i = 0; i < frames; i++) {
		words_of(index)[i * 512] = mark(index, i);
		words_of(index)[i * 512 + 511] = ~mark(index, i);
	}
}

static bool holds(unsigned index)
{
	unsigned frames = 1u << s.data.order[index], i;

	for (i = 0; i < frames; i++)
		if (words_of(index)[i * 512] != mark(index, i) ||
		    words_of(index)[i * 512 + 511] != ~mark(index, i))
			return false;
	return true;
}

unsigned data_find(cf_pfn first, cf_pfn last)
{
	unsigned i;

	for (i = 0; i < s.data.count; i++)
		if (s.data.pfn[i] >= first && s.data.pfn[i] < last)
			return i;
	return ~0u;
}

static int data_isolate(void *context, cf_pfn pfn, unsigned order)
{
	(void)context;
	(void)pfn;
	(void)order;
	return s.data.stubborn;
}

static pthread_mutex_t *shared_lock;

void data_share(pthread_mutex_t *lock)
{
	shared_lock = lock;
}

static int move(cf_pfn source, cf_pfn target, unsigned order)
{
	unsigned index = data_find(source, source + 1);

	if (index == ~0u || cf_freeze(s.map, source, 2))
		return -CF_EAGAIN;
	if (cf_copy_run(s.map, source, target, order)) {
		cf_unfreeze(s.map, source, 2);
		return -CF_EPORT;
	}
	s.data.pfn[index] = target;
	s.data.moved++;
	cf_unfreeze(s.map, target, 1);
	return 0;
}

static int data_migrate(void *context, cf_pfn source, cf_pfn target,
			unsigned order)
{
	int err;

	(void)context;
	if (shared_lock)
		pthread_mutex_lock(shared_lock);
	err = move(source, target, order);
	if (shared_lock)
		pthread_mutex_unlock(shared_lock);
	return err;
}

static const struct cf_owner_ops data_ops = {
	.isolate = data_isolate,
	.migrate = data_migrate,
};

bool data_add(unsigned count, unsigned order)
{
	struct cf_request request = {
		.order = (uint8_t)order,
		.type = CF_TYPE_FOLIO,
		.zone = CF_ZONE_MOVABLE,
		.node = CF_NODE_ANY,
	};
	unsigned index;

	if (!s.data.owner &&
	    cf_owner_register(s.map, "data", &data_ops, NULL, &s.data.owner))
		return false;
	request.owner = (uint16_t)s.data.owner;
	while (count--) {
		index = s.data.count;
		if (index == SCENE_FOLIOS ||
		    cf_alloc(s.map, request, &s.data.pfn[index]))
			return false;
		s.data.order[index] = (uint8_t)order;
		s.data.count++;
		fill(index);
	}
	return true;
}

bool data_check(void)
{
	unsigned i;

	for (i = 0; i < s.data.count; i++)
		if (!holds(i)) {
			tap_print("# folio %u at %#llx lost its contents\n", i,
				  (unsigned long long)s.data.pfn[i]);
			return CHECK(false);
		}
	return true;
}

/* From the last one on. */
void data_drop(unsigned count)
{
	while (count-- && s.data.count)
		cf_put(s.map, s.data.pfn[--s.data.count]);
}

/* Marks go by index: what is kept is marked anew. */
void data_thin(unsigned keep)
{
	unsigned from, to = 0;

	for (from = 0; from < s.data.count; from++) {
		if (from % keep) {
			cf_put(s.map, s.data.pfn[from]);
			continue;
		}
		s.data.pfn[to] = s.data.pfn[from];
		s.data.order[to] = s.data.order[from];
		fill(to++);
	}
	s.data.count = to;
}
