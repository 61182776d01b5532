"""What is said in a GRID clip, and when: the sentence from the six letters of its name, the timing from its alignment.

Cooke, Barker, Cunningham, Shao: "An audio-visual corpus for speech perception and automatic speech recognition",
J. Acoust. Soc. Am. 120 (2006).
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass

from counterpoint.data.io.csv_tables import parse_csv
from counterpoint.errors import DataError, quoted
from counterpoint.registry import did_you_mean

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# Task -> letter of the name -> word, in the order in which they are said. W is no letter of GRID: its name is too long.
WORDS: dict[str, dict[str, str]] = {
    "command": {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    "colour": {"b": "blue", "g": "green", "r": "red", "w": "white"},
    "preposition": {"a": "at", "b": "by", "i": "in", "w": "with"},
    "letter": {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    "digit": {"z": "zero", **{str(n): DIGITS[n] for n in range(1, 10)}},
    "adverb": {"a": "again", "n": "now", "p": "please", "s": "soon"},
}
TASKS = tuple(WORDS)

_PAUSES = ("sil", "sp")
_TICKS = 25_000  # the corpus counts time in samples of its 25 kHz sound
_LINE = re.compile(r"(\d{1,9})\s+(\d{1,9})\s+(\S{1,20})", re.ASCII)


@dataclass(frozen=True)
class Word:
    """A word with its stretch of the clip, seconds."""

    text: str
    start: float
    end: float


def sentence(name: str) -> dict[str, str]:
    """Task -> word of a clip called `name`, e.g. ``bbaf2n`` -> bin blue at f two now.

    Raises:
        DataError: not the name of a GRID clip.
    """
    if len(name) != len(WORDS):
        raise DataError(f"{quoted(name)} is not the name of a GRID clip: it must have six letters such as 'bbaf2n'")
    said = {}
    for place, (letter, (task, words)) in enumerate(zip(name, WORDS.items(), strict=True), start=1):
        if letter not in words:
            raise DataError(
                f"{quoted(name)} is not the name of a GRID clip: letter {place} is {letter!r}, but a {task} is one of "
                f"{' '.join(words)}"
            )
        said[task] = words[letter]
    return said


def parse_align(text: str, source: str) -> tuple[Word, ...]:
    """The words of an ``.align`` file, in order and without pauses. A line is ``start end word``, times in 1/25000 s.

    Raises:
        DataError: a line that says something else, with its number, or times that run backwards.
    """
    words: list[Word] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.strip())
        if not found:
            raise DataError(f"{source}, line {number}: {quoted(line.strip()[:40])} is not 'start end word'")
        word = Word(found[3], int(found[1]) / _TICKS, int(found[2]) / _TICKS)
        _check_order(word, words, f"{source}, line {number}")
        words.append(word)
    return tuple(word for word in words if word.text not in _PAUSES)


def parse_words(text: str, source: str = "words.csv") -> dict[str, tuple[Word, ...]]:
    """Clip name -> its words, in order and without pauses, from a table clip, index, word, start_s, end_s (seconds).

    Raises:
        DataError: a row that does not fit, with its line and column.
    """
    clips: dict[str, list[Word]] = defaultdict(list)
    for row in parse_csv(text, source, ("clip", "index", "word", "start_s", "end_s")):
        for column in ("clip", "word"):
            if not row[column]:
                raise row.error(column, "is empty")
        times = []
        for column in ("start_s", "end_s"):
            try:
                time = float(row[column])
            except ValueError:
                time = math.nan
            if not 0 <= time < 1e6:
                raise row.error(column, f"{quoted(row[column])} is not a time in seconds")
            times.append(time)
        word = Word(row["word"], times[0], times[1])
        _check_order(word, clips[row["clip"]], f"{source}, line {row.line}")
        clips[row["clip"]].append(word)
    return {clip: tuple(word for word in words if word.text not in _PAUSES) for clip, words in clips.items()}


def find_word(words: tuple[Word, ...], name: str, task: str) -> Word:
    """The word of a task in the timing of the clip `name`.

    Raises:
        DataError: the timing does not tell the sentence that the name tells.
    """
    said = sentence(name)
    if task not in said:
        raise DataError(f"GRID has no task {quoted(task)}.{did_you_mean(task, TASKS)}")
    if len(words) != len(said):
        raise DataError(f"the timing of {name} has {len(words)} words, but a sentence has {len(said)}")
    word = words[TASKS.index(task)]
    if word.text.lower() != said[task]:
        raise DataError(f"the timing of {name} has {quoted(word.text)} where its name says {quoted(said[task])}")
    return word


def _check_order(word: Word, before: list[Word], where: str) -> None:
    if word.end <= word.start:
        raise DataError(f"{where}: {quoted(word.text)} ends at {word.end:g} s, not after its start at {word.start:g} s")
    if before and word.start < before[-1].end:
        raise DataError(
            f"{where}: {quoted(word.text)} starts at {word.start:g} s, before {quoted(before[-1].text)} ends"
        )
