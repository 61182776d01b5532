"""`counterpoint verify`: its options."""

from __future__ import annotations

from counterpoint.commands.options import Parser, explicit_wins
from counterpoint.commands.runs import allocate_largely, parse_with_own_data
from counterpoint.training.config import DataConfig
from counterpoint.training.config_io import from_dict


def main(words: list[str]) -> None:
    """Judge a trained model by trials: are two utterances, or a voice and a face, of one speaker?"""
    parser = Parser("verify", main.__doc__)
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
    options, _ = parse_with_own_data(parser, explicit_wins(words))
    data = from_dict(DataConfig, options["data"], "data")
    allocate_largely()

    from counterpoint.commands.verify import number_or_word, verify_and_tell
    from counterpoint.verify.score_trials import How

    cohort, snorm = (number_or_word(options[name]) for name in ("cohort", "snorm"))
    how = How(options["by"], options["modality"], options["crops"], cohort, snorm)
    costs = {name: options[name] for name in ("p_target", "c_miss", "c_fa")}
    verify_and_tell(options["run"], options["trials"], data, how, costs, options["output"])
