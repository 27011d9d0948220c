/* Golden tests of everything that the command shows to people: golden/KIND-NAME.json goes in,
 * golden/KIND-NAME.txt must come out. CTL_GOLDEN_WRITE=1 in the environment writes the .txt files
 * instead: read the diff before you commit it. */
#include "ctl/event_text.h"
#include "ctl/flow_text.h"
#include "ctl/history_text.h"
#include "ctl/moves_text.h"
#include "ctl/reload_text.h"
#include "ctl/status_text.h"
#include "ctl/sync_text.h"

#include "common/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* 2026-01-01T03:12:07Z: three hours and twelve minutes after most of what the files tell. */
#define TEST_NOW_US (INT64_C(1767237127) * 1000000)

static void test_status(FILE *out, const json_t *json)
{
	status_text_render(out, json, TEST_NOW_US);
}

static void test_event(FILE *out, const json_t *json)
{
	event_text_render(out, json, TEST_NOW_US);
}

static void test_reload(FILE *out, const json_t *json)
{
	reload_text_render(out, json, false);
}

static void test_diff(FILE *out, const json_t *json)
{
	reload_text_render(out, json, true);
}

static const struct test_kind {
	const char *name;
	void (*render)(FILE *out, const json_t *json);
} test_kinds[] = {
	{"check", status_text_render_check},
	{"diff", test_diff},
	{"event", test_event},
	{"flow", flow_text_render},
	{"history", history_text_render},
	{"moves", moves_text_render},
	{"reload", test_reload},
	{"status", test_status},
	{"sync", sync_text_render},
};

/* Each a file without its ending; what stands before the first '-' is the kind. */
static const char *const test_names[] = {
	"check-two-masters",
	"check-fine",
	"diff-one",
	"event-alarm",
	"event-transition",
	"flow-icmp",
	"flow-tcp-nat",
	"flow-unreplied",
	"history-failed",
	"history-promotion",
	"moves-none",
	"moves-one",
	"reload-nothing",
	"status-backup",
	"status-empty",
	"status-master",
	"status-night",
	"status-promoting",
	"status-two-masters",
	"sync-active",
	"sync-lost",
};

static char *test_path(const char *name, const char *ending, char path[static 512])
{
	snprintf(path, 512, "%s/%s.%s", TEST_GOLDEN_DIR, name, ending);
	return path;
}

static char *test_read(const char *path)
{
	char *text = calloc(1, 65536);
	FILE *file = fopen(path, "r");

	assert_non_null(text);
	if (!file)
		fail_msg("cannot open %s", path);
	assert_true(fread(text, 1, 65535, file) < 65535);
	fclose(file);
	return text;
}

static char *test_render(const char *name)
{
	char *input, *text = NULL, path[512];
	const struct test_kind *kind = NULL;
	size_t size = 0;
	json_t *json;
	FILE *out;

	for (size_t i = 0; i < ARRAY_LEN(test_kinds); i++)
		if (strncmp(name, test_kinds[i].name, strcspn(name, "-")) == 0 &&
			strlen(test_kinds[i].name) == strcspn(name, "-"))
			kind = &test_kinds[i];
	assert_non_null(kind);
	input = test_read(test_path(name, "json", path));
	json = json_loads(input, JSON_DECODE_ANY, NULL);
	if (!json)
		fail_msg("%s is not JSON", path);
	out = open_memstream(&text, &size);
	kind->render(out, json);
	fclose(out);
	json_decref(json);
	free(input);
	return text;
}

static void test_golden(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(test_names); i++) {
		char path[512], *text = test_render(test_names[i]), *golden;

		test_path(test_names[i], "txt", path);
		if (getenv("CTL_GOLDEN_WRITE")) {
			FILE *file = fopen(path, "w");

			fputs(text, file);
			fclose(file);
		}
		golden = test_read(path);
		if (strcmp(golden, text) != 0)
			fail_msg("%s:\n%s\nbut it was:\n%s", path, golden, text);
		free(golden);
		free(text);
	}
}

/* What a daemon says may hold anything; a display must not die of it, nor steer the terminal. */
static void test_strange(void **state)
{
	static const char *const strange[] = {
		"null",
		"[]",
		"{\"groups\":{},\"alarms\":7,\"sync\":\"x\",\"rules\":[1,null]}",
		"{\"groups\":[null,{\"peers\":[null,{\"paths\":[null,[]]}],\"since\":\"never\"}]}",
		"{\"cluster\":\"\\u001b[2J\",\"groups\":[{\"name\":\"\\u0007\\n\"}],"
		"\"alarms\":[{\"text\":\"\\u001b]0;x\\u0007\",\"since\":5}]}",
		"{\"transitions\":[],\"facts\":{\"x\":{\"y\":[1]}},\"stages\":[{\"us\":-1e300}]}",
		"{\"orig\":[],\"status\":[[]],\"timeout_s\":1e300}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(strange); i++) {
		json_t *json = json_loads(strange[i], JSON_DECODE_ANY, NULL);

		assert_non_null(json);
		for (size_t k = 0; k < ARRAY_LEN(test_kinds); k++) {
			char *text = NULL;
			size_t size = 0;
			FILE *out = open_memstream(&text, &size);

			test_kinds[k].render(out, json);
			fclose(out);
			for (size_t c = 0; c < size; c++)
				assert_true((unsigned char)text[c] >= 0x20 || text[c] == '\n');
			free(text);
		}
		json_decref(json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_strange),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
