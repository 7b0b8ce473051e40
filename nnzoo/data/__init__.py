"""Files and published data sets to tensors: `tables`, `series` and `image_folder` read a `dataset.Dataset`."""
