"""A full disk: a tiny tmpfs if this script may mount one, otherwise /dev/full."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import BinaryIO

SIZE_KB = 64


class FullDisk:
    """A disk that is full from the start. Only a tmpfs can be freed for a while."""

    def __init__(self, directory: Path) -> None:
        self.mount = directory / "full"
        self.mount.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_KB}k", "tmpfs", str(self.mount)]
        self.is_mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        self._filler = self.mount / "filler"

    def open_log(self) -> BinaryIO:
        """Opens a log file on the full disk."""
        return open(self.mount / "log" if self.is_mounted else "/dev/full", "ab", buffering=0)

    def fill(self) -> None:
        """Uses up all free space."""
        if not self.is_mounted:
            return
        with open(self._filler, "ab", buffering=0) as filler:
            try:
                while filler.write(bytes(512)) == 512:
                    pass
            except OSError:
                pass

    def is_full(self) -> bool:
        return not self.is_mounted or os.statvfs(self.mount).f_bavail == 0

    def free(self) -> None:
        """Frees space for a while."""
        if self.is_mounted:
            self._filler.unlink(missing_ok=True)
            with open(self.mount / "log", "r+b") as log:
                log.truncate(0)

    def text(self) -> str:
        """Returns the text that was written while there was space."""
        return (self.mount / "log").read_text("utf-8", "replace") if self.is_mounted else ""

    def close(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.mount)], capture_output=True, check=False)
            self.is_mounted = False
