/* nft.h: runs the nft program with bounds: a deadline, a ceiling of memory, bounded output.
 *
 * Input and output go through memfds, so that a child that writes much never waits for us and we
 * never wait for it. The child has a clean environment (PATH, TZ and LC_ALL=C), no inherited
 * descriptors, its own process group, and dies with us. Must be called from a process with one
 * thread. */
#ifndef RULES_NFT_H
#define RULES_NFT_H

#include <stddef.h>
#include <stdint.h>

#include "common/mono.h"

#define NFT_MEMORY_MAX_BYTES (4ull << 30) /* 100,000 rules take 0.5 GB */
#define NFT_ERRORS_MAX_BYTES (1u << 16)

struct nft_output {
	int status; /* exit status; 128 + signal */
	char *out;  /* NUL-terminated */
	size_t out_length;
	char *errors; /* NUL-terminated, at most NFT_ERRORS_MAX_BYTES */
};

/* nft_run: `nft ARGUMENTS...`.
 *   arguments  NULL-ended, without the program.
 *   folder     where it runs; NULL = here.
 *   input      its standard input; NULL = empty.
 * 0: it ran, see status; free with nft_output_fini(). -ENOENT: no nft on this machine; -ETIMEDOUT;
 * -E2BIG: more output than RULES_TEXT_MAX_BYTES; other -errno. *ret untouched on failure. */
int nft_run(const char *const *arguments, const char *folder, const char *input,
	size_t input_length, mono_t deadline, struct nft_output *ret);
void nft_output_fini(struct nft_output *output);

#endif
