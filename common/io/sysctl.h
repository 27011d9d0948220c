/* sysctl.h: values in /proc/sys, of the calling thread's network namespace where they are under
 * net/.
 */
#ifndef COMMON_IO_SYSCTL_H
#define COMMON_IO_SYSCTL_H

#include <stdint.h>

/* name: "net/netfilter/nf_conntrack_max", with slashes (interface names may have dots).
 * 0 or a negative errno: -ENOENT no such value here (a module is not loaded), -EACCES or -EPERM,
 * -EBADMSG not one integer. */
int sysctl_read(const char *name, int64_t *ret_value) __attribute__((warn_unused_result));
int sysctl_write(const char *name, int64_t value) __attribute__((warn_unused_result));

/* sysctl_ensure: writes only when the value differs. 1 changed, 0 was so already, or -errno. */
int sysctl_ensure(const char *name, int64_t value) __attribute__((warn_unused_result));

#endif
