/* SPDX-License-Identifier: MIT */

/*
 * An execution for a person to read: one of its schedules, with as few
 * switches between threads as there are found, a line a step.  A load that
 * reads what is no longer the youngest value is marked, for that is where an
 * order is missing.
 */

#include "engine.h"

#include <stdlib.h>
#include <string.h>

struct line {			/* a schedule being made */
	const struct graph *graph;
	uint32_t at[THREADS_MAX];
	event_ref *step;
	uint32_t steps, all;
	unsigned preemptions;
};

static bool is_load(const struct event *event)
{
	return event->kind == EVENT_LOAD || event->kind == EVENT_RMW_LOAD;
}

static bool is_done(const struct line *line, event_ref ref)
{
	return ref == EVENT_INIT ||
	       ref_index(ref) < line->at[ref_thread(ref)];
}

/*
 * Have the store before this one, and the loads of that, been made?  Where
 * every step is asked, all that are older have.
 */
static bool is_in_order(const struct line *line, event_ref ref)
{
	const struct graph *graph = line->graph;
	const struct event *event = graph_event(graph, ref);
	const struct place *place = &graph->place[event->access.place];
	event_ref before;
	uint32_t i;

	before = graph_at_position(graph, event->access.place,
		graph_position(graph, event->access.place, ref) - 1);
	if (!is_done(line, before))
		return false;
	for (i = 0; i < place->loads; i++)
		if (graph_event(graph, place->load[i])->rf == before &&
		    ref_thread(place->load[i]) != ref_thread(ref) &&
		    !is_done(line, place->load[i]))
			return false;
	return true;
}

/* May the thread's next event be made?  Strictly: as one memory would. */
static bool can_step(const struct line *line, unsigned thread, bool strictly)
{
	const struct event *event;

	if (line->at[thread] == line->graph->count[thread])
		return false;
	event = &line->graph->event[thread][line->at[thread]];
	if (is_load(event))
		return is_done(line, event->rf);
	return !strictly ||
	       is_in_order(line, EVENT_REF(thread, line->at[thread]));
}

/* How far a thread comes from here without the others. */
static uint32_t reach(struct line *line, unsigned thread, bool strictly)
{
	uint32_t begin = line->at[thread], reached;

	while (can_step(line, thread, strictly))
		line->at[thread]++;
	reached = line->at[thread] - begin;
	line->at[thread] = begin;
	return reached;
}

/* The thread that comes farthest, of those that can go on. */
static int farthest(struct line *line, bool strictly)
{
	uint32_t most = 0, reached;
	int best = -1;
	unsigned i;

	for (i = 0; i < line->graph->threads; i++) {
		reached = reach(line, i, strictly);
		if (reached > most) {
			most = reached;
			best = (int)i;
		}
	}
	return best;
}

static bool thread_ended(const struct line *line, unsigned thread)
{
	return line->at[thread] == line->graph->count[thread];
}

static void make_line(struct line *line, int thread)
{
	bool strictly;

	while (line->steps < line->all) {
		strictly = true;
		if (thread < 0 || !can_step(line, (unsigned)thread, true)) {
			int next = farthest(line, true);

			if (next < 0) {
				strictly = false;
				next = farthest(line, false);
			}
			if (thread >= 0 && next != thread &&
			    !thread_ended(line, (unsigned)thread))
				line->preemptions++;
			thread = next;
		}
		do {
			line->step[line->steps++] =
				EVENT_REF(thread, line->at[thread]);
			line->at[thread]++;
		} while (strictly && can_step(line, (unsigned)thread, true));
	}
}

/* The best of the lines that begin with each thread. */
void trace_schedule(const struct graph *graph, struct schedule *ret_schedule)
{
	struct schedule best = { NULL, 0, ~0u };
	uint32_t all = 0;
	unsigned i;

	for (i = 0; i < graph->threads; i++)
		all += graph->count[i];
	for (i = 0; i < graph->threads; i++) {
		struct line line = { .graph = graph, .all = all };

		if (graph->count[i] == 0)
			continue;
		line.step = malloc((all + 1) * sizeof(*line.step));
		if (!line.step)
			abort();
		make_line(&line, can_step(&line, i, true) ? (int)i : -1);
		if (line.preemptions < best.preemptions) {
			free(best.step);
			best.step = line.step;
			best.steps = line.steps;
			best.preemptions = line.preemptions;
		} else {
			free(line.step);
		}
	}
	if (!best.step)
		best.preemptions = 0;
	*ret_schedule = best;
}

unsigned trace_preemptions(const struct graph *graph)
{
	struct schedule schedule;

	trace_schedule(graph, &schedule);
	free(schedule.step);
	return schedule.preemptions;
}

/* ---- text ---- */

static const char *order_name(enum explore_order order)
{
	static const char *const name[] = {
		"plain", "relaxed", "acquire", "release", "acq_rel", "seq_cst",
	};

	return name[order];
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static const char *verb(const struct event *event)
{
	if (event->access.await != AWAIT_NOTHING)
		return event->blocked ? "waits for" : "takes";
	switch (event->kind) {
	case EVENT_LOAD:
		return event->access.compares ? "fails to change" : "loads";
	case EVENT_RMW_LOAD:
		return "changes";
	case EVENT_STORE:
	case EVENT_RMW_STORE:
		break;
	}
	return "stores";
}

static void print_step(FILE *file, const struct graph *graph, event_ref ref,
		       const struct line *line)
{
	const struct event *event = graph_event(graph, ref);
	const struct explore_site *site = event->access.site;
	const struct place *place = &graph->place[event->access.place];
	uint32_t i, position;

	fprintf(file, "%*s%u: %s ", (int)ref_thread(ref) * 4, "",
		ref_thread(ref), verb(event));
	memory_print_word(file, memory_word(event->access.place));
	if (event->kind == EVENT_RMW_LOAD)
		fprintf(file, " 0x%llx -> 0x%llx",
			(unsigned long long)event->value,
			(unsigned long long)event[1].value);
	else
		fprintf(file, " %s 0x%llx", is_load(event) ? "=" : ":=",
			(unsigned long long)event->value);
	fprintf(file, "  (%s, %s() %s:%d)", order_name(event->access.order),
		site->function, base_name(site->file), site->line);
	if (is_load(event)) {
		position = graph_position(graph, event->access.place,
					  event->rf);
		for (i = position; i < place->stores; i++)
			if (is_done(line, place->store[i])) {
				fprintf(file, "  <- an old value");
				break;
			}
	}
	fprintf(file, "\n");
}

void trace_print(FILE *file, const struct graph *graph,
		 const struct run_failure *failure)
{
	struct line line = { .graph = graph };
	struct schedule schedule;
	uint32_t i;

	trace_schedule(graph, &schedule);
	for (i = 0; i < schedule.steps; i++) {
		event_ref ref = schedule.step[i];

		if (graph_event(graph, ref)->kind != EVENT_RMW_STORE)
			print_step(file, graph, ref, &line);
		line.at[ref_thread(ref)] = ref_index(ref) + 1;
	}
	if (failure)
		fprintf(file, "-> %s\n", failure->text);
	fprintf(file, "(%u preemptions)\n", schedule.preemptions);
	free(schedule.step);
}

/*
 * First the words whose accesses are counted, "@1f,3a"; then the steps of the
 * schedule: "0*12" is twelve of thread 0.  "0~2" is one whose
 * load reads, or whose store stands, two behind the youngest made before.
 * The last word, "0.", is the thread that then fails.
 */
static uint32_t distance(const struct line *line, event_ref ref)
{
	const struct graph *graph = line->graph;
	const struct event *event = graph_event(graph, ref);
	const struct place *place = &graph->place[event->access.place];
	uint32_t position, i, younger = 0;

	position = graph_position(graph, event->access.place,
				  is_load(event) ? event->rf : ref);
	for (i = position; i < place->stores; i++)
		younger += is_done(line, place->store[i]);
	return younger;
}

static void encode_words(FILE *file, const struct graph *graph)
{
	const char *mark = "";
	uint32_t i;

	fprintf(file, "@");
	for (i = 0; i < graph->places; i++)
		if (graph->place[i].stores + graph->place[i].loads) {
			fprintf(file, "%s%zx", mark, memory_place_number(i));
			mark = ",";
		}
	fprintf(file, " ");
}

void trace_encode(FILE *file, const struct graph *graph,
		  const struct run_failure *failure)
{
	struct line line = { .graph = graph };
	struct schedule schedule;
	uint32_t i, behind, same = 0;
	unsigned thread = 0;

	encode_words(file, graph);
	trace_schedule(graph, &schedule);
	for (i = 0; i <= schedule.steps; i++) {
		event_ref ref = i < schedule.steps ? schedule.step[i] : 0;

		behind = i < schedule.steps ? distance(&line, ref) : 0;
		if (same && (i == schedule.steps || behind ||
			     ref_thread(ref) != thread)) {
			fprintf(file, "%u*%u ", thread, same);
			same = 0;
		}
		if (i == schedule.steps)
			break;
		thread = ref_thread(ref);
		if (behind)
			fprintf(file, "%u~%u ", thread, behind);
		else
			same++;
		line.at[thread] = ref_index(ref) + 1;
	}
	fprintf(file, "%u.", failure->last == EVENT_INIT ? 0u :
		ref_thread(failure->last));
	free(schedule.step);
}

/* ---- and back ---- */

static struct {
	uint8_t *thread;
	uint32_t *behind;
	uint32_t steps, room, at;
	struct graph graph;
	bool misfit;
} replay;

static void add_step(unsigned thread, uint32_t behind)
{
	if (replay.steps == replay.room) {
		replay.room = replay.room * 2 + 256;
		replay.thread = realloc(replay.thread, replay.room);
		replay.behind = realloc(replay.behind,
					replay.room * sizeof(uint32_t));
		if (!replay.thread || !replay.behind)
			abort();
	}
	replay.thread[replay.steps] = (uint8_t)thread;
	replay.behind[replay.steps++] = behind;
}

/* The words, once the set-up has run; returns what follows, or NULL. */
static const char *parse_words(const char *text)
{
	char *end;

	memory_freeze_places();
	if (*text != '@')
		return NULL;
	while (*text != ' ' && text[1] != ' ') {
		unsigned long number = strtoul(text + 1, &end, 16);

		if (end == text + 1 || !memory_add_place(number) ||
		    (*end != ',' && *end != ' '))
			return NULL;
		text = end;
	}
	return *text == ' ' ? text + 1 : text + 2;
}

static bool parse(const char *text, unsigned threads)
{
	char *end;

	replay.steps = 0;
	replay.misfit = false;
	while (*text) {
		unsigned long thread = strtoul(text, &end, 10);
		unsigned long number;
		char kind = *end;

		if (end == text || thread >= threads)
			return false;
		if (kind == '.') {
			/* Nobody else comes before it has failed. */
			add_step((unsigned)thread, 0);
			return true;
		}
		if (kind != '*' && kind != '~')
			return false;
		text = end + 1;
		number = strtoul(text, &end, 10);
		if (end == text || number > 1000000)
			return false;
		if (kind == '~')
			add_step((unsigned)thread, (uint32_t)number);
		else
			while (number--)
				add_step((unsigned)thread, 0);
		for (text = end; *text == ' ';)
			text++;
	}
	return true;
}

static uint32_t step_behind(void)
{
	return replay.at < replay.steps ? replay.behind[replay.at++] : 0;
}

static bool replay_load(event_ref load)
{
	struct graph *graph = &replay.graph;
	uint32_t place = graph_event(graph, load)->access.place;
	uint32_t behind = step_behind();

	if (behind > graph->place[place].stores) {
		replay.misfit = true;
		return false;
	}
	graph_set_rf(graph, load, graph_at_position(graph, place,
			graph->place[place].stores - behind));
	return true;
}

static bool replay_store(event_ref store)
{
	struct graph *graph = &replay.graph;
	uint32_t place = graph_event(graph, store)->access.place;
	uint32_t behind = step_behind();

	if (behind > graph->place[place].stores) {
		replay.misfit = true;
		return false;
	}
	graph_set_position(graph, store, graph->place[place].stores - behind);
	return true;
}

bool trace_replay(const struct explore_program *program, const char *text,
		  struct search_result *ret_result)
{
	static const struct run_hooks hooks = { replay_load, replay_store };
	enum run_end end;
	unsigned threads = 0;

	memset(ret_result, 0, sizeof(*ret_result));
	while (threads < EXPLORE_THREADS_MAX && program->thread[threads])
		threads++;
	search_setup(program);
	text = parse_words(text);
	if (!text || !parse(text, threads))
		return false;
	memory_settle();
	memory_take_start_values();
	graph_clear(&replay.graph, threads);
	run_set_script(replay.thread, replay.steps);
	replay.at = 0;
	end = run_execute(program, &replay.graph, &hooks);
	ret_result->failed = end == RUN_FAILED;
	ret_result->failure = *run_failure();
	graph_copy(&ret_result->graph, &replay.graph);
	return !replay.misfit;
}
