"""Synthetic talking heads with sound, rendered from a seed as real MP4 files; nothing to download."""

from counterpoint.data.talkers.dataset import ClipFacts, clip_facts, talkers
from counterpoint.data.talkers.phones import LOOK_ALIKE, SYLLABLES
from counterpoint.data.talkers.plan import BACKGROUND

__all__ = ["BACKGROUND", "LOOK_ALIKE", "SYLLABLES", "ClipFacts", "clip_facts", "talkers"]
