/* SPDX-License-Identifier: MIT */
#ifndef GUEST_JANSSON_H
#define GUEST_JANSSON_H

/*
 * As much of the library of that name as reports are made with. Values are
 * made and written out, not read; the calls behave as the library's.
 */

#include <stddef.h>

#include "stdio.h"

#define JSON_COMPACT	0x20

typedef struct json_t json_t;
typedef long long json_int_t;

json_t *json_object(void);
json_t *json_array(void);
json_t *json_string(const char *text);
json_t *json_stringn(const char *text, size_t length);
json_t *json_integer(json_int_t number);
json_t *json_boolean(int value);
json_t *json_incref(json_t *value);
void json_decref(json_t *value);

/* They take the reference of @value, also when they fail: -1. */
int json_object_set_new(json_t *object, const char *key, json_t *value);
int json_array_append_new(json_t *array, json_t *value);

/* Members of @other too. */
int json_object_update(json_t *object, json_t *other);

/* An object of the members s i I b o O: "{s:i, s:o}". */
json_t *json_pack(const char *format, ...);

/* Always without blanks. Return: 0, or -1: nothing to write. */
int json_dumpf(const json_t *value, FILE *file, size_t flags);

#endif
