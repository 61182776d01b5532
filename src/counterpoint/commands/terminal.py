"""How verbs print."""

from __future__ import annotations

from rich.console import Console


def terminal(*, stderr: bool = False, soft_wrap: bool = False) -> Console:
    """A console that prints text as it stands: a clip may be called ``[/x]``, which rich would take for markup."""
    return Console(stderr=stderr, soft_wrap=soft_wrap, markup=False, highlight=False)
