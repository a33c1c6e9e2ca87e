/* SPDX-License-Identifier: MIT */
/*
 * The chart: the rows every allocator has, one bar each, on a logarithmic
 * scale, since a page fault is a thousand times a hit in a cache; below, how
 * much of what each goal allows is used.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/goals.h"
#include "bench/groups.h"
#include "bench/svg.h"
#include "bench/table.h"

#define LABELS		300	/* left of the bars */
#define PANEL		420	/* bars of one number of CPUs */
#define NUMBER		60	/* room in it for the last number */
#define MARGIN		20
#define WIDTH		(MARGIN + LABELS + 2 * PANEL)
#define LINE		16
#define BAR		11
#define ROW_GAP		9
#define GOAL_MOST	1.5	/* right end of the goals' scale: times */
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
	".head { font-weight: bold; }\n"
	".small { font-size: 10px; }\n"
	".paper { fill: #ffffff; }\n"
	".grid { stroke: #d0d7de; }\n"
	"@media (prefers-color-scheme: dark) {\n"
	"text { fill: #e6edf3; }\n"
	".paper { fill: #0d1117; }\n"
	".grid { stroke: #3d444d; }\n"
	"}\n"
	"</style>\n";

/* Rows that are drawn, by what is in their names; all are in the text. */
static const char *const drawn[] = {
	"order 0 (", "order 4 (", "order 9 (", "order 13 (", "order 18 (",
	"GiB of 4 KiB", "90 % full",
};

/* ", 2 CPUs" at the end of a row's name, or its end. */
static const char *suffix_of(const char *row)
{
	const char *comma = strrchr(row, ',');

	if (comma && strstr(comma, " CPUs"))
		return comma;
	return row + strlen(row);
}

/*
 * The nth row to draw, without its number of CPUs: a row of one CPU, or one
 * that only several have.
 */
static bool row_drawn(unsigned nth, char *ret_name)
{
	const char *row;
	unsigned i;
	size_t j;

	for (i = 0; (row = table_row(SECTION_OTHERS, i)); i++) {
		(void)snprintf(ret_name, CELL_ROW_BYTES, "%.*s",
			       (int)(suffix_of(row) - row), row);
		if (*suffix_of(row) &&
		    (strcmp(suffix_of(row), ", 2 CPUs") ||
		     table_find(SECTION_OTHERS, ret_name, COLUMN_COLDFRAME)))
			continue;
		for (j = 0; j < ARRAY_COUNT(drawn); j++)
			if (strstr(row, drawn[j]) && nth-- == 0)
				return true;
	}
	return false;
}

static unsigned columns_count(void)
{
	unsigned count = 0;

	while (table_column(SECTION_OTHERS, count))
		count++;
	return count;
}

static unsigned rows_count(void)
{
	char name[CELL_ROW_BYTES];
	unsigned count = 0;

	while (row_drawn(count, name))
		count++;
	return count;
}

/* Of the right panel: ", 4 CPUs", or as many as there were. */
static const char *most_cpus(void)
{
	const char *row, *most = "";
	unsigned i;

	for (i = 0; (row = table_row(SECTION_OTHERS, i)); i++)
		if (strcmp(suffix_of(row), most) > 0)
			most = suffix_of(row);
	return most;
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

/* How far right of a panel's left end. */
static double place(double ns)
{
	double share;

	if (ns <= NS_LEAST)
		return 0;
	share = log(ns / NS_LEAST) / log(NS_MOST / NS_LEAST);
	return (share < 1 ? share : 1) * (PANEL - NUMBER);
}

static unsigned put_head(FILE *file)
{
	unsigned y = MARGIN + LINE, i, x;
	const char *text;

	put_line(file, "title", MARGIN, y,
		 "coldframe beside others: nanoseconds an operation, "
		 "shorter is better");
	y += LINE / 2;
	for (i = 0; (text = machine_line(i)); i++) {
		y += LINE - 2;
		put_line(file, "small", MARGIN, y, text);
	}
	y += LINE + LINE / 2;
	for (i = 0; (text = table_column(SECTION_OTHERS, i)); i++) {
		x = MARGIN + LABELS + i * 110;
		(void)fprintf(file, "<rect x=\"%u\" y=\"%u\" width=\"10\" "
			      "height=\"10\" fill=\"%s\"/>\n", x, y - 9,
			      colours[i % ARRAY_COUNT(colours)]);
		put_line(file, "name", x + 15, y, text);
	}
	return y + LINE + LINE / 2;
}

static void put_grid(FILE *file, unsigned left, unsigned top, unsigned bottom)
{
	static const char *const decades[] = {
		"1 ns", "10", "100", "1 us", "10", "100",
	};
	double ns = NS_LEAST, x;
	size_t i;

	for (i = 0; i < ARRAY_COUNT(decades); i++, ns *= 10) {
		x = left + place(ns);
		(void)fprintf(file, "<line class=\"grid\" x1=\"%.1f\" "
			      "y1=\"%u\" x2=\"%.1f\" y2=\"%u\"/>\n", x,
			      top, x, bottom);
		put_line(file, "small", (unsigned)x + 3, top + 8, decades[i]);
	}
}

/* The bars of one row in one panel; nothing where it was not measured. */
static void put_bars(FILE *file, const char *row, unsigned left, unsigned y)
{
	unsigned i, count = columns_count();
	char text[32];
	double ns;

	for (i = 0; i < count; i++, y += BAR) {
		ns = table_value(SECTION_OTHERS, row,
				 table_column(SECTION_OTHERS, i));
		if (ns < 0)
			continue;
		(void)fprintf(file, "<rect x=\"%u\" y=\"%u\" width=\"%.1f\" "
			      "height=\"%u\" fill=\"%s\"/>\n", left, y,
			      place(ns) + 1, BAR - 1,
			      colours[i % ARRAY_COUNT(colours)]);
		format_value(text, sizeof(text), ns);
		put_line(file, "small", left + (unsigned)place(ns) + 5,
			 y + BAR - 2, text);
	}
}

/* Returns where they end. */
static unsigned put_panels(FILE *file, unsigned y, unsigned row_height)
{
	unsigned left = MARGIN + LABELS, right = left + PANEL, i;
	unsigned bottom = y + 2 * LINE + rows_count() * row_height;
	char name[CELL_ROW_BYTES], row[CELL_ROW_BYTES + 16];
	const char *most = most_cpus();

	put_line(file, "head", left, y, "1 CPU");
	put_line(file, "head", right, y, *most ? most + 2 : "");
	y += LINE / 2;
	put_grid(file, left, y, bottom);
	put_grid(file, right, y, bottom);
	y += LINE;
	for (i = 0; row_drawn(i, name); i++, y += row_height) {
		put_line(file, "row", MARGIN,
			 y + columns_count() * BAR / 2 + 4, name);
		(void)snprintf(row, sizeof(row), "%s%s", name, most);
		put_bars(file, name, left, y);
		if (*most)
			put_bars(file, row, right, y);
	}
	return bottom + LINE;
}

static unsigned goals_count(void)
{
	unsigned count = 0;
	double share;

	while (goal_used(count, &share))
		count++;
	return count;
}

/* One bar a goal, and a line where all that is allowed is used. */
static void put_goals(FILE *file, unsigned y)
{
	const double full = 2 * PANEL - NUMBER;
	unsigned left = MARGIN + LABELS, i;
	unsigned limit = left + (unsigned)(full / GOAL_MOST);
	const char *what;
	double share;
	char text[32];

	if (goals_count() == 0)
		return;
	put_line(file, "title", MARGIN, y + LINE,
		 "coldframe's goals: share used of what is allowed");
	y += 2 * LINE;
	(void)fprintf(file, "<line class=\"grid\" x1=\"%u\" y1=\"%u\" "
		      "x2=\"%u\" y2=\"%u\"/>\n", limit, y, limit,
		      y + LINE * (goals_count() + 1));
	put_line(file, "small", limit + 3, y + 8, "100 %");
	for (i = 0; (what = goal_used(i, &share)); i++) {
		y += LINE;
		put_line(file, "row", MARGIN, y + BAR - 1, what);
		(void)snprintf(text, sizeof(text), "%.0f %%", share * 100);
		if (share > GOAL_MOST)
			share = GOAL_MOST;
		(void)fprintf(file, "<rect x=\"%u\" y=\"%u\" width=\"%.1f\" "
			      "height=\"%u\" fill=\"%s\"/>\n", left, y,
			      share / GOAL_MOST * full + 1, BAR,
			      colours[share > 1 ? 4 : 0]);
		put_line(file, "small", left + 5 +
			 (unsigned)(share / GOAL_MOST * full), y + BAR - 2,
			 text);
	}
}

bool svg_write(const char *path)
{
	unsigned row_height = columns_count() * BAR + ROW_GAP;
	unsigned height = LINE * 18 + rows_count() * row_height +
			  goals_count() * LINE;
	FILE *file = fopen(path, "we");

	if (!file)
		return false;
	(void)fprintf(file,
		      "<!-- SPDX-License-Identifier: MIT -->\n"
		      "<svg xmlns=\"http://www.w3.org/2000/svg\" "
		      "viewBox=\"0 0 %u %u\" width=\"%u\" height=\"%u\">\n%s"
		      "<rect class=\"paper\" width=\"%u\" height=\"%u\"/>\n",
		      WIDTH, height, WIDTH, height, style, WIDTH, height);
	put_goals(file, put_panels(file, put_head(file), row_height));
	(void)fputs("</svg>\n", file);
	return fclose(file) == 0;
}
