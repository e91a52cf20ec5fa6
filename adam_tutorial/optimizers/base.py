"""What all optimizers share: the check of their input, and the one way to take a step."""

import math
from dataclasses import fields
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj

Array = Any
"""A NumPy array or a torch tensor of any shape and floating-point type."""


def number(
    name: str,
    value: float,
    *,
    least: float = 0.0,
    most: float = math.inf,
    below: float = math.inf,
) -> float:
    """Return a hyperparameter as a Python float.

    Parameters
    ----------
    name : str
        What the error message calls it.
    value : number
        The value to check.
    least, most : float, default 0 and infinity
        The value must lie between these.
    below : float, default infinity
        The value must be less than this.

    Returns
    -------
    float
        ``value``.

    Raises
    ------
    ValueError
        Unless ``value`` is a finite number, ``least <= value <= most`` and ``value < below``.
    """
    try:
        if isinstance(value, (str, bool)):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a number, got {value!r}") from None
    if not (math.isfinite(result) and least <= result <= most and result < below):
        if below < math.inf:
            limits = f"in [{least:g}, {below:g})"
        else:
            limits = "finite" + f" and >= {least:g}" * (least > -math.inf)
            limits += f" and <= {most:g}" * (most < math.inf)
        raise ValueError(f"{name} must be {limits}, got {value!r}")
    return result


def integer(name: str, value: int, least: int = 0, most: float = math.inf) -> int:
    """Return what counts something, such as a hyperparameter, as a Python int.

    Parameters
    ----------
    name : str
        What the error message calls it.
    value : int
        The value to check.
    least : int, default 0
        The value must not be less than this.
    most : int, default infinity
        The value must not be more than this.

    Returns
    -------
    int
        ``value``.

    Raises
    ------
    ValueError
        Unless ``value`` is an integer and ``least <= value <= most``.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not least <= value <= most:
        limits = f">= {least}" + f" and <= {most}" * (most < math.inf)
        raise ValueError(f"{name} must be an integer {limits}, got {value!r}")
    return int(value)


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
    that a subclass names in ``FRACTIONS`` must be below 1. A pair of floats holds two fractions;
    where the default is None, None will do. One with an int for its default counts something. A
    subclass gives other limits in ``LIMITS``: the keyword arguments of ``number`` or ``integer``.

    A subclass whose state has arrays of another shape or type than θ sets ``LIKE_THETA`` to False.

    A subclass with a field ``weight_decay``, λ, gets L2 regularisation from here: ``step`` adds
    λθ to the gradient before ``rule`` sees it, as if the loss had the further term
    :math:`\tfrac12 \lambda \lVert\theta\rVert^2`. One that sets ``DECOUPLED`` to True has
    the decay in its ``rule`` instead.

    Where the result of training is not θ but an average, ``AVERAGE`` is its name in the state.

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
    LIMITS: dict[str, dict[str, float]] = {}
    LIKE_THETA = True
    DECOUPLED = False
    AVERAGE: str | None = None

    def __post_init__(self):
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            fraction = isinstance(field.default, tuple) or name in self.FRACTIONS
            limits = self.LIMITS.get(name, {"below": 1.0} if fraction else {})
            if isinstance(field.default, tuple):
                if not isinstance(value, (tuple, list)) or len(value) != len(field.default):
                    raise ValueError(f"{name} must be {len(field.default)} numbers, got {value!r}")
                value = tuple(
                    None if x is default is None else number(f"{name}[{i}]", x, **limits)
                    for i, (x, default) in enumerate(zip(value, field.default, strict=True))
                )
            elif isinstance(field.default, bool):
                if not isinstance(value, bool):
                    raise ValueError(f"{name} must be True or False, got {value!r}")
            elif isinstance(field.default, int):
                value = integer(name, value, **limits)
            elif isinstance(field.default, float):
                value = number(name, value, **limits)
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
            What the optimizer remembers: ``t = 0``, the number of steps taken, and arrays, most
            of them like ``theta``.

        Raises
        ------
        ValueError
            If ``theta`` is not floating point.
        """
        raise NotImplementedError

    def state_bytes(self, theta: Array) -> int:
        """Return the memory that the state of one parameter takes: all arrays of ``init(theta)``.

        Parameters
        ----------
        theta : array or tensor, floating point, any shape
            The parameters. A torch tensor on the device ``"meta"`` has a shape but no values: with
            it, the state of a parameter of any size is measured without taking any memory.

        Returns
        -------
        int
            The number of bytes.

        Raises
        ------
        ValueError
            If ``theta`` is not floating point.

        Examples
        --------
        >>> import numpy as np
        >>> from adam_tutorial import SGD, Adam
        >>> theta = np.zeros((100, 10), dtype=np.float32)
        >>> Adam().state_bytes(theta), SGD().state_bytes(theta)
        (8000, 0)
        """
        return sum(x.nbytes for x in self.init(theta) if is_array_api_obj(x))

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
        none = weight_decay is None or self.DECOUPLED
        return grad if none else grad + weight_decay * theta

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
            If ``theta`` or ``grad`` is not floating point, if their shapes or types differ, or if
            those of the arrays in ``state`` are not what ``init(theta)`` gives.

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
        self._match("grad", grad, "theta", theta)
        initial = None if self.LIKE_THETA else self.init(theta)
        for name, value in state._asdict().items():
            if is_array_api_obj(value):
                model = getattr(initial, name, None)
                like_theta = model is None or (model.shape, model.dtype) == (
                    theta.shape,
                    theta.dtype,
                )
                whose = ("theta", theta) if like_theta else (f"init(theta).{name}", model)
                self._match(f"state.{name}", value, *whose)
        state = state._replace(t=state.t + 1)
        grad = self.l2(theta, grad, getattr(self, "weight_decay", None) or None)
        return self.rule(theta, grad, state, **self.at(state.t))

    @staticmethod
    def _match(name: str, value: Array, model_name: str, model: Array) -> None:
        for what in ("shape", "dtype"):
            mine, other = getattr(value, what), getattr(model, what)
            if mine != other:
                raise ValueError(
                    f"{name} must have the {what} of {model_name}, {other}, got {mine}"
                )


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


def zeros(theta: Array, shape: tuple[int, ...], dtype: str | None = None) -> Array:
    """Return zeros of the type, library and device of ``theta``, but of another shape.

    Parameters
    ----------
    theta : array or tensor, floating point
        The model of the new array.
    shape : tuple of int
        The shape of the new array.
    dtype : str, optional
        The name of another type, such as ``"uint8"``.

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
    xp = array_namespace(theta)
    dtype = theta.dtype if dtype is None else getattr(xp, dtype)
    return xp.zeros(shape, dtype=dtype, device=device(theta))


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


def mean_square(x: Array, axes: tuple[int, ...] | None = None) -> Array:
    """Return the mean of the squares, over all elements or along some axes.

    Parameters
    ----------
    x : array or tensor
        What to square.
    axes : tuple of int, optional
        The axes to take the mean along; they are kept, with length 1.

    Returns
    -------
    array or tensor
        The mean; 0 for the mean of nothing.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> mean_square(x), mean_square(x, (1,))
    (np.float64(7.5), array([[ 2.5],
           [12.5]]))
    """
    if axes is None:
        return (x**2).sum() / max(1, math.prod(x.shape))
    count = math.prod([x.shape[axis] for axis in axes])
    return (x**2).sum(axes, keepdims=True) / max(1, count)


def norm(x: Array) -> Array:
    """Return the Euclidean norm of all elements.

    Parameters
    ----------
    x : array or tensor
        Of any shape.

    Returns
    -------
    array or tensor
        A single number.
    """
    return (x**2).sum() ** 0.5


def library(x: Array):
    """Return the library that an array is of.

    What it returns has the few functions that are no operators, under names that NumPy and torch
    share. In contrast to ``array_namespace`` it can be compiled.

    Parameters
    ----------
    x : array or tensor
        Of NumPy or torch.

    Returns
    -------
    module
        ``numpy`` or ``torch``.
    """
    if isinstance(x, (np.ndarray, np.generic)):
        return np
    import torch  # only who has a tensor pays for it

    return torch
