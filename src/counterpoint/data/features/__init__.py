"""Clips that are features already: checked, read and written."""

from counterpoint._moved import former_names

__getattr__ = former_names(
    __name__,
    {
        "AXES": "data.feature_rows",
        "VECTORS": "data.feature_rows",
        "FeatureRow": "data.feature_rows",
        "Features": "data.feature_rows",
        "PreparedFeatures": "data.features.prepared",
    },
)
