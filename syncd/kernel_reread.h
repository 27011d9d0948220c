/* kernel_reread.h: reads single flows of our kernel anew, whose changes make no event.
 *
 * A helper that rewrites a payload (FTP's PORT through NAT) shifts the sequence numbers of its
 * connection; the kernel tells nobody (nf_ct_seqadj_set(), nf_conntrack_seqadj.c; only synproxy
 * tells), and without them the connection stalls on another firewall. But it announces the expected
 * flow in the same moment: so each event of an expectation makes its master be read once more. */
#ifndef SYNCD_KERNEL_REREAD_H
#define SYNCD_KERNEL_REREAD_H

#include "common/flow.h"
#include "common/io/nl.h"

#include <stdint.h>

#define KERNEL_REREAD_MAX 256u /* between two runs; what is more waits for the next dump */

struct kernel_reread {
	struct nl nl;
	uint8_t *buffer;
	uint32_t count;
	struct flow keys[KERNEL_REREAD_MAX]; /* zone and original tuple */
	uint64_t reread, overflows;
	void (*on_entry)(void *context, const struct flow *flow);
	void *context;
};

/* kernel_reread_open: 0 or a negative errno. */
int kernel_reread_open(struct kernel_reread *reread,
	void (*on_entry)(void *context, const struct flow *flow), void *context)
	__attribute__((warn_unused_result));
void kernel_reread_close(struct kernel_reread *reread);

/* kernel_reread_add: the flow with this original tuple, in this zone. */
void kernel_reread_add(struct kernel_reread *reread, const struct flow_tuple *orig, uint16_t zone);

/* kernel_reread_run: asks for all that were added; on_entry is called for each that is there. */
void kernel_reread_run(struct kernel_reread *reread);

#endif
