"""Peers of this script: a session over a plain socket, and a subscriber that keeps and checks the routes that it
receives."""

from __future__ import annotations

import asyncio
import socket
import struct
import time

from . import wire
from .wire import Deframer, NotCanonical, Route

HANDSHAKE_DEADLINE = 10.0
READ = 1 << 16


class Closed(Exception):
    """The session has ended, or did not open."""


def dial_socket(source: str = "127.0.0.1", receive_buffer: int | None = None) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.bind((source, 0))
    return sock


def reset(sock: socket.socket) -> None:
    """Closes a socket with RST."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    sock.close()


class Session:
    """A session that sends keepalives. Received frames are passed to `received`, in the reading task."""

    def __init__(self, name: str, *, ordered: bool = True, restart_time: int = 0, source: str = "127.0.0.1") -> None:
        self.name = name
        self.ordered = ordered
        self.restart_time = restart_time
        self.source = source
        self.receive_buffer: int | None = None
        self.sock: socket.socket | None = None
        self.is_open = False
        self.closed = asyncio.Event()
        self.reason = ""
        self.misbehaviour: NotCanonical | None = None
        # Numbers of KEEPALIVEs sent and of answers. Each KEEPALIVE gets one answer.
        self.asked = 0
        self.answered = 0
        self._answer = asyncio.Event()
        self._writing = asyncio.Lock()
        self._deframer = Deframer()
        self._tasks: list[asyncio.Task] = []
        # How it reads: this number of bytes, then a pause in seconds. None: as fast as it can.
        self.pace: tuple[int, float] | None = None

    async def open(self, address: tuple[str, int]) -> None:
        """Opens the session. Raises `Closed` if it does not open."""
        loop = asyncio.get_running_loop()
        self.sock = dial_socket(self.source, self.receive_buffer)
        self._deframer = Deframer()
        self.asked = self.answered = 0
        self.closed.clear()
        try:
            async with asyncio.timeout(HANDSHAKE_DEADLINE):
                await loop.sock_connect(self.sock, address)
                greeting = wire.hello(1, ordered=self.ordered, restart_time=self.restart_time)
                await loop.sock_sendall(self.sock, greeting)
                kind, payload = await self._first()
                if kind != wire.HELLO or wire.parse(payload).get(2) != 1:
                    raise NotCanonical(f"{kind} {payload.hex()} in answer to HELLO")
                await loop.sock_sendall(self.sock, wire.keepalive())
                kind, _ = await self._first()
                if kind != wire.KEEPALIVE:
                    raise NotCanonical(f"{kind} in answer to the first KEEPALIVE")
        except OSError as error:
            self.sock.close()
            raise Closed(repr(error)) from error
        except BaseException:
            self.sock.close()
            raise
        self.is_open = True
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._beat())]

    async def _first(self) -> tuple[int, bytes]:
        """Returns the next frame of a handshake. Raises an error if there is more than one."""
        while True:
            data = await asyncio.get_running_loop().sock_recv(self.sock, READ)
            if not data:
                raise ConnectionResetError("closed during the handshake")
            frames = self._deframer.feed(data)
            if frames:
                if len(frames) > 1:
                    raise NotCanonical("more than an answer in the handshake")
                return frames[0]

    async def send(self, data: bytes) -> None:
        """Sends data. Raises `Closed` if the session has ended."""
        if not self.is_open:
            raise Closed(self.reason)
        async with self._writing:
            try:
                await asyncio.get_running_loop().sock_sendall(self.sock, data)
            except OSError as error:
                raise Closed(repr(error)) from error

    async def proof(self, seconds: float = 20.0) -> None:
        """Sends a KEEPALIVE and waits for its answer: then the server has read and, with `ordered`, answered everything
        before."""
        self.asked += 1
        wanted = self.asked
        await self.send(wire.keepalive())
        try:
            async with asyncio.timeout(seconds):
                while self.answered < wanted:
                    if not self.is_open:
                        raise Closed(self.reason)
                    self._answer.clear()
                    await self._answer.wait()
        except TimeoutError as error:
            raise Closed(f"no answer to a KEEPALIVE within {seconds} s") from error

    async def _beat(self) -> None:
        try:
            while True:
                await asyncio.sleep(0.8)
                self.asked += 1
                await self.send(wire.keepalive())
        except Closed:
            pass

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                pace = self.pace
                if pace and not pace[0]:
                    await asyncio.sleep(min(0.2, pace[1]))
                    continue
                data = await loop.sock_recv(self.sock, pace[0] if pace else READ)
                if not data:
                    raise ConnectionResetError("closed by the server")
                for kind, payload in self._deframer.feed(data):
                    if kind == wire.KEEPALIVE:
                        self.answered += 1
                        self._answer.set()
                    else:
                        self.received(kind, payload)
                if pace:
                    # A reader whose pace is changed must notice that soon.
                    end = time.monotonic() + pace[1]
                    while self.pace is pace and time.monotonic() < end:
                        await asyncio.sleep(min(0.2, pace[1]))
        except (OSError, NotCanonical) as error:
            self._ended(error)

    def received(self, kind: int, payload: bytes) -> None:
        """Handles any frame except an answer to a KEEPALIVE. Raises `NotCanonical` for an invalid one."""

    def _ended(self, error: BaseException) -> None:
        self.reason = str(error)
        self.is_open = False
        self.misbehaviour = error if isinstance(error, NotCanonical) else None
        self._answer.set()
        self.closed.set()

    async def close(self, *, with_reset: bool = False) -> None:
        self.is_open = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self.sock:
            reset(self.sock) if with_reset else self.sock.close()
        self.closed.set()


class Subscriber(Session):
    """A session that keeps the received routes."""

    def __init__(self, name: str, **options: object) -> None:
        super().__init__(name, **options)
        self.table: set[Route] = set()
        self.vnis: set[int] = set()
        # Number of ADDs of known routes and REMOVEs of unknown ones, which are permitted if a route changed twice in
        # between.
        self.repeats = 0
        self.updates = 0

    async def open(self, address: tuple[str, int]) -> None:
        self.table.clear()
        self.vnis.clear()
        await super().open(address)

    async def subscribe(self, *vnis: int) -> None:
        self.vnis.update(vnis)
        await self.send(b"".join(map(wire.subscribe, vnis)))

    def received(self, kind: int, payload: bytes) -> None:
        if kind != wire.UPDATE:
            raise NotCanonical(f"frame of type {kind}: {payload.hex()}")
        is_add, route = wire.decode_update(payload)
        if route.vni not in self.vnis:
            raise NotCanonical(f"a route of a VNI that is not subscribed to: {route}")
        self.updates += 1
        if is_add == (route in self.table):
            self.repeats += 1
        elif is_add:
            self.table.add(route)
        else:
            self.table.remove(route)
        self.on_update(is_add, route)

    def on_update(self, is_add: bool, route: Route) -> None:
        """Called for each UPDATE."""
