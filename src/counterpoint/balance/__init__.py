"""What keeps one modality from drowning the others: on gradients between `backward()` and `step()`, or by its loss."""

from counterpoint.balance.base import BALANCERS, Balancer, create_balancer
from counterpoint.balance.detached import Detached
from counterpoint.balance.gradient_blending import GradientBlending
from counterpoint.balance.ogm import OGM, OGMGE

__all__ = ["BALANCERS", "OGM", "OGMGE", "Balancer", "Detached", "GradientBlending", "create_balancer"]
