/* syncd: replicates connection tracking between the nodes of a cluster. See node.h. */
#include "common/io/caps.h"
#include "common/io/evloop.h"
#include "common/io/keyfile.h"
#include "common/io/log.h"
#include "common/io/notify.h"
#include "config/config.h"
#include "syncd/node.h"
#include "syncd/ops.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_USAGE 2
#define NICE_LEVEL -20

struct arguments {
	const char *config;
	const char *node;
	const char *runtime_dir;
	const char *state_dir;
	bool debug;
};

static void usage(FILE *to)
{
	fputs("usage: syncd [--config FILE] [--node NAME] [--runtime-dir DIR] [--state-dir DIR]\n"
	      "             [--debug]\n"
	      "\n"
	      "  --config FILE       the cluster's file (/etc/carpool/cluster.yaml)\n"
	      "  --node NAME         which of its nodes this is (the host name)\n"
	      "  --runtime-dir DIR   sockets (/run/carpool)\n"
	      "  --state-dir DIR     accepted, as carpd does; nothing is kept there\n"
	      "  --debug             also what is told between the nodes\n"
	      "  --help, --version\n"
	      "\n"
	      "Runs in the foreground. SIGTERM: lets carpd hand over first, then ends.\n"
	      "Exit: 0 done, 1 failed, 2 usage or config error.\n",
		to);
}

static int parse_arguments(int argc, char **argv, struct arguments *args)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
		{"node", required_argument, NULL, 'n'},
		{"runtime-dir", required_argument, NULL, 'r'},
		{"state-dir", required_argument, NULL, 's'}, {"debug", no_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			args->config = optarg;
			break;
		case 'n':
			args->node = optarg;
			break;
		case 'r':
			args->runtime_dir = optarg;
			break;
		case 's':
			args->state_dir = optarg;
			break;
		case 'd':
			args->debug = true;
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		case 'V':
			puts("syncd (carpool) " CARPOOL_VERSION);
			exit(EXIT_SUCCESS);
		default:
			usage(stderr);
			return -EINVAL;
		}
	}
	if (optind < argc) {
		usage(stderr);
		return -EINVAL;
	}
	return 0;
}

static struct config *load_config(const struct arguments *args)
{
	struct config_errors errors;
	struct config *cfg = config_load(args->config, args->node, &errors);

	if (cfg)
		return cfg;
	config_errors_print(&errors, stderr);
	return NULL;
}

static int load_keys(struct keyring *ring, const struct config *cfg)
{
	char error[KEYFILE_ERROR_MAX];

	keyring_init(ring, cfg->cluster);
	for (uint32_t i = 0; i < cfg->key_count; i++) {
		if (keyfile_load(ring, cfg->keys[i].path, error) == 0)
			continue;
		fprintf(stderr, "%s:%u:%u: %s\n", cfg->file, cfg->keys[i].pos.line,
			cfg->keys[i].pos.column, error);
		return -EINVAL;
	}
	return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	struct node *node = context;

	(void)source;
	if (info->ssi_signo == SIGHUP) {
		log_notice("a changed config is taken at the next restart of syncd");
		return 0;
	}
	notify_stopping();
	node_stop(node);
	return 0;
}

/* prefer_us: carpd waits for our answer in a promotion; a busy machine must not keep us waiting.
 * Not real time, which carpd has: a full transfer would starve everybody else. */
static void prefer_us(void)
{
	(void)setpriority(PRIO_PROCESS, 0, NICE_LEVEL); /* where permitted */
}

static void limit_rights(void)
{
	static const int keep[] = {CAP_NET_ADMIN};
	char missing[CAPS_TEXT_MAX];

	/* nf_conntrack_events and the buffers are set by now; events, dumps and injection need
	 * CAP_NET_ADMIN alone. */
	if (caps_limit(keep, 1, missing) != 0)
		log_warnx("capabilities are missing: %s", missing);
}

static int run(const struct config *cfg, const struct keyring *ring, const char *runtime_dir)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	static struct node node;
	struct control_server *server = NULL;
	sd_event *event = NULL;
	int r = sd_event_new(&event);

	if (r >= 0)
		r = evloop_add_signals(event, signals, 3, on_signal, &node);
	if (r >= 0)
		r = node_open(&node, event, cfg, ring, runtime_dir);
	if (r < 0) {
		sd_event_unref(event);
		return r;
	}
	r = ops_open(&server, &node, runtime_dir);
	if (r < 0) {
		errno = -r;
		log_error("cannot open %s/syncd.sock", runtime_dir);
	} else {
		prefer_us();
		limit_rights();
		(void)evloop_watchdog(event); /* where systemd asks for it */
		notify_ready();
		log_notice("running as node %s of cluster %s, room for %u flows", cfg->self->name,
			cfg->cluster, node.engine.config.capacity);
		r = sd_event_loop(event);
	}
	control_server_close(server);
	node_close(&node);
	sd_event_unref(event);
	return r;
}

int main(int argc, char **argv)
{
	char host[HOST_NAME_MAX + 1] = "";
	struct arguments args = {.config = "/etc/carpool/cluster.yaml",
		.node = host,
		.runtime_dir = "/run/carpool",
		.state_dir = "/var/lib/carpool"};
	struct keyring ring;
	struct config *cfg;
	int r;

	(void)gethostname(host, sizeof(host) - 1); /* without a name the config says so */
	if (parse_arguments(argc, argv, &args) < 0)
		return EXIT_USAGE;
	log_open("syncd", args.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	signal(SIGPIPE, SIG_IGN);
	cfg = load_config(&args);
	if (!cfg)
		return EXIT_USAGE;
	if (load_keys(&ring, cfg) < 0) {
		config_free(cfg);
		return EXIT_USAGE;
	}
	if (mkdir(args.runtime_dir, 0755) < 0 && errno != EEXIST)
		log_warn("cannot make %s", args.runtime_dir);
	r = run(cfg, &ring, args.runtime_dir);
	keyring_fini(&ring);
	config_free(cfg);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
