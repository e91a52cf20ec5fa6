"""What all optimizers share: the check of their input, and the one way to take a step.

An optimizer is a frozen dataclass of hyperparameters with three parts of its own:

``init(theta)``
    the state before the first step;
``at(t)``
    every number that step ``t`` needs besides the tensors, as a dictionary: the hyperparameters
    and all that depends on ``t`` alone, such as Adam's bias corrections;
``rule(theta, g, state, **numbers)``
    the algorithm box of the paper, on arrays.

The split between ``at`` and ``rule`` lets :class:`adam_tutorial.TorchOptimizer` compile ``rule``
once and feed it new numbers at every step. ``rule`` never reads ``state.t``.
"""

import math
from dataclasses import fields
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

Array = Any
"""A NumPy array or a torch tensor of any shape and floating-point type."""


def number(name: str, value: float, below: float = math.inf) -> float:
    """Return ``value`` as a Python float, or raise ValueError unless ``0 <= value < below``."""
    try:
        if isinstance(value, (str, bool)):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a number, got {value!r}") from None
    if not 0.0 <= result < below:
        limits = "finite and >= 0" if below == math.inf else f"in [0, {below:g})"
        raise ValueError(f"{name} must be {limits}, got {value!r}")
    return result


def floating(name: str, value: Array) -> Array:
    """Return ``value`` if it is a floating-point array or a Python float, else raise ValueError."""
    if isinstance(value, float):
        return np.float64(value)
    if not is_array_api_obj(value):
        raise ValueError(f"{name} must be a floating-point array, got {value!r}")
    # A torch dtype says it itself, a NumPy dtype by its kind.
    kind = getattr(value.dtype, "is_floating_point", None)
    if not (value.dtype.kind == "f" if kind is None else kind):
        raise ValueError(f"{name} must be a floating-point array, got one of {value.dtype}")
    return value


class Optimizer:
    """The base of all optimizers; see the module for what a subclass defines.

    Every hyperparameter with a float for its default must be finite and not negative, and those
    that a subclass names in ``FRACTIONS`` must be below 1. A pair of floats holds two fractions.
    A subclass with a field ``weight_decay`` gets L2 regularisation from here: λθ is added to the
    gradient before ``rule`` sees it, as if the loss had the further term λ‖θ‖²/2.
    """

    FRACTIONS: tuple[str, ...] = ()

    def __post_init__(self):
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if isinstance(field.default, tuple):
                if not isinstance(value, (tuple, list)) or len(value) != len(field.default):
                    raise ValueError(f"{name} must be {len(field.default)} numbers, got {value!r}")
                value = tuple(number(f"{name}[{i}]", x, below=1.0) for i, x in enumerate(value))
            elif isinstance(field.default, bool):
                if not isinstance(value, bool):
                    raise ValueError(f"{name} must be True or False, got {value!r}")
            elif isinstance(field.default, float):
                value = number(name, value, below=1.0 if name in self.FRACTIONS else math.inf)
            # A NumPy float64 would turn float32 arrays into float64: the fields are Python's.
            object.__setattr__(self, name, value)

    def init(self, theta: Array):
        """Return the state before the first step for parameters like ``theta``."""
        raise NotImplementedError

    def at(self, t: int) -> dict[str, float]:
        """Return every number that step ``t`` (counted from 1) needs besides the arrays."""
        raise NotImplementedError

    def rule(self, theta: Array, g: Array, state, **numbers: float):
        """Return the step that the algorithm's box gives, without any check."""
        raise NotImplementedError

    def l2(self, theta: Array, grad: Array, weight_decay: float | None) -> Array:
        """Return the gradient with that of the L2 term, if there is one."""
        return grad if weight_decay is None else grad + weight_decay * theta

    def step(self, theta: Array, grad: Array, state):
        """Take one step and return it with every symbol of the algorithm.

        Parameters
        ----------
        theta : array or tensor, floating point, any shape
            The parameters.
        grad : array or tensor like ``theta``
            The gradient of the loss at ``theta``.
        state
            What ``init`` or the previous step gave.

        Returns
        -------
        A named tuple: ``theta`` and ``state`` after the step, and the symbols of the algorithm.
        Nothing that was passed in is changed.

        Raises
        ------
        ValueError
            If ``theta`` or ``grad`` is not floating point, or if the shapes or types of
            ``theta``, ``grad`` and ``state`` differ.
        """
        theta, grad = floating("theta", theta), floating("grad", grad)
        self._match("grad", grad, theta)
        for name, value in state._asdict().items():
            if is_array_api_obj(value):
                self._match(f"state.{name}", value, theta)
        state = state._replace(t=state.t + 1)
        grad = self.l2(theta, grad, getattr(self, "weight_decay", None) or None)
        return self.rule(theta, grad, state, **self.at(state.t))

    @staticmethod
    def _match(name: str, value: Array, theta: Array) -> None:
        for what in ("shape", "dtype"):
            mine, other = getattr(value, what), getattr(theta, what)
            if mine != other:
                raise ValueError(f"{name} must have the {what} of theta, {other}, got {mine}")


def zeros_like(theta: Array) -> Array:
    """Return zeros of the shape, type, library and device of ``theta``."""
    theta = floating("theta", theta)
    return array_namespace(theta).zeros_like(theta)


def full_like(theta: Array, value: float) -> Array:
    """Return an array filled with ``value``, of the shape, type and library of ``theta``."""
    theta = floating("theta", theta)
    return array_namespace(theta).full_like(theta, value)


def maximum(x: Array, y: Array) -> Array:
    """Return the larger of the two in each element.

    NumPy arrays and torch tensors share this method, so that it needs to look up no namespace and
    can be compiled. Its result has the very bits of either, and NaN if one of them is NaN.
    """
    return x.clip(min=y)
