"""A run from start to end: storms with checkpoints in between, the final audit, and the summary."""

from __future__ import annotations

import asyncio
import resource
import shutil
import signal
import tempfile
import time
from pathlib import Path

from . import checkpoint, wire
from .settings import Settings, parse
from .world import World

FAULT_PAUSE = 4.0
HOSTILE_PAUSE = 1.5
# If a run takes this much longer than expected, something hangs.
HANGS = 300.0
# Approximate duration of a checkpoint.
CHECKPOINT = 22.0


def main(arguments: list[str] | None = None) -> int:
    settings = parse(arguments)
    wire.check_golden_bytes()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192) if hard > 0 else 8192, hard))
    directory = Path(tempfile.mkdtemp(prefix="metalbond-soak-"))
    print(f"seed {settings.seed}, work directory {directory}, {settings.binary}", flush=True)
    code = 1
    try:
        code = asyncio.run(_run(settings, directory))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    finally:
        if code == 0 and not settings.keep:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            print(f"the work directory is kept: {directory}", flush=True)
    return code


async def _run(settings: Settings, directory: Path) -> int:
    world = World(settings, directory)
    run = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, run.cancel)
    try:
        async with asyncio.timeout(settings.minutes * 60 + HANGS):
            await world.start()
            passed, failed = await _storms(world)
            is_good = await _audit(world)
        passed, failed = passed + is_good, failed + (not is_good)
        print(f"{passed} passed, {failed} failed", flush=True)
        return 1 if failed else 0
    except asyncio.CancelledError as error:
        raise KeyboardInterrupt from error
    finally:
        world.kill()


async def _storms(world: World) -> tuple[int, int]:
    settings, journal = world.settings, world.journal
    end = time.monotonic() + settings.minutes * 60
    fault_pause, hostile_pause = _pauses(world)
    counts = [0, 0]
    number = 0
    while True:
        number += 1
        left = end - time.monotonic()
        if number > 1 and left < CHECKPOINT + 5:
            return counts[1], counts[0]
        if number > 1 and journal.seconds() > settings.minutes * 60 / 3:
            world.faults.grow_old()
        world.storm(fault_pause, hostile_pause)
        await _last(world, max(5.0, min(settings.checkpoint_every, left) - CHECKPOINT))
        counts[await checkpoint.check(world, number)] += 1


def _pauses(world: World) -> tuple[float, float]:
    """Returns the pauses between faults and between attacks, short enough for each kind to occur in the first storm."""
    storm = world.settings.checkpoint_every - CHECKPOINT
    faults, hostile = world.faults.pause_divisor, len(world.hostile.kinds)
    return min(FAULT_PAUSE, storm / (faults + 3)), min(HOSTILE_PAUSE, storm / (hostile + 3))


async def _last(world: World, seconds: float) -> None:
    """Lets the storm continue for this time, and checks that no task of this script has failed."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        await asyncio.sleep(min(0.5, left))
        world.check_alive()
        world.look()


async def _audit(world: World) -> bool:
    """Checks the conditions of the whole run, and prints the summary."""
    journal = world.journal
    memory = world.memory.judge(journal)
    await world.end()
    never = [f"fault: {k}" for k in (*world.faults.kinds, *world.faults.young_kinds)] + [
        f"hostile: {k}" for k in world.hostile.kinds
    ]
    never = [kind for kind in never if not journal.counts[kind]]
    if never:
        journal.violation("this run was too short: it never came to", kinds=never)
    journal.counts["updates announced by the model"] = world.model.updates
    journal.counts["changes judged"] = world.witness.judged
    journal.counts["repeated updates to readers"] = sum(reader.repeats for reader in world.readers)
    print(f"\n{journal.seconds() / 60:.1f} minutes, seed {world.settings.seed}")
    for name, count in sorted(journal.counts.items()):
        print(f"{count:>10} {name}")
    for process in world.processes():
        print(f"{process.max_rss_kb / 1024:>10.1f} MB at most: {process.name} ({process.generation} lives)")
    print("\n".join(memory))
    print(f"{time.process_time():>10.1f} s of CPU time for this script")
    for what in sorted(set(journal.violations)):
        print(f"VIOLATED {journal.violations.count(what)} times: {what}")
    return not journal.new_violations()
