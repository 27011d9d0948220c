/* permissions.h: who else may write what carpool trusts. The one part of config/ that looks at the
 * file system, and it only looks.
 *
 * A config decides what runs as root, and a handler's program runs: a config that the group or
 * others may write is refused, and so is a program, or a folder on the way to it, that they may
 * write or that belongs to somebody else (design section 4). A sticky folder such as /tmp is no
 * danger to what lies in it and is accepted. The owner of a config is not asked: whoever runs a
 * drill as root from his own clone means it. */
#ifndef CONFIG_PERMISSIONS_H
#define CONFIG_PERMISSIONS_H

#include "config/config.h"

/* permissions_read_file: the text of a config file, for free(); NULL with the error told. A file
 * that is not regular, too big or writable by others is not read. */
char *permissions_read_file(const char *path, size_t *ret_size_bytes, struct config_errors *errors);

/* permissions_check_program: one program: there, a regular file, executable, and neither it nor a
 * folder above it (of the name as written, and of what it resolves to) writable by others or owned
 * by anybody but root and the caller. */
void permissions_check_program(
	const char *path, struct config_pos pos, struct config_errors *errors);

/* permissions_check: every handler's program and user, and rule files that are the same under two
 * names.
 * For the node that runs them: config_load() with a node has done it. */
void permissions_check(const struct config *cfg, struct config_errors *errors);

#endif
