"""Localisers: features of a clip's segments in, what happens when out.

**In.** A mapping of features of B clips of T segments::

    {"visual": (B, T, L, D_v) or (B, T, H, W, D_v),     # a map per segment, e.g. 7 x 7 x 512 of VGG-19
     "audio":  (B, T, D_a)}                             # a vector per segment, e.g. 128 of VGGish

with any T, L and widths. This room alone calls modalities by these names: the papers' attention is not symmetric.

**Made** by name, ``create_localiser("bmfn", {"visual": 512, "audio": 128}, num_classes=28, supervision="fully")``; its
`config` says how to make it again. C is the number of classes of *events*; background is one more, class C, the last.

**Out.** One `LocaliserOutput` for all, whichever head a network has: `event` (B, T), `event_class` (B, C) or (B,
T, C), `segment_logits` (B, T, C + 1), `video_logits` (B, C + 1), and `LocaliserOutput.segments`, the classes (B,
T) as the network's paper infers them.

**Trained** by ``localiser.loss(output, target)``, where the target is, by the localiser's `supervision`,

* ``"fully"``: the class of every segment, integers (B, T), background C;
* ``"weakly"``: the class of every clip, integers (B,), C where nothing happens, or shares of classes (B, C + 1).

**Balanced** like every model: ``OGMGE(localiser.encoders(), parameters="all")`` (there are no convolutions), then
``step(output, target)`` with the same target. That needs `unimodal_logits`, which ``avel`` and ``psp`` have; with
``ratio="zeta"`` and ``zeta="learned"`` it is SimAM²'s modulation without decoupling. What another network makes of one
modality alone, `Localiser.ablated` tells.
"""

from counterpoint.localise.avel import AVEL
from counterpoint.localise.avin import AVIN
from counterpoint.localise.avrb import AVRB
from counterpoint.localise.avsdn import AVSDN
from counterpoint.localise.avt import AVT
from counterpoint.localise.base import LOCALISERS, Localiser, create_localiser, list_localisers
from counterpoint.localise.bmfn import BMFN
from counterpoint.localise.cman import CMAN
from counterpoint.localise.cmran import CMRAN
from counterpoint.localise.dam import DAM
from counterpoint.localise.losses import LOCALISER_LOSSES, LocaliserLoss, clip_classes
from counterpoint.localise.output import LocaliserOutput
from counterpoint.localise.psp import PSP

__all__ = [
    "AVEL",
    "AVIN",
    "AVRB",
    "AVSDN",
    "AVT",
    "BMFN",
    "CMAN",
    "CMRAN",
    "DAM",
    "LOCALISERS",
    "LOCALISER_LOSSES",
    "PSP",
    "Localiser",
    "LocaliserLoss",
    "LocaliserOutput",
    "clip_classes",
    "create_localiser",
    "list_localisers",
]
