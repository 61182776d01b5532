"""Every localiser in every form, small."""

import torch

from counterpoint.localise import LOCALISERS, create_localiser

DIMS = {"visual": 12, "audio": 6}
C = 4
SMALL = {
    "avel": {"hidden": 4},
    "avin": {"hidden": 4, "ffn": 8},
    "avrb": {"hidden": 4, "width": 8},
    "avsdn": {"hidden": 8},
    "avt": {"width": 8, "ffn": 8},
    "bmfn": {"width": 8, "ffn": 8},
    "cman": {"width": 8},
    "cmran": {"width": 8, "ffn": 8},
    "dam": {"width": 8, "ffn": 8},
    "psp": {"hidden": 4, "embed": 8},
}
# Forms beside the default one.
FORMS = {
    "avel": [
        {"guided": False},
        {"variant": "released", "inner": 3},
        {"attention": "simam2"},
        {"zeta": "learned"},
        {"attention": "simam2", "zeta": "learned"},
    ],
    "bmfn": [
        {"variant": "released"},
        {"pairing": "directional"},
        {"pairing": "directional", "without": "fbfm1"},
        {"without": "fbfm1"},
        {"without": "fbfm2", "variant": "released"},
        {"joint": "concat"},
        {"joint": "multiply"},
        {"joint": "add"},
        {"fold": True},
    ],
    "psp": [{"variant": "released", "inner": 3}, {"attention": "simam2"}, {"attention": "simam2", "zeta": "learned"}],
}


def cases():
    """(name, options) of all that is registered."""
    for name, part in LOCALISERS._parts.items():
        for supervision in part.losses:
            for form in [{}, *FORMS.get(name, [])]:
                yield name, {"supervision": supervision, **form}


def make(name, dims=DIMS, **options):
    torch.manual_seed(0)
    return create_localiser(name, dims, C, **SMALL.get(name, {}), **options)


def features(batch, segments=5, positions=(3,), dims=DIMS, dtype=torch.float32):
    whole = {
        "visual": torch.randn(batch, segments, *positions, dims.get("visual", 1), dtype=dtype),
        "audio": torch.randn(batch, segments, dims.get("audio", 1), dtype=dtype),
    }
    return {name: whole[name] for name in dims}


def target(batch, supervision, segments=5):
    shape = (batch, segments) if supervision == "fully" else (batch,)
    return torch.randint(0, C + 1, shape)
