"""Cross-validation: which fold tests whom, and who of the others is held out; as listed, or drawn for any clips."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

from counterpoint._moved import former_keywords
from counterpoint._typecheck import fits
from counterpoint.data.clip_table import ClipTable
from counterpoint.data.splits.draw import (
    Drawn,
    check_share,
    deal_groups,
    describe,
    draw_split,
    rank,
    shared_note,
)
from counterpoint.errors import ConfigError, DataError, quoted

Folds = tuple[tuple[str, ...], ...]
"""Per fold, the groups that it tests; the other groups are for training and validation."""


def consecutive(groups: Sequence[str], size: int, count: int) -> Folds:
    """`count` folds, each of which tests the next `size` groups; what is left over is never tested."""
    return tuple(tuple(groups[k * size : (k + 1) * size]) for k in range(count))


@former_keywords(kinds="strata")
def draw_fold(
    name: str,
    groups: Mapping[str, str],
    folds: Folds,
    fold: int,
    *,
    strata: Mapping[str, str] | None = None,
    val: float = 0.1,
    seed: int = 0,
    group_word: str = "speaker",
) -> Drawn:
    """The split of one fold. No group stands on two sides.

    Args:
        name: the dataset, for messages.
        groups: clip id -> group.
        folds: whom each fold tests.
        fold: which one, from 0.
        strata: group -> what validation keeps in balance, e.g. the gender of an actor; None: nothing.
        val: share of the groups of each stratum that are not tested in this fold, which are held out for validation:
            one at least, never all (of strata with one group each, one of them); 0 for no validation.
        seed: of who is held out.
        group_word: what a group is called in the notes.

    Raises:
        ConfigError: there is no such fold, or `val` is no share.
        DataError: nobody is left to be tested, trained on or held out.
    """
    if not fits(fold, int) or not 0 <= fold < len(folds):
        raise ConfigError(f"fold is {quoted(fold)}; there are {len(folds)}, 0 to {len(folds) - 1}")
    check_share("val", val)
    tested = folds[fold]
    there = set(groups.values())
    held_out = _hold_out(there.difference(tested), strata or {}, val, seed)
    side_of = {group: "test" if group in tested else "val" if group in held_out else "train" for group in sorted(there)}
    for side in ("test", "train", *(["val"] if val > 0 else [])):
        if side not in side_of.values():
            raise DataError(
                f"{name}: fold {fold} tests {', '.join(tested)}; of the {group_word}s that are there "
                f"({', '.join(sorted(there))}) none is left for {side}. Get the others, or choose another fold"
            )
    sides = {clip: side_of[group] for clip, group in groups.items()}
    notes = [
        f"Split: {describe(sides)}. Fold {fold} (of {len(folds)}, counted from 0) tests the {group_word}s "
        f"{', '.join(tested)}."
    ]
    if held_out:
        notes.append(f"Validation: the {group_word}s {', '.join(sorted(held_out))}, held out with seed {seed}.")
    if missing := [group for group in tested if group not in there]:
        notes.append(f"Not there, and so not tested: {', '.join(missing)}.")
    if never := sorted(there.difference(*folds)):
        notes.append(f"No fold tests the {group_word}s {', '.join(never)}.")
    return Drawn(sides, (*notes, *shared_note(sides, groups, group_word)))


def _hold_out(groups: set[str], strata: Mapping[str, str], share: float, seed: int) -> set[str]:
    if share == 0:
        return set()
    order = sorted(groups, key=lambda group: (rank(seed, group), group))
    by_stratum: dict[str, list[str]] = defaultdict(list)
    for group in order:
        by_stratum[strata.get(group, "")].append(group)
    held_out: set[str] = set()
    for members in by_stratum.values():
        held_out.update(members[: min(max(1, int(len(members) * share + 0.5)), len(members) - 1)])
    return held_out or set(order[: len(order) > 1])  # one of each stratum is left: there is no balance to keep


def draw_folds(
    name: str,
    labels: Mapping[str, str],
    groups: Mapping[str, str | None] | None = None,
    *,
    folds: int,
    fold: int,
    val: float = 0.1,
    seed: int = 0,
    disjoint: bool = True,
    group_word: str = "speaker",
) -> Drawn:
    """The split of one of K folds of any clips: each clip is tested in exactly one of them.

    Folds are stratified by class; groups, where there are several, stay whole. Validation clips are drawn from those
    that are not tested, by groups too where every class is in two groups of them at least.

    Args:
        name: the dataset, for messages.
        labels: clip id -> class.
        groups: clip id -> e.g. the speaker; None: unknown, that clip is a group of its own.
        folds: K, at least 2.
        fold: the one that is tested, from 0.
        val: share of all clips, from 0 to below 1 - 1 / K.
        seed: equal seeds give equal folds.
        disjoint: keep groups in one fold where there are several.
        group_word: what a group is called in the notes.

    Raises:
        ConfigError: there is no such fold, or `val` leaves nothing for training.
        DataError: too few clips or groups, of a class or altogether.
    """
    if not 0 <= fold < folds:
        raise ConfigError(f"fold is {fold}; there are {folds}, 0 to {folds - 1}")
    check_share("val", val)
    if val >= 1 - 1 / folds:
        raise ConfigError(f"val is {val:g}; with {folds} folds it must be below {1 - 1 / folds:g}")
    known = {clip: groups.get(clip) if groups else None for clip in labels}
    together = disjoint and len({group for group in known.values() if group is not None}) > 1
    part_of = (
        _parts_of_groups(name, labels, known, folds, seed, group_word) if together else _parts(labels, folds, seed)
    )
    sides = {clip: "test" if part_of[clip] == str(fold) else "train" for clip in labels}
    train = {clip: label for clip, label in labels.items() if sides[clip] == "train"}
    spread = {(label, part_of[clip]) for clip, label in labels.items()}
    if missing := sorted(label for label, parts in Counter(label for label, _ in spread).items() if parts < 2):
        where = f"one {group_word}" if together else "one clip"
        raise DataError(
            f"{name}: class {quoted(missing[0])} is in {where} alone, which no fold can both train on and test. "
            "Add clips, or leave the class out"
        )
    notes = [
        f"{group_word if together else 'clip'}s dealt out to {folds} folds with seed {seed}, stratified by class, "
        f"whatever the dataset's own split is; this is fold {fold}, counted from 0."
    ]
    if val > 0:
        share = val * len(labels) / len(train)
        options = {"val": share, "test": 0.0, "seed": seed, "group_word": group_word}
        try:
            held_out = draw_split(name, train, known, **options, disjoint=disjoint)  # type: ignore[arg-type]
        except DataError:
            if not together:
                raise
            held_out = draw_split(name, train, known, **options, disjoint=False)  # type: ignore[arg-type]
            notes.append(f"Validation shares its {group_word}s with training: some class is in one {group_word} of it.")
        sides |= held_out.sides
    return Drawn(sides, (f"Split: {describe(sides)}; {notes[0]}", *notes[1:], *shared_note(sides, known, group_word)))


def on_fold(table: ClipTable, *, folds: int, fold: int, val: float, seed: int, disjoint: bool) -> ClipTable:
    """The same clips, split as `draw_folds` does it; what the notes said of the former split goes."""
    groups = {clip.id: clip.group for clip in table.clips}
    labels = {clip.id: (*table.classes, "background")[clip.label] for clip in table.clips}
    drawn = draw_folds(
        table.name,
        labels,
        groups,
        folds=folds,
        fold=fold,
        val=val,
        seed=seed,
        disjoint=disjoint,
        group_word=table.group_word,
    )
    of_former = shared_note({clip.id: clip.split for clip in table.clips}, groups, table.group_word)
    notes = [note for note in table.notes if note not in of_former and not note.startswith("Split:")]
    clips = tuple(replace(clip, split=drawn.sides[clip.id]) for clip in table.clips)
    return replace(table, clips=clips, notes=(*notes, *drawn.notes))


def _parts(labels: Mapping[str, str], folds: int, seed: int) -> dict[str, str]:
    """Clip -> its fold, dealt out class by class, each going on where the one before ended."""
    order = sorted(labels, key=lambda clip: (labels[clip], rank(seed, clip), clip))
    return {clip: str(place % folds) for place, clip in enumerate(order)}


def _parts_of_groups(
    name: str, labels: Mapping[str, str], groups: Mapping[str, str | None], folds: int, seed: int, group_word: str
) -> dict[str, str]:
    """Clip -> the fold of its group."""
    group_of: dict[str, Hashable] = {clip: (clip,) if group is None else group for clip, group in groups.items()}
    counts: dict[Hashable, Counter[str]] = defaultdict(Counter)
    for clip, label in labels.items():
        counts[group_of[clip]][label] += 1
    if len(counts) < folds:
        raise DataError(
            f"{name}: {len(counts)} {group_word}s are too few for {folds} folds; take {len(counts)}, or share "
            f"{group_word}s between folds"
        )
    fold_of, _ = deal_groups(counts, {str(part): 1 / folds for part in range(folds)}, seed)
    return {clip: fold_of[group] for clip, group in group_of.items()}
