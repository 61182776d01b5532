"""Names before 0.2 are taken and had for one minor version, with a warning."""

from pathlib import Path

import pytest

from counterpoint.data import Clip, ClipTable
from counterpoint.data.cache.shards import ShardFolder
from counterpoint.data.splits.folds import draw_fold
from counterpoint.errors import ConfigError
from counterpoint.media.spec import MediaSpec, require_fields
from counterpoint.media.transforms import audio


def test_fields_of_a_spec():
    with pytest.warns(DeprecationWarning, match=r"MediaSpec\(sound_start=...\) is now MediaSpec\(audio_start=...\)"):
        former = MediaSpec(seconds=6.0, sound_start=0.5, sound_seconds=2.45)
    assert former == MediaSpec(seconds=6.0, audio_start=0.5, audio_seconds=2.45)
    with pytest.warns(DeprecationWarning, match=r"MediaSpec\.sound_start is now"):
        assert former.sound_start == 0.5
    require_fields(["sound_start", "audio_start", "size"])
    with pytest.raises(ConfigError, match=r"data\.media has no field 'sise'\. Did you mean 'size'\?"):
        require_fields(["sise"])


def test_fields_of_clips_and_tables():
    with pytest.warns(DeprecationWarning, match=r"Clip\(sound=...\) is now"):
        clip = Clip("a", Path("a.mp4"), 0, "train", sound=Path("a.wav"))
    assert clip.audio == Path("a.wav")
    with pytest.warns(DeprecationWarning, match=r"ClipTable\(refused=...\) is now"):
        table = ClipTable("t", ("x",), (clip,), MediaSpec(), refused={"b": "gone"})
    with pytest.warns(DeprecationWarning, match=r"ClipTable\.refused is now"):
        assert table.refused == table.rejected == {"b": "gone"}


def test_caches_that_were_filled_before_are_still_theirs():
    # By these names; those of 0.1 were filled by another rule of which moment is which, and are left unread.
    for spec, name in (
        (MediaSpec(), "16000hz-3s-25fps-64px-519e560a19"),
        (MediaSpec(seconds=6.0, frames=30, audio_start=0.5, audio_seconds=2.45), "16000hz-6s-30frames-64px-a45885c690"),
        (MediaSpec(audio_seconds=1.0), "16000hz-3s-25fps-64px-b1d8383e22"),
    ):
        assert ShardFolder(Path("cache"), spec).folder.name == name


def test_the_base_of_audio_transforms_and_the_strata_of_folds():
    with pytest.warns(DeprecationWarning, match=r"audio\.SoundTransform is now .*audio\.AudioTransform"):
        assert audio.SoundTransform is audio.AudioTransform
    with pytest.warns(DeprecationWarning, match=r"draw_fold\(kinds=...\) is now draw_fold\(strata=...\)"):
        drawn = draw_fold("toy", {"a": "1", "b": "2", "c": "3"}, (("1",),), 0, kinds={"2": "m", "3": "m"}, val=0.5)
    assert sorted(drawn.sides.values()) == ["test", "train", "val"]
