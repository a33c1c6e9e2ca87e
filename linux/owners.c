/* SPDX-License-Identifier: MIT */
#include "owners.h"

#include <coldframe/types.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "words.h"

#define MAPPING_MAX	(UINT64_C(1) << 36)
#define BATCH		4096
#define CGROUPS		"sys/fs/cgroup"
#define DEPTH_MAX	16

/* An entry of pagemap: the frame, if the page is in memory. */
#define PRESENT		(UINT64_C(1) << 63)
#define PAGEMAP_PFN	((UINT64_C(1) << 55) - 1)

struct search {
	const char *root;
	const struct lx_asked *asked;
	struct lx_owners *owners;
	struct lx_error *err;
	const char *field;
	uint64_t pid;
	int pagemap;
	struct lx_owner found;
	uint64_t batch[BATCH];
};

static int add_owner(struct lx_owners *owners, const struct lx_owner *new,
		     struct lx_error *err)
{
	size_t room = owners->room ? 2 * owners->room : 16;
	struct lx_owner *owner;

	if (owners->count == LX_OWNERS_MAX)
		return 0;
	if (owners->count == owners->room) {
		owner = realloc(owners->owner, room * sizeof(*owner));
		if (!owner)
			return lx_fail(err, LX_EREAD, "out of memory");
		owners->owner = owner;
		owners->room = room;
	}
	owners->owner[owners->count++] = *new;
	return 0;
}

static int compare_owners(const void *a, const void *b)
{
	const struct lx_owner *left = a, *right = b;

	if (left->frames != right->frames)
		return left->frames > right->frames ? -1 : 1;
	return (left->id > right->id) - (left->id < right->id);
}

static void sort_owners(struct lx_owners *owners)
{
	if (owners->count)
		qsort(owners->owner, owners->count, sizeof(*owners->owner),
		      compare_owners);
}

void lx_owners_free(struct lx_owners *owners)
{
	free(owners->owner);
	*owners = (struct lx_owners){ .count = 0 };
}

static void count_frame(const struct lx_asked *asked, uint64_t pfn,
			struct lx_owner *owner)
{
	unsigned int mark = asked->mark ?
			    lx_mark_get(asked->mark, pfn - asked->first) : 0;

	owner->frames++;
	if (!mark)
		return;
	owner->marked++;
	owner->by_mark[mark]++;
}

static void read_name(const struct search *search, struct lx_owner *owner)
{
	char name[64], line[LX_LINE_BYTES];
	struct lx_error ignored;

	snprintf(name, sizeof(name), "proc/%" PRIu64 "/comm", owner->id);
	if (!lx_first_line(search->root, name, line, &ignored))
		snprintf(owner->name, sizeof(owner->name), "%.95s", line);
	lx_clean(owner->name);
}

/* All that pagemap has between two addresses. */
static void scan_mapping(struct search *search, uint64_t first, uint64_t last)
{
	const struct lx_asked *asked = search->asked;
	uint64_t page = first >> CF_FRAME_SHIFT, end = last >> CF_FRAME_SHIFT;
	ssize_t got, i;

	while (page < end) {
		size_t want = end - page < BATCH ? (size_t)(end - page) :
						   BATCH;

		got = pread(search->pagemap, search->batch,
			    want * sizeof(uint64_t),
			    (off_t)(page * sizeof(uint64_t)));
		got /= (ssize_t)sizeof(uint64_t);
		if (got <= 0)
			return;
		for (i = 0; i < got; i++) {
			uint64_t pfn = search->batch[i] & PAGEMAP_PFN;

			if (!(search->batch[i] & PRESENT) ||
			    pfn < asked->first || pfn >= asked->last)
				continue;
			count_frame(asked, pfn, &search->found);
		}
		page += (uint64_t)got;
	}
}

/* "7f00-7f01 rw-p ...": a line that is not so says nothing. */
static int scan_line(void *context, char *line)
{
	struct search *search = context;
	uint64_t first, last;
	const char *at;

	if (lx_number(line, 16, &at, &first) && *at == '-' &&
	    lx_number(at + 1, 16, &at, &last) && first < last &&
	    last - first <= MAPPING_MAX &&
	    last <= UINT64_C(1) << 57)
		scan_mapping(search, first, last);
	return 0;
}

static int scan_process(struct search *search)
{
	struct lx_error ignored;
	char name[64];

	snprintf(name, sizeof(name), "proc/%" PRIu64 "/pagemap", search->pid);
	search->pagemap = lx_open(search->root, name, false, &ignored);
	if (search->pagemap < 0)
		return 0;
	snprintf(name, sizeof(name), "proc/%" PRIu64 "/maps", search->pid);
	(void)lx_lines(search->root, name, scan_line, search, &ignored);
	close(search->pagemap);
	return 0;
}

static int take_field(void *context, char *line)
{
	struct search *search = context;
	size_t length = strlen(search->field);
	const char *at;
	uint64_t kib;

	if (strncmp(line, search->field, length))
		return 0;
	at = line + length;
	at += strspn(at, " \t");
	if (lx_number(at, 10, &at, &kib))
		search->found.frames = kib / (CF_FRAME_BYTES / 1024);
	return 0;
}

static int read_status(struct search *search)
{
	char name[64];
	struct lx_error ignored;

	snprintf(name, sizeof(name), "proc/%" PRIu64 "/status", search->pid);
	(void)lx_lines(search->root, name, take_field, search, &ignored);
	return 0;
}

static int visit(void *context, const char *name)
{
	struct search *search = context;
	int ret;

	/* This process is gone when its answer is read. */
	if (!lx_number(name, 10, NULL, &search->pid) ||
	    (search->pid == (uint64_t)getpid() && !strcmp(search->root, "/")))
		return 0;
	search->found = (struct lx_owner){ .id = search->pid };
	ret = search->field ? read_status(search) : scan_process(search);
	if (ret || !search->found.frames)
		return ret;
	read_name(search, &search->found);
	return add_owner(search->owners, &search->found, search->err);
}

static int visit_all(struct search *search)
{
	int ret;

	if (lx_mount_find(search->root))
		return lx_fail(search->err, LX_EMISSING, "%s: a capture knows "
			       "of no processes", search->root);
	ret = lx_names(search->root, "proc", visit, search, search->err);
	if (ret)
		lx_owners_free(search->owners);
	sort_owners(search->owners);
	return ret;
}

int lx_owners_mapped(const char *root, const struct lx_asked *asked,
		     struct lx_owners *owners, struct lx_error *err)
{
	struct search search = {
		.root = root, .asked = asked, .owners = owners, .err = err,
	};

	return visit_all(&search);
}

int lx_owners_field(const char *root, const char *field,
		    struct lx_owners *owners, struct lx_error *err)
{
	struct search search = {
		.root = root, .owners = owners, .err = err, .field = field,
	};

	return visit_all(&search);
}

static int count_inode(struct search *search, uint64_t inode, uint64_t pfn)
{
	struct lx_owners *owners = search->owners;
	struct lx_owner new = { .id = inode };
	size_t i = owners->count;
	int ret;

	/* Frames beside each other mostly have the same group. */
	while (i && owners->owner[i - 1].id != inode)
		i--;
	if (!i) {
		ret = add_owner(owners, &new, search->err);
		if (ret || owners->count == LX_OWNERS_MAX)
			return ret;
		i = owners->count;
	}
	count_frame(search->asked, pfn, &owners->owner[i - 1]);
	return 0;
}

static int read_inodes(struct search *search, struct lx_words *words)
{
	uint64_t pfn = search->asked->first, last = search->asked->last;
	size_t count = 1, i;
	int ret = lx_words_seek(words, pfn, search->err);

	while (!ret && pfn < last && count) {
		ret = lx_words_read(words, search->batch, last - pfn < BATCH ?
				    (size_t)(last - pfn) : BATCH, &count,
				    search->err);
		for (i = 0; !ret && i < count; i++) {
			if (search->batch[i])
				ret = count_inode(search, search->batch[i],
						  pfn + i);
		}
		pfn += count;
	}
	return ret;
}

/* A folder that is being looked through for groups. */
struct walk {
	struct search *search;
	char path[4096];		/* below the root */
	unsigned int depth;
};

/* The inode of a folder, which is the number of its group; 0: no folder. */
static uint64_t inode_of(const char *root, const char *folder)
{
	struct lx_error ignored;
	struct stat status;
	uint64_t inode = 0;
	int fd = lx_open(root, folder, true, &ignored);

	if (fd < 0)
		return 0;
	if (!fstat(fd, &status))
		inode = status.st_ino;
	close(fd);
	return inode;
}

static int name_group(void *context, const char *name)
{
	struct walk *walk = context, below;
	struct lx_owners *owners = walk->search->owners;
	struct lx_error ignored;
	uint64_t inode;
	size_t i;

	if (walk->depth == DEPTH_MAX ||
	    snprintf(below.path, sizeof(below.path), "%s/%s", walk->path,
		     name) >= (int)sizeof(below.path))
		return 0;
	inode = inode_of(walk->search->root, below.path);
	if (!inode)
		return 0;
	for (i = 0; i < owners->count; i++) {
		if (owners->owner[i].id != inode)
			continue;
		snprintf(owners->owner[i].name, sizeof(owners->owner[i].name),
			 "%.95s", below.path + strlen(CGROUPS));
		lx_clean(owners->owner[i].name);
	}
	below.search = walk->search;
	below.depth = walk->depth + 1;
	(void)lx_names(walk->search->root, below.path, name_group, &below,
		       &ignored);
	return 0;
}

static void name_groups(struct search *search)
{
	struct walk walk = { .search = search, .path = CGROUPS };
	struct lx_error ignored;
	uint64_t inode;
	size_t i;

	if (lx_mount_find(search->root))
		return;
	(void)lx_names(search->root, CGROUPS, name_group, &walk, &ignored);
	inode = inode_of(search->root, CGROUPS);
	for (i = 0; i < search->owners->count; i++) {
		if (inode && search->owners->owner[i].id == inode)
			strcpy(search->owners->owner[i].name, "/");
	}
}

int lx_owners_cgroups(const char *root, const struct lx_asked *asked,
		      struct lx_owners *owners, struct lx_error *err)
{
	struct search search = {
		.root = root, .asked = asked, .owners = owners, .err = err,
	};
	struct lx_words words;
	int ret;

	ret = lx_words_open(&words, root, "proc/kpagecgroup", err);
	if (ret)
		return ret;
	ret = read_inodes(&search, &words);
	lx_words_close(&words);
	if (ret)
		lx_owners_free(owners);
	else
		name_groups(&search);
	sort_owners(owners);
	return ret;
}

/* "name active total size per-slab pages-per-slab : ... slabdata A N S" */
static int take_slab(void *context, char *line)
{
	struct search *search = context;
	struct lx_owner owner = { .id = search->owners->count };
	size_t length = strcspn(line, " ");
	uint64_t number[5], slabs;
	const char *at = line + length;
	unsigned int i;

	for (i = 0; i < 5; i++) {
		at += strspn(at, " ");
		if (!lx_number(at, 10, &at, &number[i]))
			return 0;
	}
	at = strstr(at, "slabdata");
	if (!at || !length || length >= sizeof(owner.name))
		return 0;
	for (i = 0, at += 8; i < 2; i++) {
		at += strspn(at, " ");
		if (!lx_number(at, 10, &at, &slabs))
			return 0;
	}
	memcpy(owner.name, line, length);
	if (__builtin_mul_overflow(slabs, number[4], &owner.frames) ||
	    !owner.frames)
		return 0;
	return add_owner(search->owners, &owner, search->err);
}

int lx_owners_slabs(const char *root, struct lx_owners *owners,
		    struct lx_error *err)
{
	struct search search = { .root = root, .owners = owners, .err = err };
	int ret = lx_lines(root, "proc/slabinfo", take_slab, &search, err);

	if (ret)
		lx_owners_free(owners);
	sort_owners(owners);
	return ret;
}

static int add_caller(struct search *search, const struct lx_owner *new)
{
	struct lx_owners *owners = search->owners;
	size_t i;

	for (i = 0; i < owners->count; i++) {
		if (strcmp(owners->owner[i].name, new->name))
			continue;
		if (__builtin_add_overflow(owners->owner[i].frames,
					   new->frames,
					   &owners->owner[i].frames))
			owners->owner[i].frames = UINT64_MAX;
		return 0;
	}
	return owners->count < LX_CALLERS_MAX ?
	       add_owner(owners, new, search->err) : 0;
}

/* "0x1-0x2 8192 caller+0x1/0x2 [module] pages=1 vmalloc N0=1" */
static int take_caller(void *context, char *line)
{
	struct search *search = context;
	struct lx_owner caller = { .id = search->owners->count };
	const char *pages = strstr(line, " pages="), *at, *module, *end;
	int length, module_length = 0;
	uint64_t bytes;

	at = strchr(line, ' ');
	if (!pages || !at ||
	    !lx_number(at + strspn(at, " "), 10, &at, &bytes) || *at != ' ' ||
	    !lx_number(pages + 7, 10, &end, &caller.frames))
		return 0;
	/* A line without a caller goes on with its pages. */
	if (pages < ++at)
		return 0;
	length = (int)strcspn(at, " +");
	module = strchr(at, ' ');
	if (module && module[1] == '[')
		module_length = (int)strcspn(module, "]") + 1;
	if (!length || !caller.frames || length > 60 || module_length > 30)
		return 0;
	snprintf(caller.name, sizeof(caller.name), "%.*s%.*s", length, at,
		 module_length, module ? module : "");
	lx_clean(caller.name);
	return add_caller(search, &caller);
}

int lx_owners_vmalloc(const char *root, struct lx_owners *owners,
		      struct lx_error *err)
{
	struct search search = { .root = root, .owners = owners, .err = err };
	int ret = lx_lines(root, "proc/vmallocinfo", take_caller, &search, err);

	if (ret)
		lx_owners_free(owners);
	sort_owners(owners);
	return ret;
}
