"""Where everything is printed: text as it stands, but for what would act on the terminal."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from counterpoint.errors import moderate, printable

if TYPE_CHECKING:
    from rich.console import Console


_LEAST_WIDTH, _FILE_WIDTH = 60, 80


def console(**options: Any) -> Console:
    """A rich console that takes nothing for markup: a clip may be called ``[/x]``, or have an escape in its name.

    It is never narrower than tables of figures can be: in a smaller window lines break, and no figure is cut.

    Args:
        options: of `rich.console.Console`.
    """
    made = _safe_console()(markup=False, highlight=False, **options)
    least = _LEAST_WIDTH if made.is_terminal else _FILE_WIDTH
    if made.width < least:
        made.width = least
    return made


@functools.cache
def _safe_console() -> type[Console]:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text

    class SafeConsole(Console):
        def on_broken_pipe(self) -> None:
            """The reader, e.g. ``head``, has had enough: the work goes on unseen; rich would end it with code 1."""
            self.quiet = True
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(moderate(text), **options)

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=printable(segment.text))

    return SafeConsole


@functools.cache
def guard_logging() -> None:
    """Have warnings, and log records that no handler takes, printed in this way too, in a process of ours.

    Characters that the encoding of the output lacks, as under ``LC_ALL=C``, are written as escapes.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    former = warnings.formatwarning
    warnings.formatwarning = lambda *args, **kwargs: printable(former(*args, **kwargs))
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Printable())


class _Printable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))
