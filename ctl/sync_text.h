/* sync_text.h: syncd's status object as text. Pure. */
#ifndef CTL_SYNC_TEXT_H
#define CTL_SYNC_TEXT_H

#include <jansson.h>
#include <stdio.h>

/* sync_text_render: `sync` is the "sync" object of the status document; JSON null means that syncd
 * does not answer. Nothing is printed for NULL. */
void sync_text_render(FILE *out, const json_t *sync);

#endif
