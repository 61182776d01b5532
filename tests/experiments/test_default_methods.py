"""Methods that nobody named fit the data: what does not is left out, and it is said which and why."""

import json

import numpy as np
import pytest

from counterpoint.cli import main
from counterpoint.errors import CounterpointError
from counterpoint.experiments.compare import compare
from counterpoint.experiments.config import DEFAULT_METHODS, CompareConfig
from counterpoint.experiments.plan import dry_run, resolve_plan
from counterpoint.training.config_io import from_dict
from counterpoint.training.datamodule import list_run_clips
from feature_files import write
from tiny_clips import tiny_data, write_tiny_clips

ROWS = 24
CONVOLUTIONS = {"sum-df-simam2", "concat-ogm-ge"}


@pytest.fixture
def features(tmp_path, monkeypatch):
    """A folder of features: of whole clips, or of `segments`; of some modalities."""
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "cache"))

    def make(modalities, segments=None):
        rng, maps = np.random.default_rng(0), {"audio": (), "visual": (2, 2)}
        shapes = {m: (ROWS, 4) if segments is None else (ROWS, segments, *maps[m], 4) for m in modalities}
        write(tmp_path / "f" / "features.h5", **{m: rng.normal(size=shape) for m, shape in shapes.items()})
        rows = [f"c{k},{'ab'[k // 4 % 2]},1,{('train', 'train', 'val', 'test')[k % 4]}" for k in range(ROWS)]
        (tmp_path / "f" / "clips.csv").write_text("\n".join(["clip,class,seconds,split", *rows]))
        return {"name": "features", "root": str(tmp_path / "f"), "batch_size": 8}

    return make


def planned(data, folder, task, **changes):
    base = {"data": data, "task": task, "epochs": 1, "accelerator": "cpu", **changes.pop("base", {})}
    plan = resolve_plan(from_dict(CompareConfig, {"base": base, "seeds": [0], **changes}), folder)
    plan.left_out.update(dry_run(plan.entries, list_run_clips(plan.config.base), plan.optional))
    return plan


@pytest.mark.parametrize(
    ("modalities", "segments", "gone"),
    [
        (("audio", "visual"), None, CONVOLUTIONS),
        (("audio", "visual"), 4, set()),
    ],
)
def test_of_features(features, tmp_path, modalities, segments, gone):
    task = "classify" if segments is None else "localise"
    plan = planned(features(modalities, segments), tmp_path / "out", task)
    assert set(plan.left_out) == gone and all("no convolutions" in why for why in plan.left_out.values())
    kept = [entry.name for entry in plan.entries if entry.kind == "method"]
    assert kept == [name for name in DEFAULT_METHODS[task] if name not in gone] and len(kept) >= 3


def test_of_one_modality_to_localise(features, tmp_path):
    base = {"model": {"modalities": ["visual"]}}
    plan = planned(features(("audio", "visual"), 4), tmp_path / "out", "localise", base=base)
    assert [entry.name for entry in plan.entries] == ["avel"] and set(plan.left_out) == {"psp", "cmran", "bmfn"}


def test_of_media_all_stay(tmp_path):
    clips = write_tiny_clips(tmp_path / "clips", per_split={"train": 1, "val": 1, "test": 1})
    assert not planned(tiny_data(clips), tmp_path / "out", "classify").left_out


@pytest.mark.parametrize("named", [{"methods": ["concat", "concat-ogm-ge"]}, {"baseline": "concat-ogm-ge"}])
def test_what_was_named_is_told_and_not_left_out(features, tmp_path, named):
    config = {"base": {"data": features(("audio", "visual")), "epochs": 1}, "seeds": [0], **named}
    with pytest.raises(CounterpointError, match="concat-ogm-ge: .*no convolutions to balance"):
        compare(from_dict(CompareConfig, config), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_from_the_command_line_to_the_report_and_again(features, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COUNTERPOINT_ALLOCATOR", "system")
    data = features(("audio", "visual"))
    words = ["compare", "--base.data.name=features", f"--base.data.root={data['root']}", "--base.epochs=1"]
    words += ["--base.accelerator=cpu", "--seeds=0", f"--runs={tmp_path}", "--name=all"]
    for more in ([], ["--resume"]):
        assert main([*words, *more]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert all(f"Left out of the default methods: recipe {name}: " in said for name in CONVOLUTIONS)
        found = json.loads((tmp_path / "all" / "results.json").read_text())
        assert set(found["methods"]) == {*DEFAULT_METHODS["classify"], "ensemble", "classical"} - CONVOLUTIONS
        page = (tmp_path / "all" / "report.html").read_text()
        assert page.count("Left out of the default methods") == 2
