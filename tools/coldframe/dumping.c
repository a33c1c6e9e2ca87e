/* SPDX-License-Identifier: MIT */
#include "dumping.h"

#include <inttypes.h>
#include <stdio.h>

#include "common.h"

void dumping_say(const struct dump_result *result, char *text, size_t bytes)
{
	uint64_t present = dump_tally_present(&result->tally);
	uint64_t zero = result->tally.frames[DUMP_ZERO];
	char in[24], all[24], file[24], lost[64] = "";

	if (result->lost)
		(void)snprintf(lost, sizeof(lost), ", %" PRIu64
			       " frames went meanwhile", result->lost);
	(void)snprintf(text, bytes, "%s of %s, %" PRIu64 " frames of zeroes, "
		       "in a file of %s%s",
		       common_bytes(result->written * CF_FRAME_BYTES, in),
		       common_bytes(present * CF_FRAME_BYTES, all), zero,
		       common_bytes(result->bytes, file), lost);
}

int dumping_step(const struct machine_dump *request, char *text, size_t bytes)
{
	const struct dump_options options = {
		.format = request->elf ? DUMP_ELF : DUMP_KDUMP,
		.compress = COMPRESS_ZLIB,
		.level = request->level,
	};
	struct dump_why why = { "the process has no memory" };
	struct dump_result result;
	struct dump_source source;
	int err;

	err = dump_source_live(&source, request->map, "embedded",
			       request->level, &why);
	if (!err) {
		err = dump_write(&source, &options, request->path, &result,
				 &why);
		dump_source_close(&source);
	}
	if (err)
		(void)snprintf(text, bytes, "%s", why.text);
	else
		dumping_say(&result, text, bytes);
	return err;
}
