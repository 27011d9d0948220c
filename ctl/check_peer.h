/* check_peer.h: whether the running nodes have the rules of these files. */
#ifndef CTL_CHECK_PEER_H
#define CTL_CHECK_PEER_H

#include "ctl/args.h"
#include "ctl/check.h"

#include <jansson.h>

/* check_peer: compiles every group's rules once more, for their fingerprint, and asks the local
 * carpd for its own and for what its peers announce. Prints a line for each node and group, or with
 * a document puts them there as "peers". The exit status: DONE: all the same; FAILED: some differ,
 * or nobody could be asked. */
int check_peer(const struct args *args, const struct check *check, json_t *document);

#endif
