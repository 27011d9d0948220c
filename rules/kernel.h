/* kernel.h: does this kernel do what the switch relies on? Asked by trying, in a scratch namespace.
 *
 * Version strings lie (distributions backport, and break); behaviour does not. See
 * facts/conntrackd.md 5.3 for the fixes of table flags that these stand for. */
#ifndef RULES_KERNEL_H
#define RULES_KERNEL_H

#include "rules/rules.h"

/* kernel_probe: makes and deletes tables of its own in the *current* namespace, which must be a
 * scratch one and empty: it deletes the table `inet carpool_probe`.
 *   - a canary in front of a flip of a missing table refuses the batch, and makes no table;
 *   - a batch of an older generation is refused (ERESTART), and one of the present one is not;
 *   - a table can be put to sleep and woken, and says so;
 *   - packets meet the chains of a table that is awake, and not those of one that sleeps;
 *   - a batch that fails behind a flip leaves the table, and what packets meet, as it was;
 *   - a batch that changes nothing leaves the generation, one that flips moves it on by one.
 * 0, or -EOPNOTSUPP with the report, or other -errno. */
int kernel_probe(struct rules_report *report);

#endif
