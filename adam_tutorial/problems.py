"""Functions to minimise, with their gradients and minima."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Problem:
    """A function to minimise.

    ``value`` and ``grad`` take an array whose last axis holds the coordinates, so that one call
    evaluates a whole grid of points: ``value`` gives an array without that axis, ``grad`` one of
    the same shape.
    """

    name: str
    value: Callable[[np.ndarray], np.ndarray]
    grad: Callable[[np.ndarray], np.ndarray]
    minimum: np.ndarray
    start: np.ndarray

    def noisy(self, scale: float, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
        """Return the gradient with independent normal noise of this standard deviation added.

        It stands for the gradient of a mini-batch: right on average, wrong each time.
        """
        if not (math.isfinite(scale) and scale >= 0):
            raise ValueError(f"scale must be finite and >= 0, got {scale!r}")
        return lambda theta: self.grad(theta) + scale * rng.standard_normal(np.shape(theta))


def ravine(condition: float = 100.0, angle: float = 0.0) -> Problem:
    r"""Return a quadratic with curvature 1 along one axis and ``condition`` across it.

    .. math:: f(\theta) = \tfrac12\, \theta^\top R\, \mathrm{diag}(1, \kappa)\, R^\top \theta

    Parameters
    ----------
    condition : float >= 1
        κ, the condition number: the ratio of the largest to the smallest curvature.
    angle : float
        How far the ravine is turned from the first coordinate axis, in degrees.
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

        f(\theta) = \sum_{i=1}^{3} \left(c_i - \theta_1 (1 - \theta_2^i)\right)^2,
        \qquad c = (1.5,\ 2.25,\ 2.625)
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
