"""Log-spectrograms, log-mel and MFCC against SciPy, librosa and derivations in float64."""

import librosa
import numpy as np
import pytest
import scipy.signal
import torch

from counterpoint.errors import ConfigError, ShapeError, UnknownNameError
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import TRANSFORMS, create_transform
from counterpoint.media.transforms.spectrogram import LogSpectrogram, repeat_sound
from invariants import check_compiles, check_exports, check_finite, check_independent_of_batch, check_state_dict

SPEC = MediaSpec(sample_rate=16000, seconds=0.5)
SPEC_22K = MediaSpec(sample_rate=22050, seconds=3.0)
PRESETS = {"ogm_ge": SPEC_22K, "mmcosine": MediaSpec(sample_rate=16000, seconds=3.0)}
KINDS = [
    ("log_spectrogram", SPEC, {}),
    ("log_spectrogram", SPEC_22K, {"preset": "ogm_ge"}),
    ("log_spectrogram", MediaSpec(seconds=1.0), {"preset": "mmcosine"}),
    ("log_mel", SPEC, {}),
    ("log_mel", SPEC, {"crop_seconds": 0.3}),
    ("mfcc", SPEC, {}),
    ("mfcc", SPEC, {"normalize": True, "top_db": None}),
]
IDS = ["plain", "ogm_ge", "mmcosine", "log_mel", "log_mel-cropped", "mfcc", "mfcc-normalised"]


def speech_like(spec: MediaSpec, batch: int = 3, seed: int = 0) -> np.ndarray:
    """Harmonics that come and go over noise, with a stretch of silence; float64 `(batch, samples)` in [-1, 1]."""
    rng = np.random.default_rng(seed)
    t = np.arange(spec.num_samples) / spec.sample_rate
    tones = sum(
        np.sin(2 * np.pi * f * t + rng.uniform(0, 6, (batch, 1))) / k for k, f in enumerate((130, 260, 1900), 1)
    )
    out = 0.3 * tones * np.sin(2 * np.pi * 2 * t) ** 2 + 0.003 * rng.standard_normal((batch, len(t)))
    out[:, : len(t) // 10] = 0
    return np.clip(out, -1, 1)


def make_inputs(spec: MediaSpec):
    return lambda batch: (torch.from_numpy(speech_like(spec, batch)).float(),)


# ---- numbers


def test_ogm_ge_preset_equals_librosas_stft():
    y = speech_like(SPEC_22K)
    module = create_transform("log_spectrogram", spec=SPEC_22K, preset="ogm_ge")
    expected = np.stack([np.log(np.abs(librosa.stft(x, n_fft=512, hop_length=353)) + 1e-7) for x in y])
    single = module(torch.from_numpy(y).float())[:, 0].numpy()
    double = module.double()(torch.from_numpy(y))[:, 0].numpy()
    assert single.shape == (3, 257, 188)
    loud = expected > -8  # near the floor, 1e-7, the float32 of the window and of the transform shows
    assert np.abs(double - expected)[loud].max() < 1e-3 and np.abs(double - expected).max() < 0.05
    assert np.abs(single - expected)[loud].max() < 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mmcosine_preset_equals_scipys_spectrogram(dtype):
    spec = PRESETS["mmcosine"]
    y = speech_like(spec)
    module = create_transform("log_spectrogram", spec=spec, preset="mmcosine").to(dtype)
    out = module(torch.from_numpy(y))
    assert out.shape == (3, 1, 257, 299) and out.dtype == dtype
    _, _, density = scipy.signal.spectrogram(y, 16000, nperseg=512, noverlap=353)
    level = np.log(density + 1e-7)
    expected = (level - level.mean((1, 2), keepdims=True)) / level.std((1, 2), keepdims=True)
    assert np.abs(out[:, 0].numpy() - expected).max() < 1e-4


def test_log_spectrogram_by_definition():
    """Each value as a sum of cosines and sines over a Hann window, in float64."""
    spec, n_fft, hop = MediaSpec(sample_rate=8000, seconds=0.1), 64, 40
    y = speech_like(spec, 2)
    module = create_transform("log_spectrogram", spec=spec, n_fft=n_fft, hop_length=hop, normalize=False).double()
    n = np.arange(n_fft)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / n_fft)
    padded = np.pad(y, ((0, 0), (n_fft // 2, n_fft // 2)))
    frames = np.stack([padded[:, k * hop : k * hop + n_fft] for k in range(1 + y.shape[1] // hop)], -1)
    angle = 2 * np.pi * np.arange(n_fft // 2 + 1)[:, None] * n / n_fft
    re, im = np.cos(angle) @ (window[:, None] * frames), np.sin(angle) @ (window[:, None] * frames)
    expected = np.log(np.sqrt(re**2 + im**2) + 1e-7)
    assert np.abs(module(torch.from_numpy(y))[:, 0].numpy() - expected).max() < 1e-4


@pytest.mark.parametrize(("rate", "n_mfcc"), [(16000, 20), (22050, 13), (44100, 40)])
def test_mfcc_equals_librosas(rate, n_mfcc):
    spec = MediaSpec(sample_rate=rate, seconds=2.0)
    y = speech_like(spec).astype(np.float32)
    out = create_transform("mfcc", spec=spec, n_mfcc=n_mfcc)(torch.from_numpy(y))
    expected = np.stack([librosa.feature.mfcc(y=x, sr=rate, n_mfcc=n_mfcc) for x in y])
    assert out.shape == (3, 1, *expected.shape[1:])
    assert np.abs(out[:, 0].numpy() - expected).max() < 1e-3


def test_log_mel_equals_librosas():
    y = speech_like(SPEC)
    out = create_transform("log_mel", spec=SPEC, normalize=False).double()(torch.from_numpy(y))
    options = {"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 64}
    mel = np.stack([librosa.feature.melspectrogram(y=x, sr=16000, **options) for x in y])
    assert out.shape == (3, 1, 64, 51)
    assert np.abs(out[:, 0].numpy() - np.log(mel + 1e-6)).max() < 1e-3


def test_int16_is_scaled_to_one():
    y = (speech_like(SPEC) * 32767).astype(np.int16)
    module = create_transform("log_mel", spec=SPEC, normalize=False)
    torch.testing.assert_close(module(torch.from_numpy(y)), module(torch.from_numpy(y.astype(np.float32) / 32768)))


@pytest.mark.parametrize("preset", ["ogm_ge", "mmcosine"])
def test_presets_repeat_short_clips(preset):
    """A clip of 1.2 s, filled up with zeros, is repeated as if it had not been."""
    rate = PRESETS[preset].sample_rate
    short = speech_like(MediaSpec(sample_rate=rate, seconds=1.2)).astype(np.float32)
    module = create_transform("log_spectrogram", spec=MediaSpec(sample_rate=rate, seconds=2.0), preset=preset)
    padded = np.pad(short, ((0, 0), (0, round(0.8 * rate))))
    whole = create_transform("log_spectrogram", spec=PRESETS[preset], preset=preset)
    tiled = np.tile(short, 3)[:, : 3 * rate]
    torch.testing.assert_close(module(torch.from_numpy(padded)), whole(torch.from_numpy(tiled)))


@pytest.mark.parametrize(("n", "samples"), [(100, 1300), (2000, 6000), (5000, 1000), (3000, 3000)])
def test_repeating_by_definition(n, samples):
    """Clips that end in padding of any length, those of one sample, of silence, and full ones among them."""
    lengths = [1, 7, n // 3, n - 1, n, 0]
    x = torch.zeros(len(lengths), n)
    for row, length in zip(x, lengths, strict=True):
        row[:length] = torch.rand(length) + 0.1
    for row, length, out in zip(x, lengths, repeat_sound(x, samples), strict=True):
        sound = row[: length or n]
        assert torch.equal(out, sound.repeat(samples // len(sound) + 1)[:samples])


def test_presets_clip_to_one():
    y = torch.from_numpy(speech_like(SPEC_22K)).float()
    module = create_transform("log_spectrogram", spec=SPEC_22K, preset="ogm_ge")
    torch.testing.assert_close(module(y * 9), module((y * 9).clamp(-1, 1)))


def test_normalised_clips_have_mean_zero_and_deviation_one():
    for name in ("log_spectrogram", "log_mel"):
        out = create_transform(name, spec=SPEC)(torch.from_numpy(speech_like(SPEC)))
        assert out.mean((1, 2, 3)).abs().max() < 1e-4
        assert (out.std((1, 2, 3)) - 1).abs().max() < 1e-3


@pytest.mark.parametrize(("name", "spec", "options"), KINDS, ids=IDS)
def test_constant_sound_is_finite(name, spec, options):
    module = create_transform(name, spec=spec, augment=True, **options)
    for level in (0, 1, 32767, -32768):
        for mode in (True, False):
            out = module.train(mode)(torch.full((2, spec.num_samples), level, dtype=torch.int16))
            assert torch.isfinite(out).all() and out.abs().max() < 2000
    if options.get("normalize", True) and name != "mfcc" and options.get("preset") != "ogm_ge":
        silent = module.eval()(torch.zeros(2, spec.num_samples, dtype=torch.int16))
        assert silent.abs().max() < 0.02


# ---- invariants


@pytest.mark.parametrize(("name", "spec", "options"), KINDS, ids=IDS)
def test_invariants(name, spec, options):
    def build():
        return create_transform(name, spec=spec, **options)

    make = make_inputs(spec)
    check_independent_of_batch(build(), make)
    check_finite(build(), make)
    check_state_dict(build(), build, make)
    assert not build().state_dict()  # windows and filters follow from the options


@pytest.mark.parametrize(
    ("name", "spec", "options"), [KINDS[0], KINDS[2], KINDS[3], KINDS[4]], ids=["s", "m", "l", "c"]
)
def test_compile_and_export(name, spec, options):
    check_compiles(create_transform(name, spec=spec, **options), make_inputs(spec))
    check_exports(create_transform(name, spec=spec, **options), make_inputs(spec))


@pytest.mark.parametrize("name", ["log_mel", "mfcc", "log_spectrogram"])
def test_autocast_keeps_precision(name):
    y = torch.from_numpy(speech_like(SPEC)).float()
    module = create_transform(name, spec=SPEC)
    with torch.autocast("cpu", torch.bfloat16):
        half = module(y)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, module(y))


# ---- augmentation


@pytest.mark.parametrize(("name", "spec", "options"), KINDS, ids=IDS)
def test_augmentation_is_random_in_training_only_and_follows_the_seed(name, spec, options):
    y = torch.from_numpy(speech_like(spec)).float()
    module = create_transform(name, spec=spec, augment=True, **options)
    plain = create_transform(name, spec=spec, **options)
    torch.testing.assert_close(module.eval()(y), plain.train()(y))
    outs = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        outs.append(module.train()(y))
    assert torch.equal(outs[0], outs[1]) and not torch.equal(outs[0], outs[2])
    assert outs[0].shape == plain(y).shape


def test_each_clip_is_augmented_by_itself():
    y = torch.from_numpy(speech_like(SPEC, 1)).float().expand(8, -1)
    out = create_transform("log_mel", spec=SPEC, augment=True).train()(y)
    assert len({tuple(x.flatten()[:2000].tolist()) for x in out}) == 8


def test_shift_moves_by_at_most_what_it_says():
    y = torch.zeros(200, SPEC.num_samples)
    y[:, 4000] = 1
    module = create_transform("log_mel", spec=SPEC, augment=True, shift=0.1, gain_db=0, freq_mask=0, time_mask=0)
    frame = module.train()(y)[:, 0].sum(1).argmax(-1)
    assert frame.min() >= 25 - 11 and frame.max() <= 25 + 11
    assert frame.min() < 20 and frame.max() > 30


def test_masks_hide_one_band_each():
    y = torch.from_numpy(speech_like(SPEC, 64)).float()
    options = {"shift": 0.0, "gain_db": 0.0}
    plain = create_transform("log_mel", spec=SPEC)(y)
    for axis, name in ((2, "freq_mask"), (3, "time_mask")):
        masks = {"freq_mask": 0.0, "time_mask": 0.0} | {name: 0.25}
        out = create_transform("log_mel", spec=SPEC, augment=True, **options, **masks).train()(y)
        hidden = (out != plain).any(5 - axis)[:, 0]  # (B, length of the axis)
        length = plain.shape[axis]
        assert hidden.sum(1).max() <= 0.25 * length + 1 and hidden.any(1).float().mean() > 0.8
        edges = hidden.int().diff(dim=1).abs().sum(1)
        assert edges.max() <= 2


# ---- refusals


@pytest.mark.parametrize(("preset", "rate"), [("ogm_ge", 16000), ("mmcosine", 22050)])
def test_presets_say_which_rate_they_need(preset, rate):
    with pytest.raises(ConfigError, match=str(PRESETS[preset].sample_rate)):
        create_transform("log_spectrogram", spec=MediaSpec(sample_rate=rate), preset=preset)


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("log_spectrogram", {"preset": "ogm"}, "ogm_ge"),
        ("log_spectrogram", {"hop_length": 0}, "hop_length"),
        ("log_spectrogram", {"n_ftt": 3}, "n_fft"),
        ("log_mel", {"n_mels": 0}, "n_mels"),
        ("log_mel", {"n_mels": 3000}, "too many"),
        ("log_mel", {"fmin": 9000}, "fmin"),
        ("log_mel", {"hop": -1.0}, "hop"),
        ("log_mel", {"time_mask": 1.5}, "time_mask"),
        ("log_mel", {"shift": -0.1}, "shift"),
        ("mfcc", {"n_mfcc": 200}, "n_mfcc"),
        ("mfcc", {"n_mels": 900, "n_mfcc": 5}, "too many"),
        ("mfcc", {"top_db": -1.0}, "top_db"),
    ],
)
def test_wrong_options(name, options, reason):
    with pytest.raises(ConfigError, match=reason):
        create_transform(name, spec=SPEC, **options)


@pytest.mark.parametrize(("name", "options"), [("log_mel", {"n_mels": 10**9}), ("mfcc", {"n_mels": 10**9})])
def test_far_too_many_bands_are_refused_without_making_them(name, options):
    with pytest.raises(ConfigError, match="too many"):  # their filters would not fit into any memory
        create_transform(name, spec=SPEC, **options)


def test_as_many_bands_as_hear_something_are_taken():
    """Neighbouring bands share frequencies: there may be more bands than frequencies."""
    narrow = {"fmin": 0.0, "fmax": 1000.0}  # bands of equal width
    assert create_transform("log_mel", spec=SPEC, n_mels=300, **narrow).filters.any(1).all()
    with pytest.raises(ConfigError, match="too many"):
        create_transform("log_mel", spec=SPEC, n_mels=1000, **narrow)


def test_wrong_name_and_shape():
    with pytest.raises(UnknownNameError, match="log_mel"):
        create_transform("logmel", spec=SPEC)
    with pytest.raises(ShapeError, match=r"\(B, samples\)"):
        create_transform("log_mel", spec=SPEC)(torch.zeros(2, 1, 8000))
    assert TRANSFORMS.names() == [
        "features",
        "frames",
        "log_mel",
        "log_spectrogram",
        "mfcc",
        "speaker_mel",
        "vggish_mel",
    ]


# ---------------------------------------------------------------------- a stretch of a longer clip


def ramp(batch, samples):
    """Each sample says where it is: 0 to 1 over the clip."""
    return (torch.arange(samples) / samples).repeat(batch, 1)


def heard(transform, audio):
    """The signal that the spectrum is made of."""
    seen = []
    transform.spectrum = lambda signal: seen.append(signal) or signal[:, None]
    transform(audio)
    return torch.cat(seen)


@pytest.mark.parametrize("name", ["log_spectrogram", "log_mel", "mfcc"])
def test_a_random_stretch_in_training_and_the_middle_else(name):
    spec = MediaSpec(sample_rate=8000, seconds=1.0)
    options = {"crop_seconds": 0.25, "gain_db": 0.0, "shift": 0.0}
    transform = create_transform(name, spec=spec, augment=True, **options)
    audio = ramp(64, 8000)
    middle = heard(transform.eval(), audio)
    assert middle.shape == (64, 2000)
    assert torch.equal(middle, audio[:, 3000:5000])  # the same for all, and each time
    drawn = heard(transform.train(), audio)
    steps = (drawn[:, 1:] - drawn[:, :-1]) * 8000
    assert torch.allclose(steps, torch.ones_like(steps), atol=1e-2)  # one piece of the clip, nothing filled up
    begins = (drawn[:, 0] * 8000).round()
    assert begins.min() < 1000 and begins.max() > 5000 and begins.max() <= 6000 and len(begins.unique()) > 32
    assert not torch.equal(drawn, heard(transform, audio))  # anew each time
    plain = create_transform(name, spec=spec, augment=False, **options).train()
    assert torch.equal(heard(plain, audio), middle)


def test_a_stretch_as_long_as_the_clip_changes_nothing():
    spec = MediaSpec(sample_rate=8000, seconds=0.5)
    audio = torch.randn(3, 4000)
    whole = create_transform("log_spectrogram", spec=spec)(audio)
    for seconds in (0.5, 2.0):
        assert torch.equal(create_transform("log_spectrogram", spec=spec, crop_seconds=seconds)(audio), whole)
    for wrong in (0, -1.0):
        with pytest.raises(ConfigError, match="crop_seconds is"):
            create_transform("log_spectrogram", spec=spec, crop_seconds=wrong)


def test_ogm_ges_vggsound_preset():
    """16 kHz, 256 samples every 128, 5 s of a clip that is repeated to 10 s."""
    spec = MediaSpec(sample_rate=16000, seconds=10.0)
    transform = create_transform("log_spectrogram", spec=spec, preset="ogm_ge_vggsound").eval()
    audio = torch.zeros(1, 160000)
    audio[:, :48000] = torch.randn(48000).clamp(-1, 1)  # a clip of 3 s, filled up with zeros
    assert transform(audio).shape == (1, 1, 129, 626)
    repeated = heard(transform, audio)
    assert torch.equal(repeated[:, 8000:56000], audio[:, :48000])  # 2.5 s to 7.5 s: the second time begins at 3 s
    longer = create_transform("log_spectrogram", spec=spec, preset="ogm_ge_vggsound", crop_seconds=8.0)
    assert longer(audio).shape == (1, 1, 129, 1001)


def test_an_unknown_preset_is_refused_by_the_class_itself():
    with pytest.raises(ConfigError, match="preset is 'ogm_g'; it must be one of .* Did you mean 'ogm_ge'"):
        LogSpectrogram(MediaSpec(), preset="ogm_g")
