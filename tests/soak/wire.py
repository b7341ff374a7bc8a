"""The MetalBond v1 wire format, written from its description and independent of the program under test: frames, and
routes in three forms: as bytes, as a line that a client reads, and as a line that it prints."""

from __future__ import annotations

import ipaddress
import struct

HELLO, KEEPALIVE, SUBSCRIBE, UNSUBSCRIBE, UPDATE = range(1, 6)
KINDS = ("STD", "NAT", "LB")
PAYLOAD_MAX = 1188


class NotCanonical(Exception):
    """A frame that our servers must not send."""


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """Encodes a number field. Zero is omitted."""
    return varint(field << 3) + varint(value) if value else b""


def octets(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def frame(kind: int, payload: bytes = b"") -> bytes:
    return struct.pack(">BHB", 1, len(payload), kind) + payload


def hello(interval: int, *, is_server: bool = False, ordered: bool = False, restart_time: int = 0) -> bytes:
    payload = number(1, interval) + number(2, int(is_server)) + number(100, int(ordered)) + number(101, restart_time)
    return frame(HELLO, payload)


def keepalive() -> bytes:
    return b"\x01\x00\x00\x02"


def subscribe(vni: int) -> bytes:
    return frame(SUBSCRIBE, number(1, vni))


def unsubscribe(vni: int) -> bytes:
    return frame(UNSUBSCRIBE, number(1, vni))


def update(action: int, vni: int, destination: bytes | None, next_hop: bytes | None) -> bytes:
    """Encodes any UPDATE, valid or not."""
    payload = number(1, action) + number(2, vni)
    payload += octets(3, destination) if destination is not None else b""
    payload += octets(4, next_hop) if next_hop is not None else b""
    return frame(UPDATE, payload)


def destination(prefix: bytes, length: int) -> bytes:
    return number(1, int(len(prefix) == 16)) + octets(2, prefix) + number(3, length)


def next_hop(address: bytes, target_vni: int = 0, kind: int = 0, ports: tuple[int, int] = (0, 0)) -> bytes:
    return octets(1, address) + number(2, target_vni) + number(3, kind) + number(4, ports[0]) + number(5, ports[1])


class Route:
    """A route. Equal routes are the same object, so they can be compared by `is` and stored cheaply in sets."""

    __slots__ = ("vni", "text", "spec", "add", "remove", "is_foreign")

    def __repr__(self) -> str:
        return self.text


_by_text: dict[str, Route] = {}
_by_body: dict[bytes, Route] = {}

# Prefix of the next hops of hostile peers, whose routes are not in the model.
FOREIGN = bytes.fromhex("20010db80bad")


def route(
    vni: int, prefix: str, hop: str, kind: str = "STD", target_vni: int = 0, ports: tuple[int, int] = (0, 0)
) -> Route:
    """Returns the route with this destination, for example `10.0.0.0/24`, and this next hop."""
    address, length = prefix.split("/")
    packed, hop_packed = ipaddress.ip_address(address).packed, ipaddress.ip_address(hop).packed
    return _intern(vni, packed, int(length), hop_packed, target_vni, KINDS.index(kind), ports)


def _intern(
    vni: int, prefix: bytes, length: int, hop: bytes, target_vni: int, kind: int, ports: tuple[int, int]
) -> Route:
    encoded = update(0, vni, destination(prefix, length), next_hop(hop, target_vni, kind, ports))
    known = _by_body.get(encoded[4:])
    if known:
        return known
    made = Route()
    made.vni = vni
    made.is_foreign = hop.startswith(FOREIGN)
    prefix_text, hop_text = f"{_address(prefix)}/{length}", _address(hop)
    made.text = f"{vni} {prefix_text} via {hop_text}" + (f" vni {target_vni}" if target_vni else "")
    made.spec = f"{vni}#{prefix_text}#{hop_text}" + (f"#{target_vni}" if target_vni else "")
    if kind:
        made.text += f" {KINDS[kind]}"
        made.spec += f"#{KINDS[kind]}"
    if KINDS[kind] == "NAT":
        made.text += f" {ports[0]}-{ports[1]}"
        made.spec += f"#{ports[0]}#{ports[1]}"
    made.add = encoded
    made.remove = frame(UPDATE, number(1, 1) + encoded[4:])
    _by_text[made.text] = made
    _by_body[encoded[4:]] = made
    return made


def _address(packed: bytes) -> str:
    if len(packed) == 16 and packed[:12] == bytes(10) + b"\xff\xff":
        return "::ffff:" + str(ipaddress.IPv4Address(packed[12:]))
    return str(ipaddress.ip_address(packed))


def printed(text: str) -> Route:
    """Returns the route that a client prints as this text, without the sign."""
    known = _by_text.get(text)
    if known:
        return known
    vni, prefix, via, hop, *rest = text.split(" ")
    if via != "via":
        raise ValueError(f"not a route: {text!r}")
    target_vni, kind, ports = 0, "STD", (0, 0)
    while rest:
        word = rest.pop(0)
        if word == "vni":
            target_vni = int(rest.pop(0))
        elif word == "NAT":
            kind, ports = word, tuple(map(int, rest.pop(0).split("-")))
        elif word == "LB":
            kind = word
        else:
            raise ValueError(f"not a route: {text!r}")
    made = route(int(vni), prefix, hop, kind, target_vni, ports)
    if made.text != text:
        raise ValueError(f"{text!r} is printed, not {made.text!r}")
    return made


def decode_update(payload: bytes) -> tuple[bool, Route]:
    """Returns whether an UPDATE is an ADD, and its route. The bytes must be equal to this module's own encoding."""
    is_add = payload[:1] != b"\x08"
    body = payload if is_add else payload[2:]
    known = _by_body.get(body)
    if known is None:
        known = _decode_body(body)
    if payload != (known.add if is_add else known.remove)[4:]:
        raise NotCanonical(f"UPDATE {payload.hex()}")
    return is_add, known


def _decode_body(body: bytes) -> Route:
    try:
        fields = parse(body)
        dest, hop = parse(fields[3]), parse(fields[4])
        prefix, length, address = dest[2], dest.get(3, 0), hop[1]
        ports = (hop.get(4, 0), hop.get(5, 0))
        possible = (
            len(address) in (4, 16) and len(prefix) in (4, 16) and length <= 8 * len(prefix) and max(ports) < 1 << 16
        )
        if not possible:
            raise NotCanonical(f"invalid UPDATE {body.hex()}")
        return _intern(fields.get(2, 0), prefix, length, address, hop.get(2, 0), hop.get(3, 0), ports)
    except (KeyError, IndexError, TypeError) as error:
        raise NotCanonical(f"UPDATE {body.hex()}: {error!r}") from error


def parse(data: bytes) -> dict[int, int | bytes]:
    """Decodes a protobuf message of numbers and byte strings."""
    fields: dict[int, int | bytes] = {}
    at = 0

    def read() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = read()
        if tag & 7 == 0:
            fields[tag >> 3] = read()
        elif tag & 7 == 2:
            length = read()
            if at + length > len(data):
                raise IndexError("a field ends behind its message")
            fields[tag >> 3] = data[at : at + length]
            at += length
        else:
            raise KeyError(f"wire type {tag & 7}")
    return fields


class Deframer:
    """Extracts frames from a stream that is split at any position."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Returns the type and the payload of each frame that is now complete."""
        data = self.rest + data if self.rest else data
        frames, at = [], 0
        while len(data) - at >= 4:
            version, length, kind = struct.unpack_from(">BHB", data, at)
            if version != 1 or length > PAYLOAD_MAX:
                raise NotCanonical(f"frame {data[at : at + 16].hex()}")
            if len(data) - at - 4 < length:
                break
            frames.append((kind, data[at + 4 : at + 4 + length]))
            at += 4 + length
        self.rest = data[at:]
        return frames


def check_golden_bytes() -> None:
    """Compares this module with bytes that were recorded from the reference implementation."""
    hop = "22120a1020010db8000000000000000000000001"
    adds = {
        "23 10.0.23.0/24 via 2001:db8::1": "0100200510171a0812040a0017001818" + hop,
        "23 2001:db8:dead:beef::/64 via 2001:db8::1": "01002e0510171a160801121020010db8deadbeef00000000000000001840"
        + hop,
        "23 10.0.24.0/24 via 2001:db8::1 NAT 1000-2000": "0100280510171a0812040a0018001818"
        "221a0a1020010db8000000000000000000000001180120e80728d00f",
        "23 10.0.25.7/32 via 2001:db8::2 LB": "0100220510171a0812040a0019071820"
        "22140a1020010db80000000000000000000000021802",
        "23 0.0.0.0/0 via 192.0.2.1": "0100120510171a0612040000000022060a04c0000201",
    }
    for text, encoded in adds.items():
        made = printed(text)
        assert made.add.hex() == encoded, (text, made.add.hex())
        assert decode_update(bytes.fromhex(encoded)[4:]) == (True, made)
        assert decode_update(made.remove[4:]) == (False, made)
    assert hello(2).hex() == "01000201" + "0802" and subscribe(16777215).hex() == "0100050308ffffff07"
    assert hello(3, is_server=True).hex() == "0100040108031001" and keepalive() == frame(KEEPALIVE)
