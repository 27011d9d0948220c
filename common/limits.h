/* limits.h: the bounds that more than one module relies on (design sections 4, 5 and 12). */
#ifndef COMMON_LIMITS_H
#define COMMON_LIMITS_H

#define LIMIT_NODES	      8u
#define LIMIT_PEERS	      (LIMIT_NODES - 1u)
#define LIMIT_GROUPS	      32u
#define LIMIT_INTERFACES      64u   /* group interfaces of a cluster, all groups together */
#define LIMIT_ADDRESSES	      1024u /* virtual addresses of a cluster, all groups together */
#define LIMIT_ROUTES	      256u  /* routes that move, all groups together */
#define LIMIT_SYNC_LINKS      4u    /* sync addresses of a node */
#define LIMIT_PATHS	      (LIMIT_INTERFACES + LIMIT_SYNC_LINKS)
#define LIMIT_NAME	      64u /* a node's, group's, interface's or handler's name, with NUL */
#define LIMIT_CONTROL_LINE    65536u
#define LIMIT_CONTROL_PER_UID 16u
#define LIMIT_HANDLERS	      32u
#define LIMIT_TRACKS	      32u /* tracked interfaces and scripts of a cluster */

#endif
