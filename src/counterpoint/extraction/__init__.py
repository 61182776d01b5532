"""Encoders over clips: features written once."""
