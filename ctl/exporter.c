#include "ctl/exporter.h"

#include "ctl/metrics_fetch.h"

#include "common/check.h"
#include "common/io/caps.h"
#include "common/io/clock.h"
#include "common/io/notify.h"
#include "common/mono.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <microhttpd.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXPORTER_TYPE_TEXT	  "text/plain; version=0.0.4; charset=utf-8"
#define EXPORTER_TYPE_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define EXPORTER_NOBODY		  "nobody"
#define EXPORTER_NOBODY_ID	  65534u

struct exporter_page {
	char *text;
	mono_t made_at;
};

struct exporter {
	const struct args *args;
	struct exporter_page pages[2]; /* [1]: OpenMetrics */
};

static const char exporter_index[] = "<!DOCTYPE html><title>carpool</title><h1>carpool</h1>"
				     "<p><a href=\"/metrics\">metrics</a>\n";

int exporter_limit(void)
{
	const struct passwd *nobody;
	char missing[CAPS_TEXT_MAX];
	bool has_any = geteuid() == 0;
	int r;

	if (geteuid() == 0) {
		nobody = getpwnam(EXPORTER_NOBODY);
		/* In a user namespace of one user there is nobody else to be: then the rest counts.
		 */
		if ((setgroups(0, NULL) != 0 ||
			    setresgid(nobody ? nobody->pw_gid : EXPORTER_NOBODY_ID,
				    nobody ? nobody->pw_gid : EXPORTER_NOBODY_ID,
				    nobody ? nobody->pw_gid : EXPORTER_NOBODY_ID) != 0 ||
			    setresuid(nobody ? nobody->pw_uid : EXPORTER_NOBODY_ID,
				    nobody ? nobody->pw_uid : EXPORTER_NOBODY_ID,
				    nobody ? nobody->pw_uid : EXPORTER_NOBODY_ID) != 0) &&
			errno != EINVAL && errno != EPERM)
			return -errno;
	}
	/* Where a unit has taken everything already, its filter may forbid capset(2), too. */
	for (int capability = 0; capability <= CAP_LAST_CAP; capability++)
		has_any = has_any || caps_has(capability);
	r = has_any ? caps_limit(NULL, 0, missing) : 0;
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
		return -errno;
	return 0;
}

/* exporter_fresh: the page, asked for anew when it is old; NULL without memory. */
static const char *exporter_fresh(struct exporter *exporter, bool openmetrics)
{
	struct exporter_page *page = &exporter->pages[openmetrics];
	mono_t now = clock_now();

	if (page->text && !mono_reached(now, mono_add(page->made_at, dur_ms(EXPORTER_FRESH_MS))))
		return page->text;
	free(page->text);
	page->text = metrics_fetch_text(exporter->args, openmetrics);
	page->made_at = clock_now();
	if (page->text && strlen(page->text) > EXPORTER_TEXT_BYTES_MAX) {
		free(page->text);
		page->text = NULL;
	}
	return page->text;
}

static enum MHD_Result exporter_answer(
	struct MHD_Connection *connection, unsigned int status, const char *type, const char *text)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	(void)MHD_add_response_header(response, "Content-Type", type); /* it can do without */
	(void)MHD_add_response_header(response, "Cache-Control", "no-store");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(response, "Allow", "GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result exporter_on_request(void *context, struct MHD_Connection *connection,
	const char *url, const char *method, const char *version, const char *upload,
	size_t *upload_bytes, void **request)
{
	static int begun;
	const char *accept, *text;
	bool openmetrics;

	(void)version;
	(void)upload;
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return *request == NULL && *upload_bytes == 0
			       ? exporter_answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
					 "text/plain", "GET or HEAD\n")
			       : MHD_NO;
	if (!*request) { /* the first call tells of the headers: an answer is due at the next */
		*request = &begun;
		return MHD_YES;
	}
	if (strcmp(url, "/") == 0)
		return exporter_answer(
			connection, MHD_HTTP_OK, "text/html; charset=utf-8", exporter_index);
	if (strcmp(url, "/metrics") != 0)
		return exporter_answer(
			connection, MHD_HTTP_NOT_FOUND, "text/plain", "look at /metrics\n");
	accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept");
	openmetrics = accept && strstr(accept, "application/openmetrics-text");
	text = exporter_fresh(context, openmetrics);
	if (!text)
		return exporter_answer(
			connection, MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain", "no memory\n");
	return exporter_answer(connection, MHD_HTTP_OK,
		openmetrics ? EXPORTER_TYPE_OPENMETRICS : EXPORTER_TYPE_TEXT, text);
}

/* exporter_listen: a socket of our own, so that the rights can go before the first byte comes. */
static int exporter_listen(const struct sockaddr_storage *address, socklen_t size)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, error;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
		bind(fd, (const struct sockaddr *)address, size) != 0 ||
		listen(fd, (int)EXPORTER_CONNECTIONS_MAX) != 0) {
		error = errno;
		(void)close(fd);
		return -error;
	}
	return fd;
}

int exporter_run(const struct args *args, const struct sockaddr_storage *address, socklen_t size)
{
	struct exporter exporter = {.args = args};
	struct MHD_Daemon *daemon;
	sigset_t stop;
	int fd, r, number;

	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGTERM);
	(void)sigaddset(&stop, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &stop, NULL); /* before the thread: it inherits the mask */
	fd = exporter_listen(address, size);
	if (fd < 0)
		return fd;
	r = exporter_limit();
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, exporter_on_request,
		&exporter, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		EXPORTER_CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		EXPORTER_PER_ADDRESS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)EXPORTER_MEMORY_BYTES_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
		EXPORTER_SILENCE_S_MAX, MHD_OPTION_END);
	if (!daemon) {
		(void)close(fd);
		return -ENOMEM;
	}
	notify_ready();
	(void)sigwait(&stop, &number); /* both mean the same */
	notify_stopping();
	MHD_stop_daemon(daemon); /* closes the socket */
	free(exporter.pages[0].text);
	free(exporter.pages[1].text);
	return 0;
}
