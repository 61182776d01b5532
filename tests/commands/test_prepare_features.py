import csv

import numpy as np
import pytest

from counterpoint.cli import main
from feature_files import numbers, write


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "cache"))
    audio = numbers("audio", 9)
    audio[4, 0, 0] = np.nan
    write(tmp_path / "features.h5", audio=audio, visual=numbers("visual", 9))
    sides = ("train", "val", "test")
    rows = [f"c{k},{('dog', 'cat')[k // 3 % 2]},10,{sides[k % 3]}" for k in range(9)]
    (tmp_path / "clips.csv").write_text("\n".join(["clip,class,seconds,split", *rows]))
    return tmp_path


def test_every_row_is_read_and_bad_ones_are_accounted_for(folder, monkeypatch, capsys):
    monkeypatch.setattr("counterpoint.data.features.validate.SMALL_BYTES", 0)
    words = ["prepare", "--data.name", "features", "--data.root", str(folder), "--data.max_bad", "0.2"]
    assert main([*words, "--output", str(folder / "bad.csv")]) == 0
    said = capsys.readouterr().out
    assert "9 clips, all of them features, 1 skipped" in said and "what is not said" in said
    with (folder / "bad.csv").open(newline="") as file:
        bad = list(csv.reader(file))
    assert bad[1:] == [["c4", "its audio features (features.h5, row 4): 1 of 30 values are NaN"]]
    assert main(words[:-2]) == 2  # one of nine is more than 5 %
    assert "1 of 9 clips (11.1%) cannot be used" in capsys.readouterr().err
