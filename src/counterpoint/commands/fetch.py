"""`counterpoint download`."""

from __future__ import annotations

from collections.abc import Sequence

from counterpoint._progress import ProgressDisplay
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
    with ProgressDisplay(sizes=True) as display:
        done = download(
            dataset,
            root,
            parts=parts,
            extras=extras,
            base_url=base_url or ZENODO,
            progress=display.update,
            announce=display.say,
        )
    print(f"{len(done.fetched)} files fetched, {len(done.skipped)} were there already; in {done.root}")
