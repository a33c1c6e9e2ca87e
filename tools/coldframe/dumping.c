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

static int write_from(struct dump_source *source,
		      const struct machine_dump *request,
		      const struct dump_options *options,
		      struct dump_result *ret_result, struct dump_why *why)
{
	int err = dump_write(source, options, request->path, ret_result, why);

	dump_source_close(source);
	return err;
}

int dumping_write(const struct machine_dump *request,
		  const struct dump_options *options,
		  struct dump_result *ret_result, struct dump_why *why)
{
	struct dump_source source;
	struct dump *dump;
	int err;

	if (request->map) {
		err = dump_source_live(&source, request->map, "embedded",
				       options->level, why);
		return err ? err : write_from(&source, request, options,
					      ret_result, why);
	}
	if (dump_open(request->core, &dump, why))
		return -1;
	err = dump_source_file(&source, dump, options->level, why);
	if (!err)
		err = write_from(&source, request, options, ret_result, why);
	dump_close(dump);
	return err;
}

int dumping_step(void *context, const struct machine_dump *request, char *text,
		 size_t bytes)
{
	const struct dump_options options = {
		.format = request->elf ? DUMP_ELF : DUMP_KDUMP,
		.compress = COMPRESS_ZLIB,
		.level = request->level,
	};
	struct dump_why why = { "the process has no memory" };
	struct dump_result result;
	int err = dumping_write(request, &options, &result, &why);

	(void)context;
	if (err)
		(void)snprintf(text, bytes, "%s", why.text);
	else
		dumping_say(&result, text, bytes);
	return err;
}
