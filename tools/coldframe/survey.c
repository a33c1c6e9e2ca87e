/* SPDX-License-Identifier: MIT */
#include "survey.h"

int survey_option(struct survey *survey, int option, const char *value)
{
	int status = common_option(&survey->source, survey->command, option,
				   value);

	if (status >= 0)
		return status;
	return select_option(&survey->select, survey->command, option, value);
}

static int open_flags(struct survey *survey)
{
	int ret = lx_scan_open(&survey->scan, &survey->host, &survey->err);

	survey->flags = !ret;
	if (!ret) {
		survey->scan.progress = common_progress;
		return 0;
	}
	if (ret == -LX_EDENIED && survey->needs_flags)
		return common_denied(survey->command, &survey->err);
	if (survey->needs_flags || !survey->host.hotplug ||
	    (ret != -LX_EDENIED && ret != -LX_EMISSING))
		return common_unread(survey->command, &survey->err);
	common_no_flags(survey->command, ret, &survey->err);
	return 0;
}

/* Where no file tells of blocks, the words are cut into some. */
static int assume_blocks(struct survey *survey)
{
	uint64_t last = lx_host_end(&survey->host);
	char size[24];

	if (survey->host.hotplug && survey->host.blocks.count)
		return 0;
	if (survey->scan.words.frames)
		last = survey->scan.words.frames;
	if (!last)
		return common_failed(survey->command, "%s: neither sys/ nor "
				     "proc/iomem tells where memory is",
				     survey->host.root);
	if (lx_host_assume(&survey->host, last, &survey->err))
		return common_unread(survey->command, &survey->err);
	common_bytes(survey->host.blocks.frames << CF_FRAME_SHIFT, size);
	common_note(survey->command, survey->host.whole ?
		    "note: this kernel has no memory blocks, so nothing can "
		    "go offline; shown in steps of %s" :
		    "note: a copy of kpageflags does not tell of blocks, "
		    "zones and holes; shown in steps of %s", size);
	return 0;
}

/* Is there a block of the zone and node that were asked for? */
static bool has_some(const struct survey *survey)
{
	const struct lx_blocks *blocks = &survey->host.blocks;
	size_t i;

	for (i = 0; i < blocks->count; i++) {
		if (select_has(&survey->select, &survey->host,
			       &blocks->block[i]))
			return true;
	}
	return !blocks->count;
}

static int start(struct survey *survey)
{
	int ret, status;

	status = open_flags(survey);
	if (!status)
		status = assume_blocks(survey);
	if (status)
		return status;
	survey->scan.all = lx_host_end(&survey->host);
	ret = select_add(&survey->select, &survey->host, survey->arguments,
			 &survey->missing, &survey->err);
	if (ret)
		return common_wrong(survey->command, "%s", survey->err.text);
	if (survey->missing && !survey->select.ranges.count)
		return EXIT_FAILED;
	if (!has_some(survey))
		return common_failed(survey->command, "no block of that zone "
				     "and node is there");
	if (lx_judge_init(&survey->judge, &survey->host, survey->flags,
			  &survey->err))
		return common_unread(survey->command, &survey->err);
	return 0;
}

int survey_open(struct survey *survey)
{
	const char *root;
	int status;

	if (common_source_open(&survey->source, &root, &survey->err))
		return survey->source.sysroot && survey->source.file ?
		       common_wrong(survey->command, "%s", survey->err.text) :
		       common_unread(survey->command, &survey->err);
	if (lx_host_read(root, &survey->host, &survey->err)) {
		common_source_close(&survey->source);
		return common_unread(survey->command, &survey->err);
	}
	status = start(survey);
	if (status)
		survey_close(survey);
	return status;
}

void survey_close(struct survey *survey)
{
	common_progress_end();
	lx_judge_free(&survey->judge);
	if (survey->past_open)
		lx_scan_close(&survey->past_scan);
	survey->past_open = false;
	if (survey->flags)
		lx_scan_close(&survey->scan);
	survey->flags = false;
	lx_host_free(&survey->host);
	select_free(&survey->select);
	common_source_close(&survey->source);
}

/* Judge a block for what it uses up, by a scan of its own. */
static int judge_past(struct survey *survey, const struct lx_block *block)
{
	uint64_t frames = survey->host.blocks.frames;
	struct lx_piece piece = { .first = block->id * frames };
	struct lx_judgement ignored;
	int ret = 0;

	if (block->state == LX_BLOCK_OFFLINE)
		return 0;
	if (!survey->past_open) {
		ret = lx_scan_open(&survey->past_scan, &survey->host,
				   &survey->err);
		if (ret)
			return ret;
		survey->past_open = true;
		survey->past_scan.progress = common_progress;
		survey->past_scan.all = lx_host_end(&survey->host);
	}
	ret = lx_scan_piece(&survey->past_scan, piece.first,
			    piece.first + frames, &piece, &survey->err);
	if (!ret)
		lx_judge_block(&survey->judge, block, &piece, &ignored);
	return ret;
}

void survey_rejudge(struct survey *survey)
{
	lx_judge_restart(&survey->judge);
	survey->past = 0;
}

int survey_judge(struct survey *survey, const struct lx_block *block,
		 const struct lx_piece *piece,
		 struct lx_judgement *ret_judgement)
{
	const struct lx_block *all = survey->host.blocks.block;
	size_t i = (size_t)(block - all);
	int ret;

	lx_judge_block(&survey->judge, block, piece, ret_judgement);
	if (survey->past == i) {
		survey->past++;
		return 0;
	}
	if (!lx_judge_give_back(&survey->judge))
		return 0;
	for (; survey->past < i; survey->past++) {
		ret = judge_past(survey, &all[survey->past]);
		if (ret)
			return ret;
	}
	lx_judge_block(&survey->judge, block, piece, ret_judgement);
	survey->past = i + 1;
	return 0;
}

int survey_next(struct survey *survey, struct surveyed *ret_block)
{
	const struct lx_blocks *blocks = &survey->host.blocks;
	const struct lx_block *block;
	uint64_t first;
	int ret = 0;

	while (survey->next < blocks->count &&
	       !select_has(&survey->select, &survey->host,
			   &blocks->block[survey->next]))
		survey->next++;
	if (survey->next == blocks->count) {
		common_progress_end();
		return 0;
	}
	block = &blocks->block[survey->next++];
	first = block->id * blocks->frames;
	*ret_block = (struct surveyed){
		.block = block,
		.piece = { .first = first },
	};
	if (survey->flags && block->state != LX_BLOCK_OFFLINE)
		ret = lx_scan_piece(&survey->scan, first,
				    first + blocks->frames, &ret_block->piece,
				    &survey->err);
	if (ret)
		return ret;
	survey->cut += survey->flags && block->state == LX_BLOCK_ONLINE &&
		       ret_block->piece.frames < blocks->frames;
	ret = survey_judge(survey, block, &ret_block->piece,
			   &ret_block->judgement);
	return ret ? ret : 1;
}

int survey_end(struct survey *survey)
{
	uint64_t seen = 0;
	char names[LX_KPF_NAMES_BYTES];
	unsigned int bit;

	common_progress_end();
	for (bit = 0; bit < 64; bit++) {
		if (survey->scan.bit[bit])
			seen |= UINT64_C(1) << bit;
	}
	if (seen) {
		lx_kpf_names(seen, names);
		common_note(survey->command, "note: flags that this program "
			    "does not know: %s", names);
	}
	if (survey->cut)
		common_note(survey->command, "%s is cut off: %zu of the "
			    "blocks asked for %s not, or not all, in it",
			    survey->scan.words.path, survey->cut,
			    survey->cut == 1 ? "is" : "are");
	return survey->cut || survey->missing ? EXIT_PARTLY : EXIT_OK;
}
