/* SPDX-License-Identifier: MIT */

/*
 * Words, numbers, sizes, times and names.  A word is what stands between
 * white space; a "#" begins a comment wherever it stands, so a line is cut
 * there before anything is read from it.
 */

#include <stdarg.h>

#include "read.h"

bool text_is(struct text text, const char *word)
{
	size_t i;

	for (i = 0; i < text.length; i++)
		if (!word[i] || text.start[i] != word[i])
			return false;
	return !word[i];
}

bool text_same(struct text a, struct text b)
{
	size_t i;

	if (a.length != b.length)
		return false;
	for (i = 0; i < a.length; i++)
		if (a.start[i] != b.start[i])
			return false;
	return true;
}

static size_t append(char *to, size_t at, const char *from, size_t length)
{
	size_t i;

	for (i = 0; i < length && at + 1 < SCENARIO_ERROR_BYTES; i++) {
		/* What stands in a scenario may be anything. */
		unsigned char c = (unsigned char)from[i];

		to[at++] = c < ' ' || c == 0x7f ? '?' : from[i];
	}
	return at;
}

static size_t append_number(char *to, size_t at, uint64_t number)
{
	char digits[20];
	size_t first = sizeof(digits);

	do {
		digits[--first] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	return append(to, at, digits + first, sizeof(digits) - first);
}

static size_t length_of(const char *string)
{
	size_t length = 0;

	while (string[length])
		length++;
	return length;
}

int scenario_wrong(struct scenario *scenario, const char *format, ...)
{
	const struct text *text;
	const char *string;
	size_t at = 0;
	va_list values;

	va_start(values, format);
	for (; *format; format++) {
		if (*format != '%') {
			at = append(scenario->error, at, format, 1);
			continue;
		}
		switch (*++format) {
		case '%':
			at = append(scenario->error, at, format, 1);
			break;
		case 't':
			text = va_arg(values, const struct text *);
			at = append(scenario->error, at, text->start,
				    text->length);
			break;
		case 's':
			string = va_arg(values, const char *);
			at = append(scenario->error, at, string,
				    length_of(string));
			break;
		default:
			at = append_number(scenario->error, at,
					   va_arg(values, uint64_t));
		}
	}
	va_end(values);
	scenario->error[at] = '\0';
	return -1;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

struct text peek_word(const struct scenario *scenario)
{
	struct text word = scenario->words;
	size_t length = 0;

	while (word.length && is_space(*word.start)) {
		word.start++;
		word.length--;
	}
	while (length < word.length && !is_space(word.start[length]))
		length++;
	word.length = length;
	return word;
}

struct text take_word(struct scenario *scenario)
{
	struct text word = peek_word(scenario);
	const char *end = scenario->words.start + scenario->words.length;

	scenario->words.start = word.start + word.length;
	scenario->words.length = (size_t)(end - scenario->words.start);
	return word;
}

bool take_if(struct scenario *scenario, const char *word)
{
	if (!text_is(peek_word(scenario), word))
		return false;
	(void)take_word(scenario);
	return true;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The digits a word begins with; @ret_length: how many characters they are. */
static int parse_digits(struct text word, uint64_t *ret_number,
			size_t *ret_length)
{
	uint64_t number = 0;
	unsigned base = 10;
	size_t first = 0, i;

	if (word.length > 2 && word.start[0] == '0' && word.start[1] == 'x') {
		base = 16;
		first = 2;
	}
	for (i = first; i < word.length; i++) {
		int digit = digit_of(word.start[i]);

		if (digit < 0 || (unsigned)digit >= base)
			break;
		if (number > (~(uint64_t)0 - (unsigned)digit) / base)
			return -1;
		number = number * base + (unsigned)digit;
	}
	if (i == first)
		return -1;
	*ret_number = number;
	*ret_length = i;
	return 0;
}

int parse_number(struct text word, uint64_t *ret_number)
{
	uint64_t number;
	size_t length;

	if (parse_digits(word, &number, &length) || length != word.length)
		return -1;
	*ret_number = number;
	return 0;
}

/* The value of a suffix, or 0. */
static uint64_t suffix_of(char c)
{
	switch (c) {
	case 'f':
		return CF_FRAME_BYTES;
	case 'K':
		return (uint64_t)1 << 10;
	case 'M':
		return (uint64_t)1 << 20;
	case 'G':
		return (uint64_t)1 << 30;
	case 'T':
		return (uint64_t)1 << 40;
	default:
		return 0;
	}
}

int parse_size(struct text word, uint64_t *ret_bytes)
{
	uint64_t number, unit;
	size_t length;

	if (parse_digits(word, &number, &length))
		return -1;
	if (length == word.length && !number) {
		*ret_bytes = 0;
		return 0;
	}
	if (length + 1 != word.length)
		return -1;
	unit = suffix_of(word.start[length]);
	if (!unit || number > ~(uint64_t)0 / unit)
		return -1;
	*ret_bytes = number * unit;
	return 0;
}

int read_number(struct scenario *scenario, const char *what,
		uint64_t *ret_number)
{
	struct text word = take_word(scenario);

	if (!word.length)
		return scenario_wrong(scenario, "%s: a number is missing",
				      what);
	if (parse_number(word, ret_number))
		return scenario_wrong(scenario, "%s: \"%t\" is not a number",
				      what, &word);
	return 0;
}

int read_size(struct scenario *scenario, const char *what, uint64_t *ret_bytes)
{
	struct text word = take_word(scenario);

	if (!word.length)
		return scenario_wrong(scenario, "%s: a size is missing", what);
	if (parse_size(word, ret_bytes))
		return scenario_wrong(scenario, "%s: \"%t\" is not a size;"
				      " write 4K, 2M, 1G, 1T or 512f (frames)",
				      what, &word);
	if (*ret_bytes % CF_FRAME_BYTES)
		return scenario_wrong(scenario,
				      "%s: %t is not a whole number of frames",
				      what, &word);
	return 0;
}

int read_time(struct scenario *scenario, uint64_t *ret_ns)
{
	static const struct {
		const char *suffix;
		uint64_t ns;
	} units[] = {
		{ "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 },
	};
	struct text word = take_word(scenario), suffix;
	uint64_t number;
	size_t length, i;

	if (parse_digits(word, &number, &length))
		goto wrong;
	suffix.start = word.start + length;
	suffix.length = word.length - length;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!text_is(suffix, units[i].suffix))
			continue;
		if (number > (uint64_t)3600 * 1000000000 / units[i].ns)
			return scenario_wrong(scenario,
					      "%t is more than an hour", &word);
		*ret_ns = number * units[i].ns;
		return 0;
	}
wrong:
	return scenario_wrong(scenario, "\"%t\" is not a time;"
			      " write 10us, 500ms or 2s", &word);
}

int read_percent(struct scenario *scenario, unsigned *ret_percent)
{
	struct text word = take_word(scenario);
	uint64_t number;
	size_t length;

	if (parse_digits(word, &number, &length) || number > 100 ||
	    length + 1 != word.length || word.start[length] != '%')
		return scenario_wrong(scenario, "within: \"%t\" is not a"
				      " percentage like 5%%", &word);
	*ret_percent = (unsigned)number;
	return 0;
}

int read_amount(struct scenario *scenario, struct amount *ret_amount)
{
	struct text word = take_word(scenario);

	if (!word.length)
		return scenario_wrong(scenario, "how much is missing: a number"
				      " of runs, a size or \"all\"");
	if (text_is(word, "all")) {
		ret_amount->unit = AMOUNT_ALL;
		ret_amount->number = 0;
		return 0;
	}
	if (!parse_number(word, &ret_amount->number)) {
		ret_amount->unit = AMOUNT_COUNT;
	} else if (!parse_size(word, &ret_amount->number)) {
		ret_amount->unit = AMOUNT_BYTES;
	} else {
		return scenario_wrong(scenario, "\"%t\" is neither a number of"
				      " runs nor a size", &word);
	}
	if (!ret_amount->number)
		return scenario_wrong(scenario, "%t is nothing", &word);
	if (ret_amount->unit == AMOUNT_BYTES &&
	    ret_amount->number % CF_FRAME_BYTES)
		return scenario_wrong(scenario,
				      "%t is not a whole number of frames",
				      &word);
	return 0;
}

/* Words of the language have hyphens where those of the library may not. */
static bool word_matches(struct text word, const char *name)
{
	size_t i;

	for (i = 0; i < word.length && name[i]; i++) {
		bool gap = name[i] == ' ' || name[i] == '_';

		if (word.start[i] != (gap ? '-' : name[i]))
			return false;
	}
	return i == word.length && !name[i];
}

int read_choice(struct scenario *scenario, const char *what,
		const char *(*word_at)(uint64_t), uint64_t *ret_number)
{
	struct text word = take_word(scenario);
	uint64_t i;

	if (!word.length)
		return scenario_wrong(scenario, "%s: a word is missing", what);
	for (i = 0; word_at(i); i++) {
		if (word_matches(word, word_at(i))) {
			*ret_number = i;
			return 0;
		}
	}
	return scenario_wrong(scenario, "%s: \"%t\" is not one of its words",
			      what, &word);
}

static bool is_name(struct text word)
{
	size_t i;

	if (!word.length)
		return false;
	for (i = 0; i < word.length; i++) {
		char c = word.start[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		bool other = (c >= '0' && c <= '9') || c == '-' || c == '_';

		if (!letter && (!i || !other))
			return false;
	}
	return true;
}

/* Words that begin a place or name an owner. */
static bool is_taken(struct text word)
{
	static const char *const words[] = {
		"all", "allocator", "block", "blocks", "frame", "frames",
		"orphan",
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (text_is(word, words[i]))
			return true;
	return false;
}

static struct scenario_name *find_name(struct scenario *scenario,
				       struct text word)
{
	uint32_t i;

	for (i = 0; i < scenario->names; i++)
		if (text_same(scenario->name[i].text, word))
			return &scenario->name[i];
	return NULL;
}

int read_new_name(struct scenario *scenario, enum noun noun,
		  uint32_t *ret_number)
{
	struct text word = take_word(scenario);
	struct scenario_name *name;

	if (!word.length)
		return scenario_wrong(scenario, "the %s's name is missing",
				      noun_name(noun));
	if (!is_name(word) || is_taken(word))
		return scenario_wrong(scenario, "\"%t\" cannot be a name",
				      &word);
	if (word.length > SCENARIO_NAME_BYTES)
		return scenario_wrong(scenario, "the name %t is too long",
				      &word);
	name = find_name(scenario, word);
	if (name && !name->line)
		return scenario_wrong(scenario, "%t is a %s already, of the"
				      " machine this goes on from", &word,
				      noun_name(name->noun));
	if (name)
		return scenario_wrong(scenario,
				      "%t is a %s already, since line %u",
				      &word, noun_name(name->noun),
				      (uint64_t)name->line);
	if (scenario->names == SCENARIO_NAMES_MAX)
		return scenario_wrong(scenario, "more than %u names",
				      (uint64_t)SCENARIO_NAMES_MAX);
	name = &scenario->name[scenario->names];
	name->text = word;
	name->noun = noun;
	name->line = scenario->line;
	*ret_number = scenario->names++;
	return 0;
}

int read_name_among(struct scenario *scenario, unsigned nouns,
		    const char *what, uint32_t *ret_number)
{
	struct text word = take_word(scenario);
	struct scenario_name *name;

	if (!word.length)
		return scenario_wrong(scenario, "the %s's name is missing",
				      what);
	name = find_name(scenario, word);
	if (!name)
		return scenario_wrong(scenario, "there is no %s %t", what,
				      &word);
	if (!(nouns & 1u << name->noun))
		return scenario_wrong(scenario, "%t is a %s, not a %s", &word,
				      noun_name(name->noun), what);
	*ret_number = (uint32_t)(name - scenario->name);
	return 0;
}

int read_name(struct scenario *scenario, enum noun noun, uint32_t *ret_number)
{
	return read_name_among(scenario, 1u << noun, noun_name(noun),
			       ret_number);
}

/* Of a run, of a range: devices' drivers are owners, too. */
int read_owner_value(struct scenario *scenario, uint64_t *ret_number)
{
	uint32_t number;

	if (take_if(scenario, "allocator")) {
		*ret_number = OWNER_ALLOCATOR;
		return 0;
	}
	if (take_if(scenario, "orphan")) {
		*ret_number = OWNER_ORPHAN;
		return 0;
	}
	if (read_name_among(scenario, 1u << NOUN_OWNER | 1u << NOUN_MEM |
			    1u << NOUN_BALLOON | 1u << NOUN_PAGEMAP,
			    "owner", &number))
		return -1;
	*ret_number = number;
	return 0;
}

int read_owner(struct scenario *scenario, uint64_t *ret_number)
{
	uint32_t number;

	if (take_if(scenario, "allocator")) {
		*ret_number = OWNER_ALLOCATOR;
		return 0;
	}
	if (take_if(scenario, "orphan")) {
		*ret_number = OWNER_ORPHAN;
		return 0;
	}
	if (read_name(scenario, NOUN_OWNER, &number))
		return -1;
	*ret_number = number;
	return 0;
}
