/* words.h: what the stable codes mean, in a sentence for somebody who has just been woken up. */
#ifndef CTL_WORDS_H
#define CTL_WORDS_H

/* Each returns NULL for a code that it does not know: show the code alone then. */
const char *words_reason(const char *code);    /* MASTER_DEAD, ... (design section 10) */
const char *words_not_ready(const char *code); /* SYNC_NOT_CONNECTED, ... */
const char *words_alarm(const char *code);     /* what to look at first */
const char *words_state(const char *code);     /* of this node: "a backup", "in fault" */

#endif
