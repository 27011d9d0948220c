#include "ctl/endpoint.h"

#include "ctl/drill/netsock.h"

#include "common/ipaddr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ENDPOINT_TEXT_MAX 128

/* The port behind the last colon, when what is before it is no bare IPv6 address. Cuts the text
 * there; NULL: none. */
static char *endpoint_cut_port(char *text)
{
	char *colon = strrchr(text, ':');

	if (!colon || (text[0] != '[' && strchr(text, ':') != colon) ||
		(text[0] == '[' && (colon == text || colon[-1] != ']')))
		return NULL;
	*colon = '\0';
	return colon + 1;
}

int endpoint_parse(const char *text, uint16_t port_default, struct sockaddr_storage *ret_address,
	socklen_t *ret_size)
{
	char copy[ENDPOINT_TEXT_MAX];
	char *host = copy, *given, *end;
	size_t size_bytes = strlen(text);
	unsigned long number = port_default;
	struct ipaddr address;

	if (size_bytes == 0 || size_bytes >= sizeof(copy))
		return -EINVAL;
	(void)memcpy(copy, text, size_bytes + 1);
	given = endpoint_cut_port(copy);
	if (given) {
		errno = 0;
		number = strtoul(given, &end, 10);
		if (errno != 0 || given[0] < '0' || given[0] > '9' || *end != '\0')
			return -EINVAL;
	}
	if (number < 1 || number > 65535)
		return -EINVAL;
	size_bytes = strlen(host);
	if (size_bytes > 1 && host[0] == '[') {
		if (host[size_bytes - 1] != ']')
			return -EINVAL;
		host[size_bytes - 1] = '\0';
		host++;
	}
	if (strchr(host, '/') || !ipaddr_parse(host, &address))
		return -EINVAL;
	*ret_size = netsock_address(&address, (uint16_t)number, ret_address);
	return 0;
}
