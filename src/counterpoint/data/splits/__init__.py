"""Splits: drawn, published, by folds, and whether they leak."""

from counterpoint._moved import former_names

__getattr__ = former_names(
    __name__,
    {
        "Drawn": "data.splits.draw",
        "check_share": "data.splits.draw",
        "describe": "data.splits.draw",
        "draw_split": "data.splits.draw",
        "hold_out_validation": "data.splits.draw",
        "rank": "data.splits.draw",
        "shared_note": "data.splits.draw",
    },
)
