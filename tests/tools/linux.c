/* SPDX-License-Identifier: MIT */
/*
 * The readers of linux/: each is given files written here, good ones, odd
 * ones and wrong ones.
 */
#include "linux/blocks.h"
#include "linux/counters.h"
#include "linux/kpf.h"
#include "linux/ranges.h"
#include "linux/words.h"
#include "linux/zones.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[] = "/tmp/coldframe-linux-XXXXXX";
static struct lx_error err;

static int remove_one(const char *path, const struct stat *status, int type,
		      struct FTW *ftw)
{
	(void)status;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_root(void)
{
	nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Write a file below the root, with the folders on the way. */
static void write_bytes(const char *name, const void *data, size_t size)
{
	char path[256], *slash;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (slash = path + sizeof(root); (slash = strchr(slash, '/')) != NULL;
	     *slash++ = '/') {
		*slash = 0;
		mkdir(path, 0755);
	}
	file = fopen(path, "w");
	if (!CHECK(file != NULL))
		return;
	CHECK_EQ(fwrite(data, 1, size, file), size);
	fclose(file);
}

static void write_text(const char *name, const char *text)
{
	write_bytes(name, text, strlen(text));
}

static void drop(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void numbers(void)
{
	const char *end;
	uint64_t value = 7;

	CHECK(lx_number("18446744073709551615", 10, NULL, &value));
	CHECK(value == UINT64_MAX);
	CHECK(!lx_number("18446744073709551616", 10, NULL, &value));
	CHECK(lx_number("ffffffffffffffff", 16, NULL, &value));
	CHECK(!lx_number("10000000000000000", 16, NULL, &value));
	CHECK(lx_number("0x1f", 0, NULL, &value) && value == 31);
	CHECK(lx_number("017", 0, NULL, &value) && value == 15);
	CHECK(lx_number("0", 0, NULL, &value) && value == 0);
	CHECK(lx_number("12 kB", 10, &end, &value) && value == 12);
	CHECK(!strcmp(end, " kB"));
	CHECK(lx_number("0x", 0, &end, &value) && value == 0 && *end == 'x');
	CHECK(!lx_number("", 10, NULL, &value));
	CHECK(!lx_number("-1", 10, NULL, &value));
	CHECK(!lx_number("+1", 10, NULL, &value));
	CHECK(!lx_number(" 1", 10, NULL, &value));
	CHECK(!lx_number("1a", 10, NULL, &value));
	CHECK(!lx_number("08", 0, NULL, &value));
}

static int count_line(void *context, char *line)
{
	size_t *lengths = context;

	lengths[++lengths[0]] = strlen(line);
	return lengths[0] == 4 ? 17 : 0;
}

static void lines(void)
{
	char text[3 * LX_LINE_BYTES];
	size_t lengths[5] = { 0 };

	memset(text, 'a', sizeof(text));
	text[2 * LX_LINE_BYTES] = '\n';
	text[sizeof(text) - 1] = 0;
	text[2 * LX_LINE_BYTES + 2] = '\n';
	text[2 * LX_LINE_BYTES + 3] = '\n';
	write_text("proc/text", text);
	CHECK_EQ(lx_lines(root, "proc/text", count_line, lengths, &err), 17);
	CHECK_EQ(lengths[1], LX_LINE_BYTES - 1);
	CHECK_EQ(lengths[2], 1);
	CHECK_EQ(lengths[3], 0);
	CHECK_EQ(lx_lines(root, "proc/none", count_line, lengths, &err),
		 -LX_EMISSING);
	CHECK(strstr(err.text, "/proc/none: No such file") != NULL);
	CHECK_EQ(lx_first_line(root, "proc", text, &err), -LX_EREAD);
	write_text("proc/text", "");
	CHECK_EQ(lx_first_line(root, "proc/text", text, &err), 0);
	CHECK(!*text);
}

static void words(void)
{
	static const uint64_t data[] = { 1, 2, UINT64_MAX, 4, 5 };
	struct lx_words file;
	uint64_t buffer[8];
	size_t count;

	write_bytes("proc/kpageflags", data, sizeof(data));
	if (!CHECK(!lx_words_open(&file, root, "proc/kpageflags", &err)))
		return;
	CHECK_EQ(file.frames, 5);
	CHECK(!lx_words_read(&file, buffer, 3, &count, &err));
	CHECK_EQ(count, 3);
	CHECK(!memcmp(buffer, data, 3 * sizeof(*data)));
	CHECK(!lx_words_read(&file, buffer, 8, &count, &err));
	CHECK_EQ(count, 2);
	CHECK_EQ(file.pfn, 5);
	CHECK(!lx_words_read(&file, buffer, 8, &count, &err));
	CHECK_EQ(count, 0);
	CHECK(!lx_words_seek(&file, 3, &err));
	CHECK(!lx_words_read(&file, buffer, 1, &count, &err));
	CHECK(count == 1 && buffer[0] == 4);
	CHECK(!lx_words_seek(&file, 1000, &err));
	CHECK(!lx_words_read(&file, buffer, 1, &count, &err));
	CHECK_EQ(count, 0);
	CHECK_EQ(lx_words_seek(&file, UINT64_MAX, &err), -LX_EREAD);
	CHECK_EQ(lx_words_seek(&file, UINT64_MAX / 8, &err), -LX_EREAD);
	lx_words_close(&file);
}

static void words_cut_off(void)
{
	struct lx_words file;
	uint64_t buffer[8];
	size_t count;

	CHECK_EQ(lx_words_open(&file, root, "proc/none", &err), -LX_EMISSING);
	write_bytes("proc/kpageflags", "0123456789", 10);
	CHECK_EQ(lx_words_open(&file, root, "proc/kpageflags", &err),
		 -LX_EFORMAT);
	CHECK(strstr(err.text, "kpageflags: the file is cut off: its 10 bytes")
	      != NULL);

	/* It loses a part while it is read, as a file without length may. */
	write_bytes("proc/kpageflags", "0123456789abcdef", 16);
	if (!CHECK(!lx_words_open(&file, root, "proc/kpageflags", &err)))
		return;
	CHECK(!truncate(file.path, 12));
	CHECK_EQ(lx_words_read(&file, buffer, 8, &count, &err), -LX_EFORMAT);
	CHECK(strstr(err.text, "its 12 bytes") != NULL);
	lx_words_close(&file);
}

/* Write three words into a pipe, cut in odd parts. Does not return. */
static void feed(int fd)
{
	static const uint64_t data[] = { 1, 2, 3 };
	const char *bytes = (const char *)data;
	size_t at;

	for (at = 0; at < sizeof(data); at += 6) {
		if (write(fd, bytes + at, 6) != 6)
			_exit(1);
		usleep(2000);
	}
	_exit(0);
}

/* No length is known, and a read gives less than was asked for. */
static void words_in_parts(void)
{
	struct lx_words file;
	uint64_t buffer[8];
	int ends[2];
	size_t count;
	pid_t child;

	write_bytes("proc/kpageflags", "", 0);
	if (!CHECK(!lx_words_open(&file, root, "proc/kpageflags", &err)))
		return;
	CHECK_EQ(file.frames, 0);
	if (!CHECK(!pipe(ends)) || !CHECK(dup2(ends[0], file.fd) >= 0))
		return;
	close(ends[0]);
	child = fork();
	if (!child)
		feed(ends[1]);
	close(ends[1]);
	CHECK(!lx_words_read(&file, buffer, 8, &count, &err));
	CHECK(count == 3 && buffer[2] == 3);
	lx_words_close(&file);
	waitpid(child, NULL, 0);
}

static int count_name(void *context, const char *name)
{
	(void)name;
	++*(int *)context;
	return 0;
}

/* What whoever made a folder may have put into it. */
static void links_and_pipes(void)
{
	char path[256], line[LX_LINE_BYTES];
	struct lx_words file;
	int names = 0;

	snprintf(path, sizeof(path), "%s/proc/fifo", root);
	if (!CHECK(!mkfifo(path, 0600)))
		return;
	CHECK_EQ(lx_words_open(&file, root, "proc/fifo", &err), -LX_EREAD);
	CHECK_EQ(lx_first_line(root, "proc/fifo", line, &err), -LX_EREAD);
	CHECK(strstr(err.text, "no regular file") != NULL);
	snprintf(path, sizeof(path), "%s/proc/link", root);
	CHECK(!symlink("/proc/self/auxv", path));
	CHECK_EQ(lx_words_open(&file, root, "proc/link", &err), -LX_EREAD);
	CHECK_EQ(lx_first_line(root, "proc/link", line, &err), -LX_EREAD);
	CHECK(strstr(err.text, "proc/link: a link") != NULL);
	snprintf(path, sizeof(path), "%s/proc/1", root);
	CHECK(!symlink("/proc/self", path));
	CHECK_EQ(lx_first_line(root, "proc/1/comm", line, &err), -LX_EMISSING);
	CHECK_EQ(lx_names(root, "proc/1", count_name, &names, &err),
		 -LX_EMISSING);
	CHECK_EQ(names, 0);
	/* The live system is what it is. */
	CHECK(!lx_first_line("/", "proc/self/comm", line, &err) && line[0]);
	drop("proc/fifo");
	drop("proc/link");
	drop("proc/1");
}

static void ranges(void)
{
	struct lx_ranges found = { NULL, 0, 0 };
	uint64_t i;

	CHECK_EQ(lx_ranges_find(&found, 0), 0);
	lx_ranges_sort(&found);
	for (i = 50; i; i--)
		CHECK(!lx_ranges_add(&found, 10 * i, 10 * i + 5, &err));
	CHECK(!lx_ranges_add(&found, 3, 3, &err));
	CHECK(!lx_ranges_add(&found, 100, 140, &err));
	CHECK(!lx_ranges_add(&found, 145, 150, &err));
	lx_ranges_sort(&found);
	CHECK_EQ(found.count, 45);
	CHECK_EQ(lx_ranges_find(&found, 0), 0);
	CHECK_EQ(lx_ranges_find(&found, 14), 0);
	CHECK_EQ(lx_ranges_find(&found, 15), 1);
	CHECK_EQ(lx_ranges_find(&found, 504), 44);
	CHECK_EQ(lx_ranges_find(&found, 505), 45);
	CHECK_EQ(found.range[9].first, 100);
	CHECK_EQ(found.range[9].last, 155);
	lx_ranges_free(&found);
	CHECK_EQ(found.count, 0);
}

static void iomem(void)
{
	struct lx_ranges ram = { NULL, 0, 0 };
	bool hidden = true;

	CHECK_EQ(lx_iomem_ram(root, &ram, &hidden, &err), -LX_EMISSING);
	write_text("proc/iomem",
		   "00000000-00000fff : Reserved\n"
		   "00001000-0009fbff : System RAM\n"
		   "00100000-3ffdffff : System RAM\n"
		   "  01000000-01e01ef1 : Kernel code\n"
		   "40000000-afffffff : PCI Bus 0000:00\n"
		   "100000000-17fffffff : virtio0\n"
		   "  100000000-10fffffff : System RAM (virtio_mem)\n"
		   "  110000800-1100017ff : System RAM\n"
		   "1ffffffffff000-1fffffffffffff : System RAM\n"
		   "fffffffffffff000-ffffffffffffffff : Reserved\n");
	CHECK_EQ(lx_iomem_ram(root, &ram, &hidden, &err), 0);
	CHECK(!hidden);
	if (CHECK_EQ(ram.count, 4)) {
		CHECK(ram.range[0].first == 1 && ram.range[0].last == 0x9f);
		CHECK(ram.range[1].first == 0x100 &&
		      ram.range[1].last == 0x3ffe0);
		CHECK(ram.range[2].first == 0x100000 &&
		      ram.range[2].last == 0x110000);
		CHECK(ram.range[3].first == LX_COUNT_MAX - 1 &&
		      ram.range[3].last == LX_COUNT_MAX);
	}
	lx_ranges_free(&ram);
	write_text("proc/iomem", "00000000-00000000 : Reserved\n"
				 "00000000-00000000 : System RAM\n");
	CHECK_EQ(lx_iomem_ram(root, &ram, &hidden, &err), 0);
	CHECK(hidden && !ram.count);
	write_text("proc/iomem", "00001000-20000000000fff : System RAM\n");
	CHECK_EQ(lx_iomem_ram(root, &ram, &hidden, &err), -LX_EFORMAT);
	write_text("proc/iomem", "00001000-0009fbff : System RAM\n12-x\n");
	CHECK_EQ(lx_iomem_ram(root, &ram, &hidden, &err), -LX_EFORMAT);
	CHECK(!ram.range && strstr(err.text, "proc/iomem") != NULL);
	drop("proc/iomem");
}

#define MEMORY "sys/devices/system/memory/"

static void blocks(void)
{
	struct lx_blocks found = { 0, NULL, 0 };

	CHECK_EQ(lx_blocks_read(root, &found, &err), -LX_EMISSING);
	CHECK_EQ(lx_blocks_find(&found, 5), 0);
	write_text(MEMORY "block_size_bytes", "8000000\n");
	write_text(MEMORY "memory10/state", "offline\n");
	write_text(MEMORY "memory9/state", "online\n");
	write_text(MEMORY "memory2/state", "going-offline\n");
	write_text(MEMORY "memory3/online", "1\n");
	write_text(MEMORY "memoryless/state", "online\n");
	CHECK_EQ(lx_blocks_read(root, &found, &err), 0);
	CHECK_EQ(found.frames, 0x8000);
	if (CHECK_EQ(found.count, 4)) {
		CHECK(found.block[0].id == 2 &&
		      found.block[0].state == LX_BLOCK_GOING_OFFLINE);
		CHECK(found.block[1].state == LX_BLOCK_UNKNOWN);
		CHECK(found.block[2].state == LX_BLOCK_ONLINE);
		CHECK(found.block[3].state == LX_BLOCK_OFFLINE);
	}
	CHECK_EQ(lx_blocks_find(&found, 0), 0);
	CHECK_EQ(lx_blocks_find(&found, 3 * 0x8000 - 1), 0);
	CHECK_EQ(lx_blocks_find(&found, 3 * 0x8000), 1);
	CHECK_EQ(lx_blocks_find(&found, 11 * 0x8000), 4);
	CHECK_EQ(lx_blocks_count(&found, LX_BLOCK_ONLINE), 1);
	CHECK_EQ(lx_blocks_fit(&found, "flags", 10 * 0x8000, &err), 0);
	CHECK_EQ(lx_blocks_fit(&found, "flags", 10 * 0x8000 - 1, &err),
		 -LX_EFORMAT);
	CHECK(strstr(err.text, "2621432 bytes") && strstr(err.text, "memory9"));
	lx_blocks_free(&found);
	drop("sys");
}

static void blocks_wrong(void)
{
	static const char *const sizes[] = { "", "x", "0", "1000", "8000001",
					     "8000000000000000", "8000000 ",
					     "10000000000000000" };
	static const char *const names[] = { "18446744073709551616",
					     "18446744073709551615",
					     "137438953472" };
	char name[80];
	struct lx_blocks found = { 0, NULL, 0 };
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		write_text(MEMORY "block_size_bytes", sizes[i]);
		CHECK_EQ(lx_blocks_read(root, &found, &err), -LX_EFORMAT);
	}
	write_text(MEMORY "block_size_bytes", "8000000");
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), MEMORY "memory%s", names[i]);
		write_text(name, "");
		CHECK_EQ(lx_blocks_read(root, &found, &err), -LX_EFORMAT);
		CHECK(strstr(err.text, "no block can have this number"));
		drop(name);
	}
	CHECK_EQ(lx_blocks_read(root, &found, &err), 0);
	CHECK_EQ(found.count, 0);
	CHECK_EQ(lx_blocks_fit(&found, "flags", 0, &err), 0);
	lx_blocks_free(&found);
	drop("sys");
}

static void zones(void)
{
	struct lx_zones found = { NULL, 0 };

	CHECK_EQ(lx_zones_read(root, &found, &err), -LX_EMISSING);
	write_text("proc/zoneinfo",
		   "  managed 5\n"
		   "Node 0, zone      DMA\n"
		   "  per-node stats\n"
		   "      nr_inactive_anon 383\n"
		   "  pages free     3808\n"
		   "        boost    0\n"
		   "        min      153\n"
		   "        low      191\n"
		   "        high     229\n"
		   "        spanned  4095\n"
		   "        present  3998\n"
		   "        managed  3840\n"
		   "        protection: (0, 892, 892, 1084, 1084)\n"
		   "  pagesets\n"
		   "    cpu: 0\n"
		   "              high:  95\n"
		   "  start_pfn:           1\n"
		   "Node 3, zone  Movable\n"
		   "        managed  2471\n"
		   "  start_pfn:           1048576\n");
	if (!CHECK(!lx_zones_read(root, &found, &err)) ||
	    !CHECK(found.count == 2))
		return;
	CHECK(!strcmp(found.zone[0].name, "DMA") && !found.zone[0].node);
	CHECK_EQ(found.zone[0].free, 3808);
	CHECK_EQ(found.zone[0].min, 153);
	CHECK_EQ(found.zone[0].low, 191);
	CHECK_EQ(found.zone[0].high, 229);
	CHECK_EQ(found.zone[0].spanned, 4095);
	CHECK_EQ(found.zone[0].present, 3998);
	CHECK_EQ(found.zone[0].managed, 3840);
	CHECK_EQ(found.zone[0].start_pfn, 1);
	CHECK(!strcmp(found.zone[1].name, "Movable"));
	CHECK_EQ(found.zone[1].node, 3);
	CHECK_EQ(found.zone[1].managed, 2471);
	CHECK_EQ(found.zone[1].start_pfn, 1048576);
	lx_zones_free(&found);
	write_text("proc/zoneinfo", "Node 0, zone DMA\n  spanned -1\n");
	CHECK_EQ(lx_zones_read(root, &found, &err), -LX_EFORMAT);
	CHECK(!found.zone);
	drop("proc/zoneinfo");
}

static void counters(void)
{
	struct lx_counter found[] = {
		{ .name = "MemTotal" }, { .name = "Mem" },
		{ .name = "balloon_inflate" }, { .name = "HugePages_Total" },
	};

	CHECK_EQ(lx_counters_read(root, "proc/meminfo", found, 4, &err),
		 -LX_EMISSING);
	write_text("proc/meminfo", "MemTotal:         863528 kB\n"
				   "MemFree:  x kB\n"
				   "HugePages_Total:       9\n"
				   "balloon_inflate 65536\n");
	CHECK_EQ(lx_counters_read(root, "proc/meminfo", found, 4, &err), 0);
	CHECK(found[0].found && found[0].value == 863528);
	CHECK(!found[1].found);
	CHECK(found[2].found && found[2].value == 65536);
	CHECK(found[3].found && found[3].value == 9);
	write_text("proc/meminfo", "MemTotal: 18446744073709551616 kB\n");
	CHECK_EQ(lx_counters_read(root, "proc/meminfo", found, 4, &err),
		 -LX_EFORMAT);
	write_text("proc/meminfo", "MemTotal: 5 MB\n");
	CHECK_EQ(lx_counters_read(root, "proc/meminfo", found, 4, &err),
		 -LX_EFORMAT);
	write_text("proc/meminfo", "MemTotal:\n");
	CHECK_EQ(lx_counters_read(root, "proc/meminfo", found, 4, &err),
		 -LX_EFORMAT);
	drop("proc/meminfo");
}

static void flag_names(void)
{
	char letters[LX_KPF_LETTERS + 1], names[LX_KPF_NAMES_BYTES], buffer[16];
	unsigned int bit;

	lx_kpf_letters(UINT64_C(1) << CF_KPF_OFFLINE, letters);
	CHECK(!strcmp(letters, "_______________________o___________________"));
	lx_kpf_letters(UINT64_C(1) << CF_KPF_PGTABLE, letters);
	CHECK(!strcmp(letters, "__________________________g________________"));
	lx_kpf_letters(UINT64_MAX, letters);
	CHECK(!strcmp(letters, "LERUDlASWIBMasbHTGuXnxtozigrmdPpOhfHdIAEFw1"));
	lx_kpf_names(UINT64_MAX, names);
	CHECK(strlen(names) < LX_KPF_NAMES_BYTES);
	lx_kpf_names(UINT64_C(1) << 27 | 1, names);
	CHECK(!strcmp(names, "locked,unknown-bit-27"));
	lx_kpf_names(0, names);
	CHECK(!*names);
	for (bit = 0; bit < 64; bit++) {
		const char *name = lx_kpf_name(bit, buffer);

		CHECK(lx_kpf_parse(name, strlen(name)) == UINT64_C(1) << bit);
	}
	CHECK(lx_kpf_parse("compound", 8) == 0x18000);
	CHECK(!lx_kpf_parse("buddy", 4) && !lx_kpf_parse("", 0));
}

static void flag_overloads(void)
{
	CHECK(lx_kpf_expand(UINT64_C(0x400005828)) ==
	      UINT64_C(0x800000005828));
	CHECK(lx_kpf_expand(UINT64_C(0x400000028)) == UINT64_C(0x400000028));
	CHECK(lx_kpf_expand(0x80 | 0x40 | 2) ==
	      (0x80 | UINT64_C(1) << 50 | UINT64_C(1) << 51));
	CHECK(lx_kpf_expand(0x42) == 0x42);
	CHECK(lx_kpf_expand(0x200) == UINT64_C(1) << 48);
	CHECK(lx_kpf_expand(0x300) == 0x300);
	CHECK(lx_kpf_hide(UINT64_MAX) == UINT64_C(0xffff0000ffffffff));
	CHECK(lx_kpf_hide(0x18080) == 0x80);
	CHECK(lx_kpf_hide(0x28080) == 0x28080);
}

static void kinds(void)
{
	static const struct {
		uint64_t word;
		enum lx_kind kind;
	} known[] = {
		{ 0x400, LX_KIND_FREE }, { 0x408, LX_KIND_FREE },
		{ 0, LX_KIND_KERNEL }, { 0x8000, LX_KIND_KERNEL },
		{ 0x804, LX_KIND_KERNEL }, { 0x1408000, LX_KIND_KERNEL },
		{ 0x10000, LX_KIND_COUNT }, { 0x410000, LX_KIND_USER },
		{ 0x5028, LX_KIND_USER }, { 0x5228, LX_KIND_USER },
		{ 0x5808, LX_KIND_USER }, { 0x2002c, LX_KIND_USER },
		{ 0x80, LX_KIND_SLAB }, { 0x10080, LX_KIND_SLAB },
		{ 0x4000000, LX_KIND_PGTABLE },
		{ 0x4000004, LX_KIND_PGTABLE },
		{ UINT64_C(0x100000000), LX_KIND_RESERVED },
		{ UINT64_C(0x900000000), LX_KIND_RESERVED },
		{ 0x800000, LX_KIND_OFFLINE },
		{ 0x800008, LX_KIND_BALLOON }, { 0x800208, LX_KIND_BALLOON },
		{ 0x800010, LX_KIND_NEVER_ONLINED },
		{ 0x800018, LX_KIND_NEVER_ONLINED },
		{ 0x80000, LX_KIND_POISON }, { 0x80400, LX_KIND_POISON },
		{ 0x100000, LX_KIND_ABSENT },
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		CHECK_EQ(lx_kpf_kind(known[i].word), known[i].kind);
	CHECK(lx_kpf_is_mute(0) && lx_kpf_is_mute(0x100000));
	CHECK(!lx_kpf_is_mute(0x10000) && !lx_kpf_is_mute(0x400));
}

int main(void)
{
	if (!mkdtemp(root)) {
		tap_bail("no folder in /tmp");
		return 1;
	}
	atexit(remove_root);
	tap_run("numbers", numbers);
	tap_run("lines", lines);
	tap_run("words", words);
	tap_run("words of a file that is cut off", words_cut_off);
	tap_run("words that come in parts", words_in_parts);
	tap_run("links and pipes in a folder", links_and_pipes);
	tap_run("ranges", ranges);
	tap_run("iomem", iomem);
	tap_run("blocks", blocks);
	tap_run("blocks that cannot be", blocks_wrong);
	tap_run("zones", zones);
	tap_run("counters", counters);
	tap_run("names of flags", flag_names);
	tap_run("overloaded and hidden flags", flag_overloads);
	tap_run("kinds of frames", kinds);
	return tap_done();
}
