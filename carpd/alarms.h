/* alarms.h: what the shell wants an operator to know now, by name, and once.
 *
 * The core has alarms of its own (core/election.h), rules and stages theirs. These are the others:
 * somebody meddles with addresses or routes, a foreign router has our vhid, the nodes' configs
 * differ. An alarm is one code, group and peer or path; raised again it only lives longer, so its
 * line is in the log and in the event stream once, with what to do. It is over when it is cleared,
 * or when nobody has raised it for its time. */
#ifndef CARPD_ALARMS_H
#define CARPD_ALARMS_H

#include "carpd/bounds.h"
#include "common/mono.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define ALARMS_TEXT_MAX 256u

struct node;

struct alarm {
	const char *code; /* static; NULL: a free place */
	uint8_t group;
	int64_t since_wall_us;
	mono_t until;
	char text[ALARMS_TEXT_MAX];
};

/* alarms_raise: `code` is static text. The text of one that is there already is replaced without a
 * word. With CARPD_ALARMS_MAX of them a new one is only logged. */
void alarms_raise(struct node *node, const char *code, uint8_t group, dur_t lifetime,
	const char *format, ...) __attribute__((format(printf, 5, 6)));

/* alarms_clear: nothing happens when it is not there. alarms_expire: once a second or so. */
void alarms_clear(struct node *node, const char *code, uint8_t group);
void alarms_expire(struct node *node);

/* alarms_status: appends them to status' list. */
void alarms_status(const struct node *node, json_t *list);

#endif
