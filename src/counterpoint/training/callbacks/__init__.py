"""What happens around training: checkpoints, and the balancer's reviews."""
