"""Judges each line that a client prints, and each UPDATE that a reader of ours gets, while everything is in motion: is
there anything that explains it? A route that nobody has touched for a while, and whose announcer and receiver have both
had a session with the same server all the while, must not move."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .journal import Journal
from .model import Announcer, Model
from .wire import Route

if TYPE_CHECKING:
    from .server import Server

# How long a change may be on its way: hold times, restart times, slow machines.
SETTLED = 15.0
LONG_SETTLED = 40.0


class Witness:
    def __init__(self, journal: Journal, model: Model) -> None:
        self.journal = journal
        self.model = model
        self.started = time.monotonic()
        self.judged = 0

    def judge(self, receiver: Announcer, servers: tuple[str, ...], is_add: bool, route: Route, now: float) -> None:
        self.judged += 1
        touched = self.model.touched.get(route, self.started)
        if touched > now - SETTLED or route.is_foreign:
            return
        owners = [o for o in self.model.owners.get(route, ()) if o is not receiver and o.is_present]
        if is_add:
            is_explained = bool(owners) or touched > now - LONG_SETTLED
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

    def lost(self, who: str, server: Server, is_own_fault: bool, reason: str) -> None:
        """A session is lost. It must have been by a fault of ours."""
        self.journal.counts["sessions lost"] += 1
        if not (is_own_fault or server.is_excused):
            self.journal.violation("a session is lost though nobody touched its ends", who=who, server=server.name, reason=reason)
