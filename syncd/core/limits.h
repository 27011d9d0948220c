/* limits.h: every bound and interval of syncd, in one place (design section 12). */
#ifndef SYNCD_CORE_LIMITS_H
#define SYNCD_CORE_LIMITS_H

#include "common/limits.h"

/* ---- the table ---- */
#define SYNC_FLOWS_MAX_MAX   16777216u /* greatest table that is accepted */
#define SYNC_FLOWS_MAX_MIN   1024u
#define SYNC_CONSUMERS	     (LIMIT_PEERS + 1u) /* each peer, and our own kernel */
#define SYNC_CONSUMER_KERNEL LIMIT_PEERS

/* ---- timeouts of entries held on a standby (design section 8) ---- */
#define SYNC_HOLD_S	   86400u  /* added to the remaining time: recognisable, long enough */
#define SYNC_ESTABLISHED_S 432000u /* the kernel's longest timeout of its own: without the hold */
#define SYNC_HOLD_SLACK_S  3u	   /* rounding of two clocks in whole seconds */
#define SYNC_REFRESH_DRIFT_S                                                                       \
	21600u		       /* a timeout that moved by more is told: a quarter of the hold */
#define SYNC_EXPIRY_JUMP_S 30u /* a restated flow whose timeout moved by more is held anew */

/* ---- sessions ---- */
#define SYNC_PING_MS	  100  /* silence of ours after which a PING is sent */
#define SYNC_DEAD_MS	  700  /* silence of theirs: dead; another address within 1 s */
#define SYNC_HELLO_MS	  3000 /* from connecting to HELLO */
#define SYNC_TAIL_MS	  5000 /* a hand-over's tail is accepted for so long */
#define SYNC_FAIR_RECORDS 32u  /* live and bulk records take turns by so many */
/* A full transfer is paced: the receiver's injection, and ours, must leave the machine its life. */
#define SYNC_BULK_PER_MS  150u
#define SYNC_BULK_BURST	  600u /* at once: no more than a few milliseconds of the receiver */
#define SYNC_BULK_TURN_MS 2
#define SYNC_COMPARE_MS	  60000 /* between two comparisons of digests */
#define SYNC_COMPARE_WAIT_MS                                                                       \
	1000 /* for a moment with nothing unsent; then everything is transferred */
#define SYNC_LAG_MARKS	    64u /* instants kept to turn acknowledgements into a lag */
#define SYNC_MASTER_RETRIES 3u	/* an entry whose master is not there yet waits so often */

/* ---- the shell ---- */
#define SYNC_BATCH_MESSAGES_MAX 256u /* ctnetlink messages in one sendmsg */
#define SYNC_BATCH_BYTES	(128u * 1024u)
#define SYNC_EVENT_BUFFER_BYTES (64u * 1024u * 1024u) /* less where the system bounds it */
#define SYNC_EVENTS_PER_TURN	1024u
#define SYNC_GATHER_US		8000 /* between two turns of reading while events come */
#define SYNC_COALESCE_US	1000 /* live changes wait so long for company */
#define SYNC_COALESCE_RECORDS	128u /* or for so many */

#endif
