"""Clips decoded once into shards, and read from there."""
