"""What is text in a CSV file stays text in a spreadsheet, and comes back as it was."""

import csv

import pytest

from counterpoint._atomic import append_csv, read_csv, write_csv
from counterpoint._csv_cells import guarded, unguarded
from counterpoint.data.io.csv_tables import parse_csv, read_text

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1+1", "=", "=\n1", "--1", "-x"]
TEXTS = ["'=1", "''=1", "'", "''", "'quoted'", "'-", "-", "+", "a=1", "", "a'b", "'-1", "1-2", "e-5", "+1.5 ± 0.2"]
NUMBERS = ["-1", "+1", "-0.5", "1e-3", "-1.5E+10", "-.5", "-inf", "nan", "-nan"]


@pytest.mark.parametrize("text", FORMULAS + TEXTS + NUMBERS)
def test_a_text_comes_back(text, tmp_path):
    assert unguarded(guarded(text)) == text
    path, name = tmp_path / "t.csv", text.replace("\n", "") + "x"  # columns are of one line
    write_csv(path, [{name: text, "y": 1.5}])
    append_csv(path, [{name: text, "y": -2}])
    expected = [{name: text, "y": "1.5"}, {name: text, "y": "-2"}]
    assert read_csv(path) == expected
    if text.strip() == text and text:  # the tables of datasets are stripped of blanks
        (first, _) = parse_csv(read_text(path), "t.csv", (name, "y"))
        assert first[name] == text


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_run(text, tmp_path):
    path = tmp_path / "t.csv"
    write_csv(path, [{text: text}])
    with path.open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert text == "=" or all(cell == f"'{text}" for cell in cells)  # a lone sign is no formula


@pytest.mark.parametrize("number", [*NUMBERS, -1, -0.5, float("-inf"), None, True])
def test_numbers_stay_numbers(number):
    assert guarded(number) is number
