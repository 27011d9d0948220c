/* routes: what else a master needs of an interface: networks behind it, and through whom. */
#include "config/config_parse.h"

#include "common/check.h"
#include "config/config_value.h"

#include <string.h>

/* Whether no bit beyond the prefix is set: the kernel refuses others. */
static bool is_network(const struct ipaddr *addr)
{
	size_t size_bytes = ipaddr_size_bytes(addr);

	for (size_t bit = addr->prefix_len; bit < size_bytes * 8; bit++)
		if (addr->bytes[bit / 8] & 0x80u >> bit % 8)
			return false;
	return true;
}

static void take_to(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	static const char what[] = "default, or a network as 10.20.0.0/16";
	struct config_route *route = object;
	const char *text = config_shape_word(parser, value, what);

	if (!text || strcmp(text, "default") == 0)
		return;
	if (!strchr(text, '/') || !ipaddr_parse(text, &route->to))
		config_shape_error(parser, value, "'%.64s'; allowed: %s", text, what);
	else if (!is_network(&route->to))
		config_shape_error(parser, value,
			"'%.64s' has bits beyond its prefix length; allowed: a network's address",
			text);
}

static void take_via(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_route *route = object;

	(void)config_parse_address(parser, value, false, &route->via);
}

#define ROUTE(field) CONFIG_SHAPE_FIELD(struct config_route, field)

static const struct config_shape_key route_keys[] = {
	{"to", CONFIG_SHAPE_OTHER, true, .take = take_to, .type_text = "network",
		.range_text = "default, or a network",
		.meaning = "Where it leads. `default` is of the family of `via`, or IPv4."},
	{"via", CONFIG_SHAPE_OTHER, false, .take = take_via, .type_text = "address",
		.fallback_text = "on the link itself", .range_text = "an address",
		.meaning = "The next hop."},
	{"metric", CONFIG_SHAPE_NUMBER, false, ROUTE(metric), .min = 0, .max = INT32_MAX,
		.fallback_text = "the kernel's", .meaning = "Its preference; lower wins."},
};

const struct config_shape config_parse_route_shape = {
	"groups.GROUP.interfaces.INTERFACE.routes[]", ARRAY_LEN(route_keys), route_keys};

static void read_route(struct config_parser *parser, struct config_interface *interface,
	const struct config_tree_node *item)
{
	struct config *cfg = parser->cfg;
	struct config_route *route = &cfg->routes[cfg->route_count];

	*route = (struct config_route){.pos = item->pos};
	if (!config_shape_read(parser, &config_parse_route_shape, route, item))
		return;
	if (route->to.family == IPADDR_NONE)
		route->to.family = route->via.family == IPADDR_NONE ? IPADDR_V4 : route->via.family;
	if (route->via.family != IPADDR_NONE && route->via.family != route->to.family)
		config_errors_add(parser->errors, item->pos,
			"routes: to and via are of different families; allowed: the same");
	for (uint32_t i = 0; i < cfg->route_count; i++)
		if (ipaddr_compare(&cfg->routes[i].to, &route->to) == 0 &&
			cfg->routes[i].metric == route->metric)
			config_errors_add(parser->errors, item->pos,
				"routes: the same network is in line %u already; allowed: another "
				"metric",
				cfg->routes[i].pos.line);
	cfg->route_count++;
	interface->route_count++;
}

void config_parse_routes(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_interface *interface = object;

	if (!config_shape_kind(parser, value, CONFIG_TREE_LIST,
		    "a list of routes, as [{ to: default, via: 10.2.0.1 }]"))
		return;
	for (const struct config_tree_node *item = value->first; item; item = item->next) {
		if (parser->cfg->route_count == LIMIT_ROUTES) {
			config_shape_error(
				parser, item, "more than %u routes in one file", LIMIT_ROUTES);
			return;
		}
		read_route(parser, interface, item);
	}
}
