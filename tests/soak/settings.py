"""The settings of a run: the command line, and constants that need no option."""

from __future__ import annotations

import argparse
import random
import shlex
from dataclasses import dataclass, field
from pathlib import Path

# The arguments of both servers besides their addresses. This is the place for limits, for example `--max-connections
# 100 --handshake-timeout 5`; `--server-arguments` adds arguments for one run.
SERVER_ARGUMENTS = ("--keepalive", "1", "--convergence-time", "3")
# Additional arguments of the server with few descriptors.
LOW_SERVER_ARGUMENTS: tuple[str, ...] = ()

RESTART_TIME = 2
HOLD = 10
CLIENT_ARGUMENTS = (
    "--keepalive",
    "1",
    "--stale-time",
    str(HOLD),
    "--session-stale-time",
    str(HOLD),
    "--restart-time",
    str(RESTART_TIME),
    "--log-format",
    "json",
)

# The lowest and the highest VNI, those around which the encoded length grows, and ordinary ones.
VNIS = (0, 1, 23, 127, 128, 4711, 65536, 16777215)


@dataclass
class Settings:
    minutes: float
    seed: int
    binary: Path
    clients: int
    descriptors: int
    rate: int
    checkpoint_every: float
    big: int
    keep: bool
    server_arguments: list[str] = field(default_factory=list)

    def dice(self, *names: object) -> random.Random:
        """Returns the random generator of one actor: equal in each run with this seed, whatever other actors do."""
        return random.Random(" ".join(map(str, (self.seed, *names))))


def parse(arguments: list[str] | None) -> Settings:
    parser = argparse.ArgumentParser(prog="tests/soak.py", description="A soak of the release binary, over loopback.")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (default %(default)s)")
    parser.add_argument("--seed", type=int, help="of all random choices (default: a new one, which is printed)")
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--binary", type=Path, default=root / "target/release/metalbond", help="(default %(default)s)")
    parser.add_argument("--clients", type=int, default=10, help="real ones (default %(default)s)")
    parser.add_argument("--descriptors", type=int, default=96, help="of the server with few (default %(default)s)")
    parser.add_argument("--rate", type=int, default=300, help="updates per second, about (default %(default)s)")
    parser.add_argument(
        "--checkpoint-every", type=float, metavar="SECONDS", help="(default: 60; 90 in runs over 10 minutes)"
    )
    parser.add_argument(
        "--big", type=int, metavar="ROUTES", help="of the biggest peer (default: a million, less in short runs)"
    )
    parser.add_argument(
        "--server-arguments", type=shlex.split, default=[], metavar="TEXT", help="for both servers, in one word"
    )
    parser.add_argument("--keep", action="store_true", help="keep the work directory even if all is well")
    options = parser.parse_args(arguments)
    if not options.binary.is_file():
        parser.error(f"no {options.binary}: cargo build --release")
    return Settings(
        minutes=options.minutes,
        seed=random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed,
        binary=options.binary.resolve(),
        clients=options.clients,
        descriptors=options.descriptors,
        rate=options.rate,
        checkpoint_every=options.checkpoint_every or (90.0 if options.minutes > 10 else 60.0),
        big=options.big or (1_000_000 if options.minutes >= 5 else 200_000),
        keep=options.keep,
        server_arguments=options.server_arguments,
    )
