/* SPDX-License-Identifier: MIT */
/*
 * The chart: the rows every allocator has, one bar each, on a logarithmic
 * scale, since a page fault is a thousand times a hit in a cache.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/groups.h"
#include "bench/svg.h"
#include "bench/table.h"

#define WIDTH		960
#define LEFT		330	/* where bars begin */
#define RIGHT		80	/* room for the last number */
#define MARGIN		20
#define LINE		16
#define BAR		9
#define ROW_GAP		9
#define NS_LEAST	1.0	/* left end of the scale */
#define NS_MOST		1e5

/* Colours that people tell apart who see fewer; light and dark. */
static const char *const colours[] = {
	"#0072b2", "#e69f00", "#009e73", "#cc79a7",
	"#d55e00", "#56b4e9", "#8c8c00", "#888888",
};

static const char style[] =
	"<style>\n"
	"text { font: 12px sans-serif; fill: #1f2328; }\n"
	".title { font-size: 17px; font-weight: bold; }\n"
	".small { font-size: 10px; }\n"
	".paper { fill: #ffffff; }\n"
	".grid { stroke: #d0d7de; }\n"
	"@media (prefers-color-scheme: dark) {\n"
	"text { fill: #e6edf3; }\n"
	".paper { fill: #0d1117; }\n"
	".grid { stroke: #3d444d; }\n"
	"}\n"
	"</style>\n";

/* Pairs of these orders are drawn; all are in the text. */
static const char *const drawn_orders[] = {
	"order 0 (", "order 4 (", "order 9 (", "order 13 (", "order 18 (",
};

static bool is_drawn(const char *row)
{
	size_t i;

	if (!strstr(row, "order "))
		return true;
	for (i = 0; i < ARRAY_COUNT(drawn_orders); i++)
		if (strstr(row, drawn_orders[i]))
			return true;
	return false;
}

static unsigned columns_count(void)
{
	unsigned count = 0;

	while (table_column(SECTION_OTHERS, count))
		count++;
	return count;
}

static unsigned rows_drawn(void)
{
	const char *row;
	unsigned i, count = 0;

	for (i = 0; (row = table_row(SECTION_OTHERS, i)); i++)
		count += is_drawn(row);
	return count;
}

/* What may not stand in a text as it is. */
static void put_text(FILE *file, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			(void)fputs("&lt;", file);
		else if (*text == '&')
			(void)fputs("&amp;", file);
		else
			(void)fputc(*text, file);
	}
}

static void put_line(FILE *file, const char *class, unsigned x, unsigned y,
		     const char *text)
{
	(void)fprintf(file, "<text class=\"%s\" x=\"%u\" y=\"%u\" "
		      "xml:space=\"preserve\">", class, x, y);
	put_text(file, text);
	(void)fputs("</text>\n", file);
}

/* How far right of LEFT. */
static double place(double ns)
{
	double share;

	if (ns <= NS_LEAST)
		return 0;
	share = log(ns / NS_LEAST) / log(NS_MOST / NS_LEAST);
	return (share < 1 ? share : 1) * (WIDTH - LEFT - RIGHT);
}

static unsigned put_head(FILE *file)
{
	unsigned y = MARGIN + LINE, i, x;
	const char *text;

	put_line(file, "title", MARGIN, y,
		 "Nanoseconds an operation, shorter is better");
	y += LINE / 2;
	for (i = 0; (text = machine_line(i)); i++) {
		y += LINE - 2;
		put_line(file, "small", MARGIN, y, text);
	}
	y += LINE + LINE / 2;
	for (i = 0; (text = table_column(SECTION_OTHERS, i)); i++) {
		x = LEFT + i * 110;
		(void)fprintf(file, "<rect x=\"%u\" y=\"%u\" width=\"10\" "
			      "height=\"10\" fill=\"%s\"/>\n", x, y - 9,
			      colours[i % ARRAY_COUNT(colours)]);
		put_line(file, "name", x + 15, y, text);
	}
	return y + LINE;
}

static void put_grid(FILE *file, unsigned top, unsigned bottom)
{
	char text[32];
	double ns, x;

	for (ns = NS_LEAST; ns <= NS_MOST * 1.01; ns *= 10) {
		x = LEFT + place(ns);
		(void)fprintf(file, "<line class=\"grid\" x1=\"%.1f\" "
			      "y1=\"%u\" x2=\"%.1f\" y2=\"%u\"/>\n", x,
			      top, x, bottom);
		(void)snprintf(text, sizeof(text), "%.0f ns", ns);
		put_line(file, "small", (unsigned)x + 3, top + 8, text);
	}
}

static void put_row(FILE *file, const char *row, unsigned y)
{
	unsigned i, count = columns_count();
	char text[32];
	double ns;

	put_line(file, "row", MARGIN, y + count * BAR / 2 + 4, row);
	for (i = 0; i < count; i++, y += BAR) {
		ns = table_value(SECTION_OTHERS, row,
				 table_column(SECTION_OTHERS, i));
		if (ns < 0)
			continue;
		(void)fprintf(file, "<rect x=\"%u\" y=\"%u\" width=\"%.1f\" "
			      "height=\"%u\" fill=\"%s\"/>\n", LEFT, y,
			      place(ns) + 1, BAR - 1,
			      colours[i % ARRAY_COUNT(colours)]);
		format_value(text, sizeof(text), ns);
		put_line(file, "small", LEFT + (unsigned)place(ns) + 5,
			 y + BAR - 1, text);
	}
}

bool svg_write(const char *path)
{
	unsigned row_height = columns_count() * BAR + ROW_GAP;
	unsigned head = MARGIN + LINE * 10;
	unsigned height = head + rows_drawn() * row_height + MARGIN;
	FILE *file = fopen(path, "we");
	const char *row;
	unsigned i, y;

	if (!file)
		return false;
	(void)fprintf(file,
		      "<!-- SPDX-License-Identifier: MIT -->\n"
		      "<svg xmlns=\"http://www.w3.org/2000/svg\" "
		      "viewBox=\"0 0 %u %u\" width=\"%u\" height=\"%u\">\n%s"
		      "<rect class=\"paper\" width=\"%u\" height=\"%u\"/>\n",
		      WIDTH, height, WIDTH, height, style, WIDTH, height);
	y = put_head(file);
	put_grid(file, y, height - MARGIN);
	y += LINE;
	for (i = 0; (row = table_row(SECTION_OTHERS, i)); i++) {
		if (!is_drawn(row))
			continue;
		put_row(file, row, y);
		y += row_height;
	}
	(void)fputs("</svg>\n", file);
	return fclose(file) == 0;
}
