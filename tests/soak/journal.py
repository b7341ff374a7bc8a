"""The record of a run: one line of JSON per event in the work directory, the violations, and counts for the summary."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path


class Journal:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self._start = time.monotonic()
        self._file = open(directory / "events.jsonl", "w", encoding="utf-8")
        self._said = 0
        self._counted = 0

    def seconds(self) -> float:
        return round(time.monotonic() - self._start, 3)

    def event(self, event: str, **details: object) -> None:
        print(json.dumps({"t": self.seconds(), "event": event, **details}, default=str), file=self._file, flush=True)

    def violation(self, what: str, **details: object) -> None:
        """Records a violation. The run continues, but has failed."""
        self.event("violation", what=what, **details)
        self.violations.append(what)
        self._said += 1
        if self._said <= 40:
            self.say(f"VIOLATION: {what} {json.dumps(details, default=str)}"[:1500])

    def new_violations(self) -> int:
        """Returns the number of violations since the last call."""
        new = len(self.violations) - self._counted
        self._counted += new
        return new

    def say(self, text: str) -> None:
        print(f"{self.seconds():8.1f} {text}", flush=True)

    def close(self) -> None:
        self._file.close()
