#include "ctl/drill/verb_probe.h"

#include "ctl/drill/prober.h"
#include "ctl/drill/reflect.h"

#include "ctl/args.h"
#include "ctl/verb.h"

#include "common/check.h"

#include <stddef.h>
#include <stdint.h>

int verb_probe_probe(int argc, char **argv)
{
	const char *rate = NULL, *connections = NULL, *time = NULL;
	struct prober_options options = {0};
	const struct args_option table[] = {
		{"--rate", "HZ", "UDP probes a second, 10 to 5000 (default 200)", NULL, &rate},
		{"--connections", "N", "TCP connections, 0 to 32 (default 4)", NULL, &connections},
		{"--for", "TIME", "so long (default: until Ctrl-C)", NULL, &time},
		{"--orders", NULL, "steered through standard input, by 'drill run --live'",
			&options.orders, NULL},
	};
	const struct args_spec spec = {
		.synopsis = "carpool drill probe ADDRESS[:PORT] [--rate HZ] [--for TIME] [--json]",
		.text = "Sends numbered UDP probes, talks on TCP connections and opens new ones, "
			"from this host\nthrough the firewalls to a host where 'carpool drill "
			"reflect' "
			"runs, and tells what was\nlost and for how long. Needs no daemon and no "
			"root. Exit: 0 nothing lost, 1 something.",
		.options = table,
		.option_count = ARRAY_LEN(table),
		.word_count_max = 1,
	};
	long rate_hz = PROBER_RATE_HZ, connection_count = PROBER_CONNECTIONS;
	struct args args;
	int exit_status;
	int r;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	if (args.word_count == 0)
		return args_fail(&spec, &args, "to which host? 'carpool drill reflect' runs there");
	if (!args_number(rate, PROBER_RATE_HZ_MIN, PROBER_RATE_HZ_MAX, &rate_hz))
		return args_fail(&spec, &args, "--rate wants 10 to 5000 (probes a second)");
	if (!args_number(connections, 0, PROBER_CONNECTIONS_MAX, &connection_count))
		return args_fail(&spec, &args, "--connections wants 0 to 32");
	if (time && !args_duration_ms(time, &options.for_ms))
		return args_fail(&spec, &args, "--for wants a duration such as 30s");
	options.rate_hz = (uint32_t)rate_hz;
	options.connection_count = (uint32_t)connection_count;
	options.to = args.words[0];
	options.json = args.json;
	r = prober_run(&options);
	return r < 0 ? VERB_EXIT_USAGE : r;
}

int verb_probe_reflect(int argc, char **argv)
{
	const char *listen = NULL;
	const struct args_option table[] = {
		{"--listen", "ADDR[:PORT]", "where (default: every address, port 4243)", NULL,
			&listen},
	};
	const struct args_spec spec = {
		.synopsis = "carpool drill reflect [--listen ADDR[:PORT]]",
		.text = "Sends back what 'carpool drill probe' sends, UDP and TCP, until Ctrl-C. "
			"It "
			"never sends\nmore than it got. Needs no daemon and no root.",
		.options = table,
		.option_count = ARRAY_LEN(table),
	};
	struct args args;
	int exit_status;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	return reflect_run(listen) < 0 ? VERB_EXIT_USAGE : VERB_EXIT_DONE;
}
