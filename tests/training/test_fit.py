"""From real files to a finished run, an interrupted one, and back."""

import csv
import json
import os
import shutil
import signal

import pytest
import torch
import yaml
from torch.utils._python_dispatch import TorchDispatchMode

from counterpoint.balance import BALANCERS
from counterpoint.data import PreparedClips
from counterpoint.errors import ConfigError, DataError, RunError, UnknownNameError
from counterpoint.models import from_pretrained
from counterpoint.training.config import DataConfig, TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.evaluate import evaluate
from counterpoint.training.fit import fit
from counterpoint.training.load import load_run
from counterpoint.training.module import CounterpointModule
from tiny_clips import CLASSES, tiny_data, write_tiny_clips


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_tiny_clips(tmp_path_factory.mktemp("tiny"))


def config(clips, **changes) -> TrainConfig:
    values = {
        "data": tiny_data(clips),
        "fusion": {"name": "sum", "attention": "simam2", "zeta": "learned"},
        "balance": {"name": "ogm_ge", "options": {"alpha": 0.3, "ratio": "zeta"}},
        "optim": {"lr": 3e-3, "clip_norm": 5.0},
        "epochs": 3,
        "seed": 1,
        **changes,
    }
    return from_dict(TrainConfig, values)


@pytest.fixture(scope="module")
def finished(clips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "finished"
    return fit(config(clips), folder, progress=False)


def rows(path, without=()):
    with path.open() as file:
        return [{k: v for k, v in row.items() if k not in without} for row in csv.DictReader(file)]


def test_the_run_folder_has_all_that_was_promised(finished, clips):
    names = {path.name for path in finished.folder.iterdir()}
    assert names == {
        "config.yaml",
        "environment.json",
        "metrics.csv",
        "steps.csv",
        "train.log",
        "skipped.csv",
        "last.ckpt",
        "best.ckpt",
        "model.safetensors",
        "config.json",
        "result.json",
        "checksums.sha256",
    }
    resolved = yaml.safe_load((finished.folder / "config.yaml").read_text())
    assert from_dict(TrainConfig, resolved) == config(clips)
    assert resolved["optim"]["weight_decay"] == 1e-4  # defaults are spelt out
    environment = json.loads((finished.folder / "environment.json").read_text())
    assert {"counterpoint", "commit", "cpu", "packages", "command", "allocator", "precision"} <= set(environment)
    assert environment["packages"]["torch"] == torch.__version__


def test_metrics_and_steps(finished):
    epochs = rows(finished.folder / "metrics.csv")
    assert [row["epoch"] for row in epochs] == ["0", "1", "2"]
    for part in ("train", "val"):
        for name in ("loss", "accuracy", "mAP", "accuracy_audio", "accuracy_visual"):
            assert float(epochs[-1][f"{part}_{name}"]) >= 0, name
    steps = rows(finished.folder / "steps.csv")
    assert [int(row["step"]) for row in steps] == list(range(6))
    for row in steps:
        assert float(row["ratio_audio"]) * float(row["ratio_visual"]) == pytest.approx(1, rel=1e-4)
        assert min(float(row["coefficient_audio"]), float(row["coefficient_visual"])) < 1


def test_every_epoch_is_in_the_log_and_few_steps_are_told(finished):
    lines = (finished.folder / "train.log").read_text().splitlines()
    metrics = rows(finished.folder / "metrics.csv")
    few = "16 training clips in batches of 8 make 2 steps an epoch, 6 in all: few."
    assert few in lines[0] and any(note.startswith(few) for note in finished.result["notes"])
    assert "OGMGE acts on 6 of 18 tensors of audio (99." in lines[1]
    for k, (line, row) in enumerate(zip(lines[2:], metrics, strict=True)):
        assert f"train {2 * k + 2}/6, epoch {k + 1}/3  val Top-1 {float(row['val_accuracy']):.3f}" in line
        assert f"train Top-1 {float(row['train_accuracy']):.3f}  loss {float(row['train_loss']):.3f}" in line


def test_the_epoch_is_the_best_on_validation(finished):
    epochs = rows(finished.folder / "metrics.csv")
    best = max(epochs, key=lambda row: (float(row["val_accuracy"]), -float(row["val_loss"])))
    assert finished.epoch == finished.result["epoch"] == int(best["epoch"])
    for name in ("loss", "accuracy", "mAP"):
        assert finished.result["val"][name] == pytest.approx(float(best[f"val_{name}"]), abs=1e-6)


def test_the_folder_alone_suffices(finished, clips, tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copy(finished.folder / name, tmp_path)
    run = load_run(tmp_path)
    assert run.classes == CLASSES
    scores = evaluate(run, "test", data=DataConfig(**tiny_data(clips)))
    assert scores == {"clips": 8, **finished.result["test"]}
    model = from_pretrained(tmp_path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, finished.module.model.state_dict()[name]), name


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluating_a_run_gives_its_result(finished, split):
    assert evaluate(finished.folder, split) == {"clips": 8, **finished.result[split]}


def test_evaluating_on_other_clips(finished, tmp_path):
    other = write_tiny_clips(tmp_path / "other", classes=CLASSES[::-1], seed=7)  # other order of classes on disk
    scores = evaluate(finished, "test", data=DataConfig(**tiny_data(other)))
    assert scores["clips"] == 8
    strange = write_tiny_clips(tmp_path / "strange", classes=("high", "loww"))
    with pytest.raises(DataError, match="class 'loww', which the model .* does not know. Did you mean 'low'"):
        evaluate(finished, "test", data=DataConfig(**tiny_data(strange)))


def ctrl_c():
    raise KeyboardInterrupt


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def stop_after(monkeypatch, steps, stop=ctrl_c):
    """Stop in the middle of an epoch."""
    done = 0
    step = CounterpointModule.training_step

    def training_step(self, batch, batch_idx):
        nonlocal done
        if done == steps:
            stop()
        done += 1
        return step(self, batch, batch_idx)

    monkeypatch.setattr(CounterpointModule, "training_step", training_step)


@pytest.mark.parametrize(("steps", "stop"), [(1, ctrl_c), (3, terminate), (5, ctrl_c)])
def test_an_interrupted_run_goes_on_to_the_very_same_result(finished, clips, tmp_path, monkeypatch, steps, stop):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_after(patch, steps, stop)
        with pytest.raises(KeyboardInterrupt):
            fit(config(clips), folder, progress=False)
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert not (folder / "result.json").exists()
    torch.manual_seed(123)  # whatever state the second process is in
    (folder / "set_aside.csv").write_text("clip,reason\n")  # of version 0.1, which began the run
    run = fit(config(clips), folder, resume=True, progress=False)
    assert not (folder / "set_aside.csv").exists()
    for part in ("best.ckpt", "last.ckpt"):
        a, b = (torch.load(f / part, weights_only=True) for f in (folder, finished.folder))
        for name, tensor in b["state_dict"].items():
            assert torch.equal(a["state_dict"][name], tensor), (part, name)
    assert rows(folder / "metrics.csv", ["seconds"]) == rows(finished.folder / "metrics.csv", ["seconds"])
    assert rows(folder / "steps.csv") == rows(finished.folder / "steps.csv")
    for name in ("epoch", "val", "test", "clips"):
        assert run.result[name] == finished.result[name]


def test_with_workers_the_order_is_the_same(finished, clips, tmp_path, monkeypatch):
    data = tiny_data(clips) | {"workers": 1}
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            fit(config(clips, data=data), tmp_path / "run", progress=False)
    run = fit(config(clips, data=data), tmp_path / "run", resume=True, progress=False)
    assert rows(run.folder / "steps.csv") == rows(finished.folder / "steps.csv")


def test_a_folder_in_use_is_refused(finished, clips, tmp_path, monkeypatch):
    with pytest.raises(RunError, match="holds a finished run. Give the new one another name"):
        fit(config(clips), finished.folder, progress=False)
    again = fit(config(clips), finished.folder, resume=True, progress=False)
    assert again.result == finished.result
    stop_after(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        fit(config(clips), tmp_path / "half", progress=False)
    with pytest.raises(RunError, match="unfinished run. Continue it with --resume"):
        fit(config(clips), tmp_path / "half", progress=False)
    changed = config(clips, optim={"lr": 0.5, "clip_norm": 5.0})
    with pytest.raises(RunError, match=r"optim.lr \(was 0.003, now 0.5\)"):
        fit(changed, tmp_path / "half", resume=True, progress=False)
    with pytest.raises(RunError, match="is not finished"):
        _ = load_run(tmp_path / "half", "last").result


def test_a_damaged_clip_is_set_aside_and_told(clips, tmp_path):
    root = tmp_path / "damaged"
    shutil.copytree(clips, root)
    victim = root / "low" / "002.mp4"
    victim.write_bytes(victim.read_bytes()[:700])
    run = fit(config(root, epochs=1), tmp_path / "run", progress=False)
    (told,) = rows(run.folder / "skipped.csv")
    assert told["clip"] == "low/002.mp4" and told["reason"]
    assert run.result["clips"]["train"] == 15 and run.result["skipped"] == 1
    data = tiny_data(root) | {"max_bad": 0.01}
    with pytest.raises(DataError, match="max_bad"):
        fit(config(root, data=data), tmp_path / "refused", progress=False)
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"fusion": {"name": "summ"}}, UnknownNameError, "Did you mean 'sum'"),
        ({"fusion": {"name": "sum", "options": {"sum_att": 1}}}, ConfigError, "Did you mean 'sum_at'"),
        ({"balance": {"name": "ogm-ge"}}, UnknownNameError, "Did you mean 'ogm_ge'"),
        ({"model": {"name": "smal_av"}}, UnknownNameError, "Did you mean 'small_av'"),
        ({"model": {"inputs": {"adio": {"name": "mfcc"}}}}, ConfigError, "Did you mean 'audio'"),
        ({"model": {"inputs": {"audio": {"name": "mfc"}}}}, UnknownNameError, "Did you mean 'mfcc'"),
        ({"model": {"inputs": {"audio": "mfcc"}}}, ConfigError, "model.inputs.audio is 'mfcc'"),
        ({"epochs": 0}, ConfigError, "epochs is 0"),
        ({"accelerator": "gppu"}, ConfigError, "Did you mean 'gpu'"),
        ({"fusion": {"name": "sum", "zeta": 0.5}}, ConfigError, "ratio='zeta' goes by .* not learned here"),
        ({"balance": {"name": "ogm", "options": {"alpha": "x"}}}, ConfigError, "alpha|balance has a value"),
        ({"model": {"inputs": {"audio": {"n_mels": "many"}}}}, ConfigError, "n_mels|audio has a value"),
    ],
)
def test_wrong_names_are_told_before_anything_is_made(clips, tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        fit(config(clips, **changes), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_trial_leaves_test_alone_until_asked(finished, clips, tmp_path, monkeypatch):
    read = []
    split = PreparedClips.split
    monkeypatch.setattr(PreparedClips, "split", lambda self, name: read.append(name) or split(self, name))
    trial = fit(config(clips), tmp_path / "run", test=False, progress=False)
    assert set(read) == {"train", "val"}
    assert "test" not in trial.result
    assert fit(config(clips), trial.folder, resume=True, test=False, progress=False).result == trial.result
    assert fit(config(clips), trial.folder, resume=True, progress=False).result["test"] == finished.result["test"]


def test_an_empty_split_is_told_before_training(clips, tmp_path):
    root = tmp_path / "clips"
    shutil.copytree(clips, root)
    table = root / "split.csv"
    table.write_text(table.read_text().replace(",test", ",train"))
    with pytest.raises(DataError, match="test split is empty"):
        fit(config(root), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("accelerator", ["gpu", "cuda", "mps"])
def test_a_device_that_is_not_there_is_told(clips, tmp_path, monkeypatch, accelerator):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"accelerator is '{accelerator}'.*choose auto or cpu"):
        fit(config(clips, accelerator=accelerator), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_an_unknown_field_of_media(clips, tmp_path):
    data = tiny_data(clips) | {"media": {"sise": 3}}
    with pytest.raises(ConfigError, match="data.media has no field 'sise'. Did you mean 'size'"):
        fit(config(clips, data=data), tmp_path / "run", progress=False)


def test_one_modality_alone(clips, tmp_path):
    alone = config(clips, model={"modalities": ["audio"]}, fusion={}, balance={}, epochs=1)
    run = fit(alone, tmp_path / "run", progress=False)
    assert set(run.result["test"]) == {"loss", "accuracy", "mAP", "accuracy_audio"}
    assert evaluate(run.folder, "test") == {"clips": 8, **run.result["test"]}


def test_what_is_no_run(tmp_path):
    with pytest.raises(RunError, match="There is no run at"):
        load_run(tmp_path / "nothing")
    with pytest.raises(RunError, match="is not a run"):
        load_run(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("")
    with pytest.raises(RunError, match=r"the runs in it are .*/one, .*/two$"):
        load_run(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="Did you mean 'best'"):
        load_run(tmp_path, "bests")
    (tmp_path / "last.ckpt").write_bytes(b"broken")
    (tmp_path / "config.yaml").write_text("epochs: 2")
    with pytest.raises(RunError, match="is damaged"):
        fit(from_dict(TrainConfig, {"epochs": 2}), tmp_path, resume=True, progress=False)


class NothingReadBack(TorchDispatchMode):
    """Fails where a value goes from the device to the host."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function is not torch.ops.aten._local_scalar_dense.default, "the host waits for the device"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("balance", [None, *BALANCERS])
def test_a_step_never_waits_for_the_device(clips, tmp_path, monkeypatch, balance):
    step = CounterpointModule.training_step

    def watched(self, batch, batch_idx):
        with NothingReadBack():
            return step(self, batch, batch_idx)

    monkeypatch.setattr(CounterpointModule, "training_step", watched)
    balancer = {"name": balance, "options": {"rates": {"audio": 0.1}} if balance == "mslr" else {}}
    regularise = {"modality_dropout": 0.2, "mixup": 0.2}
    fit(config(clips, balance=balancer, regularise=regularise, epochs=1), tmp_path / "run", progress=False)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision(clips, tmp_path, precision):
    run = fit(config(clips, precision=precision, epochs=1), tmp_path / "run", progress=False)
    assert run.module.precision == precision
    assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in run.module.model.parameters())
    assert evaluate(run.folder, "test") == {"clips": 8, **run.result["test"]}


def test_learns(clips, tmp_path):
    run = fit(config(clips, epochs=12, augment=False), tmp_path / "run", progress=False)
    assert run.result["test"]["accuracy"] >= 0.75
