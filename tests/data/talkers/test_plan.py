import hashlib
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
        {"task": "event", "background_clips": 0.1},
        {"task": "event", "background_clips": 0.2},
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
        ("background_clips", float("nan")),
        ("background_clips", -0.1),
        ("background_clips", 1.01),
        ("background_clips", "half"),
        ("background_clips", True),
        ("background_clips", None),
        ("background_clips", [0.5]),
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


def test_without_background_nothing_is_other_than_before_the_option() -> None:
    """Names of the folders, and of all that is in the plans, as they were before there was `background_clips`."""
    for settings, folder, plans in (
        (Settings(), "syllable-092bf1205e53", "a4893a412ae764ca"),
        (Settings(task="event", background_clips=0), "event-7d7b39d95f33", "75e7b604e711af70"),
        (Settings(task="event", seed=3, speakers=4, clips=12), "event-424465a8a179", "102379294b7f8f8f"),
    ):
        assert settings.folder_name == folder
        assert "background_clips" not in settings.values
        rows = [(p.index, p.speaker, p.split, p.label, p.hidden, p.heard, p.seen, p.id) for p in make_plan(settings)]
        assert hashlib.sha256(repr(rows).encode()).hexdigest()[:16] == plans


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("size", [{}, {"speakers": 5, "clips": 61, "seed": 4}])
def test_background_takes_its_share_of_each_split_evenly(share: float, size: dict[str, int]) -> None:
    plain = make_plan(Settings(task="event", **size))
    plans = make_plan(Settings(task="event", background_clips=share, **size))
    for split in ("train", "val", "test"):
        mine = [p for p in plans if p.split == split]
        assert sum(p.label is None for p in mine) == round(share * len(mine))
        speakers = Counter({p.speaker: 0 for p in mine})
        speakers.update(p.speaker for p in mine if p.label is None)
        assert max(speakers.values()) - min(speakers.values()) <= 1
        before = Counter(p.label for p in plain if p.split == split)
        after = {label: sum(p.label == label for p in mine) for label in before}
        spread = max(before.values()) - min(before.values())
        assert max(after.values()) - min(after.values()) <= max(spread, 1)
    for before, p in zip(plain, plans, strict=True):
        if p.label is not None:
            assert p == before
        else:
            assert p.id == f"s{p.speaker:02d}-{p.index:05d}-background"
            assert set(p.segments) == {None}
            assert (p.speaker, p.split, p.hidden) == (before.speaker, before.split, before.hidden)


def test_more_background_keeps_the_less() -> None:
    some, more = (
        {p.index for p in make_plan(Settings(task="event", background_clips=share)) if p.label is None}
        for share in (0.2, 0.4)
    )
    assert some < more


def test_background_sounds_and_looks_like_what_is_around_events() -> None:
    plans = make_plan(Settings(task="event", background_clips=1))
    kinds = Counter(
        "heard" if h is not None else "seen" if s is not None else "none"
        for p in plans
        for h, s in zip(p.heard, p.seen, strict=True)
    )
    assert kinds["heard"] / kinds.total() == pytest.approx(0.3, abs=0.05)
    assert kinds["seen"] / kinds.total() == pytest.approx(0.3, abs=0.05)


def test_a_task_of_classes_alone_refuses_background() -> None:
    with pytest.raises(ConfigError, match=r"background_clips is 0\.2, but in the task 'syllable'.*'event'"):
        Settings(background_clips=0.2)


def test_vocabulary_is_what_its_description_says() -> None:
    assert SYLLABLES == ("ba", "da", "ga", "ma", "na", "bi", "di", "gi", "mi", "ni")
    assert sorted(s for group in LOOK_ALIKE for s in group) == sorted(SYLLABLES)

    def look(syllable: str) -> tuple[object, ...]:
        c, v = CONSONANTS[syllable[0]].closed, VOWELS[syllable[1]]
        return c.opening, c.width, c.tongue, v.opening, v.width, v.tongue

    for group in LOOK_ALIKE:
        assert len({look(s) for s in group}) == 1
    assert len({look(s) for s in SYLLABLES}) == len(LOOK_ALIKE)
