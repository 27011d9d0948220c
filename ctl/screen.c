#include "ctl/screen.h"

#include "common/io/clock.h"
#include "common/mono.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define SCREEN_ENTER "\033[?1049h\033[?25l" /* the other page; no cursor */
#define SCREEN_LEAVE "\033[?25h\033[?1049l"

/* screen_line: at most `columns` characters; a UTF-8 character is never cut in two. */
static void screen_line(FILE *out, const char *line, size_t length, unsigned int columns)
{
	unsigned int used = 0;

	for (size_t i = 0; i < length; i++) {
		bool continues = ((unsigned char)line[i] & 0xc0) == 0x80;

		used += !continues;
		if (used > columns)
			break;
		fputc(line[i], out);
	}
	fputs("\033[K", out);
}

void screen_frame(FILE *out, const char *text, unsigned int rows, unsigned int columns)
{
	unsigned int count = 0, shown, row = 0;

	for (const char *c = text; *c; c++)
		count += *c == '\n' || c[1] == '\0';
	shown = count <= rows ? count : rows - 1;
	fputs("\033[H", out);
	for (const char *line = text; *line && row < shown; row++) {
		size_t length = strcspn(line, "\n");

		/* The last row gets no newline: it would scroll. */
		fputs(row ? "\r\n" : "", out);
		screen_line(out, line, length, columns);
		line += length + (line[length] == '\n');
	}
	if (shown < count)
		fprintf(out, "\r\n(%u more lines)\033[K", count - shown);
	fputs("\033[J", out);
}

bool screen_open(struct screen *screen)
{
	struct termios raw;
	sigset_t signals;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ||
		tcgetattr(STDIN_FILENO, &screen->before) != 0)
		return false;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGWINCH);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	screen->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (screen->signal_fd < 0)
		return false;
	raw = screen->before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0) {
		(void)close(screen->signal_fd);
		return false;
	}
	fputs(SCREEN_ENTER, stdout);
	return true;
}

void screen_close(struct screen *screen)
{
	fputs(SCREEN_LEAVE, stdout);
	(void)fflush(stdout); /* a terminal that is gone takes nothing any more */
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &screen->before);
	(void)close(screen->signal_fd);
}

void screen_size(unsigned int *ret_rows, unsigned int *ret_columns)
{
	struct winsize size = {0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
		size = (struct winsize){.ws_row = 24, .ws_col = 80};
	*ret_rows = size.ws_row < SCREEN_ROWS_MIN ? SCREEN_ROWS_MIN : size.ws_row;
	*ret_columns = size.ws_col < SCREEN_COLUMNS_MIN ? SCREEN_COLUMNS_MIN : size.ws_col;
}

enum screen_event screen_wait(struct screen *screen, int timeout_ms)
{
	mono_t end = mono_add(clock_now(), dur_ms(timeout_ms));
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = screen->signal_fd, .events = POLLIN}};

	for (;;) {
		struct signalfd_siginfo info;
		int64_t left_ms = mono_diff(end, clock_now()).us / 1000;
		char key;

		if (left_ms <= 0 || poll(fds, 2, (int)left_ms) == 0)
			return SCREEN_TICK;
		if (fds[1].revents && read(screen->signal_fd, &info, sizeof(info)) == sizeof(info))
			return info.ssi_signo == SIGWINCH ? SCREEN_RESIZED : SCREEN_QUIT;
		if (fds[0].revents) {
			if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q')
				return SCREEN_QUIT;
		}
	}
}
