"""Datasets on Zenodo that can be downloaded: which files of a record are needed, and what becomes of them.

Another dataset needs another `ZenodoRecord` in `ZENODO_RECORDS` and nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from counterpoint.data.download.unzip import member_names, unpack
from counterpoint.errors import ConfigError, DownloadError, quoted

Part = int | str


def unpack_as_is(archive: Path, root: Path, parts: Sequence[Part]) -> dict[str, int]:
    """Keep the paths of the archive."""
    del parts
    return unpack(archive, root)


@dataclass(frozen=True)
class ZenodoRecord:
    """One record.

    Attributes:
        record: its number.
        title: of the dataset.
        licence: name and holder, shown before anything is fetched.
        files: parts asked for (e.g. speakers) -> names of files in the record; ConfigError for a part there is not.
        layout: what the folder looks like afterwards, for messages.
        unpack: puts the content of one archive into the folder: ``(archive, root, parts) -> {path: size}``.
        kept: archives that stay in the folder, because other parts will need them again.
        extras: what else goes into the same folder when it is asked for: name -> its record.
    """

    record: int
    title: str
    licence: str
    files: Callable[[Sequence[Part]], list[str]]
    layout: str
    unpack: Callable[[Path, Path, Sequence[Part]], dict[str, int]] = unpack_as_is
    kept: tuple[str, ...] = ()
    extras: Mapping[str, ZenodoRecord] = field(default_factory=dict)


_GRID_SPEAKERS = tuple(n for n in range(1, 35) if n != 21)


def grid_speaker(part: Part) -> int:
    """Number of a GRID speaker that has video, from ``3``, ``"3"`` or ``"s3"``.

    Raises:
        ConfigError: there is no such speaker; 21 has no video.
    """
    text = str(part).strip().lower().removeprefix("s")
    number = int(text) if text.isdigit() else 0
    if number == 21:
        raise ConfigError("speaker 21 of GRID has no video; choose others of 1 to 34")
    if number not in _GRID_SPEAKERS:
        raise ConfigError(f"GRID has no speaker {quoted(part)}; its speakers are 1 to 34 without 21")
    return number


def _grid_files(parts: Sequence[Part]) -> list[str]:
    if not parts:
        raise ConfigError("say which speakers of GRID to download, e.g. 1 2; each is about half a gigabyte")
    return [*dict.fromkeys(f"s{grid_speaker(p)}.zip" for p in parts), "alignments.zip"]


def _grid_unpack(archive: Path, root: Path, parts: Sequence[Part]) -> dict[str, int]:
    if archive.name == "alignments.zip":
        return _grid_alignments(archive, root, [f"s{grid_speaker(p)}" for p in parts])
    speaker = archive.stem

    def place(member: PurePosixPath) -> PurePosixPath | None:
        wanted = member.suffix.lower() == ".mpg" and "__MACOSX" not in member.parts
        return PurePosixPath(speaker, member.name) if wanted and _is_inside(member) else _refuse_outside(member)

    return unpack(archive, root, place)


def _grid_alignments(archive: Path, root: Path, speakers: Sequence[str]) -> dict[str, int]:
    """Give each speaker the folder of alignments that names their sentences.

    In the record, the folders of several speakers are swapped (users report, for instance, 5 with 6). The names of the
    clips tell which belongs where: each speaker reads another selection of the 64,000 possible sentences.
    """
    folders: dict[PurePosixPath, set[str]] = defaultdict(set)
    for member in member_names(archive):
        if member.suffix == ".align" and "__MACOSX" not in member.parts:
            folders[member.parent].add(member.stem)
    placed: dict[str, int] = {}
    for speaker in speakers:
        clips = {path.stem for path in (root / speaker).glob("*.mpg")}
        best = max(folders, key=lambda f: (len(folders[f] & clips), f.name == speaker), default=None)
        if best is None or 2 * len(folders[best] & clips) < len(clips):
            raise DownloadError(
                f"{archive}: no folder in it has alignments for the {len(clips)} clips in {root / speaker}; "
                "the record may have changed"
            )

        def place(
            member: PurePosixPath, best: PurePosixPath = best, speaker: str = speaker, clips: set[str] = clips
        ) -> PurePosixPath | None:
            if member.parent != best or member.stem not in clips:
                return _refuse_outside(member)
            return PurePosixPath("align", speaker, member.name)

        placed |= unpack(archive, root, place)
    return placed


def ravdess_actors(parts: Sequence[Part]) -> list[str]:
    """Two-digit numbers of RAVDESS actors, from ``all``, ``3``, ``"03"`` or ``"Actor_03"``.

    Raises:
        ConfigError: there is no such actor, or none is asked for.
    """
    if not parts:
        raise ConfigError("say which actors of RAVDESS to download, e.g. 1 2, or all; each is about half a gigabyte")
    actors = []
    for part in parts:
        text = str(part).strip().lower().removeprefix("actor_")
        number = int(text) if text.isdigit() else 0
        if text != "all" and not 1 <= number <= 24:
            raise ConfigError(f"RAVDESS has no actor {quoted(part)}; its actors are 1 to 24, or all")
        actors += [f"{n:02d}" for n in (range(1, 25) if text == "all" else [number])]
    return list(dict.fromkeys(actors))


def _ravdess_unpack(archive: Path, root: Path, parts: Sequence[Part]) -> dict[str, int]:
    """Recordings of speech with sound and picture, whose names begin 01-01, or their landmarks; others are left out."""
    del parts

    def place(member: PurePosixPath) -> PurePosixPath | None:
        if not member.name.startswith("01-01-") or "__MACOSX" in member.parts or not _is_inside(member):
            return _refuse_outside(member)
        if member.suffix.lower() == ".csv":
            return PurePosixPath("landmarks", member.name)
        return PurePosixPath(f"Actor_{member.stem[-2:]}", member.name) if member.suffix.lower() == ".mp4" else None

    return unpack(archive, root, place)


def _is_inside(member: PurePosixPath) -> bool:
    return not member.is_absolute() and ".." not in member.parts


def _refuse_outside(member: PurePosixPath) -> PurePosixPath | None:
    """None (leave it out) for a harmless member; one that points outside goes on, for the archive to be rejected."""
    return None if _is_inside(member) else member


_CC_BY_NC_SA = "CC BY-NC-SA 4.0, not for commercial use (https://creativecommons.org/licenses/by-nc-sa/4.0/)"

ZENODO_RECORDS: dict[str, ZenodoRecord] = {
    "grid": ZenodoRecord(
        record=3625687,
        title="The Grid Audio-Visual Speech Corpus (Cooke, Barker, Cunningham and Shao, 2006)",
        licence="CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)",
        files=_grid_files,
        layout="s1/bbaf2n.mpg ... and align/s1/bbaf2n.align ..., one folder of each per speaker",
        unpack=_grid_unpack,
        kept=("alignments.zip",),
    ),
    "ravdess": ZenodoRecord(
        record=1188976,
        title="The Ryerson Audio-Visual Database of Emotional Speech and Song (Livingstone and Russo, 2018)",
        licence=_CC_BY_NC_SA,
        files=lambda parts: [f"Video_Speech_Actor_{actor}.zip" for actor in ravdess_actors(parts)],
        layout="Actor_01/01-01-01-01-01-01-01.mp4 ..., one folder per actor; those without sound are left out",
        unpack=_ravdess_unpack,
        extras={
            "landmarks": ZenodoRecord(
                record=3255102,
                title="RAVDESS Facial Landmark Tracking (Swanson, Livingstone and Russo, 2019)",
                licence=_CC_BY_NC_SA,
                files=lambda parts: ["FacialTracking_Actors_01-24.zip"],
                layout="landmarks/01-01-01-01-01-01-01.csv ..., of all actors",
                unpack=_ravdess_unpack,
            )
        },
    ),
}
"""Name -> record."""
