/* flow_text.h: a replicated flow in one line, in the words of `conntrack -L`. Pure. */
#ifndef CTL_FLOW_TEXT_H
#define CTL_FLOW_TEXT_H

#include <jansson.h>
#include <stdio.h>

void flow_text_render(FILE *out, const json_t *flow);

#endif
