import librosa
import numpy as np
import pytest
import torch

from counterpoint.encoders import create_encoder
from counterpoint.errors import ConfigError
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import create_transform

SPEC = MediaSpec(seconds=0.5, sample_rate=16000)


def by_librosa(samples, n_mels):
    emphasised = samples - 0.97 * np.concatenate([samples[1:2], samples[:-1]])
    spectrum = librosa.stft(emphasised, n_fft=512, hop_length=160, win_length=400, window="hamming", pad_mode="reflect")
    filters = librosa.filters.mel(sr=16000, n_fft=512, n_mels=n_mels, htk=True, norm=None, dtype=np.float64)
    return np.log(filters @ np.abs(spectrum) ** 2 + 1e-6)


@pytest.mark.parametrize("n_mels", [40, 64])
def test_equals_librosa(n_mels):
    samples = np.random.default_rng(0).normal(scale=0.1, size=(2, 8000))
    transform = create_transform("speaker_mel", spec=SPEC, n_mels=n_mels).double().eval()
    # As floats the filters were rounded to single precision when the transform was made.
    mel = transform(torch.from_numpy(samples))
    assert mel.shape == (2, 1, n_mels, 51)
    for ours, one in zip(mel[:, 0].numpy(), samples, strict=True):
        np.testing.assert_allclose(ours, by_librosa(one, n_mels), atol=1e-5)


def test_is_what_the_speaker_network_reads():
    transform = create_transform("speaker_mel", spec=SPEC, augment=True, crop_seconds=0.25)
    encoder = create_encoder("resnet_se34")
    audio = (torch.randn(2, 8000, generator=torch.Generator().manual_seed(0)) * 3000).short()
    assert encoder(transform(audio)).shape == (2, 512)
    assert encoder.eval()(transform.eval()(torch.zeros_like(audio))).isfinite().all()


@pytest.mark.parametrize(("options", "message"), [({"n_mels": 0}, "n_mels is 0"), ({"gain_db": -1}, "gain_db is -1")])
def test_refusals(options, message):
    with pytest.raises(ConfigError, match=message):
        create_transform("speaker_mel", spec=SPEC, **options)
    with pytest.raises(ConfigError, match="set media.sample_rate to 16000"):
        create_transform("speaker_mel", spec=MediaSpec(seconds=0.5, sample_rate=8000))
