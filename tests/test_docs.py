"""The pages say what is so: links lead somewhere, Python runs, command lines name verbs and options that there are."""

import importlib
import io
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from counterpoint import cli
from counterpoint._moved import MOVED
from counterpoint.fusion import FUSIONS

REPOSITORY = Path(__file__).parents[1]
PAGES = {p.relative_to(REPOSITORY).as_posix(): p.read_text(encoding="utf-8") for p in sorted(REPOSITORY.glob("*.md"))}
PAGES |= {f"docs/{p.name}": p.read_text(encoding="utf-8") for p in sorted((REPOSITORY / "docs").glob("*.md"))}
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What stands in front of blocks that take names from the reader's own program.
PRELUDE = """
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_
import counterpoint
from counterpoint.encoders import AudioCNN, ResNet18
from counterpoint.fusion import FUSIONS, Concat, Fusion, create_fusion
from counterpoint.models import create_model
from counterpoint.registry import Registry
torch.manual_seed(0)
"""
NETS = "audio_net, visual_net = nn.Linear(20, 512), nn.Linear(30, 512)\nclassifier = nn.Linear(1024, 6)\n"
NETS += "loader = [(torch.randn(4, 20), torch.randn(4, 30), torch.tensor([0, 1, 2, 5]))] * 2\n"
TRAINED = 'encoders = nn.ModuleDict({"audio": nn.Conv1d(1, 4, 3), "visual": nn.Conv1d(1, 4, 3)})\n'
PRELUDES = {
    ("README.md", 0): NETS.replace(
        "nn.Linear(20, 512)", "nn.Sequential(nn.Unflatten(1, (1, 20)), nn.Conv1d(1, 512, 20), nn.Flatten())"
    ).replace("nn.Linear(30, 512)", "nn.Sequential(nn.Unflatten(1, (1, 30)), nn.Conv1d(1, 512, 30), nn.Flatten())"),
    ("docs/methods.md", 0): "a, v = AudioCNN(width=16), ResNet18()\n"
    "sound, frames = torch.randn(2, 1, 40, 100), torch.randn(2, 3, 64, 64)\n",
    ("docs/methods.md", 1): TRAINED + 'joint = Concat({"audio": 4, "visual": 4}, 3)\n'
    "out = joint({m: encoder(torch.randn(2, 1, 5)).mean(-1) for m, encoder in encoders.items()})\n"
    "y = torch.tensor([0, 2])\nloss = F.cross_entropy(out.logits, y)\n"
    "parameters = [*encoders.parameters(), *joint.parameters()]\n"
    'optimizer, scaler = torch.optim.SGD(parameters, 0.1), torch.amp.GradScaler("cpu")\n'
    "balance = counterpoint.balance.OGMGE(encoders)\n",
    ("docs/methods.md", 2): 'encoders = nn.ModuleDict({"audio": nn.Linear(4, 4), "visual": nn.Linear(6, 4)})\n'
    'fusion = Concat({"audio": 4, "visual": 4}, 3)\nepochs, kept, held_out = 1, 8, 4\n'
    "def batches(n): return [({m: torch.randn(n, e.in_features) for m, e in encoders.items()}, torch.arange(n) % 3)]\n"
    'def mean_losses(n): return dict.fromkeys(("audio", "visual", "joint"), 1.0)\n',
    ("docs/localise.md", 0): "maps, vectors = torch.randn(2, 10, 7, 7, 512), torch.randn(2, 10, 128)\n"
    "classes = torch.randint(29, (2, 10))\n",
    ("docs/guests.md", 1): 'FUSIONS = Registry("fusion", classes_of=Fusion)\n',
}
NEEDS_FILES = {("docs/data.md", 0): "VoxCeleb1"}


def blocks(kind):
    """(page, number, text) of the blocks of a language; of a diff, what the file is after it."""
    found = []
    for page, text in PAGES.items():
        code = [body for language, body in BLOCK.findall(text) if language == kind]
        found += [(page, number, body) for number, body in enumerate(code)]
    return found


PYTHON = blocks("python")
PYTHON += [
    (page, number, "".join(line[2:] + "\n" for line in body.splitlines() if not line.startswith("-")))
    for page, number, body in blocks("diff")
]


def anchors(text):
    """As GitHub and mkdocs make them of headings."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link, picture in LINK.findall(BLOCK.sub("", PAGES[page])):
        target, _, anchor = (link or picture).partition("#")
        if target.startswith("https://"):
            continue
        path = (REPOSITORY / page).parent / target if target else REPOSITORY / page
        assert path.is_file(), target
        inside = path.resolve().is_relative_to(REPOSITORY / "docs")
        assert inside or not page.startswith("docs/"), (
            f"{target} is outside docs/, where a site of the docs has no page"
        )
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), f"{target}#{anchor}"


@pytest.mark.parametrize(("page", "number", "code"), PYTHON, ids=[f"{page}-{n}" for page, n, _ in PYTHON])
def test_python_runs(page, number, code, monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "examples"))
    monkeypatch.setattr(FUSIONS, "_parts", dict(FUSIONS._parts))  # what a page registers is gone after it
    if (page, number) in NEEDS_FILES:
        code = "\n".join(re.findall(r"^(?:from|import) .*$", code, re.MULTILINE))
        assert code
    names = {}
    exec(PRELUDE + PRELUDES.get((page, number), ""), names)
    exec(compile(code, page, "exec"), names)


def test_the_blocks_that_are_prepared_for_are_there():
    assert {*PRELUDES, *NEEDS_FILES} <= {(page, number) for page, number, _ in PYTHON}


def commands(text):
    """Words behind `counterpoint`, of every line of a block that is typed."""
    lines = text.replace("\\\n", " ").splitlines()
    typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ") or line.startswith("counterpoint ")]
    for line in typed:
        words = shlex.split(line, comments=True)
        while words and "=" in words[0]:  # VARIABLE=value in front
            words = words[1:]
        if words and words[0].rpartition("/")[2] in ("counterpoint", "make"):
            yield [words[0].rpartition("/")[2], *words[1:]]


@pytest.fixture(scope="module")
def helps():
    """Verb -> its `--help`."""
    found = {}
    for verb in cli.VERBS:
        with redirect_stdout(io.StringIO()) as out:
            assert cli.main([verb, "--help"]) == 0
        found[verb] = out.getvalue()
    return found


def known(option, text):
    """Whether the help has the option, or a dotted one in front of it that takes a mapping."""
    parts = option.split(".")
    prefixes = [".".join(parts[:k]) for k in range(len(parts), 0, -1)]
    return any(re.search(rf"--{re.escape(prefix)}(?![\w.])", text) for prefix in prefixes)


COMMANDS = [(page, words) for kind in ("console", "sh") for page, _, body in blocks(kind) for words in commands(body)]


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=[f"{page}:{' '.join(words[:4])}" for page, words in COMMANDS])
def test_command_lines_are_understood(page, words, helps):
    if words[0] == "make":
        assert f"\n{words[1]}:" in (REPOSITORY / "Makefile").read_text(encoding="utf-8")
        return
    verb, rest = words[1], words[2:]
    assert verb in helps
    for word in rest:
        if word.startswith("--"):
            option = word[2:].partition("=")[0].removesuffix("+")
            assert known(option, helps[verb]), word
        elif re.match(r"[a-z_]+(\.[a-z_]+)*=", word):
            assert known(word.partition("=")[0], helps[verb]), word


def test_there_are_blocks_to_hold():
    assert len(PYTHON) >= 8 and len(COMMANDS) >= 40


def test_what_is_wrong_is_found(helps):
    assert not known("nothing.like_it", helps["train"]) and known("data.options.any", helps["train"])
    assert list(commands("$ A=1 .venv/bin/counterpoint train --name x \\\n    --seed 1  # twice\nsaid\n")) == [
        ["counterpoint", "train", "--name", "x", "--seed", "1"]
    ]
    assert anchors("# The `house`, built\n") == {"the-house-built"}


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_names_and_files_are_there(page):
    for name in set(re.findall(r"\bcounterpoint((?:\.\w+)+)", PAGES[page])) - {".parts", ".git"}:
        assert not any(name[1:] == old or name.startswith(f".{old}.") for old in MOVED), name
        assert resolves(f"counterpoint{name}"), name
    for path in set(
        re.findall(r"\b(?:src|tests|examples|benchmarks|docs)/[\w/.-]+\.(?:py|yaml|md|png)\b", PAGES[page])
    ):
        assert "NAME" in path or (REPOSITORY / path).exists(), path


def resolves(name):
    """Whether a dotted name leads to a module or to something in one."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:k]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[k:]:
            found = getattr(found, attribute, None)
        return found is not None
    return False


def test_readme_says_which_verbs_take_files_of_options(helps):
    text = PAGES["README.md"]
    without = re.search(r"all but (.*?) take a YAML file by `--config`", text, re.DOTALL)[1]
    assert set(re.findall(r"`(\w+)`", without)) == {verb for verb in cli.VERBS if not known("config", helps[verb])}
