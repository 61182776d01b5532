"""A paper's table beside what is measured, on the tiny copies of its datasets."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from counterpoint.analysis.statistics import Estimate, mean_interval
from counterpoint.data import load_table as load_clips
from counterpoint.data.datasets.shuu import pair_tables
from counterpoint.data.tiny import write_tiny
from counterpoint.data.trials import read_trials
from counterpoint.errors import ConfigError, DataError, DatasetNotFoundError, RunError
from counterpoint.experiments import smoke as smoke_module
from counterpoint.experiments import worker
from counterpoint.experiments.config import CompareConfig
from counterpoint.experiments.plan import resolve_plan
from counterpoint.experiments.reproduce import metrics_of, reproduce
from counterpoint.experiments.reproduction_tables import Row, tables_of, to_markdown
from counterpoint.recipes import load_recipe, load_table
from counterpoint.training.config import DataConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.datamodule import prepare_clips
from counterpoint.training.load import load_run
from counterpoint.verify import evaluate as verification
from counterpoint.verify.evaluate import check_trials, find_trial_lists, verify

SEEDS = [0, 1]
PAIRS = {
    "Seen-Heard": "veriflist_test_random_seenheard.txt",
    "Unseen-Unheard": "veriflist_test_random_unseenunheard.txt",
}


def light(name, root, **changes):
    """The table's comparison on a tiny copy, which tells the dataset by its name, with recipes as they are."""
    config = from_dict(CompareConfig, load_table(name).compare)
    name = root.name if root.name != "half" else config.base.data.name
    data = replace(config.base.data, name=name, root=str(root), cache=str(root.parent / "cache"))
    config = replace(config, base=replace(config.base, data=data))
    made = smoke_module._light(config, root.parent / "recipes")
    kept = {"methods": config.methods, "baseline": config.baseline, "seeds": SEEDS}
    return replace(made, **{**kept, **changes})


@pytest.fixture(scope="module")
def cremad(tmp_path_factory):
    return write_tiny("cremad", tmp_path_factory.mktemp("data") / "cremad")


@pytest.fixture(scope="module")
def voxceleb(tmp_path_factory):
    return write_tiny("voxceleb", tmp_path_factory.mktemp("data") / "voxceleb")


@pytest.fixture(scope="module")
def shuu(tmp_path_factory):
    return write_tiny("shuu", tmp_path_factory.mktemp("data") / "shuu")


@pytest.fixture(scope="module")
def probes(cremad, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "mmcosine-table2"
    return reproduce(load_table("mmcosine-table2"), light("mmcosine-table2", cremad), folder, progress=False)


@pytest.fixture(scope="module")
def trials(voxceleb, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "vox"
    config = light("mmcosine-table1-voxceleb", voxceleb, methods=["mmcosine"], baseline=None)
    return reproduce(load_table("mmcosine-table1-voxceleb"), config, folder, progress=False)


# ---------------------------------------------------------------------- paper beside measured


def test_printed_figures_stand_beside_those_of_the_comparison(probes):
    printed = {
        ("concat", "probe_audio"): 56.32,
        ("concat", "probe_visual"): 32.26,
        ("mmcosine", "probe_audio"): 48.66,
        ("mmcosine", "probe_visual"): 42.40,
    }
    assert {(row.method, row.metric): row.paper for row in probes.rows} == printed
    found = json.loads((probes.folder / "results.json").read_text())["methods"]
    for row in probes.rows:
        modality = row.metric.removeprefix("probe_")
        values = [100 * run["modalities"][modality]["probe"]["accuracy"] for run in found[row.method]["runs"]]
        assert row.measured.values == pytest.approx(values) and len(values) == len(SEEDS)
        assert row.measured.mean == pytest.approx(np.mean(values))
        assert row.difference == pytest.approx(np.mean(values) - row.paper) and not row.remark


def test_files_hold_the_same(probes):
    with (probes.folder / "reproduction.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["concat", "concat", "mmcosine", "mmcosine"]
    for line, row in zip(rows, probes.rows, strict=True):
        assert float(line["measured"]) == row.measured.mean and float(line["paper"]) == row.paper
        assert (line["table"], line["dataset"], line["seeds"]) == ("MMCosine Table 2", "CREMA-D", "2")
    text = (probes.folder / "reproduction.md").read_text()
    assert text == to_markdown(probes)
    assert "| method | probe of audio, % paper | probe of audio, % measured |" in text
    assert "| concat | 56.32 |" in text and "±" in text
    assert "All 91 actors" not in text and "does not say how its probes were trained" in text  # the table's own notes
    assert "share 1 actor" in text  # and the data's


def test_what_was_told_otherwise_is_said(probes):
    told = [note for note in probes.notes if note.startswith("This run differs")]
    assert "This run differs from the table: base.epochs is 1, not 200." in told
    assert "This run differs from the table: seeds is [0, 1], not [0, 1, 2]." in told
    assert not any("root" in note or "methods" in note for note in told)


def test_a_second_call_goes_on(probes, cremad, monkeypatch):
    table = load_table("mmcosine-table2")
    monkeypatch.setattr(worker, "run_task", lambda task: pytest.fail(f"{task.label} ran again"))
    config = light("mmcosine-table2", cremad)
    again = reproduce(table, config, probes.folder, progress=False)
    assert again.rows == probes.rows
    other = replace(config, base=replace(config.base, augment=not config.base.augment))
    with pytest.raises(RunError, match=r"started under another protocol: base\.augment"):
        reproduce(table, other, probes.folder, progress=False)


def test_figures_of_other_data_are_said_to_be(cremad, tmp_path):
    config = light("simam2-table1-cremad", cremad, methods=["sum", "gated"], baseline=None, seeds=[0])
    table = replace(load_table("simam2-table1-vggsound"), datasets=("VGGSound",))
    made = reproduce(table, config, tmp_path / "run", progress=False)
    assert made.notes[0] == "Measured on cremad/emotion; the paper's figures are of VGGSound."
    by = {(row.method, row.metric): row for row in made.rows}
    assert by["sum", "accuracy"].paper == 49.1 and by["sum", "mAP"].paper == 52.4
    assert by["gated", "accuracy"].paper is None and by["gated", "accuracy"].remark == "no row of a paper"
    assert by["gated", "mAP"].difference is None and by["gated", "mAP"].measured.mean is not None
    assert "no row of a paper" in (made.folder / "reproduction.md").read_text()


@pytest.mark.parametrize(
    ("table", "metrics"),
    [
        ("simam2-table1-cremad", {"accuracy": "accuracy", "mAP": "mAP"}),
        ("bmfn-table2", {"accuracy": "accuracy"}),
        ("bmfn-table2-weakly", {"accuracy_weakly": "accuracy"}),
        ("cfn-sr-table1", {"accuracy": "accuracy", "params": "params"}),
        ("simam2-table3", {"EER": "EER", "AUC": "AUC"}),
        ("mmcosine-table1-voxceleb", {"EER": "EER", "minDCF": "minDCF"}),
    ],
)
def test_what_a_table_prints(table, metrics):
    assert metrics_of(load_table(table)) == metrics


def test_cells_by_hand(probes):
    rows = (
        Row("concat", "", "CREMA-D", "EER", 6.81, mean_interval([7.0, 8.0])),
        Row("concat", "", "CREMA-D", "minDCF", 0.578, Estimate(0.5, None, (0.5,))),
        Row("concat", "", "CREMA-D", "params", 25.92, Estimate(25.916072, None, (25.916072,))),
        Row("film", "", "CREMA-D", "EER", None, Estimate(None, None), "printed in X"),
        Row("film", "", "CREMA-D", "minDCF", None, Estimate(None, None), "printed in X"),
        Row("film", "", "CREMA-D", "params", None, Estimate(None, None), "printed in X"),
    )
    (table,) = tables_of(replace(probes, rows=rows))
    # t at 97.5 % with one degree of freedom is 12.706; the standard error is 0.5
    assert table.rows[0] == (
        "concat",
        *("6.81", "7.50 ± 6.35", "+0.69"),
        *("0.578", "0.500 (n=1)", "-0.078"),
        *("25.92", "25.92", "-0.00"),
        "",
    )
    assert table.rows[1] == ("film", *("", "n/a", "") * 3, "printed in X")


# ---------------------------------------------------------------------- trials


def eer_by_hand(scores, target):
    """Where misses meet false alarms on the straight lines between thresholds."""
    levels = [*np.unique(scores), np.inf]
    misses = np.array([(scores[target] < level).mean() for level in levels])
    alarms = np.array([(scores[~target] >= level).mean() for level in levels])
    k = np.flatnonzero(misses >= alarms)[0]
    before, after = misses[k - 1] - alarms[k - 1], misses[k] - alarms[k]
    return misses[k - 1] + before / (before - after) * (misses[k] - misses[k - 1])


def test_trials_are_scored_by_the_fused_representations(trials, voxceleb):
    assert [(row.dataset, row.metric, row.paper) for row in trials.rows] == [
        ("VoxCeleb1", "EER", 4.26),
        ("VoxCeleb1", "minDCF", 0.461),
        ("VoxCeleb2", "EER", 4.13),
        ("VoxCeleb2", "minDCF", 0.371),
    ]
    listed = read_trials(voxceleb / "test_pairs.csv")
    for k, seed in enumerate(SEEDS):
        run = load_run(trials.folder / "mmcosine" / f"seed{seed}")
        table = run.config.data
        clips = load_clips("voxceleb", table.root, trials=str(voxceleb / "test_pairs.csv"))
        data = prepare_clips(clips, table, run.spec, ("audio", "visual")).split("test")
        with torch.inference_mode():
            fused = run.module.eval()(data.batch(range(len(data)))).fused.double()
        parts = [part / part.norm(dim=1, keepdim=True) for part in fused.chunk(2, dim=1)]  # as MMCosine weighs them
        vectors = torch.cat(parts, 1).numpy()
        order = [[clip.id for clip in clips.split("test")].index(name) for name in listed.utterances]
        unit = vectors[order] / np.linalg.norm(vectors[order], axis=1, keepdims=True)
        scores = (unit[listed.first] * unit[listed.second]).sum(1)
        expected = 100 * eer_by_hand(scores.round(5), listed.target)
        assert trials.rows[2].measured.values[k] == pytest.approx(expected, abs=1e-3)


def test_what_was_scored_is_kept_until_more_is_there(trials, monkeypatch):
    run = load_run(trials.folder / "mmcosine" / "seed0")
    lists = find_trial_lists(load_table("mmcosine-table1-voxceleb").trials, run.config.data)

    def scored(*args, **options):
        raise DataError("scored again")

    monkeypatch.setattr(verification, "score_list", scored)
    found = verify(run, lists)
    assert trials.rows[0].measured.values[0] == pytest.approx(100 * found["VoxCeleb1"].EER)
    assert found["VoxCeleb1"].trials == 4
    path = run.folder / "verification.json"
    text = path.read_text()
    written = json.loads(text)
    written["found"]["VoxCeleb2"]["missing"] = "1 of 4 utterances are missing"  # and is there now
    path.write_text(json.dumps(written))
    with pytest.raises(DataError, match="scored again"):
        verify(run, lists)
    path.write_text(text)


def test_voices_and_faces_are_told_apart_by_the_distance_of_their_embeddings(shuu, tmp_path):
    config = light("simam2-table3", shuu, methods=["fop"], seeds=[0])
    made = reproduce(replace(load_table("simam2-table3"), trials=PAIRS), config, tmp_path / "fop", progress=False)
    run = load_run(made.folder / "fop" / "seed0")
    path = shuu / "veriflist_test_random_seenheard.txt"
    tables = pair_tables(path, shuu)
    vectors = {}
    for modality, table in (("audio", tables.voices), ("visual", tables.faces)):
        data = prepare_clips(table, run.config.data, run.spec, (modality,)).split("test")
        batch = data.batch(range(len(data)))
        with torch.inference_mode():
            features = run.module.eval().model.encoders[modality](run.module.transforms[modality](batch[modality]))
            embedded = run.module.model.fusion.embed({modality: features})[modality].double().numpy()
        vectors |= dict(zip([clip.id for clip in table.clips], embedded, strict=True))
    pairs = tables.pairs
    first, second = ([vectors[pairs.utterances[k]] for k in side] for side in (pairs.first, pairs.second))
    scores = -np.linalg.norm(np.array(first) - np.array(second), axis=1)
    auc = np.mean([(a > b) + 0.5 * (a == b) for a in scores[pairs.target] for b in scores[~pairs.target]])
    assert [(row.dataset, row.metric, row.paper) for row in made.rows][:2] == [
        ("Seen-Heard", "EER", 19.3),
        ("Seen-Heard", "AUC", 89.3),
    ]
    assert made.rows[1].measured.mean == pytest.approx(100 * auc, abs=1e-6)


def test_only_fop_embeds_a_voice_without_its_face(shuu, tmp_path):
    config = light("simam2-table3", shuu, methods=["concat"], baseline=None, seeds=[0])
    with pytest.raises(ConfigError, match="compared under the fusion 'fop' alone"):
        reproduce(replace(load_table("simam2-table3"), trials=PAIRS), config, tmp_path / "concat", progress=False)


def test_features_are_scored_as_clips_are(tmp_path):
    root = write_tiny("fop", tmp_path / "fop")
    config = light("simam2-table3", root, methods=["fop-simam2"], baseline=None, seeds=[0])
    (root / "face_veriflist_test_seenheard.csv").unlink()
    made = reproduce(load_table("simam2-table3"), config, tmp_path / "run", progress=False)
    by = {(row.dataset, row.metric): row for row in made.rows}
    assert by["Unseen-Unheard", "EER"].paper == 24.6 and by["Unseen-Unheard", "AUC"].measured.mean is not None
    assert by["Seen-Heard", "AUC"].paper == 89.8 and by["Seen-Heard", "AUC"].measured.mean is None
    (root / "voice_veriflist_test_unseenunheard.csv").unlink()
    with pytest.raises(DatasetNotFoundError, match="unseenunheard"):
        reproduce(load_table("simam2-table3"), config, tmp_path / "other", progress=False)


# ---------------------------------------------------------------------- before anything is trained


def test_missing_trials_are_told_first(voxceleb, shuu, tmp_path):
    table = load_table("mmcosine-table1-voxceleb")
    with pytest.raises(DatasetNotFoundError, match=r"no veri_test\.csv, the trials of VoxCeleb1, in .*shuu"):
        find_trial_lists(table.trials, DataConfig(name="voxceleb", root=str(shuu)))
    with pytest.raises(ConfigError, match="trials are of voxceleb, shuu or fop, not of cremad"):
        find_trial_lists(table.trials, DataConfig(name="cremad"))
    (tmp_path / "half").mkdir()
    for side in ("dev", "test"):
        (tmp_path / "half" / side).symlink_to(voxceleb / side)
    with pytest.raises(DatasetNotFoundError, match="veri_test"):
        reproduce(table, light(table.name, tmp_path / "half"), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_too_many_missing_utterances_are_told_first(tmp_path):
    root = write_tiny("voxceleb", tmp_path / "voxceleb")
    table = load_table("mmcosine-table1-voxceleb")
    for file in ("aac/id00018/aaaaaaaaaaa/00001.m4a", "mp4/id00018/aaaaaaaaaaa/00001.mp4"):
        (root / "test" / file).unlink()
    with pytest.raises(DataError, match=r"1 of 4 clips \(25\.0%\) cannot be used"):
        reproduce(table, light(table.name, root), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
    some = DataConfig(name="voxceleb", root=str(root), max_bad=0.5)
    check_trials(find_trial_lists(table.trials, some), some, ("audio", "visual"))


def test_utterances_without_a_picture_are_told_first(tmp_path):
    root = write_tiny("voxceleb", tmp_path / "voxceleb")
    shutil.rmtree(root / "test" / "mp4")
    table = load_table("mmcosine-table1-voxceleb")
    with pytest.raises(DataError, match=r"4 of 4 utterances have no picture\. .*--modality audio"):
        reproduce(table, light(table.name, root), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
    data = DataConfig(name="voxceleb", root=str(root))
    check_trials(find_trial_lists(table.trials, data), data, ("audio",))


def test_changes_name_options(cremad, tmp_path):
    config = light("simam2-table1-cremad", cremad, changes={"balance.option.alpha": 0.1})
    with pytest.raises(ConfigError, match=r"changes: unknown option 'balance\.option\.alpha'"):
        reproduce(load_table("simam2-table1-cremad"), config, tmp_path / "run", progress=False)


def test_vggsound_has_its_own_alpha(tmp_path):
    config = from_dict(CompareConfig, load_table("simam2-table1-vggsound").compare)
    alphas = {entry.name: entry.config.balance.options.get("alpha") for entry in resolve_plan(config, tmp_path).entries}
    assert {alphas[name] for name in alphas if "ogm" in name or "df" in name} == {0.1}
    assert {alphas["sum"], alphas["film-simam2"]} == {None}
    assert load_recipe("sum-ogm-ge").balance.options["alpha"] == 0.8
