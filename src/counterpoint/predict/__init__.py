"""A trained run on a media file of any length: what happens when, as data, subtitles and a picture."""

from counterpoint.predict.files import FORMATS, write
from counterpoint.predict.predictor import predict
from counterpoint.predict.subtitles import srt, webvtt
from counterpoint.predict.timeline import Found, Lost, Timeline

__all__ = ["FORMATS", "Found", "Lost", "Timeline", "predict", "srt", "webvtt", "write"]
