"""What a trained model does with each modality: extraction, probes, geometry, statistics, comparison, the report.

Import what you need from its file; nothing is imported here, so that reading a configuration stays light.
"""
