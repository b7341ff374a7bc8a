"""All participants of a run, and how they are started, stopped and ended."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from .churn import Churn
from .client import Client
from .disk import FullDisk
from .faults import Faults
from .hostile import Hostile
from .journal import Journal
from .memory import Memory
from .model import Model
from .population import Repertoire, repertoire
from .process import Figures, Process, until
from .readers import Lag, Reader, SlowReader
from .server import START_DEADLINE, Server
from .settings import Settings
from .witness import Witness


def free_ports(count: int) -> list[int]:
    """Returns free ports of 127.0.0.1 below the range of ephemeral ports. Otherwise a client that dials while its
    server is down could get the server's port. The ports of the program's own tests are avoided as well."""
    ports = []
    for port in range(11_000 + os.getpid() % 800 * 10, 20_000):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise OSError("no free ports")


class World:
    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.journal = Journal(directory)
        self.model = Model()
        self.memory = Memory()
        self.lag = Lag()
        self.witness = Witness(self.journal, self.model)
        # The figures of a client right after its start, with all its sessions.
        self.fresh_client: Figures | None = None
        self.disk = FullDisk(directory)
        plain_port, low_port = free_ports(2)
        plain = Server(self.journal, settings, "plain", plain_port, None)
        low = Server(self.journal, settings, "low", low_port, self.disk)
        self.servers = {"plain": plain, "low": low}
        self.repertoires: dict[str, Repertoire] = {}
        self.clients = [
            Client(self.journal, settings, index, [plain, low], self.model, self.witness)
            for index in range(settings.clients)
        ]
        for client in self.clients:
            self._give_repertoire(client.name, client.index, churn=600, bulk=3000)
            self.model.add(client)
            self.model.announce(client, self.repertoires[client.name].level)
        self.readers: list[Reader] = []
        self.slow: list[SlowReader] = []
        self._announcing: list[Reader] = []
        for server in self.servers.values():
            self._add_readers(server)
        rocks = [route for client in self.clients for route in self.repertoires[client.name].rock]
        self.witness.rocks.update(rocks)
        self.faults = Faults(self.journal, settings, self.clients, self.servers, self.model, self.witness)
        self.hostile = Hostile(self.journal, settings, self.servers, rocks)
        self._churn = Churn(self.journal, settings, self.clients, self._announcing, self.repertoires)
        self._standing: list[asyncio.Task] = []
        self._stormy: list[asyncio.Task] = []

    def _give_repertoire(self, name: str, index: int, **sizes: int) -> None:
        self.repertoires[name] = repertoire(index, self.settings.dice("population", index), **sizes)

    def _add_readers(self, server: Server) -> None:
        shared = (server, self.journal, self.model, self.witness, self.lag)
        for ordered in (True, False):
            sort = "ordered" if ordered else "legacy"
            self.readers.append(Reader(f"{sort}-{server.name}", *shared, ordered=ordered))
            name = f"slow-{sort}-{server.name}"
            slow = SlowReader(name, *shared, ordered=ordered, dice=self.settings.dice(name))
            self.readers.append(slow)
            self.slow.append(slow)
        for reader in self.readers[-4:]:
            self.model.add(reader)
        legacy = self.readers[-2]
        self._give_repertoire(legacy.name, 100 + len(self._announcing), churn=100, bulk=0)
        self.model.announce(legacy, self.repertoires[legacy.name].rock)
        self._announcing.append(legacy)

    def processes(self) -> list[Process]:
        return [*self.servers.values(), *self.clients]

    def connections(self) -> dict[str, int]:
        """Returns the number of sessions that each server should have."""
        clients = sum(client.is_present for client in self.clients)
        readers = {name: sum(r.is_open for r in self.readers if r.server.name == name) for name in self.servers}
        return {name: clients + readers[name] for name in self.servers}

    async def start(self) -> None:
        for server in self.servers.values():
            await server.start()
        self.disk.fill()
        for client in self.clients:
            await client.start()
        first = self.clients[0]
        await until(lambda: None if len(first.since) == len(self.servers) else "not yet", START_DEADLINE)
        self.fresh_client = first.figures()
        self._standing = [asyncio.create_task(reader.run()) for reader in self.readers]
        self._standing += [asyncio.create_task(slow.dawdle()) for slow in self.slow]
        self._standing.append(asyncio.create_task(self.lag.run()))

    def storm(self, fault_pause: float, hostile_pause: float) -> None:
        """Starts all activity: churn, faults and attacks."""
        for slow in self.slow:
            slow.may_be_slow = True
        work = (self._churn.run(), self.faults.run(fault_pause), self.hostile.run(hostile_pause))
        self._stormy = [asyncio.create_task(part) for part in work]

    async def quiet(self) -> None:
        """Stops churn, attacks and new faults, and waits until stopped and killed processes run again."""
        for task in self._stormy:
            task.cancel()
        results = await asyncio.gather(*self._stormy, return_exceptions=True)
        await self.hostile.settle()
        await self.faults.settle()
        for slow in self.slow:
            slow.hurry()
        for result in results:
            if isinstance(result, Exception):
                raise result

    def look(self) -> None:
        """Notes what can be observed only during activity."""
        for process in self.processes():
            if process.is_running:
                process.note_memory()
        self.hostile.look()

    def check_alive(self) -> None:
        """Raises the error of a failed task of this script."""
        for task in (*self._standing, *self._stormy):
            if task.done() and not task.cancelled():
                task.result()

    async def end(self) -> None:
        """Ends all processes with SIGTERM, and checks that it works."""
        self.witness.is_over = True
        for task in self._standing:
            task.cancel()
        await asyncio.gather(*self._standing, return_exceptions=True)
        for reader in self.readers:
            await reader.close()
        await asyncio.gather(*(process.terminate() for process in self.processes() if process.is_running))

    def kill(self) -> None:
        """Kills all processes and frees all resources at once."""
        for process in self.processes():
            process._ending = True
            if process.is_running:
                process.child.kill()
        self.disk.close()
        self.journal.close()
