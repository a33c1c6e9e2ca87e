/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FAULT_CASES_H
#define TESTS_FAULT_CASES_H

#include "stage.h"

#define OK		1u
#define E(code)		(1u << (code))

/*
 * One operation under faults. codes[fault] is the set of what act may return
 * when that fault fired in it; bit 0: it got by without. A fault without a
 * set must never fire: act makes no such call.
 */
struct fault_case {
	const char *name;
	void (*setup)(struct stage *stage);
	int (*act)(struct stage *stage);
	void (*undo)(struct stage *stage);	/* after act succeeded */
	enum same same;		/* what may differ after a failure */
	enum same undone;	/* what may differ after act and undo */
	uint32_t codes[FAULT_COUNT];
};

extern const struct fault_case fault_cases[];
extern const size_t fault_case_count;

#endif
