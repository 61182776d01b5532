"""`counterpoint download`: its options."""

from __future__ import annotations

from counterpoint.commands.options import Parser, lists_of_words


def main(words: list[str]) -> None:
    """Fetch a dataset from its public record: resumable, verified, with its licence shown."""
    parser = Parser("download", main.__doc__)
    parser.add_argument("dataset", type=str, help="grid or ravdess")
    parser.add_argument("--speakers", "--actors", type=list[int | str], default=[], help="which people, e.g. 1 2")
    parser.add_argument("--landmarks", action="store_true", help="also the points of the face (ravdess)")
    parser.add_argument("--root", type=str, help="the dataset's folder; default: where it is looked for")
    parser.add_argument("--base_url", type=str, help="server of the listing; default: Zenodo")
    options = parser.parse(lists_of_words(words, ("--speakers", "--actors")))

    from counterpoint.commands.fetch import fetch

    extras = ["landmarks"] if options["landmarks"] else []
    fetch(options["dataset"], options["root"], options["speakers"], extras, options["base_url"])
