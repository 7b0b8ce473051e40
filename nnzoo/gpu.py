"""What a CUDA device is and how much memory it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from nnzoo.errors import DataError


def describe(device: torch.device) -> dict[str, str]:
    """What decides the last digits of a run on a CUDA device: the GPU, and the versions of CUDA and cuDNN;
    empty for a CPU."""
    if device.type != "cuda":
        return {}
    name = _ask(lambda: torch.cuda.get_device_name(device))
    return {
        "gpu": "unknown" if name is None else str(name),
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version()),
    }


def label(device: torch.device) -> str:
    """The device for a message: cpu, or cuda with the name of the GPU."""
    return f"cuda ({describe(device)['gpu']})" if device.type == "cuda" else device.type


def native_bf16(device: torch.device) -> bool:
    """Whether this CUDA device, which need not be the current one, multiplies bfloat16 itself."""
    before = torch.cuda.current_device() if device.index is not None else None
    if before is not None:
        torch.cuda.set_device(device)
    try:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    finally:
        if before is not None:
            torch.cuda.set_device(before)


def memory(device: torch.device) -> tuple[int, int] | None:
    """Bytes of a CUDA device that are free, and all it has; None where the driver does not tell."""
    answer: tuple[int, int] | None = _ask(lambda: torch.cuda.mem_get_info(device))
    return answer


def check_fits(size: int, device: torch.device, what: str, hint: str) -> None:
    """Raise DataError where so many bytes are more than is free on a CUDA device."""
    free = memory(device) if device.type == "cuda" else None
    if free is not None and size > free[0]:
        raise DataError(
            f"{what} would take {size / 1e9:,.1f} GB of the memory of {device}, which has "
            f"{free[0] / 1e9:,.1f} of {free[1] / 1e9:,.1f} GB free; {hint}"
        )


def _ask(question: Callable[[], Any]) -> Any:
    """The driver's answer; None where there is none: of a build without CUDA torch raises the last two."""
    try:
        return question()
    except (RuntimeError, AssertionError, AttributeError, NameError):
        return None
