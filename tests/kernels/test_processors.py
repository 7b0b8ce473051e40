"""Kernels compiled for other processors: AVX2 alone, 128-bit vectors, and NEON under an emulator."""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nnzoo.kernels import build, plan, step, tokens
from tests.kernels.cases import CASES, outcome, pair, same

ROOT = Path(__file__).parents[2]
IS_X86 = platform.machine() == "x86_64"
BUILDS = ["haswell", "x86-64-v2", "x86-64"]
FILES = [
    *(
        f"tests/kernels/test_{name}.py"
        for name in ("linear_chain", "ops", "carried_state", "packing")
    ),
    *(f"tests/kernels/test_{name}.py" for name in ("embedding", "generate", "step", "tokens")),
    *("tests/kernels/test_saved_tensors.py", "tests/models/test_fused.py"),
]
"""Tests of all kernels: chains of linear layers, recurrent layers forward and backward, both convolutions, losses, Adam,
norms, embeddings, pooling over time and generation, each beside torch's numbers."""
CROSS_COMPILERS = {
    "gcc": "aarch64-linux-gnu-gcc",
    "clang": f"{shlex.quote(sys.executable)} -m ziglang cc -target aarch64-linux-musl",
}

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")


def has_instructions(march: str) -> bool:
    """Whether this processor can run a build."""
    flags = Path("/proc/cpuinfo").read_text() if IS_X86 else ""
    return IS_X86 and (march != "haswell" or {"avx2", "fma", "bmi2"} <= set(flags.split()))


def forget_plans() -> None:
    """Forget what was planned with a library."""
    for module in (build, plan, step, tokens):
        for function in vars(module).values():
            if hasattr(function, "cache_clear"):
                function.cache_clear()


@pytest.fixture
def built(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """Layers in float32 are those of a build, compiled with little optimization; its lanes."""
    if not has_instructions(request.param):
        pytest.skip(f"this processor does not run a build for {request.param}")
    compiler, path = build.compiler(), tmp_path / "native.so"
    assert compiler is not None
    build.compile_library(compiler, "float", path, ("-O1", f"-march={request.param}"))
    before = build.library()
    forget_plans()
    build._loaded[torch.float32] = build.load_library(path), ""
    yield build.lanes_of(torch.float32)
    build._loaded[torch.float32] = before, ""
    forget_plans()


@pytest.mark.parametrize(("built", "lanes"), [("haswell", 8), ("x86-64-v2", 4)], indirect=["built"])
def test_layers_of_a_lesser_processor_are_torchs(built: int, lanes: int) -> None:
    assert built == lanes and not build.supports_dtype(torch.bfloat16)
    for name in CASES:
        ours, stock, x = pair(name)
        assert same(outcome(ours, x), outcome(stock, x)), name


def run_tests(*words: str, **variables: str) -> str:
    """The last line of pytest about the tests of all kernels, run with these environment variables."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *words]
    ran = subprocess.run(
        [*command, *FILES],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), **variables},
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    return ran.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("march", BUILDS)
def test_all_kernels_of_a_lesser_processor_are_right(march: str, tmp_path: Path) -> None:
    if not has_instructions(march):
        pytest.skip(f"this processor does not run a build for {march}")
    run_tests(NNZOO_CFLAGS=f"-march={march}", NNZOO_CACHE=str(tmp_path))
    assert len(list((tmp_path / "native").glob("*.so"))) == 2  # float and double


@pytest.mark.slow
@pytest.mark.parametrize("compiler", CROSS_COMPILERS)
def test_all_kernels_with_neon_are_right(compiler: str) -> None:
    """Under qemu, which takes some minutes; on one thread, so without the tests of threads."""
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("needs qemu-aarch64 (package qemu-user)")
    if compiler == "gcc" and shutil.which("aarch64-linux-gnu-gcc") is None:
        pytest.skip(
            "needs a cross compiler (packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross)"
        )
    if compiler == "clang" and importlib.util.find_spec("ziglang") is None:
        pytest.skip("needs clang for another processor (pip install ziglang)")
    summary = run_tests(
        *("-p", "tests.kernels.emulation", "-k", "not threads and not real and not measures1"),
        NNZOO_EMULATION=CROSS_COMPILERS[compiler],
        NNZOO_EMULATOR="qemu-aarch64",
    )
    assert int(summary.split()[0]) > 200  # not skipped
