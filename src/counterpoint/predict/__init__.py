"""A trained run on a media file of any length: what happens when, as data, subtitles and a picture."""

from counterpoint._moved import former_names
from counterpoint.predict.files import FORMATS, write
from counterpoint.predict.predictor import predict
from counterpoint.predict.subtitles import srt, webvtt
from counterpoint.predict.timeline import Found, Timeline, Undecodable

__all__ = ["FORMATS", "Found", "Timeline", "Undecodable", "predict", "srt", "webvtt", "write"]

__getattr__ = former_names(__name__, {"Lost": "predict.timeline:Undecodable"})
