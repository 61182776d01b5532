"""Draws train, validation and test: seeded, stratified by class, with no group on two sides where that is possible.

Every choice hangs on a hash of (seed, name), never on the order in which files were found: the same clips give the
same split on every machine, and a clip that is added moves few others.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterpoint._typecheck import fits
from counterpoint.data.clip_table import SPLITS, Clip
from counterpoint.errors import ConfigError, DataError, quoted

_TRIALS = 32  # orders of groups that are tried; the one nearest to the wanted shares is taken


@dataclass(frozen=True)
class Drawn:
    """A split as it was drawn.

    Attributes:
        sides: clip id -> ``"train"``, ``"val"`` or ``"test"``.
        notes: how it was drawn and whether groups (speakers) stand on both sides, for readers of results.
    """

    sides: dict[str, str]
    notes: tuple[str, ...]


def draw_split(
    name: str,
    labels: Mapping[str, str],
    groups: Mapping[str, str | None] | None = None,
    *,
    val: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    disjoint: bool = True,
    group_word: str = "speaker",
) -> Drawn:
    """Put every clip into train, val or test.

    Args:
        name: the dataset, for messages.
        labels: clip id -> class.
        groups: clip id -> what must not stand on both sides, e.g. the speaker; None: unknown, that clip is a group of
            its own.
        val: share of the clips, 0 to below 1; what `val` and `test` leave is for training. 0 leaves the split out.
        test: likewise.
        seed: equal seeds give equal splits.
        disjoint: keep groups on one side where there are several. With fewer groups than splits, test alone has
            groups of its own and validation clips are drawn from the training groups.
        group_word: what a group is called in the notes.

    Raises:
        ConfigError: shares outside their range.
        DataError: a class has too few clips (or groups) to stand in every split.
    """
    _check_shares(val, test)
    known = {clip: groups.get(clip) if groups else None for clip in labels}
    several = len({group for group in known.values() if group is not None}) > 1
    if several and disjoint:
        return _draw_disjoint(name, labels, known, val, test, seed, group_word)
    sides = _stratify(name, labels, {"val": val, "test": test}, seed)
    return Drawn(
        sides,
        (
            f"Split: {describe(sides)}, drawn with seed {seed}, stratified by class.",
            *shared_note(sides, known, group_word),
        ),
    )


def hold_out_validation(
    name: str,
    sides: Mapping[str, str],
    labels: Mapping[str, str],
    groups: Mapping[str, str | None] | None = None,
    *,
    val: float,
    seed: int,
    disjoint: bool = True,
    group_word: str = "speaker",
) -> Drawn:
    """Draw validation clips from the training clips of a split that is given.

    Args:
        name: the dataset, for messages.
        sides: clip id -> split, as given.
        labels: clip id -> class.
        groups: as of `draw_split`.
        val: share of the training clips; 0 for no validation.
        seed: equal seeds give equal splits.
        disjoint: keep groups of training on one side of what is drawn.
        group_word: what a group is called in the notes.

    Raises:
        ConfigError: `val` is no share.
        DataError: a class has too few training clips (or groups).
    """
    check_share("val", val)
    train = {clip: labels[clip] for clip, side in sides.items() if side == "train"}
    if val > 0 and train:
        held_out = draw_split(name, train, groups, val=val, test=0, seed=seed, disjoint=disjoint, group_word=group_word)
        sides = {**sides, **held_out.sides}
    return Drawn(
        dict(sides),
        (
            f"Split: {describe(sides)}; training and test as listed"
            + (f", validation drawn from training with seed {seed}." if val > 0 else "."),
            *shared_note(sides, groups or {}, group_word),
        ),
    )


def describe(sides: Mapping[str, str]) -> str:
    """``"700 train, 100 val, 200 test clips"``."""
    counts = Counter(sides.values())
    return ", ".join(f"{counts[side]} {side}" for side in SPLITS if counts[side]) + " clips"


def used_note(clips: Iterable[Clip], skipped: Container[str]) -> tuple[str, ...]:
    """How many clips of each side are left, where some of those that were split are skipped."""
    sides = {clip.id: clip.split for clip in clips}
    used = {clip: side for clip, side in sides.items() if clip not in skipped}
    return (f"Used of the split: {describe(used)}.",) if len(used) < len(sides) else ()


def shared_note(sides: Mapping[str, str], groups: Mapping[str, str | None], group_word: str) -> tuple[str, ...]:
    """What to say about groups on both sides of a split: nothing where no group is known."""
    seen: dict[bool, set[str]] = {True: set(), False: set()}
    for clip, side in sides.items():
        if (group := groups.get(clip)) is not None:
            seen[side == "test"].add(group)
    shared = sorted(seen[True] & seen[False])
    if not seen[True] | seen[False]:
        return ()
    if not shared:
        return (f"No {group_word} of the test clips is in training or validation.",)
    who = ", ".join(shared[:5]) + (", ..." if len(shared) > 5 else "")
    return (
        f"Training and test share {len(shared)} {group_word}{'s' if len(shared) > 1 else ''} ({who}): "
        f"the test says nothing about a new {group_word}.",
    )


def check_share(option: str, share: Any) -> None:
    """Raise a ConfigError unless `share` is a number of at least 0 and below 1."""
    if not fits(share, float) or not 0 <= share < 1:
        raise ConfigError(f"{option} is {quoted(share)}; it must be a share, 0 <= {option} < 1")


def _check_shares(val: float, test: float) -> None:
    check_share("val", val)
    check_share("test", test)
    if val + test >= 1:
        raise ConfigError(f"val + test is {val + test:g}; it must be below 1, so that something is left for training")


def rank(seed: int, *names: Hashable) -> bytes:
    """What names are sorted by to be drawn from: equal seeds give equal orders, whatever else is there."""
    return hashlib.sha256(repr((seed, *names)).encode("utf-8", "surrogatepass")).digest()


def _stratify(name: str, labels: Mapping[str, str], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Per class, the clips in the order of their hash: the first for test, the next for val, the rest for train."""
    by_class: dict[str, list[str]] = defaultdict(list)
    for clip, label in labels.items():
        by_class[label].append(clip)
    sides = {}
    for label, clips in sorted(by_class.items()):
        wanted = {side: max(1, int(len(clips) * share + 0.5)) for side, share in shares.items() if share > 0}
        if sum(wanted.values()) >= len(clips):
            raise DataError(
                f"{name}: class {quoted(label)} has {_count(len(clips), 'clip')}, too few for "
                f"{_count(len(wanted) + 1, 'split')} with shares "
                f"{', '.join(f'{side}={share:g}' for side, share in shares.items() if share > 0)}. Add clips, "
                "leave the class out, or lower the shares"
            )
        clips.sort(key=lambda clip: (rank(seed, clip), clip))
        for side in ("test", "val"):
            for _ in range(wanted.get(side, 0)):
                sides[clips.pop(0)] = side
        sides.update(dict.fromkeys(clips, "train"))
    return {clip: sides[clip] for clip in labels}


def _draw_disjoint(
    name: str,
    labels: Mapping[str, str],
    groups: Mapping[str, str | None],
    val: float,
    test: float,
    seed: int,
    group_word: str,
) -> Drawn:
    # A clip of unknown group is a group of its own; a tuple cannot collide with a name.
    members: dict[Hashable, list[str]] = defaultdict(list)
    for clip in labels:
        group = groups[clip]
        members[(clip,) if group is None else group].append(clip)
    shares = {side: share for side, share in (("val", val), ("test", test)) if share > 0}
    notes: tuple[str, ...] = ()
    if len(members) > len(shares):
        side_of = _assign_groups(name, labels, members, {"train": 1 - val - test, **shares}, seed, group_word)
        sides = {clip: side_of[group] for group, clips in members.items() for clip in clips}
    else:  # two groups for three splits: what the test measures comes first
        side_of = _assign_groups(name, labels, members, {"train": 1 - test, "test": test}, seed, group_word)
        sides = {clip: side_of[group] for group, clips in members.items() for clip in clips}
        rest = {clip: labels[clip] for clip, side in sides.items() if side == "train"}
        sides.update(_stratify(name, rest, {"val": val / (1 - test)}, seed))
        notes = (f"Validation shares its {group_word} with training: there are only {len(members)}.",)
    sides = {clip: sides[clip] for clip in labels}
    counts = Counter(side_of.values())
    how = ", ".join(f"{counts[side]} {side}" for side in SPLITS if counts[side])
    return Drawn(
        sides,
        (
            f"Split: {describe(sides)}, drawn with seed {seed}, stratified by class and {group_word}-disjoint "
            f"({group_word}s: {how}).",
            *notes,
        ),
    )


def _assign_groups(
    name: str,
    labels: Mapping[str, str],
    members: Mapping[Hashable, Sequence[str]],
    shares: Mapping[str, float],
    seed: int,
    group_word: str,
) -> dict[Hashable, str]:
    """Whole groups to sides, so that every side has every class, and comes near its share of it."""
    counts = {group: Counter(labels[clip] for clip in clips) for group, clips in members.items()}
    totals = Counter(labels.values())
    holders = Counter(label for count in counts.values() for label in count)
    for label in sorted(totals):
        if holders[label] < len(shares):
            raise DataError(
                f"{name}: class {quoted(label)} is in {_count(holders[label], group_word)}, too few for {len(shares)} "
                "splits that share none. Add clips, leave the class out, give the split yourself, or share "
                f"{group_word}s between splits"
            )
    side_of, missing = deal_groups(counts, shares, seed)
    if missing:
        raise DataError(
            f"{name}: found no {group_word}-disjoint split with every class in {' and '.join(shares)}. "
            f"Give the split yourself, or share {group_word}s between splits"
        )
    return side_of


def deal_groups(
    counts: Mapping[Hashable, Counter[str]], shares: Mapping[str, float], seed: int
) -> tuple[dict[Hashable, str], int]:
    """Whole groups to sides, as near to each side's share of every class as the best of seeded orders comes.

    Args:
        counts: group -> class -> clips.
        shares: side -> of the clips of every class.
        seed: of the orders.

    Returns:
        Group -> side, and how many classes are missing, summed over sides.
    """
    totals: Counter[str] = sum(counts.values(), Counter())
    # Few groups deserve many tries; among thousands the first order is as good as any.
    trials = max(1, min(_TRIALS, 20_000 // len(counts)))
    best: tuple[tuple[int, float], dict[Hashable, str]] | None = None
    for trial in range(_TRIALS):
        order = sorted(counts, key=lambda group: (rank(seed, trial, group), str(group)))
        side_of, cost = _fill(order, counts, totals, shares)
        if best is None or cost < best[0]:
            best = (cost, side_of)
        if trial + 1 >= trials and best[0][0] == 0:
            break
    assert best is not None
    return best[1], best[0][0]


def _fill(
    order: Iterable[Hashable],
    counts: Mapping[Hashable, Counter[str]],
    totals: Mapping[str, int],
    shares: Mapping[str, float],
) -> tuple[dict[Hashable, str], tuple[int, float]]:
    """Give each group to the side that lacks most of what it has. Cost: classes missing somewhere, then distance."""
    wanted = {side: {label: share * total for label, total in totals.items()} for side, share in shares.items()}
    have: dict[str, Counter[str]] = {side: Counter() for side in shares}
    side_of = {}
    for group in order:
        count = counts[group]

        def lack(side: str, count: Counter[str] = count) -> float:
            return sum(n * (1 - have[side][label] / wanted[side][label]) for label, n in count.items())

        side = max(shares, key=lack)  # ties go to the first, which is train
        side_of[group] = side
        have[side].update(count)
    missing = sum(have[side][label] == 0 for side in shares for label in totals)
    distance = sum((have[s][label] - wanted[s][label]) ** 2 / wanted[s][label] for s in shares for label in totals)
    return side_of, (missing, distance)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
