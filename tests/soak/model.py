"""The expected state: which announcer announces which routes at which servers, and so which routes each subscriber must
have."""

from __future__ import annotations

import time
from collections.abc import Iterable

from .wire import Route

SERVERS = ("plain", "low")


class Announcer:
    """A peer that announces routes at some servers: a real client at both, a peer of this script at one."""

    def __init__(self, name: str, servers: tuple[str, ...]) -> None:
        self.name = name
        self.servers = servers
        self.wanted: set[Route] = set()
        # False for one that has left for good; then its routes must be gone as well.
        self.is_present = True
        # When its present session with a server opened. There is no entry without a session.
        self.since: dict[str, float] = {}

    def stands(self, server: str, at: float) -> bool:
        """Returns True if its session with this server has been open since that time."""
        since = self.since.get(server)
        return since is not None and since <= at

    def shake(self, *servers: str) -> None:
        """Notes that it or these servers were disturbed: its sessions with them count as opened now."""
        now = time.monotonic()
        for server in servers or self.servers:
            if server in self.since:
                self.since[server] = now


class Model:
    def __init__(self) -> None:
        self.announcers: dict[str, Announcer] = {}
        self.owners: dict[Route, set[Announcer]] = {}
        # When a route was last announced or withdrawn.
        self.touched: dict[Route, float] = {}
        self.updates = 0
        # Incremented by everything that changes a view. A view is computed again only after such a change. For each
        # name, the last view and what it was computed from.
        self._version = 0
        self._views: dict[str, tuple[tuple, set[Route]]] = {}

    def add(self, announcer: Announcer) -> None:
        self.announcers[announcer.name] = announcer

    def announce(self, who: Announcer, routes: Iterable[Route]) -> None:
        now = time.monotonic()
        self._version += 1
        for route in routes:
            who.wanted.add(route)
            self.owners.setdefault(route, set()).add(who)
            self.touched[route] = now
            self.updates += 1

    def withdraw(self, who: Announcer, routes: Iterable[Route]) -> None:
        now = time.monotonic()
        self._version += 1
        for route in routes:
            who.wanted.discard(route)
            self.owners[route].discard(who)
            self.touched[route] = now
            self.updates += 1

    def set_present(self, who: Announcer, is_present: bool) -> None:
        """Notes that an announcer leaves for good, or comes back."""
        who.is_present = is_present
        self._version += 1
        self.touch(who.wanted)

    def touch(self, routes: Iterable[Route]) -> None:
        now = time.monotonic()
        for route in routes:
            self.touched[route] = now

    def view(self, who: Announcer, vnis: set[int], servers: tuple[str, ...], hides_own: bool) -> set[Route]:
        """Returns the routes that a subscriber must be sent. With `hides_own`, the routes that a client must print,
        which ignores routes that it announces itself."""
        basis = (self._version, frozenset(vnis), servers)
        seen, routes = self._views.get(who.name, (None, set()))
        if seen != basis:
            routes = self._view(who, vnis, servers, hides_own)
            self._views[who.name] = (basis, routes)
        return routes

    def _view(self, who: Announcer, vnis: set[int], servers: tuple[str, ...], hides_own: bool) -> set[Route]:
        routes: set[Route] = set()
        for other in self.announcers.values():
            if other is not who and other.is_present and any(server in servers for server in other.servers):
                routes.update(route for route in other.wanted if route.vni in vnis)
        return routes - who.wanted if hides_own else routes


def difference(holder: str, held: set[Route], should: set[Route]) -> str | None:
    """Describes the difference with some examples. Returns None if there is none."""
    if held == should:
        return None
    missing, extra = should - held, held - should
    return f"{holder} holds {len(held)}, should {len(should)}: misses {_some(missing)}, has too many {_some(extra)}"


def _some(routes: set[Route]) -> str:
    return f"{len(routes)} ({', '.join(sorted(route.text for route in list(routes)[:5]))})"
