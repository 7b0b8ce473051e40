"""A first configuration for a folder of images."""

from __future__ import annotations

import warnings
from pathlib import Path

from nnzoo.config.show import quoted

SAMPLED_PICTURES = 20


def images_config(folder: Path, path: str) -> tuple[str, str]:
    from PIL import Image

    from nnzoo.data.images import find_pictures
    from nnzoo.data.pictures import FORMATS

    parts, _ = find_pictures(folder)
    files = [file for found in parts.values() for each in found.values() for file in each]
    sides, gray = [], True
    for file in files[:: max(1, len(files) // SAMPLED_PICTURES)][:SAMPLED_PICTURES]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(file, formats=FORMATS) as image:
                    sides.append(min(image.size))
                    gray = gray and image.mode in ("L", "1")
        except Exception:  # training will name the broken one
            continue
    middle = sorted(sides)[len(sides) // 2] if sides else 64
    size = next((known for known in (28, 32, 48, 64, 96) if middle <= known), 128)
    stages = {28: 2, 32: 3, 48: 3, 64: 4, 96: 4, 128: 5}[size]
    channels = [32 * 2**i for i in range(min(stages, 4))] + [256] * max(0, stages - 4)
    return (
        f"{folder.resolve().name}: {len(files):,} pictures, a folder a class.",
        f"""data:
  name: image_folder
  path: {quoted(path)}
  size: {size}
{"  color: false" + chr(10) if gray else ""}  augment: {{shift: {size // 10}, flip: horizontal}}
model:
  name: cnn
  channels: {channels}
  norm: batch
  head: {{pooling: average, dropout: 0.2}}
optim:
  name: adamw
  lr: 2e-3
  schedule: one_cycle
  clip: {{norm: 1.0}}
train:
  epochs: 30
  batch_size: 32
""",
    )
