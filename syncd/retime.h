/* retime.h: what becomes of held entries after a promotion (design section 8, standby).
 *
 * An injected entry carries the source's remaining time plus a day, and on TCP BE_LIBERAL. After
 * the promotion, off its critical path, a dump shows which entries still have the hold (no packet
 * has re-timed them): these get the greater of what remained and the full timeout of their state.
 * It is an update without NLM_F_CREATE: a flow that closed meanwhile is not resurrected. When
 * liberal_grace has passed, BE_LIBERAL is cleared (mask 0x08), unless the source had it. */
#ifndef SYNCD_RETIME_H
#define SYNCD_RETIME_H

#include "common/mono.h"
#include "syncd/core/engine.h"
#include "syncd/kernel_batch.h"

#include <stdbool.h>

struct retime {
	struct kernel_batch *batch; /* shared with injection: one port, whose events are ignored */
	struct engine *engine;	    /* both borrowed for ever */
	uint32_t tcp_s[FLOW_TCP_STATE_MAX + 1];
	uint32_t udp_s, udp_stream_s, gre_s, gre_stream_s, icmp_s, icmpv6_s, sctp_s, generic_s;
	mono_t strict_at; /* when BE_LIBERAL is cleared; MONO_NEVER */
	uint32_t strict_cursor;
	uint32_t loose_groups; /* whose own entries become liberal: a bit each */
	uint32_t loose_cursor;
	uint64_t retimed, strict, loosened;
};

void retime_init(struct retime *retime, struct kernel_batch *batch, struct engine *engine);

/* retime_promoted: reads the state timeouts anew and arms the clearing of BE_LIBERAL. */
void retime_promoted(struct retime *retime, mono_t now, dur_t liberal_grace);

/* retime_entry: an entry of a dump, after engine_kernel_upsert(): re-times it if it is held, or if
 * it is closing and yet has more than its state's time (a re-timing that met the FIN). */
void retime_entry(struct retime *retime, mono_t now, uint32_t slot, const struct flow *dumped);

/* retime_flush: sends what retime_entry has gathered. */
void retime_flush(struct retime *retime);

/* retime_strict: a slice of the clearing, when it is due. True: there is more to do now. */
bool retime_strict(struct retime *retime, mono_t now, uint32_t operations_max);

/* retime_demoted: the entries of this group shall become liberal. They live in our kernel in their
 * own right, with the windows of the time when we were master; the new master moves these on. Were
 * it lost before its full transfer has come around, bulk connections would hang here. */
void retime_demoted(struct retime *retime, uint8_t group);

/* retime_loosen: a slice of that; it goes on through a promotion. True: there is more to do now. */
bool retime_loosen(struct retime *retime, mono_t now, uint32_t operations_max);

#endif
