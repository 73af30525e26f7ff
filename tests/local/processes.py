"""Which processes belong to a laptop cloud, as the system tells."""

import os
from pathlib import Path


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that name the folder in their arguments or their environment."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ")
                environment = (process / "environ").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in command + environment:
                found.append(command.decode())
    return found
