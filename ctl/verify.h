/* verify.h: `carpool sync verify`: passes over the tables, until nothing differs or it persists. */
#ifndef CTL_VERIFY_H
#define CTL_VERIFY_H

#include "ctl/args.h"

#define VERIFY_PASSES	  3
#define VERIFY_PAUSE_MS	  1000
#define VERIFY_SILENCE_MS 90000 /* of a pass: syncd gives up after 60 s */

/* verify_run: exit status: done when all is equal and every peer was compared. */
int verify_run(const struct args *args);

#endif
