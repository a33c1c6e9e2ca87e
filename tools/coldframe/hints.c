/* SPDX-License-Identifier: MIT */
#include "why.h"

#include <inttypes.h>
#include <string.h>

#define NAMED	3		/* of a list, in a line */

/* Marks of classes for which the processes that map a frame are named. */
enum { MARK_NONE, MARK_DOUBT, MARK_MLOCKED, MARK_GIGANTIC, MARK_MAPPED };

_Static_assert(MARK_MAPPED + 1 == LX_MARKS, "a mark each");

unsigned int hints_mark(enum lx_class class)
{
	switch (class) {
	case LX_CLASS_MLOCKED:
		return MARK_MLOCKED;
	case LX_CLASS_GIGANTIC:
		return MARK_GIGANTIC;
	case LX_CLASS_MAPPED:
		return MARK_MAPPED;
	default:
		return lx_class_role(class) == LX_ROLE_DOUBT ? MARK_DOUBT :
							       MARK_NONE;
	}
}

uint64_t hints_doubtful(const struct lx_owner *owner)
{
	return owner->marked - owner->by_mark[MARK_MAPPED];
}

/* lx_pin_fn */
static bool is_asked(void *context, uint64_t pfn)
{
	const struct lx_range *range = context;

	return pfn >= range->first && pfn < range->last;
}

void hints_read(struct hints *hints, const char *root,
		const struct lx_asked *asked, const struct lx_piece *piece)
{
	struct lx_range range = { asked->first, asked->last };
	bool locked = !piece || piece->count[LX_CLASS_MLOCKED];
	bool mapped = locked || piece->count[LX_CLASS_GIGANTIC] ||
		      piece->count[LX_CLASS_MAPPED];
	struct lx_error ignored;

	(void)lx_pins_walk(root, is_asked, &range, &hints->holders, &ignored);
	if (mapped)
		(void)lx_owners_mapped(root, asked, &hints->mapped, &ignored);
	if (!piece)
		(void)lx_owners_cgroups(root, asked, &hints->cgroups,
					&ignored);
	if (locked)
		(void)lx_owners_field(root, "VmLck:", &hints->locked,
				      &ignored);
	(void)lx_owners_field(root, "VmPin:", &hints->pinned, &ignored);
	if (!piece || piece->count[LX_CLASS_SLAB])
		(void)lx_owners_slabs(root, &hints->slabs, &ignored);
	if (!piece || piece->count[LX_CLASS_PGTABLE])
		(void)lx_owners_field(root, "VmPTE:", &hints->tables,
				      &ignored);
	if (!piece || piece->count[LX_CLASS_UNTYPED])
		(void)lx_owners_vmalloc(root, &hints->callers, &ignored);
}

void hints_free(struct hints *hints)
{
	lx_owners_free(&hints->mapped);
	lx_owners_free(&hints->cgroups);
	lx_owners_free(&hints->locked);
	lx_owners_free(&hints->pinned);
	lx_owners_free(&hints->holders);
	lx_owners_free(&hints->slabs);
	lx_owners_free(&hints->tables);
	lx_owners_free(&hints->callers);
}

/* "before a, b, c", or with pids. False: the list is empty. */
static bool name_some(const struct lx_owners *owners, const char *before,
		      bool pids, struct hint *hint)
{
	size_t i, at, room = sizeof(hint->text);

	at = (size_t)snprintf(hint->text, room, "%s", before);
	for (i = 0; i < owners->count && i < NAMED && at < room - 60; i++) {
		at += (size_t)snprintf(hint->text + at, room - at, "%s%.40s",
				       i ? ", " : " ", owners->owner[i].name);
		if (pids)
			at += (size_t)snprintf(hint->text + at, room - at,
					       " (%" PRIu64 ")",
					       owners->owner[i].id);
	}
	return owners->count;
}

/* The first processes that have frames of this class mapped. */
static bool name_marked(const struct hints *hints, enum lx_class class,
			struct hint *hint)
{
	unsigned int mark = hints_mark(class);
	struct lx_owner some[NAMED];
	struct lx_owners marked = { .owner = some };
	size_t i;

	for (i = 0; i < hints->mapped.count && marked.count < NAMED; i++) {
		if (hints->mapped.owner[i].by_mark[mark])
			some[marked.count++] = hints->mapped.owner[i];
	}
	hint->confidence = LX_PROVED;
	return name_some(&marked, "mapped by", true, hint);
}

static void say(struct hint *hint, enum lx_confidence confidence,
		const char *text)
{
	hint->confidence = confidence;
	snprintf(hint->text, sizeof(hint->text), "%s", text);
}

static void say_reserved(const struct lx_host *host,
			 const struct lx_piece *piece, struct hint *hint)
{
	const struct lx_region *region;

	region = lx_regions_find(&host->regions, "Kernel ", piece->first,
				 piece->first + piece->frames);
	if (region)
		say(hint, LX_PROVED, "the kernel's own code and data, and "
		    "what it took at boot");
	else
		say(hint, LX_LIKELY, "what the kernel took at boot, such as "
		    "frame descriptors");
}

/* A balloon may have frames of virtio-mem's; those never onlined it cannot. */
static void say_offline(const struct lx_host *host, enum lx_class class,
			const struct lx_piece *piece, struct hint *hint)
{
	bool virtio_mem = lx_regions_find(&host->regions,
					  "System RAM (virtio_mem)",
					  piece->first,
					  piece->first + piece->frames);

	if (virtio_mem && (class == LX_CLASS_NEVER_ONLINED || !host->balloon))
		say(hint, LX_PROVED, "virtio-mem: unplugged parts");
	else if (virtio_mem)
		say(hint, LX_LIKELY, "a balloon, or unplugged parts of "
		    "virtio-mem");
	else if (host->balloon)
		say(hint, LX_LIKELY, "a balloon");
	else
		say(hint, LX_POSSIBLE, "Hyper-V, Xen or VMware, or a driver "
		    "of this kernel");
}

static void say_untyped(const struct hints *hints, const struct lx_host *host,
			struct hint *hint)
{
	struct hint callers = { .text = "vmalloc" };
	uint64_t cached = 0;
	size_t i;

	for (i = 0; i < host->zones.count; i++)
		cached += host->zones.zone[i].cached;
	if (hints->callers.count)
		(void)name_some(&hints->callers, "vmalloc, most by", false,
				&callers);
	hint->confidence = LX_POSSIBLE;
	snprintf(hint->text, sizeof(hint->text), "drivers, per-CPU data; CPUs "
		 "cache %" PRIu64 " free frames; %.130s", cached,
		 callers.text);
}

static void say_tables(const struct hints *hints, struct hint *hint)
{
	hint->confidence = LX_POSSIBLE;
	if (!name_some(&hints->tables, "page tables; most have", true, hint))
		say(hint, LX_PROVED, lx_class_meaning(LX_CLASS_PGTABLE));
}

static void say_locked(const struct hints *hints, struct hint *hint)
{
	if (name_marked(hints, LX_CLASS_MLOCKED, hint))
		return;
	hint->confidence = LX_LIKELY;
	if (!name_some(&hints->locked, "processes that lock memory:", true,
		       hint))
		say(hint, LX_POSSIBLE, "files or shared memory that are "
		    "locked");
}

/* Mapped by processes; if none is found, it is for what such frames are. */
static void say_mapped(const struct hints *hints, enum lx_class class,
		       struct hint *hint)
{
	if (!name_marked(hints, class, hint))
		say(hint, LX_POSSIBLE, lx_class_meaning(class));
}

static void say_user(const struct hints *hints, const char *otherwise,
		     struct hint *hint)
{
	const struct lx_owner *group = hints->cgroups.owner;

	say(hint, LX_POSSIBLE, otherwise);
	if (!hints->cgroups.count || !group->name[0])
		return;
	hint->confidence = LX_LIKELY;
	snprintf(hint->text, sizeof(hint->text), "mostly of cgroup %.95s",
		 group->name);
}

/* What a class is can be as doubtful as whether it moves. */
static enum lx_confidence confidence_of(enum lx_class class)
{
	if (class == LX_CLASS_HELD)
		return LX_LIKELY;
	return lx_class_role(class) == LX_ROLE_DOUBT ? LX_POSSIBLE : LX_PROVED;
}

static void choose(const struct hints *hints, const struct lx_host *host,
		   enum lx_class class, const struct lx_piece *piece,
		   struct hint *ret_hint)
{
	switch (class) {
	case LX_CLASS_SLAB:
		ret_hint->confidence = LX_POSSIBLE;
		if (!name_some(&hints->slabs, "kernel; largest caches:",
			       false, ret_hint))
			say(ret_hint, LX_PROVED, "kernel objects");
		return;
	case LX_CLASS_PGTABLE:
		say_tables(hints, ret_hint);
		return;
	case LX_CLASS_RESERVED:
		say_reserved(host, piece, ret_hint);
		return;
	case LX_CLASS_OFFLINE:
	case LX_CLASS_NEVER_ONLINED:
		say_offline(host, class, piece, ret_hint);
		return;
	case LX_CLASS_UNTYPED:
		say_untyped(hints, host, ret_hint);
		return;
	case LX_CLASS_MLOCKED:
		say_locked(hints, ret_hint);
		return;
	case LX_CLASS_GIGANTIC:
	case LX_CLASS_MAPPED:
		say_mapped(hints, class, ret_hint);
		return;
	case LX_CLASS_ANON:
	case LX_CLASS_FILE:
	case LX_CLASS_HUGETLB:
		say_user(hints, lx_class_meaning(class), ret_hint);
		return;
	default:
		say(ret_hint, confidence_of(class), lx_class_meaning(class));
	}
}

/* Names that are cut may end inside a character. */
void hints_of(const struct hints *hints, const struct lx_host *host,
	      enum lx_class class, const struct lx_piece *piece,
	      struct hint *ret_hint)
{
	choose(hints, host, class, piece, ret_hint);
	lx_clean(ret_hint->text);
}
