#include "carpd/history.h"

#include "carpd/bounds.h"
#include "common/check.h"
#include "common/io/log.h"
#include "common/io/statefile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One line on its way to the disk. */
struct history_write {
	struct executor_job job;
	struct history *history;
	char *line; /* owned while busy */
};

/* A small file that is replaced whole. */
struct history_value {
	struct executor_job job;
	struct history *history;
	char name[64];
	json_t *writing; /* owned while busy */
	json_t *waiting; /* newer, written next */
};

struct history {
	char state_dir[STATEFILE_PATH_MAX - 128];
	struct executor *disk;
	struct statefile_log log; /* the disk's thread alone */
	struct history_write writes[CARPD_HISTORY_QUEUE_MAX];
	struct history_value values[HISTORY_VALUES_MAX];
	json_t *records[HISTORY_MEMORY_MAX]; /* a ring */
	unsigned int first;
	unsigned int count;
	uint64_t lost_count;
};

static void history_remember(struct history *h, json_t *record)
{
	unsigned int at = (h->first + h->count) % HISTORY_MEMORY_MAX;

	if (h->count == HISTORY_MEMORY_MAX) {
		json_decref(h->records[h->first]);
		h->first = (h->first + 1) % HISTORY_MEMORY_MAX;
	} else {
		h->count++;
	}
	h->records[at] = record;
}

static int history_on_line(const char *line, void *context)
{
	json_t *record = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

	/* A line that is not JSON is somebody's edit: left alone, not shown. */
	if (json_is_object(record))
		history_remember(context, record);
	else
		json_decref(record);
	return 0;
}

static void history_write_run(struct executor_job *job)
{
	struct history_write *write = (struct history_write *)(void *)job;

	job->result = statefile_log_append(&write->history->log, write->line);
}

static void history_write_done(struct executor_job *job)
{
	struct history_write *write = (struct history_write *)(void *)job;

	if (job->result < 0) {
		write->history->lost_count++;
		log_warnx("history: %s", strerror(-job->result));
	}
	free(write->line);
	write->line = NULL;
}

static void history_value_run(struct executor_job *job)
{
	struct history_value *value = (struct history_value *)(void *)job;
	char path[STATEFILE_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", value->history->state_dir, value->name);
	job->result = statefile_write_json(path, value->writing);
}

static void history_value_done(struct executor_job *job)
{
	struct history_value *value = (struct history_value *)(void *)job;

	if (job->result < 0)
		log_warnx("%s/%s: %s", value->history->state_dir, value->name,
			strerror(-job->result));
	json_decref(value->writing);
	value->writing = value->waiting;
	value->waiting = NULL;
	if (value->writing)
		(void)!executor_post(value->history->disk, job); /* It is not busy any more. */
}

int history_open(struct history **ret_history, const char *state_dir, struct executor *disk)
{
	struct history *h = calloc(1, sizeof(*h));
	char path[STATEFILE_PATH_MAX];
	int r;

	if (!h)
		return -ENOMEM;
	h->disk = disk;
	snprintf(h->state_dir, sizeof(h->state_dir), "%s", state_dir);
	snprintf(path, sizeof(path), "%s/history.jsonl", h->state_dir);
	for (unsigned int i = 0; i < CARPD_HISTORY_QUEUE_MAX; i++)
		h->writes[i] = (struct history_write){
			.job = {.run = history_write_run, .done = history_write_done},
			.history = h,
		};
	for (unsigned int i = 0; i < HISTORY_VALUES_MAX; i++)
		h->values[i] = (struct history_value){
			.job = {.run = history_value_run, .done = history_value_done},
			.history = h,
		};
	r = statefile_log_open(&h->log, path, CARPD_HISTORY_FILE_BYTES);
	if (r == 0)
		r = statefile_log_each(path, history_on_line, h);
	if (r < 0) {
		history_close(h);
		return r;
	}
	*ret_history = h;
	return 0;
}

void history_close(struct history *h)
{
	if (!h)
		return;
	statefile_log_close(&h->log);
	/* What the disk's thread has written at the very end; nobody is told any more. */
	for (unsigned int i = 0; i < CARPD_HISTORY_QUEUE_MAX; i++)
		free(h->writes[i].line);
	for (unsigned int i = 0; i < HISTORY_VALUES_MAX; i++) {
		json_decref(h->values[i].writing);
		json_decref(h->values[i].waiting);
	}
	for (unsigned int i = 0; i < h->count; i++)
		json_decref(h->records[(h->first + i) % HISTORY_MEMORY_MAX]);
	free(h);
}

void history_add(struct history *h, const json_t *record)
{
	history_remember(h, json_deep_copy(record));
	for (unsigned int i = 0; i < CARPD_HISTORY_QUEUE_MAX; i++) {
		struct history_write *write = &h->writes[i];

		if (executor_job_busy(&write->job))
			continue;
		write->line = json_dumps(record, JSON_COMPACT);
		if (!write->line || !executor_post(h->disk, &write->job))
			break;
		return;
	}
	h->lost_count++;
}

/* A walk over the ring that records may join meanwhile: it ends where the ring ended at its start,
 * and skips what has been overwritten. */
struct history_walk {
	struct history *history;
	json_t *records; /* an array: references only */
	size_t next;
};

static json_t *history_walk_next(void *context)
{
	struct history_walk *walk = context;

	return json_incref(json_array_get(walk->records, walk->next++));
}

static void history_walk_done(void *context)
{
	struct history_walk *walk = context;

	json_decref(walk->records);
	free(walk);
}

void history_stream(
	struct history *h, struct control_server *server, const struct control_ticket *ticket)
{
	struct history_walk *walk = calloc(1, sizeof(*walk));

	if (!walk) {
		(void)control_server_error(server, ticket, "FAILED", "no memory");
		return;
	}
	walk->records = json_array();
	for (unsigned int i = 0; i < h->count; i++)
		(void)json_array_append(
			walk->records, h->records[(h->first + i) % HISTORY_MEMORY_MAX]);
	(void)control_server_stream(server, ticket, walk, history_walk_next, history_walk_done);
}

void history_save(struct history *h, const char *name, const json_t *new_value)
{
	for (unsigned int i = 0; i < HISTORY_VALUES_MAX; i++) {
		struct history_value *value = &h->values[i];

		if (value->name[0] != '\0' && strcmp(value->name, name) != 0)
			continue;
		snprintf(value->name, sizeof(value->name), "%s", name);
		if (executor_job_busy(&value->job)) {
			json_decref(value->waiting);
			value->waiting = json_deep_copy(new_value);
			return;
		}
		value->writing = json_deep_copy(new_value);
		(void)!executor_post(h->disk, &value->job);
		return;
	}
	CHECK(false);
}

json_t *history_load(const struct history *h, const char *name)
{
	char path[STATEFILE_PATH_MAX];
	json_t *value = NULL;
	int r;

	snprintf(path, sizeof(path), "%s/%s", h->state_dir, name);
	r = statefile_read_json(path, &value);
	if (r < 0 && r != -ENOENT)
		log_warnx("%s: %s", path, strerror(-r));
	return r < 0 ? NULL : value;
}

uint64_t history_lost_count(const struct history *h)
{
	return h->lost_count;
}
