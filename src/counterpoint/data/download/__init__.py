"""Public corpora, fetched resumably and verified."""

from counterpoint._moved import former_names

__getattr__ = former_names(
    __name__,
    {
        "Download": "data.download.zenodo",
        "ZENODO": "data.download.zenodo",
        "download": "data.download.zenodo",
    },
)
