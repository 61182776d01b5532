"""What keeps one modality from drowning the others: on gradients between `backward()` and `step()`, or by its loss."""

from counterpoint.balance.base import BALANCERS, Balancer, create_balancer
from counterpoint.balance.detached import Detached
from counterpoint.balance.gradient_blending import GradientBlending
from counterpoint.balance.miles import MILES
from counterpoint.balance.mslr import MSLR
from counterpoint.balance.ogm import OGM, OGMGE
from counterpoint.balance.staged import Staged

__all__ = [
    "BALANCERS",
    "MILES",
    "MSLR",
    "OGM",
    "OGMGE",
    "Balancer",
    "Detached",
    "GradientBlending",
    "Staged",
    "create_balancer",
]
