"""Parts of the user's own from training to prediction, in fresh processes; and code of others, which is not run.

What runs in a fresh process is gathered into few of them: each imports torch anew.
"""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

from tiny_clips import tiny_data, write_tiny_clips

TESTS = Path(__file__).parents[1]
PARTS = {
    "data.name": "clips",
    "model.name": "MODEL",
    "fusion.name": "Wide",
    "head.name": "Calm",
    "loss.name": "Joint",
    "balance.name": "Gentle",
    "optim.name": "Slow",
    "optim.schedule": "Halved",
    "metric": "ERROR",
}
RECIPE = "title: my own\nfusion: {name: 'guest_parts:Wide'}\n"


def run(folder, *words, path=TESTS):
    """One command in a process of its own, which finds modules in `path`."""
    return in_python(
        folder, f"import sys\nfrom counterpoint.cli import main\nsys.exit(main({list(map(str, words))}))", path
    )


def in_python(folder, code, path=TESTS):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with clips, and a run in which every part is a guest."""
    folder = tmp_path_factory.mktemp("guests")
    data = {**tiny_data(write_tiny_clips(folder / "clips")), "name": "guest_parts:clips"}
    (folder / "tiny.yaml").write_text(yaml.safe_dump({"data": data, "epochs": 1}))
    (folder / "mine.yaml").write_text(RECIPE)
    words = [word for name, part in PARTS.items() for word in (f"--{name}", f"guest_parts:{part}")]
    done = run(folder, "train", "--config", "tiny.yaml", *words, "--name", "own")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_folder_remembers_every_name(place):
    config = yaml.safe_load((place / "runs" / "own" / "config.yaml").read_text())
    for name, part in PARTS.items():
        section, _, key = name.partition(".")
        assert (config[section][key] if key else config[section]) == f"guest_parts:{part}"
    model = json.loads((place / "runs" / "own" / "config.json").read_text())
    assert model["name"] == "guest_parts:MODEL"
    assert model["options"]["fusion"] == "guest_parts:Wide" and model["options"]["head"] == "guest_parts:Calm"
    assert model["extra"]["inputs"]["audio"]["name"] == "guest_parts:Mel"


def test_a_fresh_process_takes_a_trusted_run_up_again(place):
    done = in_python(
        place,
        """
        import json
        from pathlib import Path

        import counterpoint
        from counterpoint.cli import main
        from counterpoint.predict import predict
        from counterpoint.training.fit import evaluate, load_run

        assert main(["evaluate", "runs/own", "--trust-code", "--output", "own.json"]) == 0
        told, result = json.loads(Path("own.json").read_text()), json.loads(Path("runs/own/result.json").read_text())
        assert told.items() >= result["test"].items()
        assert main(["train", "--name", "own", "--resume", "--trust-code"]) == 0
        assert main(["predict", "clips/high/000.mp4", "--run", "runs/own", "--trust-code", "--formats", "json"]) == 0

        assert evaluate("runs/own", trust_code=True).items() >= result["test"].items()
        parts = load_run("runs/own", "last", trust_code=True).module.model
        assert type(parts.fusion).__name__ == "Wide" and type(parts.encoders["audio"]).__name__ == "Ears"
        assert type(counterpoint.from_pretrained("runs/own", trust_code=True).fusion.head).__name__ == "Calm"
        assert counterpoint.MultimodalModel.from_pretrained("runs/own", trust_code=True) is not None
        assert predict("runs/own", "clips/low/000.mp4", trust_code=True).labels.shape
        assert main(["evaluate", "runs/own"]) == 2
        """,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("names code that is not part of counterpoint") == 1, done.stderr


def test_who_types_the_names_again_need_not_trust_the_folder(place):
    words = ["train", "--name", "own", "--resume", "--config", "tiny.yaml"]
    named = [word for name, part in PARTS.items() for word in (f"--{name}", f"guest_parts:{part}")]
    less = run(place, *words, *named[:-2])
    assert less.returncode == 2 and "(guest_parts:ERROR)" in less.stderr
    assert run(place, *words, *named).returncode == 0


def test_a_comparison_with_a_guest_in_its_workers(place):
    words = ["compare", "--config", "base.yaml", "--methods", "concat", "mine.yaml", "--seeds", "0", "--jobs", "2"]
    words += ["--alone", "false", "--probe", "false", "--base.optim.name", "guest_parts:Slow"]
    (place / "base.yaml").write_text(yaml.safe_dump({"base": yaml.safe_load((place / "tiny.yaml").read_text())}))
    refused = run(place, *words)
    assert refused.returncode == 2 and "mine.yaml names code" in refused.stderr and "guest_parts:Wide" in refused.stderr
    done = run(place, *words, "--trust-code")
    assert done.returncode == 0, done.stderr
    assert json.loads((place / "runs" / "compare" / "results.json").read_text())["failures"] == []
    again = ["compare", "--resume", "--seeds", "0", "1"]
    assert "compare.yaml names code" in run(place, *again).stderr
    done = run(place, *again, "--trust-code")
    assert done.returncode == 0, done.stderr
    assert (place / "runs" / "compare" / "mine" / "seed1" / "result.json").is_file()


def test_an_imported_module_adds_names_for_every_verb(place):
    listed = run(place, "list", "datasets", "gu*", "--import", "guest_parts")
    assert listed.returncode == 0 and "made by the tests" in listed.stdout
    (place / "by_name.yaml").write_text("imports: [guest_parts]\n")
    done = run(place, "train", "--config", "tiny.yaml", "--config", "by_name.yaml", "--data.name", "guests")
    assert done.returncode == 0, done.stderr
    data = {"data": yaml.safe_load((place / "tiny.yaml").read_text())["data"] | {"name": "guests"}}
    (place / "data.yaml").write_text(yaml.safe_dump(data))
    prepared = run(place, "prepare", "--config", "data.yaml", "--import", "guest_parts")
    assert prepared.returncode == 0, prepared.stderr
    missing = run(place, "train", "--data.name", "guests", "--name", "wrong")
    assert missing.returncode == 2 and "No dataset is called 'guests'" in missing.stderr
    for words, message in (
        (["--import", "no_such_parts"], "There is no module 'no_such_parts'"),
        (["--import"], "--import needs a value"),
        (["--fusion.name", "guest_parts:not_a_part"], "guest_parts:not_a_part is no fusion"),
    ):
        done = run(place, "train", "--config", "tiny.yaml", *words, "--name", "wrong")
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert not (place / "runs" / "wrong").exists()


EVIL = """
import pathlib
pathlib.Path(__file__).with_name("IMPORTED").touch()
from guest_parts import *
"""
NESTED = {
    "names": {},
    "imports": {"imports": ["evil"]},
    "file": {"imports": ["{here}/evil.py"]},
    "nested": {"head": {"options": {"deep": [{"er": "evil:Calm"}]}}},
    "text": {"fusion": {"options": {"attention_options": "{name: evil:Wide}"}}},
    "escaped": {"fusion": {"options": {"attention_options": '{name: "evil\\\\x3aWide"}'}}},
    "class_path": {"fusion": {"class_path": "evil.Wide", "init_args": {}}},
    "padded": {"fusion": {"name": " evil : Wide "}},
}


@pytest.fixture(scope="module")
def hostile(place, tmp_path_factory):
    """Folders of runs, and more, that name a module which leaves a mark when it is imported."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "evil.py").write_text(EVIL)
    own = place / "runs" / "own"
    clean = {"data": yaml.safe_load((own / "config.yaml").read_text())["data"] | {"name": "folder"}}
    for name, changes in NESTED.items():
        run = Path(shutil.copytree(own, folder / "runs" / name))
        config = (own / "config.yaml").read_text().replace("guest_parts", "evil") if name == "names" else None
        changes = json.loads(json.dumps(changes).replace("{here}", str(folder)))
        (run / "config.yaml").write_text(config or yaml.safe_dump({**clean, **changes}))
        (run / "config.json").write_text((own / "config.json").read_text().replace("guest_parts", "evil"))
        for name in ("result.json", "checksums.sha256"):
            (run / name).unlink()
    model = folder / "runs" / "model"
    shutil.copytree(folder / "runs" / "names", model)
    (model / "config.yaml").unlink()
    table = folder / "runs" / "table"
    table.mkdir()
    (table / "compare.yaml").write_text(
        yaml.safe_dump({"methods": ["concat"], "base": clean, "changes": {"fusion.name": "evil:Wide"}})
    )
    (folder / "recipe.yaml").write_text(RECIPE.replace("guest_parts", "evil"))
    (folder / "clip.mp4").write_bytes((place / "clips" / "high" / "000.mp4").read_bytes())
    return folder


def test_no_folder_makes_code_run_by_itself(hostile):
    done = in_python(
        hostile,
        """
        import contextlib, io, json, sys
        from pathlib import Path

        import counterpoint
        from counterpoint.cli import main
        from counterpoint.errors import CounterpointError
        from counterpoint.predict import predict
        from counterpoint.recipes import load_recipe
        from counterpoint.training.fit import evaluate, load_run

        told = {}

        def note(what, call):
            said = io.StringIO()
            try:
                with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
                    code = call()
                error = "" if code == 2 else f"it returned {code!r}"
            except CounterpointError as raised:
                error = ""
                print(raised, file=said)
            except BaseException as raised:
                error = f"{type(raised).__name__}: {raised}"
            told[what] = (error, said.getvalue())

        for run in sorted(path.name for path in Path("runs").iterdir() if path.name != "table"):
            folder = f"runs/{run}"
            for verb, words in {
                "evaluate": [folder],
                "verify": [folder, "--trials", "clip.mp4"],
                "predict": ["clip.mp4", "--run", folder],
                "train": ["--name", run, "--resume"],
                "prepare": ["--features", "new", "--from_run", folder],
            }.items():
                note(f"{run} {verb}", lambda: main([verb, *words]))
            for python in (load_run, evaluate, counterpoint.from_pretrained, lambda f: load_run(f, "last"),
                           counterpoint.MultimodalModel.from_pretrained, lambda f: predict(f, "clip.mp4")):
                note(f"{run} {python}", lambda: python(folder))
        note("table compare", lambda: main(["compare", "--name", "table", "--resume"]))
        note("recipe train", lambda: main(["train", "--recipe", "recipe.yaml"]))
        note("recipe compare", lambda: main(["compare", "--methods", "recipe.yaml", "concat"]))
        note("recipe load", lambda: load_recipe("recipe.yaml"))
        assert "evil" not in sys.modules
        print(json.dumps(told))
        """,
        path=f"{hostile}{os.pathsep}{TESTS}",
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert not (hostile / "IMPORTED").exists()
    assert {what: error for what, (error, _) in told.items() if error} == {}
    plain = ("names", "imports", "file", "nested", "text")
    assert {what: said for what, (_, said) in told.items() if what.startswith(plain) and "evil" not in said} == {}
    assert in_python(hostile, "import evil", path=f"{hostile}{os.pathsep}{TESTS}").returncode == 0
    assert (hostile / "IMPORTED").exists()  # the mark would have been left
