import subprocess
import sys

import pytest

from counterpoint.data import DATASETS, ClipTable, DatasetEntry, load_table
from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.media.spec import MediaSpec


def made(root, task, seed, *, snr=0.0):
    return ClipTable(f"toy/{task}", ("a",), (), MediaSpec(), notes=(f"{root} {seed} {snr}",))


TOY = DatasetEntry("toy", ("digit", "letter"), "nowhere; CC0", made)


def test_default_task_is_the_first_and_options_arrive():
    assert TOY().name == "toy/digit"
    assert TOY("x", "letter", 3, snr=2.0).notes == ("x 3 2.0",)
    assert TOY.options == {"snr": 0.0}


def test_wrong_names_propose_the_nearest():
    with pytest.raises(UnknownNameError, match=r"toy has no task 'digits'\. Did you mean 'digit'\?"):
        TOY(task="digits")
    with pytest.raises(ConfigError, match=r"Dataset 'toy' has no option 'srn'\. Did you mean 'snr'\?"):
        TOY(srn=1)


def test_unknown_dataset():
    with pytest.raises(UnknownNameError, match="No dataset is called 'gird'"):
        load_table("gird")


def test_every_registered_dataset_says_its_tasks_and_licence():
    for name in DATASETS:
        entry = DATASETS.get(name)
        assert entry.tasks and entry.where


def test_listing_imports_neither_torch_nor_av():
    code = "import sys, counterpoint.data; print([m for m in ('torch', 'av', 'lightning') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
