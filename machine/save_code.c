/* SPDX-License-Identifier: MIT */

/* Records of a saved machine, field by field. */

#include "save_code.h"

#include <string.h>

unsigned char *code_bytes(struct code *code, size_t bytes)
{
	unsigned char *at = code->at;

	if (code->failed || (size_t)(code->end - at) < bytes) {
		code->failed = true;
		return NULL;
	}
	code->at += bytes;
	return at;
}

static uint64_t code_number(struct code *code, uint64_t value, unsigned bytes)
{
	unsigned char *at = code_bytes(code, bytes);
	unsigned i;

	/* What is written stays as it is, also when it does not fit. */
	if (!at)
		return code->reading ? 0 : value;
	if (!code->reading) {
		for (i = 0; i < bytes; i++)
			at[i] = (unsigned char)(value >> 8 * i);
		return value;
	}
	value = 0;
	for (i = 0; i < bytes; i++)
		value |= (uint64_t)at[i] << 8 * i;
	return value;
}

void code_u8(struct code *code, uint8_t *value)
{
	*value = (uint8_t)code_number(code, *value, 1);
}

void code_u16(struct code *code, uint16_t *value)
{
	*value = (uint16_t)code_number(code, *value, 2);
}

void code_u32(struct code *code, uint32_t *value)
{
	*value = (uint32_t)code_number(code, *value, 4);
}

void code_u64(struct code *code, uint64_t *value)
{
	*value = code_number(code, *value, 8);
}

uint32_t code_choice(struct code *code, uint32_t value, uint32_t limit)
{
	value = (uint32_t)code_number(code, value, 4);
	if (value < limit)
		return value;
	code->failed = true;
	return code->reading ? 0 : value;
}

void code_bool(struct code *code, bool *value)
{
	/* What is read into may hold no value of its type yet. */
	uint64_t number = code_number(code, !code->reading && *value, 1);

	code->failed |= number > 1;
	*value = number == 1;
}

void code_text(struct code *code, char *text, size_t room)
{
	uint16_t length = 0;
	unsigned char *at;

	if (!code->reading)
		length = (uint16_t)strnlen(text, room - 1);
	code_u16(code, &length);
	at = length < room ? code_bytes(code, length) : NULL;
	if (!at || (code->reading && memchr(at, 0, length))) {
		code->failed = true;
		if (code->reading)
			text[0] = '\0';
		return;
	}
	if (!code->reading) {
		(void)memcpy(at, text, length);
		return;
	}
	(void)memcpy(text, at, length);
	text[length] = '\0';
}
