/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SVG_H
#define BENCH_SVG_H

#include <stdbool.h>

/* Draw the rows beside others as bars. False: the file cannot be written. */
bool svg_write(const char *path);

#endif
