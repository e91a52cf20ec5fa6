"""What all optimizers share: the check of their input, and the one way to take a step."""

import math
from dataclasses import fields
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

Array = Any
"""A NumPy array or a torch tensor of any shape and floating-point type."""


def number(name: str, value: float, below: float = math.inf) -> float:
    """Return a hyperparameter as a Python float.

    Parameters
    ----------
    name : str
        What the error message calls it.
    value : number
        The value to check.
    below : float, default infinity
        The value must be less than this.

    Returns
    -------
    float
        ``value``.

    Raises
    ------
    ValueError
        Unless ``value`` is a number and ``0 <= value < below``.
    """
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
    """Return ``value`` if it is a floating-point array; make one of a Python float.

    Parameters
    ----------
    name : str
        What the error message calls it.
    value : array, tensor or float
        The value to check.

    Returns
    -------
    array or tensor
        ``value`` itself; a Python float as a NumPy float64.

    Raises
    ------
    ValueError
        If ``value`` is neither an array nor a float, or is an array of another type, such as
        integers.
    """
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
    r"""The base of all optimizers: it checks the hyperparameters and takes the steps.

    An optimizer is a frozen dataclass of hyperparameters. It keeps no state: ``step`` takes the
    state and returns the next one. A subclass is a formula in three parts:

    ``init(theta)``
        the state before the first step;
    ``at(t)``
        every number that step ``t`` needs besides the arrays: the hyperparameters, and all that
        depends on ``t`` alone, such as Adam's bias corrections;
    ``rule(theta, g, state, **numbers)``
        the algorithm box of the paper, on arrays.

    So ``TorchOptimizer`` can compile ``rule`` once and feed it new numbers at every step.

    Every hyperparameter with a float for its default must be finite and not negative, and those
    that a subclass names in ``FRACTIONS`` must be below 1. A pair of floats holds two fractions.

    A subclass with a field ``weight_decay``, λ, gets L2 regularisation from here: ``step`` adds
    λθ to the gradient before ``rule`` sees it, as if the loss had the further term
    :math:`\tfrac12 \lambda \lVert\theta\rVert^2`.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    Examples
    --------
    >>> from adam_tutorial import Adam
    >>> Adam(lr=-0.1)
    Traceback (most recent call last):
        ...
    ValueError: lr must be finite and >= 0, got -0.1
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
        """Return the state before the first step.

        Parameters
        ----------
        theta : array or tensor, floating point, any shape
            The parameters; only their shape, type, library and device matter.

        Returns
        -------
        named tuple
            What the optimizer remembers: ``t = 0``, the number of steps taken, and arrays like
            ``theta``.

        Raises
        ------
        ValueError
            If ``theta`` is not floating point.
        """
        raise NotImplementedError

    def at(self, t: int) -> dict[str, float]:
        """Return every number that step ``t`` needs besides the arrays.

        Parameters
        ----------
        t : int
            The step, counted from 1.

        Returns
        -------
        dict
            From the name of each number to its value: the keyword arguments of ``rule``.

        Examples
        --------
        >>> from adam_tutorial import RMSprop
        >>> RMSprop().at(1)
        {'lr': 0.01, 'alpha': 0.99, 'eps': 1e-08, 'momentum': 0.0}
        """
        raise NotImplementedError

    def rule(self, theta: Array, g: Array, state, **numbers: float):
        r"""Return the step that the algorithm's box gives, without any check.

        Parameters
        ----------
        theta : array or tensor
            :math:`\theta_{t-1}`, the parameters before the step.
        g : array or tensor like theta
            :math:`g_t`, the gradient, with that of the L2 term if there is one.
        state : named tuple
            What is remembered of the steps before. Its ``t`` already counts this step; it is handed
            on and never read.
        **numbers : float
            What ``at(t)`` gives.

        Returns
        -------
        named tuple
            The same as from ``step``.
        """
        raise NotImplementedError

    def l2(self, theta: Array, grad: Array, weight_decay: float | None) -> Array:
        """Return the gradient with that of the L2 term, if there is one.

        Parameters
        ----------
        theta, grad : arrays or tensors of one shape
            The parameters, and the gradient of the loss at them.
        weight_decay : float or None
            λ, or None: there is no such term.

        Returns
        -------
        array or tensor
            ``grad + weight_decay * theta``, or ``grad`` itself.
        """
        return grad if weight_decay is None else grad + weight_decay * theta

    def step(self, theta: Array, grad: Array, state):
        """Take one step and return it with every symbol of the algorithm.

        Parameters
        ----------
        theta : array or tensor, floating point, any shape
            The parameters.
        grad : array or tensor like theta
            The gradient of the loss at ``theta``.
        state : named tuple
            What ``init`` or the previous step gave.

        Returns
        -------
        named tuple
            ``theta`` and ``state`` after the step, and the symbols of the algorithm; for Adam an
            ``AdamStep``. Nothing that was passed in is changed.

        Raises
        ------
        ValueError
            If ``theta`` or ``grad`` is not floating point, or if the shapes or types of
            ``theta``, ``grad`` and ``state`` differ.

        Examples
        --------
        >>> import numpy as np
        >>> from adam_tutorial import SGD
        >>> sgd, theta = SGD(lr=0.5, momentum=0.5), np.array([1.0])
        >>> first = sgd.step(theta, np.array([1.0]), sgd.init(theta))
        >>> second = sgd.step(first.theta, np.array([1.0]), first.state)
        >>> second.update, second.theta, second.state.t
        (array([0.75]), array([-0.25]), 2)
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
    """Return zeros of the shape, type, library and device of ``theta``.

    Parameters
    ----------
    theta : array or tensor, floating point
        The model of the new array.

    Returns
    -------
    array or tensor
        Zeros.

    Raises
    ------
    ValueError
        If ``theta`` is not floating point.
    """
    theta = floating("theta", theta)
    return array_namespace(theta).zeros_like(theta)


def full_like(theta: Array, value: float) -> Array:
    """Return an array of one value, of the shape, type, library and device of ``theta``.

    Parameters
    ----------
    theta : array or tensor, floating point
        The model of the new array.
    value : float
        What each of its elements is.

    Returns
    -------
    array or tensor
        The new array.

    Raises
    ------
    ValueError
        If ``theta`` is not floating point.
    """
    theta = floating("theta", theta)
    return array_namespace(theta).full_like(theta, value)


def maximum(x: Array, y: Array) -> Array:
    """Return the larger of the two in each element.

    It works by ``clip``, which NumPy arrays and torch tensors share: no library has to be looked
    up, and it can be compiled.

    Parameters
    ----------
    x, y : arrays or tensors of one shape
        What to compare.

    Returns
    -------
    array or tensor
        In each element the very bits of the larger one; NaN where either is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> maximum(np.array([1.0, 5.0]), np.array([3.0, 2.0]))
    array([3., 5.])
    """
    return x.clip(min=y)


def sign(x: Array) -> Array:
    """Return -1, 0 or 1 in each element.

    NumPy has it as a function and torch as a method; this works on both, and can be compiled.

    Parameters
    ----------
    x : array or tensor, floating point
        Any values.

    Returns
    -------
    array or tensor
        The signs, in the type of ``x``; NaN where ``x`` is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> sign(np.array([-0.5, 0.0, np.inf]))
    array([-1.,  0.,  1.])
    """
    x = x.clip(-1.0, 1.0)  # infinity divided by itself would be NaN
    return x / (abs(x) + (x == 0))
