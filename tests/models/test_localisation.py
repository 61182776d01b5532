import numpy as np
import pytest
import torch

from counterpoint.errors import ConfigError, ShapeError, UnknownNameError
from counterpoint.models import LocalisationModel, create_localisation_model, from_pretrained
from counterpoint.models.localisation import cut
from invariants import check_exports, check_gradients_reach, check_independent_of_batch, check_state_dict

SEGMENTS, CLASSES = 4, 3


def make_model(localiser="psp", **options):
    return create_localisation_model(
        localiser, num_classes=CLASSES, segments=SEGMENTS, model="small_av", localiser_options=options
    )


def clips(batch, dtype=torch.float32):
    return {
        "audio": torch.randn(batch, 1, 40, 66, dtype=dtype),  # 66 is no multiple of 4
        "visual": torch.randn(batch, 1, 12, 16, 16, dtype=dtype),
    }


def inputs(batch):
    return (clips(batch),)


@pytest.mark.parametrize("steps", [8, 9, 10, 11, 17])
def test_a_clip_is_cut_into_equal_stretches(steps):
    x = torch.arange(2 * 3 * steps * 2, dtype=torch.float64).view(2, 3, steps, 2)
    parts = cut(x, 4, 2).view(2, 4, 3, steps // 4, 2).numpy()
    for k in range(4):
        begin = int(np.floor(k * steps / 4))
        np.testing.assert_array_equal(parts[:, k], x.numpy()[:, :, begin : begin + steps // 4])


def test_a_clip_with_too_few_steps_is_refused():
    with pytest.raises(ShapeError, match="3 steps of time, too few for 4 segments"):
        cut(torch.zeros(2, 1, 3), 4, -1)


@pytest.mark.parametrize("localiser", ["psp", "bmfn", "cmran", "avel"])
def test_every_segment_is_heard_and_seen(localiser):
    model = make_model(localiser)
    output = model(clips(2))
    assert output.segment_logits.shape == (2, SEGMENTS, CLASSES + 1)
    features = model.encode(clips(2))
    assert features["audio"].shape[:2] == features["visual"].shape[:2] == (2, SEGMENTS)
    target = torch.arange(8 * SEGMENTS).view(8, SEGMENTS) % (CLASSES + 1)
    check_gradients_reach(model, inputs, lambda out: model.localiser.loss(out, target))


def test_a_segment_is_encoded_by_itself():
    model = make_model().eval()
    whole = clips(2)
    changed = {name: x.clone() for name, x in whole.items()}
    changed["audio"][..., 33:49] = 0  # the third of four
    changed["visual"][:, :, 6:9] = 0
    for name, before in model.encode(whole).items():
        same = (before == model.encode(changed)[name]).flatten(2).all(-1)
        assert same.tolist() == [[True, True, False, True]] * 2, name


def test_invariants():
    model = make_model()
    check_independent_of_batch(model, inputs, lambda out: out.segment_logits)
    check_state_dict(model, make_model, inputs)
    check_exports(model, inputs, lambda out: out.segment_logits)


def test_out_and_back(tmp_path):
    model = make_model(supervision="weakly").eval()
    model.save_pretrained(tmp_path, extra={"classes": ["a", "b", "c"]})
    again = from_pretrained(tmp_path)
    assert isinstance(again, LocalisationModel) and again.segments == SEGMENTS
    assert again.localiser.supervision == "weakly" and again.config["extra"] == {"classes": ["a", "b", "c"]}
    whole = clips(1)
    torch.testing.assert_close(again(whole).segment_logits, model(whole).segment_logits)


def test_features_need_no_encoders(tmp_path):
    dims = {"audio": 6, "visual": 10}
    model = create_localisation_model("bmfn", num_classes=CLASSES, segments=5, dims=dims).eval()
    features = {"audio": torch.randn(2, 5, 6), "visual": torch.randn(2, 5, 2, 2, 10)}
    torch.testing.assert_close(model(features).event, model.localiser(features).event)
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(from_pretrained(tmp_path)(features).event, model(features).event)


def test_what_a_balancer_sees_is_what_a_modality_alone_passes_through():
    model = make_model()
    for modality, part in model.balanced.items():
        mine = {id(p) for p in part.parameters()}
        assert mine >= {id(p) for p in model.encoders[modality].parameters()}
        assert mine >= {id(p) for p in model.localiser.encoders()[modality].parameters()}
    audio, visual = (set(map(id, part.parameters())) for part in model.balanced.values())
    assert not audio & visual


def test_silencing():
    model = make_model()
    whole = clips(2)
    heard = model.ablated(whole, "audio").segment_logits
    other = {**whole, "visual": torch.randn_like(whole["visual"])}
    model.eval()
    torch.testing.assert_close(heard, model.ablated(other, "audio").segment_logits)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"localiser": "bmfm"}, UnknownNameError, "Did you mean 'bmfn'"),
        ({"model": "small_aw"}, UnknownNameError, "Did you mean 'small_av'"),
        ({"segments": 0}, ConfigError, "segments is 0"),
        ({"model": None}, ConfigError, "either the encoders of a model or the widths"),
        ({"dims": {"audio": 3}}, ConfigError, "either the encoders of a model or the widths"),
        ({"modalities": ["audio"]}, ConfigError, "takes the modalities audio and visual, got audio"),
        ({"localiser_options": {"hedas": 2}}, ConfigError, "hedas"),
    ],
)
def test_what_does_not_fit_is_told(changes, error, message):
    given = {"localiser": "bmfn", "num_classes": 3, "segments": 4, "model": "small_av", **changes}
    with pytest.raises(error, match=message):
        create_localisation_model(given.pop("localiser"), **given)
