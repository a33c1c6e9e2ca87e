/* SPDX-License-Identifier: MIT */
#include "dump.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "linux/sysroot.h"

#define RANGES_MAX	((size_t)1 << 24)

/* Four levels of tables of 512 entries, with pages of 4 KiB. */
struct tables {
	const char *name;
	uint64_t present;		/* bits of an entry that is one ... */
	uint64_t large, large_value;	/* ... and leads to memory above 0 */
};

static const struct tables tables[] = {
	{ "x86-64", 1, 1u << 7, 1u << 7 },
	{ "aarch64", 1, 1u << 1, 0 },
};

#define ENTRY_ADDRESS	0x0000fffffffff000u

/* A frame of the file, kept for the next time; NULL: it has none. */
static const unsigned char *cached(struct dump *dump, uint64_t frame)
{
	unsigned i = (unsigned)((frame ^ frame >> 6) % DUMP_CACHE_FRAMES);
	struct dump_why why;

	if (dump->cache[i].frame == frame + 1)
		return dump->cache[i].memory;
	dump->cache[i].frame = 0;
	if (dump_file_read(&dump->file, frame, dump->cache[i].memory, &why) !=
	    1)
		return NULL;
	dump->cache[i].frame = frame + 1;
	return dump->cache[i].memory;
}

static bool walk_tables(struct dump *dump, uint64_t address,
			uint64_t *ret_physical)
{
	uint64_t table = dump->root & ENTRY_ADDRESS, entry;
	unsigned level;

	for (level = 3;; level--) {
		unsigned shift = CF_FRAME_SHIFT + 9 * level;
		uint64_t within = ((uint64_t)1 << shift) - 1;
		const unsigned char *memory = cached(dump, table /
						     CF_FRAME_BYTES);

		if (!memory)
			return false;
		memcpy(&entry, memory + 8 * (address >> shift & 511), 8);
		if (!(entry & dump->tables->present))
			return false;
		table = entry & ENTRY_ADDRESS;
		if (level && (level == 3 || (entry & dump->tables->large) !=
					    dump->tables->large_value))
			continue;
		*ret_physical = (table & ~within) | (address & within);
		return true;
	}
}

/* Which frame of the file an address is in. */
static bool find_address(struct dump *dump, uint64_t address,
			 uint64_t *ret_frame)
{
	size_t low = 0, high = dump->ranges;
	uint64_t physical;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct dump_range *range = &dump->range[middle];

		if (address - range->address <
		    range->count * CF_FRAME_BYTES) {
			*ret_frame = range->frame +
				     (address - range->address) /
				     CF_FRAME_BYTES;
			return true;
		}
		if (range->address < address)
			low = middle + 1;
		else
			high = middle;
	}
	if (dump->root ? !walk_tables(dump, address, &physical) :
			 !dump_file_physical(&dump->file, address, &physical))
		return false;
	*ret_frame = physical / CF_FRAME_BYTES;
	return true;
}

int dump_memory(void *context, uint64_t address, void *memory, size_t bytes)
{
	struct dump *dump = context;
	unsigned char *to = memory;

	while (bytes) {
		size_t within = address % CF_FRAME_BYTES;
		size_t part = CF_FRAME_BYTES - within;
		const unsigned char *from;
		uint64_t frame;

		part = part < bytes ? part : bytes;
		if (!find_address(dump, address, &frame))
			return -1;
		from = cached(dump, frame);
		if (!from)
			return -1;
		memcpy(to, from + within, part);
		to += part;
		address += part;
		bytes -= part;
	}
	return 0;
}

/* ---- the note ---- */

/* Numbers with commas between; the rest of the value behind them. */
static bool take_numbers(const char **value, size_t *bytes, unsigned base,
			 uint64_t *numbers, size_t count)
{
	size_t i, length;

	for (i = 0; i < count; i++) {
		const char *comma = memchr(*value, ',', *bytes);

		length = comma ? (size_t)(comma - *value) : *bytes;
		if (!info_digits(*value, length, base, &numbers[i]))
			return false;
		length += comma != NULL;
		*value += length;
		*bytes -= length;
	}
	return true;
}

static int take_range(struct dump *dump, const uint64_t number[3])
{
	struct dump_range *more = dump->range;

	if (!(dump->ranges & (dump->ranges - 1)))
		more = realloc(more, (dump->ranges ? 2 * dump->ranges : 1) *
				     sizeof(*more));
	if (!more || dump->ranges == RANGES_MAX)
		return -1;
	dump->range = more;
	dump->range[dump->ranges++] = (struct dump_range){
		number[0], number[1], number[2],
	};
	return 0;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct dump_range *left = a, *right = b;

	return left->address < right->address ? -1 :
	       left->address > right->address;
}

static int take_ranges(struct dump *dump, struct dump_why *why)
{
	const char *cursor = NULL, *value;
	uint64_t number[3];
	size_t bytes, i;

	while (info_next(dump->file.note, "RANGE", &cursor, &value, &bytes))
		if (!take_numbers(&value, &bytes, 16, number, 3) ||
		    number[2] > CF_PFN_LIMIT || number[1] > CF_PFN_LIMIT * 2 ||
		    take_range(dump, number))
			return dump_fail(why, "a range in its note is wrong");
	if (!dump->ranges)
		return 0;
	qsort(dump->range, dump->ranges, sizeof(*dump->range),
	      compare_ranges);
	for (i = 1; i < dump->ranges; i++) {
		const struct dump_range *last = &dump->range[i - 1];

		if (dump->range[i].address - last->address <
		    last->count * CF_FRAME_BYTES)
			return dump_fail(why, "ranges in its note overlap");
	}
	return 0;
}

/* Owners as the writer saw them: their hooks are not in the dump. */
static int take_owners(struct dump *dump)
{
	const char *cursor = NULL, *value;
	struct raw_map *raw = &dump->raw;
	uint64_t number[2];
	size_t bytes;

	raw->owners = 0;
	while (info_next(dump->file.note, "OWNER", &cursor, &value, &bytes)) {
		struct raw_owner *owner, *more = raw->owner;

		if (!take_numbers(&value, &bytes, 10, number, 2) ||
		    number[0] >= CF_OWNERS_MAX ||
		    (raw->owners &&
		     number[0] <= raw->owner[raw->owners - 1].id))
			continue;
		more = realloc(more, (raw->owners + 1) * sizeof(*more));
		if (!more)
			return -1;
		raw->owner = more;
		owner = &more[raw->owners++];
		owner->id = (uint32_t)number[0];
		owner->traits = (uint32_t)number[1];
		bytes = bytes < RAW_NAME_BYTES ? bytes : RAW_NAME_BYTES - 1;
		memcpy(owner->name, value, bytes);
		owner->name[bytes] = '\0';
		lx_clean(owner->name);
	}
	return 0;
}

static void take_counts(struct dump *dump)
{
	struct info note = dump->file.note;
	const char *cursor = NULL, *value;
	uint64_t number = 0;
	size_t bytes;
	char key[64];
	unsigned class;

	dump->counts.known = true;
	if (info_number(note, "LEVEL", &number))
		dump->counts.level = (unsigned)number;
	(void)info_number(note, "END", &dump->end);
	(void)info_number(note, "TIME", &dump->counts.time);
	(void)info_number(note, "WRITTEN", &dump->counts.written);
	(void)info_number(note, "METADATA", &dump->counts.metadata);
	(void)info_number(note, "LOST", &dump->counts.lost);
	for (class = 0; class < DUMP_CLASS_COUNT; class++) {
		strcpy(key, "FRAMES(");
		strcat(key, dump_class_word(class));
		strcat(key, ")");
		(void)info_number(note, key, &dump->counts.frames[class]);
	}
	if (!info_next(note, "MACHINE", &cursor, &value, &bytes))
		return;
	bytes = bytes < sizeof(dump->counts.machine) ? bytes :
		sizeof(dump->counts.machine) - 1;
	memcpy(dump->counts.machine, value, bytes);
	lx_clean(dump->counts.machine);
}

static int take_note(struct dump *dump, struct dump_why *why)
{
	uint64_t version;

	if (!dump->file.note.text)
		return 0;
	if (!info_number(dump->file.note, "VERSION", &version) ||
	    version != COLDFRAME_VERSION_TEXT)
		return dump_fail(why, "its note is of another version of "
				 "coldframe than this one");
	dump->own = true;
	take_counts(dump);
	return take_ranges(dump, why);
}

/* A guest's page tables, if it has some. */
static int take_tables(struct dump *dump, struct dump_why *why)
{
	const char *cursor = NULL, *value;
	size_t bytes, i;

	if (dump->own || !info_next(dump->file.vmcoreinfo, "PAGETABLES",
				    &cursor, &value, &bytes))
		return 0;
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (bytes == strlen(tables[i].name) &&
		    !memcmp(value, tables[i].name, bytes))
			dump->tables = &tables[i];
	if (!dump->tables || !info_symbol(dump->file.vmcoreinfo, "page_root",
					  &dump->root))
		return dump_fail(why, "its page tables are of a sort this "
				 "coldframe does not know");
	return 0;
}

static int open_map(struct dump *dump, struct dump_why *why)
{
	struct info info = dump->file.vmcoreinfo;

	if (!info.text)
		return dump_fail(why, "it has no VMCOREINFO: it cannot be told "
				 "what its frames are");
	if (take_note(dump, why) || take_tables(dump, why) ||
	    raw_open(&dump->raw, info, dump_memory, dump, why))
		return -1;
	if (!info_symbol(info, "cf_frames", &dump->frames) && !dump->own)
		return dump_fail(why, "its VMCOREINFO has no "
				 "SYMBOL(cf_frames)");
	if (dump->own ? take_owners(dump) : raw_read_owners(&dump->raw))
		return dump_fail(why, "the process has no memory");
	return 0;
}

int dump_open(const char *path, struct dump **ret_dump, struct dump_why *why)
{
	struct dump *dump = calloc(1, sizeof(*dump));

	if (!dump)
		return dump_fail(why, "the process has no memory");
	if (dump_file_open(&dump->file, path, why)) {
		free(dump);
		return -1;
	}
	if (open_map(dump, why)) {
		dump_close(dump);
		return -1;
	}
	*ret_dump = dump;
	return 0;
}

void dump_close(struct dump *dump)
{
	raw_close(&dump->raw);
	dump_file_close(&dump->file);
	free(dump->range);
	free(dump);
}

cf_pfn dump_end(const struct dump *dump)
{
	return raw_end(&dump->raw);
}

cf_pfn dump_next(struct dump *dump, cf_pfn pfn)
{
	return raw_next(&dump->raw, pfn);
}

int dump_look(struct dump *dump, struct dump_window *window,
	      struct dump_why *why)
{
	struct raw_frame frame[DUMP_WINDOW_FRAMES];
	const struct raw_block *block;
	struct cf_span span;
	unsigned i;

	if (raw_look(&dump->raw, window->first, window->first + window->count,
		     frame))
		return dump_fail(why, "the map in it says what cannot be of "
				 "frames %llu to %llu",
				 (unsigned long long)window->first,
				 (unsigned long long)window->first +
				 window->count - 1);
	block = raw_block_of(&dump->raw, window->first);
	for (i = 0; i < window->count; i++) {
		cf_pfn pfn = window->first + i;

		raw_span(&dump->raw, pfn, &frame[i], &span);
		if (block)
			span.zone = block->zone;
		window->class[i] = (uint8_t)
			dump_class_of(&span, raw_traits(&dump->raw,
							span.owner));
		if (span.kind == CF_SPAN_RUN &&
		    span.flags & CF_FLAG_POISON && raw_is_bad(&dump->raw, pfn))
			window->class[i] = DUMP_RETIRED;
	}
	return 0;
}

/* Where a frame of the map is; false: the machine has no memory for it. */
static bool frame_of(struct dump *dump, cf_pfn pfn, uint64_t *ret_frame)
{
	*ret_frame = pfn;
	if (dump->own)
		return pfn < dump->end;
	return find_address(dump, dump->frames + pfn * CF_FRAME_BYTES,
			    ret_frame);
}

/* What a guest has never touched has no page yet: it reads as 0. */
int dump_read(struct dump *dump, cf_pfn pfn, void *memory,
	      struct dump_why *why)
{
	uint64_t frame;

	if (frame_of(dump, pfn, &frame))
		return dump_file_read(&dump->file, frame, memory, why);
	if (!dump->root)
		return 0;
	memset(memory, 0, CF_FRAME_BYTES);
	return 1;
}

int dump_has(struct dump *dump, cf_pfn pfn, struct dump_why *why)
{
	uint64_t frame;

	return frame_of(dump, pfn, &frame) ?
	       dump_file_has(&dump->file, frame, why) : 0;
}
