"""The command line as a user meets it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from counterpoint import __version__, cli
from counterpoint.commands.list import KINDS
from counterpoint.experiments.config import DEFAULT_METHODS
from counterpoint.recipes import load_recipe, load_table
from planted import NAMES, plant
from tiny_clips import tiny_data, write_tiny_clips

VERBS = cli.VERBS


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_tiny_clips(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs the command line in this process; gives exit code, output and errors."""
    monkeypatch.delenv("COUNTERPOINT_DEBUG", raising=False)
    monkeypatch.setenv("COUNTERPOINT_ALLOCATOR", "system")  # the setting would outlive the test
    monkeypatch.setenv("COLUMNS", "120")

    def call(*words):
        code = cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def on(clips):
    return [f"--data={json.dumps(tiny_data(clips))}", "--epochs=1"]


# ---------------------------------------------------------------------- help


@pytest.mark.parametrize("verb", [(), *((verb,) for verb in VERBS)])
def test_help_answers_without_anything_heavy(verb):
    code = (
        "import sys; from counterpoint.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'lightning', 'torchmetrics', 'av', 'numpy', 'matplotlib', 'rich'} & set(sys.modules);"
        "sys.exit(f'{heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *verb, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: counterpoint")


def test_only_the_verb_that_is_called_is_imported():
    code = (
        "import sys; from counterpoint.cli import VERBS, main; main(['list', '--help']);"
        "print(*(verb for verb in VERBS if f'counterpoint.commands.{verb}' in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["list"]


def test_every_verb_is_told_in_the_overview(run):
    code, out, _ = run("--help")
    assert code == 0
    for verb in VERBS:
        _, own, _ = run(verb, "--help")
        (line,) = (line for line in out.splitlines() if line.split()[:1] == [verb])
        assert " ".join(line.split()[1:]) in " ".join(own.split())


def test_help_of_a_verb_may_stand_before_it(run):
    for verb in VERBS:
        assert run("help", verb) == run(verb, "--help")
    assert run("help") == run("--help")
    code, _, err = run("help", "trian")
    assert code == 2 and "Did you mean 'train'?" in err


def test_version(run):
    code, out, _ = run("--version")
    assert code == 0 and out == f"counterpoint {__version__}\n"
    assert run("train", "--version") == (0, out, "")


# ---------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "There is no verb 'trian'. Did you mean 'train'?"),
        (["train", "--epoch", "3"], "unknown option '--epoch'. Did you mean '--epochs'?"),
        (["train", "--lr", "3"], "unknown option '--lr'. Did you mean '--optim.lr'?"),
        (["train", "--optim.rl", "3"], "unknown option '--optim.rl'. Did you mean '--optim.lr'?"),
        (["train", "--epochs", "many"], "--epochs is 'many'; it must be int or null"),
        (["train", "--epochs", "2.5"], "--epochs is '2.5'; it must be int or null"),
        (["train", "--epochs"], "--epochs needs a value: int or null"),
        (["train", "--epochs", "--seed", "3"], "--epochs needs a value: int or null"),
        (["train", "--optim.lr", "high"], "--optim.lr is 'high'; it must be float"),
        (["train", "--augment", "perhaps"], "--augment is 'perhaps'; it must be bool"),
        (
            ["train", "--precision", "bf16-mix"],
            "it must be one of 'auto', '32-true', 'bf16-mixed', '16-mixed'. Did you mean '",
        ),
        (
            ["train", "--accelerator=tpu"],
            "--accelerator is 'tpu'; it must be one of 'auto', 'cpu', 'gpu', 'cuda', 'mps'",
        ),
        (["train", "--localise.supervision", "weak"], "it must be one of 'fully', 'weakly'. Did you mean 'weakly'?"),
        (["train", "--data.options", "3"], "--data.options is '3'; it must be mapping"),
        (["train", "--optim", '{"lr": "x"}'], "optim.lr is 'x'; it must be float"),
        (["train", "--optim", '{"rl": 1}'], "unknown option 'optim.rl'. Did you mean 'optim.lr'?"),
        (["train", "--optim", "{"], "--optim is '{'; it must be a YAML file or a mapping"),
        (
            ["train", "--fusion", "sum"],
            "--fusion is 'sum'; it must be a mapping or a YAML file. Did you mean '--fusion.name=",
        ),
        (["train", "--resume=true"], "--resume takes no value; leave '=true' out"),
        (["train", "-epochs", "3"], "unknown option '-epochs'. Did you mean '--epochs'?"),
        (["train", "epochs", "3"], "unexpected argument 'epochs'. Did you mean '--epochs'?"),
        (["train", "epoch=3"], "unknown option 'epoch'. Did you mean '--epochs'?"),
        (["compare", "epochs=3"], "unknown option 'epochs'. Did you mean '--base.epochs'?"),
        (["compare", "--data.name", "grid"], "unknown option '--data.name'. Did you mean '--base.data.name'?"),
        (["compare", "--seeds", "1", "x"], "--seeds is '[1,x]'; it must be list of int"),
        (["check", "grid", "ave"], "unexpected argument 'ave'. Options begin with --, or are key=value."),
        (["list", "--classes", "many"], "--classes is 'many'; it must be int"),
        (["download", "grid", "--speaker", "1"], "unknown option '--speaker'. Did you mean '--speakers'?"),
        (["verify", "run", "--trials", "t", "--p_target", "x"], "--p_target is 'x'; it must be float"),
        (["train", "--epochs", "0"], "epochs is 0; it must be at least 1"),
        (["train", "--fusion.name", "summ"], "No fusion is called 'summ'. Did you mean 'sum'?"),
        (["train", "--recipe", "sum-siman2"], "No recipe is called 'sum-siman2'. Did you mean 'sum-simam2'?"),
        (["train", "--recipe", "concat", "task=localise"], "recipe concat is for task 'classify', but task is"),
        (["train", "--recipe", "bmfn", "--task", "classify"], "recipe bmfn is for task 'localise'"),
        (["train", "--config", "nowhere.yaml"], "--config: there is no file 'nowhere.yaml'"),
        (["train", "--data.name", "talkerz"], "No dataset is called 'talkerz'. Did you mean 'talkers'?"),
        (["train", "--config", '{"epoch": 3}'], "unknown option 'epoch'. Did you mean 'epochs'?"),
        (["train", "--config", '{"recipe": "film"}'], "give --recipe film on the command line"),
        (["train", "--data.media", '{"sise": 3}'], "data.media has no field 'sise'. Did you mean 'size'?"),
        (["train", "stray"], "unexpected argument 'stray'"),
        (
            ["train", "--config", '{"fusion": {"nam": "sum"}}'],
            "unknown option 'fusion.nam'. Did you mean 'fusion.name'?",
        ),
        (["evaluate"], "RUN is missing; see --help"),
        (["predict", "film.mp4"], "--run is missing; see --help"),
        (["verify"], "RUN and --trials are missing; see --help"),
        (["evaluate", "nowhere"], "There is no run at nowhere"),
        (["compare", "--jobs", "0"], "jobs is 0; it must be at least 1"),
        (["compare", "--search_trials", "-1"], "search_trials is -1; it must be at least 0"),
        (["train", "--name", ""], "--name is empty; give a name, or leave it out for 'talkers-concat-0'"),
        (["compare", "--name="], "--name is empty; give a name, or leave it out for 'compare'"),
        (["compare", "--methods", "sum,filmm"], "No recipe is called 'filmm'. Did you mean 'film'?"),
        (["compare", "--base.epoch", "3"], "Did you mean '--base.epochs'?"),
        (["compare", "--methods", "--seeds", "1"], "--methods needs a value: list of str"),
        (
            ["compare", "base.task=localize"],
            "base.task is 'localize'; it must be one of 'classify', 'localise'. Did you mean 'localise'?",
        ),
        (["compare", "--changes", '{"balance.options.alhpa": 1}'], "Did you mean 'balance.options.alpha'?"),
        (
            ["compare", "--table", "simam2-table1-vggsound", "--changes", '{"balance.options.alhpa": 1}'],
            "none of the methods has 'balance.options.alhpa', so that nothing would change. Did you mean 'balance.opt",
        ),
        (["compare", "--table", "cfn-sr-tabel1"], "No table is called 'cfn-sr-tabel1'. Did you mean 'cfn-sr-table1'?"),
        (["compare", "--config", '{"table": "cfn-sr-table1"}'], "give --table cfn-sr-table1 on the command line"),
        (["train", "--loss.name", "unimodel"], "No loss is called 'unimodel'. Did you mean 'unimodal'?"),
        (["list", "fusion"], "There is no list of 'fusion'. Did you mean 'fusions'?"),
        (["list", "method"], "There is no list of 'method'. Did you mean 'methods'?"),
        (["list", "fusions", "summ"], "No fusions match 'summ'. Did you mean 'sum'?"),
        (["prepare", "--data.name", "grd"], "No dataset is called 'grd'. Did you mean 'grid'?"),
        (["download", "gird"], "Did you mean 'grid'?"),
        (["download", "cremad"], "Get it from its repository"),
        (["download", "ravdess", "--actors", "25"], "RAVDESS has no actor 25"),
        (["download", "grid", "--landmarks"], "grid has no 'landmarks' to download"),
        (["download", "grid", "--speakers", "99"], "GRID has no speaker 99"),
        (["download", "grid", "--speakers", "1", "s99"], "GRID has no speaker 's99'"),
    ],
)
def test_a_mistake_is_told_in_one_line(run, words, message, tmp_path):
    extra = ["--runs", tmp_path] if words[0] in ("train", "compare") else []
    code, _, err = run(*words, *extra)
    assert code == 2
    assert message in err
    assert err.startswith("counterpoint") and "Traceback" not in err


def test_the_folder_of_runs_is_no_file(run, tmp_path):
    (tmp_path / "file").write_text("")
    for verb in ("train", "compare"):
        code, _, err = run(verb, "--runs", tmp_path / "file")
        assert code == 2 and f"--runs is '{tmp_path / 'file'}', which is a file; name a folder" in err


def test_a_run_that_is_not_there_is_answered_with_those_that_are(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.yaml").write_text("")
    assert "There is no run at nowhere. Runs: runs/first, runs/second." in run("evaluate", "nowhere")[2]
    assert "Did you mean 'runs/first'?" in run("evaluate", "runs/frist")[2]


def test_a_run_is_named_after_the_folder_of_its_clips(run, tmp_path):
    for root in ("dogs", "cats"):
        code, _, err = run("train", "--data.name=folder", f"--data.root={tmp_path / root}", "--resume")
        assert code == 2 and f"nothing to resume at runs/folder-{root}-concat-0" in err


def test_a_long_value_is_cut_in_messages(run):
    _, _, err = run("train", "--epochs", "x" * 120_000)
    assert "it must be int" in err and len(err) < 300


def test_a_configuration_that_is_a_text_is_not_printed_whole(run, tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("clip,class\n" + "some/clip.mp4,some\n" * 50)
    code, _, err = run("train", "--config", path)
    assert code == 2 and f"{path}: a configuration maps names" in err and len(err.splitlines()) == 1
    assert "clip.mp4" not in err


@pytest.mark.parametrize("content", [b"epochs: [1\n", b"\x00\xff", b"fusion:\n\t- x"])
@pytest.mark.parametrize("option", ["--config", "--recipe"])
def test_a_file_that_is_not_yaml_is_named_in_one_line(run, tmp_path, option, content):
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    code, _, err = run("train", option, path)
    assert code == 2
    assert str(path) in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["e\x1b[31m", "\x9b", "n\udcc3"])
def test_a_name_of_any_characters_is_a_word(run, name):
    code, out, _ = run("train", f"--data.root={name}", "--print_config")
    assert (code, yaml.safe_load(out)["data"]["root"]) == (0, name)


@pytest.mark.parametrize("words", [("list",), ("reproduce",), ("list", "recipes"), ("train", "--help")])
def test_output_whose_reader_has_gone_is_no_failure(words):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-m", "counterpoint", *words], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [(), ("list",), ("list", "fusions")])
def test_an_output_on_a_full_disk_is_told_as_such(words, unbuffered):
    command, environment = (
        [sys.executable, "-m", "counterpoint", *words],
        {**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment)
    assert done.returncode == 2 and done.stderr.endswith("the output cannot be written: No space left on device\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [("list", "recipes"), ("reproduce",)])
def test_output_in_ascii_has_escapes(words):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-m", "counterpoint", *words], capture_output=True, env=environment)
    assert (done.returncode, b"SimAM\\xb2" in done.stdout, done.stderr) == (0, True, b"")


def test_speakers_are_numbers_or_names(run, monkeypatch):
    asked = []
    monkeypatch.setattr("counterpoint.commands.download.fetch", lambda *given: asked.append(given))
    for words in (("1", "2"), ("1,2",), ("s1", "2")):
        assert run("download", "grid", "--root", "here", "--speakers", *words)[0] == 0
    assert run("download", "ravdess", "--root", "here", "--actors", "3", "--landmarks")[0] == 0
    assert asked[:3] == [("grid", "here", speakers, [], None) for speakers in ([1, 2], [1, 2], ["s1", 2])]
    assert asked[3] == ("ravdess", "here", [3], ["landmarks"], None)


def test_a_place_that_cannot_be_written_is_told_too(run, clips, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run("train", "--runs", tmp_path / "file", "--name", "x", *on(clips))
    assert code == 2 and "file" in err and "Traceback" not in err


@pytest.mark.parametrize("words", [("evaluate", "nowhere"), ("prepare",), ("check", "folder")])
def test_a_file_that_cannot_be_written_is_refused_before_the_work(run, tmp_path, words):
    (tmp_path / "file").write_text("in the way")
    code, out, err = run(*words, "--output", tmp_path / "file" / "out.json")
    assert code == 2 and f"{tmp_path / 'file' / 'out.json'} cannot be written: " in err and out == ""
    code, out, err = run(*words, "--output", tmp_path)
    assert code == 2 and "is a folder; name a file" in err and out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_debug_shows_the_traceback(run, monkeypatch):
    monkeypatch.setenv("COUNTERPOINT_DEBUG", "1")
    with pytest.raises(cli.ConfigError):
        run("trian")


# ---------------------------------------------------------------------- configuration


def printed(run, *words):
    code, out, err = run("train", *words, "--print_config")
    assert code == 0, err
    return yaml.safe_load(out)


def test_print_config_may_stand_before_an_override(run):
    code, out, _ = run("train", "--print_config", "task=localise")
    assert code == 0 and "task: localise" in out


def test_print_config_comes_back(run, tmp_path):
    words = [
        "--recipe",
        "film-df-simam2",
        "--optim.lr",
        "0.02",
        "--data.options.clips",
        "9",
        "--model.modalities",
        "[audio]",
    ]
    first = printed(run, *words)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(first))
    assert printed(run, "--config", path) == first
    assert first["optim"]["lr"] == 0.02
    assert first["data"]["options"] == {"clips": 9}
    assert first["model"]["modalities"] == ["audio"]


@pytest.mark.parametrize("turned", [False, True])
def test_explicit_options_win_over_recipe_and_file_wherever_they_stand(run, tmp_path, turned):
    path = tmp_path / "base.yaml"
    path.write_text("epochs: 7\nseed: 3\nfusion: {name: concat, options: {gate_hidden: 4}}\n")
    files = ["--config", path, "--recipe=sum-df-simam2"]
    explicit = ["--epochs", "2", "--fusion.zeta", "0.25"]
    config = printed(run, *(explicit + files if turned else files + explicit))
    assert (config["epochs"], config["seed"]) == (2, 3)
    assert config["fusion"] == {"name": "sum", "attention": "simam2", "zeta": 0.25, "options": {}}
    assert config["balance"] == load_recipe("sum-df-simam2").composition()["balance"]


def test_a_recipe_that_changes_the_model_leaves_the_rest_of_it(run):
    config = printed(run, "--model.name", "resnet18_av", "--recipe", "audio-alone")
    assert (config["model"]["name"], config["model"]["modalities"]) == ("resnet18_av", ["audio"])


@pytest.mark.parametrize("option", [["--table", "cfn-sr-table2"], ["--table=cfn-sr-table2"]])
def test_a_table_is_a_comparison_in_which_explicit_options_win(run, option):
    code, out, err = run("compare", "--base.epochs", "2", *option, "--seeds", "7", "--folds", "1,3", "--print_config")
    assert code == 0, err
    config = yaml.safe_load(out)
    assert config["methods"] == load_table("cfn-sr-table2").compare["methods"]
    assert (config["seeds"], config["folds"], config["base"]["epochs"]) == ([7], [1, 3], 2)
    assert config["base"]["data"]["options"] == {"folds": "paper"}


def test_methods_that_nobody_names_are_those_of_the_task(run, tmp_path):
    first = {}
    for task in ("classify", "localise"):
        code, out, err = run("compare", f"base.task={task}", "--print_config")
        assert code == 0, err
        first[task] = yaml.safe_load(out)
        assert first[task]["methods"] == list(DEFAULT_METHODS[task])
    path = tmp_path / "compare.yaml"
    path.write_text(yaml.safe_dump(first["localise"]))
    code, out, err = run("compare", "--config", path, "--print_config")
    assert yaml.safe_load(out) == first["localise"]
    code, out, err = run("compare", "--config", path, "--methods", "dam", "--print_config")
    assert yaml.safe_load(out)["methods"] == ["dam"]


def test_the_later_of_two_files_wins(run, tmp_path):
    for name, seed in (("a.yaml", 3), ("b.yaml", 4)):
        (tmp_path / name).write_text(f"seed: {seed}\n")
    assert (
        printed(run, "--epochs", "1", "--config", tmp_path / "a.yaml", f"--config={tmp_path / 'b.yaml'}")["seed"] == 4
    )


@pytest.mark.parametrize("given", [["a", "b"], ["a,b"], ["[a,b]"], ['["a", "b"]'], ["a", "b", "base.epochs=3"]])
def test_lists_may_be_words(run, given):
    code, out, err = run("compare", "--methods", *given, "--seeds", "1", "--print_config")
    assert code == 0, err
    config = yaml.safe_load(out)
    assert (config["methods"], config["seeds"]) == (["a", "b"], [1])
    assert config["base"]["epochs"] == (3 if len(given) == 3 else None)


def test_a_list_that_may_be_left_out_takes_words_too(run):
    assert printed(run, "--model.modalities", "audio", "visual")["model"]["modalities"] == ["audio", "visual"]
    assert printed(run, "--model.modalities=null")["model"]["modalities"] is None


def test_a_part_of_the_configuration_may_be_a_file_or_a_mapping(run, tmp_path):
    (tmp_path / "optim.yaml").write_text("lr: 2e-3\nname: sgd\n")
    first = printed(run, "--optim", tmp_path / "optim.yaml", "--fusion", '{"name": "film"}')
    assert (first["optim"]["lr"], first["optim"]["name"], first["fusion"]["name"]) == (0.002, "sgd", "film")


def test_help_lists_closed_choices(run):
    _, out, _ = run("train", "--help")
    assert "{classify,localise}" in out and "{fully,weakly}" in out and "{auto,cpu,gpu,cuda,mps}" in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nepoch: 3\n", "line 2: unknown option 'epoch'. Did you mean 'epochs'?"),
        ("seed: 1\noptim:\n  rl: 3\n", "line 3: unknown option 'optim.rl'. Did you mean 'optim.lr'?"),
        ("optim:\n  lr: 1e-3\n  clip_norm: high\n", "line 3: optim.clip_norm is 'high'; it must be float or null"),
        ("optim: 3\n", "line 1: optim is 3; it must map names to values"),
        (
            "task: localize\n",
            "line 1: task is 'localize'; it must be one of 'classify', 'localise'. Did you mean 'localise'?",
        ),
        ("seed: 1\nrecipe: film\n", "line 2: recipe is no option of a file; give --recipe film on the command line"),
        ("resume: perhaps\n", "line 1: resume is 'perhaps'; it must be bool"),
        ("config: other.yaml\n", "line 1: unknown option 'config'"),
        ("- seed\n", "a configuration maps names of options to values, as in `epochs: 20`"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_line(run, tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    code, _, err = run("train", "--runs", tmp_path, "--config", path)
    assert code == 2 and err.startswith(f"counterpoint train: {path}") and message in err, err


# ---------------------------------------------------------------------- work


def test_train_evaluate_resume_overwrite(run, clips, tmp_path):
    train = ["train", "--runs", tmp_path, "--name", "first", *on(clips), "--recipe", "sum-ogm-ge-simam2"]
    code, out, err = run(*train)
    assert code == 0, err
    folder = tmp_path / "first"
    assert "Top-1" in out and "audio alone" in out and str(folder) in out
    assert (folder / "report.html").is_file()
    result = json.loads((folder / "result.json").read_text())

    code, out, err = run("evaluate", folder, "--split", "val", "--output", tmp_path / "scores.json")
    assert code == 0, err
    assert json.loads((tmp_path / "scores.json").read_text()) == {"clips": 8, **result["val"]}
    code, _, err = run("evaluate", folder, "--output", tmp_path / "not" / "there" / "scores.json")
    assert code == 0, err
    assert json.loads((tmp_path / "not" / "there" / "scores.json").read_text())["clips"] == 8
    code, _, err = run("evaluate", folder, "--data.name", "talkers", "--data.root", tmp_path / "talkers")
    assert code == 2 and "talkers has the class 'ba', which the model" in err
    assert not (tmp_path / "talkers").exists()  # nothing is rendered to find that out

    other = write_tiny_clips(tmp_path / "other", seed=3)
    (tmp_path / "other.yaml").write_text(f"data: {{root: {other}}}")
    losses = []
    for words in (["--data.root", other], ["--config", tmp_path / "other.yaml"]):
        code, _, err = run("evaluate", folder, *words, "--output", tmp_path / "scores.json")
        assert code == 0, err
        losses.append(json.loads((tmp_path / "scores.json").read_text())["loss"])
    assert losses[0] == losses[1] != result["test"]["loss"]
    code, _, err = run("evaluate", folder, "--data.name", "grid", "--data.root", other)
    assert code == 2 and "GRID is not at" in err

    code, _, err = run(*train)
    assert code == 2 and "holds a finished run" in err
    code, _, err = run("train", "--runs", tmp_path, "--name", "first", "--resume")
    assert code == 0, err
    code, _, err = run("train", "--runs", tmp_path, "--name", "first", "--resume", "--seed", "5")
    assert code == 2 and "seed (was 0, now 5)" in err and "Epochs may become more" in err
    nowhere = ["--data.name=folder", "--data.root", tmp_path / "nowhere"]
    code, _, err = run("train", "--runs", tmp_path, "--name", "frist", "--resume", *nowhere)
    assert code == 2 and "nothing to resume" in err and "it begins now. Did you mean 'first'?" in err
    code, _, err = run(*train, "--overwrite", "--seed", "5")
    assert code == 0, err
    assert yaml.safe_load((folder / "config.yaml").read_text())["seed"] == 5

    code, _, err = run(*train, "--overwrite", "--resume")
    assert code == 2 and "one of the two" in err
    for mistake in (["--model.inputs.audio.name", "mfc"], ["--data.root", tmp_path / "nowhere"], ["--epochs", "0"]):
        code, _, err = run(*train, "--overwrite", *mistake)
        assert code == 2, err
        assert (folder / "result.json").is_file()  # a mistake removes nothing

    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("")
    code, _, err = run(*train[:4], "precious", *train[5:], "--overwrite")
    assert code == 2 and "is not removed" in err


def test_a_model_without_its_run_needs_to_be_told_the_data(run, clips, tmp_path):
    code, _, err = run("train", "--runs", tmp_path, "--name", "whole", *on(clips))
    assert code == 0, err
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    code, _, err = run("evaluate", bare)
    assert code == 2 and "give --data.name" in err
    code, _, err = run("evaluate", bare, "--data.name", "folder", "--data.root", clips)
    assert code == 0, err


def test_prepare_accounts_for_every_clip(run, clips, tmp_path):
    broken = tmp_path / "broken"
    write_tiny_clips(broken)
    (broken / "high" / "001.mp4").write_bytes(b"\0" * 5000)
    words = ["prepare", "--data.name", "folder", "--data.root", broken, "--data.max_bad", "0.2"]
    code, out, err = run(*words)
    assert code == 0, err
    assert "32 clips" in out and "1 skipped" in out and "high/001.mp4" in out
    code, out, err = run(*words, "--output", tmp_path / "aside.csv")
    assert code == 0 and "0 decoded now" in out
    assert (tmp_path / "aside.csv").read_text().splitlines()[1].startswith("high/001.mp4,")


def test_list(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")  # one line each
    code, out, _ = run("list")
    assert code == 0
    for kind in KINDS:
        assert kind in out
        code, lines, _ = run("list", kind)
        assert code == 0
        for line in lines.strip().splitlines():
            assert len(line.split()) > 1, f"{kind}: no word on {line}"
            assert "``" not in line and ":class:" not in line, "the markup of docstrings is left out"
    for kind in ("recipes", "methods"):  # what compare calls them
        code, out, _ = run("list", kind, "film-df-*")
        assert [line.split()[0] for line in out.strip().splitlines()] == ["film-df-simam2"]


@pytest.mark.parametrize("balance", ["null", "ogm", "ogm_ge"])
@pytest.mark.parametrize("head", ["linear", "cosine"])
@pytest.mark.parametrize("attention", ["null", "simam2"])
@pytest.mark.parametrize("fusion", ["concat", "sum", "film", "gated"])
def test_any_combination_composes(run, clips, tmp_path, fusion, attention, head, balance, monkeypatch):
    monkeypatch.setattr("counterpoint.report.report.write_run_report", lambda run: run.folder)  # tested elsewhere
    words = [
        f"--fusion.name={fusion}",
        f"--fusion.attention={attention}",
        f"--head.name={head}",
        f"--balance.name={balance}",
    ]
    code, _, err = run("train", "--runs", tmp_path, *on(clips), *words)
    assert code == 0, err
    (folder,) = tmp_path.iterdir()
    steps = (folder / "steps.csv").read_text().splitlines()
    assert ("ratio_audio" in steps[0]) == (balance != "null")
    assert "nan" not in steps[-1]


def test_compare(run, clips, tmp_path):
    data = json.dumps(tiny_data(clips))
    words = ["compare", "--runs", tmp_path, "--name", "both", f"--base.data={data}", "--base.epochs=1"]
    more = ["--methods", "concat", "sum-ogm", "--seeds", "0", "--alone=false", "--probe=false"]
    code, out, err = run(*words, *more)
    assert code == 0, err
    assert "concat" in out and "sum-ogm" in out and "report.html" in out
    assert (tmp_path / "both" / "results.csv").is_file()
    code, _, err = run(*words, *more)
    assert code == 2 and "holds a comparison already" in err
    (tmp_path / "go_on.yaml").write_text(f"name: both\nruns: {tmp_path}\nresume: true\n")
    code, _, err = run("compare", "--config", tmp_path / "go_on.yaml")
    assert code == 0, err
    code, _, err = run(*words, *more, "--overwrite", "--base.data.root", tmp_path / "nowhere")
    assert code == 2 and (tmp_path / "both" / "results.csv").is_file()  # a mistake removes nothing


def test_two_processes_train_one_model(clips, tmp_path):
    words = [sys.executable, "-m", "counterpoint", "train", "--runs", tmp_path, "--name", "two", *on(clips)]
    more = ["--recipe", "sum-df-simam2", "--accelerator", "cpu", "--devices", "2", "--data.workers", "1"]
    executed = plant(tmp_path / "here", (name for name in NAMES if name != "counterpoint"))  # that comes before ours
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    done = subprocess.run(
        [*map(str, words), *more], capture_output=True, text=True, env=environment, timeout=240, cwd=tmp_path / "here"
    )
    assert done.returncode == 0, done.stderr
    assert executed() == []  # neither here, nor by those that decode, load or train beside it
    assert done.stdout.count("Report:") == 1  # one process speaks
    assert "Warning" not in done.stderr
    steps = (tmp_path / "two" / "steps.csv").read_text().splitlines()
    assert len(steps) == 1 + 1  # 16 clips, 8 for each process


def test_ctrl_c_leaves_a_run_that_goes_on(clips, tmp_path):
    words = [sys.executable, "-m", "counterpoint.cli", "train", "--runs", tmp_path, "--name", "long", *on(clips)]
    process = subprocess.Popen([*map(str, words), "--epochs=2000"], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300  # a busy machine takes long to import
    try:
        while not (tmp_path / "long" / "last.ckpt").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    *epochs, last = err.strip().splitlines()
    assert last == "Interrupted. Finished epochs are kept; the same command with --resume goes on from there"
    assert all(re.match(r"train \d+/4000, epoch \d+/2000 ", line) for line in epochs)
    assert not (tmp_path / "long" / "result.json").exists()
