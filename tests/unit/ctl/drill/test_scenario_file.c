/* An operator's own scenarios, and that the built-in ones are whole. */
#include "ctl/drill/scenario_file.h"

#include "ctl/drill/cluster.h"

#include "tests/unit/common/test.h"

#include <signal.h>
#include <string.h>

static struct scenario_file file;
static struct config_errors errors;

static bool parse(const char *text)
{
	config_errors_init(&errors, "own.yaml");
	return scenario_file_parse(text, strlen(text), "own", &file, &errors);
}

static void test_whole(void **state)
{
	const struct scenario *scenario = &file.scenario;

	(void)state;
	assert_true(parse("name: lan-flap\n"
			  "expect: { master: stays, ready: 20s, alarm: PATH_SPLIT, moves: 2 }\n"
			  "objectives: { outage: 50ms, handover_loss: 3, survival: 99%, "
			  "dual_master: 0ms }\n"
			  "steps:\n"
			  "  - { at: 0s, do: link-down, node: fw1, interface: lan0 }\n"
			  "  - { at: 2s, do: kill, node: standby, daemon: syncd }\n"
			  "  - { do: fill, count: 7 }\n"));
	assert_string_equal(scenario->name, "lan-flap");
	assert_int_equal(scenario->step_count, 3);
	assert_int_equal(scenario->steps[0].action, SCENARIO_ACTION_LINK_DOWN);
	assert_int_equal(scenario->steps[0].who, SCENARIO_WHO_NAMED);
	assert_string_equal(scenario->steps[0].node_name, "fw1");
	assert_string_equal(scenario->steps[0].interface_name, "lan0");
	assert_int_equal(scenario->steps[1].at_ms, 2000);
	assert_int_equal(scenario->steps[1].action, SCENARIO_ACTION_SIGNAL);
	assert_int_equal(scenario->steps[1].signal_number, SIGKILL);
	assert_int_equal(scenario->steps[1].daemons, 1u << CLUSTER_DAEMON_SYNCD);
	assert_int_equal(scenario->steps[1].who, SCENARIO_WHO_STANDBY);
	assert_int_equal(scenario->steps[2].at_ms, 2000); /* without at: with the one before */
	assert_int_equal(scenario->steps[2].flow_count, 7);
	assert_int_equal(scenario->master, SCENARIO_MASTER_STAYS);
	assert_int_equal(scenario->ready_ms, 20000);
	assert_int_equal(scenario->moves_max, 2);
	assert_string_equal(scenario->alarm, "PATH_SPLIT");
	assert_int_equal(file.objectives.outage_us, 50000);
	assert_int_equal(file.objectives.handover_loss, 3);
	assert_int_equal(file.objectives.survival_percent, 99);
	assert_int_equal(file.objectives.dual_us, 0);
}

static void test_list_alone(void **state)
{
	(void)state;
	assert_true(parse("- { at: 1s, do: power-off }\n- { at: 3s, do: power-on }\n"));
	assert_string_equal(file.scenario.name, "own");
	assert_int_equal(file.scenario.step_count, 2);
	assert_int_equal(file.scenario.steps[0].who, SCENARIO_WHO_MASTER);
	assert_int_equal(file.objectives.outage_us, -1);
	assert_int_equal(file.objectives.survival_percent, -1);
}

static void test_objectives_alone(void **state)
{
	(void)state;
	assert_true(parse("objectives: { outage: 1s }\n"));
	assert_int_equal(file.scenario.step_count, 0);
	assert_int_equal(file.objectives.outage_us, 1000000);
}

/* Each with one mistake, and the place that the message has to name. */
static void test_wrong(void **state)
{
	static const struct {
		const char *text;
		uint32_t line;
	} cases[] = {
		{"steps:\n  - { do: explode }\n", 2},
		{"steps:\n  - { at: 1s }\n", 2},
		{"steps:\n  - { do: fill }\n", 2},
		{"steps:\n  - { at: 5, do: split }\n", 2},
		{"steps:\n  - { at: 11m, do: split }\n", 2},
		{"- { at: 2s, do: split }\n- { at: 1s, do: join }\n", 2},
		{"- { do: kill, daemon: init }\n", 1},
		{"steps: 3\n", 1},
		{"step:\n  - { do: split }\n", 1},
		{"expect: { master: maybe }\n", 1},
		{"objectives: { survival: 101% }\n", 1},
		{"objectives: { survival: 100 }\n", 1},
		{"name: ../../etc\n", 1},
		{"- { do: signal }\n", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_false(parse(cases[i].text));
		assert_int_equal(errors.count, 1);
		assert_int_equal(errors.items[0].pos.line, cases[i].line);
	}
}

static void test_too_many_steps(void **state)
{
	char text[SCENARIO_STEPS_MAX * 20 + 64] = "";

	(void)state;
	for (unsigned int i = 0; i < SCENARIO_STEPS_MAX; i++)
		(void)strcat(text, "- { do: split }\n");
	assert_true(parse(text));
	(void)strcat(text, "- { do: split }\n");
	assert_false(parse(text));
}

/* Every built-in one says what it is for, and asks for something that can be judged. */
static void test_built_in(void **state)
{
	(void)state;
	assert_null(scenario_nth(scenario_count()));
	for (unsigned int i = 0; i < scenario_count(); i++) {
		const struct scenario *scenario = scenario_nth(i);

		assert_ptr_equal(scenario_lookup(scenario->name), scenario);
		assert_true(strlen(scenario->description) > 60);
		assert_true(scenario->step_count > 0);
		assert_true(scenario->observe_ms > 0);
		for (unsigned int k = 1; k < scenario->step_count; k++)
			assert_true(scenario->steps[k].at_ms >= scenario->steps[k - 1].at_ms);
	}
	assert_int_equal(scenario_count(), 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_list_alone),
		cmocka_unit_test(test_objectives_alone),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_too_many_steps),
		cmocka_unit_test(test_built_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
