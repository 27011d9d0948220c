/* The parser of an operator's scenarios on any bytes: never crashes, and what it accepts can be
 * run: steps in the order of time, names ended, numbers within their bounds. */
#include "common/check.h"
#include "ctl/drill/scenario_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config_errors errors;
	static struct scenario_file file;
	const struct scenario *scenario = &file.scenario;
	int last_ms = 0;

	config_errors_init(&errors, "scenario.yaml");
	if (!scenario_file_parse((const char *)data, size, "scenario", &file, &errors)) {
		CHECK(errors.count > 0);
		return 0;
	}
	CHECK(errors.count == 0);
	CHECK(scenario->step_count <= SCENARIO_STEPS_MAX);
	CHECK(strlen(scenario->name) < LIMIT_NAME);
	CHECK(file.objectives.survival_percent <= 100);
	for (unsigned int i = 0; i < scenario->step_count; i++) {
		const struct scenario_step *step = &scenario->steps[i];

		CHECK(step->at_ms >= last_ms && step->at_ms <= SCENARIO_FILE_AT_MS_MAX);
		CHECK(step->action < SCENARIO_ACTION_COUNT);
		CHECK(step->who != SCENARIO_WHO_NAMED || step->node_name[0] != '\0');
		last_ms = step->at_ms;
	}
	return 0;
}
