/* SPDX-License-Identifier: MIT */

#include "ground.h"

const struct explore_program *const explore_runs[] = { NULL };
