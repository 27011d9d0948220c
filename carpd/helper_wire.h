/* helper_wire.h: what travels between carpd and its helper. Private to helper*.c. */
#ifndef CARPD_HELPER_WIRE_H
#define CARPD_HELPER_WIRE_H

#include "carpd/helper.h"

enum helper_kind {
	HELPER_KIND_RUN = 1,
	HELPER_KIND_RULES,
	HELPER_KIND_CONFIG,
};

struct helper_request {
	uint32_t id;
	uint32_t kind; /* enum helper_kind */
	union {
		struct {
			int64_t timeout_us;
			char user[CONFIG_USER_MAX];
			uint32_t argument_count;
			uint32_t environment_count;
			uint32_t text_bytes; /* NUL-ended strings, arguments first */
			char text[HELPER_ARGUMENT_BYTES_MAX];
		} run;
		struct {
			char group[LIMIT_NAME];
			uint32_t task; /* enum helper_rules_task */
		} rules;
		struct {
			char path[RULES_FILE_MAX];
			char node[LIMIT_NAME];
		} config;
	};
};

struct helper_answer {
	uint32_t id;
	uint32_t kind;
	union {
		struct helper_result run;
		struct helper_rules_result rules;
		int config_error;
	};
};

_Static_assert(sizeof(struct helper_answer) <= CARPD_HELPER_MESSAGE_BYTES, "answer too long");
_Static_assert(sizeof(struct helper_request) <= CARPD_HELPER_MESSAGE_BYTES, "request too long");

/* helper_process_main: the helper's whole life. Returns its exit code. */
int helper_process_main(int fd, const struct config *cfg, const char *node);

#endif
