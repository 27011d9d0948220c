/* labconf.h: the config that the drilled daemons read: the operator's, made harmless.
 *
 * Everything stays as it is, but:
 *   keys      new random ones of the drill's own; the operator's files are never opened;
 *   rules     the same files, by absolute names (they are read, never written), or copies when a
 *             scenario edits them;
 *   handlers  stubs with the same names, phases and deadlines, unless the operator insists; tracked
 *             scripts likewise;
 *   max_flows a scenario may lower it. */
#ifndef CTL_DRILL_LABCONF_H
#define CTL_DRILL_LABCONF_H

#include "config/config.h"

#include <stdint.h>

#include "ctl/drill/sandbox.h"

#define LABCONF_ERROR_MAX 512u
#define LABCONF_FILE	  SANDBOX_DIR "/cluster.yaml"
#define LABCONF_KEY	  SANDBOX_DIR "/drill.key"
#define LABCONF_PASS	  SANDBOX_DIR "/carp2.pass" /* CARPv2's; the lab's own */

struct labconf_options {
	bool run_hooks;	    /* keep the operator's handlers and tracked scripts */
	bool copy_rules;    /* the scenario edits them */
	uint32_t max_flows; /* 0: as configured */
};

/* labconf_write: writes LABCONF_FILE and LABCONF_KEY from `cfg`, which is changed by it. Inside the
 * sandbox. 0, or a negative errno with a sentence in `error`. */
int labconf_write(struct config *cfg, const struct labconf_options *options,
	char error[static LABCONF_ERROR_MAX]);

#endif
