"""A run's folder is like a small database: whole after a cut at any byte, held by one process, itself again after a
full disk, and longer where more epochs are asked for."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch

from counterpoint import _atomic
from counterpoint.commands.runs import run_at
from counterpoint.errors import DamagedFileError, InUseError, RunError, WriteError
from counterpoint.models import from_pretrained
from counterpoint.training import run_dir as files
from counterpoint.training.callbacks.checkpoint import ROWS, read_checkpoint, read_progress, restore_rows
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.fit import fit
from counterpoint.training.load import load_run
from counterpoint.training.module import CounterpointModule
from small_disk import file_size
from test_lock import in_thread
from tiny_clips import tiny_data, write_tiny_clips

EPOCHS = 3
STATES = ("last.ckpt", "best.ckpt", "model.safetensors", "config.json", "config.yaml")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_tiny_clips(tmp_path_factory.mktemp("tiny"))


def config(clips, epochs=EPOCHS, schedule="constant", **changes) -> TrainConfig:
    values = {"data": tiny_data(clips), "epochs": epochs, "seed": 1, "optim": {"lr": 3e-3, "schedule": schedule}}
    return from_dict(TrainConfig, {**values, **changes})


@pytest.fixture(scope="module")
def finished(clips, tmp_path_factory):
    return fit(config(clips), tmp_path_factory.mktemp("runs") / "finished", progress=False).folder


@pytest.fixture(scope="module")
def interrupted(clips, tmp_path_factory):
    """Two of the epochs are finished."""
    folder = tmp_path_factory.mktemp("runs") / "interrupted"
    with pytest.MonkeyPatch.context() as patch:
        step = CounterpointModule.training_step

        def training_step(self, batch, batch_idx):
            if self.epoch == 2:
                raise KeyboardInterrupt
            return step(self, batch, batch_idx)

        patch.setattr(CounterpointModule, "training_step", training_step)
        with pytest.raises(KeyboardInterrupt):
            fit(config(clips), folder, progress=False)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def half(interrupted, tmp_path):
    return Path(shutil.copytree(interrupted, tmp_path / "run"))


def rows(path):
    with path.open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def require_same(folder, finished):
    """All but the seconds that it took."""
    for name in ("last.ckpt", "best.ckpt"):
        a, b = read_checkpoint(folder / name), read_checkpoint(finished / name)
        assert a["finished_epochs"] == b["finished_epochs"] and a["best"] == b["best"]
        for key, tensor in b["state_dict"].items():
            assert torch.equal(a["state_dict"][key], tensor), (name, key)
    for name in ("model.safetensors", "config.json", "config.yaml", "skipped.csv"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes(), name
    for name in ROWS:
        assert rows(folder / name) == rows(finished / name)
    one, other = (json.loads((each / "result.json").read_text()) | {"seconds": 0} for each in (folder, finished))
    assert one == other


def flip(path, bits=8):
    content = bytearray(path.read_bytes())
    for k in range(bits):
        content[(k + 1) * len(content) // (bits + 2)] ^= 1 << k
    path.write_bytes(content)


@pytest.mark.parametrize("name", ROWS)
def test_rows_cut_at_any_byte_come_back(run, name):
    state, path = read_checkpoint(run / files.LAST), run / name
    whole = path.read_bytes()
    assert whole.count(b"\n") > EPOCHS
    for at in range(len(whole)):
        path.write_bytes(whole[:at])
        restore_rows(path, state)
        assert path.read_bytes() == whole, at


@pytest.mark.parametrize("name", ["result.json", "config.yaml", "config.json", "environment.json"])
def test_a_file_cut_at_any_byte_is_told(run, name):
    path = run / name
    whole = path.read_bytes()
    read = {"result.json": files.read_result, "config.yaml": files.read_config, "config.json": from_pretrained}
    for at in range(len(whole)):
        path.write_bytes(whole[:at])
        if name in read:
            with pytest.raises(DamagedFileError, match=f"{name} is damaged"):
                read[name](run)
        assert name == "config.yaml" or not files.is_finished(run, EPOCHS)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "result.json", "metrics.csv", "steps.csv"])
def test_what_follows_from_the_rest_is_made_anew(run, finished, clips, name):
    if name in ROWS:  # the last row says "1" in place of "11", or nothing is left
        (run / name).write_bytes(b"" if name == "steps.csv" else (run / name).read_bytes()[:-40])
    else:
        flip(run / name)
        with pytest.raises(DamagedFileError, match=f"{name} is damaged.*train --resume"):
            load_run(run)
    fit(config(clips), run, resume=True, progress=False)
    require_same(run, finished)
    load_run(run)


def test_a_damaged_configuration_is_told(run, clips):
    flip(run / "config.yaml")
    with pytest.raises(DamagedFileError, match="config.yaml is damaged"):
        fit(config(clips), run, resume=True, progress=False)


@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_a_damaged_last_checkpoint_falls_back_to_the_best(half, finished, clips, caplog, how):
    path = half / "last.ckpt"
    if how == "flipped":
        flip(path)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    fit(config(clips), half, resume=True, progress=False)
    require_same(half, finished)
    assert "last.ckpt" in caplog.text and "Going on from best.ckpt, after epoch" in caplog.text


def test_checkpoints_are_files_of_their_own(half, clips):
    last, best = half / "last.ckpt", half / "best.ckpt"
    assert last.stat().st_nlink == best.stat().st_nlink == 1
    flip(best)
    with pytest.raises(DamagedFileError, match="best.ckpt.*it alone has the weights of epoch 1.*--overwrite"):
        read_progress(half)
    flip(last)
    with pytest.raises(DamagedFileError, match="last.ckpt is damaged.*no other checkpoint; --overwrite"):
        fit(config(clips), half, resume=True, progress=False)


def test_a_damaged_best_checkpoint_is_made_anew_where_the_last_one_is_the_best(half):
    last, best = half / "last.ckpt", half / "best.ckpt"
    state = read_checkpoint(last)
    state["best"]["epoch"] = 1
    with _atomic.writing(last, checked=True) as part:
        torch.save(state, part)
    flip(best)
    assert read_progress(half)["finished_epochs"] == read_checkpoint(best)["finished_epochs"] == 2


def test_a_cut_in_the_first_epoch_leaves_nothing_of_it(half, finished, clips):
    for name in ("last.ckpt", "best.ckpt", "checksums.sha256"):
        (half / name).unlink()
    (half / "metrics.csv").write_text("epo")
    fit(config(clips), half, resume=True, progress=False)
    require_same(half, finished)


def test_a_run_of_before_the_digests_goes_on(half, finished, clips):
    (half / "checksums.sha256").unlink()
    for name in ("last.ckpt", "best.ckpt"):
        state = {key: v for key, v in read_checkpoint(half / name).items() if key not in ("rows", "epochs", "extended")}
        torch.save(state, half / name)
    text = (half / "metrics.csv").read_text()
    (half / "metrics.csv").write_text(text + text.splitlines()[-1].replace("1,", "2,", 1)[:9])
    fit(config(clips), half, resume=True, progress=False)
    require_same(half, finished)


@pytest.mark.parametrize("most", [40, 1_500, 20_000, 400_000])
def test_a_full_disk_is_told_and_the_run_goes_on_after_it(clips, finished, tmp_path, most):
    folder = tmp_path / "run"
    with file_size(most), pytest.raises(WriteError, match="cannot be written: File too large.* are free") as told:
        fit(config(clips), folder, progress=False)
    assert str(folder) in str(told.value) and "\n" not in str(told.value)
    assert not list(folder.glob("*.part"))
    fit(config(clips), folder, resume=True, progress=False)
    require_same(folder, finished)


def test_a_folder_that_vanishes_is_told(clips, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    end = CounterpointModule.on_validation_epoch_end

    def vanish(self):
        shutil.rmtree(folder)
        end(self)

    monkeypatch.setattr(CounterpointModule, "on_validation_epoch_end", vanish)
    with pytest.raises(WriteError, match="metrics.csv cannot be written: No such file or directory"):
        fit(config(clips), folder, progress=False)
    assert not folder.exists()


def test_two_at_once_one_is_told(half, clips):
    def second():
        with pytest.raises(InUseError, match="is in use by process"):
            fit(config(clips), half, resume=True, progress=False)
        return True

    with pytest.MonkeyPatch.context() as patch:
        begin = CounterpointModule.begin_epoch
        seen = []

        def begin_epoch(self, epoch):
            seen.append(in_thread(second))
            begin(self, epoch)

        patch.setattr(CounterpointModule, "begin_epoch", begin_epoch)
        fit(config(clips), half, resume=True, progress=False)
    assert seen == [True]
    assert [row["epoch"] for row in rows(half / "metrics.csv")] == ["0", "1", "2"]


def test_more_epochs_go_on_to_what_a_longer_run_is(clips, finished, tmp_path):
    fit(config(clips, epochs=2), tmp_path / "run", progress=False)
    with pytest.raises(RunError, match=r"epochs \(was 2, now 1\).*Epochs may become more, and data.workers"):
        fit(config(clips, epochs=1), tmp_path / "run", resume=True, progress=False)
    fit(config(clips), tmp_path / "run", resume=True, progress=False)
    require_same(tmp_path / "run", finished)


def test_a_schedule_of_fewer_epochs_is_told(clips, tmp_path):
    fit(config(clips, epochs=2, schedule="cosine"), tmp_path / "run", progress=False)
    run = fit(config(clips, epochs=4, schedule="cosine"), tmp_path / "run", resume=True, progress=False)
    (note,) = [note for note in run.result["notes"] if "made longer" in note]
    assert "planned for 2 epochs" in note and "cosine" in note
    lr = [float(row["lr"]) for row in rows(tmp_path / "run" / "metrics.csv")]
    assert 0 < lr[3] < lr[2] < lr[1]


def test_a_loss_that_is_no_number_is_null(run):
    result = json.loads((run / "result.json").read_text())
    _atomic.write_json(run / "result.json", result | {"val": {**result["val"], "loss": float("nan")}}, checked=True)
    assert '"loss": null' in (run / "result.json").read_text()
    assert files.read_result(run)["val"]["loss"] != files.read_result(run)["val"]["loss"]


def test_of_a_comparison_the_best_run_is_taken(finished, tmp_path, capsys):
    folder = tmp_path / "both"
    for name, accuracy in {"concat/seed0": 0.5, "sum/seed1": 0.75, "alone/audio/seed0": 1.0}.items():
        shutil.copytree(finished, folder / name)
        result = json.loads((folder / name / "result.json").read_text())
        result["val"]["accuracy"] = accuracy
        _atomic.write_json(folder / name / "result.json", result, checked=True)
    (folder / "compare.yaml").write_text("methods: [concat, sum]\n")
    assert run_at(str(folder)) == str(folder / "sum" / "seed1")
    assert "is a comparison; taken is its best run on validation data" in (said := capsys.readouterr().err)
    assert "sum/seed1 (Top-1 75.0" in said
    assert run_at(str(finished)) == str(finished)
    with pytest.raises(RunError, match="is a comparison; name one of its runs: .*concat/seed0"):
        load_run(folder)
    for name in ("concat/seed0", "sum/seed1", "alone/audio/seed0"):
        (folder / name / "result.json").unlink()
    with pytest.raises(RunError, match="without a finished run.*concat/seed0"):
        run_at(str(folder))
