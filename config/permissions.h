/* permissions.h: who else may write what carpool trusts. The one part of config/ that looks at the
 * file system, and it only looks.
 *
 * A config decides what runs as root, and a handler's program runs: a file or folder on the way to
 * them that the group or others may write is refused (design section 4). A sticky folder such as
 * /tmp is no danger to what lies in it and is accepted. */
#ifndef CONFIG_PERMISSIONS_H
#define CONFIG_PERMISSIONS_H

#include "config/config.h"

/* permissions_read_file: the text of a config file, for free(); NULL with the error told. A file
 * that is not regular, too big or writable by others is not read. */
char *permissions_read_file(const char *path, size_t *ret_size_bytes, struct config_errors *errors);

/* permissions_check_program: one program: there, a regular file, executable, and neither it nor a
 * folder above it (of the name as written, and of what it resolves to) writable by others. */
void permissions_check_program(
	const char *path, struct config_pos pos, struct config_errors *errors);

/* permissions_check: every handler's program, and rule files that are the same under two names.
 * For the node that runs them: config_load() with a node has done it. */
void permissions_check(const struct config *cfg, struct config_errors *errors);

#endif
