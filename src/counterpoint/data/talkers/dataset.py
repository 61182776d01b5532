"""The dataset ``talkers``: its clips as a table, rendered on first use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from counterpoint._atomic import write_json
from counterpoint._cpu import cores
from counterpoint._limits import read_json
from counterpoint.data.clip_table import Clip, ClipTable
from counterpoint.data.events import Event, runs
from counterpoint.data.io.paths import default_root
from counterpoint.data.registry import dataset
from counterpoint.data.talkers.face import FPS, MOUTH, SIZE
from counterpoint.data.talkers.phones import LOOK_ALIKE, SYLLABLES
from counterpoint.data.talkers.plan import (
    BACKGROUND,
    SEGMENT_SECONDS,
    SEGMENTS,
    TASKS,
    ClipPlan,
    Settings,
    make_plan,
    name_of,
)
from counterpoint.data.talkers.render import Progress, render
from counterpoint.data.talkers.speech import SAMPLE_RATE
from counterpoint.errors import DataError
from counterpoint.media.spec import MediaSpec

_FACTS = "clips.json"


@dataset(
    "talkers",
    tasks=TASKS,
    event_tasks=("event",),
    classes=SYLLABLES,
    wants=("progress",),
    where="built in: synthetic talking heads, rendered from the seed on first use; no download",
)
def talkers(
    root: Path | None = None,
    task: Literal["syllable", "event"] = "syllable",
    seed: int = 0,
    *,
    audio_snr_db: float = Settings.audio_snr_db,
    visual_noise: float = Settings.visual_noise,
    visual_dropout: float = Settings.visual_dropout,
    speakers: int = Settings.speakers,
    clips: int = 0,
    background_clips: float = 0.0,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> ClipTable:
    """List the synthetic talking heads of one task, after rendering those that are not there yet.

    Each clip is an MP4 file (H.264 64 x 64 at 25 frames per second, AAC 16 kHz mono) of a drawn face that says one of
    ten syllables; face and voice follow the same movement. The table's `media` cuts out 40 x 40 pixels around
    the mouth. What each sense can know is known by construction: see `counterpoint.data.talkers.phones`.

    Args:
        root: folder under which the clips are kept, one subfolder for each combination of settings;
            None: ``datasets/talkers`` in ``$COUNTERPOINT_CACHE`` or ``~/.cache/counterpoint``.
        task: ``"syllable"``: one syllable per clip of 1.12 s, which is its class. ``"event"``: ten segments of 0.48 s;
            in 2 to 6 in a row the clip's syllable is both heard and seen, in others some syllable is only heard or only
            seen; `clip_facts` has the class of each segment.
        seed: of speakers, clips, noise and movement.
        audio_snr_db: power of speech over noise in each clip, dB. Noise hides place of articulation (b/d/g, m/n) first.
        visual_noise: standard deviation of pixel noise, 0 to 1 of full scale, before the video is coded.
        visual_dropout: share of the clips of each split in which a hand covers the mouth; there, sight says nothing.
        speakers: how many, at least 3.
        clips: how many in all; 0: 720 (syllable) or 360 (event).
        background_clips: of the task ``"event"``: share of the clips of each split, 0 to 1, that hold no event. What is
            heard and seen in them is what lies around an event elsewhere. Weak supervision learns what background is
            from such clips alone. The other clips are those that they are without this option.
        jobs: processes that render; None: one per core, at most 4.
        progress: called with (clips rendered, clips to render).

    Raises:
        ConfigError: a dial outside its range, or `background_clips` for the task ``"syllable"``.
    """
    settings = Settings(task, seed, audio_snr_db, visual_noise, visual_dropout, speakers, clips, background_clips)
    folder = (root or default_root("talkers")) / settings.folder_name
    plans = make_plan(settings)
    render(settings, plans, folder, jobs or min(4, cores()), progress)
    if not (folder / _FACTS).exists():
        write_json(folder / _FACTS, _facts(settings, plans), shared=True)
    return ClipTable(
        name=f"talkers/{task}",
        classes=SYLLABLES,
        clips=tuple(
            Clip(p.id, folder / f"{p.id}.mp4", _number(p.label), p.split, group=f"s{p.speaker:02d}") for p in plans
        ),
        media=MediaSpec(
            SAMPLE_RATE, settings.seconds, FPS, size=round(SIZE * (MOUTH[2] - MOUTH[0])), gray=True, crop=MOUTH
        ),
        notes=_notes(settings),
        events={p.id: _events(p, settings.seconds) for p in plans} if task == "event" else None,
        segments=SEGMENTS if task == "event" else None,
    )


def _events(plan: ClipPlan, seconds: float) -> tuple[Event, ...]:
    return runs(map(_number, plan.segments), seconds, _number(None))


def _number(label: int | None) -> int:
    """A class as tables have it: background is behind the syllables."""
    return len(SYLLABLES) if label is None else label


@dataclass(frozen=True)
class ClipFacts:
    """What is known about a rendered clip because it was made so.

    Attributes:
        label: the clip's class, ``"background"`` if it holds no event.
        speaker: e.g. ``"s03"``.
        mouth_hidden: a hand covers the mouth throughout.
        segments: class of each segment: what is both heard and seen in it, else ``"background"``.
        heard: per segment the syllable that is said; None: none.
        seen: the one that the mouth forms, `mouth_hidden` or not; None: none.
    """

    label: str
    speaker: str
    mouth_hidden: bool
    segments: tuple[str, ...]
    heard: tuple[str | None, ...]
    seen: tuple[str | None, ...]


def clip_facts(table: ClipTable) -> dict[str, ClipFacts]:
    """Read the facts that were written beside the clips of a ``talkers`` table (``clips.json``).

    The file holds ``{"segment_seconds": 0.48, "clips": {id: {"label": "ba", "speaker": "s03", "mouth_hidden": false,
    "segments": ["background", "ba", ...], "heard": [null, "ba", ...], "seen": [...]}}}``.
    A clip of the task ``syllable`` is one segment.

    Returns:
        clip id -> facts, for all clips of the table.

    Raises:
        DataError: the table is not of ``talkers``.
    """
    path = table.clips[0].path.parent / _FACTS
    if not table.name.startswith("talkers/") or not path.exists():
        raise DataError(f"{table.name}: no {_FACTS} lies beside the clips; only talkers has it")
    content = read_json(path)["clips"]
    return {
        key: ClipFacts(
            values["label"],
            values["speaker"],
            values["mouth_hidden"],
            tuple(values["segments"]),
            tuple(values["heard"]),
            tuple(values["seen"]),
        )
        for key, values in content.items()
    }


def _facts(settings: Settings, plans: tuple[ClipPlan, ...]) -> dict[str, object]:
    clips = {
        p.id: {
            "label": name_of(p.label) or BACKGROUND,
            "speaker": f"s{p.speaker:02d}",
            "mouth_hidden": p.hidden,
            "segments": [name_of(label) or BACKGROUND for label in p.segments],
            "heard": [name_of(label) for label in p.heard],
            "seen": [name_of(label) for label in p.seen],
        }
        for p in plans
    }
    return {"segment_seconds": settings.seconds / len(plans[0].heard), "clips": clips}


def _notes(settings: Settings) -> tuple[str, ...]:
    groups = len(LOOK_ALIKE) / len(SYLLABLES)
    hidden = settings.visual_dropout
    notes = [
        "Synthetic: drawn faces and source-filter speech, made for demonstration and tests; says nothing about people.",
        f"Dials: audio_snr_db {settings.audio_snr_db:g}, visual_noise {settings.visual_noise:g}, "
        f"visual_dropout {hidden:g}; {settings.speakers} speakers, seed {settings.seed}.",
        "Speaker-disjoint: no speaker stands on two sides of the split.",
    ]
    if settings.task == "syllable":
        ceiling = (1 - hidden) * groups + hidden / len(SYLLABLES)
        notes.append(
            f"By construction sight cannot tell stops from nasals (ba/ma, da/na, bi/mi, di/ni): "
            f"the best expected accuracy from sight alone is {ceiling:.3g}."
        )
    else:
        notes.append(
            f"{SEGMENTS} segments of {SEGMENT_SECONDS} s; outside the event are distractors, only heard or only seen."
        )
        if settings.background_clips:
            notes.append(f"Of the clips of each split a share of {settings.background_clips:g} holds no event.")
    return tuple(notes)
