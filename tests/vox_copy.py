"""A tiny VoxCeleb in its official folders, of empty files: listing opens no media."""

from pathlib import Path

VIDEOS = ("aaaaaaaaaaa", "b-b_b-b_b-b", "_cccccccccc", "ddddddddddd")


def touch(*parts):
    path = Path(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def utterances(speakers, videos=VIDEOS, count=2):
    return [f"{speaker}/{video}/{k:05d}" for speaker in speakers for video in videos for k in range(1, count + 1)]


def vox1(root, dev=("id10001", "id10002", "id10003"), test=("id10270", "id10271"), videos=VIDEOS):
    """Sound alone, as VoxCeleb1 is given out."""
    for name in utterances(dev, videos):
        touch(root, "vox1_dev_wav", "wav", f"{name}.wav")
    for name in utterances(test, videos):
        touch(root, "vox1_test_wav", "wav", f"{name}.wav")
    return root


def vox2(root, dev=("id00012", "id00015"), test=("id00017",)):
    """Sound and videos of faces, as VoxCeleb2 is given out."""
    for side, speakers in (("dev", dev), ("test", test)):
        for name in utterances(speakers):
            touch(root, side, "aac", f"{name}.m4a")
            touch(root, side, "mp4", f"{name}.mp4")
    return root


def vox1_meta(root, names):
    """`names`: number -> name; those from id10270 to id10309 are the test's."""
    lines = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
    for number, name in names.items():
        lines.append(f"{number}\t{name}\tm\tIreland\t{'test' if 'id10270' <= number < 'id10310' else 'dev'}")
    (root / "vox1_meta.csv").write_text("\n".join(lines) + "\n")


def vox1_faces(root, names, videos=VIDEOS, pictures=5):
    for name in names.values():
        for video in videos:
            for k in range(pictures):
                touch(root, "unzippedFaces", name, "1.6", video, f"{25 * (k + 1):07d}.jpg")
