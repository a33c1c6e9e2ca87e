/* SPDX-License-Identifier: MIT */
#ifndef GUEST_INTTYPES_H
#define GUEST_INTTYPES_H

#include <stdint.h>

#define PRId64	"ld"
#define PRIu64	"lu"
#define PRIx64	"lx"

#endif
