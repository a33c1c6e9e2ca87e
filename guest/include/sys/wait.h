/* SPDX-License-Identifier: MIT */
#ifndef GUEST_SYS_WAIT_H
#define GUEST_SYS_WAIT_H

#include "types.h"

#define WIFEXITED(status)	(((status) & 127) == 0)
#define WEXITSTATUS(status)	((status) >> 8 & 255)
#define WIFSIGNALED(status)	(((status) & 127) != 0)
#define WTERMSIG(status)	((status) & 127)

pid_t waitpid(pid_t child, int *ret_status, int options);

#endif
