"""What was done to clips is counted: lengths against what is read, silence, gray, reasons to skip."""

import numpy as np
import pytest

from counterpoint.data import Clip, ClipTable, prepare
from counterpoint.data.alterations import Alteration, of_media, of_skipped
from counterpoint.data.cache.decode_worker import _facts, decode
from counterpoint.data.cache.shards import Facts, Key
from counterpoint.media.clip import SILENT, DecodedClip
from counterpoint.media.encode import write_clip
from counterpoint.media.spec import MediaSpec

BOTH = ("audio", "visual")
COLOUR = MediaSpec(seconds=3, gray=False)


def told(rows):
    return {row.what: (row.clips, row.of, row.share and round(row.share, 4), row.option) for row in rows}


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([3.0, 3.05, 2.95], {}),  # containers round
        ([3.0, 5.0, 4.0], {"cut to 3 s": (2, 3, 0.25, "data.media.seconds")}),
        (
            [3.0, 1.5],
            {"filled up to 3 s with silence and the last frame": (1, 2, 0.25, "data.media.seconds")},
        ),
        ([3.0, None], {"of unknown length": (1, 2, None, "")}),
    ],
)
def test_lengths(lengths, expected):
    assert told(of_media([Facts(length) for length in lengths], COLOUR, BOTH)) == expected


def test_clips_that_were_decoded_before_facts_were_kept():
    assert told(of_media([Facts(), Facts(3.0)], COLOUR, BOTH)) == {"of unknown length": (1, 2, None, "")}


@pytest.mark.parametrize(
    ("spec", "modalities", "filled"),
    [
        (COLOUR, ("audio",), "silence"),
        (COLOUR, ("visual",), "the last frame"),
        (MediaSpec(seconds=3, gray=False, frames=8), BOTH, "silence"),
        (MediaSpec(seconds=3, gray=False, frames=8), ("visual",), None),  # frames are spread over what there is
    ],
)
def test_what_short_clips_are_filled_with(spec, modalities, filled):
    rows = told(of_media([Facts(1.0)], spec, modalities))
    assert list(rows) == ([f"filled up to 3 s with {filled}"] if filled else [])


def test_gaps_and_silence_are_seen_where_clips_are_decoded():
    spec, sound = MediaSpec(seconds=3, gray=False), np.ones(48000, np.int16)
    notes = [(), ("gap in the sound from 1.00 to 2.00 s",), ("gap in the sound from 0.00 to 3.00 s", SILENT), (SILENT,)]
    audio = [sound * 9, sound * 9, sound, sound]
    clips = [DecodedClip(*both, seconds=3.0, notes=said) for *both, said in zip(audio, [None] * 4, notes, strict=True)]
    key = Key("a.mkv", 50_000, 1, 0.0, None)
    facts = [decode(lambda *_, clip=clip, **__: clip, key, spec, ("audio",)).facts for clip in clips]
    rows = told(of_media(facts, spec, ("audio",)))
    assert rows["with a gap in the sound: silence there"][:2] == (2, 4)
    assert rows["without a sound: silence throughout"][:2] == (2, 4) and len(rows) == 2


def test_gray_is_of_pictures():
    assert told(of_media([Facts(3.0)] * 4, MediaSpec(seconds=3), BOTH)) == {
        "read in gray, without colour": (4, 4, None, "data.media.gray")
    }
    assert not of_media([Facts(3.0)], MediaSpec(seconds=3), ("audio",))


def test_reasons_are_counted_by_kind_and_name_the_option_that_helps():
    reasons = ["3 of 69 values are NaN", "5 of 69 values are NaN", *["has no sound"] * 3, *"abcdef"]
    rows = told(of_skipped(dict(enumerate(reasons)), 40))
    assert rows["skipped: … of … values are NaN"] == (2, 40, None, "data.impute")
    assert rows["skipped: has no sound"] == (3, 40, None, "model.modalities")
    assert rows["skipped: a"] == (1, 40, None, "data.max_bad")
    assert sum(clips for clips, *_ in rows.values()) == len(reasons) and len(rows) == 6


def test_the_share_in_words():
    assert Alteration("cut", 1, 2, 0.15).share_in_words == "15.0 % of all seconds"
    assert Alteration("filled", 1, 2, 0.011, unit="numbers").share_in_words == "1.1 % of all numbers"
    assert Alteration("gray", 1, 2).share_in_words == ""


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Clips of 1, 2 and 3 s, the second without a sound to hear."""
    root, made = tmp_path_factory.mktemp("clips"), []
    for k, seconds in enumerate((1, 2, 3)):
        sound = np.zeros(8000 * seconds, np.float32) if k == 1 else np.full(8000 * seconds, 0.3, np.float32)
        frames = np.full((10 * seconds, 16, 16, 3), 90, np.uint8)
        write_clip(root / f"{k}.mp4", sound, frames, fps=10, sample_rate=8000)
        made.append(Clip(f"c{k}", root / f"{k}.mp4", 0, ("train", "val", "test")[k]))
    return made


def test_of_real_clips_also_from_the_cache(clips, tmp_path):
    spec = MediaSpec(sample_rate=8000, seconds=2, fps=10, size=16, gray=False)
    for decoded in (3, 0):
        prepared = prepare(ClipTable("own", ("a",), tuple(clips), spec), cache=tmp_path)
        assert prepared.decoded == decoded
        found = {row.what: (row.clips, row.of) for row in prepared.alterations}
        assert found == {
            "cut to 2 s": (1, 3),
            "filled up to 2 s with silence and the last frame": (1, 3),
            "without a sound: silence throughout": (1, 3),
        }
        shares = {row.what: row.share for row in prepared.alterations if row.share is not None}
        assert [round(share, 2) for share in shares.values()] == [pytest.approx(1 / 6, abs=0.02)] * 2


def test_the_same_stretch_twice(clips, tmp_path):
    spec = MediaSpec(sample_rate=8000, seconds=3, fps=10, size=16, gray=False)
    twice = (clips[2], Clip("again", clips[2].path, 0, "train"), Clip("part", clips[2].path, 0, "train", start=1.0))
    prepared = prepare(ClipTable("own", ("a",), twice, spec), cache=tmp_path)
    assert told(prepared.alterations)["that are the same stretch of a file as another"] == (1, 3, None, "")


def test_a_stretch_counts_and_not_its_file(clips, tmp_path):
    spec = MediaSpec(sample_rate=8000, seconds=1, fps=10, size=16, gray=False)
    whole = clips[2].path
    stretches = [
        Clip("exact", whole, 0, "train", start=1.0, end=2.0),
        Clip("longer", whole, 0, "train", start=0.5, end=2.5),
        Clip("to the end", whole, 0, "train", start=2.5, end=9.0),
    ]
    prepared = prepare(ClipTable("own", ("a",), tuple(stretches), spec), cache=tmp_path)
    lengths = {clip: place.facts.seconds for clip, place in prepared.places.items()}
    assert lengths == {"exact": 1.0, "longer": 2.0, "to the end": pytest.approx(0.5, abs=0.1)}


@pytest.mark.parametrize("end", [None, 5.0])
@pytest.mark.parametrize(("claimed", "believed"), [(7.0, 7.0), (1e9, None)])
def test_a_header_is_not_believed_more_seconds_than_its_file_has_bytes(claimed, believed, end):
    clip = DecodedClip(np.zeros(8, np.int16), None, claimed)
    assert _facts(Key("a.mp4", 50_000, 0, 0.0, end), clip).seconds == (believed if end is None else end)
