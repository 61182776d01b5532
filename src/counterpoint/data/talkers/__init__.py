"""Synthetic talking heads with sound, rendered from a seed as real MP4 files; nothing to download."""

from counterpoint.data.talkers.dataset import BACKGROUND, ClipFacts, clip_facts, talkers
from counterpoint.data.talkers.phones import LOOK_ALIKE, SYLLABLES

__all__ = ["BACKGROUND", "LOOK_ALIKE", "SYLLABLES", "ClipFacts", "clip_facts", "talkers"]
