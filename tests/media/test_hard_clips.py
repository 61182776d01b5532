"""Real files that break naive readers: each is read rightly or refused for the right reason."""

import av
import numpy as np
import pytest

from counterpoint.errors import MediaError
from counterpoint.media.decode import probe, read_clip
from counterpoint.media.spec import MediaSpec
from shared_data import GRID, HARD_CLIPS, needs_shared_data

pytestmark = needs_shared_data

# What each holds: (sound, sight), or the reason why it holds nothing.
HOLDS = {
    "FlashVideo.flv": "End of file",
    "Mpeg4.mp4": "neither sound nor a moving picture",
    "wav.wav": "no sound could be decoded",
    "av1_video.mkv": (False, True),
    "bt709_full_range.mp4": (False, True),
    "corrupted.mp4": (False, True),
    "flipping_a_pancake.mkv": (True, True),
    "h264_10bits.mp4": (False, True),
    "h265_10bits.mp4": (False, True),
    "h265_video.mp4": (False, True),
    "mp4-with-audio.mp4": (True, False),
    "nasa_13013.mp4": (True, True),
    "nasa_13013.mp4.audio.mp3": (True, False),
    "nasa_13013.mp4.audio_44100.mp3": (True, False),
    "silent_part_0.mp4": (False, True),
    "unordered.mov": (False, True),
    "video_0.mov": (False, True),
    "video_90.mov": (False, True),
    "video_180.mov": (False, True),
    "video_270.mov": (False, True),
    "webm.webm": (False, True),
}
SPEC = MediaSpec(seconds=2.0, size=48, gray=False)


def test_every_hard_clip_is_judged():
    assert {path.name for path in HARD_CLIPS.iterdir()} == set(HOLDS)


@pytest.mark.parametrize("name", HOLDS)
def test_read_or_refused(name):
    path, holds = HARD_CLIPS / name, HOLDS[name]
    if isinstance(holds, str):
        with pytest.raises(MediaError, match=holds):
            read_clip(path, SPEC, modalities=("audio",) if name == "wav.wav" else ("audio", "visual"))
        return
    for modality, there in zip(("audio", "visual"), holds, strict=True):
        if not there:
            with pytest.raises(MediaError, match="has no"):
                read_clip(path, SPEC, modalities=(modality,))
            continue
        got = getattr(read_clip(path, SPEC, modalities=(modality,)), modality)
        assert got.shape == ((32000,) if modality == "audio" else (50, 48, 48, 3))
    info = probe(path)
    assert (info.audio_codec is not None, info.video_codec is not None) == holds


def picture(name, **options):
    options = {"seconds": 1.0, "fps": 10, "size": 48, "gray": False} | options
    return read_clip(HARD_CLIPS / name, MediaSpec(**options), modalities=("visual",)).visual


@pytest.mark.parametrize(
    ("name", "quarter_turns"), [("video_0", 0), ("video_90", 3), ("video_180", 2), ("video_270", 1)]
)
def test_rotated_recordings_stand_upright(name, quarter_turns):
    """Phone recordings of keyboards: turned by as many quarters (anticlockwise) as the metadata says."""
    with av.open(str(HARD_CLIPS / f"{name}.mov")) as container:
        frame = next(container.decode(video=0))
        assert round(frame.rotation / 90) % 4 == quarter_turns % 4
        stored = frame.reformat(48, 48, "rgb24").to_ndarray().astype(int)
    upright = picture(f"{name}.mov", seconds=0.1)[0].astype(int)
    errors = [np.abs(np.rot90(stored, turns) - upright).mean() for turns in range(4)]
    assert int(np.argmin(errors)) == quarter_turns and errors[quarter_turns] < 2


def test_full_range_and_bt709_colours():
    """Colour bars, whose colours are known to be nearly pure."""
    bars = picture("bt709_full_range.mp4", size=96)[0, 60].astype(int)
    red, green, yellow, blue = (bars[x] for x in (8, 24, 40, 56))
    assert red[0] > 240 and red[1:].max() < 40
    assert green[1] > 190 and green[[0, 2]].max() < 40
    assert yellow[:2].min() > 200 and yellow[2] < 40
    assert blue[2] > 240 and blue[:2].max() < 40


def test_ten_bits_agree_between_codecs():
    """The same test picture in H.264 and HEVC."""
    a, b = picture("h264_10bits.mp4").astype(int), picture("h265_10bits.mp4").astype(int)
    assert np.abs(a - b).mean() < 2


def test_the_best_of_several_streams_is_chosen():
    info = probe(HARD_CLIPS / "nasa_13013.mp4")
    assert (info.width, info.height, info.sample_rate) == (480, 270, 16000)


def test_sound_of_a_file_equals_its_extract():
    """The mp3 files are the same sound as the mp4's."""
    spec = MediaSpec(seconds=8.0)
    film = read_clip(HARD_CLIPS / "nasa_13013.mp4", spec, start=2.0, modalities=("audio",)).audio.astype(float)
    mp3 = read_clip(HARD_CLIPS / "nasa_13013.mp4.audio_44100.mp3", spec, start=2.0, modalities=("audio",)).audio
    envelopes = [np.abs(x.astype(float)).reshape(-1, 160).mean(1) for x in (film, mp3)]
    assert np.corrcoef(*envelopes)[0, 1] > 0.95


def test_corrupted_file_is_bridged():
    """One packet of fifty is damaged."""
    assert len(np.unique(picture("corrupted.mp4", seconds=5.0).mean(axis=(1, 2, 3)))) > 40


@pytest.mark.parametrize("start", [4.0, 7.7])
def test_late_stretch_of_real_files(start):
    spec = MediaSpec(seconds=10.0, size=32, fps=30)
    for name in ("nasa_13013.mp4", "flipping_a_pancake.mkv"):
        whole = read_clip(HARD_CLIPS / name, spec)
        part = read_clip(HARD_CLIPS / name, MediaSpec(seconds=1.0, size=32, fps=30), start=start)
        first = round(start * 30)
        assert np.array_equal(part.visual, whole.visual[first : first + 30])
        x = part.audio.astype(float)
        lags = range(-16, 17)  # Matroska's time stamps count whole milliseconds
        at = round(start * 16000)
        assert min(np.abs(x[100:-100] - whole.audio[at + 100 + d : at + 15900 + d]).max() for d in lags) <= 2


def test_official_grid_file_agrees_with_its_face_crop():
    """MPEG-1 at 44.1 kHz and MP4 at 16 kHz of the same utterance, aligned to a frame."""
    official = next((GRID / "official" / "s1").glob("*.mpg"))
    crop = GRID / "clips" / f"{official.stem}.mp4"
    sounds = [read_clip(path, MediaSpec(), modalities=("audio",)).audio.astype(float) for path in (official, crop)]
    envelopes = [np.abs(x).reshape(-1, 80).mean(1) for x in sounds]
    envelopes = [e - e.mean() for e in envelopes]
    correlation = [np.dot(np.roll(envelopes[0], d), envelopes[1]) for d in range(-40, 41)]
    assert abs(int(np.argmax(correlation)) - 40) * 0.005 <= 0.05
    moved = [
        np.abs(np.diff(read_clip(p, MediaSpec(size=72), modalities=("visual",)).visual.astype(int), axis=0)).mean(
            (1, 2, 3)
        )
        for p in (official, crop)
    ]
    assert len(moved[0]) == len(moved[1]) == 74
