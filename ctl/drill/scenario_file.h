/* scenario_file.h: a scenario, or objectives, in an operator's own words (YAML). Pure.
 *
 *   name: lan-flap
 *   description: The client side's cable comes and goes.
 *   expect: { master: any, ready: 20s }
 *   objectives: { outage: 50ms, handover_loss: 0, survival: 100%, dual_master: 0ms }
 *   steps:
 *     - { at: 0s, do: link-down, node: fw1, interface: lan0 }
 *     - { at: 2s, do: link-up, node: fw1, interface: lan0 }
 *
 * or just the list of steps. doc/drills.md tells every word. */
#ifndef CTL_DRILL_SCENARIO_FILE_H
#define CTL_DRILL_SCENARIO_FILE_H

#include "config/config_errors.h"
#include "ctl/drill/scenario.h"

#define SCENARIO_FILE_BYTES_MAX 65536u
#define SCENARIO_FILE_TEXT_MAX	1024u
#define SCENARIO_FILE_AT_MS_MAX 600000 /* the last step: ten minutes after the first */

struct scenario_file {
	struct scenario scenario; /* points into this structure: never copied */
	struct scenario_objectives objectives;
	char name[LIMIT_NAME];
	char description[SCENARIO_FILE_TEXT_MAX];
	char alarm[LIMIT_NAME];
	char nodes[SCENARIO_STEPS_MAX][LIMIT_NAME];
	char interfaces[SCENARIO_STEPS_MAX][LIMIT_NAME];
};

/* scenario_file_parse: `name` is the scenario's unless the text has its own. A text without steps
 * is good for its objectives alone (step_count 0). False: `errors` tells all that is wrong. */
bool scenario_file_parse(const char *text, size_t size_bytes, const char *name,
	struct scenario_file *ret_file, struct config_errors *errors);

/* scenario_file_load: the same, from a file; its name without folder and ending is the scenario's.
 */
bool scenario_file_load(
	const char *path, struct scenario_file *ret_file, struct config_errors *errors);

#endif
