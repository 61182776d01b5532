"""Tables of face points: what is read of them, what is refused, and frames cropped by them."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint.errors import MediaError
from counterpoint.media.decode import read_clip
from counterpoint.media.faces import read_landmarks
from counterpoint.media.spec import MediaSpec
from face_tables import face_table
from made_clips import damaged, video_file

SIGHT = ("visual",)
in_one_folder = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@st.composite
def boxes(draw):
    left, top = draw(st.floats(-50, 1000)), draw(st.floats(-50, 600))
    return left, top, left + draw(st.floats(60, 400)), top + draw(st.floats(60, 400))


@in_one_folder
@given(
    found=st.lists(st.none() | boxes(), min_size=1, max_size=8).filter(any),
    points=st.integers(2, 70),
    fps=st.sampled_from([10.0, 25.0, 29.97]),
    time=st.floats(-1, 3),
)
def test_a_table_that_was_written_is_read(tmp_path, found, points, fps, time):
    track = read_landmarks(face_table(tmp_path / "a.csv", found, fps=fps, points=points))
    with_face = [(round(k / fps, 3), box) for k, box in enumerate(found) if box]
    assert np.allclose(track.times, [moment for moment, _ in with_face])
    assert np.allclose(track.boxes, [box for _, box in with_face])
    distance, box = min((abs(moment - time), box) for moment, box in with_face)
    width, height = 2000, 1200
    left, top, right, bottom = track.crop(time, width, height)
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    if sum(math.isclose(abs(moment - time), distance, abs_tol=1e-9) for moment, _ in with_face) == 1:
        expected = [max(0, box[0]) / width, max(0, box[1]) / height, box[2] / width, box[3] / height]
        assert np.allclose((left, top, right, bottom), expected)


def test_columns_go_by_their_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\ufeffy_0,X_0,timestamp,x_10,x_0,y_10\n\n10,999,0.5,40,20,50\n")
    track = read_landmarks(path)
    assert track.times.tolist() == [0.5] and track.boxes.tolist() == [[20, 10, 40, 50]]


def test_of_several_faces_the_surest_is_taken(tmp_path):
    path = tmp_path / "a.csv"
    rows = ["0,.2,1,0,9,0,9", "0,.9,1,5,9,5,9", "0,.95,0,1,2,1,2", "0,.5,1,1,9,1,9"]
    path.write_text("\n".join(["timestamp,confidence,success,x_0,x_1,y_0,y_1", *rows]))
    assert read_landmarks(path).boxes.tolist() == [[5, 5, 9, 9]]


def test_margin_and_size(tmp_path):
    path = face_table(tmp_path / "a.csv", [(100, 200, 300, 260)])
    assert read_landmarks(path).crop(0, 1000, 1000, 0.1) == pytest.approx((0.08, 0.194, 0.32, 0.266))
    assert read_landmarks(path).crop(0, 1000, 1000, -0.25) == pytest.approx((0.15, 0.215, 0.25, 0.245))
    assert read_landmarks(path).crop(0, 1000, 1000, 50) == (0, 0, 1, 1)
    # found in a video of 500 x 400, whatever the size of the one that is cropped
    assert read_landmarks(path, (500, 400)).crop(0, 77, 33) == pytest.approx((0.2, 0.5, 0.6, 0.65))


def test_a_face_outside_the_picture_is_refused(tmp_path):
    track = read_landmarks(face_table(tmp_path / "a.csv", [(700, 100, 900, 300)]))
    with pytest.raises(MediaError, match=r"a\.csv: the face lies outside the picture of 640 x 480 pixels"):
        track.crop(0, 640, 480)


GOOD = "timestamp,success,x_0,x_1,y_0,y_1\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "the file is missing"),
        ("", "is empty"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n", "Git LFS pointer"),
        ("success,x_0,y_0\n1,2,3\n", "no column 'timestamp'"),
        ("timestamp,x_0,x_1,y_0\n0,1,2,3\n", "no column 'y_1'"),
        ("timestamp,success\n0,1\n", "no column 'x_0'"),
        ("a video, really\n", "no table of face landmarks"),
        (GOOD + "0,1,1,2,3,4\n0.04,1,1,2\n", "line 3 has 4 cells, the first line has 6"),
        (GOOD + "0,1,1,two,3,4\n", "line 2: .*'two'"),
        (GOOD + "nan,1,1,2,3,4\n", "line 2: the timestamp is nan"),
        (GOOD, "no frame of it has a face"),
        (GOOD + "0,0,1,2,3,4\n", "no frame of it has a face"),
        (GOOD + "0,1,7,7,7,7\n0.04,1,nan,nan,nan,nan\n", "no frame of it has a face"),
        (GOOD + '0,1,"1,2,3,4\n', "cannot be read"),
        ("timestamp\0,x_0,y_0", ""),
    ],
)
def test_what_is_no_table_is_refused_with_its_reason(tmp_path, content, reason):
    path = tmp_path / "a.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(MediaError, match=rf"a\.csv: .*{reason}"):
        read_landmarks(path)


@pytest.mark.parametrize("seed", range(60))
def test_damage_is_bridged_or_refused(tmp_path, seed):
    """Bytes flipped, cut, zeroed or moved: a track of finite boxes, or a MediaError, never anything else."""
    whole = face_table(tmp_path / "a.csv", [(10, 10, 60, 90), None, (20, 10, 70, 90)]).read_bytes()
    (tmp_path / "b.csv").write_bytes(damaged(whole, seed))
    try:
        track = read_landmarks(tmp_path / "b.csv")
    except MediaError:
        return
    assert np.isfinite(track.boxes).all() and len(track.boxes) == len(track.times) >= 1


# ---- frames


def moving_square(count: int, side: int = 16, size: tuple[int, int] = (96, 64)) -> tuple[np.ndarray, list]:
    """A white square that moves right over black, 2 pixels a frame, and its box."""
    width, height = size
    frames = np.zeros((count, height, width, 3), np.uint8)
    found = [(4 + 2 * k, 20, 4 + 2 * k + side, 20 + side) for k in range(count)]
    for frame, (left, top, right, bottom) in zip(frames, found, strict=True):
        frame[top:bottom, left:right] = 255
    return frames, found


def is_white(visual: np.ndarray) -> np.ndarray:
    """Per frame; the outermost pixels mix with what lies around."""
    return visual[:, 1:-1, 1:-1].min(axis=(1, 2, 3)) > 200


@pytest.mark.parametrize("gray", [True, False])
def test_each_frame_is_cropped_to_its_face(tmp_path, gray):
    frames, found = moving_square(30)
    clip = video_file(tmp_path / "a.mp4", frames)
    table = face_table(tmp_path / "a.csv", found)
    spec = MediaSpec(seconds=1.2, size=16, gray=gray, crop=(0.5, 0.0, 1.0, 1.0))  # the face takes the crop's place
    assert is_white(read_clip(clip, spec, modalities=SIGHT, landmarks=table).visual).all()
    assert not is_white(read_clip(clip, spec, modalities=SIGHT).visual).any()
    still = face_table(tmp_path / "b.csv", found[:1])
    assert is_white(read_clip(clip, spec, modalities=SIGHT, landmarks=still).visual).sum() == 1


def test_faces_follow_the_clock_of_the_video(tmp_path):
    """Another rate of frames, a stretch that begins late, frames spread over it, and gaps that take the nearest."""
    frames, found = moving_square(30)
    clip = video_file(tmp_path / "a.mp4", frames)
    table = face_table(tmp_path / "a.csv", found)
    for spec in (MediaSpec(seconds=0.8, fps=5, size=16), MediaSpec(seconds=0.8, frames=7, size=16)):
        assert is_white(read_clip(clip, spec, start=0.4, modalities=SIGHT, landmarks=table).visual).all()
    gaps = face_table(tmp_path / "b.csv", [box if k % 3 == 0 else None for k, box in enumerate(found)])
    near = read_clip(clip, MediaSpec(seconds=1.2, size=16), modalities=SIGHT, landmarks=gaps).visual
    assert (near[:, 1:-1, 4:-4].min(axis=(1, 2, 3)) > 200).all() and not is_white(near).all()


def test_faces_count_from_the_first_frame_where_the_picture_begins_late(tmp_path):
    frames, found = moving_square(20)
    times = [0.5 + k / 25 for k in range(20)]
    clip = video_file(tmp_path / "a.mkv", frames, times=times, click=0.1)
    table = face_table(tmp_path / "a.csv", found)
    spec = MediaSpec(seconds=1.3, size=16)
    read = read_clip(clip, spec, landmarks=table)
    assert np.abs(read.audio.astype(int)).argmax() == pytest.approx(1600, abs=32)
    assert is_white(read.visual).all()


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_boxes_are_of_the_upright_picture(tmp_path, rotation):
    frames, _ = moving_square(5)
    clip = video_file(tmp_path / "a.mp4", frames, rotation=rotation)
    upright = read_clip(clip, MediaSpec(seconds=0.2, size=96), modalities=SIGHT).visual[..., 0]
    width, height = (64, 96) if rotation in (90, 270) else (96, 64)
    found = []
    for picture in upright:
        rows, columns = np.flatnonzero(picture.max(1) > 128), np.flatnonzero(picture.max(0) > 128)
        x, y = np.array([columns[0], columns[-1] + 1]) * width / 96, np.array([rows[0], rows[-1] + 1]) * height / 96
        found.append((x[0] + 1, y[0] + 1, x[1] - 1, y[1] - 1))
    spec = MediaSpec(seconds=0.2, size=12)
    table = face_table(tmp_path / "a.csv", found)
    assert is_white(read_clip(clip, spec, modalities=SIGHT, landmarks=table).visual).all()
    twice = face_table(tmp_path / "b.csv", [tuple(2 * edge for edge in box) for box in found])
    read = read_clip(clip, spec, modalities=SIGHT, landmarks=twice, landmarks_size=(2 * width, 2 * height))
    assert is_white(read.visual).all()


def test_landmarks_of_sound_alone_are_not_opened(tmp_path):
    frames, _ = moving_square(5)
    clip = video_file(tmp_path / "a.mkv", frames, click=0.1)
    read = read_clip(clip, MediaSpec(seconds=0.2, size=8), modalities=("audio",), landmarks=tmp_path / "none.csv")
    assert read.audio is not None and read.visual is None
    with pytest.raises(MediaError, match=r"none\.csv: the file is missing"):
        read_clip(clip, MediaSpec(seconds=0.2, size=8), landmarks=tmp_path / "none.csv")
