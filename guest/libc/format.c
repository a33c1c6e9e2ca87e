/* SPDX-License-Identifier: MIT */

/*
 * printf() and its like: the conversions d i u x X c s p f and %, flags
 * - 0 # + and space, width, precision, and hh h l ll z.
 */

#include <stdbool.h>
#include <stdint.h>

#include "libc.h"

#define DIGITS_MAX	24

struct spec {
	bool left, zero, alternate;
	char sign;		/* what stands before numbers that have none */
	int width, precision;	/* precision < 0: not given */
	int length;		/* bytes of an integer */
	char conversion;
};

static void put(struct sink *sink, char byte)
{
	sink->put(sink, byte);
	sink->count++;
}

static void pad(struct sink *sink, int count, char with)
{
	while (count-- > 0)
		put(sink, with);
}

static void put_text(struct sink *sink, const struct spec *spec,
		     const char *text)
{
	int length = 0, i;

	if (!text)
		text = "(null)";
	while ((spec->precision < 0 || length < spec->precision) &&
	       text[length])
		length++;
	if (!spec->left)
		pad(sink, spec->width - length, ' ');
	for (i = 0; i < length; i++)
		put(sink, text[i]);
	if (spec->left)
		pad(sink, spec->width - length, ' ');
}

/* The digits of a number, last one first; how many. */
static int digits_of(uint64_t number, unsigned base, bool upper, char *digits)
{
	const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	int count = 0;

	while (number) {
		digits[count++] = set[number % base];
		number /= base;
	}
	return count;
}

/* @before: sign or "0x". */
static void put_digits(struct sink *sink, const struct spec *spec,
		       const char *before, const char *digits, int count)
{
	int zeroes = spec->precision < 0 ? count == 0 :
					   spec->precision - count;
	int length = count, i;

	if (zeroes < 0)
		zeroes = 0;
	for (i = 0; before[i]; i++)
		length++;
	length += zeroes;
	if (spec->zero && !spec->left && spec->precision < 0 &&
	    spec->width > length) {
		zeroes += spec->width - length;
		length = spec->width;
	}
	if (!spec->left)
		pad(sink, spec->width - length, ' ');
	for (; *before; before++)
		put(sink, *before);
	pad(sink, zeroes, '0');
	while (count > 0)
		put(sink, digits[--count]);
	if (spec->left)
		pad(sink, spec->width - length, ' ');
}

static void put_unsigned(struct sink *sink, const struct spec *spec,
			 uint64_t number)
{
	bool upper = spec->conversion == 'X';
	bool hex = upper || spec->conversion == 'x';
	char digits[DIGITS_MAX];
	int count = digits_of(number, hex ? 16 : 10, upper, digits);
	const char *before = "";

	if (hex && spec->alternate && number)
		before = upper ? "0X" : "0x";
	put_digits(sink, spec, before, digits, count);
}

static void put_signed(struct sink *sink, const struct spec *spec,
		       int64_t number)
{
	char digits[DIGITS_MAX], before[2] = { spec->sign, '\0' };
	uint64_t absolute = (uint64_t)number;

	if (number < 0) {
		absolute = 0 - absolute;
		before[0] = '-';
	}
	put_digits(sink, spec, before, digits,
		   digits_of(absolute, 10, false, digits));
}

/* Up to 9 places, numbers below 2^63. */
static void put_double(struct sink *sink, const struct spec *spec,
		       double value)
{
	int places = spec->precision < 0 ? 6 : spec->precision, i;
	struct spec whole = *spec, part = { .width = 0 };
	char digits[DIGITS_MAX], before[2] = { spec->sign, '\0' };
	uint64_t scale = 1, integer, fraction;

	if (places > 9)
		places = 9;
	for (i = 0; i < places; i++)
		scale *= 10;
	if (value < 0) {
		before[0] = '-';
		value = -value;
	}
	integer = (uint64_t)value;
	fraction = (uint64_t)((value - (double)integer) * (double)scale + 0.5);
	if (fraction >= scale) {
		fraction -= scale;
		integer++;
	}
	whole.precision = -1;
	whole.width -= places ? places + 1 : 0;
	put_digits(sink, &whole, before, digits,
		   digits_of(integer, 10, false, digits));
	if (!places)
		return;
	put(sink, '.');
	part.precision = places;
	put_digits(sink, &part, "", digits,
		   digits_of(fraction, 10, false, digits));
}

static int number_in(const char **format, va_list *values)
{
	int number = 0;

	if (**format == '*') {
		(*format)++;
		return va_arg(*values, int);
	}
	while (**format >= '0' && **format <= '9')
		number = number * 10 + *(*format)++ - '0';
	return number;
}

static void read_flags(const char **format, struct spec *spec)
{
	for (;; (*format)++) {
		switch (**format) {
		case '-':
			spec->left = true;
			break;
		case '0':
			spec->zero = true;
			break;
		case '#':
			spec->alternate = true;
			break;
		case '+': case ' ':
			spec->sign = **format;
			break;
		default:
			return;
		}
	}
}

static void read_length(const char **format, struct spec *spec)
{
	spec->length = (int)sizeof(int);
	for (;; (*format)++) {
		switch (**format) {
		case 'h':
			spec->length /= 2;
			break;
		case 'l': case 'z': case 'j': case 't':
			spec->length = 8;
			break;
		default:
			return;
		}
	}
}

static uint64_t unsigned_of(const struct spec *spec, va_list *values)
{
	unsigned value;

	if (spec->length == 8)
		return va_arg(*values, uint64_t);
	value = va_arg(*values, unsigned);
	return spec->length == 2 ? (uint16_t)value :
	       spec->length == 1 ? (uint8_t)value : value;
}

static int64_t signed_of(const struct spec *spec, va_list *values)
{
	int value;

	if (spec->length == 8)
		return va_arg(*values, int64_t);
	value = va_arg(*values, int);
	return spec->length == 2 ? (int16_t)value :
	       spec->length == 1 ? (int8_t)value : value;
}

static void put_pointer(struct sink *sink, struct spec *spec,
			const void *pointer)
{
	spec->alternate = true;
	spec->conversion = 'x';
	put_unsigned(sink, spec, (uintptr_t)pointer);
}

static void put_one(struct sink *sink, struct spec *spec, va_list *values)
{
	char text[2] = { '\0', '\0' };

	switch (spec->conversion) {
	case 'd': case 'i':
		put_signed(sink, spec, signed_of(spec, values));
		break;
	case 'u': case 'x': case 'X':
		put_unsigned(sink, spec, unsigned_of(spec, values));
		break;
	case 'c':
		text[0] = (char)va_arg(*values, int);
		put_text(sink, spec, text);
		break;
	case 's':
		put_text(sink, spec, va_arg(*values, const char *));
		break;
	case 'p':
		put_pointer(sink, spec, va_arg(*values, const void *));
		break;
	case 'f':
		put_double(sink, spec, va_arg(*values, double));
		break;
	default:
		put(sink, spec->conversion);
		break;
	}
}

void libc_format(struct sink *sink, const char *format, va_list values)
{
	va_list rest;

	va_copy(rest, values);
	while (*format) {
		struct spec spec = { .precision = -1 };

		if (*format != '%') {
			put(sink, *format++);
			continue;
		}
		format++;
		read_flags(&format, &spec);
		spec.width = number_in(&format, &rest);
		if (*format == '.') {
			format++;
			spec.precision = number_in(&format, &rest);
		}
		read_length(&format, &spec);
		if (!*format)
			break;
		spec.conversion = *format++;
		put_one(sink, &spec, &rest);
	}
	va_end(rest);
}
