import math
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from adam_tutorial.optimizers.base import Array, Optimizer, floating, library, zeros

BLOCK = 256
"""The number of elements that share a scale."""


class Adam8bitState(NamedTuple):
    r"""What 8-bit Adam remembers between steps: two bytes an element, two numbers a block, and t.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    m_codes, v_codes : arrays of bytes, of the shape of θ
        The number of the level that stands for each element of :math:`m_t` and of :math:`v_t`.
    m_scale, v_scale : arrays, one element a block
        The largest absolute value in each block, by which its levels are multiplied.
    """

    t: int
    m_codes: Array
    m_scale: Array
    v_codes: Array
    v_scale: Array


class Adam8bitStep(NamedTuple):
    r"""One step of 8-bit Adam. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : Adam8bitState
        What the next step needs.
    m : array
        :math:`m_t`, the biased first moment estimate, before it is rounded to 8 bits.
    v : array
        :math:`v_t`, the biased second moment estimate, before it is rounded to 8 bits.
    m_hat : array
        :math:`\hat m_t`, the bias-corrected first moment estimate.
    v_hat : array
        :math:`\hat v_t`, the bias-corrected second moment estimate.
    update : array
        What the step subtracts, besides the weight decay.
    """

    theta: Array
    state: Adam8bitState
    m: Array
    v: Array
    m_hat: Array
    v_hat: Array
    update: Array


def dynamic_map(signed: bool) -> np.ndarray:
    r"""Return the 256 levels that stand for numbers from -1 or 0 to 1, in rising order.

    They are 0 and 1, and in each decade from :math:`10^{-7}` to 1 twice as many, evenly spaced,
    as in the decade below: from 1 to 64 with either sign, or from 2 to 128. So the relative error
    is least for the large values of a block.

    Parameters
    ----------
    signed : bool
        Whether numbers may be negative.

    Returns
    -------
    array of shape (256,)
        The levels.

    Examples
    --------
    >>> dynamic_map(signed=False)[:4]
    array([0.000e+00, 3.250e-07, 7.750e-07, 2.125e-06])
    """
    levels = [0.0, 1.0]
    for i in range(7):
        count = 2**i if signed else 2 ** (i + 1)
        # The middles of so many equal parts of the decade.
        decade = 10.0 ** (i - 6) * (0.1 + 0.9 * (np.arange(count) + 0.5) / count)
        levels += [*decade, *(-decade if signed else [])]
    return np.sort(levels)


SIGNED, UNSIGNED = dynamic_map(signed=True).tolist(), dynamic_map(signed=False).tolist()


def quantize(x: Array, levels: list[float]) -> tuple[Array, Array]:
    """Return the number of the level next to each element, and the scale of each block.

    Parameters
    ----------
    x : array or tensor, floating point
        What to round, of any shape. A block is 256 elements in the order of memory.
    levels : list of 256 floats
        ``SIGNED`` or ``UNSIGNED``.

    Returns
    -------
    codes : array of bytes, of the shape of x
        The numbers of the levels.
    scale : array, one element a block
        The largest absolute value in the block.

    Examples
    --------
    >>> codes, scale = quantize(np.array([4.0, 1.0, 0.0, -2.0]), SIGNED)
    >>> codes
    array([255, 201, 127,  35], dtype=uint8)
    >>> dequantize(codes, scale, SIGNED).round(3)
    array([ 4.   ,  0.991,  0.   , -2.003])
    """
    xp = library(x)
    rows = _blocks(x)
    scale = xp.amax(abs(rows), -1)
    middles = [(low + high) / 2 for low, high in pairwise(levels)]
    middles = xp.asarray(middles, dtype=x.dtype, device=x.device)
    codes = xp.searchsorted(middles, rows / (scale + (scale == 0))[:, None])
    return xp.asarray(_unblocked(codes, x.shape), dtype=xp.uint8), scale


def dequantize(codes: Array, scale: Array, levels: list[float]) -> Array:
    """Return the numbers that codes stand for.

    Parameters
    ----------
    codes, scale : arrays or tensors
        What ``quantize`` gave.
    levels : list of 256 floats
        The same as there.

    Returns
    -------
    array or tensor of the shape of codes
        Each level times the scale of its block.
    """
    xp = library(scale)
    table = xp.asarray(levels, dtype=scale.dtype, device=scale.device)
    x = xp.take(table, xp.asarray(codes, dtype=xp.int64))
    return _unblocked(_blocks(x) * scale[:, None], codes.shape)


def _blocks(x: Array) -> Array:
    """Return the elements in rows of a block each, the last one filled up with zeros."""
    xp = library(x)
    flat = x.reshape((-1,))
    fill = xp.zeros((-flat.shape[0] % BLOCK,), dtype=x.dtype, device=x.device)
    return xp.concatenate((flat, fill)).reshape((-1, BLOCK))


def _unblocked(rows: Array, shape: tuple[int, ...]) -> Array:
    """Return what ``_blocks`` made rows of, in its own shape."""
    return rows.reshape((-1,))[: math.prod(shape)].reshape(tuple(shape))


@dataclass(frozen=True)
class Adam8bit(Optimizer):
    r"""8-bit Adam: Adam that keeps a byte, not a float, for each element of m and of v.

    .. math::

        m_t &= \beta_1\, D(m_{t-1}) + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2\, D(v_{t-1}) + (1 - \beta_2)\, g_t^2 \\
        \hat m_t &= m_t / (1 - \beta_1^t), \qquad \hat v_t = v_t / (1 - \beta_2^t) \\
        \theta_t &= (1 - \text{lr}\,\lambda) \bigl( \theta_{t-1}
            - \text{lr}\; \hat m_t / (\sqrt{\hat v_t} + \epsilon) \bigr)

    All operations are element by element; :math:`m_0 = v_0 = 0`. The step is that of Adam from
    what the bytes stand for, D(m) and D(v): in each block of 256 elements, one of 256 levels times
    the largest absolute value of the block. The levels lie evenly within each decade, and more
    densely in the upper ones (``dynamic_map``).

    This is the form of bitsandbytes, with its levels, its blocks and its decoupled weight decay
    after the step. There, tensors of fewer than 4096 elements keep 32 bits; and a negative m that
    would be rounded to 0 goes to the next level below. Here every tensor has 8 bits, in the type of
    θ otherwise, and the nearest level is taken. The paper's blocks have 2048 elements.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate, α in the paper, in units of θ.
    betas : pair of floats in [0, 1), default (0.9, 0.999)
        Decay rates of the two moving averages, per step.
    eps : float, default 1e-8
        ε, in units of the gradient, added to :math:`\sqrt{\hat v}`.
    weight_decay : float, default 0
        λ: after each step θ shrinks by the part lr λ (decoupled weight decay).

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Dettmers et al., "8-bit Optimizers via Block-wise Quantization", ICLR 2022.

    Examples
    --------
    Two bytes an element, and two floats for each 256 of them:

    >>> theta = np.zeros(25_600, dtype=np.float32)
    >>> Adam8bit().state_bytes(theta) / theta.size
    2.03125
    """

    lr: float = 1e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    LIKE_THETA = False
    DECOUPLED = True

    def init(self, theta):
        theta = floating("theta", theta)
        scales = (-(-math.prod(theta.shape) // BLOCK),)
        # The code of 0 is its place among the levels.
        m_codes = zeros(theta, theta.shape, "uint8") + SIGNED.index(0.0)
        v_codes = zeros(theta, theta.shape, "uint8")
        return Adam8bitState(0, m_codes, zeros(theta, scales), v_codes, zeros(theta, scales))

    def at(self, t):
        beta1, beta2 = self.betas
        return {
            "lr": self.lr,
            "beta1": beta1,
            "beta2": beta2,
            "eps": self.eps,
            "weight_decay": self.weight_decay,
            "correction1": 1 - beta1**t,
            "correction2": 1 - beta2**t,
        }

    def rule(
        self, theta, g, state, *, lr, beta1, beta2, eps, weight_decay, correction1, correction2
    ):
        m = beta1 * dequantize(state.m_codes, state.m_scale, SIGNED) + (1 - beta1) * g
        v = beta2 * dequantize(state.v_codes, state.v_scale, UNSIGNED) + (1 - beta2) * g**2
        m_hat = m / correction1
        v_hat = v / correction2
        update = lr * m_hat / (v_hat**0.5 + eps)
        theta = (1 - lr * weight_decay) * (theta - update)
        state = Adam8bitState(state.t, *quantize(m, SIGNED), *quantize(v, UNSIGNED))
        return Adam8bitStep(theta, state, m, v, m_hat, v_hat, update)
