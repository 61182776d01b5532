"""What the doctor finds in results, one finding at a time, and that it stays silent where nothing is wrong."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from counterpoint.analysis.results import Failure, Finding
from counterpoint.analysis.statistics import mean_interval
from counterpoint.report.doctor import examine, examine_run, of_training
from counterpoint.report.history import History
from counterpoint.report.report import write_report
from counterpoint.report.tables import to_rich
from counterpoint.training.config import TrainConfig
from counterpoint.training.metrics import METRICS

TOP1 = ("accuracy", METRICS["classify"].get("accuracy"))
FLAT = np.full(20, 0.7)


def kinds(found):
    return {finding.kind for finding in found}


def of(found, kind):
    (finding,) = [finding for finding in found if finding.kind == kind]
    return finding


@pytest.fixture
def healthy(make_comparison):
    """Nothing is wrong: no shared speakers, enough clips, each modality where it is alone."""
    made = make_comparison({"concat": 0.7, "late": 0.9})
    method = {
        name: replace(
            m,
            modalities={
                each: dict.fromkeys(("decoupled", "ablated", "probe"), made.alone[each].accuracy)
                for each in made.modalities
            },
            difference=None,
        )
        for name, m in made.methods.items()
    }
    protocol = {**made.protocol, "shared_groups": 0}
    return replace(made, methods=method, failures=(), protocol=protocol)


def with_ability(comparison, name, modality, **values):
    method = comparison.methods[name]
    changed = {**method.modalities[modality], **{kind: mean_interval([v] * 3) for kind, v in values.items()}}
    modalities = {**method.modalities, modality: changed}
    return replace(comparison, methods={**comparison.methods, name: replace(method, modalities=modalities)})


def test_where_nothing_is_wrong_that_is_said(healthy):
    found = examine(healthy)
    assert kinds(found) == {"learnt", "well"}
    assert [finding.method for finding in found if finding.kind == "learnt"] == ["concat", "late"]
    assert not any(finding.action for finding in found)


@pytest.mark.parametrize(("probe", "says"), [(0.69, "knows more than is used"), (0.3, "has not learnt it either")])
def test_a_modality_that_does_far_less_than_alone_has_drowned(healthy, probe, says):
    finding = of(examine(with_ability(healthy, "concat", "audio", decoupled=0.3, probe=probe)), "drowned")
    assert finding.method == "concat" and says in finding.sentence and "visual was learnt" in finding.sentence
    assert (
        "audio is right on 30.0 %, trained alone on 69.0 %" in finding.sentence
        and "chance is 25.0 %" in finding.sentence
    )
    assert "concat-detached" in finding.action and "late" not in finding.action  # which is there


def test_a_gap_that_clips_and_seeds_leave_open_is_no_drowning(healthy):
    assert "drowned" not in kinds(examine(with_ability(healthy, "concat", "audio", decoupled=0.62)))
    few = replace(healthy, protocol={**healthy.protocol, "clips": {**healthy.protocol["clips"], "test": 8}})
    assert "drowned" not in kinds(examine(with_ability(few, "concat", "audio", decoupled=0.3)))
    scattered = with_ability(healthy, "concat", "audio")
    method = scattered.methods["concat"]
    modalities = {
        **method.modalities,
        "audio": {**method.modalities["audio"], "decoupled": mean_interval([0.1, 0.3, 0.7])},
    }
    scattered = replace(scattered, methods={**scattered.methods, "concat": replace(method, modalities=modalities)})
    finding = of(examine(scattered), "perhaps_drowned")
    assert "drowned" not in kinds(examine(scattered)) and "audio 36.7 % of 69.0 % alone" in finding.sentence
    assert "well" not in kinds(examine(scattered))


def test_without_modalities_trained_alone_nothing_is_said_of_drowning(healthy):
    found = examine(replace(with_ability(healthy, "concat", "audio", decoupled=0.1), alone={}))
    assert not kinds(found) & {"drowned", "learnt"}


def test_a_modality_that_beats_every_joint_model_is_named(healthy):
    alone = {**healthy.alone, "audio": replace(healthy.alone["audio"], scores={"accuracy": mean_interval([0.99] * 3)})}
    finding = of(examine(replace(healthy, alone=alone)), "no_gain")
    assert "audio alone 99.0 %" in finding.sentence and finding.action.startswith("Take audio alone")


def test_speakers_on_both_sides_few_clips_and_diverged_runs(make_comparison):
    made = make_comparison()
    failures = (Failure("film", 1, "film/seed1", "loss is NaN", diverged=True), *made.failures)
    found = examine(replace(made, failures=failures))
    assert of(found, "shared_groups").sentence.startswith("2 speakers or sources stand both")
    assert (
        of(found, "diverged").sentence == "1 run of film diverged."
        and "--base.optim.lr 0.0003" in of(found, "diverged").action
    )
    half = np.median([(m.difference.high - m.difference.low) / 2 for m in made.methods.values() if m.difference])
    assert ("few_clips" in kinds(found)) == (half > 0.05)
    order = [finding.kind for finding in found]
    assert order.index("shared_groups") < order.index("diverged") < order.index("drowned")


def test_few_steps_are_told_with_what_to_set(healthy):
    protocol = {**healthy.protocol, "clips": {"train": 25, "val": 10, "test": 120}}
    finding = of(examine(replace(healthy, protocol=protocol)), "few_steps")
    assert finding.sentence.startswith("25 training clips in batches of 32") and finding.action.startswith(
        "Set data.batch_size"
    )


def history(train, val):
    return History({"train_accuracy": np.asarray(train), "val_accuracy": np.asarray(val)})


def test_training_that_ended_while_validation_rose():
    rising = np.linspace(0.1, 0.7, 20)
    (finding,) = of_training("concat", [history(rising, rising)] * 2, [19, 18], TOP1, prefix="--base.")
    assert finding.kind == "unfinished" and "rose by 12.6 points over the last fifth of 20 epochs" in finding.sentence
    assert finding.action == "Train longer: --base.epochs 40."
    flat = np.r_[np.linspace(0.1, 0.7, 10), FLAT[:10]]
    assert not list(of_training("concat", [history(flat, flat)], [19], TOP1))
    assert not list(of_training("concat", [history(rising, rising)], [3], TOP1))  # an early epoch was chosen
    assert not list(of_training("concat", [history([0.5], [0.5])], [0], TOP1))


def test_a_model_that_knows_its_clips_by_heart():
    (finding,) = of_training("concat", [history(FLAT + 0.28, FLAT)], [12], TOP1)
    assert finding.kind == "overfitted" and "98.0 % on them and 70.0 % on validation" in finding.sentence
    assert not list(of_training("concat", [history(FLAT + 0.1, FLAT)], [12], TOP1))


def test_metrics_that_are_no_shares_are_left_alone():
    row = replace(TOP1[1], percent=False)
    assert not list(of_training("a", [history(FLAT * 9, np.linspace(0, 5, 20))], [19], ("accuracy", row)))


def test_a_single_run():
    rising = np.linspace(0.1, 0.9, 10)
    (finding,) = examine_run("mine", history(rising, rising), 9, TrainConfig())
    assert finding.action == "Train longer: --epochs 20."
    assert examine_run("mine", History(), 9, TrainConfig()) == ()


def test_page_and_terminal_begin_with_it(make_comparison, tmp_path):
    made = make_comparison(folder=tmp_path / "made")
    many = tuple(Finding("drowned", f"m{i}", f"<m{i}> drowned.", "Do this.") for i in range(9))
    made = replace(made, findings=(*many, Finding("learnt", "x", "x is learnt.")))
    page = write_report(made).read_text()
    first, tables = page.index("&lt;m8&gt; drowned. <strong>Do this.</strong>"), page.index("Which method helps?")
    assert first < tables and "x is learnt." in page
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(to_rich(made))
    said = console.export_text()
    assert "! <m0> drowned. Do this." in said and "<m7>" not in said and "! 3 more of this kind" in said
    assert "x is learnt" not in said
    assert made.to_dict()["findings"][0] == {
        "kind": "drowned",
        "method": "m0",
        "sentence": "<m0> drowned.",
        "action": "Do this.",
    }
