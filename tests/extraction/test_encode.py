"""Clips to features of their segments: against encoders called by hand, segment by segment."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from counterpoint.encoders import create_encoder
from counterpoint.errors import ConfigError, UnknownNameError
from counterpoint.extraction.encode import SegmentEncoder, make_stream
from counterpoint.extraction.weights import digest_of, load_weights, read_weights, require_weights
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import create_transform

SPEC = MediaSpec(seconds=2.0, fps=4, size=32, gray=False)
CPU = torch.device("cpu")


def clip(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    sound = (3000 * rng.standard_normal(32000)).astype(np.int16)
    return {"audio": sound, "visual": rng.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)}


def stream(modality, encoder, segments=2, **options):
    return make_stream(modality, encoder, "random", SPEC, segments, **options)


def encode(streams, segments=2, precision="32-true"):
    return SegmentEncoder(streams, segments, CPU, precision)(clip())


def test_as_ave_has_it_each_segment_by_itself():
    streams = {"audio": stream("audio", "vggish", options={"hidden": 16}), "visual": stream("visual", "vgg11")}
    made = encode(streams)
    assert {name: values.shape for name, values in made.items()} == {"audio": (2, 128), "visual": (2, 1, 1, 512)}
    pictures = torch.from_numpy(clip()["visual"])[None]
    frames = create_transform("frames", spec=SPEC)(pictures)[0].transpose(0, 1)  # (8, 3, 32, 32)
    half = MediaSpec(seconds=1.0)
    with torch.no_grad():
        maps = frames
        for stage in streams["visual"].encoder.stages().values():
            maps = stage(maps)
        expected = maps.view(2, 4, 512, 1, 1).mean(1).permute(0, 2, 3, 1)
        np.testing.assert_allclose(made["visual"], expected, rtol=1e-3, atol=1e-4)
        for k in range(2):
            sound = torch.from_numpy(clip()["audio"])[None, 16000 * k : 16000 * (k + 1)]
            patch = create_transform("vggish_mel", spec=half)(sound)
            assert patch.shape == (1, 1, 64, 96)
            np.testing.assert_allclose(made["audio"][k], streams["audio"].encoder(patch)[0], rtol=1e-3, atol=1e-5)
    assert made["audio"][0].any() and (made["audio"][0] != made["audio"][1]).any()


def test_normalisations_are_folded_and_few_segments_are_encoded_at_a_time(monkeypatch):
    streams = {"visual": stream("visual", "resnet18")}
    nn.init.uniform_(streams["visual"].encoder.bn1.running_mean)
    whole = encode(streams)["visual"]
    monkeypatch.setattr("counterpoint.extraction.encode._FRAMES_AT_ONCE", {"cpu": 1})
    seen = []
    monkeypatch.setattr(nn.BatchNorm2d, "forward", lambda *_: pytest.fail("not folded"))
    call = nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, x: (seen.append(len(x)), call(self, x))[1])
    np.testing.assert_allclose(encode(streams)["visual"], whole, rtol=1e-3, atol=1e-4)
    assert max(seen) == 4  # the frames of one segment


@pytest.mark.parametrize(
    ("modality", "encoder", "shape"),
    [
        ("audio", "audio_cnn", (2, 256)),
        ("audio", "resnet18", (2, 512)),
        ("audio", "mfcc_cnn", None),
        ("visual", "visual_cnn", (2, 1, 1, 128)),
        ("visual", "resnet18_3d", (2, 1, 1, 512)),
    ],
)
def test_any_other_encoder_of_the_house(modality, encoder, shape):
    made = encode({modality: stream(modality, encoder)})[modality]
    assert made.shape == (shape or made.shape) and len(made) == 2
    assert np.isfinite(made).all() and made.dtype == np.float32


def test_bfloat16_is_near():
    streams = {"visual": stream("visual", "vgg11")}
    exact, rounded = (encode(streams, precision=p)["visual"] for p in ("32-true", "bf16-mixed"))
    assert 0 < np.linalg.norm(rounded - exact) < 0.03 * np.linalg.norm(exact)


def test_weights_of_files(tmp_path):
    torch.manual_seed(1)
    network = create_encoder("vgg11")
    state = {**network.state_dict(), "classifier.6.bias": torch.zeros(1000)}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "vgg.pth")
    save_file(state, tmp_path / "vgg.safetensors")
    for name in ("vgg.pth", "vgg.safetensors"):
        made = make_stream("visual", "vgg11", str(tmp_path / name), SPEC, 2)
        assert digest_of(made.encoder) == digest_of(network) == made.setting["weights"]
        assert made.name == f"vgg11 ({name})"
    assert digest_of(stream("visual", "vgg11").encoder) != digest_of(network)
    assert digest_of(stream("visual", "vgg11").encoder) == digest_of(stream("visual", "vgg11").encoder)

    small = create_encoder("visual_cnn")  # one without published weights takes its own
    torch.save(small.state_dict(), tmp_path / "small.pth")
    other = create_encoder("visual_cnn")
    load_weights(other, tmp_path / "small.pth")
    assert digest_of(other) == digest_of(small)


def test_weights_that_are_none_are_told(tmp_path):
    with pytest.raises(ConfigError, match=r"vgg19-dcbb9e9d.pth.*vggish-10086976.pth.*random"):
        require_weights({"visual": ("vgg19", None), "audio": ("vggish", None)})
    with pytest.raises(ConfigError, match="audio.weights: there is no file nowhere.pth"):
        require_weights({"audio": ("vggish", "nowhere.pth")})
    with pytest.raises(UnknownNameError, match="Did you mean 'vggish'"):
        require_weights({"audio": ("vgish", "random")})
    for name, content in (("text.pth", b"not weights"), ("text.safetensors", b"not weights"), ("empty.pth", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match="cannot be read as weights"):
            read_weights(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ConfigError, match="holds no state"):
        read_weights(tmp_path / "list.pth")
    torch.save(create_encoder("visual_cnn").state_dict(), tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=r"visual.weights: .*other.pth: the checkpoint lacks features.0.weight"):
        make_stream("visual", "vgg11", str(tmp_path / "other.pth"), SPEC, 2)


def test_reading_a_checkpoint_executes_nothing(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    torch.save({"features.0.weight": Harmful()}, tmp_path / "bad.pth")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_weights(tmp_path / "bad.pth")
    assert not (tmp_path / "ran").exists()
