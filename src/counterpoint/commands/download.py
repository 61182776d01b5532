"""`counterpoint download`."""

from __future__ import annotations

from collections.abc import Sequence

from counterpoint.commands.options import Parser
from counterpoint.commands.terminal import terminal


def main(words: list[str]) -> None:
    """Fetch a dataset from its public record: resumable, verified, with its licence shown."""
    parser = Parser("download", main.__doc__)
    parser.add_argument("dataset", type=str, help="grid or ravdess")
    parser.add_argument("--speakers", "--actors", type=list[int | str], default=[], help="which people, e.g. 1 2")
    parser.add_argument("--landmarks", action="store_true", help="also the points of the face (ravdess)")
    parser.add_argument("--root", type=str, help="the dataset's folder; default: where it is looked for")
    parser.add_argument("--base_url", type=str, help="server of the listing; default: Zenodo")
    options = parser.parse(words)
    extras = ["landmarks"] if options["landmarks"] else []
    fetch(options["dataset"], options["root"], options["speakers"], extras, options["base_url"])


def fetch(
    dataset: str, root: str | None, parts: Sequence[int | str], extras: Sequence[str], base_url: str | None
) -> None:
    """Download with a bar per file, and print where everything is.

    Args:
        dataset: name of a record.
        root: folder; None: where the dataset is looked for.
        parts: of the dataset, e.g. numbers of speakers.
        extras: what else to fetch, e.g. landmarks.
        base_url: server of the listing; None: Zenodo.
    """
    from counterpoint._progress import ProgressDisplay
    from counterpoint.data.download.zenodo import ZENODO, download

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
    terminal(soft_wrap=True).print(
        f"{len(done.fetched)} files fetched, {len(done.skipped)} were there already; in {done.root}"
    )
