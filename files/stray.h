/* SPDX-License-Identifier: MIT */
#ifndef FILES_STRAY_H
#define FILES_STRAY_H

/* Names that must not outlive the process. */

/*
 * Take @name in @folder away when a signal ends the process.  Both stay valid
 * until stray_forget(). Return: its number, or -1 with errno ENFILE.
 */
int stray_note(int folder, const char *name);
const char *stray_name(int number);
void stray_forget(int number);

#endif
