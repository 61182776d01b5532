import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import counterpoint
from counterpoint.data import DATASETS, ClipTable, DatasetEntry, datasets, load_table
from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.media.spec import MediaSpec

REPOSITORY = Path(__file__).parents[2]


def made(root, task, seed, *, snr=0.0):
    return ClipTable(f"toy/{task}", ("a",), (), MediaSpec(), notes=(f"{root} {seed} {snr}",))


TOY = DatasetEntry("toy", ("digit", "letter"), "nowhere; CC0", made)


def test_default_task_is_the_first_and_options_arrive():
    assert TOY().name == "toy/digit"
    assert TOY("x", "letter", 3, snr=2.0).notes == ("x 3 2.0",)


def test_wrong_names_propose_the_nearest():
    with pytest.raises(UnknownNameError, match=r"toy has no task 'digits'\. Did you mean 'digit'\?"):
        TOY(task="digits")
    with pytest.raises(ConfigError, match=r"Dataset 'toy' has no option 'srn'\. Did you mean 'snr'\?"):
        TOY(srn=1)


def test_unknown_dataset():
    with pytest.raises(UnknownNameError, match="No dataset is called 'gird'"):
        load_table("gird")


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_a_dataset_is_a_file_a_section_of_the_docs_and_a_test(name):
    entry = DATASETS.get(name)
    assert entry.tasks and entry.where
    assert f"\n## {name}: " in (REPOSITORY / "docs" / "data.md").read_text(encoding="utf-8")
    *_, room, module = entry.load.__module__.split(".")
    assert (REPOSITORY / "tests" / "data" / room / f"test_{module}.py").is_file()


def test_datasets_are_found_by_themselves():
    for name in datasets.names():
        assert getattr(counterpoint.data, name) is importlib.import_module(f"counterpoint.data.datasets.{name}")
        assert name in dir(counterpoint.data)
    assert {entry.load.__module__.split(".")[-1] for entry in map(DATASETS.get, DATASETS)} >= set(datasets.names())
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = counterpoint.data.nothing_like_it


def test_listing_imports_neither_torch_nor_av():
    code = "import sys, counterpoint.data; print([m for m in ('torch', 'av', 'lightning') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
