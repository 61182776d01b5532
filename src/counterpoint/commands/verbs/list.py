"""`counterpoint list`: its options."""

from __future__ import annotations

from counterpoint.commands.options import Parser


def main(words: list[str]) -> None:
    """List what may be named: models, encoders, intermediates, fusions, heads, balancers, datasets, recipes ..."""
    parser = Parser("list", main.__doc__)
    parser.add_argument("kind", type=str, nargs="?", help="one of these; none: an overview")
    parser.add_argument("pattern", type=str, nargs="?", default="*", help="names that match, e.g. '*simam2'")
    parser.add_argument("--params", action="store_true", help="count parameters, of recipes, models or encoders")
    parser.add_argument(
        "--model", type=str, default="resnext50_mfcc", help="with --params: whose encoders recipes join"
    )
    parser.add_argument("--classes", type=int, default=8, help="with --params: how many classes")
    options = parser.parse(words)

    from counterpoint.commands.listing import print_kind, print_overview, rows_of

    if options["params"]:
        from counterpoint.commands.parameters import print_parameters

        kind = options["kind"]
        names = [] if kind is None else [name for name, _ in rows_of(kind, options["pattern"])]
        print_parameters(kind, names, options["model"], options["classes"])
    elif options["kind"] is None:
        print_overview()
    else:
        print_kind(options["kind"], options["pattern"])
