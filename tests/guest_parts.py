"""One part of every type, as a user's package has them; tests name them in fresh processes: ``guest_parts:Wide``."""

from torch import Tensor
from torch.optim import SGD

from counterpoint.balance import OGM
from counterpoint.data import load_table
from counterpoint.data.registry import dataset
from counterpoint.encoders.small import AudioCNN
from counterpoint.fusion import Concat
from counterpoint.heads import Linear
from counterpoint.losses import CrossEntropy
from counterpoint.media.transforms.mel import LogMel
from counterpoint.models.registry import ModelEntry
from counterpoint.training.metrics import Metric
from counterpoint.training.optim import Schedule


class Ears(AudioCNN):
    """An encoder."""


class Mel(LogMel):
    """A transform."""


class Wide(Concat):
    """A fusion."""


class Calm(Linear):
    """A head."""


class Joint(CrossEntropy):
    """A loss."""


class Gentle(OGM):
    """A balancer."""


class Slow(SGD):
    """An optimizer."""


class Halved(Schedule):
    """A schedule."""

    def __call__(self, step: int) -> float:
        """Half the peak."""
        return 0.5


MODEL = ModelEntry(
    "a model",
    {"audio": {"name": "guest_parts:Ears"}, "visual": {"name": "visual_cnn", "in_channels": 1}},
    {"audio": {"name": "guest_parts:Mel", "n_mels": 32}, "visual": {"name": "frames"}},
)


ERROR = Metric(
    lambda predictions: (predictions.classes != predictions.target).double().mean(),
    heading="Wrong",
    meaning="Share of clips whose class is wrong",
    noun="of errors",
    higher_is_better=False,
)


@dataset("guests", tasks=("class",), where="made by the tests")
def clips(root, task, seed):
    """A dataset."""
    del task
    return load_table("folder", root, None, seed)


def not_a_part(logits: Tensor) -> Tensor:
    """What nothing can be made of."""
    raise AssertionError("it was called")
