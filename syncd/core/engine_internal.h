/* engine_internal.h: what the engine's own files share. */
#ifndef SYNCD_CORE_ENGINE_INTERNAL_H
#define SYNCD_CORE_ENGINE_INTERNAL_H

#include "syncd/core/engine.h"

static inline struct engine_consumer *engine_kernel(struct engine *e)
{
	return &e->consumers[SYNC_CONSUMER_KERNEL];
}

/* engine_release: a dead record goes when nobody is left to be told; a living one stays. */
void engine_release(struct engine *e, uint32_t slot);

#endif
