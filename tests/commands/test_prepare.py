"""`counterpoint prepare --features`, on real, tiny clips."""

import h5py
import numpy as np
import pytest

from counterpoint import cli
from counterpoint.data import load_table
from counterpoint.extraction.encode import SegmentEncoder
from counterpoint.media.encode import write_clip
from tiny_clips import write_tiny_clips

RANDOM = ["--visual.weights=random", "--audio.weights=random"]
SMALL = ["--visual.encoder=visual_cnn", "--audio.encoder=audio_cnn", *RANDOM]
MEDIA = ["--data.media", '{"seconds": 0.5, "size": 16}']


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_tiny_clips(tmp_path_factory.mktemp("tiny"), per_split={"train": 2, "val": 1, "test": 1})


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.setenv("COUNTERPOINT_ALLOCATOR", "system")
    monkeypatch.delenv("COUNTERPOINT_DEBUG", raising=False)

    def call(*words):
        code = cli.main(["prepare", *map(str, words)])
        out, err = capsys.readouterr()
        return code, out + err

    return call


def of(clips, folder, *words):
    return ["--data.name=folder", f"--data.root={clips}", *MEDIA, "--segments=2", f"--features={folder}", *words]


def read(folder):
    with h5py.File(folder / "features.h5") as file:
        return {name: data[()] for name, data in file.items()}


def test_vgg_and_vggish_of_a_dataset(run, clips, tmp_path):
    code, said = run(
        *of(clips, tmp_path / "f", *RANDOM, '--audio.options={"hidden": 16}'),
        *("--visual.encoder=vgg11", '--data.media={"seconds": 0.5, "fps": 8, "size": 64}'),
    )
    assert code == 0 and "8 of 8 clips" in said and "vgg11 (random weights)" in said and "task=localise" in said
    made = read(tmp_path / "f")
    assert made["audio"].shape == (8, 2, 128) and made["visual"].shape == (8, 2, 2, 2, 512)
    assert all(values.any((1, 2)).all() for values in (made["audio"], made["visual"].reshape(8, -1, 512)))
    table = load_table("features", tmp_path / "f")
    assert table.classes == ("high", "low") and len(table.clips) == 8 and table.features.dims["visual"] == 512
    assert {clip.split for clip in table.clips} == {"train", "val", "test"}


def test_what_happens_when_goes_along(run, clips, tmp_path):
    (clips / "events.csv").write_text("clip,start,end,class\nhigh/000.mp4,0.25,0.5,high\nlow/001.mp4,0,0.25,low\n")
    try:
        code, _ = run(*of(clips, tmp_path / "f", *SMALL))
    finally:
        (clips / "events.csv").unlink()
    assert code == 0
    assert (tmp_path / "f" / "events.csv").read_text() == (
        "clip,start,end,class\nhigh/000.mp4,0.25,0.5,high\nlow/001.mp4,0,0.25,low\n"
    )


def test_talkers_and_the_encoders_of_a_run(run, tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "cache"))
    data = ["--data.options", '{"speakers": 4, "clips": 8, "jobs": 1}', "--data.max_bad=1"]
    code, said = run(*data, f"--features={tmp_path / 'f'}", *SMALL, '--data.media={"size": 16}')
    assert code == 0 and "8 of 8 clips" in said and "10 segments each" in said
    table = load_table("features", tmp_path / "f")
    assert table.segments == 10 and sum(map(len, table.events.values())) > 0

    from counterpoint.media.spec import MediaSpec
    from counterpoint.models import create_model

    model = create_model("small_av", num_classes=2)
    spec = MediaSpec(seconds=1.0, fps=10, size=16)
    inputs = {"audio": {"name": "log_mel"}, "visual": {"name": "frames"}}
    model.save_pretrained(tmp_path / "run", extra={"inputs": inputs, "classes": ["a", "b"], "media": vars(spec)})
    made = [*data, f"--features={tmp_path / 'g'}", f"--from_run={tmp_path / 'run'}", '--data.media={"seconds": 2}']
    code, said = run(*made, "--segments=4")
    assert code == 0 and "AudioCNN of run" in said, said
    assert read(tmp_path / "g")["audio"].shape == (8, 4, model.encoders["audio"].out_features)
    code, said = run(*made, "--audio.weights=random")
    assert code == 2 and "leave audio and visual at their defaults" in said


def test_a_folder_of_videos_with_a_damaged_one(run, tmp_path):
    videos = tmp_path / "videos"
    rng = np.random.default_rng(0)
    for name, seconds in (("one.mp4", 1.0), ("deep/two.mp4", 2.5)):
        sound = (0.1 * rng.standard_normal(int(16000 * seconds))).astype(np.float32)
        frames = rng.integers(0, 256, (int(10 * seconds), 32, 32, 3), dtype=np.uint8)
        write_clip(videos / name, sound, frames, fps=10, sample_rate=16000)
    (videos / "broken.mp4").write_bytes((videos / "one.mp4").read_bytes()[:300])
    words = [f"--videos={videos}", f"--features={tmp_path / 'f'}", *SMALL, "--segments=2"]
    code, said = run(*words, '--data.media={"seconds": 1.0, "size": 16}')
    assert code == 0 and "skipped broken.mp4" in said and "4 of 5 clips" in said and "fill in the column" in said
    listed = [line.split(",")[:3] for line in (tmp_path / "f" / "clips.csv").read_text().splitlines()[1:]]
    assert listed == [[name, "", "1"] for name in ("deep/two.mp4@0", "deep/two.mp4@1", "deep/two.mp4@2", "one.mp4")]
    assert read(tmp_path / "f")["visual"].shape == (4, 2, 1, 1, 128)
    assert (tmp_path / "f" / "skipped.csv").read_text().splitlines()[1].startswith("broken.mp4,")


def test_what_was_interrupted_goes_on_and_gives_the_same(run, clips, tmp_path, monkeypatch):
    assert run(*of(clips, tmp_path / "whole", *SMALL))[0] == 0
    encode, encoded = SegmentEncoder.__call__, []

    def interrupted(self, clip):
        if len(encoded) == 3:
            raise KeyboardInterrupt
        encoded.append(clip)
        return encode(self, clip)

    monkeypatch.setattr(SegmentEncoder, "__call__", interrupted)
    code, said = run(*of(clips, tmp_path / "f", *SMALL))
    assert code == 130 and "What is prepared is kept" in said and not (tmp_path / "f" / "features.h5").exists()
    monkeypatch.setattr(SegmentEncoder, "__call__", lambda self, clip: (encoded.append(clip), encode(self, clip))[1])
    code, said = run(*of(clips, tmp_path / "f", *SMALL))
    assert code == 0 and "3 were there already" in said and len(encoded) == 8
    for name, values in read(tmp_path / "whole").items():
        np.testing.assert_array_equal(read(tmp_path / "f")[name], values)
    code, said = run(*of(clips, tmp_path / "f", *SMALL))
    assert code == 0 and len(encoded) == 8
    code, said = run(*of(clips, tmp_path / "f", SMALL[0], RANDOM[0], "--audio.encoder=none"))
    assert code == 2 and "made in another way" in said
    code, said = run(*of(clips, tmp_path / "f", SMALL[0], RANDOM[0], "--audio.encoder=none", "--overwrite"))
    assert code == 0 and list(read(tmp_path / "f")) == ["visual"]


def test_too_many_bad_clips_are_refused_and_the_others_kept(run, clips, tmp_path):
    good = (clips / "high" / "000.mp4").read_bytes()
    (clips / "high" / "000.mp4").write_bytes(good[:300])
    try:
        code, said = run(*of(clips, tmp_path / "f", *SMALL))
        assert code == 2 and "1 of 8 clips" in said and "--data.max_bad" in said
        code, said = run(*of(clips, tmp_path / "f", *SMALL, "--data.max_bad=0.2"))
    finally:
        (clips / "high" / "000.mp4").write_bytes(good)
    assert code == 0 and "8 were there already" in said and len(read(tmp_path / "f")["audio"]) == 7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--segments=3"], "--features FOLDER"),
        (["--features=F"], "vgg19-dcbb9e9d.pth"),
        (["--features=F", "--output=x.csv"], "leave --output out"),
        (["--features=F", *SMALL, "--segments=0"], "segments is 0; it must be at least 1"),
        (["--features=F", *SMALL, "--precision=half"], "--precision is 'half'; it must be one of 'auto',"),
        (["--features=F", "--audio.encoder=none", "--visual.encoder=none"], "nothing would be left"),
        (["--features=F", RANDOM[1], "--visual.weights=x.pth"], "there is no file x.pth"),
        (["--features=F", "--visual.weight=random"], "Did you mean '--visual.weights'"),
        (["--features=F", *SMALL, "--videos=nowhere"], "There is no video in nowhere"),
        (["--features=F", *SMALL, "--videos=.", '--data.media={"sise": 3}'], "Did you mean 'size'"),
        (["--features=F", "--from_run=nowhere"], "nowhere"),
    ],
)
def test_mistakes(run, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = run(*words)
    assert code == 2 and message in said and "Traceback" not in said
    assert not (tmp_path / "F").exists()
