"""A made comparison: figures without training, so that tables and reports can be tested in a moment."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from counterpoint.analysis.analyse_run import TRACE
from counterpoint.analysis.dependence import Dependence
from counterpoint.analysis.results import (
    Comparison,
    Failure,
    MethodResult,
    ModalityScores,
    RunResult,
    SeedResult,
    Trial,
)
from counterpoint.analysis.statistics import compare_paired, correct_holm, mean_interval
from counterpoint.analysis.traces import Trace, save_trace
from counterpoint.experiments.config import CompareConfig
from counterpoint.report.doctor import examine
from counterpoint.training.config import DataConfig, TrainConfig
from counterpoint.training.config_io import to_dict

MODALITIES = ("audio", "visual")


def write_run(
    folder: Path, skill: float, seed: int, classes: int, *, ratio: bool, zeta: bool, steps: int = 400
) -> Trace:
    """A run folder with metrics, steps and a trace of 120 clips, of which a share `skill` is right."""
    rng = np.random.default_rng(seed + int(1000 * skill))
    folder.mkdir(parents=True)
    target = np.arange(120) % classes
    logits = rng.normal(size=(120, classes))
    right = rng.random(120) < skill
    logits[np.arange(120), np.where(right, target, (target + 1) % classes)] += 6
    trace = Trace(
        ids=np.array([f"clip{i}" for i in range(120)]),
        target=target,
        logits=logits,
        decoupled=dict.fromkeys(MODALITIES, logits / 2),
        ablated=dict.fromkeys(MODALITIES, logits / 2),
        norms={"audio": rng.normal(2, 0.1, classes), "visual": rng.normal(1, 0.1, classes)},
        angles={"audio": rng.normal(50, 8, 120), "visual": rng.normal(70, 8, 120)},
        zeta={m: np.histogram(rng.beta(5, 3, 1000), 50, (0, 1))[0].astype(float) for m in MODALITIES} if zeta else {},
    )
    save_trace(trace, folder / TRACE)
    epochs = np.arange(20)
    rows = [
        {"epoch": e, "train_loss": 1, "train_accuracy": skill}
        | {f"train_logit{of}": k * np.sqrt(e) for of, k in (("", 3.0), ("_audio", 2.5), ("_visual", 0.5))}
        | {"val_accuracy": skill * (1 - np.exp(-e / 4)) + 0.02 * rng.normal()}
        | {f"val_accuracy_{m}": skill * k * (1 - np.exp(-e / 6)) for m, k in zip(MODALITIES, (0.9, 0.5), strict=True)}
        for e in epochs
    ]
    _write(folder / "metrics.csv", rows)
    if ratio:
        values = 2 ** (1.5 * np.tanh(np.arange(steps) / 100) + 0.3 * rng.normal(size=steps))
        _write(
            folder / "steps.csv",
            [
                {"epoch": 0, "step": i, "loss": 1, "ratio_audio": v, "ratio_visual": 1 / v}
                | {"coefficient_audio": 1 - np.tanh(0.8 * v) if v > 1 else 1, "coefficient_visual": 1}
                for i, v in enumerate(values)
            ],
        )
    return trace


def _write(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


Make = Callable[..., Comparison]


@pytest.fixture(scope="session")
def make_comparison(tmp_path_factory: pytest.TempPathFactory) -> Make:
    def make(
        methods: dict[str, float] | None = None,
        seeds: tuple[int, ...] = (0, 1, 2),
        classes: tuple[str, ...] = ("bin", "lay", "place", "set"),
        folder: Path | None = None,
    ) -> Comparison:
        folder = folder or tmp_path_factory.mktemp("made")
        methods = methods or {
            "concat": 0.7,
            "sum": 0.71,
            "sum-df-simam2": 0.72,
            "concat-ogm-ge": 0.86,
            "mmcosine": 0.55,
        }
        base = TrainConfig(epochs=20, data=DataConfig(batch_size=32))
        config = CompareConfig(methods=list(methods), seeds=list(seeds), base=base, search_trials=2)
        results: dict[str, MethodResult] = {}
        correct: dict[str, np.ndarray] = {}
        for name, skill in methods.items():
            traces, runs = [], []
            for seed in seeds:
                run_folder = folder / name / f"seed{seed}"
                traces.append(
                    write_run(
                        run_folder, skill, seed, len(classes), ratio="ogm" in name or "df" in name, zeta="df" in name
                    )
                )
                score = {"accuracy": float(traces[-1].correct.mean()), "mAP": skill}
                alone = {
                    m: ModalityScores(*({"accuracy": skill * k * share, "mAP": 0.5} for share in (1.0, 0.95, 1.1)))
                    for m, k in zip(MODALITIES, (0.9, 0.5), strict=True)
                }
                together = {"audio x visual": Dependence(1.4 * skill + 0.1 * seed, 1.0, 10.0, 3)}
                place = str(run_folder.relative_to(folder))
                found = RunResult(place, seed, 11, score, score, alone, {}, 12.3, dependence=together, trained_on=480)
                runs.append(replace(found, trained_on=432, held_out=48) if "blending" in name else found)
            correct[name] = np.stack([t.correct for t in traces])
            abilities = {
                m: {
                    kind: mean_interval([getattr(r.modalities[m], kind)["accuracy"] for r in runs])
                    for kind in ("decoupled", "ablated", "probe")
                }
                for m in MODALITIES
            }
            dependence = [r.dependence["audio x visual"].value for r in runs]
            results[name] = MethodResult(
                name=name,
                title=f"The method {name}",
                scores={metric: mean_interval([r.test[metric] for r in runs]) for metric in score},
                modalities=abilities,
                difference=None,
                seeds=tuple(SeedResult(r.seed, r.test, r.modalities) for r in runs),
                runs=tuple(runs),
                setting={"optim.lr": 0.002},
                trials=(Trial({"optim.lr": 0.001}, 0.5), Trial({"optim.lr": 0.002}, 0.6)),
                dependence={"audio x visual": mean_interval(dependence)},
            )
        baseline = next(iter(methods))
        found = {n: compare_paired(c, correct[baseline]) for n, c in correct.items() if n != baseline}
        corrected = correct_holm(found)
        results = {n: replace(r, difference=corrected.get(n)) for n, r in results.items()}
        alone = {
            m: replace(
                results[baseline],
                name=m,
                title=f"{m} alone",
                scores={**results[baseline].scores, "accuracy": mean_interval(v)},
                modalities={},
                dependence={},
            )
            for m, v in (("audio", [0.68, 0.7, 0.69][: len(seeds)]), ("visual", [0.5, 0.46, 0.48][: len(seeds)]))
        }
        made = Comparison(
            folder=folder,
            dataset="talkers/syllable",
            classes=classes,
            modalities=MODALITIES,
            baseline=baseline,
            methods=results,
            alone=alone,
            failures=(Failure("film", 1, "film/seed1", "ConfigError: alpha is -1; it must be greater than 0"),),
            protocol={
                "folds": [],
                "searched_on_test_clips": 0,
                "dataset": "talkers/syllable",
                "clips": {"train": 480, "val": 120, "test": 120},
                "classes": len(classes),
                "shared_groups": 2,
                "notes": ["Synthetic: rendered from seed 0.", "Speakers of test clips are in no other split."],
                "skipped": {"s1/clip7": "the video stream ends after 3 of 75 frames"},
                "config": to_dict(config),
                "environment": {
                    "command": ["/x/bin/counterpoint", "compare", "--epochs", "20"],
                    "cores": 2,
                    "packages": {"torch": "2.13.0", "numpy": "2.4"},
                },
                "seconds": 312.4,
            },
        )
        return replace(made, findings=examine(made))

    return make
