"""Run a command under a pseudo-terminal, as a user at a terminal does."""

import os
import pty
import re
import subprocess
import time
from pathlib import Path

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]")


def run_at_terminal(*command: str, cwd: Path, timeout: float = 240, env: dict[str, str] | None = None):
    """Exit code and all that was shown, escape sequences taken out; the command is ended after `timeout` seconds."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", **(env or {})},
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + timeout
    try:
        while time.monotonic() < deadline:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            shown += part
        else:
            process.kill()
        return process.wait(30), _ESCAPES.sub("", shown.decode(errors="replace"))
    finally:
        process.kill()
        os.close(ours)
