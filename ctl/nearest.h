/* nearest.h: the word that was probably meant. Pure. */
#ifndef CTL_NEAREST_H
#define CTL_NEAREST_H

/* nearest_word: of `words` the one with the smallest edit distance to `typed` (insert, delete,
 * replace, swap of neighbours), or one that `typed` begins; NULL when none is near enough to be
 * worth a question (more than a third of the letters would differ). */
const char *nearest_word(const char *typed, const char *const *words, unsigned int count);

#endif
