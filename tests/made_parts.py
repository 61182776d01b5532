"""Parts of a configuration for clips that are not there: a table of none, of some shape."""

from counterpoint.data import ClipTable
from counterpoint.media.spec import MediaSpec
from counterpoint.training.build import Parts, build
from counterpoint.training.config import TrainConfig
from counterpoint.training.resolve import check, resolve_for


def parts_of(config: TrainConfig, classes: int, spec: MediaSpec) -> Parts:
    check(config)
    return build(resolve_for(config, ClipTable("made", tuple(map(str, range(classes))), (), spec)))
