/* history.h: the persistent record of transitions, and small values that outlive carpd.
 *
 * Everything that touches the disk is done by an executor of its own (never by the loop). The last
 * records are kept in memory, read once at start, so that `carpool history` needs no disk. A record
 * that finds the queue full is dropped from disk and counted; it is in memory all the same. */
#ifndef CARPD_HISTORY_H
#define CARPD_HISTORY_H

#include "carpd/executor.h"
#include "common/io/control_server.h"

#include <jansson.h>
#include <stdint.h>

#define HISTORY_MEMORY_MAX 512u /* records that `history` shows */

struct history;

/* history_open: reads what is there. `disk` is borrowed until history_close. A state directory that
 * cannot be written is an error (-EACCES, ...). */
int history_open(struct history **ret_history, const char *state_dir, struct executor *disk)
	__attribute__((warn_unused_result));
void history_close(struct history *history);

/* history_add: one record (borrowed). */
void history_add(struct history *history, const json_t *record);

/* history_stream: answers a control request with all records, oldest first. */
void history_stream(struct history *history, struct control_server *server,
	const struct control_ticket *ticket);

/* history_save: replaces STATE_DIR/`name` by the value, later, on the disk's thread; a newer value
 * for the same name replaces one that still waits. At most HISTORY_VALUES_MAX names. */
#define HISTORY_VALUES_MAX 4u
void history_save(struct history *history, const char *name, const json_t *value);

/* history_load: at start-up only (it reads the disk). NULL when there is none or it is broken. */
json_t *history_load(const struct history *history, const char *name);

uint64_t history_lost_count(const struct history *history);

#endif
