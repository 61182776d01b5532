"""Interpreters started afresh, that decode, render or train beside this one: how one is started, and how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any


def start(module: str, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
    """Run ``main()`` of a module in a fresh interpreter, where the modules that this process sees are found.

    Nothing is imported from the working folder, into which anybody may have put an ``av.py``: ``python -c`` has that
    folder at the head of its path, so the path is set before anything is imported (Python 3.10 has no option for it).
    Where this process has it there, as an interactive one does, it comes last, behind all that is installed.

    No ``multiprocessing``: that imports from the working folder, and runs the user's script again (spawn) or inherits
    its threads (fork). There are as many processes as cores, so that each has one thread.

    Args:
        module: its whole name, e.g. ``package.module``.
        arguments: the module finds them in ``sys.argv[1:]``.
        options: further ones of `subprocess.Popen`.
    """
    path = [os.path.abspath(entry) for entry in sorted(sys.path, key=lambda entry: not entry)]  # noqa: PTH100
    begin = f"import sys; sys.path[:] = {path!r}; from {module} import main; main()"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **options.pop("env", {})}
    return subprocess.Popen([sys.executable, "-c", begin, *arguments], env=environment, **options)


def how_it_ended(code: int) -> str:
    """``"SIGSEGV"``, or ``"exit status 3"``."""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit status {code}"
