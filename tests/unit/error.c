/* SPDX-License-Identifier: MIT */
/*
 * Names and remedies: every enumerator has one, and nothing else does.
 * By walking the enumerations.
 */
#include <limits.h>

#include "tests/unit/machine.h"

/* All of @count names are there and differ; one past is the unknown name. */
static void check_names(const char *(*name)(unsigned value), unsigned count)
{
	unsigned i, j;

	for (i = 0; i < count; i++) {
		if (!CHECK(name(i) && name(i)[0]))
			continue;
		CHECK(strcmp(name(i), name(count)) != 0);
		for (j = 0; j < i; j++)
			CHECK(strcmp(name(i), name(j)) != 0);
	}
	CHECK(strcmp(name(count), name(UINT_MAX)) == 0);
}

static const char *type_name(unsigned value)
{
	return cf_type_name((enum cf_type)value);
}

static const char *zone_name(unsigned value)
{
	return cf_zone_name((enum cf_zone_kind)value);
}

static const char *state_name(unsigned value)
{
	return cf_block_state_name((enum cf_block_state)value);
}

static const char *reason_name(unsigned value)
{
	return cf_reason_name((enum cf_reason)value);
}

static const char *finding_name(unsigned value)
{
	return cf_finding_name((enum cf_finding_kind)value);
}

static const char *remedy(unsigned value)
{
	return cf_strerror((int)(value & INT_MAX));
}

static void types(void)
{
	check_names(type_name, CF_TYPE_COUNT);
}

static void zones(void)
{
	check_names(zone_name, CF_ZONE_COUNT);
}

static void states(void)
{
	check_names(state_name, CF_BLOCK_STATE_COUNT);
}

static void reasons(void)
{
	check_names(reason_name, CF_REASON_COUNT);
}

static void findings(void)
{
	check_names(finding_name, CF_FINDING_COUNT);
}

static void remedies(void)
{
	int err;

	check_names(remedy, CF_ERR_COUNT);
	for (err = 0; err < CF_ERR_COUNT; err++)
		CHECK(cf_strerror(err) == cf_strerror(-err));
	CHECK(strcmp(cf_strerror(-CF_ERR_COUNT),
		     cf_strerror(CF_ERR_COUNT)) == 0);
	CHECK(strcmp(cf_strerror(INT_MIN), cf_strerror(CF_ERR_COUNT)) == 0);
	CHECK(strcmp(cf_strerror(INT_MAX), cf_strerror(CF_ERR_COUNT)) == 0);
}

/* Callers store them: values never change. */
static void values(void)
{
	CHECK(CF_EINVAL == 1 && CF_EBUSY == 2 && CF_EAGAIN == 3);
	CHECK(CF_ENOMEM == 4 && CF_EGONE == 5 && CF_EREFUSED == 6);
	CHECK(CF_ELIMIT == 7 && CF_EPORT == 8 && CF_ERR_COUNT == 9);
}

int main(void)
{
	tap_run("every type has a name", types);
	tap_run("every zone has a name", zones);
	tap_run("every block state has a name", states);
	tap_run("every reason has a name", reasons);
	tap_run("every finding has a name", findings);
	tap_run("every error has a remedy, either sign", remedies);
	tap_run("error values stay", values);
	return tap_done();
}
