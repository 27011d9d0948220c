/* verifier.h: `carpool sync verify`: one pass over own kernel, peers' tables and peers' kernels.
 *
 * The kernel is read by a dump of its own, which changes nothing; it serves the operator's pass and
 * whoever of the peers asked meanwhile. Memory is taken for a pass and given back after it. What a
 * pass names may have been on its way: the command repeats passes and believes what persists. */
#ifndef SYNCD_VERIFIER_H
#define SYNCD_VERIFIER_H

#include "common/io/evloop.h"
#include "syncd/core/session.h"
#include "syncd/core/verify.h"
#include "syncd/kernel_dump.h"

#include <stdbool.h>
#include <stdint.h>

#define VERIFIER_PASS_MS 60000 /* an answer that takes longer is given up */

struct node;

enum verifier_peer {
	VERIFIER_PEER_UNASKED = 0, /* it was not connected */
	VERIFIER_PEER_ASKED,
	VERIFIER_PEER_DONE,
	VERIFIER_PEER_LOST, /* the connection ended, or it took too long */
};

struct verifier {
	struct node *node; /* borrowed */

	/* Reading our kernel. */
	bool reading, again;
	bool failed;
	struct kernel_dump dump;
	struct evloop_timer turn;
	struct verify_list kernel;

	/* The operator's pass. */
	bool running, kernel_done;
	uint32_t number;
	mono_t give_up_at;
	enum verifier_peer peers[LIMIT_PEERS];
	struct verify_list found[LIMIT_PEERS];
	uint64_t *named[LIMIT_PEERS];
	void (*on_done)(void *context); /* read kernel, peers, found; then verifier_end */
	void *context;
};

int verifier_open(struct verifier *v, struct node *node) __attribute__((warn_unused_result));
void verifier_close(struct verifier *v);

/* verifier_start: -EBUSY while a pass is running, -ENOMEM. on_done is called once, later. */
int verifier_start(struct verifier *v, void (*on_done)(void *context), void *context)
	__attribute__((warn_unused_result));

/* verifier_look: after anything that a peer said, and at every tick. */
void verifier_look(struct verifier *v, mono_t now);

/* verifier_peer_closed: before the session forgets. */
void verifier_peer_closed(struct verifier *v, uint8_t peer);

#endif
