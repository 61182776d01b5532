"""What stands in a file may be of any length; a message shows some of it."""

import re
from pathlib import Path

import pytest

import counterpoint.data
from counterpoint.data.clip_table import ClipTable
from counterpoint.data.datasets import cremad, ravdess
from counterpoint.data.datasets._ave_files import parse_annotations
from counterpoint.data.datasets._grid_words import sentence
from counterpoint.data.datasets._voxceleb_files import utterance_name
from counterpoint.data.download.zenodo import download
from counterpoint.data.io.csv_tables import parse_csv
from counterpoint.data.splits.published import check_lists
from counterpoint.data.tiny import write_tiny
from counterpoint.errors import CounterpointError
from counterpoint.media.spec import MediaSpec

LONG = "x" * 100_000
READERS = {
    "name of cremad": lambda: cremad.read_name(f"1001_DFA_ANG_{LONG}"),
    "name of ravdess": lambda: ravdess.read_name(LONG),
    "name of grid": lambda: sentence(LONG),
    "name of voxceleb": lambda: utterance_name(LONG),
    "list of ave": lambda: parse_annotations(
        f"Category&VideoID&Quality&StartTime&EndTime\n{LONG}&a&good&0&1\n", "a.txt"
    ),
    "column": lambda: parse_csv(f"clip,{LONG}\na,b\n", "a.csv", ("clip",)),
    "cell": lambda: parse_csv(f"clip\n{LONG}\n", "a.csv", ("clip",))[0].integer("clip"),
    "lists": lambda: check_lists(LONG, "."),
    "copy": lambda: write_tiny(LONG, "."),
    "download": lambda: download(LONG),
    "split": lambda: ClipTable("t", ("a",), (), MediaSpec()).split(LONG),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_message_shows_some_of_a_long_value(reader):
    with pytest.raises(CounterpointError) as told:
        READERS[reader]()
    assert "100," in str(told.value) and len(str(told.value)) < 2000


def test_messages_of_the_room_quote_in_one_way():
    """Every value in a message is cut where it is long: by `quoted`, or as it is read."""
    allowed = {"letter", "self.task", "path", 'name!r}")  # of Python'}
    for path in Path(counterpoint.data.__file__).parent.rglob("*.py"):
        for value in re.findall(r"\{([^{}]+)!r\}", path.read_text()):
            assert value in allowed or value.endswith("[:20]") or path.name == "__init__.py", (path, value)
