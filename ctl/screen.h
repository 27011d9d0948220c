/* screen.h: a text shown on a terminal again and again, without flicker. Pure but for screen_open.
 *
 * A frame is written over the one before: home, each line with the rest of its row cleared, then
 * everything below. Nothing is blanked first, so what did not change does not move. No colours. */
#ifndef CTL_SCREEN_H
#define CTL_SCREEN_H

#include <stdbool.h>
#include <stdio.h>
#include <termios.h>

#define SCREEN_ROWS_MIN	   3u
#define SCREEN_COLUMNS_MIN 20u

struct screen {
	struct termios before; /* what the terminal was like */
	int signal_fd;
};

enum screen_event {
	SCREEN_TICK, /* the time is over */
	SCREEN_RESIZED,
	SCREEN_QUIT, /* q, Ctrl-C, a signal, or the terminal is gone */
};

/* screen_frame: `text` as one frame of rows x columns. Lines that are longer are cut at the edge,
 * lines that do not fit are left out; the last row says how many. */
void screen_frame(FILE *out, const char *text, unsigned int rows, unsigned int columns);

/* screen_open: standard input and output are a terminal: its other page, no cursor, no echo.
 * False: it is none, or cannot be told so. screen_close: as it was before. */
bool screen_open(struct screen *screen);
void screen_close(struct screen *screen);

/* screen_size: at least the minima above. */
void screen_size(unsigned int *ret_rows, unsigned int *ret_columns);

/* screen_wait: at most timeout_ms; other keys are ignored. */
enum screen_event screen_wait(struct screen *screen, int timeout_ms);

#endif
