/* SPDX-License-Identifier: MIT */
#include "random.h"

static struct {
	uint64_t state;		/* of xorshift64*; 0: bytes are the source */
	const uint8_t *bytes, *end;
	bool spent;
} source = { .state = 1 };

void random_seed(uint64_t seed)
{
	source.state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	if (!source.state)
		source.state = 1;
	source.spent = false;
}

void random_bytes(const uint8_t *bytes, size_t count)
{
	source.state = 0;
	source.bytes = bytes;
	source.end = bytes + count;
	source.spent = false;
}

bool random_spent(void)
{
	return source.spent;
}

static uint32_t next_number(void)
{
	source.state ^= source.state >> 12;
	source.state ^= source.state << 25;
	source.state ^= source.state >> 27;
	return (uint32_t)((source.state * UINT64_C(0x2545f4914f6cdd1d)) >> 33);
}

/* As many bytes as a choice among so many takes; 0 when they do not do. */
static uint32_t next_bytes(uint32_t limit)
{
	size_t width = limit <= 256 ? 1 : limit <= 65536 ? 2 : 4;
	uint32_t number = 0;

	if ((size_t)(source.end - source.bytes) < width) {
		source.bytes = source.end;
		source.spent = true;
		return 0;
	}
	while (width--)
		number = number << 8 | *source.bytes++;
	return number;
}

uint32_t random_below(uint32_t limit)
{
	return (source.state ? next_number() : next_bytes(limit)) % limit;
}

bool random_chance(unsigned percent)
{
	return random_below(100) < percent && !source.spent;
}
