"""Faults of real clients and servers: they are killed, ended, stopped and restarted. The kinds of faults are shuffled
like a deck of cards, again and again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine

from .client import Client
from .journal import Journal
from .model import Model
from .process import Process, until
from .server import Server
from .settings import RESTART_TIME, Settings
from .witness import SYNCED, Witness

Fault = Callable[[], Coroutine[None, None, None]]


class Faults:
    """Injects the faults. After the first third of the run, clients with even numbers and the server `plain` are
    *veterans*: they are not killed any more, so that their memory can be observed for a long time."""

    def __init__(
        self,
        journal: Journal,
        settings: Settings,
        clients: list[Client],
        servers: dict[str, Server],
        model: Model,
        witness: Witness,
    ) -> None:
        self._journal = journal
        self._clients = clients
        self._servers = servers
        self._model = model
        self._witness = witness
        self._dice: random.Random = settings.dice("faults")
        self._running: set[asyncio.Task] = set()
        # Of clients that had left.
        self._returns: list[asyncio.Task] = []
        self._is_young = True
        self._one_server = asyncio.Lock()
        # Clients do not come back during a checkpoint.
        self._is_stormy = asyncio.Event()
        self.kinds: dict[str, Fault] = {
            "client killed, back within its restart time": self._client_killed_briefly,
            "client killed, back after its restart time": self._client_killed_for_long,
            "client stopped for a moment": lambda: self._client_stopped(0.2, 1.5),
            "client stopped past its hold": lambda: self._client_stopped(3.5, 7),
            "client ended and started again": self._client_restarted,
            "client leaves for good": self._client_leaves,
            "client's output not read": self._client_unread,
            "server stopped for a moment": lambda: self._server_stopped(0.2, 1.5),
            "server stopped past its hold": lambda: self._server_stopped(3.5, 6),
            "server killed, back at once": lambda: self._server_killed(["low"], 0, 0.1),
            "server killed, back later": lambda: self._server_killed(["low"], 1, 5),
            "server ended and started again": self._server_restarted,
            "disk of the log freed and filled": self._disk_freed,
        }
        self.young_kinds: dict[str, Fault] = {
            "big server killed": lambda: self._server_killed(["plain"], 0, 4),
            "both servers killed": lambda: self._server_killed(["plain", "low"], 0, 3),
        }
        self._deck: list[str] = []

    def grow_old(self) -> None:
        self._is_young = False

    async def run(self, pause: float) -> None:
        """Injects faults with such pauses between their starts; they may overlap."""
        self._is_stormy.set()
        while True:
            if not self._deck:
                self._deck = [*self.kinds, *(self.young_kinds if self._is_young else ())]
                self._dice.shuffle(self._deck)
            kind = self._deck.pop()
            fault = self.kinds.get(kind) or self.young_kinds[kind]
            self._journal.counts[f"fault: {kind}"] += 1
            task = asyncio.create_task(fault())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            await asyncio.sleep(pause * self._dice.uniform(0.5, 1.5))

    async def settle(self) -> None:
        """Waits until all running faults have ended. A fault that failed is an error of this script."""
        self._is_stormy.clear()
        while self._running:
            await asyncio.gather(*self._running)
        for client in self._clients:
            # Waits for a client that is just coming back.
            async with client.busy:
                pass
        for task in self._returns:
            if task.done():
                task.result()

    @property
    def pause_divisor(self) -> int:
        return len(self.kinds) + len(self.young_kinds)

    def _any_client(self, *, spares_veterans: bool) -> Client:
        candidates = [c for c in self._clients if c.is_present and not c.busy.locked()]
        if spares_veterans and not self._is_young:
            candidates = [c for c in candidates if c.index % 2]
        return self._dice.choice(candidates or self._clients)

    # Faults of clients.

    async def _client_killed_briefly(self) -> None:
        """Kills and restarts a client within its restart time. Subscribers with an uninterrupted session must not get
        an update."""
        client = self._any_client(spares_veterans=True)
        synced = [s for s in self._servers.values() if client.stands(s.name, time.monotonic() - SYNCED)]
        async with disturbed(client):
            if not client.is_present:
                return
            killed = time.monotonic()
            await self._kill(client, self._dice.uniform(0, RESTART_TIME / 4))
            # After this time, the client may announce its routes too late.
            await until(lambda: None if len(client.since) == len(self._servers) else "away", RESTART_TIME / 2, 0.02)
            back = [server for server in synced if client.stands(server.name, killed + RESTART_TIME / 2)]
            await asyncio.sleep(killed + RESTART_TIME + 2 - time.monotonic())
            settled = killed + RESTART_TIME
            calm = [server for server in back if server.was_left_alone(killed) and client.stands(server.name, settled)]
            if calm:
                self._witness.restarted(client, killed, calm)

    async def _client_killed_for_long(self) -> None:
        client = self._any_client(spares_veterans=True)
        async with disturbed(client):
            if client.is_present:
                await self._kill(client, self._dice.uniform(RESTART_TIME + 1, RESTART_TIME + 4))

    async def _kill(self, client: Client, pause: float) -> None:
        self._note("killed", client, pause=pause)
        await client.kill()
        await asyncio.sleep(pause)
        await client.start()

    async def _client_restarted(self) -> None:
        client = self._any_client(spares_veterans=True)
        async with disturbed(client):
            if client.is_present:
                self._note("ended", client, cleanup=client.does_cleanup)
                await client.terminate()
                await client.start()

    async def _client_leaves(self) -> None:
        """Ends a client, with `--cleanup` if it was started in that way. It stays away for a while, perhaps over a
        checkpoint."""
        client = self._any_client(spares_veterans=True)
        away = self._dice.uniform(2, 20)
        async with disturbed(client):
            if not client.is_present:
                return
            self._note("leaves", client, cleanup=client.does_cleanup, away=away)
            await client.terminate()
            self._model.set_present(client, False)
        # Not a part of the fault: a checkpoint does not have to wait for it.
        asyncio.get_running_loop().call_later(
            away, lambda: self._returns.append(asyncio.create_task(self._come_back(client)))
        )

    async def _come_back(self, client: Client) -> None:
        await self._is_stormy.wait()
        async with disturbed(client):
            await client.start()
            self._model.set_present(client, True)

    async def _client_stopped(self, shortest: float, longest: float) -> None:
        client = self._any_client(spares_veterans=False)
        pause = self._dice.uniform(shortest, longest)
        async with disturbed(client):
            if client.is_present:
                self._note("stopped", client, pause=pause)
                client.stop()
                await asyncio.sleep(pause)
                client.resume()

    async def _client_unread(self) -> None:
        """Stops reading a client's output. Its announcements must still reach others, and it must not lose a
        session."""
        client = self._any_client(spares_veterans=False)
        async with client.busy:
            client.is_read.clear()
            await asyncio.sleep(self._dice.uniform(2, 6))
            client.is_read.set()

    # Faults of servers.

    async def _server_killed(self, names: list[str], shortest: float, longest: float) -> None:
        async with self._one_server:
            if "plain" in names and not self._is_young:
                return
            servers = [self._servers[name] for name in names]
            for server in servers:
                server.disturb()
            pause = self._dice.uniform(shortest, longest)
            for server in servers:
                self._note("killed", server, pause=pause)
                # A client may print the consequences before it logs the loss of the session.
                self._shake_sessions_with(server)
                await server.kill()
            await asyncio.sleep(pause)
            for server in servers:
                await server.start()
                server.undisturb()
                self._shake_sessions_with(server)

    async def _server_restarted(self) -> None:
        async with self._one_server, disturbed(self._servers["low"]) as server:
            self._note("ended", server)
            self._shake_sessions_with(server)
            await server.terminate()
            await server.start()
            self._shake_sessions_with(server)

    async def _server_stopped(self, shortest: float, longest: float) -> None:
        pause = self._dice.uniform(shortest, longest)
        async with self._one_server, disturbed(self._dice.choice(list(self._servers.values()))) as server:
            self._note("stopped", server, pause=pause)
            server.stop()
            await asyncio.sleep(pause)
            server.resume()
            self._shake_sessions_with(server)

    async def _disk_freed(self) -> None:
        disk = self._servers["low"].disk
        disk.free()
        await asyncio.sleep(self._dice.uniform(1, 3))
        disk.fill()

    def _shake_sessions_with(self, server: Server) -> None:
        for announcer in self._model.announcers.values():
            announcer.shake(server.name)

    def _note(self, what: str, process: Process, **details: object) -> None:
        self._journal.event(f"fault: {what}", process=process.name, **details)


class disturbed:
    """Marks a process as disturbed. Only one fault at a time can disturb a process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def __aenter__(self) -> Process:
        await self._process.busy.acquire()
        self._process.disturb()
        if isinstance(self._process, Client):
            self._process.shake()
        return self._process

    async def __aexit__(self, *error: object) -> None:
        if isinstance(self._process, Client):
            self._process.shake()
        self._process.undisturb()
        self._process.busy.release()
