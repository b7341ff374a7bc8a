"""The routes that are announced: of all kinds, some of them equal at several announcers."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .settings import VNIS
from .wire import Route, route


@dataclass
class Repertoire:
    """The routes of one announcer."""

    # Always announced.
    rock: list[Route]
    # Announced and withdrawn one by one; about half of them are announced at a time.
    churn: list[Route]
    # Announced and withdrawn all at once.
    bulk: list[Route]
    # Announced at checkpoints.
    level: set[Route]


def repertoire(index: int, dice: random.Random, *, churn: int, bulk: int) -> Repertoire:
    """Returns the routes of the announcer with this number."""
    vnis = dice.sample(VNIS, 4)
    hop6, hop4 = f"2001:db8::{index + 1:x}", f"192.0.2.{index + 1}"
    rock = [route(dice.choice(vnis), f"10.{index}.255.{n}/32", hop6) for n in range(50)]
    made = [_any(dice, dice.choice(vnis), index, n, hop6, hop4) for n in range(churn)]
    # Equal routes of several announcers, and equal destinations with different next hops.
    made += [route(VNIS[n % len(VNIS)], f"172.16.{n}.0/24", "2001:db8::ffff") for n in range(40)]
    made += [route(VNIS[n % len(VNIS)], f"172.17.{n}.0/24", hop6) for n in range(40)]
    made += [route(vni, "0.0.0.0/0", hop6) for vni in vnis] + [route(vni, "::/0", hop4) for vni in vnis]
    made = list(dict.fromkeys(made))
    bulk_vni = dice.choice(vnis)
    many = [route(bulk_vni, f"100.{64 + index}.{n >> 8}.{n & 255}/32", hop6) for n in range(bulk)]
    level = {*rock, *dice.sample(made, len(made) // 2)}
    if index % 2 == 0:
        level.update(many)
    return Repertoire(rock, made, many, level)


def _any(dice: random.Random, vni: int, index: int, n: int, hop6: str, hop4: str) -> Route:
    v4, v6 = f"10.{index}.{n >> 8}.{n & 255}", f"fd00:{index:x}:{n:x}::1"
    low = dice.randrange(60_000)
    match dice.randrange(8):
        case 0:
            return route(vni, f"{v6}/128", hop6)
        case 1:
            # Bits after the prefix length are part of a route's identity.
            return route(vni, f"{v6}/64", hop6)
        case 2:
            return route(vni, f"{v4}/32", hop6, "NAT", ports=(low, low + dice.randrange(5_000)))
        case 3:
            return route(vni, f"{v4}/32", hop6, "LB")
        case 4:
            return route(vni, f"{v4}/32", hop6, target_vni=dice.choice((1, 300, 16777215)))
        case 5:
            return route(vni, f"::ffff:{v4}/128", hop6)
        case 6:
            return route(vni, f"{v4}/24", hop4)
        case _:
            return route(vni, f"{v4}/32", hop6)
