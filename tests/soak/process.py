"""A child process: started with limits, killed with this script, and checked for unexpected ends. Also its memory,
threads and descriptors according to the kernel, and the times at which it was disturbed."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from .journal import Journal

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1

# For this time after its end, a disturbance still explains changes, which take time to spread.
AFTERMATH = 6.0
END_DEADLINE = 10.0


@dataclass
class Figures:
    """The kernel's figures of a process."""

    rss_kb: int
    threads: int
    listening: int
    established: int
    # TCP sockets in any other state. They are leaks if they stay.
    half_closed: int
    # Everything except TCP sockets.
    other_descriptors: int


class Process:
    """A client or a server over all its restarts: each start creates another child of the same `Process`."""

    def __init__(self, journal: Journal, name: str, command: list[str], descriptors: int | None = None) -> None:
        self.journal = journal
        self.name = name
        self.command = command
        self.descriptors = descriptors
        self.child: asyncio.subprocess.Process | None = None
        # Number of children so far.
        self.generation = 0
        self.is_stopped = False
        self.busy = asyncio.Lock()
        self.max_rss_kb = 0
        self._ending = False
        self._disturbed = 0
        self._undisturbed_at = -1e9
        self._watch: asyncio.Task | None = None

    # Its life cycle.

    async def spawn(self, **streams: object) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "RUST_LOG" and not k.startswith("METALBOND_")}
        self.generation += 1
        self._ending = self.is_stopped = False
        self.child = await asyncio.create_subprocess_exec(
            *self.command, env=environment, start_new_session=True, preexec_fn=self._prepare, **streams
        )
        self._watch = asyncio.create_task(self._wait(self.child))

    def _prepare(self) -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if self.descriptors is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))

    async def _wait(self, child: asyncio.subprocess.Process) -> None:
        code = await child.wait()
        if not self._ending:
            self.journal.violation(
                "a process has ended by itself", process=self.name, code=code, generation=self.generation
            )

    @property
    def is_running(self) -> bool:
        return self.child is not None and self.child.returncode is None

    def signal(self, number: int) -> None:
        self.note_memory()
        self.child.send_signal(number)

    async def kill(self) -> None:
        """Kills the child with SIGKILL and waits for its end."""
        self._ending = True
        if self.is_running:
            self.signal(signal.SIGKILL)
        await self._watch

    async def terminate(self) -> None:
        """Sends SIGTERM, after which the child has to end in time and with exit code 0."""
        self._ending = True
        self.signal(signal.SIGTERM)
        try:
            code = await asyncio.wait_for(self.child.wait(), END_DEADLINE)
            if code != 0:
                self.journal.violation("exit code after SIGTERM", process=self.name, code=code)
        except TimeoutError:
            self.journal.violation("no end after SIGTERM", process=self.name)
            await self.kill()

    def stop(self) -> None:
        self.is_stopped = True
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.is_stopped = False
        if self.is_running:
            self.signal(signal.SIGCONT)

    # Its disturbances.

    def disturb(self) -> None:
        self._disturbed += 1

    def undisturb(self) -> None:
        self._disturbed -= 1
        self._undisturbed_at = time.monotonic()

    @property
    def is_excused(self) -> bool:
        """True if it is, or was recently, disturbed by this script."""
        return self._disturbed > 0 or time.monotonic() - self._undisturbed_at < AFTERMATH

    @property
    def is_at_ease(self) -> bool:
        return self._disturbed == 0

    def was_left_alone(self, since: float) -> bool:
        """Returns True if it was not disturbed since that time."""
        return self._disturbed == 0 and self._undisturbed_at < since

    # Its figures from the kernel.

    def note_memory(self) -> int:
        """Returns its resident memory in kB, and updates the maximum."""
        try:
            with open(f"/proc/{self.child.pid}/status", encoding="ascii", errors="replace") as status:
                lines = dict(line.split(":", 1) for line in status)
            rss = int(lines["VmRSS"].split()[0])
            self.max_rss_kb = max(self.max_rss_kb, int(lines["VmHWM"].split()[0]))
            return rss
        except (OSError, KeyError, AttributeError):
            return 0

    def count_descriptors(self) -> int:
        return len(_list(f"/proc/{self.child.pid}/fd"))

    def cpu_seconds(self) -> float:
        """Returns the CPU time that it has used so far."""
        try:
            with open(f"/proc/{self.child.pid}/stat", encoding="ascii", errors="replace") as stat:
                columns = stat.read().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(columns[11]) + int(columns[12])) / os.sysconf("SC_CLK_TCK")

    def figures(self) -> Figures:
        pid = self.child.pid
        rss = self.note_memory()
        sockets, other = [], 0
        for descriptor in _list(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            except OSError:
                continue
            if target.startswith("socket:["):
                sockets.append(target[8:-1])
            else:
                other += 1
        states, local = _tcp_states(), _unix_sockets()
        counts = {"0A": 0, "01": 0}
        half_closed = 0
        # A socket that both ends have closed before it was accepted is no longer in the table.
        for inode in sockets:
            state = states.get(inode)
            if state in counts:
                counts[state] += 1
            elif state is not None or inode not in local:
                half_closed += 1
            else:
                other += 1
        return Figures(rss, len(_list(f"/proc/{pid}/task")), counts["0A"], counts["01"], half_closed, other)


def _list(directory: str) -> list[str]:
    """Returns the entries of a directory, none if the process has ended."""
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _tcp_states() -> dict[str, str]:
    states = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table, encoding="ascii") as lines:
            next(lines)
            for line in lines:
                columns = line.split()
                states[columns[9]] = columns[3]
    return states


def _unix_sockets() -> set[str]:
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as lines:
        next(lines)
        return {line.split()[6] for line in lines}


async def until(problem: Callable[[], str | None], seconds: float, every: float = 0.1) -> str | None:
    """Waits until there is no problem any more. Returns the last one if that takes too long."""
    deadline = time.monotonic() + seconds
    while True:
        what = problem()
        if what is None or time.monotonic() > deadline:
            return what
        await asyncio.sleep(every)
