/* SPDX-License-Identifier: MIT */
/*
 * Where a failure goes: into memory shared with the parent, which decides
 * whether a shorter list of operations still fails in the same way.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "model.h"
#include "ops.h"

struct verdict *verdict;
void (*after_failure)(void);
struct world *comparing;

__attribute__((noreturn)) static void end(void)
{
	verdict->failed = true;
	if (comparing)
		expect_take(comparing);
	if (after_failure)
		after_failure();
	_exit(1);
}

/* FNV-1a; the format, not the numbers in it, names a failure. */
static uint64_t name_of(const char *text)
{
	uint64_t name = UINT64_C(14695981039346656037);

	for (; *text; text++)
		name = (name ^ (uint8_t)*text) * UINT64_C(1099511628211);
	return name;
}

struct told *told(void)
{
	static struct told none;

	return verdict->at < OPS_MAX ? &verdict->told[verdict->at] : &none;
}

void fail(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	vsnprintf(verdict->text, sizeof(verdict->text), format, values);
	va_end(values);
	verdict->name = name_of(format);
	end();
}

/* The name of a panic is its text up to the values. */
void fail_panic(void *context, const char *text)
{
	char name[sizeof(verdict->text)];

	(void)context;
	snprintf(name, sizeof(name), "%s", text);
	if (strrchr(name, '('))
		*strrchr(name, '(') = '\0';
	snprintf(verdict->text, sizeof(verdict->text), "%s", text);
	verdict->name = name_of(name);
	end();
}

static const char *const code_names[CF_ERR_COUNT] = {
	"0", "-CF_EINVAL", "-CF_EBUSY", "-CF_EAGAIN", "-CF_ENOMEM",
	"-CF_EGONE", "-CF_EREFUSED", "-CF_ELIMIT", "-CF_EPORT",
};

const char *code_name(int err)
{
	return err <= 0 && -err < CF_ERR_COUNT ? code_names[-err] : "unknown";
}

/* Fail with a name that tells calls and codes apart. */
void require_code(const char *call, int err, uint32_t codes)
{
	char expected[96] = "";
	char format[256];
	int code;

	/* Not of a call that a hook made in an operation. */
	if (!strstr(call, " in "))
		told()->code = err;
	if (err <= 0 && -err < CF_ERR_COUNT && codes & E(-err))
		return;
	/* The scenario is to say what is right, if only one code is. */
	if (!strstr(call, " in ") && codes && !(codes & (codes - 1)))
		told()->code = -__builtin_ctz(codes);
	for (code = 0; code < CF_ERR_COUNT; code++) {
		if (!(codes & E(code)))
			continue;
		if (*expected)
			strcat(expected, " or ");
		strcat(expected, code_names[code]);
	}
	snprintf(format, sizeof(format), "%s returned %s, expected %s", call,
		 code_name(err), *expected ? expected : "nothing");
	fail_panic(NULL, format);
}
