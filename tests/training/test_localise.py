"""Localisation in the one engine: from files and their events to a finished run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint.data.clip_table import Clip, ClipTable
from counterpoint.data.events import Event, segment_classes
from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.localise import LocaliserOutput
from counterpoint.localise.output import from_segments
from counterpoint.media.spec import MediaSpec
from counterpoint.training.config import DataConfig, TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.datamodule import prepare_clips
from counterpoint.training.epoch_metrics import EpochMetrics
from counterpoint.training.evaluate import evaluate
from counterpoint.training.fit import fit
from counterpoint.training.load import load_run
from counterpoint.training.task import Localisation
from interrupting import interrupted
from tiny_clips import CLASSES, SECONDS, tiny_data, write_tiny_clips

SEGMENTS = 5


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """The event of a clip, its class, is in its first or in its second half by its number; every fourth has none."""
    root = write_tiny_clips(tmp_path_factory.mktemp("tiny"))
    lines = ["clip,start,end,class"]
    for label in CLASSES:
        for k, path in enumerate(sorted((root / label).glob("*.mp4"))):
            start = SECONDS / 2 * (k % 2)
            if k % 4 != 3:
                lines.append(f"{label}/{path.name},{start},{start + SECONDS / 2},{label}")
    (root / "events.csv").write_text("\n".join(lines) + "\n")
    return root


def config(clips, **changes) -> TrainConfig:
    values = {
        "task": "localise",
        "data": tiny_data(clips),
        "localise": {"name": "psp", "segments": SEGMENTS},
        "balance": {"name": "ogm_ge", "options": {"alpha": 0.3}},
        "optim": {"lr": 3e-3},
        "epochs": 2,
        "seed": 1,
        **changes,
    }
    return from_dict(TrainConfig, values)


@pytest.fixture(scope="module", params=["fully", "weakly"])
def finished(request, clips, tmp_path_factory):
    chosen = {"name": "psp", "segments": SEGMENTS, "supervision": request.param}
    return fit(config(clips, localise=chosen), tmp_path_factory.mktemp("runs") / request.param, progress=False)


def test_the_result_says_how_well_segments_events_and_clips_are_known(finished):
    for split in ("val", "test"):
        scores = finished.result[split]
        assert set(scores) == {"loss", "accuracy", "event_f1", "video_accuracy", "accuracy_audio", "accuracy_visual"}
        assert all(0 <= value <= 1 for name, value in scores.items() if name != "loss")
    assert (
        finished.classes == CLASSES
        and json.loads((finished.folder / "config.json").read_text())["name"] == "localisation"
    )


def test_evaluating_a_run_gives_its_result(finished):
    assert evaluate(finished, "test") == {"clips": 8, **finished.result["test"]}
    assert evaluate(load_run(finished.folder), "val") == {"clips": 8, **finished.result["val"]}


def test_targets_are_the_classes_of_segments(finished, clips):
    table = finished.data.clips.table
    dataset = finished.data.clips.split("train")
    assert dataset.targets.shape == (16, SEGMENTS)
    for clip, target in zip(dataset.clips, dataset.targets.tolist(), strict=True):
        assert tuple(target) == segment_classes(table.events.get(clip.id, ()), SECONDS, SEGMENTS, 2)
    assert (dataset.targets == 2).any() and (dataset.targets < 2).any()


def test_a_resumed_run_has_the_same_result(finished, clips, tmp_path, monkeypatch):
    interrupted(monkeypatch, finished.config, tmp_path / "run", 3)  # in the second epoch
    again = fit(finished.config, tmp_path / "run", resume=True, progress=False)
    assert again.result["test"] == finished.result["test"]


def test_weak_supervision_never_sees_when():
    task = Localisation("weakly", background=3)
    target = torch.tensor([[3, 1, 1, 0], [3, 3, 3, 3]])
    assert task.trained_on(target).tolist() == [1, 3]
    assert torch.equal(task.trained_on(target), task.trained_on(target.flip(1)))
    assert torch.equal(Localisation("fully", 3).trained_on(target), target)


def outputs(classes, num_classes=3) -> LocaliserOutput:
    """What a localiser says that finds these classes of segments, background the last."""
    return from_segments(10 * torch.nn.functional.one_hot(torch.tensor(classes), num_classes + 1).float())


def test_scores_against_a_count_by_hand():
    scores = EpochMetrics(Localisation("fully", background=3))
    # clip 0: all right. clip 1: the event of class 1 is found one segment late (2 of 4 shared). clip 2: a false event.
    target = torch.tensor([[0, 0, 3, 3], [1, 1, 1, 3], [3, 3, 3, 3]])
    found = [[0, 0, 3, 3], [3, 1, 1, 1], [3, 2, 3, 3]]
    scores.add(outputs(found[:2]), target[:2], torch.tensor([0, 1]))
    scores.add(outputs(found[2:]), target[2:], torch.tensor([2]))
    scores.add(outputs(found[:1]), target[:1], torch.tensor([0]))  # a clip that comes twice counts once
    metrics = scores.compute("val_")
    assert metrics["val_accuracy"] == pytest.approx((4 + 2 + 3) / 12)
    # clip 0: a hit; clip 1: IoU 2/4, a hit; clip 2: a false alarm. F1 = 2 * 2 / (2 * 2 + 1)
    assert metrics["val_event_f1"] == pytest.approx(4 / 5)
    assert metrics["val_video_accuracy"] == pytest.approx(2 / 3)
    logits = 10 * np.eye(4)[np.array(found)]
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    picked = np.take_along_axis(log_p, target.numpy()[..., None], -1)
    assert metrics["val_loss"] == pytest.approx(-picked.mean(), rel=1e-6)


def test_one_modality_alone(clips, tmp_path):
    chosen = {"model": {"modalities": ["audio"]}, "localise": {"name": "avel", "segments": SEGMENTS}, "balance": {}}
    run = fit(config(clips, **chosen, epochs=1), tmp_path / "run", progress=False)
    assert run.module.model.modalities == ("audio",)


def test_vggish_hears_each_segment_by_itself(clips, tmp_path):
    model = {"inputs": {"audio": {"name": "vggish_mel"}}, "options": {"audio": {"name": "vggish"}}}
    run = fit(config(clips, model=model, balance={}, epochs=1), tmp_path / "run", progress=False)
    assert run.module.transforms["audio"].segments == SEGMENTS
    assert load_run(run.folder).module.transforms["audio"].segments == SEGMENTS


def test_mixed_precision(clips, tmp_path):
    chosen = {"localise": {"name": "bmfn", "segments": SEGMENTS}, "balance": {}}
    run = fit(config(clips, **chosen, epochs=1, precision="bf16-mixed"), tmp_path / "run", progress=False)
    assert 0 <= run.result["test"]["accuracy"] <= 1


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"localise": {"name": "bmfm"}}, UnknownNameError, "Did you mean 'bmfn'"),
        ({"localise": {"supervision": "full"}}, ConfigError, "Did you mean 'fully'"),
        ({"localise": {"loss": "vidio"}}, UnknownNameError, "Did you mean 'video'"),
        ({"localise": {"loss": "video", "segments": 5}}, ConfigError, "is for weakly supervised training, not fully"),
        ({"localise": {"segments": 0}}, ConfigError, "localise.segments is 0"),
        ({"localise": {"options": {"supervision": "weakly"}}}, ConfigError, "say localise.supervision"),
        ({"localise": {"options": {"num_classes": 3}}}, ConfigError, "follows from the data"),
        ({"localise": {"segments": 5, "options": {"dropout": 2}}}, ConfigError, "dropout must lie between 0 and 1"),
        ({"localise": {"segments": 6, "name": "psp"}}, ConfigError, "a clip has 5 frames"),
        ({"localise": {"name": "bmfn", "segments": 5}}, ConfigError, "'bmfn' does not tell; avel, psp do"),
        ({"fusion": {"name": "sum"}}, ConfigError, "fusion is set, but task 'localise' does not use it"),
        ({"optim": {"label_smoothing": 0.1}}, ConfigError, "label_smoothing"),
        ({"metric": "mAP"}, UnknownNameError, "No metric is called 'mAP'. Known: accuracy, event_f1"),
        ({"task": "localize"}, ConfigError, "Did you mean 'localise'"),
        ({"data": {"name": "ravdess"}}, ConfigError, "does not say when something happens.*talkers"),
        ({"data": {"name": "talkers", "task": "syllable"}}, ConfigError, "'syllable' does not say when"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_made(clips, tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        fit(config(clips, **changes), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_classifying_has_no_localiser(clips, tmp_path):
    values = {"data": tiny_data(clips), "localise": {"name": "psp"}}
    with pytest.raises(ConfigError, match="localise is set, but task 'classify' does not use it"):
        fit(from_dict(TrainConfig, values), tmp_path / "run", progress=False)


def test_learns(clips, tmp_path):
    chosen = {"name": "avel", "segments": SEGMENTS}
    run = fit(config(clips, localise=chosen, balance={}, epochs=25, augment=False), tmp_path / "run", progress=False)
    assert run.result["val"]["video_accuracy"] > 0.5


def test_clips_without_a_class_cannot_be_classified():
    clips = tuple(Clip(name, Path(f"{name}.mp4"), label, "train") for name, label in (("a", 0), ("b", 1)))
    table = ClipTable("mine", ("laugh",), clips, MediaSpec(), events={"a": (Event(0, 0.0, 1.0),), "b": ()})
    with pytest.raises(ConfigError, match="mine has clips in which nothing happens.*task=localise"):
        prepare_clips(table, DataConfig(), table.media, ("audio",))
