/* SPDX-License-Identifier: MIT */

/* What the steps of a scenario came to. */

#include <stdlib.h>
#include <string.h>

#include "journal.h"

int journal_init(struct journal *journal, const struct player *player)
{
	*journal = (struct journal){
		.player = *player,
		.steps = json_array(),
		.checks = json_array(),
	};
	return journal->steps && journal->checks ? 0 : -1;
}

void journal_free(struct journal *journal)
{
	json_decref(journal->steps);
	json_decref(journal->checks);
}

static bool is_plain(char c)
{
	return c != '\0' && (unsigned char)c < 0x80;
}

/* JSON knows only UTF-8, and many of its readers no NUL. */
json_t *journal_text(const char *text, size_t length)
{
	json_t *string = NULL;
	char *plain;
	size_t i;

	if (!memchr(text, 0, length))
		string = json_stringn(text, length);
	if (string)
		return string;
	plain = malloc(length);
	for (i = 0; plain && i < length; i++)
		plain[i] = is_plain(text[i]) ? text[i] : '?';
	if (plain)
		string = json_stringn(plain, length);
	free(plain);
	return string;
}

static json_t *line_json(const char *text)
{
	return journal_text(text, strlen(text));
}

bool journal_is_check(const struct step *step)
{
	return step->kind == STEP_EXPECT || step->kind == STEP_VERIFY ||
	       step->fails || step->caught;
}

bool journal_has_failed(const struct step *step,
			const struct outcome *outcome)
{
	return outcome->wrong || (outcome->err && !step->fails);
}

static json_t *step_json(const struct journal *journal,
			 const struct step *step,
			 const struct outcome *outcome)
{
	bool failed = journal_has_failed(step, outcome);
	json_t *object;

	object = json_pack("{s:i, s:o, s:b, s:I}", "line", (int)step->line,
			   "step", journal_text(step->source.start,
						step->source.length),
			   "ok", !failed, "ns", (json_int_t)outcome->ns);
	if (outcome->what[0])
		(void)json_object_set_new(object, "what",
					  line_json(outcome->what));
	if (outcome->why[0])
		(void)json_object_set_new(object, "why",
					  line_json(outcome->why));
	if (outcome->err && step->kind != STEP_EXPECT)
		(void)json_object_set_new(object, "error", json_string(
			error_word((uint64_t)-outcome->err)));
	if (outcome->reported)
		(void)json_object_set_new(object, "refused",
			journal->player.ops->refusal_json(
				journal->player.self, outcome));
	return object;
}

void journal_note(struct journal *journal, const struct step *step,
		  const struct outcome *outcome)
{
	bool failed = journal_has_failed(step, outcome);
	bool check = journal_is_check(step);

	journal->line = step->line;
	if (check) {
		journal->failed += failed;
		journal->held += !failed;
	}
	/* What comes after a step that was to work makes no sense. */
	journal->stopped |= failed && !check;
	(void)json_array_append_new(check ? journal->checks : journal->steps,
				    step_json(journal, step, outcome));
}

void journal_note_own(struct journal *journal, const char *name, bool holds,
		      const char *why)
{
	struct step step = {
		.kind = STEP_VERIFY,
		.line = journal->line,
		.source = { name, strlen(name) },
	};
	struct outcome outcome = { .wrong = !holds };

	(void)snprintf(outcome.why, sizeof(outcome.why), "%s",
		       holds ? "" : why);
	journal_note(journal, &step, &outcome);
}

int journal_status(const struct journal *journal)
{
	return journal->failed || journal->stopped;
}

json_t *journal_json(const struct journal *journal, const char *file,
		     uint64_t seed)
{
	json_t *report = json_pack("{s:o, s:i, s:I, s:O, s:O}", "scenario",
				   line_json(file), "status",
				   journal_status(journal), "seed",
				   (json_int_t)seed, "steps", journal->steps,
				   "checks", journal->checks);
	const struct player *player = &journal->player;
	json_t *machine;

	if (report && player->ops->is_on(player->self)) {
		machine = player->ops->json(player->self);
		(void)json_object_update(report, machine);
		json_decref(machine);
	}
	return report;
}
