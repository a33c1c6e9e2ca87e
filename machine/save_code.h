/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_SAVE_CODE_H
#define MACHINE_SAVE_CODE_H

/*
 * Records of a saved machine, field by field, little-endian.
 *
 * One function a record describes both ways: it names the fields in order,
 * and the code either takes each from the variable or puts it there.  So what
 * is written is what is read.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A place in a buffer.  @failed: what was to be read is not there, or what
 * was to be written does not fit; nothing after it has any meaning.
 */
struct code {
	unsigned char *at, *end;
	bool reading;
	bool failed;
};

void code_u8(struct code *code, uint8_t *value);
void code_u16(struct code *code, uint16_t *value);
void code_u32(struct code *code, uint32_t *value);
void code_u64(struct code *code, uint64_t *value);

/* A byte of 0 or 1; another fails. */
void code_bool(struct code *code, bool *value);

/* A number kept in some other type: read within [0, limit), or it fails. */
uint32_t code_choice(struct code *code, uint32_t value, uint32_t limit);

/* At most @room - 1 bytes without a NUL, and its length; terminated. */
void code_text(struct code *code, char *text, size_t room);

/* @bytes as they are. NULL: there are not so many. */
unsigned char *code_bytes(struct code *code, size_t bytes);

/* Is anything left to be read? */
static inline bool code_more(const struct code *code)
{
	return !code->failed && code->at < code->end;
}

#endif
