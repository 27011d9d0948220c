#include "rules/messages.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "rules/listing.h"
#include "rules/report.h"

static size_t line_length(const char *line)
{
	return strcspn(line, "\n");
}

/* back_number: the digits that end at `end`; moves `end` before them and before one `before`. */
static bool back_number(const char *start, const char **end, char before, unsigned int *ret)
{
	const char *pos = *end;
	unsigned int value = 0;

	while (pos > start && isdigit((unsigned char)pos[-1]))
		pos--;
	if (pos == *end || *end - pos > 9 || pos == start || pos[-1] != before)
		return false;
	for (const char *digit = pos; digit < *end; digit++)
		value = value * 10 + (unsigned int)(*digit - '0');
	*ret = value;
	*end = pos - 1;
	return true;
}

/* position: reads "PATH:LINE:COL-COL" from its end, as a path may hold colons itself. */
static bool position(const char *start, const char **end, unsigned int *line, unsigned int *column)
{
	unsigned int last;

	if (!back_number(start, end, '-', &last))
		return false;
	return back_number(start, end, ':', column) && back_number(start, end, ':', line) &&
	       *end > start;
}

static int bounded(size_t length)
{
	return length > RULES_REPORT_LINE_MAX ? (int)RULES_REPORT_LINE_MAX : (int)length;
}

/* message_line: one line of nft's output; false when it is no error (the source, its carets). */
static bool message_line(
	const char *start, size_t length, const char *folder, struct rules_report *report)
{
	static const char mark[] = ": Error: ";
	const char *line_end = start + length;
	const char *error = memmem(start, length, mark, sizeof(mark) - 1), *end = error, *text;
	unsigned int line, column;

	if (!error || !position(start, &end, &line, &column))
		return false;
	text = error + sizeof(mark) - 1;
	if (end - start > 2 && start[0] == '.' && start[1] == '/')
		start += 2;
	report_add(report, "%s%s%.*s:%u:%u: %.*s", *start == '/' ? "" : folder,
		*start == '/' ? "" : "/", bounded((size_t)(end - start)), start, line, column,
		bounded((size_t)(line_end - text)), text);
	return true;
}

void messages_parse(
	const char *errors, const char *file, const char *folder, struct rules_report *report)
{
	bool any = false;

	for (const char *line = errors; *line;) {
		size_t length = line_length(line);

		any |= message_line(line, length, folder, report);
		line += length + (line[length] == '\n');
	}
	if (!any)
		report_add(report, "%s:1:1: nft refused it%s%.*s", file, *errors ? ": " : "",
			bounded(line_length(errors)), errors);
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

unsigned int messages_find_word(const char *text, const char *word)
{
	size_t length = strlen(word);
	unsigned int line = 1;
	bool quoted = false;

	for (const char *pos = text; *pos; pos++) {
		if (*pos == '#' && !quoted)
			pos += line_length(pos);
		if (*pos == '\0')
			break;
		if (*pos == '\n')
			line++;
		else if (*pos == '"')
			quoted = !quoted;
		else if (!quoted && !strncmp(pos, word, length) && !is_word(pos[length]) &&
			 (pos == text || !is_word(pos[-1])))
			return line;
	}
	return 1;
}

unsigned int messages_find_chain(const char *text, const char *chain)
{
	unsigned int line = 1;

	for (const char *pos = text; *pos; line++) {
		size_t length = line_length(pos);
		char name[RULES_TABLE_NAME_MAX] = "";
		char copy[512];
		const char *found;

		snprintf(copy, sizeof(copy), "%.*s", (int)(length > 500 ? 500 : length), pos);
		copy[strcspn(copy, "#")] = '\0';
		found = strstr(copy, "chain ");
		if (found && sscanf(found, "chain %127[^ \t{;]", name) == 1 && !strcmp(name, chain))
			return line;
		pos += length + (pos[length] == '\n');
	}
	return 1;
}

unsigned int messages_find_table(const char *text, uint8_t family, const char *name)
{
	unsigned int line = 1;

	for (const char *pos = text; *pos; line++) {
		size_t length = line_length(pos);
		char words[3][RULES_TABLE_NAME_MAX] = {{0}};
		char copy[512];
		int count;

		snprintf(copy, sizeof(copy), "%.*s", (int)(length > 500 ? 500 : length), pos);
		copy[strcspn(copy, "#{;")] = '\0';
		count = sscanf(copy, " %127s %127s %127s", words[0], words[1], words[2]);
		if (count >= 2 && !strcmp(words[0], "table")) {
			bool whole = count == 3 && !strcmp(words[2], name) &&
				     listing_family(words[1], strlen(words[1])) == family;
			bool brief = count == 2 && !strcmp(words[1], name) &&
				     family == listing_family("ip", 2);

			if (whole || brief)
				return line;
		}
		pos += length + (pos[length] == '\n');
	}
	return 1;
}
