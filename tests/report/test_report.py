import re
from dataclasses import replace
from html.parser import HTMLParser

import jinja2
import numpy as np
import pytest

from counterpoint.report.figures import accuracy_over_epochs, balance_over_steps
from counterpoint.report.history import History
from counterpoint.report.html import environment, write_page
from counterpoint.report.plotting import INK, PALETTE, Figure, panel, thin
from counterpoint.report.report import write_report

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Structure(HTMLParser):
    """Checks that tags nest, and gathers what they hold."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parse(text: str) -> Structure:
    structure = Structure()
    structure.feed(text)
    structure.close()
    assert structure.open == []
    return structure


@pytest.fixture(scope="module")
def page(make_comparison) -> str:
    return write_report(make_comparison()).read_text(encoding="utf-8")


def test_it_is_whole_and_small_and_needs_no_network(page: str):
    assert len(page.encode()) < 1_000_000
    assert not re.search(r"(?:https?:)?//[a-z]", page, re.IGNORECASE)
    for tag, attributes in parse(page).tags:
        assert tag not in ("script", "link", "iframe", "img", "object")
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert "@import" not in page and "url(http" not in page


def test_every_method_class_and_protocol_entry_is_there(page: str):
    text = " ".join(parse(page).text)
    for words in (
        *("concat", "sum", "sum-df-simam2", "concat-ogm-ge", "mmcosine", "audio alone", "visual alone"),
        *("bin", "place", "Rendered from seed 0".lower(), "480 train, 120 val, 120 test", "0, 1, 2"),
        *("s1/clip7", "the video stream ends", "alpha is -1", "film/seed1/error.txt", "torch 2.13.0"),
        *("counterpoint compare --epochs 20", "2 speakers or sources stand both in test", "optim.lr = 0.002"),
        "Dependence, 0 to 1.5",
        "1.08 ± 0.25",
        "Angles to the class centres",
        "Distribution of zeta",
        "Weight norms per class and modality",
        "Discrepancy ratio and coefficients over steps",
        "Accuracy over epochs",
        "Logits of the true class over epochs",
    ):
        assert words in text, words
    assert "/x/bin" not in text


def test_pictures_are_told_to_those_who_do_not_see_them(page: str):
    structure = parse(page)
    pictures = [attributes for tag, attributes in structure.tags if tag == "svg"]
    assert len(pictures) > 15
    for attributes in pictures:
        assert attributes.get("aria-hidden") == "true" or len(attributes.get("aria-label") or "") > 20
    for tag, attributes in structure.tags:
        if tag == "th":
            assert attributes["scope"] in ("col", "row", "colgroup")
    assert sum(tag == "h1" for tag, _ in structure.tags) == 1
    assert INK not in page


def test_ids_are_unique_and_every_reference_has_one(page: str):
    structure = parse(page)
    ids = [attributes["id"] for _, attributes in structure.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = re.findall(r"url\(#([^)]+)\)", page) + re.findall(r'href="#([^"]+)"', page)
    assert references
    assert set(references) <= set(ids)


EVIL = ("<script>alert(1)</script>", '"><b onmouseover=x>', "$x_1$", "a&b", "{{ 7 * 7 }}{% for %}", "it's </style>")


def test_names_are_shown_and_not_obeyed(make_comparison):
    comparison = make_comparison(classes=EVIL, methods={"concat": 0.7, "<i>": 0.6, "{{ 7 * 7 }}": 0.6})
    comparison.protocol.update(skipped={f"{name}.mp4": f"cannot read {name}" for name in EVIL}, notes=list(EVIL))
    comparison.protocol["environment"]["command"] = ["/x/counterpoint", "train", *EVIL]
    title = "<script> 'of' \"{{ 7 * 7 }}\""
    structure = parse(write_report(replace(comparison, dataset=title)).read_text(encoding="utf-8"))
    assert not {"script", "b", "i"} & {tag for tag, _ in structure.tags}
    assert not any("onmouseover" in attributes for _, attributes in structure.tags)
    text = " ".join(structure.text)
    for name in (*EVIL, "<i>", "{{ 7 * 7 }}", f"Comparison on {title}", "cannot read {{ 7 * 7 }}{% for %}"):
        assert name in text, name
    assert "49" not in [part.strip() for part in structure.text]
    labels = [attributes["aria-label"] for _, attributes in structure.tags if "aria-label" in attributes]
    assert f"Test results on {title}" in labels and any("{{ 7 * 7 }}" in label for label in labels)


def test_nothing_that_a_template_asks_for_may_be_missing(tmp_path):
    with pytest.raises(jinja2.UndefinedError, match="comparison"):
        write_page(tmp_path / "page.html", "comparison.html.jinja")
    assert not list(tmp_path.iterdir())


def test_many_classes_and_methods_stay_small(make_comparison):
    methods = {f"a-rather-long-name-of-a-method-{i}": 0.5 + 0.01 * i for i in range(6)}
    comparison = make_comparison(methods=methods, seeds=(0,), classes=tuple(f"class {i}" for i in range(100)))
    page = write_report(comparison).read_text(encoding="utf-8")
    assert len(page.encode()) < 3_000_000
    parse(page)


def test_long_series_are_averaged_over_segments():
    positions, means = thin(np.arange(10_000.0).tolist(), 100)
    assert len(means) == 100
    np.testing.assert_allclose(means, positions)
    assert thin([1.0, float("nan"), 3.0], 3) == ([0, 2], [1.0, 3.0])
    assert thin([]) == ([], [])


def test_a_panel_is_an_svg_with_text():
    with panel('a "quoted" <alt>') as drawn:
        drawn.axes.plot([0, 1], [0, 1])
        drawn.axes.set_xlabel("steps <b>")
    figure = Figure("One <b>", "Two", [("name <b>", drawn)])
    parts = environment().get_template("parts.html.jinja").module
    structure = parse(parts.figure(figure))
    assert [attributes["aria-label"] for tag, attributes in structure.tags if tag == "svg"] == ['a "quoted" <alt>']
    assert "b" not in [tag for tag, _ in structure.tags]
    assert any("steps <b>" in text for text in structure.text)


@pytest.mark.parametrize("count", [1, 2])
def test_a_single_epoch_or_step_is_a_dot(count):
    """Of one point there is no line to be seen."""
    columns = {"val_accuracy": np.full(count, 0.5), "val_accuracy_audio": np.full(count, 0.4)}
    steps = {"ratio_audio": np.full(count, 2.0), "coefficient_audio": np.full(count, 0.5)}
    histories = {"concat": [History(columns, steps)]}
    for drawn in (accuracy_over_epochs(histories, ["audio"]), balance_over_steps(histories, ["audio"])):
        elements = "".join(each.elements for _, each in drawn.panels)
        dots = re.findall(rf"fill: {PALETTE[0]}; stroke: {PALETTE[0]}", elements)
        assert bool(dots) == (count == 1)
