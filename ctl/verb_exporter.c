/* verb_exporter.c: `carpool exporter`: Prometheus' endpoint; the work is in exporter.c. */
#include "ctl/args.h"
#include "ctl/endpoint.h"
#include "ctl/exporter.h"
#include "ctl/report.h"
#include "ctl/verb.h"

#include "common/check.h"

#include <stdio.h>
#include <string.h>

int verb_exporter(int argc, char **argv)
{
	const char *listen = EXPORTER_LISTEN;
	const struct args_option options[] = {
		{"--listen", "ADDR:PORT", "default " EXPORTER_LISTEN "; [ADDR]:PORT for IPv6", NULL,
			&listen},
	};
	const struct args_spec spec = {
		.synopsis = "carpool exporter [--listen ADDR:PORT]",
		.text = "Serves /metrics over HTTP until it is stopped. Needs no rights and gives "
			"up what it\n"
			"has: as root it becomes nobody. There is no encryption and no password: "
			"leave it on\n"
			"loopback, or let only the monitoring network reach it.",
		.options = options,
		.option_count = ARRAY_LEN(options),
	};
	struct sockaddr_storage address;
	socklen_t size;
	struct args args;
	char text[256];
	int exit_status, r;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	if (endpoint_parse(listen, 0, &address, &size) < 0)
		return args_fail(&spec, &args,
			"--listen %.64s: wanted is ADDR:PORT, such as " EXPORTER_LISTEN
			" or [::1]:9807",
			listen);
	r = exporter_run(&args, &address, size);
	if (r == 0)
		return VERB_EXIT_DONE;
	snprintf(text, sizeof(text), "cannot serve %.64s: %s", listen, strerror(-r));
	report_error(args.json, "FAILED", text);
	return VERB_EXIT_FAILED;
}
