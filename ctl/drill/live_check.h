/* live_check.h: may the running cluster be drilled now? Pure: takes the status document. */
#ifndef CTL_DRILL_LIVE_CHECK_H
#define CTL_DRILL_LIVE_CHECK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define LIVE_CHECK_LAG_MS	    100 /* a standby that is further behind is not in sync */
#define LIVE_CHECK_HEADROOM_PERCENT 80	/* of the table, that flows may take */

struct live_check_options {
	const char *cluster; /* as the config says */
	const char *group;   /* NULL: all of them */
	const char *to;	     /* the new master; NULL: the best ready peer */
	int64_t quiet_us;    /* no drill within this time before */
	int64_t now_wall_us;
	int64_t table_max; /* flows that this node's kernel takes; below 0: not known */
	bool own_lock;	   /* the drill that is under way is this one */
};

/* live_check: {"check": name, "ok": bool, "text": sentence} each, all of them whatever the first
 * one says; the caller's. */
json_t *live_check(const json_t *status, const struct live_check_options *options);
bool live_check_passed(const json_t *checks);
void live_check_print(FILE *out, const json_t *checks);

/* live_check_group: that group of the status document, or NULL. Borrowed. */
const json_t *live_check_group(const json_t *status, const char *name);

#endif
