/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_DUMP_VIEW_H
#define COLDFRAME_DUMP_VIEW_H

#include "linux/sysroot.h"

/*
 * Make a dump a root that shows its machine as Linux shows one: what
 * common_mount_dump is.
 */
int dump_view_mount(const char *path, struct lx_error *err);

#endif
