"""Former names of modules are found for one minor version, and say where they went."""

import importlib
import subprocess
import sys

import pytest
import torch

import counterpoint
from counterpoint._moved import MOVED

FROM_PACKAGES = [
    ("data.features", "PreparedFeatures"),
    ("data.features", "FeatureRow"),
    ("data.download", "download"),
    ("data.splits", "draw_split"),
    ("training.config", "from_dict"),
    ("training.run_dir", "write_json"),
]


@pytest.mark.parametrize("former", sorted(MOVED))
def test_a_module_is_found_under_its_former_name(former):
    sys.modules.pop(f"counterpoint.{former}", None)
    with pytest.warns(DeprecationWarning, match=f"counterpoint.{former} is now counterpoint.{MOVED[former]};"):
        found = importlib.import_module(f"counterpoint.{former}")
    new = importlib.import_module(f"counterpoint.{MOVED[former]}")
    assert found is new and new.__spec__.name == new.__name__ == f"counterpoint.{MOVED[former]}"


@pytest.mark.parametrize(("module", "name"), FROM_PACKAGES)
def test_a_name_is_found_where_it_was(module, name):
    package = importlib.import_module(f"counterpoint.{module}")
    with pytest.warns(DeprecationWarning, match=f"counterpoint.{module}.{name} is now"):
        assert getattr(package, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = package.nothing_like_it


def test_the_warning_points_at_whoever_imports():
    code = "import counterpoint.analysis.compare"
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", code], capture_output=True, text=True
    )
    assert (
        done.returncode == 1 and "counterpoint.analysis.compare is now counterpoint.experiments.compare" in done.stderr
    )


def test_nothing_of_the_package_uses_a_former_name():
    code = (
        "import importlib, pkgutil, counterpoint, warnings; warnings.simplefilter('error', DeprecationWarning);"
        "from counterpoint._moved import MOVED; import sys;"
        "[importlib.import_module(m.name) for m in pkgutil.walk_packages(counterpoint.__path__, 'counterpoint.')];"
        "used = [f for f in MOVED if f'counterpoint.{f}' in sys.modules]; sys.exit(str(used) if used else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "counterpoint" not in done.stderr and done.returncode == 0, done.stderr


def test_a_method_is_found_under_its_former_name():
    fusion = counterpoint.fusion.Concat({"audio": 2, "visual": 3}, 4).eval()
    features = {"audio": torch.ones(1, 2), "visual": torch.ones(1, 3)}
    with pytest.warns(DeprecationWarning, match="Fusion.silenced is now Fusion.ablated"):
        assert torch.equal(fusion.silenced(features, "audio"), fusion.ablated(features, "audio"))


def test_names_and_options_that_changed_are_found_under_the_former():
    import counterpoint.models.fusion_points as points

    with pytest.warns(DeprecationWarning, match="intermediate.Place is now counterpoint.intermediate.FusionPoint"):
        assert counterpoint.intermediate.Place is counterpoint.intermediate.FusionPoint
    with pytest.warns(DeprecationWarning, match="create_places is now .*create_fusion_points"):
        assert points.create_places is points.create_fusion_points
    encoders = {"audio": torch.nn.Linear(2, 2), "visual": torch.nn.Linear(2, 2)}
    with pytest.warns(DeprecationWarning, match="the option 'places' of Interleaved.__init__ is now 'points'"):
        assert len(counterpoint.intermediate.Interleaved(encoders, places=[]).parts) == 0


def test_a_former_module_does_not_hide_a_function_of_its_name():
    sys.modules.pop("counterpoint.data.prepare", None)
    with pytest.warns(DeprecationWarning):
        importlib.import_module("counterpoint.data.prepare")
    assert callable(counterpoint.data.prepare) and callable(counterpoint.training.fit)
