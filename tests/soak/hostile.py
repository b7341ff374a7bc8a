"""Hostile peers: invalid data, wrong orders of messages, floods, and peers that receive everything and read nothing.
The kinds of attacks are shuffled like a deck of cards, again and again. For some of them the server must close the
connection, for others it must not."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
import time
from collections.abc import Callable, Coroutine

from . import wire
from .journal import Journal
from .peer import Closed, Session, dial_socket, reset
from .server import Server
from .settings import RESTART_TIME, VNIS, Settings
from .wire import Route

# VNIs that only hostile peers use.
STRANGE_VNI = 900_000
FOREIGN_HOP = "2001:db8:bad::1"
# A handshake may take 10 s.
THROWN_OUT = 15.0

Attack = Callable[[Server], Coroutine[None, None, None]]


class Hostile:
    def __init__(self, journal: Journal, settings: Settings, servers: dict[str, Server], rocks: list[Route]) -> None:
        self._journal = journal
        self._settings = settings
        self._servers = servers
        # Routes that clients announce all the time.
        self._rocks = rocks
        self._dice: random.Random = settings.dice("hostile")
        self._running: set[asyncio.Task] = set()
        self._sockets: set[socket.socket] = set()
        self._sessions: set[Session] = set()
        self.kinds: dict[str, Attack] = {
            "garbage": self._garbage,
            "frame of 65535 bytes": lambda s: self._must_be_thrown_out(s, b"\x01\xff\xff\x05"),
            "UPDATE without a next hop": lambda s: self._must_be_thrown_out(
                s, wire.update(0, 1, self._destination(), None)
            ),
            "UPDATE without a destination": lambda s: self._must_be_thrown_out(
                s, wire.update(0, 1, None, self._next_hop())
            ),
            "UPDATE that is no protobuf": lambda s: self._must_be_thrown_out(
                s, wire.frame(wire.UPDATE, b"\x1a\xff\xff\xff")
            ),
            "second HELLO": lambda s: self._must_be_thrown_out(s, wire.hello(1)),
            "HELLO with keepalive 0": lambda s: self._bad_start(s, wire.hello(0) + wire.keepalive()),
            "SUBSCRIBE before HELLO": lambda s: self._bad_start(s, wire.subscribe(1)),
            "SUBSCRIBE before KEEPALIVE": lambda s: self._bad_start(s, wire.hello(1) + wire.subscribe(1)),
            "second SUBSCRIBE": self._second_subscribe,
            "impossible updates": self._impossible_updates,
            "unknown types": self._unknown_types,
            "half-open handshakes": self._half_open,
            "flood of connections": self._flood,
            "flood of KEEPALIVEs": self._keepalives,
            "flood of SUBSCRIBEs": self._subscribes,
            "a million routes, nothing read": self._big,
            "reset in a frame": self._cut,
            "byte by byte": self._drip,
            "removal of others' routes": self._thief,
            "the routes of others": self._mimic,
            "flapping": self._flapper,
            "restart time without end": self._hoarder,
        }
        # The attacks for which the server's reaction is known: it must close the connection, or must keep it.
        rude = (self._flood, self._keepalives, self._subscribes, self._big, self._cut, self._mimic)
        rude += (self._flapper, self._hoarder)
        self._lessons = [kind for kind, attack in self.kinds.items() if attack not in rude]
        self._is_peace = False
        # When a server was last seen without free descriptors.
        self._shortages: dict[Server, float] = {}
        self._deck: list[str] = []

    def look(self) -> None:
        """Notes servers that have no free descriptors. For a while, they are excused for not accepting connections."""
        for server in self._servers.values():
            if server.is_running and server.descriptors and server.count_descriptors() >= server.descriptors - 1:
                self._shortages[server] = time.monotonic()
                self._journal.counts["seen without descriptors"] += 1

    async def run(self, pause: float) -> None:
        """Starts attacks with such pauses in between; they overlap."""
        while True:
            if not self._deck:
                self._deck = list(self.kinds)
                self._dice.shuffle(self._deck)
            kind = self._deck.pop()
            self._journal.counts[f"hostile: {kind}"] += 1
            for server in self._targets(kind):
                self._journal.event(f"hostile: {kind}", server=server.name)
                task = asyncio.create_task(self._attack(kind, server))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            await asyncio.sleep(pause * self._dice.uniform(0.5, 1.5))

    def _targets(self, kind: str) -> list[Server]:
        """Returns both servers; for the biggest attack only one, which is running if possible."""
        servers = list(self._servers.values())
        if self.kinds[kind] != self._big:
            return servers
        at_ease = [server for server in servers if server.is_at_ease]
        return [self._dice.choice(at_ease or servers)]

    async def examine(self) -> None:
        """Runs the attacks without other activity, right after a flood. A server is not excused for anything now."""
        await asyncio.gather(*(self._attack("flood of connections", server) for server in self._servers.values()))
        self._is_peace = True
        lessons = [(kind, server) for server in self._servers.values() for kind in self._lessons]
        await asyncio.gather(*(self._attack(kind, server) for kind, server in lessons))
        self._is_peace = False

    async def _attack(self, kind: str, server: Server) -> None:
        try:
            await self.kinds[kind](server)
        except (OSError, Closed):
            # Expected: servers are killed meanwhile, or have no free descriptors.
            self._journal.counts["hostile connections that failed"] += 1
        except wire.NotCanonical as error:
            self._journal.violation("a server sends what it should not", to=kind, what_it_is=str(error))

    async def settle(self) -> None:
        """Ends all attacks at once."""
        for task in self._running:
            task.cancel()
        results = await asyncio.gather(*self._running, return_exceptions=True)
        for session in list(self._sessions):
            await session.close(with_reset=self._dice.random() < 0.5)
        self._sessions.clear()
        for sock in list(self._sockets):
            reset(sock) if self._dice.random() < 0.5 else sock.close()
        self._sockets.clear()
        for result in results:
            if isinstance(result, Exception):
                raise result

    # Parts of attacks.

    def _source(self) -> str:
        """Returns a random source address. Hostile peers have other addresses than clients, so that a server can tell
        them apart."""
        return f"127.66.{self._dice.randrange(256)}.{self._dice.randrange(1, 255)}"

    async def _connect(
        self, server: Server, source: str | None = None, receive_buffer: int | None = None
    ) -> socket.socket:
        self._journal.counts["hostile connections"] += 1
        sock = dial_socket(source or self._source(), receive_buffer)
        self._sockets.add(sock)
        async with asyncio.timeout(5):
            await asyncio.get_running_loop().sock_connect(sock, server.address)
        return sock

    async def _session(self, server: Server, **options: object) -> Session:
        self._journal.counts["hostile connections"] += 1
        session = Session("stranger", source=self._source(), **options)
        await session.open(server.address)
        self._sessions.add(session)
        return session

    async def _leave(self, session: Session, *, with_reset: bool = False) -> None:
        self._sessions.discard(session)
        await session.close(with_reset=with_reset)

    def _drop(self, sock: socket.socket, *, with_reset: bool = False) -> None:
        self._sockets.discard(sock)
        reset(sock) if with_reset else sock.close()

    async def _send(self, sock: socket.socket, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(sock, data)

    @staticmethod
    def _destination() -> bytes:
        return wire.destination(bytes((10, 99, 0, 1)), 32)

    @staticmethod
    def _next_hop() -> bytes:
        return wire.next_hop(wire.FOREIGN + bytes(9) + b"\x01")

    def _foreign(self, count: int, vni: int | None = None) -> list[Route]:
        """Returns routes of hostile peers, by default in the clients' VNIs."""
        return [
            wire.route(self._dice.choice(VNIS) if vni is None else vni, f"10.99.{n >> 8}.{n & 255}/32", FOREIGN_HOP)
            for n in range(count)
        ]

    async def _expect_end(self, what: str, server: Server, sock: socket.socket) -> None:
        """Checks that the server closes this connection."""
        generation = server.generation
        try:
            async with asyncio.timeout(THROWN_OUT):
                while await asyncio.get_running_loop().sock_recv(sock, 4096):
                    pass
        except OSError as error:
            if isinstance(error, TimeoutError) and self._is_to_blame(server, generation):
                self._journal.violation("a server keeps who should be thrown out", what_it_did=what, server=server.name)
        self._drop(sock)

    def _is_to_blame(self, server: Server, generation: int) -> bool:
        """Returns True if the server has no excuse: it ran all the time, and had free descriptors to accept
        connections."""
        if self._is_peace:
            return True
        is_short = time.monotonic() - self._shortages.get(server, -1e9) < 2 * THROWN_OUT
        return not is_short and not server.is_excused and server.generation == generation

    # Attacks after which the server must close the connection.

    async def _garbage(self, server: Server) -> None:
        sock = await self._connect(server)
        await self._send(sock, self._dice.randbytes(self._dice.randint(1, 4000)))
        await self._expect_end("garbage", server, sock)

    async def _must_be_thrown_out(self, server: Server, last: bytes) -> None:
        """Sends an invalid frame in one write with a proper handshake."""
        sock = await self._connect(server)
        add = self._foreign(1)[0].add
        await self._send(
            sock, wire.hello(1) + wire.keepalive() + wire.subscribe(23) + add + last + wire.keepalive() * 3
        )
        await self._expect_end(last.hex(), server, sock)

    async def _bad_start(self, server: Server, start: bytes) -> None:
        sock = await self._connect(server)
        await self._send(sock, start)
        await self._expect_end(start.hex(), server, sock)

    async def _half_open(self, server: Server) -> None:
        """Opens twenty connections that send nothing, one byte, or only HELLO."""
        socks = [await self._connect(server) for _ in range(20)]
        for sock in socks:
            await self._send(sock, self._dice.choice((b"", b"\x01", wire.hello(1))))
        await asyncio.gather(*(self._expect_end("half a handshake", server, sock) for sock in socks))

    # Unusual behaviour after which the server must keep the connection.

    async def _odd(self, what: str, server: Server, odd: bytes, **options: object) -> None:
        session = await self._session(server, **options)
        generation = server.generation
        try:
            await session.send(odd)
            await session.proof()
        except Closed as error:
            if self._is_to_blame(server, generation):
                what = f"a server throws out who only is odd: {what}"
                self._journal.violation(what, server=server.name, why=str(error))
        await self._leave(session)

    async def _second_subscribe(self, server: Server) -> None:
        await self._odd(
            "second SUBSCRIBE", server, (wire.subscribe(STRANGE_VNI) * 2 + wire.unsubscribe(STRANGE_VNI) * 2) * 3
        )

    async def _impossible_updates(self, server: Server) -> None:
        """Sends invalid updates in the clients' VNIs, so that a client which received one would notice it."""
        dest, hop, v4 = self._destination(), self._next_hop(), bytes((192, 0, 2, 1))
        martians = ("0.0.0.0", "127.0.0.1", "169.254.0.1", "224.0.0.1", "255.255.255.255")
        martians += ("::", "::1", "fe80::1", "ff02::1")
        martians += tuple(f"::ffff:{address}" for address in martians if "." in address)
        bad = [
            (0, wire.destination(b"\x0a\x00\x00", 24), hop),
            (0, wire.destination(b"", 0), hop),
            (0, wire.destination(bytes(4), 33), hop),
            (0, wire.destination(bytes(4), (1 << 32) - 1), hop),
            (0, wire.destination(bytes(16), 129), hop),
            (0, dest, wire.next_hop(b"")),
            (0, dest, wire.next_hop(bytes(5))),
            (0, dest, wire.next_hop(v4, kind=1, ports=(65536, 70000))),
            (0, dest, wire.next_hop(v4, kind=3)),
            (2, dest, hop),
            (1, wire.destination(bytes(4), 33), hop),
        ]
        packed = [wire.next_hop(ipaddress.ip_address(address).packed) for address in martians]
        bad += [(action, dest, hop) for action in (0, 1) for hop in packed]
        updates = [wire.update(action, vni, dest, hop) for action, dest, hop in bad for vni in VNIS]
        self._dice.shuffle(updates)
        await self._odd("impossible updates", server, b"".join(updates), ordered=self._dice.random() < 0.5)

    async def _unknown_types(self, server: Server) -> None:
        frames = [wire.frame(kind, self._dice.randbytes(self._dice.randrange(1189))) for kind in (0, *range(6, 256))]
        await self._odd("unknown types", server, b"".join(frames))

    async def _drip(self, server: Server) -> None:
        """Sends a whole session one byte at a time."""
        sock = await self._connect(server)
        for byte in wire.hello(1, ordered=True) + wire.keepalive() + wire.subscribe(23) + self._foreign(1)[0].add:
            await self._send(sock, bytes((byte,)))
            await asyncio.sleep(0.02)
        await asyncio.sleep(1)
        self._drop(sock)

    # Floods.

    async def _flood(self, server: Server) -> None:
        """Opens hundreds of connections at once from one address. Some of them send data."""
        source = self._source()
        count = self._dice.randint(200, 400)
        socks = await asyncio.gather(*(self._connect(server, source) for _ in range(count)), return_exceptions=True)
        socks = [sock for sock in socks if isinstance(sock, socket.socket)]
        try:
            for sock in self._dice.sample(socks, len(socks) // 4):
                await self._send(sock, wire.hello(100) + wire.keepalive() + wire.subscribe(23))
            await asyncio.sleep(0.5)
            self.look()
            await asyncio.sleep(self._dice.uniform(0.5, 3))
        finally:
            for sock in socks:
                self._drop(sock, with_reset=self._dice.random() < 0.5)

    async def _keepalives(self, server: Server) -> None:
        """Sends 200,000 KEEPALIVEs without reading the answers."""
        sock = await self._connect(server, receive_buffer=2048)
        await self._send(sock, wire.hello(100, ordered=self._dice.random() < 0.5) + wire.keepalive())
        try:
            async with asyncio.timeout(6):
                for _ in range(200):
                    await self._send(sock, wire.keepalive() * 1000)
        except TimeoutError:
            # The server has stopped reading, which is permitted.
            pass
        self._drop(sock, with_reset=self._dice.random() < 0.5)

    async def _subscribes(self, server: Server) -> None:
        """Subscribes to thousands of VNIs and unsubscribes again."""
        vnis = range(STRANGE_VNI, STRANGE_VNI + 5000)
        on, off = b"".join(map(wire.subscribe, vnis)), b"".join(map(wire.unsubscribe, vnis))
        session = await self._session(server, ordered=self._dice.random() < 0.5)
        for _ in range(3):
            await session.send(on)
            await session.send(off)
        await session.send(on)
        await session.proof()
        await self._leave(session, with_reset=self._dice.random() < 0.5)

    async def _big(self, server: Server) -> None:
        """Announces many routes in a VNI that another hostile peer subscribes to. Neither of them reads anything."""
        vni = STRANGE_VNI + self._dice.randrange(100_000)
        reader = await self._connect(server, receive_buffer=2048)
        everything = b"".join(map(wire.subscribe, (*VNIS, vni)))
        await self._send(reader, wire.hello(100, ordered=True) + wire.keepalive() + everything)
        sender = await self._connect(server, receive_buffer=2048)
        await self._send(sender, wire.hello(100, ordered=True) + wire.keepalive() + everything)
        template = wire.route(vni, "1.2.3.4/32", FOREIGN_HOP).add
        head, tail = template.split(bytes((1, 2, 3, 4)))
        for start in range(0, self._settings.big, 2000):
            chunk = b"".join(head + n.to_bytes(4, "big") + tail for n in range(start, start + 2000))
            await self._send(sender, chunk)
            self._journal.counts["updates of strangers"] += 2000
        await asyncio.sleep(self._dice.uniform(0, 2))
        self._drop(sender, with_reset=self._dice.random() < 0.5)
        await asyncio.sleep(self._dice.uniform(0, 2))
        self._drop(reader)

    async def _cut(self, server: Server) -> None:
        """Closes a connection with RST in the middle of a frame, ten times."""
        whole = wire.hello(1, restart_time=self._dice.choice((0, RESTART_TIME))) + wire.keepalive()
        whole += b"".join(route.add for route in self._foreign(20))
        for _ in range(10):
            sock = await self._connect(server)
            await self._send(sock, whole[: self._dice.randrange(1, len(whole))])
            await asyncio.sleep(self._dice.choice((0, 0.05)))
            self._drop(sock, with_reset=True)

    # Proper sessions with hostile contents.

    async def _thief(self, server: Server) -> None:
        """Withdraws routes of other announcers."""
        removes = b"".join(route.remove for route in self._rocks)
        await self._odd("removal of others' routes", server, removes, restart_time=RESTART_TIME)

    async def _mimic(self, server: Server) -> None:
        """Announces routes of other announcers, withdraws some of them, and closes the session."""
        session = await self._session(server, restart_time=self._dice.choice((0, RESTART_TIME)))
        await session.send(b"".join(route.add for route in self._rocks))
        await session.send(b"".join(route.remove for route in self._dice.sample(self._rocks, len(self._rocks) // 2)))
        await asyncio.sleep(self._dice.uniform(0, 2))
        await self._leave(session, with_reset=self._dice.random() < 0.5)

    async def _flapper(self, server: Server) -> None:
        """Announces and withdraws the same routes repeatedly, in the clients' VNIs."""
        routes = self._foreign(300)
        session = await self._session(server, ordered=False)
        for _ in range(30):
            await session.send(b"".join(route.add for route in routes))
            await asyncio.sleep(self._dice.choice((0, 0.05)))
            await session.send(b"".join(route.remove for route in routes))
        await self._leave(session, with_reset=True)

    async def _hoarder(self, server: Server) -> None:
        """Asks for the longest possible restart time for its routes; a server limits it."""
        session = await self._session(server, restart_time=(1 << 32) - 1)
        await session.send(b"".join(route.add for route in self._foreign(500, STRANGE_VNI)))
        await session.proof()
        await self._leave(session, with_reset=True)
