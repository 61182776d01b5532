"""Datasets, one file each; helpers of one, or of several, stand beside in files that begin with an underscore."""
