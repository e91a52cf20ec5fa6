"""Functions to minimise, with their gradients and minima."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Problem:
    """A function of n coordinates to minimise.

    ``value`` and ``grad`` take an array whose last axis holds the coordinates, so that one call
    evaluates a whole grid of points.

    Parameters
    ----------
    name : str
        What a figure calls it.
    value : callable
        From points, of shape ``(..., n)``, to the function there, of shape ``(...)``.
    grad : callable
        From points, of shape ``(..., n)``, to the gradients there, of the same shape.
    minimum : array of shape (n,)
        The point at which the function is least.
    start : array of shape (n,)
        Where runs begin.

    Examples
    --------
    >>> problem = ravine(condition=100)
    >>> problem.grad(problem.start)
    array([ 10., 100.])
    >>> grid = np.zeros((5, 4, 2))
    >>> problem.value(grid).shape, problem.grad(grid).shape
    ((5, 4), (5, 4, 2))
    """

    name: str
    value: Callable[[np.ndarray], np.ndarray]
    grad: Callable[[np.ndarray], np.ndarray]
    minimum: np.ndarray
    start: np.ndarray

    def noisy(self, scale: float, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
        """Return the gradient with independent normal noise of this standard deviation added.

        It stands for the gradient of a mini-batch: right on average, wrong each time.

        Parameters
        ----------
        scale : float >= 0
            Standard deviation of the noise in each coordinate, in units of the gradient.
        rng : numpy.random.Generator
            Where the noise comes from; every call draws from it.

        Returns
        -------
        callable
            Takes points as ``grad`` does; each point gets noise of its own.

        Raises
        ------
        ValueError
            If ``scale`` is negative or not finite.

        Examples
        --------
        >>> grad = ravine().noisy(0.1, np.random.default_rng(0))
        >>> grad(np.zeros(2)).shape
        (2,)
        """
        if not (math.isfinite(scale) and scale >= 0):
            raise ValueError(f"scale must be finite and >= 0, got {scale!r}")
        return lambda theta: self.grad(theta) + scale * rng.standard_normal(np.shape(theta))


def ravine(condition: float = 100.0, angle: float = 0.0) -> Problem:
    r"""Return a quadratic with curvature 1 along one axis and ``condition`` across it.

    .. math:: f(\theta) = \tfrac12\, \theta^\top R\, \mathrm{diag}(1, \kappa)\, R^\top \theta

    R is the rotation by ``angle``. The minimum is at the origin, the value there 0; the start is
    10 along the ravine and 1 across it.

    Parameters
    ----------
    condition : float >= 1, default 100
        κ, the condition number: the ratio of the largest to the smallest curvature.
    angle : float, default 0
        How far the ravine is turned from the first coordinate axis, in degrees, from the first
        axis towards the second.

    Returns
    -------
    Problem
        In two coordinates.

    Raises
    ------
    ValueError
        If ``condition`` is below 1, or one of the two is not finite.

    Examples
    --------
    >>> float(ravine(condition=100).value([10.0, 1.0]))
    100.0
    """
    if not (math.isfinite(condition) and condition >= 1):
        raise ValueError(f"condition must be finite and >= 1, got {condition!r}")
    if not math.isfinite(angle):
        raise ValueError(f"angle must be finite, got {angle!r}")
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cos, -sin], [sin, cos]])
    hessian = turn @ np.diag([1.0, condition]) @ turn.T
    return Problem(
        name=f"ravine, condition number {condition:g}",
        value=lambda theta: 0.5 * np.einsum("...i,ij,...j", theta, hessian, theta),
        grad=lambda theta: np.asarray(theta) @ hessian,
        minimum=np.zeros(2),
        start=turn @ np.array([10.0, 1.0]),
    )


def rosenbrock() -> Problem:
    r"""Return Rosenbrock's function: a curved valley with an almost flat floor.

    .. math:: f(\theta) = (1 - \theta_1)^2 + 100\, (\theta_2 - \theta_1^2)^2

    The minimum is at (1, 1), the value there 0; the start is (-1.5, 2).

    Returns
    -------
    Problem
        In two coordinates.

    References
    ----------
    Rosenbrock, "An Automatic Method for Finding the Greatest or Least Value of a Function", The
    Computer Journal, 1960.

    Examples
    --------
    >>> float(rosenbrock().value([0.0, 1.0]))
    101.0
    """

    def value(theta):
        x, y = np.moveaxis(np.asarray(theta), -1, 0)
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2

    def grad(theta):
        x, y = np.moveaxis(np.asarray(theta), -1, 0)
        return np.stack([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)], axis=-1)

    return Problem("Rosenbrock", value, grad, np.array([1.0, 1.0]), np.array([-1.5, 2.0]))


def beale() -> Problem:
    r"""Return Beale's function: steep walls around a plain with a shallow minimum.

    .. math::

        f(\theta) &= \sum_{i=1}^{3} \left(c_i - \theta_1 (1 - \theta_2^i)\right)^2, \\
        c &= (1.5,\ 2.25,\ 2.625)

    The minimum is at (3, 0.5), the value there 0; the start is (1, 1).

    Returns
    -------
    Problem
        In two coordinates.

    References
    ----------
    Beale, "On an Iterative Method for Finding a Local Minimum of a Function of More than One
    Variable", Technical Report 25, Statistical Techniques Research Group, Princeton University,
    1958.

    Examples
    --------
    >>> problem = beale()
    >>> float(problem.value(problem.start))
    14.203125
    """
    c = (1.5, 2.25, 2.625)

    def value(theta):
        x, y = np.moveaxis(np.asarray(theta), -1, 0)
        return sum((ci - x * (1 - y**i)) ** 2 for i, ci in enumerate(c, start=1))

    def grad(theta):
        x, y = np.moveaxis(np.asarray(theta), -1, 0)
        terms = [(i, ci - x * (1 - y**i)) for i, ci in enumerate(c, start=1)]
        dx = sum(-2 * r * (1 - y**i) for i, r in terms)
        dy = sum(2 * r * i * x * y ** (i - 1) for i, r in terms)
        return np.stack([dx, dy], axis=-1)

    return Problem("Beale", value, grad, np.array([3.0, 0.5]), np.array([1.0, 1.0]))
