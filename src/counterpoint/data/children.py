"""Interpreters started afresh, that decode or render beside this one: how one is started, and how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def start(arguments: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Run Python with these arguments, where the modules that this process sees are found.

    No ``multiprocessing``: that runs the user's script again (spawn), or inherits its threads (fork). There are as many
    processes as cores, so that each has one thread.

    Args:
        arguments: of the interpreter, e.g. ``["-m", "package.module"]``.
        options: further ones of `subprocess.Popen`.
    """
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, *arguments], env=environment, **options)


def how_it_ended(code: int) -> str:
    """``"SIGSEGV"``, or ``"exit status 3"``."""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit status {code}"
