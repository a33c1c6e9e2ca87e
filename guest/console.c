/* SPDX-License-Identifier: MIT */

/* What the guest says, and how it ends. */

#include <stdarg.h>

#include "include/guest.h"
#include "kernel.h"

#define SPIN_NS		2000000		/* a host that answers at once */
#define NAP_NS		500000

void console_write(const char *text, size_t bytes)
{
	unsigned long state = kernel_enter();
	size_t i;

	for (i = 0; i < bytes; i++) {
		if (text[i] == '\n')
			arch_put('\r');
		arch_put(text[i]);
	}
	kernel_leave(state);
}

/* Waits: at first without giving the CPU up for long. */
static char next_byte(void)
{
	uint64_t patient = arch_now_ns() + SPIN_NS;
	int byte;

	while ((byte = arch_get()) < 0) {
		uint64_t now = arch_now_ns();

		if (now < patient)
			thread_yield();
		else
			thread_sleep(now + NAP_NS);
	}
	return (char)byte;
}

void guest_line(char *line, unsigned long bytes)
{
	unsigned long length = 0;
	char byte;

	while ((byte = next_byte()) != '\n')
		if (length + 1 < bytes)
			line[length++] = byte;
	line[length] = '\0';
}

static void say_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			arch_put('\r');
		arch_put(*text);
	}
}

static void say_number(uint64_t number)
{
	unsigned shift = 64;

	say_text("0x");
	do
		shift -= 4;
	while (shift && !(number >> shift));
	for (;; shift -= 4) {
		arch_put("0123456789abcdef"[number >> shift & 15]);
		if (!shift)
			return;
	}
}

void console_say(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	for (; *format; format++) {
		char one[2] = { *format, '\0' };

		if (*format != '%')
			say_text(one);
		else if (*++format == 's')
			say_text(va_arg(values, const char *));
		else
			say_number(va_arg(values, uint64_t));
	}
	va_end(values);
}

void guest_exit(int status)
{
	if (fork_runs())
		fork_end((status & 255) << 8);
	arch_exit(status);
}

/* What a test harness reads, whatever was being said. */
void guest_fault(const char *what, const struct trap *trap,
		 uintptr_t address)
{
	if (fork_runs())
		fork_end(FORK_FAULT);
	console_say("\nBail out! %s at %x\n", what, (uint64_t)address);
	arch_say_trap(trap);
	arch_exit(1);
}
