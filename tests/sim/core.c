/* core: all of carpd/core as one file: the compiler sees through it, and the simulator runs several
 * times as many worlds an hour. The daemon and the stories are linked with the library as it is. */
#include "carpd/core/backup.c"	   /* NOLINT */
#include "carpd/core/carp2_core.c" /* NOLINT */
#include "carpd/core/confirm.c"	   /* NOLINT */
#include "carpd/core/demotion.c"   /* NOLINT */
#include "carpd/core/dual.c"	   /* NOLINT */
#include "carpd/core/election.c"   /* NOLINT */
#include "carpd/core/group.c"	   /* NOLINT */
#include "carpd/core/handover.c"   /* NOLINT */
#include "carpd/core/operator.c"   /* NOLINT */
#include "carpd/core/order.c"	   /* NOLINT */
#include "carpd/core/paths.c"	   /* NOLINT */
#include "carpd/core/peers.c"	   /* NOLINT */
#include "carpd/core/send.c"	   /* NOLINT */
#include "carpd/core/stalls.c"	   /* NOLINT */
#include "carpd/core/timers.c"	   /* NOLINT */
#include "carpd/core/trace.c"	   /* NOLINT */
#include "carpd/core/view.c"	   /* NOLINT */
