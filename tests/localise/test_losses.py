import numpy as np
import pytest
import torch

from counterpoint.errors import ConfigError, ShapeError, UnknownNameError
from counterpoint.localise import LOCALISER_LOSSES, LocaliserOutput, clip_classes
from counterpoint.localise.output import from_event_and_class, from_segments, pool_segments
from localiser_cases import C, features, make

SEGMENTS = torch.tensor([[4, 1, 1, 2, 4], [4, 4, 4, 4, 4], [0, 0, 0, 0, 0]])


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def outputs():
    torch.manual_seed(0)
    scored = from_event_and_class(torch.randn(3, 5).double(), torch.randn(3, C).double())
    chosen = from_segments(torch.randn(3, 5, C + 1).double())
    return scored, chosen


def test_a_clips_class_is_its_most_frequent_event():
    assert clip_classes(SEGMENTS, C).tolist() == [1, C, 0]


def test_event_and_class():
    out, _ = outputs()
    s, p = sigmoid(out.event.numpy()), softmax(out.event_class.numpy())
    held = SEGMENTS.numpy() != C
    event = -np.where(held, np.log(s), np.log(1 - s)).mean()
    classes = -(np.log(p[0, 1]) + np.log(p[2, 0])) / 2  # the clip without an event teaches no class
    assert float(LOCALISER_LOSSES.get("event_and_class")(out, SEGMENTS)) == pytest.approx(event + classes)


def test_event_and_class_of_clips_without_events_is_finite():
    out, _ = outputs()
    nothing = torch.full((3, 5), C)
    expected = -np.log(1 - sigmoid(out.event.numpy())).mean()
    assert float(LOCALISER_LOSSES.get("event_and_class")(out, nothing)) == pytest.approx(expected)


def test_event_and_class_per_segment():
    _, out = outputs()
    p, held = softmax(out.event_class.numpy()), SEGMENTS.numpy() != C
    s = sigmoid(out.event.numpy())
    wanted = [-np.log(p[b, t, SEGMENTS[b, t]]) for b in range(3) for t in range(5) if held[b, t]]
    expected = -np.where(held, np.log(s), np.log(1 - s)).mean() + np.mean(wanted)
    assert float(LOCALISER_LOSSES.get("event_and_class")(out, SEGMENTS)) == pytest.approx(expected)


def test_segments_and_the_released_soft_margin():
    _, out = outputs()
    p = softmax(out.segment_logits.numpy())
    y = np.eye(C + 1)[SEGMENTS.numpy()]
    assert float(LOCALISER_LOSSES.get("segments")(out, SEGMENTS)) == pytest.approx(-(y * np.log(p)).sum(-1).mean())
    margin = -(y * np.log(sigmoid(p)) + (1 - y) * np.log(1 - sigmoid(p))).mean()
    assert float(LOCALISER_LOSSES.get("segments_soft_margin")(out, SEGMENTS)) == pytest.approx(margin)


def test_pair_similarity():
    _, out = outputs()
    cosine = np.array([[0.2, 0.6, -0.5, 0.2, 0.0]] * 3)
    out = LocaliserOutput(
        out.event, out.event_class, out.segment_logits, out.video_logits, extras={"similarity": torch.tensor(cosine)}
    )
    wanted = np.array([[0, 1, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]]) / np.array([[3], [1], [5]])
    error = ((np.maximum(cosine, 0) - wanted) ** 2).mean()  # its positive part sums to one already
    both = float(LOCALISER_LOSSES.get("segments_and_similarity")(out, SEGMENTS))
    assert both - float(LOCALISER_LOSSES.get("segments")(out, SEGMENTS)) == pytest.approx(100 * error, rel=1e-6)


def test_weak_losses_take_classes_and_shares():
    _, out = outputs()
    video, p = torch.tensor([1, C, 0]), softmax(out.video_logits.numpy())
    y = np.eye(C + 1)[video.numpy()]
    expected = {
        "video": -(y * np.log(p)).sum(-1).mean(),
        "video_binary": -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(),
        "video_soft_margin": -(y * np.log(sigmoid(p)) + (1 - y) * np.log(1 - sigmoid(p))).mean(),
    }
    for name, value in expected.items():
        loss = LOCALISER_LOSSES.get(name)
        assert float(loss(out, video)) == pytest.approx(value)
        assert float(loss(out, torch.tensor(y))) == pytest.approx(value)


def test_binary_loss_of_a_certain_mistake_is_finite_and_corrects_it():
    logits = torch.tensor([[1e4, 0.0, 0.0]], requires_grad=True)
    out = LocaliserOutput(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 2, 3), logits)
    loss = LOCALISER_LOSSES.get("video_binary")(out, torch.tensor([1]))
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all() and logits.grad[0, 1] < 0


def test_segments_are_inferred_by_threshold_and_by_choice():
    event = torch.tensor([[0.0, -1e-3, 5.0]])
    scored = from_event_and_class(event, torch.tensor([[0.0, 3.0, 1.0]]))
    assert scored.segments().tolist() == [[1, 3, 1]]  # at a score of 0.5 sharp it is an event
    chosen = from_segments(torch.tensor([[[0.3, 0.3, 0.0, 0.4], [2.0, 1.0, 0.0, 1.5]]]))
    assert chosen.segments().tolist() == [[3, 0]]
    assert (chosen.segments() == chosen.segment_logits.argmax(-1)).all()


def test_a_clip_is_background_only_if_every_segment_is():
    p = np.array([[0.1, 0.9], [0.8, 0.2]])
    pooled = pool_segments(torch.tensor(np.log(p))[None])
    np.testing.assert_allclose(np.exp(pooled[0].numpy()), [0.8, 0.2])


@pytest.mark.parametrize("supervision", ["fully", "weakly"])
def test_targets_of_another_shape_are_refused(supervision):
    net = make("cman", supervision=supervision)
    out = net(features(3))
    wrong = torch.zeros(3, dtype=torch.long) if supervision == "fully" else torch.zeros(3, 5, dtype=torch.long)
    with pytest.raises(ShapeError, match=f"{supervision.removesuffix('ly')}"[:4]):
        net.loss(out, wrong)


def test_losses_by_name():
    assert make("avel", loss="segments_soft_margin").loss_name == "segments_soft_margin"
    with pytest.raises(ConfigError, match="weakly"):
        make("avel", loss="video")
    with pytest.raises(UnknownNameError, match="'segments'"):
        make("avel", loss="segment")
