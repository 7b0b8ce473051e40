"""The YAML language. No torch in here, so that checking a file is instant."""

from nnzoo.config.registry import DATA, MODELS, OPTIMIZERS, Entry
from nnzoo.config.run_config import RunConfig

__all__ = ["DATA", "MODELS", "OPTIMIZERS", "Entry", "RunConfig"]
