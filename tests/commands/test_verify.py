"""`counterpoint verify`, from training on made files of faces and voices to the figures."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from counterpoint.cli import main
from counterpoint.data import load_table
from counterpoint.data.datasets import _fop_files as fop_features
from counterpoint.data.tiny import write_tiny
from counterpoint.data.tiny.files import write_video
from counterpoint.data.trials import read_trials
from counterpoint.errors import ConfigError, ShapeError
from counterpoint.models import create_localisation_model
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.datamodule import prepare_clips
from counterpoint.training.fit import fit
from counterpoint.training.load import load_run
from counterpoint.verify import embeddings as embed
from counterpoint.verify import trial_lists as trial_scores
from counterpoint.verify.trial_lists import How, score_list

MEDIA = {"seconds": 0.4, "size": 24, "frames": 1}
DIMS = {"audio": 6, "visual": 9}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("verify")


@pytest.fixture(scope="module", autouse=True)
def cache(home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERPOINT_CACHE", str(home / "cache"))
        patch.setattr(fop_features, "DIMS", DIMS)
        yield


@pytest.fixture(scope="module")
def root(home):
    return write_tiny("voxceleb", home / "voxceleb")


@pytest.fixture(scope="module")
def run(home, root):
    """By the command line, of the released model with a light network for the face and narrower bands for speech."""
    options = {"audio": {"out_features": 12}, "visual": {"name": "visual_cnn"}}
    words = ["train", "--recipe", "film-mmcosine", "--data.name", "voxceleb", "--data.root", str(root)]
    words += ["--data.options.val", "0.25", "--data.options.test", "0.25", "--data.batch_size", "5", "--epochs", "1"]
    words += ["--model.name", "resnet_se34_av", f"--model.options={json.dumps(options)}"]
    words += ["--model.inputs.audio", '{"n_mels": 16}', *(f"--data.media.{k}={v}" for k, v in MEDIA.items())]
    words += ["--accelerator", "cpu", "--precision", "32-true", "--runs", str(home / "runs"), "--name", "vox"]
    assert main(words) == 0
    return home / "runs" / "vox"


def figures(folder):
    return json.loads((folder / "verification.json").read_text())


def scores(folder):
    with (folder / "scores.csv").open() as file:
        return list(csv.DictReader(file))


def vectors_by_hand(run, root, listed):
    """Per system the vectors of a list's utterances, all in one batch."""
    loaded = load_run(run)
    clips = load_table("voxceleb", root, trials=str(listed))
    data = prepare_clips(clips, loaded.config.data, loaded.spec, ("audio", "visual")).split("test")
    batch = data.batch(range(len(data)))
    with torch.inference_mode():
        output = loaded.module.eval()(batch)
        features = loaded.module.model.encode(loaded.module.inputs(batch))
    # The run is one of MMCosine: each modality's part of the fused vector counts the same.
    widths = list(loaded.module.model.fusion.head.dims.values())
    parts = [part / part.norm(dim=1, keepdim=True) for part in output.fused.split(widths, 1)]
    both = {"embedding": torch.cat(parts, 1), "logits": output.logits}
    alone = {"embedding": features, "logits": output.unimodal_logits}
    names = [clip.id for clip in clips.split("test")]
    order = [names.index(name) for name in read_trials(listed).utterances]
    return {
        by: {m: v[order].double().numpy() for m, v in {"audio+visual": both[by], **alone[by]}.items()} for by in both
    }


@pytest.mark.parametrize("by", ["embedding", "logits"])
def test_every_modality_is_scored_by_its_cosine(run, root, home, by, capsys):
    listed, out = root / "test_pairs.csv", home / by
    assert main(["verify", str(run), "--trials", str(listed), "--by", by, "--output", str(out)]) == 0
    trials, vectors = read_trials(listed), vectors_by_hand(run, root, listed)[by]
    rows, found = scores(out), figures(out)
    assert set(found["systems"]) == set(vectors) == {"audio+visual", "audio", "visual"}
    assert [row["first"] for row in rows] == [trials.utterances[k] for k in trials.first]
    assert [row["target"] == "1" for row in rows] == trials.target.tolist()
    for system, each in vectors.items():
        unit = each / np.linalg.norm(each, axis=1, keepdims=True)
        expected = (unit[trials.first] * unit[trials.second]).sum(1)
        got = np.array([float(row[system]) for row in rows])
        assert got == pytest.approx(expected, abs=1e-5)
        same, other = got[trials.target], got[~trials.target]
        auc = np.mean([(a > b) + 0.5 * (a == b) for a in same for b in other])
        assert found["systems"][system]["roc_auc"] == pytest.approx(auc)
        assert 0 <= found["systems"][system]["eer"] <= 1 and 0 <= found["systems"][system]["min_dcf"] <= 1
    assert found["trials"] == {"scored": 4, "targets": 2, "nontargets": 2} and found["by"] == by
    assert (out / "det.png").stat().st_size > 1000 and not (out / "missing.csv").exists()
    printed = capsys.readouterr().out
    assert "4 trials (2 of one speaker) of 4 utterances" in printed and "audio+visual" in printed


def test_what_is_missing_is_counted_and_named(run, root, home, capsys):
    listed = home / "more.txt"
    ghost = "id00018/zzzzzzzzzzz/00009.wav"
    text = (root / "test_pairs.csv").read_text()
    listed.write_text(text + f"0,{text.split(',')[1]},{ghost}\n1,{ghost},{ghost}\n")
    assert main(["verify", str(run), "--trials", str(listed)]) == 0
    folder = run / "verification" / "more"
    found = figures(folder)
    assert found["utterances"] == {"listed": 5, "missing": 1} and found["left_out"] == {"trials": 2, "targets": 1}
    assert found["trials"]["scored"] == 4 == len(scores(folder))
    (row,) = csv.DictReader((folder / "missing.csv").open())
    assert row["utterance"] == ghost and "lists it in 3 trials, but it is missing" in row["reason"]
    assert "1 of 5 utterances are missing" in capsys.readouterr().out
    listed.write_text(text)  # all are there again
    assert main(["verify", str(run), "--trials", str(listed)]) == 0
    assert not (folder / "missing.csv").exists()


def test_costs_move_the_detection_cost_alone(run, root, home):
    words = ["verify", str(run), "--trials", str(root / "test_pairs.csv")]
    assert main([*words, "--output", str(home / "a")]) == 0
    assert main([*words, "--output", str(home / "b"), "--p_target", "0.5", "--c_miss", "3"]) == 0
    a, b = figures(home / "a"), figures(home / "b")
    assert b["p_target"] == 0.5 and b["c_miss"] == 3
    assert {s: v["eer"] for s, v in a["systems"].items()} == {s: v["eer"] for s, v in b["systems"].items()}
    assert scores(home / "a") == scores(home / "b")


def test_one_modality_of_clips_that_have_no_other(run, root, tmp_path, capsys):
    """VoxCeleb1 without its pictures."""
    (tmp_path / "half" / "vox1_test_wav").parent.mkdir()
    (tmp_path / "half" / "vox1_test_wav").symlink_to(root / "vox1_test_wav")
    listed, config = root / "veri_test.csv", load_run(run).config.data
    loaded = load_run(run)
    whole = score_list(loaded, listed)
    for by in ("embedding", "logits"):
        half = replace(config, root=str(tmp_path / "half"))
        alone = score_list(loaded, listed, half, How(by=by, modality="audio"))
        assert list(alone.scores) == ["audio"] and len(alone.trials) == 4
        beside = whole if by == "embedding" else score_list(loaded, listed, how=How(by=by))
        assert torch.allclose(alone.scores["audio"], beside.scores["audio"], atol=1e-5)
    words = ["verify", str(run), "--trials", str(listed), "--data.root", str(tmp_path / "half")]
    capsys.readouterr()
    for most in ("0.05", "1"):
        assert main([*words, "--data.max_bad", most]) == 2
        said = capsys.readouterr().err
        assert "voxceleb/trials: 4 of 4 utterances have no picture" in said and "--modality audio" in said
    (tmp_path / "half" / "vox1_meta.csv").symlink_to(root / "vox1_meta.csv")
    for place in ("Aamir_Khan", "Eartha_Kitt/1.6/aaaaaaaaaaa"):
        faces = tmp_path / "half" / "unzippedFaces" / place
        faces.parent.mkdir(parents=True, exist_ok=True)
        faces.symlink_to(root / "unzippedFaces" / place)
    assert main([*words, "--data.max_bad", "0.2"]) == 2
    assert "1 of 4 utterances have no picture" in capsys.readouterr().err
    assert main([*words, "--data.max_bad", "0.3"]) == 0
    assert "1 of 4 utterances are missing" in capsys.readouterr().out


def test_crops_are_the_mean_of_their_directions(run, root, tmp_path):
    """Of half a second of sound beside a single picture: three crops of 0.4 s."""
    loaded = load_run(run)
    listed = root / "veri_test.csv"
    found = score_list(loaded, listed, how=How(crops=3))
    table = load_table("voxceleb", root, trials=str(listed))
    unit = []
    for start in (0.0, 0.05, 0.1):
        clips = tuple(replace(clip, start=start, end=start + 0.4) for clip in table.clips)
        data = prepare_clips(replace(table, clips=clips), loaded.config.data, loaded.spec, ("audio", "visual"))
        with torch.inference_mode():
            batch = data.split("test").batch(range(len(clips)))
            features = loaded.module.eval().model.encode(loaded.module.inputs(batch))["audio"]
        unit.append(features / features.norm(dim=1, keepdim=True))
    assert not torch.allclose(unit[0], unit[2], atol=1e-3)
    mean = torch.stack(unit).mean(0)
    names = [clip.id for clip in table.clips]
    order = [names.index(name) for name in found.trials.utterances]
    mean = (mean / mean.norm(dim=1, keepdim=True))[order]
    expected = (mean[torch.from_numpy(found.trials.first)] * mean[torch.from_numpy(found.trials.second)]).sum(1)
    assert torch.allclose(found.scores["audio"], expected, atol=1e-4)
    short = score_list(loaded, listed, how=How(crops=1))
    assert not torch.allclose(short.scores["audio"], found.scores["audio"], atol=1e-4)


def test_scores_are_normalised_by_training_speakers(run, root):
    loaded, listed = load_run(run), root / "test_pairs.csv"
    plain = score_list(loaded, listed)
    full = score_list(loaded, listed, how=How(cohort="split"))
    assert full.cohort == 3 and plain.cohort == 0
    vectors = vectors_by_hand(run, root, listed)["embedding"]["visual"]
    train = list(loaded.data.clips.clips("train"))
    data = loaded.data.clips.split("train")
    with torch.inference_mode():
        batch = data.batch(range(len(data)))
        features = loaded.module.model.encode(loaded.module.inputs(batch))["visual"].double().numpy()
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    who = np.array([clip.label for clip in train])
    cohort = np.stack([unit[who == label].mean(0) for label in np.unique(who)])
    cohort /= np.linalg.norm(cohort, axis=1, keepdims=True)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ cohort.T
    z = [
        (unit[full.trials.first] * unit[full.trials.second]).sum(1) - cosines[side].mean(1)
        for side in (full.trials.first, full.trials.second)
    ]
    z = [each / cosines[side].std(1) for each, side in zip(z, (full.trials.first, full.trials.second), strict=True)]
    assert full.scores["visual"].numpy() == pytest.approx((z[0] + z[1]) / 2, rel=2e-2, abs=1e-2)
    few = score_list(loaded, listed, how=How(snorm=2))
    assert few.cohort == 3 and not torch.allclose(few.scores["visual"], full.scores["visual"])
    assert score_list(loaded, listed, how=How(cohort=2)).cohort == 2


def test_each_utterance_is_embedded_once(run, root, monkeypatch):
    seen = []
    encode = embed.encode_jointly

    def counting(*args):
        inner = encode(*args)
        return lambda inputs: seen.append(len(inputs["audio"])) or inner(inputs)

    monkeypatch.setattr(trial_scores, "encode_jointly", counting)
    loaded = load_run(run)
    found = score_list(loaded, root / "test_pairs.csv", replace(loaded.config.data, batch_size=3))
    assert seen == [3, 1] and len(found.trials.utterances) == 4


def test_clips_of_any_dataset_by_their_ids(run, root, home, tmp_path):
    """A list over the run's own clips, here as a folder with one class per speaker."""
    loaded = load_run(run)
    for label, speaker in enumerate(("ann", "bob")):
        for take in range(4):
            (tmp_path / "mine" / speaker).mkdir(parents=True, exist_ok=True)
            write_video(tmp_path / "mine" / speaker / f"{take}.mp4", label, take)
    data = replace(loaded.config.data, name="folder", root=str(tmp_path / "mine"), options={}, task=None)
    ids = [clip.id for clip in load_table("folder", data.root).clips]
    listed = tmp_path / "list.txt"
    listed.write_text(f"1 {ids[0]} {ids[1]}\n0 {ids[0]} {ids[-1]}\n0 {ids[0]} nobody\n")
    found = score_list(loaded, listed, data)
    assert len(found.trials) == 2 and found.missing.utterances == ("nobody",)
    assert "has no such clip" in found.reasons["nobody"]
    listed.write_text("1 x y\n")
    assert main(["verify", str(run), "--trials", str(listed), "--data.name", "folder", "--data.root", data.root]) == 2


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--by", "embeding"], "Did you mean 'embedding'"),
        (["--crops", "0"], "crops is 0; it must be at least 1"),
        (["--cohort", "splt"], "cohort is 'splt'; it must be 'split' or a number of at least 2"),
        (["--snorm", "1"], "snorm is 1; it must be 'all' or a number of at least 2"),
        (["--cohort", "99"], "cohort is 99, but voxceleb/speaker trains on 3 speakers"),
        (["--snorm", "4"], "snorm is 4, but the cohort has 3 speakers"),
        (["--cohort", "2", "--snorm", "3"], "snorm is 3, but the cohort has 2 speakers"),
        (["--modality", "visuel"], "Did you mean 'visual'"),
        (["--p_target", "1"], "p_target is 1; it must be greater than 0 and below 1"),
        (["--c_fa", "0"], "c_fa is 0; it must be greater than 0"),
        (["--top", "3"], "unknown option '--top'"),
    ],
)
def test_options_that_do_not_fit(run, root, words, why, capsys, monkeypatch):
    monkeypatch.setattr(trial_scores, "embed_clips", None)  # told before anything is decoded
    assert main(["verify", str(run), "--trials", str(root / "test_pairs.csv"), *words]) == 2
    assert why in capsys.readouterr().err


def test_lists_that_do_not_fit(run, root, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(trial_scores, "embed_clips", None)  # told before anything is decoded

    def refused(text, why, *words):
        listed = tmp_path / "list.csv"
        listed.write_text(text)
        assert main(["verify", str(run), "--trials", str(listed), *words]) == 2
        assert why in capsys.readouterr().err

    refused("1,id10999/aaaaaaaaaaa/00001.wav,id10999/aaaaaaaaaaa/00002.wav\n", "None of the 2 utterances of")
    refused("1,happy.mp4,sad.mp4\n", "'happy.mp4' is no utterance such as")  # of another dataset
    refused("id,voice,face\n", "line 1: the label is 'id'")
    gone = "id00017/aaaaaaaaaaa/00001.wav"
    refused(f"0,{gone},id10999/aaaaaaaaaaa/00001.wav\n", "no trial can be scored")
    for label, count in ((1, 1), (0, 0)):
        other = gone if label else "id00018/aaaaaaaaaaa/00001.wav"
        refused(f"{label},{gone},{other}\n", f"list.csv: {count} of 1 trials are of one speaker; error rates need")
    ghost = "id00018/aaaaaaaaaaa/00009.wav"
    refused(f"1,{gone},{gone}\n0,{gone},{ghost}\n", "1 of 1 trials are of one speaker")
    assert main(["verify", str(run), "--trials", str(tmp_path / "none.csv")]) == 2
    assert "none.csv" in capsys.readouterr().err
    assert main(["verify", str(run)]) == 2 and "trials" in capsys.readouterr().err


def test_scores_that_are_no_numbers(run, root):
    found = score_list(load_run(run), root / "test_pairs.csv")
    bad = replace(found, scores={**found.scores, "visual": found.scores["visual"] * torch.nan})
    with pytest.raises(ShapeError, match=r"test_pairs\.csv, visual: 4 of 4 scores are NaN"):
        bad.curves()


def test_a_localiser_is_refused(run, root, monkeypatch):
    loaded = load_run(run)
    loaded.module.model = create_localisation_model("bmfn", num_classes=2, segments=2, dims={"audio": 3, "visual": 4})
    loaded.config.task = "localise"
    with pytest.raises(ConfigError, match="a run of the task 'localise'; verification compares whole clips"):
        score_list(loaded, root / "test_pairs.csv")


def test_encoders_that_act_on_each_other_do_not_work_alone(root, home):
    config = from_dict(
        TrainConfig,
        {
            **{"epochs": 1, "accelerator": "cpu", "intermediate": {"name": "mmtm"}},
            "data": {"name": "voxceleb", "root": str(root), "media": MEDIA, "options": {"val": 0.25, "test": 0.25}},
            "model": {"options": {"visual": {"in_channels": 3}}},
        },
    )
    made = fit(config, home / "runs" / "mmtm", progress=False)
    with pytest.raises(ConfigError, match="act on each other"):
        score_list(made, root / "test_pairs.csv", how=How(modality="audio"))
    assert set(score_list(made, root / "test_pairs.csv").scores) == {"audio+visual", "audio", "visual"}


# ---------------------------------------------------------------------- faces and voices


def write_fop(root, pairs=30, speakers=3, each=10):
    """Made features in FOP's files; voices and faces of a speaker lie around a point each."""
    rng = np.random.default_rng(0)
    root.mkdir()
    centres = {name: rng.normal(size=(speakers, width)) for name, width in (("voice", 6), ("face", 9))}
    who = np.arange(each * speakers) % speakers
    voice = rng.integers(speakers, size=pairs)
    face = np.where(np.arange(pairs) % 2 == 0, voice, (voice + 1) % speakers)
    for name, centre in centres.items():
        for file, index, last in (
            (f"{name}Train", who, True),
            (f"{name}_veriflist_test_unseenunheard", voice if name == "voice" else face, False),
        ):
            rows = centre[index] + 0.2 * rng.normal(size=(len(index), centre.shape[1]))
            lines = [
                ",".join(f"{v:.5f}" for v in row) + (f",s{k}" if last else "")
                for row, k in zip(rows, index, strict=True)
            ]
            (root / f"{file}.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def features(home):
    return write_fop(home / "fop")


@pytest.mark.parametrize("recipe", ["fop", "fop-simam2", "fop-linear"])
def test_fop_learns_from_features_and_is_judged_by_distances(recipe, features, home, capsys):
    folder = home / "runs" / recipe
    words = ["train", "--recipe", recipe, "--data.name", "fop", "--data.root", str(features), "--epochs", "12"]
    words += ["--data.options.val", "0.2", "--data.options.test", "0.2", "--data.batch_size", "6", "--optim.lr", "0.01"]
    assert main([*words, "--runs", str(folder.parent), "--name", recipe, "--accelerator", "cpu"]) == 0
    assert main(["verify", str(folder), "--trials", "unseenunheard"]) == 0
    assert "audio to visual" in capsys.readouterr().out
    out = folder / "verification" / "unseenunheard"
    found = figures(out)["systems"]["audio to visual"]
    model = load_run(folder).module.model
    pairs = fop_features.read_test(features)
    with torch.inference_mode():
        embedded = model.fusion.embed({m: torch.from_numpy(rows) for m, rows in pairs.features.items()})
    distance = (embedded["audio"] - embedded["visual"]).double().norm(dim=1).numpy()
    assert [float(row["audio to visual"]) for row in scores(out)] == pytest.approx(-(distance**2), abs=1e-5)
    same, other = distance[pairs.target == 1], distance[pairs.target == 0]
    auc = np.mean([(a < b) + 0.5 * (a == b) for a in same for b in other])
    assert found["roc_auc"] == pytest.approx(auc, abs=1e-6)
    assert auc > 0.7  # the speakers of this file are those of the training


def test_pairs_know_no_other_way(features, home, root, run, capsys):
    words = ["--trials", "unseenunheard"]
    folder = home / "runs" / "fop-linear"
    if not folder.is_dir():
        pytest.skip("the recipe's run failed")
    for option in (["--by", "logits"], ["--crops", "2"], ["--cohort", "split"], ["--modality", "audio"]):
        assert main(["verify", str(folder), *words, *option]) == 2
        assert "compared by the distance of their embeddings" in capsys.readouterr().err
    assert main(["verify", str(folder), "--trials", "seenheard"]) == 2
    assert "no voice_veriflist_test_seenheard.csv" in capsys.readouterr().err
    assert main(["verify", str(run), *words, "--data.name", "fop", "--data.root", str(features)]) == 2
    assert "compared under the fusion 'fop' alone" in capsys.readouterr().err


def test_faces_and_voices_of_files(home):
    """Seen-Heard pairs of VoxCeleb1's own files, with encoders trained along."""
    shuu = write_tiny("shuu", home / "shuu")
    config = from_dict(
        TrainConfig,
        {
            **{"epochs": 1, "accelerator": "cpu", "fusion": {"name": "fop"}, "loss": {"name": "orthogonal_projection"}},
            "data": {"name": "shuu", "root": str(shuu), "media": MEDIA, "options": {"val": 0.3}},
            "model": {"options": {"visual": {"in_channels": 3}}},
        },
    )
    made = fit(config, home / "runs" / "shuu", progress=False)
    listed = shuu / "veriflist_test_random_seenheard.txt"
    text = listed.read_text().splitlines()
    part = home / "part.txt"
    part.write_text("\n".join([*text, text[1].replace("0000050", "0099999")]) + "\n")
    found = score_list(made, part)
    assert len(found.trials) == len(text) - 1 and len(found.missing.utterances) == 1
    assert list(found.scores) == ["audio to visual"] and set(found.reasons) == set(found.missing.utterances)
