"""Announcements and withdrawals by all who announce, in bursts and in bulk, for as long as it runs."""

from __future__ import annotations

import asyncio
import random

from .client import Client
from .journal import Journal
from .population import Repertoire
from .readers import Reader
from .settings import Settings

PAUSE = 0.1


class Churn:
    def __init__(
        self,
        journal: Journal,
        settings: Settings,
        clients: list[Client],
        readers: list[Reader],
        repertoires: dict[str, Repertoire],
    ) -> None:
        self._journal = journal
        self._clients = clients
        self._readers = readers
        self._repertoires = repertoires
        self._dice: random.Random = settings.dice("churn")
        self._burst = settings.rate * PAUSE
        self._bulk_in = 3.0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            for _ in range(3):
                self._burst_of(self._dice.choice(self._clients))
            if self._dice.random() < 0.1:
                reader = self._dice.choice(self._readers)
                await reader.announce(self._dice.sample(self._repertoires[reader.name].churn, 20))
            self._bulk_in -= PAUSE
            if self._bulk_in <= 0:
                self._bulk_in = self._dice.uniform(2, 6)
                self._bulk_of(self._dice.choice(self._clients))

    def _burst_of(self, client: Client) -> None:
        churn = self._repertoires[client.name].churn
        some = self._dice.sample(churn, min(len(churn), 1 + int(self._dice.expovariate(3 / self._burst))))
        if self._can(client):
            toggle(client, some)
            if self._dice.random() < 0.05:
                # There and back again, so quickly that most of it should be news to nobody.
                for _ in range(4):
                    toggle(client, some[:10])

    def _bulk_of(self, client: Client) -> None:
        if self._can(client):
            bulk = self._repertoires[client.name].bulk
            client.withdraw(bulk) if bulk[0] in client.wanted else client.announce(bulk)
            self._journal.counts["bulk updates"] += 1

    @staticmethod
    def _can(client: Client) -> bool:
        # What is told to a stopped one would be done who knows when.
        return client.is_running and client.is_present and not client.is_stopped


def toggle(client: Client, routes: list) -> None:
    there = [route for route in routes if route in client.wanted]
    absent = [route for route in routes if route not in client.wanted]
    client.withdraw(there)
    client.announce(absent)


def level(client: Client, repertoire: Repertoire) -> None:
    """Announces what it announces at every checkpoint, so that one can be compared with another."""
    client.withdraw(client.wanted - repertoire.level)
    client.announce(repertoire.level - client.wanted)
