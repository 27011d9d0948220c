/* codes.h: every stable name that carpool shows, and what it means. The one table: `carpool
 * explain`, `carpool status` and the alarms' advice all read it.
 *
 * A name may stand for more than one thing (TABLE_FULL is an alarm, a reason for not being ready,
 * and a drop): one entry a kind. The lint `codes` reads the daemons' sources and refuses a name
 * that has no entry here, and an entry that nothing can emit. */
#ifndef CTL_CODES_H
#define CTL_CODES_H

enum code_kind {
	CODE_REASON = 0, /* why a group changed its state */
	CODE_ALARM,
	CODE_NOT_READY,
	CODE_STATE,
	CODE_ADVERT_DROP, /* a packet of the election that was not used */
	CODE_SYNC_DROP,	  /* a record of the sync channel that was not used */
	CODE_CLOSE,	  /* why a connection between two syncds was closed */
	CODE_ERROR,	  /* why a request was refused: daemons' and command's */
	CODE_KIND_COUNT,
};

struct code {
	enum code_kind kind;
	const char *name;
	const char *text;   /* what it means: one clause, as status shows it in brackets */
	const char *advice; /* what to look at or do; NULL: nothing */
};

/* codes_table: all of them, by kind; *ret_count is how many. Static. */
const struct code *codes_table(unsigned int *ret_count);

/* codes_lookup: NULL when there is none of that kind and name. */
const struct code *codes_lookup(enum code_kind kind, const char *name);

/* codes_kind_name: "reason", "alarm", "not-ready", ...: for people and --json. */
const char *codes_kind_name(enum code_kind kind);

#endif
