"""Files that datasets are listed from: tables, HDF5, media, and where things are."""
