"""What acts on gradients between `backward()` and `step()`, so that no modality drowns the others."""

from counterpoint.balance.base import BALANCERS, Balancer, create_balancer
from counterpoint.balance.ogm import OGM, OGMGE

__all__ = ["BALANCERS", "OGM", "OGMGE", "Balancer", "create_balancer"]
