"""One of the two servers."""

from __future__ import annotations

import subprocess

from .disk import FullDisk
from .journal import Journal
from .process import Figures, Process, until
from .settings import LOW_SERVER_ARGUMENTS, SERVER_ARGUMENTS, Settings

START_DEADLINE = 10.0


class Server(Process):
    def __init__(self, journal: Journal, settings: Settings, name: str, port: int, disk: FullDisk | None) -> None:
        """With a disk, the server logs to it and has few descriptors; otherwise it logs to a file."""
        command = [str(settings.binary), "server", "--listen", f"127.0.0.1:{port}", *SERVER_ARGUMENTS]
        command += settings.server_arguments
        command += LOW_SERVER_ARGUMENTS if disk else ()
        super().__init__(journal, name, command, settings.descriptors if disk else None)
        self.address = ("127.0.0.1", port)
        self.disk = disk
        # Its figures right after its start.
        self.fresh: Figures | None = None
        self.log = journal.directory / f"{name}.log"

    async def start(self) -> None:
        """Starts the server and waits until it listens."""
        with self.disk.open_log() if self.disk else open(self.log, "ab") as log:
            await self.spawn(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        # Its log may be lost, so the kernel is asked whether it listens.
        problem = await until(lambda: None if self._listens() else "does not listen", START_DEADLINE, 0.02)
        if problem and self.is_running:
            self.journal.violation("a server does not listen", server=self.name)
        if self.is_running:
            self.fresh = self.figures()
        self.journal.event("server started", server=self.name, pid=self.child.pid)

    def _listens(self) -> bool:
        return not self.is_running or self.figures().listening > 0

    def panics(self) -> list[str]:
        """Returns the lines of its log about panics."""
        text = self.disk.text() if self.disk else self.log.read_text("utf-8", "replace")
        return [line for line in text.splitlines() if "panicked" in line]
