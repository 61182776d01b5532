"""What a type checker sees of the parts in a user's own code."""

import sys
from pathlib import Path

import pytest

SNIPPET = """
from collections.abc import Mapping

from torch import Tensor, nn
from typing_extensions import assert_type

from counterpoint.balance import OGMGE
from counterpoint.encoders import ResNet18
from counterpoint.fusion import Fusion, FusionOutput, Joined, Sum
from counterpoint.heads import Linear
from counterpoint.intermediate import MMTM
from counterpoint.localise import BMFN, LocaliserOutput
from counterpoint.losses import CrossEntropy
from counterpoint.models import LocalisationModel, MultimodalModel, create_model


def use(x: Mapping[str, Tensor], picture: Tensor, target: Tensor) -> None:
    fusion = Sum({"audio": 4, "visual": 4}, 3, attention="simam2", zeta="learned", sum_at="features")
    output = fusion(x)
    assert_type(output, FusionOutput)
    assert_type(fusion(picture, picture), FusionOutput)
    assert_type(CrossEntropy()(output, target), Tensor)
    assert_type(Linear({"audio": 4}, 3)(x), dict[str, Tensor])
    assert_type(ResNet18(attention="simam")(picture), Tensor)
    assert_type(MMTM({"audio": 4, "visual": 4}, variant="released")(x), dict[str, Tensor])
    assert_type(BMFN({"audio": 4, "visual": 4}, 3, supervision="weakly", joint="add")(x), LocaliserOutput)
    model = create_model("small_av", num_classes=3)
    assert_type(model, MultimodalModel)
    assert_type(model(x), FusionOutput)
    balance = OGMGE(model.balanced, ratio="zeta")
    assert_type(balance.step(output, target), dict[str, Tensor])


def localise(model: LocalisationModel, x: Mapping[str, Tensor]) -> Tensor:
    return model(x).segment_logits


class Mine(Fusion):
    def join(self, features: dict[str, Tensor], *, update: bool) -> Joined:
        fused = sum(features.values(), start=features["audio"] * 0)
        return Joined(self.head({"fused": fused})["fused"], fused)
"""

WRONG = {
    'Sum({"audio": 4, "visual": 4}, 3, attention="simam")': "arg-type",
    'Sum({"audio": 4, "visual": 4}, 3, atention="simam2")': "call-arg",
    'Sum({"audio": 4, "visual": 4}, 3, sum_at="feature")': "arg-type",
    'BMFN({"audio": 4, "visual": 4}, 3, supervision="strongly")': "arg-type",
    'OGMGE({}, parameters="every")': "arg-type",
}


def check(folder: Path, code: str) -> tuple[str, int]:
    api = pytest.importorskip("mypy.api")
    path = folder / "snippet.py"
    path.write_text(code)
    source = Path(__file__).parents[1] / "src"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    options = ["--strict", "--python-version", version, "--config-file", ""]
    options += ["--ignore-missing-imports", "--follow-imports", "silent", "--cache-dir", str(folder / "cache")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYPYPATH", str(source))
        out, _, status = api.run([*options, str(path)])
    return out, status


def test_a_type_checker_knows_what_parts_take_and_give(tmp_path):
    out, status = check(tmp_path, SNIPPET)
    assert status == 0, out
    imports = "from counterpoint.balance import OGMGE\nfrom counterpoint.fusion import Sum\n"
    out, _ = check(tmp_path, imports + "from counterpoint.localise import BMFN\n" + "\n".join(WRONG))
    for line, (code, error) in enumerate(WRONG.items(), 4):
        where = f"snippet.py:{line}: "
        assert any(where in report and f"[{error}]" in report for report in out.split("\n")), (code, out)
