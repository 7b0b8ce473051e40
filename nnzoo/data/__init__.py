"""Read files and published data sets: each source returns a `dataset.Dataset` of tensors."""
