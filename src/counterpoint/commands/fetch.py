"""`counterpoint download`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from counterpoint.commands.terminal import terminal
from counterpoint.data.download.zenodo import ZENODO, download


def fetch(
    dataset: str, root: str | None, parts: Sequence[int | str], extras: Sequence[str], base_url: str | None
) -> None:
    """Download with a bar per file, and say where everything lies.

    Args:
        dataset: name of a record.
        root: folder; None: where the dataset is looked for.
        parts: of the dataset, e.g. numbers of speakers.
        extras: what else to fetch, e.g. landmarks.
        base_url: server of the listing; None: Zenodo.
    """
    console = terminal(stderr=True)
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    tasks = {}

    def progress(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=total)
        bars.update(tasks[name], completed=done, total=total)

    with bars:
        done = download(
            dataset,
            root,
            parts=parts,
            extras=extras,
            base_url=base_url or ZENODO,
            progress=progress,
            announce=bars.console.print,
        )
    print(f"{len(done.fetched)} files fetched, {len(done.skipped)} were there already; in {done.root}")
