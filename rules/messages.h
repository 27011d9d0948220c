/* messages.h: what nft says when it refuses a file, and where in the file things are. */
#ifndef RULES_MESSAGES_H
#define RULES_MESSAGES_H

#include <stddef.h>

#include "rules/rules.h"

/* messages_parse: each "PATH:LINE:COL-COL: Error: TEXT" becomes "PATH:LINE:COL: TEXT"; relative
 * paths (of includes) are put behind `folder`. Text without any such line is reported as it is, its
 * first line, behind `file`. At least one line is added. */
void messages_parse(
	const char *errors, const char *file, const char *folder, struct rules_report *report);

/* messages_find_table: the line of the file's text where it says `table FAMILY NAME {`; 1 = not
 * found (an include or a define made it). messages_find_chain: of `chain NAME`.
 * messages_find_word: the same for a word outside comments
 * and quotes. */
unsigned int messages_find_table(const char *text, uint8_t family, const char *name);
unsigned int messages_find_chain(const char *text, const char *chain);
unsigned int messages_find_word(const char *text, const char *word);

#endif
