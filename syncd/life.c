#include "syncd/life.h"

#include "common/io/clock.h"
#include "common/io/log.h"
#include "common/io/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* life_table_name: "BOOT_ID/INODE": names the kernel's table, whichever process asks. */
static void life_table_name(char *text, size_t size_bytes)
{
	char boot[64] = "?";
	struct stat st = {0};
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		ssize_t length = read(fd, boot, sizeof(boot) - 1);

		boot[length > 0 ? length : 0] = '\0';
		boot[strcspn(boot, "\n")] = '\0';
		close(fd);
	}
	if (stat("/proc/self/ns/net", &st) < 0)
		st.st_ino = 0;
	snprintf(text, size_bytes, "%s/%ju", boot, (uintmax_t)st.st_ino);
}

uint32_t life_load(const char *runtime_dir)
{
	char path[PATH_MAX], table[128];
	json_t *state = NULL;
	uint32_t life = (uint32_t)(clock_wall_us() / 1000000), last = 0;
	int r;

	snprintf(path, sizeof(path), "%s/syncd.life", runtime_dir);
	life_table_name(table, sizeof(table));
	if (statefile_read_json(path, &state) == 0) {
		const char *of = json_string_value(json_object_get(state, "table"));

		last = (uint32_t)json_integer_value(json_object_get(state, "life"));
		if (of && strcmp(of, table) == 0 && last) {
			json_decref(state);
			return last;
		}
		json_decref(state);
	}
	if (life <= last)
		life = last + 1;
	state = json_pack("{s:s, s:I}", "table", table, "life", (json_int_t)life);
	r = state ? statefile_write_json(path, state) : -ENOMEM;
	json_decref(state);
	if (r < 0) {
		errno = -r;
		log_warn("cannot write %s", path);
	}
	return life;
}
