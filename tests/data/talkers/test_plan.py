from collections import Counter
from dataclasses import replace

import pytest

from counterpoint.data.talkers import plan as planning
from counterpoint.data.talkers.phones import CONSONANTS, LOOK_ALIKE, SYLLABLES, VOWELS
from counterpoint.data.talkers.plan import SEGMENTS, Settings, make_plan
from counterpoint.errors import ConfigError


def test_speakers_stand_on_one_side_of_the_split() -> None:
    for speakers in (3, 4, 7, 24):
        plans = make_plan(Settings(speakers=speakers, clips=10 * speakers))
        sides = {p.speaker: {q.split for q in plans if q.speaker == p.speaker} for p in plans}
        assert all(len(side) == 1 for side in sides.values())
        assert {p.split for p in plans} == {"train", "val", "test"}


def test_default_size_and_balance() -> None:
    plans = make_plan(Settings())
    assert len(plans) == 720
    assert len({p.id for p in plans}) == 720
    assert Counter(p.split for p in plans) == {"train": 14 * 30, "val": 4 * 30, "test": 6 * 30}
    for split in ("train", "val", "test"):
        assert len(set(Counter(p.label for p in plans if p.split == split).values())) == 1


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_dropout_hides_that_share_of_each_split(share: float) -> None:
    plans = make_plan(Settings(visual_dropout=share))
    for split in ("train", "val", "test"):
        hidden = [p.hidden for p in plans if p.split == split]
        assert abs(sum(hidden) - share * len(hidden)) <= 0.5


def test_plan_hangs_on_the_seed_and_dials_change_only_their_part() -> None:
    assert make_plan(Settings(seed=3)) == make_plan(Settings(seed=3))
    labels = [[p.label for p in make_plan(Settings(seed=s))] for s in (3, 4)]
    assert labels[0] != labels[1]
    with_dials = make_plan(Settings(seed=3, visual_dropout=0.5, audio_snr_db=-5, visual_noise=0.3))
    assert [replace(p, hidden=False) for p in with_dials] == list(make_plan(Settings(seed=3)))


def test_any_change_gives_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = [
        {},
        {"seed": 1},
        {"audio_snr_db": 6},
        {"visual_noise": 0.1},
        {"visual_dropout": 0.1},
        {"speakers": 23},
        {"clips": 700},
        {"task": "event"},
    ]
    names = [Settings(**change).folder_name for change in changes]
    assert len(set(names)) == len(names)
    assert Settings(audio_snr_db=7).folder_name == Settings(audio_snr_db=7.0).folder_name
    monkeypatch.setattr(planning, "VERSION", planning.VERSION + 1)
    assert Settings().folder_name not in names


@pytest.mark.parametrize(
    ("dial", "value"),
    [
        ("audio_snr_db", float("nan")),
        ("audio_snr_db", 1000),
        ("audio_snr_db", "loud"),
        ("visual_noise", -0.1),
        ("visual_noise", 1.5),
        ("visual_dropout", 1.01),
        ("visual_dropout", True),
        ("visual_dropout", None),
        ("speakers", 2),
        ("speakers", 3.5),
        ("clips", 5),
        ("clips", -1),
        ("seed", -1),
        ("task", "word"),
    ],
)
def test_values_outside_their_range_are_refused(dial: str, value: object) -> None:
    with pytest.raises(ConfigError, match=dial if dial != "task" else "word"):
        Settings(**{dial: value})


def test_event_clips() -> None:
    plans = make_plan(Settings(task="event"))
    kinds: Counter[str] = Counter()
    for p in plans:
        assert len(p.heard) == len(p.seen) == SEGMENTS
        both = [k for k in range(SEGMENTS) if p.heard[k] is not None and p.seen[k] is not None]
        assert 2 <= len(both) <= 6
        assert both == list(range(both[0], both[-1] + 1))
        assert {p.heard[k] for k in both} == {p.seen[k] for k in both} == {p.label}
        for k in set(range(SEGMENTS)) - set(both):
            kinds[
                {(True, False): "heard", (False, True): "seen", (False, False): "none"}[
                    p.heard[k] is not None, p.seen[k] is not None
                ]
            ] += 1
    shares = {kind: count / kinds.total() for kind, count in kinds.items()}
    assert shares["heard"] == pytest.approx(0.3, abs=0.05)
    assert shares["seen"] == pytest.approx(0.3, abs=0.05)


def test_vocabulary_is_what_its_description_says() -> None:
    assert SYLLABLES == ("ba", "da", "ga", "ma", "na", "bi", "di", "gi", "mi", "ni")
    assert sorted(s for group in LOOK_ALIKE for s in group) == sorted(SYLLABLES)

    def look(syllable: str) -> tuple[object, ...]:
        c, v = CONSONANTS[syllable[0]].closed, VOWELS[syllable[1]]
        return c.opening, c.width, c.tongue, v.opening, v.width, v.tongue

    for group in LOOK_ALIKE:
        assert len({look(s) for s in group}) == 1
    assert len({look(s) for s in SYLLABLES}) == len(LOOK_ALIKE)
