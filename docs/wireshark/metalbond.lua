-- MetalBond v1 for Wireshark and tshark 4: every frame, every message, every field, wherever TCP cut the stream.
-- README.md beside this file says how to use it; runtimes/daemon/tests/wireshark tests it.
--
-- A frame is `u8 version = 1 | u16 payload length, big endian | u8 type | payload (protobuf)`. Messages are summed up in the
-- words of `metalbond replay --print`. What is wrong is an expert info at the bytes in question: an error if a node closes
-- the session for it, a warning if a node drops the message and goes on, a note if it makes no difference.
--
-- Offsets count from 0, as in Wireshark; `stop` is the offset behind the last byte. Numbers are combined by arithmetic
-- only: Wireshark has Lua 5.2 up to its version 4.2, and a later one since, and these share no operators on bits.

local metalbond = Proto("metalbond", "MetalBond")

local VERSION, HEADER_LEN, MAX_PAYLOAD, NAT = 1, 4, 1188, 1

local types = { "HELLO", "KEEPALIVE", "SUBSCRIBE", "UNSUBSCRIBE", "UPDATE" }
local versions = { [0] = "IPv4", "IPv6" }
local actions = { [0] = "ADD", "REMOVE" }
local kinds = { [0] = "STANDARD", "NAT", "LOADBALANCER_TARGET" }

local f = {
    message = ProtoField.string("metalbond.message", "Message"),
    version = ProtoField.uint8("metalbond.version", "Version"),
    length = ProtoField.uint16("metalbond.length", "Payload length"),
    type = ProtoField.uint8("metalbond.type", "Type", base.DEC, types),
    payload = ProtoField.bytes("metalbond.payload", "Payload"),
    keepalive = ProtoField.uint32("metalbond.hello.keepalive_interval", "Keepalive interval (s)"),
    is_server = ProtoField.bool("metalbond.hello.is_server", "Is server"),
    capabilities = ProtoField.uint32("metalbond.hello.capabilities", "Capabilities", base.HEX),
    ordered = ProtoField.bool("metalbond.hello.capabilities.ordered", "Ordered", 32, nil, 0x1),
    converging = ProtoField.bool("metalbond.hello.capabilities.converging", "Converging", 32, nil, 0x2),
    restart_time = ProtoField.uint32("metalbond.hello.restart_time", "Restart time (s)"),
    vni = ProtoField.uint32("metalbond.vni", "VNI"),
    action = ProtoField.int32("metalbond.update.action", "Action", base.DEC, actions),
    destination = ProtoField.none("metalbond.destination", "Destination"),
    ip_version = ProtoField.int32("metalbond.destination.ip_version", "IP version", base.DEC, versions),
    prefix_v4 = ProtoField.ipv4("metalbond.destination.prefix_v4", "Prefix"),
    prefix_v6 = ProtoField.ipv6("metalbond.destination.prefix_v6", "Prefix"),
    prefix_bytes = ProtoField.bytes("metalbond.destination.prefix_bytes", "Prefix"),
    prefix_length = ProtoField.uint32("metalbond.destination.prefix_length", "Prefix length"),
    next_hop = ProtoField.none("metalbond.next_hop", "Next hop"),
    address_v4 = ProtoField.ipv4("metalbond.next_hop.address_v4", "Address"),
    address_v6 = ProtoField.ipv6("metalbond.next_hop.address_v6", "Address"),
    address_bytes = ProtoField.bytes("metalbond.next_hop.address_bytes", "Address"),
    target_vni = ProtoField.uint32("metalbond.next_hop.target_vni", "Target VNI"),
    kind = ProtoField.int32("metalbond.next_hop.kind", "Kind", base.DEC, kinds),
    nat_port_from = ProtoField.uint32("metalbond.next_hop.nat_port_from", "NAT port range from"),
    nat_port_to = ProtoField.uint32("metalbond.next_hop.nat_port_to", "NAT port range to"),
    unknown = ProtoField.uint32("metalbond.unknown_field", "Unknown field"),
    unknown_varint = ProtoField.uint64("metalbond.unknown_field.varint", "Value"),
    unknown_bytes = ProtoField.bytes("metalbond.unknown_field.bytes", "Value"),
    undecoded = ProtoField.bytes("metalbond.undecoded", "Not decoded"),
}
metalbond.fields = f

local malformed =
    ProtoExpert.new("metalbond.malformed", "Ends the session", expert.group.MALFORMED, expert.severity.ERROR)
local impossible =
    ProtoExpert.new("metalbond.impossible", "Is dropped", expert.group.PROTOCOL, expert.severity.WARN)
local odd = ProtoExpert.new("metalbond.odd", "Is not as it should be", expert.group.PROTOCOL, expert.severity.NOTE)
local unknown_type =
    ProtoExpert.new("metalbond.unknown_type", "Is skipped", expert.group.UNDECODED, expert.severity.WARN)
local incomplete =
    ProtoExpert.new("metalbond.incomplete", "Can't be shown", expert.group.UNDECODED, expert.severity.WARN)
metalbond.experts = { malformed, impossible, odd, unknown_type, incomplete }

-- The protobuf messages: their fields, in the order of their numbers. For `address`, `field` is the one for 4 bytes.
local destination = {
    { number = 1, name = "ip_version", kind = "int32", field = f.ip_version },
    { number = 2, name = "prefix", kind = "address", field = f.prefix_v4, v6 = f.prefix_v6, bytes = f.prefix_bytes },
    { number = 3, name = "prefix_length", kind = "uint32", field = f.prefix_length },
}
local next_hop = {
    { number = 1, name = "address", kind = "address", field = f.address_v4, v6 = f.address_v6, bytes = f.address_bytes },
    { number = 2, name = "target_vni", kind = "uint32", field = f.target_vni },
    { number = 3, name = "kind", kind = "int32", field = f.kind },
    { number = 4, name = "from", kind = "uint32", field = f.nat_port_from },
    { number = 5, name = "to", kind = "uint32", field = f.nat_port_to },
}
local subscription = { { number = 1, name = "vni", kind = "uint32", field = f.vni } }
local hello = {
    { number = 1, name = "keepalive", kind = "uint32", field = f.keepalive },
    { number = 2, name = "is_server", kind = "bool", field = f.is_server },
    { number = 100, name = "capabilities", kind = "uint32", field = f.capabilities },
    { number = 101, name = "restart_time", kind = "uint32", field = f.restart_time },
}
local update = {
    { number = 1, name = "action", kind = "int32", field = f.action },
    { number = 2, name = "vni", kind = "uint32", field = f.vni },
    { number = 3, name = "destination", kind = "message", field = f.destination, message = destination },
    { number = 4, name = "next_hop", kind = "message", field = f.next_hop, message = next_hop },
}
-- By the number of the type. A KEEPALIVE has no fields, and whatever is in it is ignored.
local messages = { hello, nil, subscription, subscription, update }

local VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = 0, 1, 2, 3, 4, 5
local fixed_lens = { [FIXED64] = 8, [FIXED32] = 4 }
local wire_types = { uint32 = VARINT, int32 = VARINT, bool = VARINT, address = BYTES, message = BYTES }

-- The functions that read return the offset behind what they have read first; or `nil`, and why it can't be read.

-- The varint at `at`: its low and its high 32 bits.
local function varint(bytes, at, stop)
    local low, high = 0, 0
    for n = 1, 10 do
        if at >= stop then
            return nil, "a number is cut off"
        end
        local byte = bytes:byte(at + 1)
        local bits = byte % 128
        at = at + 1
        if n < 5 then
            low = low + bits * 2 ^ (7 * n - 7)
        elseif n == 5 then
            low = low + bits % 16 * 2 ^ 28
            high = math.floor(bits / 16)
        elseif n < 10 or byte < 2 then
            high = high + bits * 2 ^ (7 * n - 39)
        else
            return nil, "a number has more than 64 bits"
        end
        if byte < 128 then
            return at, math.floor(low), math.floor(high)
        end
    end
end

-- The key of a field: its number and its wire type.
local function key(bytes, at, stop)
    local after, low, high = varint(bytes, at, stop)
    if not after then
        return nil, low
    end
    local number, wire = math.floor(low / 8), low % 8
    if high > 0 or number == 0 then
        return nil, "a field has an impossible number"
    elseif wire > FIXED32 then
        return nil, ("field %d has wire type %d"):format(number, wire)
    end
    return after, number, wire
end

-- The contents of a field that is neither a varint nor a group: where they begin, behind their length if they have one.
local function contents(bytes, at, stop, number, wire)
    local len = fixed_lens[wire]
    if wire == BYTES then
        local after, low, high = varint(bytes, at, stop)
        if not after then
            return nil, low
        end
        at, len = after, low + high * 2 ^ 32
    end
    if len > stop - at then
        return nil, ("field %d is cut off, with %d of %.0f bytes"):format(number, stop - at, len)
    end
    return at + math.floor(len), at
end

-- The rest of a group, with all groups in it.
local function group(bytes, at, stop, number)
    local open = { number }
    while #open > 0 do
        local after, inner, wire = key(bytes, at, stop)
        if not after then
            return nil, inner
        end
        local why
        at = after
        if wire == GROUP then
            table.insert(open, inner)
        elseif wire == END_GROUP then
            if table.remove(open) ~= inner then
                return nil, ("group %d ends, and another one is open"):format(inner)
            end
        elseif wire == VARINT then
            at, why = varint(bytes, at, stop)
        else
            at, why = contents(bytes, at, stop, inner, wire)
        end
        if not at then
            return nil, why
        end
    end
    return at
end

-- A field that this version doesn't know, from `start`, with a key up to `at`.
local function unknown_field(tvb, bytes, start, at, stop, number, wire, tree)
    local after, value, high
    if wire == VARINT then
        after, value, high = varint(bytes, at, stop)
    elseif wire == GROUP then
        after, value = group(bytes, at, stop, number)
    elseif wire == END_GROUP then
        return nil, ("group %d ends, and is not open"):format(number)
    else
        after, value = contents(bytes, at, stop, number, wire)
    end
    if not after then
        return nil, value
    end
    local item = tree:add(f.unknown, tvb(start, after - start), number)
    if wire == VARINT then
        item:add(f.unknown_varint, tvb(at, after - at), UInt64.new(value, high))
    else
        local from = value or at
        item:add(f.unknown_bytes, tvb(from, after - from))
    end
    return after
end

-- Adds an address of any number of bytes.
local function add_address(tree, field, range, len)
    return tree:add(len == 4 and field.field or len == 16 and field.v6 or field.bytes, range)
end

-- Adds a number of the kind that the field has; returns its value, too.
local function add_number(tree, field, range, low, high)
    if field.kind == "bool" then
        local value = low > 0 or high > 0
        return tree:add(field.field, range, value), value
    elseif field.kind == "int32" then
        local value = low < 2 ^ 31 and low or low - 4294967296
        return tree:add(field.field, range, value), value
    end
    local item = tree:add(field.field, range, low)
    if high > 0 then
        item:add_proto_expert_info(odd, "Over 32 bits, of which the lower 32 count")
    end
    if field.name == "capabilities" then
        item:add(f.ordered, range, low)
        item:add(f.converging, range, low)
    end
    return item, low
end

-- Reads the fields of a message, and puts into `values` by name, for each that is there, its `value` (of a message, a table
-- like this one) and its `item` in the tree. Returns `nil`; or why one can't be read, and where it begins.
local function read_fields(tvb, bytes, at, stop, message, tree, values)
    while at < stop do
        local start = at
        local after, number, wire = key(bytes, at, stop)
        if not after then
            return number, start
        end
        local known
        for _, field in ipairs(message) do
            known = field.number == number and field or known
        end
        local low, high
        if not known then
            at, low = unknown_field(tvb, bytes, start, after, stop, number, wire, tree)
        elseif wire_types[known.kind] ~= wire then
            return ("field %d has wire type %d, not %d"):format(number, wire, wire_types[known.kind]), start
        elseif wire == VARINT then
            at, low, high = varint(bytes, after, stop)
        else
            at, low = contents(bytes, after, stop, number, wire)
        end
        if not at then
            return low, start
        end
        if known then
            local item, value
            if wire == VARINT then
                item, value = add_number(tree, known, tvb(start, at - start), low, high)
            elseif known.kind == "address" then
                item, value = add_address(tree, known, tvb(low, at - low), at - low), bytes:sub(low + 1, at)
            else
                -- One that comes twice is one message, of which the later fields count.
                item = tree:add(known.field, tvb(start, at - start))
                value = values[known.name] and values[known.name].value or {}
                local why, where = read_fields(tvb, bytes, low, at, known.message, item, value)
                if why then
                    return why, where
                end
            end
            values[known.name] = { item = item, value = value }
        end
    end
end

-- Adds what is not sent because it is 0 or empty, as a generated item. Messages that are absent have no such meaning.
local function add_defaults(tvb, stop, message, tree, values)
    for _, field in ipairs(message) do
        local there = values[field.name]
        if there and field.kind == "message" then
            add_defaults(tvb, stop, field.message, there.item, there.value)
        elseif not there and field.kind ~= "message" then
            local item, value
            if field.kind == "address" then
                item, value = add_address(tree, field, tvb(stop, 0), 0), ""
            else
                item, value = add_number(tree, field, tvb(stop, 0), 0, 0)
            end
            item:set_generated()
            values[field.name] = { item = item, value = value }
        end
    end
end

-- An address of 4 or 16 bytes as text; never a host's name, whatever is resolved elsewhere.
local function address_text(bytes)
    if #bytes == 4 then
        return ("%d.%d.%d.%d"):format(bytes:byte(1, 4))
    elseif bytes:sub(1, 12) == ("\0"):rep(10) .. "\255\255" then
        return "::ffff:" .. address_text(bytes:sub(13))
    end
    local groups, first, last, zeros = {}, 0, -1, 0
    for n = 1, 8 do
        local high, low = bytes:byte(2 * n - 1, 2 * n)
        groups[n] = ("%x"):format(high * 256 + low)
        zeros = groups[n] == "0" and zeros + 1 or 0
        -- The first one of the longest rows of zeros is left out, if it has at least two.
        if zeros > 1 and zeros > last - first + 1 then
            first, last = n - zeros + 1, n
        end
    end
    if last < 0 then
        return table.concat(groups, ":")
    end
    return table.concat(groups, ":", 1, first - 1) .. "::" .. table.concat(groups, ":", last + 1)
end

-- Why no packet can be sent to an address of 4 or 16 bytes, if that is so (RFC 1122, RFC 3927, RFC 4291); an IPv4-mapped address is
-- judged as its IPv4 address.
local function martian(bytes)
    if #bytes == 16 and bytes:sub(1, 12) == ("\0"):rep(10) .. "\255\255" then
        return martian(bytes:sub(13))
    end
    local a, b = bytes:byte(1, 2)
    if bytes == ("\0"):rep(#bytes) then
        return "the unspecified address"
    elseif #bytes == 4 and a == 127 or bytes == ("\0"):rep(15) .. "\1" then
        return "a loopback address"
    elseif #bytes == 4 and a == 169 and b == 254 or #bytes == 16 and a == 0xfe and b >= 0x80 and b <= 0xbf then
        return "a link-local address"
    elseif #bytes == 4 and a >= 224 and a <= 239 or #bytes == 16 and a == 0xff then
        return "a multicast address"
    elseif bytes == "\255\255\255\255" then
        return "the broadcast address"
    end
end

local function hello_text(values)
    local capabilities = values.capabilities.value
    local text = ("HELLO keepalive %d"):format(values.keepalive.value)
    if values.is_server.value then
        text = text .. " server"
    end
    if capabilities % 2 == 1 then
        text = text .. " ordered"
    end
    if capabilities % 4 > 1 then
        text = text .. " converging"
    end
    if values.restart_time.value > 0 then
        text = text .. (" restart %d"):format(values.restart_time.value)
    end
    return text
end

local function update_text(values)
    local dest, hop = values.destination.value, values.next_hop.value
    local text = ("%s %d %s/%d via %s"):format(
        actions[values.action.value],
        values.vni.value,
        address_text(dest.prefix.value),
        dest.prefix_length.value,
        address_text(hop.address.value)
    )
    if hop.target_vni.value > 0 then
        text = text .. (" vni %d"):format(hop.target_vni.value)
    end
    if hop.kind.value == NAT then
        return text .. (" NAT %d-%d"):format(hop.from.value, hop.to.value)
    end
    return hop.kind.value == 0 and text or text .. " LB"
end

-- What keeps a HELLO from opening a session.
local function judge_hello(values)
    if values.keepalive.value == 0 then
        values.keepalive.item:add_proto_expert_info(malformed, "HELLO with a keepalive interval of 0")
        return "HELLO with a keepalive interval of 0"
    end
end

-- Marks all that is wrong in an UPDATE; returns the first, if there is any.
local function judge_update(values, tree)
    local first
    for _, part in ipairs({ { "destination", "a destination" }, { "next_hop", "a next hop" } }) do
        if not values[part[1]] then
            local text = "UPDATE without " .. part[2]
            tree:add_proto_expert_info(malformed, text)
            first = first or text
        end
    end
    if first then
        return first
    end

    local function drop(field, format, ...)
        local text = format:format(...)
        field.item:add_proto_expert_info(impossible, "Impossible: " .. text)
        first = first or "impossible UPDATE: " .. text
    end
    local dest, hop = values.destination.value, values.next_hop.value
    local len = #dest.prefix.value
    if not actions[values.action.value] then
        drop(values.action, "action %d", values.action.value)
    end
    if len ~= 4 and len ~= 16 then
        drop(dest.prefix, "destination of %d bytes", len)
    elseif dest.prefix_length.value > len * 8 then
        drop(dest.prefix_length, "prefix length %d", dest.prefix_length.value)
    elseif dest.ip_version.value ~= (len == 4 and 0 or 1) then
        dest.ip_version.item:add_proto_expert_info(odd, "Contradicts the prefix, whose length counts")
    end
    if #hop.address.value ~= 4 and #hop.address.value ~= 16 then
        drop(hop.address, "next hop of %d bytes", #hop.address.value)
    end
    if not kinds[hop.kind.value] then
        drop(hop.kind, "next hop of type %d", hop.kind.value)
    end
    for _, port in ipairs({ hop.from, hop.to }) do
        if hop.kind.value == NAT and port.value > 65535 then
            drop(port, "port %d", port.value)
        elseif hop.kind.value ~= NAT and port.value > 0 then
            port.item:add_proto_expert_info(odd, "Counts for NAT only")
        end
    end
    if #hop.address.value == 4 or #hop.address.value == 16 then
        local why = martian(hop.address.value)
        if why then
            drop(hop.address, "next hop %s, %s", address_text(hop.address.value), why)
        end
    end
    return first
end

-- Adds the payload from `at` to `stop`; returns the message in words.
local function add_payload(tvb, bytes, at, stop, kind, tree)
    local message, name = messages[kind], types[kind]
    if not message then
        local item = stop > at and tree:add(f.payload, tvb(at, stop - at)) or tree
        if name then
            if stop > at then
                item:add_proto_expert_info(odd, "Should be empty, and is ignored")
            end
            return name
        end
        local text = ("message of the unknown type %d"):format(kind)
        item:add_proto_expert_info(unknown_type, "Skipped: " .. text)
        return text
    end
    local values = {}
    local why, where = read_fields(tvb, bytes, at, stop, message, tree, values)
    if why then
        local text = name .. " that is not valid protobuf"
        local item = tree:add(f.undecoded, tvb(where, stop - where))
        item:add_proto_expert_info(malformed, ("%s: at byte %d of the payload, %s"):format(text, where - at, why))
        return text
    end
    add_defaults(tvb, stop, message, tree, values)
    if message == hello then
        return judge_hello(values) or hello_text(values)
    elseif message == update then
        return judge_update(values, tree) or update_text(values)
    end
    return ("%s %d"):format(name, values.vni.value)
end

-- What begins with another byte than the version, and is known all the same: TLS records (RFC 8446, section 5.1).
local TLS = {
    [0x15] = "a TLS alert: the far end speaks TLS, and plain MetalBond was spoken to it",
    [0x16] = "TLS, where plain MetalBond is spoken",
}

-- How many bytes the frame at `at` has, if its header is complete; and what is wrong with the available part of the header.
local function frame_len(bytes, at, left)
    local version, high, low = bytes:byte(at + 1, at + 3)
    if version ~= VERSION then
        return nil, TLS[version] or ("frame of protocol version %d, not %d"):format(version, VERSION)
    elseif left < 3 then
        return nil
    end
    local len = high * 256 + low
    if len > MAX_PAYLOAD then
        return nil, ("frame with a payload of %d bytes, over %d"):format(len, MAX_PAYLOAD)
    end
    return HEADER_LEN + len
end

-- Adds what there is of a frame: `left` bytes, and if they are not a whole one, what is wrong and the kind of expert info for
-- that. Returns the frame in words.
local function add_frame(tvb, bytes, at, left, tree, wrong, info)
    local frame = tree:add(metalbond, tvb(at, left))
    frame:add(f.version, tvb(at, 1))
    if left >= 3 then
        frame:add(f.length, tvb(at + 1, 2))
    end
    if left >= HEADER_LEN then
        frame:add(f.type, tvb(at + 3, 1))
    end
    local text = wrong
    if wrong then
        frame:add(f.undecoded, tvb(at, left)):add_proto_expert_info(info, wrong)
    else
        text = add_payload(tvb, bytes, at + HEADER_LEN, at + left, bytes:byte(at + HEADER_LEN), frame)
    end
    frame:add(f.message, tvb(at, left), text):set_generated()
    frame:set_text("MetalBond, " .. text)
    return text
end

function metalbond.dissector(tvb, pinfo, tree)
    local bytes, at, stop, texts = tvb:raw(), 0, tvb:captured_len(), {}
    while at < stop do
        local left, info = stop - at, malformed
        local len, wrong = frame_len(bytes, at, left)
        if not wrong and (not len or len > left) then
            -- Not if TCP does not reassemble, or has not got all of this segment.
            if pinfo.can_desegment > 0 then
                pinfo.desegment_offset = at
                pinfo.desegment_len = len and len - left or DESEGMENT_ONE_MORE_SEGMENT
                break
            end
            wrong, info = "frame of which the rest is not in the capture, or not put together by TCP", incomplete
        end
        len = wrong and left or len
        table.insert(texts, add_frame(tvb, bytes, at, len, tree, wrong, info))
        at = at + len
    end
    if #texts > 0 then
        pinfo.cols.protocol = "MetalBond"
        -- TCP calls this twice for a segment that ends one frame and has others. What is in front of the fence stays.
        pinfo.cols.info:clear()
        pinfo.cols.info:append((pinfo.private.metalbond or "") .. table.concat(texts, ", "))
        pinfo.cols.info:fence()
        pinfo.private.metalbond = ", "
    end
end

metalbond.prefs.port = Pref.uint("TCP port", 4711, "The port of the server; 0 is none. 'Decode As' takes any other")

local tcp_ports = DissectorTable.get("tcp.port")
local port = metalbond.prefs.port
tcp_ports:add(port, metalbond)

function metalbond.prefs_changed()
    if port ~= metalbond.prefs.port then
        if port > 0 then
            tcp_ports:remove(port, metalbond)
        end
        port = metalbond.prefs.port
        if port > 0 then
            tcp_ports:add(port, metalbond)
        end
    end
end
