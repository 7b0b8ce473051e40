"""nnzoo trains the classic neural networks on your images, tables and series from one YAML file.

    import nnzoo

    nnzoo.train("cnn.yaml").fit()
    model = nnzoo.load("checkpoints/cnn")
    model.predict("photos/").labels

Names of `nnzoo.api` and `nnzoo.estimators` are imported on first use: `import nnzoo` loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
_ESTIMATORS = ("Classifier", "Regressor")
__all__ = [
    "Classifier",
    "EpochEnd",
    "Model",
    "Regressor",
    "StepEnd",
    "Training",
    "__version__",
    "load",
    "train",
]

if TYPE_CHECKING:
    from nnzoo.api import EpochEnd, Model, StepEnd, Training, load, train
    from nnzoo.estimators import Classifier, Regressor


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(
            import_module("nnzoo.estimators" if name in _ESTIMATORS else "nnzoo.api"), name
        )
    raise AttributeError(f"module 'nnzoo' has no attribute '{name}'")


def __dir__() -> list[str]:
    """Names for completion, those that are not loaded yet among them."""
    return sorted({*globals(), *__all__})
