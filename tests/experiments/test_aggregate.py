from pathlib import Path
from types import SimpleNamespace

import pytest

from counterpoint.data import Clip, ClipTable
from counterpoint.experiments.aggregate import separate_groups
from counterpoint.media.spec import MediaSpec


def part(*clips):
    found = tuple(Clip(name, Path(name), 0, split, group) for name, split, group in clips)
    return SimpleNamespace(table=ClipTable("made", ("one", "two"), found, MediaSpec()))


ONE = part(("a", "train", "s1"), ("b", "val", "s2"), ("c", "test", "s3"), ("d", "test", "s3"), ("e", "test", None))
TWO = part(("c", "train", "s3"), ("d", "train", "s3"), ("a", "test", "s1"), ("b", "val", "s2"))
SHARED = part(("a", "train", "s1"), ("f", "test", "s1"))


@pytest.mark.parametrize(
    ("clips", "groups"),
    [
        ({None: ONE}, {"c": "s3", "d": "s3", "e": "e"}),  # of an unknown speaker: nobody else's
        ({0: ONE, 1: TWO}, {"c": "s3", "d": "s3", "e": "e", "a": "s1"}),  # apart within each fold
        ({None: SHARED}, None),
        ({0: ONE, 1: SHARED}, None),
    ],
)
def test_speakers_count_where_no_split_shares_them(clips, groups):
    assert separate_groups(clips) == groups
