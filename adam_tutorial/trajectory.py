"""Run an optimizer on a function and keep every symbol of every step."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from adam_tutorial.optimizers.base import Array, Optimizer, floating


class Trajectory:
    """Every symbol of every step of a run, as arrays that are indexed by t as in the formulas.

    ``minimize`` makes it. Besides ``theta`` and ``grad``, its attributes are the symbols of the
    optimizer, for Adam ``m``, ``v``, ``m_hat``, ``v_hat`` and ``update``. Each array has a row for
    each step and one before, most of them the shape ``(steps + 1, *theta.shape)``; row 0 is NaN
    where a symbol has no value before the first step.
    ``len(trajectory)`` is the number of steps.

    Attributes
    ----------
    theta : array
        ``theta[0]`` is the start and ``theta[t]`` the parameters after step t.
    grad : array
        ``grad[t]`` is the gradient that step t used, taken at ``theta[t - 1]``.
    symbols : tuple of str
        The names of all arrays, in the order in which the algorithm computes them.

    Examples
    --------
    >>> from adam_tutorial import Adam
    >>> run = minimize(Adam(lr=0.1), lambda theta: 2 * theta, theta=1.0, steps=2)
    >>> run
    Trajectory(2 steps, theta of shape (): grad, m, v, m_hat, v_hat, update, theta)
    >>> run.m_hat[1], run.grad[1]
    (np.float64(2.0), np.float64(2.0))
    """

    def __init__(self, symbols: dict[str, np.ndarray]):
        self.symbols = tuple(symbols)
        self._arrays = symbols

    def __getattr__(self, name: str) -> np.ndarray:
        try:
            return self.__dict__["_arrays"][name]
        except KeyError:
            raise AttributeError(f"this trajectory has no {name!r}") from None

    def __dir__(self) -> Iterator[str]:
        return [*super().__dir__(), *self.symbols]

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self._arrays["theta"]) - 1

    def __repr__(self) -> str:
        shape = self._arrays["theta"].shape[1:]
        return f"Trajectory({len(self)} steps, theta of shape {shape}: {', '.join(self.symbols)})"

    def table(self) -> pd.DataFrame:
        """Return the run as a table: a row for each t, a column for each symbol and coordinate.

        Returns
        -------
        DataFrame
            Its index is t, from 0. Columns of a parameter that is not a single number carry the
            index of the coordinate: ``m[0]``, ``m[1]``.
        """
        columns = {}
        for name, array in self._arrays.items():
            for index in np.ndindex(array.shape[1:]):
                suffix = "[" + ", ".join(map(str, index)) + "]" if index else ""
                columns[name + suffix] = array[(slice(None), *index)]
        return pd.DataFrame(columns, index=pd.RangeIndex(len(self) + 1, name="t"))


def minimize(
    optimizer: Optimizer, grad: Callable[[Array], Array], theta: Array, steps: int
) -> Trajectory:
    """Take ``steps`` steps of ``optimizer`` from ``theta`` and return every symbol of each.

    Parameters
    ----------
    optimizer : Optimizer
        For example ``Adam(lr=0.01)``.
    grad : callable
        Gives the gradient at the parameters that it is called with. It is called once a step.
    theta : float or NumPy array
        The start, floating point, of any shape. It is not changed.
    steps : int
        Number of steps, at least 1.

    Returns
    -------
    Trajectory
        Row t of each of its arrays belongs to step t.

    Raises
    ------
    ValueError
        If an argument is of the wrong kind, or a gradient does not have the shape and type of
        ``theta``.

    Examples
    --------
    >>> from adam_tutorial.optimizers import SGD
    >>> run = minimize(SGD(lr=0.25), lambda theta: 2 * theta, theta=1.0, steps=3)
    >>> run.theta
    array([1.   , 0.5  , 0.25 , 0.125])
    >>> run.table()
       grad  update  theta
    t
    0   NaN     NaN  1.000
    1   2.0   0.500  0.500
    2   1.0   0.250  0.250
    3   0.5   0.125  0.125
    """
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"optimizer must be an Optimizer such as Adam(), got {optimizer!r}")
    if not callable(grad):
        raise ValueError(f"grad must be a function of theta, got {grad!r}")
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise ValueError(f"steps must be an integer >= 1, got {steps!r}")
    theta = floating("theta", theta)
    if not isinstance(theta, (np.ndarray, np.generic)):
        raise ValueError(f"theta must be a float or a NumPy array, got {type(theta).__name__}")

    state = optimizer.init(theta)
    before = {**state._asdict(), "theta": theta}
    rows = []
    for _ in range(steps):
        g = grad(theta)
        step = optimizer.step(theta, g, state)
        theta, state = step.theta, step.state
        symbols = {k: x for k, x in step._asdict().items() if k not in ("theta", "state")}
        rows.append({"grad": np.array(g), **symbols, "theta": theta})

    arrays = {}
    for name, value in rows[0].items():
        if value is None:  # a buffer that this optimizer does without
            continue
        first = before.get(name)
        first = np.full_like(value, np.nan) if first is None else first
        arrays[name] = np.stack([first, *(row[name] for row in rows)])
    return Trajectory(arrays)
