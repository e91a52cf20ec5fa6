"""The package that the book on Adam runs on.

The optimizers are pure functions on NumPy arrays and torch tensors; ``minimize`` runs them on a
function, and ``TorchOptimizer`` trains PyTorch models with them.
"""

from adam_tutorial.optimizers import (
    ADOPT,
    LAMB,
    SGD,
    SOAP,
    AdaBelief,
    AdaBound,
    Adafactor,
    Adagrad,
    Adam,
    Adam8bit,
    Adamax,
    AdamMini,
    AdamW,
    Adan,
    AMSBound,
    AMSGrad,
    Lion,
    Muon,
    NAdam,
    RAdam,
    RMSprop,
    ScheduleFreeAdamW,
    Yogi,
)
from adam_tutorial.trajectory import Trajectory, minimize

__all__ = [
    "ADOPT",
    "LAMB",
    "SGD",
    "SOAP",
    "AMSBound",
    "AMSGrad",
    "AdaBelief",
    "AdaBound",
    "Adafactor",
    "Adagrad",
    "Adam",
    "Adam8bit",
    "AdamMini",
    "AdamW",
    "Adamax",
    "Adan",
    "Lion",
    "Muon",
    "NAdam",
    "RAdam",
    "RMSprop",
    "ScheduleFreeAdamW",
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
