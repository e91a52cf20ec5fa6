"""The package that the book on Adam runs on.

The pure optimizers and ``minimize`` need NumPy only; ``TorchOptimizer`` brings them to PyTorch.
"""

from adam_tutorial.optimizers import SGD, Adagrad, Adam, RMSprop
from adam_tutorial.trajectory import Trajectory, minimize

__all__ = ["SGD", "Adagrad", "Adam", "RMSprop", "TorchOptimizer", "Trajectory", "minimize"]


def __getattr__(name: str):
    # Importing torch takes seconds, and the chapters on theory do without it.
    if name == "TorchOptimizer":
        from adam_tutorial.torch_optimizer import TorchOptimizer

        return TorchOptimizer
    raise AttributeError(f"module 'adam_tutorial' has no attribute {name!r}")
