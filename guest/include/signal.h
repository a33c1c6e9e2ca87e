/* SPDX-License-Identifier: MIT */
#ifndef GUEST_SIGNAL_H
#define GUEST_SIGNAL_H

#define SIGABRT	6
#define SIGBUS	7
#define SIGKILL	9
#define SIGSEGV	11
#define SIGALRM	14
#define SIG_DFL	((void (*)(int))0)

/* There are none but those a copy ends by. */
void (*signal(int number, void (*handler)(int)))(int);

#endif
