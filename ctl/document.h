/* document.h: one JSON document written piece by piece: {"NAME":[item,item,...]}.
 *
 * A list may hold a million items; none of it is kept. An error in mid-stream still leaves a whole
 * document: {"NAME":[...],"error":{"code":...,"text":...}}. */
#ifndef CTL_DOCUMENT_H
#define CTL_DOCUMENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct document {
	FILE *out;
	const char *name;
	bool open;
	unsigned long long item_count;
};

void document_init(struct document *document, FILE *out, const char *name);

/* document_item: 0, or -EPIPE when the output does not take it. */
int document_item(struct document *document, const json_t *item);

/* document_end: closes it; `code` and `text` NULL when all went well. 0 or -EPIPE. */
int document_end(struct document *document, const char *code, const char *text);

#endif
