"""A checkpoint: all activity stops, and every table and process must be as expected."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from . import churn
from .model import Announcer, difference
from .peer import Closed
from .process import Process, until
from .readers import SlowReader, fresh_table
from .server import Server
from .settings import HOLD, RESTART_TIME, VNIS
from .wire import NotCanonical

if TYPE_CHECKING:
    from .world import World

# Time until all tables are equal: the stale time without a session, the maximum back-off, the stale time with a
# session, and a margin.
TABLES_DEADLINE = HOLD + 5 + HOLD + 30
FRESH_DEADLINE = 30.0
# Half-open connections are closed after 10 s, and idle threads end after the same time.
PROCESSES_DEADLINE = 25.0
IDLE = 1.0
IDLE_SHARE = 0.2
# Standard input, standard output, log, and all other work.
CLIENT_THREADS = 4


async def check(world: World, number: int) -> bool:
    """Stops all activity, checks everything, and reports the result. Returns True if there was no violation."""
    journal = world.journal
    started = journal.seconds()
    await world.quiet()
    for client in world.clients:
        if client.is_present:
            churn.level(client, world.repertoires[client.name])
    problem, _ = await asyncio.gather(until(lambda: tables(world), TABLES_DEADLINE), world.hostile.examine())
    if problem:
        slow = [reader for reader in world.readers if isinstance(reader, SlowReader) and reader.problem()]
        transports = {reader.name: reader.transport() for reader in slow}
        journal.violation("tables differ from the model", problems=all_problems(world), transports=transports)
    equal_after = journal.seconds() - started
    await asyncio.gather(_fresh(world), _quick_restart(world, number))
    problem = await until(lambda: processes(world), PROCESSES_DEADLINE)
    if problem:
        journal.violation("a process is not as it was", problem=problem, connections=world.connections())
    # The tables must not have changed meanwhile.
    problem = tables(world)
    if problem:
        journal.violation("tables differ from the model again", problem=problem)
    await _idle(world)
    for server in world.servers.values():
        for line in server.panics():
            journal.violation("panic", server=server.name, line=line)
    if not world.disk.is_full():
        journal.violation("the full disk is not full")
    world.memory.note(world.processes())
    # Violations during the storm before count as well.
    is_good = not journal.new_violations()
    routes = sum(len(client.table) for client in world.clients)
    took = journal.seconds() - started
    memory = {name: process.note_memory() for name, process in world.servers.items()}
    journal.event("checkpoint", number=number, is_good=is_good, took=took, equal_after=equal_after, rss_kb=memory)
    journal.say(
        f"checkpoint {number} {'passed' if is_good else 'FAILED'}: {routes} routes at clients equal after"
        f" {equal_after:.1f} s of {took:.1f} s; servers' memory "
        + ", ".join(f"{name} {kb / 1024:.1f} MB" for name, kb in memory.items())
        + f"; script late by {world.lag.worst:.1f} s at most"
    )
    world.lag.worst = 0.0
    return is_good


def tables(world: World) -> str | None:
    """Returns the first table that differs from the model."""
    for client in world.clients:
        if client.is_present and (problem := client.problem()):
            return problem
    for reader in world.readers:
        if problem := reader.problem():
            return problem
    return None


def all_problems(world: World) -> list[str]:
    problems = [client.problem() for client in world.clients if client.is_present]
    problems += [reader.problem() for reader in world.readers]
    return [problem for problem in problems if problem]


async def _fresh(world: World) -> None:
    """Checks that each server sends a new subscriber exactly the routes of the model."""
    kinds = [(server, ordered) for server in world.servers.values() for ordered in (True, False)]
    for problem in await asyncio.gather(*(_newcomer(world, server, ordered) for server, ordered in kinds)):
        if problem:
            world.journal.violation("a newcomer receives something else than the model", problem=problem)


async def _newcomer(world: World, server: Server, ordered: bool) -> str | None:
    what = f"a newcomer {'with' if ordered else 'without'} `ordered` at {server.name}"
    should = world.model.view(Announcer(what, ()), set(VNIS), (server.name,), hides_own=False)
    try:
        async with asyncio.timeout(FRESH_DEADLINE):
            return difference(what, await fresh_table("newcomer", server, ordered=ordered), should)
    except (Closed, NotCanonical, TimeoutError) as error:
        return f"{what}: {error!r}"


async def _quick_restart(world: World, number: int) -> None:
    """Kills a client and restarts it within its restart time, without other activity: no subscriber may get an
    update."""
    candidates = [client for client in world.clients if client.is_present and client.index % 2]
    if not candidates:
        return
    client = candidates[number % len(candidates)]
    others = [other for other in world.clients if other is not client]
    world.journal.event("quick restart", client=client.name)
    before = [other.lines for other in others], [reader.updates for reader in world.readers]
    client.disturb()
    killed = time.monotonic()
    await client.kill()
    await client.start()
    await until(lambda: None if len(client.since) == len(world.servers) else "away", RESTART_TIME, 0.02)
    took = time.monotonic() - killed
    await asyncio.sleep(killed + RESTART_TIME + 1.5 - time.monotonic())
    client.undisturb()
    after = [other.lines for other in others], [reader.updates for reader in world.readers]
    if took > RESTART_TIME * 0.75:
        # On a machine this busy, the client may have announced its routes too late.
        world.journal.counts["quick restarts that took too long"] += 1
    elif after != before:
        world.journal.violation("a quick restart is noticed", client=client.name, took=took, before=before, after=after)
    else:
        world.journal.counts["quick restarts that nobody noticed"] += 1


def processes(world: World) -> str | None:
    """Returns the first process with an unexpected number of something."""
    sessions = world.connections()
    for server in world.servers.values():
        if problem := _process(world, server, 1, sessions[server.name]):
            return problem
    for client in world.clients:
        if client.is_present:
            if problem := _process(world, client, 0, len(world.servers)):
                return problem
            if client.figures().threads > CLIENT_THREADS:
                return f"{client.name} has {client.figures().threads} threads"
    return None


async def _idle(world: World) -> None:
    """Checks that processes use no CPU time when they have no work."""
    before = {process: process.cpu_seconds() for process in world.processes() if process.is_running}
    await asyncio.sleep(IDLE)
    for process, used in before.items():
        if process.is_running and process.cpu_seconds() - used > IDLE * IDLE_SHARE:
            used = round(process.cpu_seconds() - used, 2)
            world.journal.violation(
                "a process is busy with nothing", process=process.name, cpu_seconds=used, within=IDLE
            )


def _process(world: World, process: Process, listening: int, established: int) -> str | None:
    if not process.is_running:
        return f"{process.name} does not run"
    now = process.figures()
    # A server has a fixed number of threads; a client's threads come and go, up to a maximum.
    fresh = process.fresh if isinstance(process, Server) else world.fresh_client
    threads = now.threads if isinstance(process, Server) else fresh.threads
    should = (listening, established, 0, fresh.other_descriptors, fresh.threads)
    found = (now.listening, now.established, now.half_closed, now.other_descriptors, threads)
    if found != should:
        names = "(listening, established, half closed, others, threads)"
        return f"{process.name} has {asdict(now)}, should have {names} {should}"
    return None
