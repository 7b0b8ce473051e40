"""Count the Python calls inside the package during one training step.

python scripts/count_calls.py cnn            one line per function, the most called first
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any


def calls_per_step(config: str, overrides: tuple[str, ...] = ()) -> Counter[str]:
    """Function calls in one training step of a bundled config, by "file:function", with one thread in float32.

    Counts the third step, when everything that is decided once has been decided. Comprehensions are not calls (Python 3.12
    inlines them); generators count per resumption.
    """
    import nnzoo
    from nnzoo.training.train_step import TrainerStack

    package = f"{Path(nnzoo.__file__).parent}{os.sep}"
    calls: Counter[str] = Counter()
    steps = 0
    train_step: Any = TrainerStack.train_step

    def profile(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        is_ours = code.co_filename.startswith(package)
        if event == "call" and is_ours and not code.co_name.endswith("comp>"):
            calls[f"{code.co_filename.removeprefix(package)}:{code.co_name}"] += 1

    def counted(*args: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps != 3:
            return train_step(*args)
        sys.setprofile(
            profile
        )  # also sees backward: autograd on the CPU runs on the calling thread
        try:
            return train_step(*args)
        finally:
            sys.setprofile(None)

    TrainerStack.train_step = counted  # type: ignore[method-assign, assignment]
    fixed = ("train.epochs=1", "train.precision=fp32", "train.threads=1", *overrides)
    try:
        with tempfile.TemporaryDirectory() as folder:
            nnzoo.train(config, sets=fixed, out=folder).fit(stop=lambda: steps > 3)
    finally:
        TrainerStack.train_step = train_step  # type: ignore[method-assign]
    return calls


def main() -> None:
    calls = calls_per_step(sys.argv[1] if len(sys.argv) > 1 else "cnn")
    for name, count in calls.most_common():
        print(f"{count:4} {name}")
    print(f"{sum(calls.values()):4} in all")


if __name__ == "__main__":
    main()
