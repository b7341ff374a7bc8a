"""Announces and withdraws routes by all announcers, in bursts and in bulk, until it is cancelled."""

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
                # Changed back and forth so quickly that most changes should not reach any subscriber.
                for _ in range(4):
                    toggle(client, some[:10])

    def _bulk_of(self, client: Client) -> None:
        if self._can(client):
            bulk = self._repertoires[client.name].bulk
            client.withdraw(bulk) if bulk[0] in client.wanted else client.announce(bulk)
            self._journal.counts["bulk updates"] += 1

    @staticmethod
    def _can(client: Client) -> bool:
        # A stopped client would process its input at an unknown time.
        return client.is_running and client.is_present and not client.is_stopped


def toggle(client: Client, routes: list) -> None:
    there = [route for route in routes if route in client.wanted]
    absent = [route for route in routes if route not in client.wanted]
    client.withdraw(there)
    client.announce(absent)


def level(client: Client, repertoire: Repertoire) -> None:
    """Makes a client announce the routes of its checkpoints, which are always the same, so that checkpoints are
    comparable."""
    client.withdraw(client.wanted - repertoire.level)
    client.announce(repertoire.level - client.wanted)
