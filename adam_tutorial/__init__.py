"""The package that the book on Adam runs on.

The optimizers are pure functions on NumPy arrays and torch tensors; ``minimize`` runs them on a
function, and ``TorchOptimizer`` trains PyTorch models with them.
"""

from adam_tutorial.optimizers import (
    ADOPT,
    SGD,
    AdaBelief,
    AdaBound,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Adan,
    AMSBound,
    AMSGrad,
    Lion,
    NAdam,
    RAdam,
    RMSprop,
    Yogi,
)
from adam_tutorial.trajectory import Trajectory, minimize

__all__ = [
    "ADOPT",
    "SGD",
    "AMSBound",
    "AMSGrad",
    "AdaBelief",
    "AdaBound",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Adan",
    "Lion",
    "NAdam",
    "RAdam",
    "RMSprop",
    "TorchOptimizer",
    "Trajectory",
    "Yogi",
    "minimize",
]


def __getattr__(name: str):
    # Importing torch takes seconds, and the chapters on theory do without it.
    if name == "TorchOptimizer":
        from adam_tutorial.torch_optimizer import TorchOptimizer

        return TorchOptimizer
    raise AttributeError(f"module 'adam_tutorial' has no attribute {name!r}")
