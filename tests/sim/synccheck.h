/* synccheck.h: what must hold in every world of syncd, judged apart from syncd's own code.
 *
 * The checkers keep their own book: what each record's stamp was, what each peer has claimed (they
 * read the ROLE messages themselves), what carpd has said. At each event of a peer they compare:
 *   - a stamp never goes down while its record lives;
 *   - no record of a group moves by a peer's word where carpd has made this node the master, but
 *     for the tail of a hand-over from the node named in it;
 *   - a standby's records move by the word of the active peer with the highest term alone.
 * And memory is bounded, sessions end for no other reason than silence, and at rest all tables,
 * digests and kernels are equal. */
#ifndef TESTS_SIM_SYNCCHECK_H
#define TESTS_SIM_SYNCCHECK_H

#include "syncworld.h"

void synccheck_make(struct syncworld *w);
void synccheck_free(struct syncworld *w);

/* synccheck_started: a new syncd on a node: it has heard nothing. */
void synccheck_started(struct syncworld *w, uint8_t node);

/* synccheck_role: what carpd told syncd: the master or not, and whose tail it may take until when
 * (a peer index, or -1). */
void synccheck_role(struct syncworld *w, uint8_t node, uint8_t group, bool master, int tail_peer,
	int64_t tail_until);

/* synccheck_before, synccheck_after: around the bytes of a peer, whole messages and a rest. */
void synccheck_before(
	struct syncworld *w, uint8_t node, uint8_t peer, const uint8_t *data, size_t size);
void synccheck_after(struct syncworld *w, uint8_t node, uint8_t peer);

/* synccheck_closed: the session with a peer has ended. */
void synccheck_closed(struct syncworld *w, uint8_t node, uint8_t peer);

/* synccheck_step: bounds. */
void synccheck_step(struct syncworld *w);

/* synccheck_handover: some time after a planned one that nothing disturbed. */
void synccheck_handover(struct syncworld *w);

/* synccheck_rest: long after the last fault and packet. */
void synccheck_rest(struct syncworld *w);

#endif
