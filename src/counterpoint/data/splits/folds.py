"""Cross-validation over groups (actors, speakers): which fold tests whom, and who of the others is held out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from counterpoint._moved import former_keywords
from counterpoint._typecheck import fits
from counterpoint.data.splits.draw import Drawn, check_share, describe, rank, shared_note
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
