"""Checks each line that a client prints and each UPDATE that a reader receives, during all activity. Every change needs
an explanation: a route must not change if it was not announced or withdrawn for a while and its announcer and its
receiver have both had a session with the same server all the time."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from .journal import Journal
from .model import Announcer, Model
from .wire import Route

if TYPE_CHECKING:
    from .server import Server

# How long a change may take to spread: hold times, restart times, slow machines.
SETTLED = 15.0
LONG_SETTLED = 40.0
# How long an initial sync takes.
SYNCED = 3.0


class Witness:
    def __init__(self, journal: Journal, model: Model) -> None:
        self.journal = journal
        self.model = model
        self.started = time.monotonic()
        self.judged = 0
        # Set when all processes are being ended.
        self.is_over = False
        # Routes that are announced all the time. `_removals` lists their recent removals: time, receiver and route.
        self.rocks: set[Route] = set()
        self._removals: deque[tuple[float, Announcer, Route]] = deque(maxlen=20_000)

    def judge(self, receiver: Announcer, servers: tuple[str, ...], is_add: bool, route: Route, now: float) -> None:
        if self.is_over:
            return
        self.judged += 1
        if not is_add and route in self.rocks:
            self._removals.append((now, receiver, route))
        touched = self.model.touched.get(route, self.started)
        if touched > now - SETTLED or route.is_foreign:
            return
        owners = [o for o in self.model.owners.get(route, ()) if o is not receiver and o.is_present]
        if is_add:
            # A route of its own: after a restart, it is sent the routes of its life before, until it announces them
            # again.
            is_explained = bool(owners) or route in receiver.wanted or touched > now - LONG_SETTLED
        else:
            at = now - SETTLED
            is_explained = not any(o.stands(s, at) and receiver.stands(s, at) for o in owners for s in servers)
        if not is_explained:
            what = "an addition" if is_add else "a removal"
            self.journal.violation(
                f"{what} that nothing explains",
                receiver=receiver.name,
                route=route.text,
                untouched=round(now - touched, 1),
                owners={o.name: {s: round(now - since, 1) for s, since in o.since.items()} for o in owners},
                sessions={s: round(now - since, 1) for s, since in receiver.since.items()},
            )

    def restarted(self, who: Announcer, killed: float, servers: list[Server]) -> None:
        """Checks a client that was killed and had a session with these undisturbed servers again within its restart
        time: subscribers with an uninterrupted session with one of them must not have been sent removals of its
        routes."""
        self.journal.counts["restarts that nobody should notice"] += 1
        changed = {
            (receiver.name, route.text)
            for at, receiver, route in self._removals
            if at >= killed and route in who.wanted and receiver is not who
            if any(receiver.stands(server.name, killed - SYNCED) for server in servers)
        }
        if changed:
            some = sorted(changed)[:5]
            self.journal.violation("a quick restart is noticed", who=who.name, count=len(changed), some=some)

    def lost(self, who: str, server: Server, is_own_fault: bool, reason: str) -> None:
        """Handles the loss of a session, which must be explained by a fault of this script."""
        if self.is_over:
            return
        self.journal.counts["sessions lost"] += 1
        if not (is_own_fault or server.is_excused):
            self.journal.violation(
                "a session is lost though nobody touched its ends", who=who, server=server.name, reason=reason
            )
