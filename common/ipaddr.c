#include "common/ipaddr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool ipaddr_parse(const char *text, struct ipaddr *ret_addr)
{
	struct ipaddr addr = {0};
	char host[IPADDR_TEXT_MAX];
	const char *slash = strchr(text, '/');
	size_t host_len = slash ? (size_t)(slash - text) : strlen(text);
	unsigned int prefix_max;

	if (host_len == 0 || host_len >= sizeof(host))
		return false;
	memcpy(host, text, host_len);
	host[host_len] = '\0';
	if (inet_pton(AF_INET, host, addr.bytes) == 1)
		addr.family = IPADDR_V4;
	else if (inet_pton(AF_INET6, host, addr.bytes) == 1)
		addr.family = IPADDR_V6;
	else
		return false;
	prefix_max = addr.family == IPADDR_V4 ? 32 : 128;
	addr.prefix_len = (uint8_t)prefix_max;
	if (slash) {
		unsigned int prefix_len = 0;
		size_t digits = strlen(slash + 1);

		if (digits == 0 || digits > 3 || strspn(slash + 1, "0123456789") != digits)
			return false;
		for (size_t i = 1; i <= digits; i++)
			prefix_len = prefix_len * 10 + (unsigned int)(slash[i] - '0');
		if (prefix_len > prefix_max)
			return false;
		addr.prefix_len = (uint8_t)prefix_len;
	}
	*ret_addr = addr;
	return true;
}

char *ipaddr_render(const struct ipaddr *addr, bool with_prefix, char text[static IPADDR_TEXT_MAX])
{
	size_t used;

	text[0] = '\0';
	if (addr->family == IPADDR_NONE ||
		!inet_ntop(addr->family == IPADDR_V4 ? AF_INET : AF_INET6, addr->bytes, text,
			IPADDR_TEXT_MAX - 4))
		return strcpy(text, "none");
	used = strlen(text);
	if (with_prefix)
		snprintf(text + used, IPADDR_TEXT_MAX - used, "/%u", addr->prefix_len);
	return text;
}

size_t ipaddr_size_bytes(const struct ipaddr *addr)
{
	return addr->family == IPADDR_V4 ? 4 : addr->family == IPADDR_V6 ? 16 : 0;
}

bool ipaddr_equal(const struct ipaddr *a, const struct ipaddr *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

int ipaddr_compare(const struct ipaddr *a, const struct ipaddr *b)
{
	int order;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	order = memcmp(a->bytes, b->bytes, sizeof(a->bytes));
	return order ? order : (int)a->prefix_len - (int)b->prefix_len;
}

bool ipaddr_contains(const struct ipaddr *net, const struct ipaddr *addr)
{
	unsigned int whole = net->prefix_len / 8, rest = net->prefix_len % 8;

	if (net->family != addr->family || memcmp(net->bytes, addr->bytes, whole) != 0)
		return false;
	if (rest == 0)
		return true;
	return (net->bytes[whole] ^ addr->bytes[whole]) >> (8 - rest) == 0;
}

bool ipaddr_is_link_local(const struct ipaddr *addr)
{
	if (addr->family == IPADDR_V6)
		return addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80;
	return addr->family == IPADDR_V4 && addr->bytes[0] == 169 && addr->bytes[1] == 254;
}
