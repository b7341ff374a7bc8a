"""Checks that memory does not grow: compares each child's resident memory at all checkpoints of its life, which have
equal conditions."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from .journal import Journal
from .process import Process

# The first checkpoints of a child are its warm-up, because memory that was needed once is kept.
WARM_UP = 2
# With fewer checkpoints after the warm-up, memory is not judged.
ENOUGH = 6
MORE_KB = 4 * 1024
MORE_RATIO = 1.10


class Memory:
    def __init__(self) -> None:
        self._lives: dict[tuple[str, int], list[int]] = {}

    def note(self, processes: Iterable[Process]) -> None:
        for process in processes:
            if process.is_running:
                self._lives.setdefault((process.name, process.generation), []).append(process.note_memory())

    def judge(self, journal: Journal) -> list[str]:
        """Records a violation for each child whose memory grew. Returns the longest life of each process, for the
        summary."""
        longest: dict[str, tuple[int, str]] = {}
        for (name, generation), samples in self._lives.items():
            steady = samples[WARM_UP:]
            first, last = samples[0], samples[-1]
            text = (
                f"{name}: {first / 1024:.1f} MB at its first checkpoint, {last / 1024:.1f} MB {len(samples) - 1} later"
            )
            if len(steady) >= ENOUGH:
                third = len(steady) // 3
                early, late = median(steady[:third]), median(steady[-third:])
                text += f" (thirds: {early / 1024:.1f} and {late / 1024:.1f} MB)"
                if late > early + max(MORE_KB, (MORE_RATIO - 1) * early):
                    journal.violation("memory is not flat", process=name, generation=generation, kb=samples)
            journal.event("memory", process=name, generation=generation, kb=samples)
            if len(samples) > longest.get(name, (0, ""))[0]:
                longest[name] = (len(samples), text)
        return [text for _, text in longest.values()]
