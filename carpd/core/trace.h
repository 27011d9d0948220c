/* trace.h: the core's one way to speak: a fact and what follows from it.
 *
 * The same lines are the operator's log, the simulator's story and the golden text of the tests.
 * The formatter is the core's own, for the core links no stdio; it knows %s %u %lld and %%. */
#ifndef CARPD_CORE_TRACE_H
#define CARPD_CORE_TRACE_H

#include "carpd/core/election.h"

struct trace_text {
	char text[128];
};

/* trace_format: at most 127 characters, the rest is cut; returns text->text. */
const char *trace_format(struct trace_text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* trace_ms: "33.9 ms". */
const char *trace_ms(struct trace_text *text, dur_t d);

/* trace_line: hands one line to the hook, when there is one. group: index or ELECTION_ALL. */
void trace_line(const struct election *e, uint8_t group, const char *fact, const char *decision);

/* trace_node: the name of a node id, own included; "?" for an unknown one. */
const char *trace_node(const struct election *e, uint8_t id);

#define TRACE_TEXT(...) trace_format(&(struct trace_text){{0}}, __VA_ARGS__)
#define TRACE_MS(d)	trace_ms(&(struct trace_text){{0}}, (d))

#endif
