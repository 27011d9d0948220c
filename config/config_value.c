#include "config/config_value.h"

#include "common/check.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 63u

struct unit {
	const char *name;
	int64_t us;
};

static const struct unit units[] = {
	{"d", 86400000000},
	{"h", 3600000000},
	{"m", 60000000},
	{"s", 1000000},
	{"ms", 1000},
	{"us", 1},
};

struct protocol {
	const char *name;
	uint8_t number;
};

static const struct protocol protocols[] = {
	{"icmp", IPPROTO_ICMP},
	{"igmp", IPPROTO_IGMP},
	{"tcp", IPPROTO_TCP},
	{"udp", IPPROTO_UDP},
	{"dccp", IPPROTO_DCCP},
	{"gre", IPPROTO_GRE},
	{"esp", IPPROTO_ESP},
	{"ah", IPPROTO_AH},
	{"icmpv6", IPPROTO_ICMPV6},
	{"sctp", IPPROTO_SCTP},
	{"udplite", IPPROTO_UDPLITE},
};

/* The digits at the start of the text; *ret_rest is what follows them. */
static enum config_value_result read_digits(
	const char *text, int64_t *ret_number, const char **ret_rest)
{
	size_t digits = strspn(text, "0123456789");
	int64_t number = 0;

	if (digits == 0 || (digits > 1 && text[0] == '0'))
		return CONFIG_VALUE_NOT_A_NUMBER;
	for (size_t i = 0; i < digits; i++)
		if (__builtin_mul_overflow(number, 10, &number) ||
			__builtin_add_overflow(number, text[i] - '0', &number))
			return CONFIG_VALUE_TOO_BIG;
	*ret_number = number;
	*ret_rest = text + digits;
	return CONFIG_VALUE_OK;
}

enum config_value_result config_value_number(const char *text, int64_t *ret_number)
{
	const char *rest = "";
	int64_t number = 0;
	enum config_value_result result = read_digits(text, &number, &rest);

	if (result != CONFIG_VALUE_OK)
		return result;
	if (*rest)
		return CONFIG_VALUE_NOT_A_NUMBER;
	*ret_number = number;
	return CONFIG_VALUE_OK;
}

enum config_value_result config_value_duration(const char *text, dur_t *ret_duration)
{
	const char *rest = "";
	int64_t number = 0;
	enum config_value_result result = read_digits(text, &number, &rest);

	if (result != CONFIG_VALUE_OK)
		return result;
	if (!*rest)
		return CONFIG_VALUE_NO_UNIT;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(rest, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(number, units[i].us, &number))
			return CONFIG_VALUE_TOO_BIG;
		*ret_duration = dur_us(number);
		return CONFIG_VALUE_OK;
	}
	return CONFIG_VALUE_NOT_A_NUMBER;
}

char *config_value_render_duration(dur_t duration, char text[static CONFIG_VALUE_DURATION_TEXT_MAX])
{
	size_t i = 0;

	if (duration.us == 0)
		return strcpy(text, "0s");
	/* Nobody writes days for a timer: 1d is read, 24h is written. */
	for (i = 1; i < ARRAY_LEN(units) - 1; i++)
		if (duration.us % units[i].us == 0)
			break;
	snprintf(text, CONFIG_VALUE_DURATION_TEXT_MAX, "%lld%s",
		(long long)(duration.us / units[i].us), units[i].name);
	return text;
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool config_value_is_name(const char *text, size_t length_max)
{
	size_t length = strlen(text);

	if (length == 0 || length > length_max || !is_alnum(text[0]))
		return false;
	for (const char *c = text; *c; c++)
		if (!is_alnum(*c) && *c != '.' && *c != '_' && *c != '-')
			return false;
	return true;
}

bool config_value_is_cluster(const char *text)
{
	size_t length = strlen(text);

	return length >= 1 && length <= 32 &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static uint32_t min3(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Optimal string alignment distance: Levenshtein's table with one row more for swaps. */
uint32_t config_value_distance(const char *a, const char *b)
{
	uint32_t rows[3][WORD_MAX + 1];
	size_t a_length = strlen(a), b_length = strlen(b);

	if (a_length > WORD_MAX || b_length > WORD_MAX)
		return UINT32_MAX;
	for (uint32_t j = 0; j <= b_length; j++)
		rows[0][j] = j;
	for (uint32_t i = 1; i <= a_length; i++) {
		uint32_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *top = rows[(i + 1) % 3];

		row[0] = i;
		for (uint32_t j = 1; j <= b_length; j++) {
			uint32_t swap = UINT32_MAX;

			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				swap = top[j - 2] + 1;
			row[j] = min3(above[j] + 1, row[j - 1] + 1,
				above[j - 1] + (a[i - 1] != b[j - 1]));
			row[j] = row[j] < swap ? row[j] : swap;
		}
	}
	return rows[a_length % 3][b_length];
}

const char *config_value_nearest(
	const char *word, const char *const *candidates, size_t candidate_count)
{
	uint32_t best = (uint32_t)strlen(word) / 3 + 1;
	const char *nearest = NULL;

	for (size_t i = 0; i < candidate_count; i++) {
		uint32_t distance = config_value_distance(word, candidates[i]);

		if (distance < best || (distance == best && !nearest)) {
			best = distance;
			nearest = candidates[i];
		}
	}
	return nearest;
}

bool config_value_protocol(const char *text, uint8_t *ret_protocol)
{
	int64_t number = 0;

	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		if (strcmp(text, protocols[i].name) != 0)
			continue;
		*ret_protocol = protocols[i].number;
		return true;
	}
	if (config_value_number(text, &number) != CONFIG_VALUE_OK || number > 255)
		return false;
	*ret_protocol = (uint8_t)number;
	return true;
}

const char *config_value_protocol_name(uint8_t protocol)
{
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (protocols[i].number == protocol)
			return protocols[i].name;
	return NULL;
}
