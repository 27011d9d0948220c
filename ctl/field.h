/* field.h: reading a daemon's JSON for people, without trusting it to be complete.
 *
 * A daemon of another version may leave a field out or add one; a display must not die of that.
 * Missing or mistyped is "" or 0, an empty list, or `otherwise`. */
#ifndef CTL_FIELD_H
#define CTL_FIELD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

const char *field_text(const json_t *object, const char *key);
double field_number(const json_t *object, const char *key, double otherwise);

/* field_scaled: number * scale as an integer (milliseconds to microseconds: 1000), cut to its
 * range. */
int64_t field_scaled(const json_t *object, const char *key, double scale, int64_t otherwise);
bool field_bool(const json_t *object, const char *key, bool otherwise);

/* field_is: the field is a string, and this one. */
bool field_is(const json_t *object, const char *key, const char *text);

/* field_list: the array, borrowed; NULL when it is none (json_array_foreach takes that as empty).
 */
json_t *field_list(const json_t *object, const char *key);

/* field_print: what came from elsewhere never steers the terminal: control bytes become '?', except
 * that a newline stays one, followed by `indent` spaces. */
void field_print(FILE *out, const char *text, unsigned int indent);

/* field_print_list: "a, b, c" of the array's strings. */
void field_print_list(FILE *out, const json_t *list);

/* field_print_value: a number, a string, true: compact; objects and arrays as JSON. */
void field_print_value(FILE *out, const json_t *value);

#endif
