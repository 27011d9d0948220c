/* config_value.h: words into numbers, durations and names, and back; pure functions on text.
 *
 * Only whole decimal numbers without sign and without leading zeros are numbers (YAML 1.1 reads
 * 010 as eight). A duration always carries its unit: us, ms, s, m, h or d. */
#ifndef CONFIG_CONFIG_VALUE_H
#define CONFIG_CONFIG_VALUE_H

#include "common/mono.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_VALUE_DURATION_TEXT_MAX 32u

enum config_value_result {
	CONFIG_VALUE_OK,
	CONFIG_VALUE_NOT_A_NUMBER,
	CONFIG_VALUE_NO_UNIT,
	CONFIG_VALUE_TOO_BIG,
};

/* config_value_number: 0 .. INT64_MAX. */
enum config_value_result config_value_number(const char *text, int64_t *ret_number);

/* config_value_duration: "10ms"; a bare "0" has no unit either. */
enum config_value_result config_value_duration(const char *text, dur_t *ret_duration);

/* config_value_render_duration: in the greatest unit that keeps it whole; returns `text`. */
char *config_value_render_duration(
	dur_t duration, char text[static CONFIG_VALUE_DURATION_TEXT_MAX]);

/* config_value_is_name: 1 .. length_max characters of A-Z a-z 0-9 . _ -, the first a letter or a
 * digit: fit for a file name, a table name and a host name. */
bool config_value_is_name(const char *text, size_t length_max);

/* config_value_is_cluster: 1 .. 32 of a-z 0-9 -. */
bool config_value_is_cluster(const char *text);

/* config_value_distance: how many single letters must be changed, added, dropped or swapped with
 * their neighbour to make one word the other; words longer than 63 are infinitely far. */
uint32_t config_value_distance(const char *a, const char *b);

/* config_value_nearest: the candidate that the writer may have meant, or NULL when none is near. */
const char *config_value_nearest(
	const char *word, const char *const *candidates, size_t candidate_count);

/* config_value_protocol: an IP protocol's number by its name ("tcp") or as a number 0..255. */
bool config_value_protocol(const char *text, uint8_t *ret_protocol);

/* config_value_protocol_name: the name that config_value_protocol() knows, or NULL. */
const char *config_value_protocol_name(uint8_t protocol);

#endif
