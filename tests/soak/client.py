"""A real client: announces routes by its standard input, computes its table from the lines that it prints, and reads
its log for sessions."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections import deque
from collections.abc import Iterable

from . import wire
from .journal import Journal
from .model import SERVERS, Announcer, Model, difference
from .process import Process
from .server import Server
from .settings import CLIENT_ARGUMENTS, VNIS, Settings
from .wire import Route
from .witness import Witness

READ = 1 << 16


class Client(Process, Announcer):
    """The process and its announcements. The announcements outlive the process: a new child gets all of them again."""

    def __init__(
        self, journal: Journal, settings: Settings, index: int, servers: list[Server], model: Model, witness: Witness
    ) -> None:
        Process.__init__(self, journal, f"client-{index}", [])
        Announcer.__init__(self, self.name, SERVERS)
        self.index = index
        self._binary = str(settings.binary)
        self._dice = settings.dice("client", index)
        self._servers = {f"{s.address[0]}:{s.address[1]}": s for s in servers}
        self._model = model
        self._witness = witness
        self.vnis: set[int] = set()
        self.does_cleanup = False
        self.table: set[Route] = set()
        # Cleared while its standard output is not read.
        self.is_read = asyncio.Event()
        self.is_read.set()
        # Number of lines that it has printed.
        self.lines = 0
        self._lines: deque[str] = deque(maxlen=2000)
        self._log = open(journal.directory / f"{self.name}.log", "ab", buffering=0)
        self._tasks: list[asyncio.Task] = []
        self._input: asyncio.Queue[bytes] = asyncio.Queue()

    async def start(self) -> None:
        """Starts the process, with other subscriptions than the last time."""
        self.vnis = set(self._dice.sample(VNIS, self._dice.randint(3, 6)))
        self.does_cleanup = self._dice.random() < 0.4
        self.command = [self._binary, "client", "--announce-file", "-", *CLIENT_ARGUMENTS]
        self.command += ["--cleanup"] if self.does_cleanup else []
        self.command += ["--subscribe", ",".join(map(str, sorted(self.vnis))), "--server", ",".join(self._servers)]
        self.table.clear()
        self.since.clear()
        self._input = asyncio.Queue()
        pipe = subprocess.PIPE
        await self.spawn(stdin=pipe, stdout=pipe, stderr=pipe, limit=READ)
        self._tasks = [asyncio.create_task(work()) for work in (self._feed, self._read_lines, self._read_log)]
        self._say(route.spec for route in self.wanted)
        self.journal.event(
            "client started", client=self.name, pid=self.child.pid, vnis=sorted(self.vnis), cleanup=self.does_cleanup
        )

    async def kill(self) -> None:
        self.since.clear()
        await super().kill()
        await self._gone()

    async def terminate(self) -> None:
        self.since.clear()
        await super().terminate()
        await self._gone()

    async def _gone(self) -> None:
        self.since.clear()
        feeder, *readers = self._tasks
        feeder.cancel()
        # The readers end with the pipes, which end with the process.
        await asyncio.gather(feeder, *readers, return_exceptions=True)

    # Its announcements.

    def announce(self, routes: Iterable[Route]) -> None:
        routes = [route for route in routes if route not in self.wanted]
        self._model.announce(self, routes)
        self._say(route.spec for route in routes)

    def withdraw(self, routes: Iterable[Route]) -> None:
        routes = [route for route in routes if route in self.wanted]
        self._model.withdraw(self, routes)
        self._say("-" + route.spec for route in routes)

    def _say(self, lines: Iterable[str]) -> None:
        text = "".join(line + "\n" for line in lines)
        if text and self.is_running:
            self._input.put_nowait(text.encode())

    async def _feed(self) -> None:
        stdin, queue = self.child.stdin, self._input
        try:
            while True:
                stdin.write(await queue.get())
                await stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass

    # Its table.

    def should_hold(self) -> set[Route]:
        return self._model.view(self, self.vnis, SERVERS, hides_own=True)

    def problem(self) -> str | None:
        """Returns why its state is not as expected, or None."""
        if not self.is_running:
            return f"{self.name} does not run"
        missing = [server.name for server in self._servers.values() if server.name not in self.since]
        if missing:
            return f"{self.name} has no session with {missing}"
        return difference(self.name, self.table, self.should_hold())

    async def _read_lines(self) -> None:
        rest = b""
        while data := await self.child.stdout.read(READ):
            await self.is_read.wait()
            *lines, rest = (rest + data).split(b"\n")
            now = time.monotonic()
            for line in lines:
                self._take(line.decode("utf-8", "replace"), now)
            self.lines += len(lines)
            self.journal.counts["lines of clients"] += len(lines)

    def _take(self, line: str, now: float) -> None:
        self._lines.append(f"{now:.3f} {line}")
        sign = line[:2]
        try:
            route = wire.printed(line[2:])
        except (ValueError, IndexError, KeyError):
            self.journal.violation("a line that is no route", client=self.name, line=line)
            return
        if sign == "+ " and route not in self.table:
            self.table.add(route)
        elif sign == "- " and route in self.table:
            self.table.remove(route)
        else:
            history = [old for old in self._lines if old.endswith(line[2:])]
            self.journal.violation("a line that changes nothing", client=self.name, line=line, history=history[-6:])
        self._witness.judge(self, SERVERS, sign == "+ ", route, now)

    # Its sessions.

    async def _read_log(self) -> None:
        while line := await self.child.stderr.readline():
            self._log.write(line)
            if b"panicked" in line:
                self.journal.violation("panic", client=self.name, line=line.decode("utf-8", "replace"))
            elif b'"session"' in line:
                self._session(json.loads(line))
            elif b'"INFO"' not in line:
                self.journal.violation("a warning of a client", client=self.name, line=line.decode("utf-8", "replace"))

    def _session(self, entry: dict) -> None:
        server = self._servers[entry["peer"]]
        if entry["new"] == "ESTABLISHED":
            self.since[server.name] = time.monotonic()
            self.journal.counts["sessions of clients"] += 1
        elif entry["old"] == "ESTABLISHED":
            self.since.pop(server.name, None)
            self.journal.event("session lost", client=self.name, server=server.name, reason=entry.get("reason"))
            self._witness.lost(self.name, server, self.is_excused or self._ending, entry.get("reason", ""))
