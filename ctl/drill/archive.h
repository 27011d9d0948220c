/* archive.h: the reports of earlier drills: a folder each under one base folder.
 *
 *   BASE/20260101T000000Z-power-loss-4711/report.{json,html,txt}, junit.xml, and a folder a run. */
#ifndef CTL_DRILL_ARCHIVE_H
#define CTL_DRILL_ARCHIVE_H

#include <jansson.h>
#include <stdio.h>

#define ARCHIVE_ROOT_DIR    "/var/lib/carpool/drills"
#define ARCHIVE_USER_DIR    ".local/state/carpool/drills"
#define ARCHIVE_FILE	    "report.json"
#define ARCHIVE_REPORTS_MAX 4096u

/* archive_base: `given`, or where this user's reports go. */
void archive_base(const char *given, char *path, size_t size_bytes);

/* archive_load: every report under the base, oldest first, without its runs' details: {time, what,
 * verdict, passed, total, cluster, config_fingerprint, report, outages: {SCENARIO: ms}}. The
 * caller's; never NULL but without memory. */
json_t *archive_load(const char *base);

/* archive_previous: of the newest report (not `skip`, a folder) of this cluster that has the
 * scenario: {time, outage_ms, verdict, config_fingerprint, report}, the caller's; NULL when none.
 */
json_t *archive_previous(
	const json_t *reports, const char *cluster, const char *scenario, const char *skip);

/* archive_save: report.json, report.html, report.txt and junit.xml of a drill into its folder. 0 or
 * a negative errno. */
int archive_save(const char *folder, const json_t *document);

/* archive_note_last: what archive_last() will tell. */
int archive_note_last(const char *base, const char *folder, const json_t *document);

/* archive_last: the last drill of this cluster under the base: {time, what, verdict, passed, total,
 * report, ...}, the caller's; NULL when there is none. Reads one small file. */
json_t *archive_last(const char *base, const char *cluster);

/* archive_print: one line a report, the newest last. */
void archive_print(FILE *out, const json_t *reports);

#endif
