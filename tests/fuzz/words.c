/* SPDX-License-Identifier: MIT */
/* Print the scenario language's words as a fuzzer's dictionary. */
#include <stdio.h>

#include "scenario/words.h"

static void print(const char *word)
{
	if (word && *word)
		printf("\" %s\"\n", word);
}

static void print_values(enum property property)
{
	uint64_t value;

	for (value = 0; value < 32; value++)
		print(property_word(property, value));
}

int main(void)
{
	static const char *const others[] = {
		"on cpu 1", "expect", "fails", "caught", "any", "all",
		"allocator", "orphan", "blocks 0-1", "block 1", "chunk 1",
		"chunks 0-1", "frame 1M", "frames 4M+2M", "workers",
		"machine memory 16M span 64M block 4M", "0", "1", "2", "9",
		"4K", "2M", "4M", "100us", "512f", "50%", "within", "since",
		"18446744073709551615", "0x200",
	};
	unsigned i;
	uint64_t word;

	puts("# Made from the tables of scenario/words.c.");
	puts("\"\\x0a\"\n\" #\"\n\"[0]\"\n\"[1]+1\"\n\"a\"\n\"b\"");
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		print(others[i]);
	for (i = 0; i < STEP_COUNT; i++)
		print(step_name((enum step_kind)i));
	for (i = 0; i < KEY_COUNT; i++)
		print(key_name((enum key)i));
	for (i = 0; i < SUBJECT_COUNT; i++)
		print(subject_name((enum subject_kind)i));
	for (i = 0; i < PROPERTY_COUNT; i++) {
		print(property_name((enum property)i));
		if (property_value((enum property)i) == VALUE_WORD)
			print_values((enum property)i);
	}
	for (i = COMPARE_EQ; i <= COMPARE_UNCHANGED; i++)
		print(compare_name((enum compare)i));
	for (word = 0; word < 8; word++) {
		print(meta_name(word));
		print(exposes_name(word));
		print(print_name(word));
		print(zone_word(word));
	}
	return 0;
}
