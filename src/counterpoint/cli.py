"""The command line: it parses and calls. Nothing heavy is imported before a verb begins its work."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoint.commands.options import (
    Parser,
    explicit_wins,
    last_value,
    leave_out_plumbing,
    lists_of_words,
    overrides,
)
from counterpoint.errors import ConfigError, CounterpointError, RunError
from counterpoint.registry import did_you_mean
from counterpoint.training.config import DataConfig, TrainConfig, from_dict, to_dict

if TYPE_CHECKING:
    from counterpoint.analysis.config import CompareConfig
    from counterpoint.recipes import PaperTable

INTERRUPTED = 130  # what a shell reports for a process that Ctrl-C ended
WRONG = 2
SHARED = 1  # what `check` ends with when the sides of a split are not apart
RUN, COMPARISON = "config.yaml", "compare.yaml"  # what tells that a folder holds one
KEPT = {
    "train": ". Finished epochs are kept; the same command with --resume goes on from there",
    "compare": ". Finished epochs are kept; the same command with --resume goes on from there",
    "reproduce": ". Finished epochs are kept; the same command goes on from there",
    "prepare": ". What is prepared is kept; the same command goes on from there",
    "verify": ". What is decoded is kept; the same command goes on from there",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: the words after ``counterpoint``; None: those of this process.

    Returns:
        0; 1 when `check` found something on both sides; 2 after a :class:`CounterpointError` or an error of the file
        system, told in one line; 130 after Ctrl-C.
        With ``COUNTERPOINT_DEBUG=1`` in the environment errors come with their traceback.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if len(words) > 1 and words[0] == "help":  # of a verb, as its --help
            words = [words[1], "--help"]
        if not words or words[0] in ("-h", "--help", "help"):
            print(_overview())
        elif words[0] == "--version":
            print(_version())
        elif words[0] in VERBS:
            VERBS[words[0]](words[1:])
        else:
            raise ConfigError(f"There is no verb {words[0]!r}.{did_you_mean(words[0], VERBS)}")
    except BrokenPipeError:  # the reader of our output, e.g. `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (CounterpointError, OSError) as error:
        if os.environ.get("COUNTERPOINT_DEBUG") == "1":
            raise
        print(f"counterpoint {words[0]}: {error}" if words[0] in VERBS else f"counterpoint: {error}", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print(f"Interrupted{KEPT.get(words[0], '')}", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as end:  # --help and --print_config end like this
        return int(end.code or 0)
    return 0


def _version() -> str:
    from importlib.metadata import version

    return f"counterpoint {version('counterpoint')}"


def _overview() -> str:
    lines = [f"  {name:10}{(verb.__doc__ or '').splitlines()[0]}" for name, verb in VERBS.items()]
    return "\n".join(
        [
            "usage: counterpoint VERB [options]",
            "",
            "Learn from sound and sight together, without letting one of them drown the other.",
            "",
            *lines,
            "",
            "counterpoint VERB --help tells the options of a verb.",
            "Options may stand in YAML files (--config), which --print_config writes.",
            "",
            "COUNTERPOINT_CACHE names the folder of decoded and downloaded clips (default ~/.cache/counterpoint),",
            "COUNTERPOINT_ALLOCATOR=system leaves the memory allocator alone, COUNTERPOINT_DEBUG=1 shows tracebacks.",
        ]
    )


def _allocate_largely() -> None:
    """The allocator setting that makes large CPU tensors cheap, unless ``COUNTERPOINT_ALLOCATOR=system``."""
    if os.environ.get("COUNTERPOINT_ALLOCATOR") != "system":
        from counterpoint.allocator import use_large_allocations

        os.environ["COUNTERPOINT_ALLOCATOR"] = "large" if use_large_allocations() else "system"


# ---------------------------------------------------------------------- verbs


def train(words: list[str]) -> None:
    """Train one composition of encoders, fusion, head and balancer on audio-visual clips."""
    parser = Parser("train", train.__doc__)
    parser.add_config()
    parser.add_argument("--recipe", type=str, help="a method's fusion, head and balance: counterpoint list recipes")
    parser.add_place("run", "made of data, method and seed")
    parser.add_class_arguments(TrainConfig, None)
    words = overrides(words)
    recipe = last_value(words, "--recipe")
    options = parser.parse(explicit_wins(words))
    if options["recipe"] is not None:
        raise ConfigError(f"recipe: {options['recipe']} stands in a file; give it as --recipe {options['recipe']}")
    config = _train_config(options)
    _require_task(config, recipe)
    folder = Path(options["runs"]) / (options["name"] or _default_name(config, recipe))
    if options["resume"]:
        options = parser.parse(explicit_wins(["--config", str(_config_to_resume(folder, RUN)), *words]))
        config = _train_config(options)
    config.check()
    _allocate_largely()

    from counterpoint.analysis.report import write_run_report
    from counterpoint.commands.show import print_run
    from counterpoint.training.folder import is_main_process
    from counterpoint.training.run import fit

    run = fit(config, folder, resume=options["resume"], overwrite=options["overwrite"])
    if is_main_process():
        print_run(run, write_run_report(run))


def evaluate(words: list[str]) -> None:
    """Judge a trained model on a split, of its own data or of others."""
    parser = Parser("evaluate", evaluate.__doc__)
    parser.add_config()
    parser.add_argument("run", type=str, help="a run's folder, or one with config.json and model.safetensors")
    parser.add_argument("--split", type=str, default="test", help="train, val or test")
    parser.add_output_file("write the figures to this JSON file as well")
    parser.add_class_arguments(DataConfig, "data")
    options, own = _with_own_data(parser, explicit_wins(words))
    _allocate_largely()

    from counterpoint.commands.show import print_scores
    from counterpoint.training.folder import write_json
    from counterpoint.training.run import evaluate as judge_run

    data = from_dict(DataConfig, options["data"], "data")
    scores = judge_run(options["run"], options["split"], data=None if data == own else data)
    print_scores(f"{options['run']} on {options['split']}", scores)
    if options["output"] is not None:
        write_json(Path(options["output"]), scores)


def verify(words: list[str]) -> None:
    """Judge a trained model by trials: are two utterances, or a voice and a face, of one speaker?"""
    parser = Parser("verify", verify.__doc__)
    parser.add_config()
    parser.add_argument("run", type=str, help="a run's folder, or one with config.json and model.safetensors")
    parser.add_argument("--trials", type=str, required=True, help="list of pairs, `1 a b` or `1,a,b` a line")
    parser.add_argument("--by", type=str, default="embedding", help="embedding, or logits as MMCosine's released code")
    parser.add_argument("--modality", type=str, help="this one alone; default: all together, and each beside")
    parser.add_argument("--crops", type=int, default=1, help="stretches of each utterance that are averaged")
    parser.add_argument("--cohort", type=str, help="normalise scores by so many training speakers; split: by all")
    parser.add_argument("--snorm", type=str, help="so many of the cohort, the most alike, count; all: all of it")
    parser.add_argument("--p_target", type=float, default=0.01, help="of minDCF: how probable one speaker is")
    parser.add_argument("--c_miss", type=float, default=1.0, help="of minDCF: cost of a miss")
    parser.add_argument("--c_fa", type=float, default=1.0, help="of minDCF: cost of a false alarm")
    parser.add_argument("--output", type=str, help="folder of what is written; default: verification in the run's")
    parser.add_class_arguments(DataConfig, "data")
    options, _ = _with_own_data(parser, explicit_wins(words))
    data = from_dict(DataConfig, options["data"], "data")
    _allocate_largely()

    from counterpoint.analysis.trial_scores import How
    from counterpoint.commands.verify import number_or_word, verify_and_tell

    cohort, snorm = (number_or_word(options[name]) for name in ("cohort", "snorm"))
    how = How(options["by"], options["modality"], options["crops"], cohort, snorm)
    costs = {name: options[name] for name in ("p_target", "c_miss", "c_fa")}
    verify_and_tell(options["run"], options["trials"], data, how, costs, options["output"])


def predict(words: list[str]) -> None:
    """Say what happens when in media files of any length, as JSON, subtitles and a picture."""
    parser = Parser("predict", predict.__doc__)
    parser.add_argument("clips", type=str, nargs="+", help="media files")
    parser.add_argument("--run", type=str, required=True, help="its folder, or one with config.json and weights")
    parser.add_argument("--output", type=str, help="folder of what is written; default: predictions in the run's")
    parser.add_argument("--formats", type=list[str], help="of json, vtt, srt and png; default: all")
    parser.add_argument("--hop", type=float, help="from window to window, seconds; default: half, classifiers a whole")
    parser.add_argument("--truth", type=str, help="CSV file of true events (clip,start,end,class), for the picture")
    options = parser.parse(lists_of_words(words, ("--formats",)))
    _allocate_largely()

    from counterpoint.commands.predict import predict_and_tell

    predict_and_tell(**options)


def compare(words: list[str]) -> None:
    """Train several methods under one fair protocol, and show which helps and what each modality has learnt."""
    from counterpoint.analysis.config import CompareConfig

    parser = Parser("compare", compare.__doc__)
    parser.add_config()
    parser.add_argument("--table", type=str, help="a paper's table, all of its rows: counterpoint list tables")
    parser.add_place("comparison", "the table's, or compare")
    parser.add_class_arguments(CompareConfig, None)
    words = overrides(words)
    table = last_value(words, "--table")
    words = explicit_wins(lists_of_words(words, ("--methods", "--seeds", "--folds")))
    options = parser.parse(words)
    if options["table"] is not None:
        raise ConfigError(f"table: {options['table']} stands in a file; give it as --table {options['table']}")
    folder = Path(options["runs"]) / (options["name"] or table or "compare")
    if options["resume"]:
        options = parser.parse(explicit_wins(["--config", str(_config_to_resume(folder, COMPARISON)), *words]))
    config = from_dict(CompareConfig, leave_out_plumbing(options))
    _allocate_largely()

    from counterpoint.analysis.compare import compare as compare_methods
    from counterpoint.commands.show import print_comparison

    comparison = compare_methods(config, folder, resume=options["resume"], overwrite=options["overwrite"])
    print_comparison(comparison)
    if comparison.failures:
        raise RunError(f"{len(comparison.failures)} of the runs failed; --resume tries them again")


def reproduce(words: list[str]) -> None:
    """Run a whole table of a paper, or go on with it, and print its figures beside the measured ones."""
    from counterpoint.analysis.config import CompareConfig

    parser = Parser("reproduce", reproduce.__doc__)
    parser.add_config()
    parser.add_argument("table", type=str, nargs="?", help="e.g. 000:table1 or simam2:table1; none: what there is")
    parser.add_argument("--data-root", type=str, help="folder of the dataset, or of several by their names")
    parser.add_argument("--dataset", type=str, help="of a table over several, this one alone, e.g. cremad")
    parser.add_argument("--runs", type=str, default="runs", help="folder of all runs")
    parser.add_argument("--smoke", action="store_true", help="try every row on tiny made data; no table: all of them")
    parser.add_argument("--output", type=str, help="with --smoke: folder that is kept")
    parser.add_class_arguments(CompareConfig, None)
    words = lists_of_words(overrides(words), ("--methods", "--seeds", "--folds"))
    options = parser.parse(explicit_wins(words))

    from counterpoint.commands.reproduce import print_tables, reproduce_and_tell, smoke_and_tell
    from counterpoint.recipes import find_tables

    if options["dataset"] and not options["table"]:
        raise ConfigError("--dataset chooses among those of a table; name one")
    if options["smoke"] and options["data_root"]:
        raise ConfigError("--smoke makes its own data; leave --data-root out")
    if options["output"] and not options["smoke"]:
        raise ConfigError("--output is for --smoke; runs are in the folder --runs")
    tables = find_tables(options["table"], options["dataset"]) if options["table"] else []
    if options["smoke"]:
        _allocate_largely()
        smoke_and_tell([table.name for table in tables] or None, options["output"])
        return
    if not tables:
        print_tables()
        return
    _allocate_largely()

    def read(table: PaperTable) -> CompareConfig:
        asked = parser.parse(explicit_wins(["--table", table.name, *words]))
        return from_dict(CompareConfig, {name: asked[name] for name in to_dict(CompareConfig())})

    reproduce_and_tell(tables, read, options["data_root"], options["runs"])


def list_parts(words: list[str]) -> None:
    """List what may be named: models, encoders, intermediates, fusions, heads, balancers, datasets, recipes ..."""
    parser = Parser("list", list_parts.__doc__)
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


def prepare(words: list[str]) -> None:
    """Decode a dataset's clips into the cache, or turn them into features, and account for every damaged one."""
    from counterpoint.commands.feature_config import FeaturesConfig

    parser = Parser("prepare", prepare.__doc__)
    parser.add_config()
    parser.add_output_file("write the clips set aside, with reasons, to this CSV file")
    parser.add_argument("--features", type=str, help="folder for features of the clips' segments; the rest says which")
    parser.add_argument("--overwrite", action="store_true", help="remove the features that are there")
    parser.add_class_arguments(DataConfig, "data")
    parser.add_class_arguments(FeaturesConfig, None)
    options = parser.parse(explicit_wins(words))
    config = from_dict(DataConfig, options["data"], "data")
    how = from_dict(FeaturesConfig, {name: options[name] for name in to_dict(FeaturesConfig())})
    if options["features"] is not None:
        if options["output"] is not None:
            raise ConfigError("--features writes set_aside.csv into its folder; leave --output out")
        _allocate_largely()

        from counterpoint.commands.features import write_features

        write_features(config, how, options["features"], overwrite=options["overwrite"])
        return
    if how != FeaturesConfig() or options["overwrite"]:
        raise ConfigError("encoders and segments are for features; name a folder for them: --features FOLDER")

    from counterpoint.commands.prepare import prepare_and_tell

    prepare_and_tell(config, options["output"])


def check(words: list[str]) -> None:
    """Say what both sides of a dataset's split share: speakers, source videos, identical files."""
    parser = Parser("check", check.__doc__)
    parser.add_config()
    parser.add_argument("dataset", type=str, help="its name: counterpoint list datasets")
    parser.add_argument("--splits", type=str, help="folder of the dataset's lists, to be read without its media")
    parser.add_output_file("write what was found to this JSON file as well")
    parser.add_class_arguments(DataConfig, "data")
    options = parser.parse(explicit_wins(words))
    name = options["dataset"]
    if options["data"]["name"] not in (DataConfig.name, name):
        raise ConfigError(f"check {name}, but data.name is {options['data']['name']}; name one dataset")
    config = from_dict(DataConfig, {**options["data"], "name": name}, "data")
    if options["splits"] is not None and (config.root is not None or config.options):
        raise ConfigError("--splits reads lists alone; leave data.root and data.options out, or --splits")

    from counterpoint.commands.check import check_and_tell

    if check_and_tell(config, options["splits"], options["output"]):
        raise SystemExit(SHARED)


def download(words: list[str]) -> None:
    """Fetch a dataset from its public record: resumable, verified, with its licence shown."""
    parser = Parser("download", download.__doc__)
    parser.add_argument("dataset", type=str, help="grid or ravdess")
    parser.add_argument("--speakers", "--actors", type=list[int | str], default=[], help="which people, e.g. 1 2")
    parser.add_argument("--landmarks", action="store_true", help="also the points of the face (ravdess)")
    parser.add_argument("--root", type=str, help="the dataset's folder; default: where it is looked for")
    parser.add_argument("--base_url", type=str, help="server of the listing; default: Zenodo")
    options = parser.parse(lists_of_words(words, ("--speakers", "--actors")))

    from counterpoint.commands.fetch import fetch

    extras = ["landmarks"] if options["landmarks"] else []
    fetch(options["dataset"], options["root"], options["speakers"], extras, options["base_url"])


VERBS: dict[str, Callable[[list[str]], None]] = {
    "train": train,
    "evaluate": evaluate,
    "verify": verify,
    "predict": predict,
    "compare": compare,
    "reproduce": reproduce,
    "list": list_parts,
    "prepare": prepare,
    "check": check,
    "download": download,
}


def _train_config(options: dict[str, Any]) -> TrainConfig:
    return from_dict(TrainConfig, leave_out_plumbing(options))


def _with_own_data(parser: Parser, words: list[str]) -> tuple[dict[str, Any], DataConfig | None]:
    """The options of a verb for a trained run, whose own data come before those of the words; and that data."""
    options = parser.parse(words)
    folder, own = Path(options["run"]), None
    if (folder / RUN).is_file():
        from counterpoint.training.folder import read_config

        own = read_config(folder).data
        with_own = parser.parse(["--config", json.dumps({"data": to_dict(own)}), *words])
        if with_own["data"]["name"] == own.name:  # options of one dataset mean nothing to another
            options = with_own
    elif (folder / "model.safetensors").is_file() and not any(w.startswith(("--data", "--config")) for w in words):
        raise ConfigError(f"{folder} has a model but no {RUN} to say on which data; give --data.name")
    return options, own


def _require_task(config: TrainConfig, recipe: str | None) -> None:
    """Refuse a recipe whose parts the task would leave out."""
    if recipe is None:
        return
    from counterpoint.recipes import load_recipe

    made = load_recipe(recipe).task
    if made != config.task:
        raise ConfigError(f"recipe {recipe} is made to {made}, but task is {config.task!r}; leave out one of the two")


def _config_to_resume(folder: Path, file: str) -> Path:
    path = folder / file
    if not path.is_file():
        known = [p.parent.name for p in folder.parent.glob(f"*/{file}")]
        hint = did_you_mean(folder.name, known)
        raise RunError(
            f"There is nothing to resume at {folder}: it has no {file}. --name says which run goes on.{hint}"
        )
    return path


def _default_name(config: TrainConfig, recipe: str | None) -> str:
    parts = [config.intermediate.name, config.fusion.name, config.fusion.attention, config.balance.name]
    if config.task == "localise":
        parts = [config.localise.name, config.localise.supervision, config.balance.name]
    if config.head.name != "linear":
        parts.append(config.head.name)
    method = Path(recipe).stem if recipe else "-".join(part for part in parts if part)
    return "-".join(str(part) for part in (config.data.name, config.data.task, method, config.seed) if part is not None)


if __name__ == "__main__":
    sys.exit(main())
