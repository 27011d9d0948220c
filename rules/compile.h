/* compile.h: what load.c and check.c need of a compiled group beyond rules.h. */
#ifndef RULES_COMPILE_H
#define RULES_COMPILE_H

#include "rules/rules.h"

#define COMPILE_INTERFACES_MAX 512u

/* compile_interface_names: the placeholders of a scratch namespace: those of the spec, then those
 * of the caller's own namespace. Returns how many; doubles are harmless. */
size_t compile_interface_names(const struct rules_interface *interfaces, size_t interface_count,
	char names[static COMPILE_INTERFACES_MAX][RULES_IFNAME_MAX]);

/* compile_tables: the tables of both files, without handles; borrowed from `compiled`. */
const struct rules_table *compile_tables(const struct rules_compiled *compiled, size_t *ret_count);

#endif
