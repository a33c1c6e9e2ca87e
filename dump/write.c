/* SPDX-License-Identifier: MIT */
#include "writer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX	16

uint64_t part_address(const struct writer *writer, uint64_t frame)
{
	const struct dump_source *source = writer->source;
	uint64_t index = frame - source->end;
	size_t which;

	if (frame < source->end)
		return source->linear ?
		       source->frames + frame * CF_FRAME_BYTES : 0;
	which = pieces_which(source, &index);
	return source->range[which].address + index * CF_FRAME_BYTES;
}

/* Does @frame begin something that lies elsewhere than the frame before? */
static bool begins_piece(const struct writer *writer, uint64_t frame)
{
	const struct dump_source *source = writer->source;
	uint64_t index = frame - source->end;

	if (frame < source->end)
		return false;
	(void)pieces_which(source, &index);
	return index == 0;
}

static uint64_t popcount(uint64_t bits)
{
	return (uint64_t)__builtin_popcountll(bits);
}

/* To the stretch that @at is in, or to the next one. */
static bool skip_to_stretch(const struct writer *writer,
			    struct part_cursor *cursor)
{
	while (cursor->stretch < writer->stretches &&
	       writer->stretch[cursor->stretch].last <= cursor->at)
		cursor->stretch++;
	if (cursor->stretch == writer->stretches)
		return false;
	if (cursor->at < writer->stretch[cursor->stretch].first)
		cursor->at = writer->stretch[cursor->stretch].first;
	return true;
}

/* The first set bit from @at on, past whole words without any. */
static bool skip_to_set(const struct writer *writer, const uint64_t *bits,
			const uint64_t *ranks, struct part_cursor *cursor)
{
	while (skip_to_stretch(writer, cursor)) {
		uint64_t word = bits[cursor->at / 64] >> cursor->at % 64;
		uint64_t ranked = ranks[cursor->at / 64] >> cursor->at % 64;
		unsigned step = word ? (unsigned)__builtin_ctzll(word) :
				64 - (unsigned)(cursor->at % 64);

		if (step < 64)
			ranked &= ((uint64_t)1 << step) - 1;
		cursor->rank += popcount(ranked);
		cursor->at += step;
		if (word)
			return cursor->at < writer->frames;
	}
	return false;
}

bool part_next(const struct writer *writer, const uint64_t *bits,
	       const uint64_t *ranks, struct part_cursor *cursor,
	       struct part *ret_part)
{
	if (!skip_to_set(writer, bits, ranks, cursor))
		return false;
	*ret_part = (struct part){ cursor->at, 0, cursor->rank };
	/* What is set in @bits is set in @ranks. */
	do {
		cursor->at++;
		cursor->rank++;
	} while (cursor->at < writer->frames && bit_get(bits, cursor->at) &&
		 !begins_piece(writer, cursor->at));
	ret_part->last = cursor->at;
	return true;
}

/* ---- the plan ---- */

static int plan_window(struct writer *writer, struct dump_window *window)
{
	const struct dump_source *source = writer->source;
	unsigned i;

	if (source->look(source, window, writer->why))
		return -1;
	for (i = 0; i < window->count; i++) {
		if (window->class[i] != DUMP_ABSENT)
			bit_set(writer->there, window->first + i);
		if (!(source->wanted >> window->class[i] & 1))
			continue;
		bit_set(writer->planned, window->first + i);
		writer->planned_frames++;
	}
	return 0;
}

static int plan_metadata(struct writer *writer)
{
	const struct dump_source *source = writer->source;
	uint64_t i;
	int has;

	for (i = 0; i < writer->metadata; i++) {
		has = source->metadata(source, i, NULL, writer->why);
		if (has < 0)
			return -1;
		if (!has)
			continue;
		bit_set(writer->there, source->end + i);
		bit_set(writer->planned, source->end + i);
		writer->planned_frames++;
	}
	return 0;
}

static int plan_stretch(struct writer *writer,
			const struct dump_stretch *stretch)
{
	struct dump_window window = { .first = stretch->first };

	for (; window.first < stretch->last; window.first += window.count) {
		window.count = DUMP_WINDOW_FRAMES;
		if (plan_window(writer, &window))
			return -1;
	}
	return 0;
}

static int plan(struct writer *writer)
{
	size_t i;

	/* The last one is of metadata. */
	for (i = 0; i + 1 < writer->stretches; i++)
		if (plan_stretch(writer, &writer->stretch[i]))
			return -1;
	return plan_metadata(writer);
}

static int make_bits(struct writer *writer)
{
	size_t words = writer->frames / 64 + 2;

	const struct dump_source *source = writer->source;
	size_t count = source->stretches;

	writer->stretch = calloc(count + 1, sizeof(*writer->stretch));
	writer->planned = calloc(words, sizeof(uint64_t));
	writer->there = calloc(words, sizeof(uint64_t));
	writer->done = calloc(words, sizeof(uint64_t));
	if (!writer->planned || !writer->there || !writer->done ||
	    !writer->stretch)
		return dump_fail(writer->why, "the process has no memory");
	if (count)
		memcpy(writer->stretch, source->stretch,
		       count * sizeof(*writer->stretch));
	writer->stretch[count] = (struct dump_stretch){
		source->end, writer->frames,
	};
	writer->stretches = count + 1;
	writer->next_frame = writer->stretch[0].first;
	return 0;
}

/* ---- one window ---- */

static int read_metadata(struct writer *writer, struct job *job,
			 struct dump_why *why)
{
	const struct dump_source *source = writer->source;
	unsigned i;

	for (i = 0; i < job->window.count; i++) {
		uint64_t frame = job->window.first + i;
		int has = 0;

		if (bit_get(writer->planned, frame))
			has = source->metadata(source, frame - source->end,
					       job->memory +
					       i * CF_FRAME_BYTES, why);
		if (has < 0)
			return -1;
		job->read[i] = has;
	}
	return 0;
}

/* Frames that may be read now and were to be when the plan was made. */
static int read_frames(struct writer *writer, struct job *job,
		       struct dump_why *why)
{
	const struct dump_source *source = writer->source;
	unsigned i;

	if (source->read(source, &job->window, job->memory, why))
		return -1;
	for (i = 0; i < job->window.count; i++)
		job->read[i] = (job->window.class[i] == DUMP_ZERO ||
				source->wanted >> job->window.class[i] & 1) &&
			       bit_get(writer->planned, job->window.first + i);
	return 0;
}

static void pack_one(struct writer *writer, struct job *job, unsigned i)
{
	const unsigned char *frame = job->memory + i * CF_FRAME_BYTES;
	unsigned char *to = job->packed + job->packed_bytes;
	size_t size;

	job->zero[i] = dump_is_zero(frame);
	job->count++;
	job->size[i] = 0;
	if (writer->options->format == DUMP_ELF ||
	    (job->zero[i] && writer->options->level & DUMP_LEVEL_ZERO))
		return;
	size = pack_frame(job->pack, frame, to, CF_FRAME_BYTES - 1);
	if (!size) {
		size = CF_FRAME_BYTES;
		memcpy(to, frame, size);
	}
	job->size[i] = (uint32_t)size;
	job->packed_bytes += size;
}

static int do_window(struct writer *writer, struct job *job,
		     struct dump_why *why)
{
	unsigned i;
	int err;

	job->count = 0;
	job->packed_bytes = 0;
	err = job->window.first < writer->source->end ?
	      read_frames(writer, job, why) : read_metadata(writer, job, why);
	if (err)
		return -1;
	for (i = 0; i < job->window.count; i++)
		if (job->read[i])
			pack_one(writer, job, i);
	return 0;
}

/* It is this window's turn: totals, and its place. */
static void note_window(struct writer *writer, struct job *job)
{
	struct dump_result *result = &writer->result;
	bool metadata = job->window.first >= writer->source->end;
	unsigned i;

	if (!metadata)
		dump_tally_add(&result->tally, &job->window);
	for (i = 0; i < job->window.count; i++) {
		uint64_t frame = job->window.first + i;

		if (job->read[i]) {
			bit_set(writer->done, frame);
			result->metadata += metadata;
			result->written += !metadata;
		} else if (bit_get(writer->planned, frame)) {
			result->lost++;
		}
	}
	writer->sink->place(writer, job);
}

/* ---- threads ---- */

/* Blocks are whole windows. */
static uint64_t windows_of(const struct writer *writer)
{
	uint64_t windows = 0;
	size_t i;

	for (i = 0; i < writer->stretches; i++)
		windows += (writer->stretch[i].last - writer->stretch[i].first +
			    DUMP_WINDOW_FRAMES - 1) / DUMP_WINDOW_FRAMES;
	return windows;
}

static void fail(struct writer *writer, const struct dump_why *why)
{
	(void)pthread_mutex_lock(&writer->lock);
	if (!writer->failed)
		*writer->why = *why;
	writer->failed = true;
	(void)pthread_cond_broadcast(&writer->turned);
	(void)pthread_mutex_unlock(&writer->lock);
}

/* False: some other window failed. */
static bool wait_turn(struct writer *writer, uint64_t number)
{
	bool good;

	(void)pthread_mutex_lock(&writer->lock);
	while (writer->turn != number && !writer->failed)
		(void)pthread_cond_wait(&writer->turned, &writer->lock);
	good = !writer->failed;
	(void)pthread_mutex_unlock(&writer->lock);
	return good;
}

static void end_turn(struct writer *writer)
{
	const struct dump_options *options = writer->options;

	(void)pthread_mutex_lock(&writer->lock);
	writer->turn++;
	if (options->progress)
		options->progress(options->context, writer->turn,
				  windows_of(writer));
	(void)pthread_cond_broadcast(&writer->turned);
	(void)pthread_mutex_unlock(&writer->lock);
}

/* A stream is written while it is one's turn, a file by several at once. */
static int put_window(struct writer *writer, struct job *job,
		      struct dump_why *why)
{
	int err = 0;

	if (!wait_turn(writer, job->number))
		return 0;
	note_window(writer, job);
	if (writer->out.stream)
		err = writer->sink->put(writer, job, why);
	if (!err)
		end_turn(writer);
	if (!writer->out.stream)
		err = writer->sink->put(writer, job, why);
	return err;
}

/* Give a window to a job. Caller holds the lock. */
static bool next_window(struct writer *writer, struct job *job)
{
	const struct dump_stretch *stretch =
		&writer->stretch[writer->next_stretch];
	uint64_t rest;

	if (writer->next_stretch == writer->stretches || writer->failed ||
	    writer->next_frame == stretch->last)
		return false;
	rest = stretch->last - writer->next_frame;
	job->number = writer->next++;
	job->window.first = writer->next_frame;
	job->window.count = rest < DUMP_WINDOW_FRAMES ? (unsigned)rest :
							DUMP_WINDOW_FRAMES;
	writer->next_frame += job->window.count;
	if (writer->next_frame == stretch->last &&
	    ++writer->next_stretch < writer->stretches)
		writer->next_frame = stretch[1].first;
	return true;
}

/* The next window to do; false: there is none, or something failed. */
static bool take_window(struct writer *writer, struct job *job)
{
	bool more;

	(void)pthread_mutex_lock(&writer->lock);
	more = next_window(writer, job);
	(void)pthread_mutex_unlock(&writer->lock);
	return more;
}

static void *work(void *argument)
{
	struct job *job = argument;
	struct writer *writer = job->writer;
	struct dump_why why;

	while (take_window(writer, job)) {
		if (do_window(writer, job, &why) ||
		    put_window(writer, job, &why)) {
			fail(writer, &why);
			break;
		}
	}
	return NULL;
}

static void free_job(struct job *job)
{
	if (!job)
		return;
	pack_free(job->pack);
	free(job->memory);
	free(job->packed);
	free(job);
}

static struct job *make_job(struct writer *writer)
{
	size_t bytes = DUMP_WINDOW_FRAMES * CF_FRAME_BYTES;
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->writer = writer;
	job->pack = pack_new(writer->options->compress);
	job->memory = malloc(bytes);
	job->packed = malloc(bytes);
	if (job->pack && job->memory && job->packed)
		return job;
	free_job(job);
	return NULL;
}

static unsigned threads_of(const struct dump_options *options)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned threads = options->threads;

	if (!threads)
		threads = cpus > 0 ? (unsigned)cpus : 1;
	return threads < THREADS_MAX ? threads : THREADS_MAX;
}

/* As many threads as there are to be had; this one works, too. */
static int work_all(struct writer *writer)
{
	unsigned threads = threads_of(writer->options), running = 0, i;
	struct job *job[THREADS_MAX] = { NULL };
	pthread_t thread[THREADS_MAX];

	job[0] = make_job(writer);
	if (!job[0])
		return dump_fail(writer->why, "the process has no memory");
	for (i = 1; i < threads; i++) {
		job[i] = make_job(writer);
		if (!job[i] || pthread_create(&thread[i], NULL, work, job[i]))
			break;
		running = i;
	}
	(void)work(job[0]);
	for (i = 1; i <= running; i++)
		(void)pthread_join(thread[i], NULL);
	for (i = 0; i < THREADS_MAX; i++)
		free_job(job[i]);
	return writer->failed ? -1 : 0;
}

/* ---- all of it ---- */

static int write_all(struct writer *writer, const char *path)
{
	int fd = writer->options->stream ? writer->options->stream :
					   STDOUT_FILENO;
	int err;

	if (out_open(&writer->out, path, fd,
		     writer->options->format == DUMP_KDUMP, writer->why))
		return -1;
	err = writer->sink->begin(writer);
	if (!err)
		err = work_all(writer);
	if (!err)
		err = writer->sink->end(writer, &writer->result.bytes);
	if (!err)
		return out_commit(&writer->out, writer->result.bytes,
				  writer->why);
	out_cancel(&writer->out);
	return -1;
}

int dump_write(const struct dump_source *source,
	       const struct dump_options *options, const char *path,
	       struct dump_result *ret_result, struct dump_why *why)
{
	struct writer writer = {
		.source = source, .options = options, .why = why,
		.sink = options->format == DUMP_ELF ? &elf_sink : &kdump_sink,
		.metadata = dump_source_metadata(source),
		.began = (uint64_t)time(NULL),
	};
	int err;

	writer.frames = source->end + writer.metadata;
	(void)pthread_mutex_init(&writer.lock, NULL);
	(void)pthread_cond_init(&writer.turned, NULL);
	err = make_bits(&writer);
	if (!err)
		err = plan(&writer);
	if (!err)
		err = write_all(&writer, path);
	if (!err)
		*ret_result = writer.result;
	free(writer.stretch);
	free(writer.planned);
	free(writer.there);
	free(writer.done);
	(void)pthread_mutex_destroy(&writer.lock);
	(void)pthread_cond_destroy(&writer.turned);
	return err;
}
