"""Lines of `nnzoo check` on the images that a config names. Nothing is decoded."""

from __future__ import annotations

import os
from pathlib import Path

from nnzoo.config.data_options import ImageFolderOptions
from nnzoo.data.image_files.folder import describe_folder


def description(options: ImageFolderOptions) -> list[str]:
    """Lines on the folder, or the table and the folder, that a config names. Raises DataError where it cannot train."""
    if not os.path.exists(options.path):
        return [f"no folder {options.path} here"]
    if options.labels is not None:
        from nnzoo.data.image_files.labels_file import describe_labeled

        if not os.path.exists(options.labels):
            return [f"data.labels: no file {options.labels} here"]
        return describe_labeled(options)
    folder = describe_folder(Path(options.path), classes=options.classes)
    folder.check()
    counts = [f"{sum(map(len, images.values())):,} {part}" for part, images in folder.parts.items()]
    return [f"images: {' · '.join(counts)}; {len(folder.labels)} classes", *folder.lines()]
