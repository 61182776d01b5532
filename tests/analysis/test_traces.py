"""What is kept of a pass over a split: written and read back."""

import numpy as np

from counterpoint.analysis.traces import Trace, load_trace, save_trace


def test_a_trace_comes_back_and_one_from_before_0_2_too(tmp_path):
    logits = np.arange(6.0).reshape(2, 3)
    save_trace(
        Trace(np.array(["a", "b"]), np.array([0, 2]), logits, ablated={"audio": logits / 2}), tmp_path / "new.npz"
    )
    with np.load(tmp_path / "new.npz") as file:
        former = {name.replace("ablated/", "silenced/"): file[name] for name in file.files}
    np.savez(tmp_path / "former.npz", **former)
    for name in ("new", "former"):
        trace = load_trace(tmp_path / f"{name}.npz")
        assert trace.ids.tolist() == ["a", "b"] and np.array_equal(trace.logits, logits)
        assert np.array_equal(trace.ablated["audio"], logits / 2)
