"""Subscribers of this script that stay for the whole run. At each server there are two kinds: with the capability
`ordered`, and without it, which also announces routes. There is a slow one of each kind, which at times reads nothing
or one byte per second."""

from __future__ import annotations

import asyncio
import random
import subprocess
import time

from . import wire
from .journal import Journal
from .model import Announcer, Model, difference
from .peer import Closed, Subscriber
from .server import Server
from .settings import RESTART_TIME, VNIS
from .wire import NotCanonical, Route
from .witness import Witness

AGAIN = 0.3
# If this script is late by more than this, it may lose sessions through its own fault.
SLOW_SCRIPT = 0.8


class Lag:
    """Measures how late this script is, because it shares the machine with the processes under test."""

    def __init__(self) -> None:
        self.worst = 0.0
        self.late_at = -1e9

    async def run(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.1)
            lag = time.monotonic() - before - 0.1
            self.worst = max(self.worst, lag)
            if lag > SLOW_SCRIPT:
                self.late_at = time.monotonic()

    @property
    def is_excuse(self) -> bool:
        return time.monotonic() - self.late_at < 5.0


class Reader(Subscriber, Announcer):
    """A subscriber that opens its session again whenever it is lost."""

    def __init__(
        self, name: str, server: Server, journal: Journal, model: Model, witness: Witness, lag: Lag, *, ordered: bool
    ) -> None:
        Subscriber.__init__(self, name, ordered=ordered, restart_time=RESTART_TIME if ordered else 0)
        Announcer.__init__(self, name, (server.name,))
        self.server = server
        self.journal = journal
        self.model = model
        self.witness = witness
        self.lag = lag
        # A server may close the session of a subscriber that reads too slowly.
        self.is_slow = False

    async def run(self) -> None:
        while True:
            try:
                await self.open(self.server.address)
                await self.send(b"".join(route.add for route in self.wanted))
                await self.subscribe(*VNIS)
                self.since[self.server.name] = time.monotonic()
                await self.closed.wait()
                self._lost()
            except Closed as error:
                self.reason = str(error)
            except NotCanonical as error:
                self.misbehaviour = error
                self._lost()
            finally:
                self.since.clear()
                await self.close()
            await asyncio.sleep(AGAIN)

    def _lost(self) -> None:
        self.journal.event("session lost", reader=self.name, reason=self.reason)
        if self.misbehaviour:
            self.journal.violation(
                "a server sends what it should not", reader=self.name, what_it_is=str(self.misbehaviour)
            )
        elif self.is_slow:
            self.journal.counts["sessions of slow readers lost"] += 1
        elif self.lag.is_excuse:
            self.journal.counts["sessions lost while this script was late"] += 1
        else:
            self.witness.lost(self.name, self.server, False, self.reason)

    def on_update(self, is_add: bool, route: Route) -> None:
        self.journal.counts["updates to readers"] += 1
        if not self.is_slow:
            self.witness.judge(self, self.servers, is_add, route, time.monotonic())

    def should_hold(self) -> set[Route]:
        return self.model.view(self, self.vnis, self.servers, hides_own=False)

    def problem(self) -> str | None:
        """Returns why its state is not as expected, or None."""
        if not self.is_open or len(self.vnis) < len(VNIS):
            return f"{self.name} has no session: {self.reason}"
        return difference(self.name, self.table, self.should_hold())

    async def announce(self, routes: list[Route]) -> None:
        """Announces those routes that are not announced, and withdraws the others."""
        add = [route for route in routes if route not in self.wanted]
        remove = [route for route in routes if route in self.wanted]
        self.model.announce(self, add)
        self.model.withdraw(self, remove)
        try:
            await self.send(b"".join([route.add for route in add] + [route.remove for route in remove]))
        except Closed:
            pass


class SlowReader(Reader):
    def __init__(self, *arguments: object, dice: random.Random, **options: object) -> None:
        super().__init__(*arguments, **options)
        self.is_slow = True
        # With a smaller buffer, TCP itself may fall back to one segment per retransmission timeout, and stay so slow.
        self.receive_buffer = 8192
        self.may_be_slow = True
        self._dice = dice

    async def dawdle(self) -> None:
        """Changes its reading speed at random, forever."""
        paces = {"nothing": (0, 1.0), "a byte a second": (1, 1.0), "5 kB a second": (512, 0.1), "all": None}
        while True:
            how = self._dice.choice(list(paces))
            if self.may_be_slow:
                self.pace = paces[how]
                self.journal.counts[f"slow reader: {how}"] += 1
            await asyncio.sleep(self._dice.uniform(2, 8))

    def transport(self) -> str:
        """Returns the system's information about both ends of the connection."""
        try:
            port = self.sock.getsockname()[1]
            command = ["ss", "-tinmo", f"( sport = :{port} or dport = :{port} )"]
            return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
        except (OSError, subprocess.SubprocessError) as error:
            return repr(error)

    def hurry(self) -> None:
        """Makes it read at full speed, until it may be slow again."""
        self.may_be_slow = False
        self.pace = None


async def fresh_table(name: str, server: Server, *, ordered: bool) -> set[Route]:
    """Returns the table that a new subscriber receives, VNI by VNI. Without `ordered` there is no End-of-RIB, so it
    waits until nothing has arrived for a while."""
    reader = Subscriber(name, ordered=ordered, source="127.0.0.2")
    await reader.open(server.address)
    try:
        for vni in VNIS:
            await reader.subscribe(vni)
            await reader.proof()
            if ordered:
                before = set(reader.table)
                await reader.send(wire.unsubscribe(vni))
                await reader.proof()
                if reader.table != before:
                    raise NotCanonical(f"VNI {vni} goes on after its sync though nothing changes")
        if not ordered:
            seen = -1
            while seen != reader.updates:
                seen = reader.updates
                await asyncio.sleep(1.0)
        if reader.repeats:
            raise NotCanonical(f"{reader.repeats} repeated routes in a first sync")
        return reader.table
    finally:
        await reader.close()
