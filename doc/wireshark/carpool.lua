-- carpool's native adverts in Wireshark and tshark: IP protocol 112, version nibble 4 (doc/protocol-advert.md).
-- Other versions (CARP, VRRP) go on to Wireshark's own dissectors.
--   tshark -X lua_script:/usr/share/carpool/carpool.lua -Y carpool.state==3
-- or copy it into the folder that Help > About > Folders calls "Personal Lua Plugins".

local carpool = Proto("carpool", "carpool advert")
local states = { [0] = "init", "backup", "promoting", "master", "demoting", "maintenance", "fault" }
local reasons = { [0] = "NONE", "STARTUP", "MASTER_DEAD", "MASTER_RESIGNED", "BETTER_PEER", "PEER_DEMOTED", "OWN_DEMOTION",
	"HANDOVER", "MAINTENANCE", "DUAL_MASTER", "LATE_CLOCK", "GUARD", "PROMOTION_FAILED", "RELOAD", "SHUTDOWN" }
local ports = { [0] = "untested", "passed", "failed" }
local requests = { [0] = "none", "handover" }
local answers = { [0] = "none", "started", "done", "not ready", "busy", "failed", "unknown node" }
local flags = { "ready", "maintenance", "fault", "announced", "resign", "force", "refused", "yielded", "wants", "ask",
	"stopping" }

local f = {}
local function field(name, make, ...)
	f[name] = make("carpool." .. name, name:gsub("_", " "), ...)
	return f[name]
end

field("version", ProtoField.uint8, base.DEC, nil, 0xf0)
field("type", ProtoField.uint8, base.DEC, nil, 0x0f)
for _, name in ipairs({ "vhid", "peer_count", "path_count", "key_count", "sender" }) do
	field(name, ProtoField.uint8, base.DEC)
end
field("length", ProtoField.uint16, base.DEC)
for _, name in ipairs({ "key_id", "path_tag", "group_tag" }) do
	field(name, ProtoField.uint32, base.HEX)
end
field("state", ProtoField.uint8, base.DEC, states)
field("reason", ProtoField.uint8, base.DEC, reasons)
field("wire_max", ProtoField.uint8, base.DEC)
field("not_ready", ProtoField.uint8, base.HEX)
field("epoch", ProtoField.uint64, base.HEX)
field("counter", ProtoField.uint64, base.DEC)
field("interval_us", ProtoField.uint32, base.DEC)
field("demotion", ProtoField.uint16, base.DEC)
field("flags", ProtoField.uint16, base.HEX)
for i, name in ipairs(flags) do
	f["flag_" .. name] = ProtoField.bool("carpool.flags." .. name, name, 16, nil, 2 ^ (i - 1))
end
field("term", ProtoField.uint64, base.DEC)
for _, name in ipairs({ "term_owner", "handover_to", "handover_from", "successor" }) do
	field(name, ProtoField.uint8, base.DEC)
end
field("handover_id", ProtoField.uint32, base.HEX)
field("age_ms", ProtoField.uint32, base.DEC)
field("request", ProtoField.uint8, base.DEC, requests)
field("request_node", ProtoField.uint8, base.DEC)
field("request_flags", ProtoField.uint8, base.HEX)
field("answer_node", ProtoField.uint8, base.DEC)
field("request_nonce", ProtoField.uint32, base.HEX)
field("answer", ProtoField.uint8, base.DEC, answers)
field("challenge_to", ProtoField.uint8, base.DEC)
field("echo_to", ProtoField.uint8, base.DEC)
field("answer_nonce", ProtoField.uint32, base.HEX)
field("challenge", ProtoField.bytes)
field("echo", ProtoField.bytes)
for _, name in ipairs({ "rules_fingerprint", "config_fingerprint", "address_fingerprint" }) do
	field(name, ProtoField.uint64, base.HEX)
end
field("accepted_key", ProtoField.uint32, base.HEX)
field("peer", ProtoField.uint8, base.DEC)
field("path", ProtoField.uint32, base.HEX)
field("path_port", ProtoField.uint8, base.DEC, ports)
field("path_heard", ProtoField.uint8, base.HEX)
field("hmac", ProtoField.bytes)
local bad = ProtoExpert.new("carpool.bad_length", "the length does not follow from the counts", expert.group.MALFORMED,
	expert.severity.ERROR)
carpool.experts = { bad }

-- Every byte of the fixed part but the first, in order (common/advert.h draws it).
local fixed = {
	{ "vhid", 1 }, { "peer_count", 1 }, { "path_count", 1 }, { "key_count", 1 }, { "sender", 1 }, { "length", 2 },
	{ "key_id", 4 }, { "path_tag", 4 }, { "group_tag", 4 }, { "state", 1 }, { "reason", 1 }, { "wire_max", 1 },
	{ "not_ready", 1 }, { "epoch", 8 }, { "counter", 8 }, { "interval_us", 4 }, { "demotion", 2 }, { "flags", 2 },
	{ "term", 8 }, { "term_owner", 1 }, { "handover_to", 1 }, { "handover_from", 1 }, { "successor", 1 },
	{ "handover_id", 4 }, { "age_ms", 4 }, { "request", 1 }, { "request_node", 1 }, { "request_flags", 1 },
	{ "answer_node", 1 }, { "request_nonce", 4 }, { "answer", 1 }, { "challenge_to", 1 }, { "echo_to", 1 }, { nil, 1 },
	{ "answer_nonce", 4 }, { "challenge", 16 }, { "echo", 16 }, { "rules_fingerprint", 8 }, { "config_fingerprint", 8 },
	{ "address_fingerprint", 8 },
}
local FIXED_BYTES, TAG_BYTES = 140, 32
local list = {}
for _, one in pairs(f) do
	list[#list + 1] = one
end
carpool.fields = list

local function add_flags(tree, buffer, at)
	local inner = tree:add(f.flags, buffer(at, 2))
	for _, name in ipairs(flags) do
		inner:add(f["flag_" .. name], buffer(at, 2))
	end
end

local function add_lists(tree, buffer)
	local peers, paths, keys = buffer(2, 1):uint(), buffer(3, 1):uint(), buffer(4, 1):uint()
	local at = FIXED_BYTES

	if FIXED_BYTES + 4 * keys + peers + 6 * paths + TAG_BYTES ~= buffer:len() or buffer(6, 2):uint() ~= buffer:len() then
		tree:add_proto_expert_info(bad)
		return
	end
	for _ = 1, keys do
		tree:add(f.accepted_key, buffer(at, 4))
		at = at + 4
	end
	for _ = 1, peers do
		tree:add(f.peer, buffer(at, 1))
		at = at + 1
	end
	for _ = 1, paths do
		local inner = tree:add(f.path, buffer(at, 4))

		inner:add(f.path_port, buffer(at + 4, 1))
		inner:add(f.path_heard, buffer(at + 5, 1))
		at = at + 6
	end
	tree:add(f.hmac, buffer(at, TAG_BYTES))
end

local others = DissectorTable.get("ip.proto"):get_dissector(112)

function carpool.dissector(buffer, packet, root)
	if buffer:len() < FIXED_BYTES + TAG_BYTES or bit.rshift(buffer(0, 1):uint(), 4) ~= 4 then
		return others and others:call(buffer, packet, root) or 0
	end
	local tree, at = root:add(carpool, buffer()), 1

	tree:add(f.version, buffer(0, 1))
	tree:add(f.type, buffer(0, 1))
	for _, one in ipairs(fixed) do
		if one[1] == "flags" then
			add_flags(tree, buffer, at)
		elseif one[1] then
			tree:add(f[one[1]], buffer(at, one[2]))
		end
		at = at + one[2]
	end
	add_lists(tree, buffer)
	local state = buffer(20, 1):uint()
	packet.cols.protocol = "carpool"
	packet.cols.info = string.format("vhid %d: node %d is %s, term %s, counter %s", buffer(1, 1):uint(),
		buffer(5, 1):uint(), states[state] or state, buffer(48, 8):uint64(), buffer(32, 8):uint64())
	return buffer:len()
end

DissectorTable.get("ip.proto"):set(112, carpool)
