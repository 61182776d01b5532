import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from counterpoint.analysis.results import Comparison
from counterpoint.analysis.statistics import Estimate, compare_paired
from counterpoint.report.report import write_report
from counterpoint.report.results_csv import write_csv
from counterpoint.report.table import Column, Table, percent, with_interval
from counterpoint.report.tables import (
    dependence_table,
    difference_cell,
    methods_table,
    modalities_table,
    p_value,
    summary,
    to_rich,
    training_clips,
)


def test_figures_as_text():
    assert percent(0.81349) == "81.3"
    assert percent(-0.02, sign=True) == "-2.0"
    assert percent(float("nan")) == percent(None) == "n/a"
    assert with_interval(Estimate(0.5, 0.021, (0.4, 0.6))) == "50.0 ± 2.1"
    assert with_interval(Estimate(0.5, None, (0.5,))) == "50.0 (n=1)"
    assert with_interval(Estimate(1.084, 0.25, (1, 1.1)), digits=2, scale=1) == "1.08 ± 0.25"
    assert with_interval(None) == with_interval(Estimate(None, None)) == "n/a"
    assert (p_value(0.0001), p_value(0.0312), p_value(None)) == ("< 0.001", "0.031", "n/a")


def test_every_method_and_modality_has_a_row(make_comparison):
    comparison: Comparison = make_comparison()
    table = methods_table(comparison)
    assert [row[0] for row in table.rows] == [*comparison.methods, "audio alone", "visual alone"]
    assert table.rows[0][3] == "baseline"
    assert all(len(row) == len(table.columns) for row in table.rows)
    abilities = modalities_table(comparison)
    assert [row[0] for row in abilities.rows] == list(comparison.methods)
    assert [c.heading for c in abilities.columns][1:] == ["decoupled", "ablated", "probe"] * 2
    assert abilities.columns[1].group.startswith("audio (alone 69.0")
    assert all(c.explanation for c in (*table.columns, *abilities.columns))


def test_dependence_is_no_percentage_and_has_its_range(make_comparison):
    comparison = make_comparison()
    table = dependence_table(comparison)
    assert [c.heading for c in table.columns] == ["Method", "audio x visual"]
    assert table.rows[0] == ("concat", "1.08 ± 0.25")  # 0.98, 1.08, 1.18
    assert "0 to 1.5" in table.title and "the most is 1.5" in table.columns[1].explanation
    concat = replace(comparison.methods["concat"], dependence={})
    partly = replace(comparison, methods={**comparison.methods, "concat": concat})
    assert [row[1] for row in dependence_table(partly).rows][:2] == ["n/a", "1.09 ± 0.25"]
    assert dependence_table(replace(comparison, methods={"concat": concat})) is None


def test_the_summary_says_what_does_not_help(make_comparison):
    text = " ".join(summary(make_comparison()))
    assert "Better than it: concat-ogm-ge." in text
    assert "Not clearly different from it: sum, sum-df-simam2." in text
    assert "Worse than it: mmcosine." in text
    assert "1 run failed" in text


def test_methods_that_hold_clips_out_are_said_to(make_comparison):
    comparison = make_comparison(methods={"concat": 0.7, "concat-g-blending": 0.6})
    said = "Trained on a part of the training clips, to weigh losses by the rest: concat-g-blending (432, 48 held out)."
    assert said in summary(comparison)
    assert "Trained on" not in " ".join(summary(make_comparison()))
    blending = comparison.methods["concat-g-blending"]
    first, *others = blending.runs
    unlike = replace(blending, runs=(replace(first, trained_on=430, held_out=47), *others))
    assert training_clips(unlike) == "430 to 432, 47 to 48 held out"
    assert training_clips(comparison.methods["concat"]) == "480"
    page = write_report(comparison).read_text()
    assert "<td>432, 48 held out</td>" in page and "concat-g-blending: trained on 432, 48 held out." in page
    write_csv(comparison, comparison.folder)
    with (comparison.folder / "results_per_seed.csv").open() as file:
        rows = {row["method"]: (row["trained_on"], row["held_out"]) for row in csv.DictReader(file)}
    assert rows["concat"] == ("480", "0") and rows["concat-g-blending"] == ("432", "48")


def test_one_seed_reads_as_such(make_comparison):
    comparison = make_comparison(seeds=(4,))
    assert methods_table(comparison).rows[0][1].endswith(" (n=1)")
    assert "One seed (n=1): no interval over seeds, and differences tested over clips alone" in " ".join(
        summary(comparison)
    )
    assert "over clips alone (one seed: no interval over seeds)" in methods_table(comparison).columns[3].explanation
    assert "clips alone (one seed: no interval over seeds) are drawn at random" in write_report(comparison).read_text()
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(to_rich(comparison))
    text = console.export_text()
    assert "± n/a" not in text and "One seed (n=1): no interval" in text


ENDS = ("low", "high", "low_holm", "high_holm")


@pytest.mark.parametrize("seeds", [(0,), (0, 1), (0, 1, 2)])
@pytest.mark.parametrize("skill", [0.55, 0.66])
def test_interval_p_and_verdict_say_the_same_wherever_they_stand(make_comparison, seeds, skill):
    methods = {"concat": 0.7, "a": skill, "b": skill + 0.08, "c": skill + 0.16, "d": skill + 0.24}
    comparison = make_comparison(methods=methods, seeds=seeds)
    write_csv(comparison, comparison.folder)
    with (comparison.folder / "results.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    page, plain = write_report(comparison).read_text(), comparison.to_dict()["methods"]
    unclear = next((s for s in summary(comparison) if s.startswith("Not clearly")), "")
    for name, *_, cell, p, verdict in methods_table(comparison).rows[1:5]:
        low, high = map(float, cell.partition("[")[2].rstrip("]").split(","))
        differs = verdict != "unclear"
        assert (not low <= 0 <= high) == (float(p.removeprefix("< ")) < 0.05) == differs
        row, difference = rows[name], plain[name]["difference"]
        assert [float(row[f"difference_{end}"]) for end in ENDS] == [difference[end] for end in ENDS]
        for own in (row, difference):
            assert (float(own["p_holm"]) < 0.05) == (own["verdict"] != "no clear difference") == differs
        assert (not difference["low"] <= 0 <= difference["high"]) == (float(row["p"]) < 0.05)
        assert (not difference["low_holm"] <= 0 <= difference["high_holm"]) == differs
        assert f">{cell}</td>" in page and f">{p.replace('<', '&lt;')}</td>" in page
        assert (name in unclear.rstrip(".").partition(": ")[2].split(", ")) != differs


def test_rounding_hides_no_side():
    assert [p_value(p) for p in (0.0496, 0.04996, 0.05, 0.0504, 0.001)] == [
        "0.0496",
        "0.04996",
        "0.050",
        "0.050",
        "0.001",
    ]
    found = compare_paired(np.ones((1, 100)), np.zeros((1, 100)))
    cells = [difference_cell(replace(found, mean=0.02, low=low, high=0.04)) for low in (0.0001, -0.0001, 0.0, 0.012)]
    assert [cell.split()[1] for cell in cells] == ["[+0.01,", "[-0.01,", "[+0.0,", "[+1.2,"]


def test_a_terminal_of_80_columns_cuts_nothing_off(make_comparison):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(to_rich(make_comparison()))
    text = console.export_text()
    assert "…" not in text
    assert "concat-ogm-ge" in text and "Dependence, 0 to" in text


def test_wide_figures_break_before_the_interval_and_lose_no_digit(make_comparison):
    comparison = make_comparison(methods={"concat": 0.7, "concat-g-blending": 0.6})
    wide = {
        m: dict.fromkeys(by, Estimate(0.303, 0.741, ())) for m, by in comparison.methods["concat"].modalities.items()
    }
    methods = {name: replace(method, modalities=wide) for name, method in comparison.methods.items()}
    for width, together in ((80, 0), (200, 12)):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(to_rich(replace(comparison, methods=methods)))
        text = console.export_text()
        assert text.count("30.3") == text.count("±74.1") == 12
        assert text.count("30.3 ±74.1") == together


def test_one_table_for_the_terminal_and_for_markdown():
    columns = (Column("method"), Column("paper", "As printed.", "top-1"), Column("measured", "Here.", "top-1"))
    table = Table("On [/x]", (*columns, Column("remark", words=True)), (("a|b [red]", "1.0", "2.0 ± 3.0", "none"),))
    assert table.groups == [("", 1), ("top-1", 2), ("", 1)]
    assert table.to_markdown().splitlines() == [
        "| method | top-1 paper | top-1 measured | remark |",
        "| --- | --- | --- | --- |",
        "| a\\|b [red] | 1.0 | 2.0 ± 3.0 | none |",
    ]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table)
    text = console.export_text()
    assert "On [/x]" in text and "a|b [red]" in text and text.count("top-1") == 1 and "2.0 ±3.0" in text


def test_failures_are_told_with_their_traceback(make_comparison):
    console = Console(width=500, record=True, file=io.StringIO())
    console.print(to_rich(make_comparison()))
    told = console.export_text()
    assert "failed: film seed 1: ConfigError: alpha is -1" in told
    assert "film/seed1/error.txt" in told


def test_csv_and_json_hold_every_run(make_comparison):
    comparison = make_comparison()
    write_csv(comparison, comparison.folder)
    with (comparison.folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == [*comparison.methods, "audio alone", "visual alone"]
    assert float(rows[0]["accuracy"]) == comparison.methods["concat"].accuracy.mean
    assert rows[0]["p"] == "" and float(rows[1]["p"]) <= float(rows[1]["p_holm"])
    with (comparison.folder / "results_per_seed.csv").open() as file:
        per_seed = list(csv.DictReader(file))
    assert len(per_seed) == 7 * 3
    assert (
        float(per_seed[0]["audio_probe_accuracy"])
        == comparison.methods["concat"].runs[0].modalities["audio"].probe["accuracy"]
    )
    assert float(rows[0]["audio_x_visual_dependence"]) == comparison.methods["concat"].dependence["audio x visual"].mean
    assert float(per_seed[0]["audio_x_visual_dependence"]) == 1.4 * 0.7
    assert rows[-1]["audio_x_visual_dependence"] == ""  # sight alone has nothing to depend on
    plain = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    assert plain["methods"]["mmcosine"]["difference"]["verdict"] == "worse"
    assert plain["methods"]["concat"]["scores"]["accuracy"]["values"] == list(
        comparison.methods["concat"].accuracy.values
    )
