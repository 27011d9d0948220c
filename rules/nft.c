#include "rules/nft.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/check.h"
#include "rules/child.h"
#include "rules/rules.h"

#define ARGUMENTS_MAX 16u

static const char *const programs[] = {
	"/usr/sbin/nft", "/sbin/nft", "/usr/local/sbin/nft", "/usr/bin/nft"};

static const char *find_program(void)
{
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		if (access(programs[i], X_OK) == 0)
			return programs[i];
	}
	return NULL;
}

static int write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t done = write(fd, bytes, length);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		bytes += done;
		length -= (size_t)done;
	}
	return 0;
}

/* read_memfd: everything that the child wrote, as a string. */
static int read_memfd(int fd, size_t max_bytes, char **ret, size_t *ret_length)
{
	off_t size = lseek(fd, 0, SEEK_END);
	size_t length = size < 0 ? 0 : (size_t)size, done = 0;
	char *bytes;

	if (length > max_bytes)
		return -E2BIG;
	bytes = malloc(length + 1);
	if (!bytes)
		return -ENOMEM;
	while (done < length) {
		ssize_t got = pread(fd, bytes + done, length - done, (off_t)done);

		if (got <= 0)
			break;
		done += (size_t)got;
	}
	bytes[done] = '\0';
	*ret = bytes;
	*ret_length = done;
	return 0;
}

struct pipes {
	int in;
	int out;
	int errors;
};

static void pipes_close(struct pipes *p)
{
	if (p->in >= 0)
		close(p->in);
	if (p->out >= 0)
		close(p->out);
	if (p->errors >= 0)
		close(p->errors);
}

static int pipes_open(struct pipes *p, const char *input, size_t length)
{
	p->in = memfd_create("nft-in", MFD_CLOEXEC);
	p->out = memfd_create("nft-out", MFD_CLOEXEC);
	p->errors = memfd_create("nft-errors", MFD_CLOEXEC);
	if (p->in < 0 || p->out < 0 || p->errors < 0)
		return -errno;
	if (input) {
		int r = write_all(p->in, input, length);

		if (r < 0)
			return r;
		if (lseek(p->in, 0, SEEK_SET) < 0)
			return -errno;
	}
	return 0;
}

static void set_limit(int resource, rlim_t value)
{
	struct rlimit limit = {value, value};

	(void)setrlimit(resource, &limit); /* a lower one that we have already is as good */
}

/* child: between fork and exec; 126 and 127 as in a shell. */
static _Noreturn void child(const struct pipes *p, const char *program,
	const char *const *arguments, const char *folder, char *const *environment)
{
	const char *argv[ARGUMENTS_MAX + 2] = {program};

	for (size_t i = 0; arguments[i] && i < ARGUMENTS_MAX; i++)
		argv[i + 1] = arguments[i];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	if ((folder && chdir(folder) < 0) || dup2(p->in, 0) < 0 || dup2(p->out, 1) < 0 ||
		dup2(p->errors, 2) < 0)
		_exit(126);
	(void)close_range(3, ~0u, 0);
	set_limit(RLIMIT_AS, NFT_MEMORY_MAX_BYTES);
	set_limit(RLIMIT_FSIZE, RULES_TEXT_MAX_BYTES + 4096);
	set_limit(RLIMIT_CORE, 0);
	execve(program, (char *const *)(uintptr_t)argv, environment);
	_exit(127);
}

static int collect(const struct pipes *p, int status, struct nft_output *ret)
{
	struct nft_output output = {.status = status};
	size_t length;
	int r = read_memfd(p->out, RULES_TEXT_MAX_BYTES, &output.out, &output.out_length);

	if (r < 0)
		return r;
	if (ftruncate(p->errors, NFT_ERRORS_MAX_BYTES) < 0)
		r = -errno;
	if (r == 0)
		r = read_memfd(p->errors, NFT_ERRORS_MAX_BYTES, &output.errors, &length);
	if (r < 0) {
		free(output.out);
		return r;
	}
	*ret = output;
	return 0;
}

int nft_run(const char *const *arguments, const char *folder, const char *input,
	size_t input_length, mono_t deadline, struct nft_output *ret)
{
	char zone[256] = "TZ=";
	char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C";
	char *environment[] = {path, locale, NULL, NULL};
	const char *tz = getenv("TZ"), *program = find_program();
	struct pipes p = {-1, -1, -1};
	int status = 0, r;
	pid_t pid;

	if (!program)
		return -ENOENT;
	if (tz && strlen(tz) < sizeof(zone) - 3) { /* `meta hour` means the machine's time */
		strcpy(zone + 3, tz);
		environment[2] = zone;
	}
	r = pipes_open(&p, input, input_length);
	if (r < 0)
		goto out;
	pid = fork();
	if (pid < 0) {
		r = -errno;
		goto out;
	}
	if (pid == 0)
		child(&p, program, arguments, folder, environment);
	r = child_wait(pid, deadline, &status);
	if (r == 0)
		r = collect(
			&p, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), ret);
out:
	pipes_close(&p);
	return r;
}

void nft_output_fini(struct nft_output *output)
{
	free(output->out);
	free(output->errors);
	*output = (struct nft_output){0};
}
