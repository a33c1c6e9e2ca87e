/* SPDX-License-Identifier: MIT */

/* JSON values as lists of members, in the order they were added. */

#include <stdarg.h>
#include <stdbool.h>

#include "guest/include/jansson.h"
#include "guest/include/stdlib.h"
#include "guest/include/string.h"

enum kind { KIND_OBJECT, KIND_ARRAY, KIND_STRING, KIND_INTEGER, KIND_BOOLEAN };

struct member {
	struct member *next;
	json_t *value;
	char key[];		/* of an object's; terminated */
};

struct json_t {
	enum kind kind;
	unsigned references;
	struct member *first, *last;	/* OBJECT, ARRAY */
	json_int_t number;		/* INTEGER, BOOLEAN */
	size_t length;			/* STRING */
	char *text;
};

static json_t *make(enum kind kind)
{
	json_t *value = calloc(1, sizeof(*value));

	if (!value)
		return NULL;
	value->kind = kind;
	value->references = 1;
	return value;
}

json_t *json_object(void)
{
	return make(KIND_OBJECT);
}

json_t *json_array(void)
{
	return make(KIND_ARRAY);
}

static json_t *make_number(enum kind kind, json_int_t number)
{
	json_t *value = make(kind);

	if (value)
		value->number = number;
	return value;
}

json_t *json_integer(json_int_t number)
{
	return make_number(KIND_INTEGER, number);
}

json_t *json_boolean(int is)
{
	return make_number(KIND_BOOLEAN, is != 0);
}

/* Bytes of the UTF-8 sequence at @text, or 0: it is none. */
static size_t sequence(const char *text, size_t length)
{
	const unsigned char *byte = (const unsigned char *)text;
	size_t bytes = byte[0] < 0x80 ? 1 : byte[0] < 0xc2 ? 0 :
		       byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 :
		       byte[0] < 0xf5 ? 4 : 0;
	size_t i;

	if (bytes > length)
		return 0;
	for (i = 1; i < bytes; i++)
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
	if ((byte[0] == 0xe0 && byte[1] < 0xa0) ||
	    (byte[0] == 0xed && byte[1] > 0x9f) ||
	    (byte[0] == 0xf0 && byte[1] < 0x90) ||
	    (byte[0] == 0xf4 && byte[1] > 0x8f))
		return 0;
	return bytes;
}

static bool is_utf8(const char *text, size_t length)
{
	size_t at, bytes;

	for (at = 0; at < length; at += bytes) {
		bytes = sequence(text + at, length - at);
		if (!bytes)
			return false;
	}
	return true;
}

json_t *json_stringn(const char *text, size_t length)
{
	json_t *value;

	if (!text || !is_utf8(text, length))
		return NULL;
	value = make(KIND_STRING);
	if (!value)
		return NULL;
	value->text = malloc(length + 1);
	if (!value->text) {
		free(value);
		return NULL;
	}
	(void)memcpy(value->text, text, length);
	value->length = length;
	return value;
}

json_t *json_string(const char *text)
{
	return text ? json_stringn(text, strlen(text)) : NULL;
}

json_t *json_incref(json_t *value)
{
	if (value)
		value->references++;
	return value;
}

void json_decref(json_t *value)
{
	struct member *member;

	if (!value || --value->references)
		return;
	while ((member = value->first) != NULL) {
		value->first = member->next;
		json_decref(member->value);
		free(member);
	}
	free(value->text);
	free(value);
}

static int append(json_t *to, const char *key, json_t *value)
{
	size_t length = strlen(key);
	struct member *member = malloc(sizeof(*member) + length + 1);

	if (!member) {
		json_decref(value);
		return -1;
	}
	member->next = NULL;
	member->value = value;
	(void)memcpy(member->key, key, length + 1);
	if (to->last)
		to->last->next = member;
	else
		to->first = member;
	to->last = member;
	return 0;
}

int json_object_set_new(json_t *object, const char *key, json_t *value)
{
	struct member *member;

	if (!object || object->kind != KIND_OBJECT || !value) {
		json_decref(value);
		return -1;
	}
	for (member = object->first; member; member = member->next) {
		if (strcmp(member->key, key))
			continue;
		json_decref(member->value);
		member->value = value;
		return 0;
	}
	return append(object, key, value);
}

int json_array_append_new(json_t *array, json_t *value)
{
	if (!array || array->kind != KIND_ARRAY || !value) {
		json_decref(value);
		return -1;
	}
	return append(array, "", value);
}

int json_object_update(json_t *object, json_t *other)
{
	const struct member *member;

	if (!object || !other)
		return -1;
	for (member = other->first; member; member = member->next)
		if (json_object_set_new(object, member->key,
					json_incref(member->value)))
			return -1;
	return 0;
}

static json_t *next_value(char conversion, va_list *values)
{
	switch (conversion) {
	case 's':
		return json_string(va_arg(*values, const char *));
	case 'i':
		return json_integer(va_arg(*values, int));
	case 'I':
		return json_integer(va_arg(*values, json_int_t));
	case 'b':
		return json_boolean(va_arg(*values, int));
	case 'O':
		return json_incref(va_arg(*values, json_t *));
	default:
		return va_arg(*values, json_t *);
	}
}

/* "{s:i, s:o}": a key's s, a colon, a value's letter. */
json_t *json_pack(const char *format, ...)
{
	json_t *object = json_object();
	bool whole = true;
	va_list values;
	const char *at;

	va_start(values, format);
	for (at = strchr(format, ':'); at; at = strchr(at + 1, ':')) {
		const char *key = va_arg(values, const char *);
		json_t *value = next_value(at[1], &values);

		if (json_object_set_new(object, key, value))
			whole = false;
	}
	va_end(values);
	if (whole)
		return object;
	json_decref(object);
	return NULL;
}

static void dump_text(const char *text, size_t length, FILE *file)
{
	static const char plain[] = "\"\\\b\f\n\r\t";
	static const char letter[] = "\"\\bfnrt";
	size_t i;

	(void)fputc('"', file);
	for (i = 0; i < length; i++) {
		const char *special = text[i] ? strchr(plain, text[i]) : NULL;

		if (special && *special)
			(void)fprintf(file, "\\%c", letter[special - plain]);
		else if ((unsigned char)text[i] < 0x20)
			(void)fprintf(file, "\\u%04x", (unsigned)text[i]);
		else
			(void)fputc(text[i], file);
	}
	(void)fputc('"', file);
}

static void dump_scalar(const json_t *value, FILE *file)
{
	if (value->kind == KIND_STRING)
		dump_text(value->text, value->length, file);
	else if (value->kind == KIND_INTEGER)
		(void)fprintf(file, "%lld", value->number);
	else
		(void)fputs(value->number ? "true" : "false", file);
}

int json_dumpf(const json_t *value, FILE *file, size_t flags)
{
	const struct member *member;

	if (!value)
		return -1;
	if (value->kind != KIND_OBJECT && value->kind != KIND_ARRAY) {
		dump_scalar(value, file);
		return 0;
	}
	(void)fputc(value->kind == KIND_OBJECT ? '{' : '[', file);
	for (member = value->first; member; member = member->next) {
		if (value->kind == KIND_OBJECT) {
			dump_text(member->key, strlen(member->key), file);
			(void)fputc(':', file);
		}
		(void)json_dumpf(member->value, file, flags);
		if (member->next)
			(void)fputc(',', file);
	}
	(void)fputc(value->kind == KIND_OBJECT ? '}' : ']', file);
	return 0;
}
