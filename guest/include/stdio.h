/* SPDX-License-Identifier: MIT */
#ifndef GUEST_STDIO_H
#define GUEST_STDIO_H

#include <stdarg.h>
#include <stddef.h>

#define EOF	(-1)

typedef struct guest_file FILE;

extern FILE *const stdin;
extern FILE *const stdout;
extern FILE *const stderr;

#define stdin	stdin
#define stdout	stdout
#define stderr	stderr

int printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int fprintf(FILE *file, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int sprintf(char *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int snprintf(char *text, size_t bytes, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int vprintf(const char *format, va_list values);
int vfprintf(FILE *file, const char *format, va_list values);
int vsnprintf(char *text, size_t bytes, const char *format, va_list values);
int fputs(const char *text, FILE *file);
int fputc(int byte, FILE *file);
int puts(const char *text);
int putchar(int byte);
size_t fwrite(const void *from, size_t bytes, size_t count, FILE *file);
int fflush(FILE *file);

/* One file can be read: /proc/self/smaps_rollup, and in it Rss. */
FILE *fopen(const char *path, const char *mode);
int fclose(FILE *file);
char *fgets(char *line, int bytes, FILE *file);
int sscanf(const char *text, const char *format, ...)
	__attribute__((format(scanf, 2, 3)));

#endif
