/* carpd: the election, the addresses and the order of a promotion (doc/architecture.md). */
#include "carpd/logpipe.h"
#include "carpd/node.h"
#include "carpd/options.h"

#include "common/check.h"
#include "common/io/log.h"
#include "config/config.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAIN_FAILED 1
#define MAIN_USAGE  2

/* main_load: the config, or NULL after every error of it has been told. */
static struct config *main_load(const struct options *options)
{
	struct config_errors *errors = calloc(1, sizeof(*errors));
	struct config *cfg = NULL;

	if (!errors)
		return NULL;
	cfg = config_load(options->config, options->node, errors);
	if (!cfg)
		config_errors_print(errors, stderr);
	free(errors);
	return cfg;
}

static bool main_directory(const char *path)
{
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return true;
	log_error("%s", path);
	return false;
}

/* main_sweep: --sweep: addresses first, and then the standby rules (rules_load leaves them awake).
 */
static int main_sweep(
	struct node *node, const struct options *options, struct config *cfg, struct helper *helper)
{
	int r;

	node->options = options;
	node->cfg = cfg;
	node->self = cfg->self;
	node->helper = helper;
	r = guard_wait_former(options->runtime_dir);
	if (r < 0)
		log_warnx("the guard of an earlier carpd does not end");
	r = node_sweep(node);
	if (r < 0) {
		log_errorx("sweep: %s", strerror(-r));
		return MAIN_FAILED;
	}
	return node_rules_prepare(node) < 0 ? MAIN_FAILED : 0;
}

/* main_serve: `cfg` is moved to the node where it opens one, and freed otherwise. */
static int main_serve(struct node *node, const struct options *options, struct config *cfg)
{
	struct helper *helper;
	int lock, r;

	lock = node_lock(options->runtime_dir);
	if (lock < 0) {
		log_errorx("%s: %s", options->runtime_dir,
			lock == -EBUSY ? "another carpd runs here" : strerror(-lock));
		config_free(cfg);
		return MAIN_FAILED;
	}
	/* Before threads, real time and capability limits: it keeps what it starts with. */
	r = helper_fork(&helper, cfg, options->node);
	if (r < 0) {
		log_errorx("helper: %s", strerror(-r));
		config_free(cfg);
		return MAIN_FAILED;
	}
	if (options->sweep) {
		r = main_sweep(node, options, cfg, helper);
		helper_close(helper);
		rules_latch_close(node->latch);
		free(node->manifests);
		config_free(cfg);
		return r;
	}
	r = node_open(node, options, cfg, helper);
	if (r == 0)
		r = node_run(node);
	node_close(node);
	log_notice("ended");
	return r;
}

int main(int argc, char **argv)
{
	struct options options;
	struct config *cfg;
	struct node *node;
	int result;

	log_open("carpd", LOG_LEVEL_INFO);
	switch (options_parse(argc, argv, &options)) {
	case OPTIONS_BAD:
		return MAIN_USAGE;
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_OK:
		break;
	}
	if (options.verbose)
		log_open("carpd", LOG_LEVEL_DEBUG);
	(void)signal(SIGPIPE, SIG_IGN);
	cfg = main_load(&options);
	if (!cfg)
		return MAIN_USAGE;
	if (!main_directory(options.runtime_dir) || !main_directory(options.state_dir))
		return MAIN_FAILED;
	/* Large, and the same for the life of the process: sized at start. */
	node = calloc(1, sizeof(*node));
	if (!node)
		return MAIN_FAILED;
	logpipe_open();
	result = main_serve(node, &options, cfg);
	logpipe_close();
	free(node);
	return result;
}
