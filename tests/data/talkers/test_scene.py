"""What a composed clip sounds and looks like, before it is coded."""

import numpy as np
import pytest

from counterpoint.data.talkers.articulation import RATE, Slot, articulate
from counterpoint.data.talkers.face import FPS, MOUTH, SIZE, draw_frames
from counterpoint.data.talkers.plan import Settings, make_plan
from counterpoint.data.talkers.render import Scene, compose, speaker_of
from counterpoint.data.talkers.speech import SAMPLE_RATE, add_noise, speak

SLOT = Slot(start=0.2, pace=1.0, effort=1.0, lead=True)
SECONDS = 1.12


def clip(index: int = 0, **dials: object) -> Scene:
    settings = Settings(**dials)
    return compose(make_plan(settings)[index], settings)


def envelope(sound: np.ndarray, rate: int) -> np.ndarray:
    step = SAMPLE_RATE // rate
    return np.sqrt((sound[: len(sound) // step * step].reshape(-1, step) ** 2).mean(axis=1))


def band(sound: np.ndarray, low: float, high: float) -> float:
    """Mean power density between two frequencies, dB."""
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    frequency = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    return float(10 * np.log10(power[(frequency >= low) & (frequency < high)].mean()))


def test_shapes_and_ranges() -> None:
    for task, seconds in (("syllable", 1.12), ("event", 4.8)):
        scene = clip(task=task)
        assert scene.audio.shape == (round(seconds * SAMPLE_RATE),)
        assert scene.audio.dtype == np.float32
        assert 0.25 < np.abs(scene.audio).max() <= 0.91
        assert scene.frames.shape == (round(seconds * FPS), SIZE, SIZE, 3)
        assert scene.frames.dtype == np.uint8


def test_same_seed_same_clip_other_seed_another() -> None:
    a, b, other = clip(5), clip(5), clip(5, seed=1)
    np.testing.assert_array_equal(a.audio, b.audio)
    np.testing.assert_array_equal(a.frames, b.frames)
    assert not np.array_equal(a.audio, other.audio)
    assert not np.array_equal(a.frames, other.frames)


def test_a_dial_of_one_sense_leaves_the_other_alone() -> None:
    plain, noisy, blurred = clip(7), clip(7, audio_snr_db=-10), clip(7, visual_noise=0.4, visual_dropout=1.0)
    np.testing.assert_array_equal(plain.frames, noisy.frames)
    np.testing.assert_array_equal(plain.audio, blurred.audio)
    np.testing.assert_array_equal(plain.speech, noisy.speech)


@pytest.mark.parametrize("snr", [-10.0, 0.0, 5.0, 30.0])
def test_signal_to_noise_is_what_the_dial_says(snr: float) -> None:
    for index in range(5):
        scene = clip(index, audio_snr_db=snr)
        measured = 10 * np.log10(np.mean(scene.speech**2) / np.mean(scene.noise**2))
        assert measured == pytest.approx(snr, abs=0.01)
        mixed = scene.speech + scene.noise
        assert np.corrcoef(mixed, scene.audio)[0, 1] > 0.9999


def test_noise_beside_silence_is_finite() -> None:
    mixed, _ = add_noise(np.zeros(1600), 0.0, np.random.default_rng(0))
    assert np.isfinite(mixed).all() and mixed.any()


@pytest.mark.parametrize("noise", [0.05, 0.1])
def test_pixel_noise_is_what_the_dial_says(noise: float) -> None:
    change = clip(3, visual_noise=noise).frames.astype(float) - clip(3, visual_noise=0).frames
    middle = (clip(3, visual_noise=0).frames > 90) & (clip(3, visual_noise=0).frames < 165)  # far from clipping
    assert change[middle].std() / 255 == pytest.approx(noise, rel=0.05)


def test_mouth_follows_the_sound() -> None:
    for index in range(10):
        scene = clip(index)
        loud = envelope(scene.speech, RATE)
        assert np.corrcoef(loud, scene.seen.opening)[0, 1] > 0.5


def test_mouth_that_is_drawn_follows_the_movement() -> None:
    """Against the same face at rest, the picture changes as the mouth opens, and only around the mouth."""
    left, top, right, bottom = (round(SIZE * edge) for edge in MOUTH)
    when = (np.arange(28) + 0.5) / FPS
    rest = articulate([None], [SLOT], SECONDS)
    for number in range(6):
        for syllable in ("ba", "na"):
            movement = articulate([syllable], [SLOT], SECONDS)
            speaker = speaker_of(0, number)
            spoken, silent = (
                draw_frames(m, speaker, np.random.default_rng(number)).astype(float) for m in (movement, rest)
            )
            change = np.abs(spoken - silent)
            moved = np.abs(movement.opening - rest.opening[0])
            opening = np.interp(when, np.arange(len(moved)) / RATE, moved)
            assert np.corrcoef(change.mean(axis=(1, 2, 3)), opening)[0, 1] > 0.8
            assert change.max() > 60  # not a faint trace
            change[:, top:bottom, left:right] = 0
            assert not change.any()


def test_lips_close_for_b_and_m_only() -> None:
    middle = round((SLOT.start + 0.07 + 0.10 + 0.06 + 0.07) * RATE)
    for syllable in ("ba", "ma", "bi", "mi"):
        assert articulate([syllable], [SLOT], SECONDS).opening[middle] < 0.02
    for syllable in ("da", "ga", "na", "di", "gi", "ni"):
        assert articulate([syllable], [SLOT], SECONDS).opening[middle] > 0.3


@pytest.mark.parametrize(("one", "two"), [("ba", "ma"), ("da", "na"), ("bi", "mi"), ("di", "ni")])
def test_look_alikes_look_alike_and_sound_different(one: str, two: str) -> None:
    speaker = speaker_of(0, 1)
    first, second = (articulate([s], [SLOT], SECONDS) for s in (one, two))
    frames = [draw_frames(m, speaker, np.random.default_rng(4), noise=0.05) for m in (first, second)]
    np.testing.assert_array_equal(*frames)
    # Nasals hum through the closure, stops are all but silent.
    closure = slice(round(0.45 * SAMPLE_RATE), round(0.51 * SAMPLE_RATE))
    stop, nasal = (np.std(speak(m, speaker, np.random.default_rng(4))[closure]) for m in (first, second))
    assert nasal > 3 * stop


def test_hidden_mouth_tells_nothing() -> None:
    speaker = speaker_of(0, 2)
    frames = [
        draw_frames(articulate([s], [SLOT], SECONDS), speaker, np.random.default_rng(4), hidden=True)
        for s in ("ba", "gi", None)
    ]
    np.testing.assert_array_equal(frames[0], frames[1])
    np.testing.assert_array_equal(frames[0], frames[2])
    bare = draw_frames(articulate(["ba"], [SLOT], SECONDS), speaker, np.random.default_rng(4))
    assert not np.array_equal(frames[0], bare)


def test_vowels_have_their_formants() -> None:
    for number in range(4):
        speaker = speaker_of(0, number)
        spectra = {}
        for vowel in ("a", "i"):
            sound = speak(articulate([f"b{vowel}"], [SLOT], SECONDS), speaker, np.random.default_rng(1))
            at = round((SLOT.start + 0.46) * SAMPLE_RATE)
            part = sound[at : at + round(0.1 * SAMPLE_RATE)]
            spectra[vowel] = part / np.std(part)
        second = np.array([2000, 2400]) * speaker.tract
        first = np.array([650, 1350]) * speaker.tract
        assert band(spectra["i"], *second) > band(spectra["a"], *second) + 6
        assert band(spectra["a"], *first) > band(spectra["i"], *first) + 6


def test_pitch_is_the_speakers() -> None:
    for number in range(6):
        speaker = speaker_of(0, number)
        sound = speak(articulate(["ba"], [SLOT], SECONDS), speaker, np.random.default_rng(1))
        at = round((SLOT.start + 0.46) * SAMPLE_RATE)
        part = sound[at : at + 1600] - sound[at : at + 1600].mean()
        echo = np.correlate(part, part, "full")[len(part) - 1 :]
        low, high = round(SAMPLE_RATE / 350), round(SAMPLE_RATE / 70)
        period = low + int(np.argmax(echo[low:high]))
        assert SAMPLE_RATE / period == pytest.approx(speaker.pitch, rel=0.25)


def test_distractors_are_only_heard_or_only_seen() -> None:
    settings = Settings(task="event")
    checked = set()
    for plan in make_plan(settings)[:6]:
        scene = compose(plan, settings)
        per_segment = len(scene.speech) // 10
        loud = np.sqrt((scene.speech.reshape(10, per_segment) ** 2).mean(axis=1))
        rest = articulate([None], [SLOT], SECONDS)
        moves = [np.abs(getattr(scene.seen, part) - getattr(rest, part)[0]) for part in ("opening", "width", "tongue")]
        moved = np.max(moves, axis=0).reshape(10, -1).max(axis=1)
        for k in range(10):
            checked.add((plan.heard[k] is not None, plan.seen[k] is not None))
            assert (loud[k] > 0.1 * loud.max()) == (plan.heard[k] is not None)
            assert (moved[k] > 0.1) == (plan.seen[k] is not None)
    assert len(checked) == 4


def test_voices_spread_over_every_split() -> None:
    pitches = {
        split: [speaker_of(0, s).pitch for s in {p.speaker for p in make_plan(Settings()) if p.split == split}]
        for split in ("train", "val", "test")
    }
    for values in pitches.values():
        assert min(values) < 150 < max(values)
