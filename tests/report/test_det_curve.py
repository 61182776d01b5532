import numpy as np
import pytest
import torch
from scipy.stats import norm

from counterpoint.errors import ConfigError
from counterpoint.metrics import error_curve
from counterpoint.report.det_curve import det_points, draw_det, normal_deviate, save_det


def curve(n=2000, distance=2.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(n, generator=generator) < 0.5
    return error_curve(torch.randn(n, generator=generator) + distance * target, target)


def drawn(systems, **costs):
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    draw_det(axes, systems, **costs)
    return axes


def test_axes_are_normal_deviates():
    rates = np.array([0.0, 1e-6, 0.01, 0.5, 0.9, 1.0])
    np.testing.assert_allclose(normal_deviate(rates), norm.ppf(rates), rtol=1e-10)


def test_normal_scores_make_a_straight_line():
    fpr, fnr = det_points(curve(200_000, 2.0))
    inner = (fpr > 0.01) & (fnr > 0.01)
    np.testing.assert_allclose(normal_deviate(fpr[inner]) + normal_deviate(fnr[inner]), -2, atol=0.05)


def test_few_points_stand_for_many():
    whole = curve(200_000)
    fpr, fnr = det_points(whole)
    assert len(fpr) < 4000 < len(whole.misses)
    assert (fpr[0], fnr[0], fpr[-1], fnr[-1]) == (1, 0, 0, 1)
    inner = np.linspace(0.01, 0.9, 50)
    exact = np.interp(inner, whole.fpr[::-1], whole.fnr[::-1])
    np.testing.assert_allclose(np.interp(inner, fpr[::-1], fnr[::-1]), exact, atol=0.003)


def test_every_system_has_a_line_and_two_marks_where_they_belong():
    systems = {"good": curve(distance=3.0), "poor": curve(distance=1.0)}
    axes = drawn(systems, p_target=0.05)
    colours = []
    for name, errors in systems.items():
        (line,) = [a for a in axes.lines if a.get_label().startswith(f"{name}: ")]
        assert f"EER {100 * errors.eer().value:.2f} %" in line.get_label()
        assert f"minDCF {errors.min_dcf(p_target=0.05).value:.3f}" in line.get_label()
        colours.append(line.get_color())
        marks = {a.get_marker(): a for a in axes.lines if a.get_color() == line.get_color() and len(a.get_xdata()) == 1}
        for marker, point in (("o", errors.eer()), ("D", errors.min_dcf(p_target=0.05))):
            where = float(marks[marker].get_xdata()[0]), float(marks[marker].get_ydata()[0])
            x, y = norm.ppf(point.fpr), norm.ppf(point.fnr)
            assert where == pytest.approx((max(x, axes.get_xlim()[0]), y))  # no false alarm at all: at the edge
            assert where[0] <= axes.get_xlim()[1] and axes.get_ylim()[0] <= y <= axes.get_ylim()[1]
    assert len(set(colours)) == 2
    assert [text.get_text() for text in axes.get_legend().get_texts()][-1] == "minDCF at a prior of 0.05"


@pytest.mark.parametrize(
    "errors", [curve(40, 0.0), curve(30, 9.0), curve(20_000, 4.0)], ids=["chance", "perfect", "good"]
)
def test_marks_of_the_axes_are_apart_and_true(errors):
    axes = drawn({"one": errors})
    for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        places, texts = axis.get_ticklocs(), [text.get_text() for text in axis.get_ticklabels()]
        np.testing.assert_allclose(norm.ppf([float(text) / 100 for text in texts]), places, rtol=1e-6, atol=1e-9)
        assert len(texts) >= 4 and np.diff(np.sort(places)).min() > (limits[1] - limits[0]) / 12
    for line in axes.lines:
        assert np.isfinite(np.asarray(line.get_xdata(), float)).all()


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_writes_a_file(tmp_path, kind):
    path = tmp_path / f"det.{kind}"
    save_det(path, {"one $": curve(300)})
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind]
    assert path.read_bytes().startswith(start)


def test_refusals(tmp_path):
    with pytest.raises(ConfigError, match="at least one system"):
        save_det(tmp_path / "det.png", {})
    with pytest.raises(ConfigError, match="matplotlib writes .*png"):
        save_det(tmp_path / "det.gnp", {"one": curve(300)})
    with pytest.raises(ConfigError, match="p_target must lie"):
        save_det(tmp_path / "det.png", {"one": curve(300)}, p_target=2)
    assert not list(tmp_path.iterdir())
