"""`counterpoint predict`: its options."""

from __future__ import annotations

from counterpoint.commands.options import Parser, lists_of_words
from counterpoint.commands.runs import allocate_largely


def main(words: list[str]) -> None:
    """Say what happens when in media files of any length, as JSON, subtitles and a picture."""
    parser = Parser("predict", main.__doc__)
    parser.add_argument("clips", type=str, nargs="+", help="media files")
    parser.add_argument("--run", type=str, required=True, help="its folder, or one with config.json and weights")
    parser.add_argument("--output", type=str, help="folder of what is written; default: predictions in the run's")
    parser.add_argument("--formats", type=list[str], help="of json, vtt, srt and png; default: all")
    parser.add_argument("--hop", type=float, help="from window to window, seconds; default: half, classifiers a whole")
    parser.add_argument("--truth", type=str, help="CSV file of true events (clip,start,end,class), for the picture")
    options = parser.parse(lists_of_words(words, ("--formats",)))
    allocate_largely()

    from counterpoint.commands.predict import predict_and_tell

    predict_and_tell(**options)
