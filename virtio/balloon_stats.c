/* SPDX-License-Identifier: MIT */

/*
 * Statistics: the device sends the buffer back when it wants new ones.
 */

#include "virtio/balloon_internal.h"

static unsigned put(struct balloon *balloon, unsigned count, unsigned tag,
		    uint64_t value)
{
	uint8_t *at = balloon->stats.at + (size_t)count *
		      CF_BALLOON_STAT_BYTES;

	cf_wire_put16(at, (uint16_t)tag);
	cf_wire_put64(at + 2, value);
	return count + 1;
}

static unsigned fill(struct balloon *balloon)
{
	struct cf_balloon_stat more[CF_BALLOON_STATS_MAX];
	unsigned count = 0;
	struct cf_stat stat;
	size_t extra = 0, i;
	uint64_t spare;

	cf_stat(balloon->config.map, &stat);
	spare = stat.free + stat.cached;
	count = put(balloon, count, CF_BALLOON_FREE, spare << CF_FRAME_SHIFT);
	count = put(balloon, count, CF_BALLOON_TOTAL,
		    stat.managed << CF_FRAME_SHIFT);
	count = put(balloon, count, CF_BALLOON_AVAILABLE,
		    spare << CF_FRAME_SHIFT);
	if (balloon->config.stats)
		extra = balloon->config.stats(balloon->config.context, more,
					      CF_BALLOON_STATS_MAX);
	for (i = 0; i < extra && i < CF_BALLOON_STATS_MAX; i++)
		count = put(balloon, count, more[i].tag, more[i].value);
	return count;
}

void balloon_stats(struct balloon *balloon)
{
	unsigned count = fill(balloon);

	if (balloon_send(balloon, QUEUE_STATS, &balloon->stats,
			 count * CF_BALLOON_STAT_BYTES))
		balloon->stats_sent++;
}
