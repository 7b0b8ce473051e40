"""Everything that only a GPU can show, in one command of less than nine minutes.

python benchmarks/cuda.py [--device cuda|cpu|emulated] [--minutes 8.5] [--only TEXT,TEXT] [--rows mlp,cnn]
    [--seconds 2] [--data DIR] [--json FILE]

1. Exact: each small run of tests/cuda_cases.py on the device. Stopped and resumed it must end with the
   bits of a run that was left alone, captured steps with those of eager ones, rows that stream to the
   device with those of rows on it; its answers must be the CPU's. fp32, tf32 and bf16 must have the
   errors of their mantissas.
2. Processes: two of them on the one device by gloo, against one.
3. Speed: steps per second of the networks of benchmarks/throughput.py, beside a plain torch loop.

Each part has its fraction of the time, and what is left out is printed. Without MNIST, random images of
its shape are timed. --device cpu and --device emulated try the script without a GPU. Exit code 1 if
anything differs.
"""

from __future__ import annotations

import sys

if __name__ != "__main__":
    # torch and others look for a package of this name, and find this file where benchmarks/ is searched.
    raise ImportError("benchmarks/cuda.py is a script; the package cuda is not installed")

if __name__ == "__main__":
    sys.path.append(sys.path.pop(0))  # behind that package
    import gpu

    sys.exit(gpu.main(__doc__ or ""))
