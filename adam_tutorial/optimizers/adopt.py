from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, zeros_like


class ADOPTState(NamedTuple):
    """What ADOPT remembers between steps: two arrays like θ, and the number of steps.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    m : array like θ
        :math:`m_t`, the exponential moving average of the normalised gradients.
    v : array like θ
        :math:`v_t`, that of the squared gradients.
    """

    t: int
    m: Array
    v: Array


class ADOPTStep(NamedTuple):
    r"""One step of ADOPT. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : ADOPTState
        What the next step needs.
    g_hat : array
        The gradient over the root of the v before it, clipped.
    m : array
        :math:`m_t`, the exponential moving average of that.
    v : array
        :math:`v_t`, the exponential moving average of the squared gradients.
    update : array
        What the step subtracts: :math:`\theta_t = \theta_{t-1} - \text{update}`.
    """

    theta: Array
    state: ADOPTState
    g_hat: Array
    m: Array
    v: Array
    update: Array


@dataclass(frozen=True)
class ADOPT(Optimizer):
    r"""ADOPT: Adam that divides by what it knew before the gradient, and averages after that.

    .. math::

        c_t &= (t - 1)^{1/4} \\
        \hat g_t &= \text{clip}\!\left(g_t / \max(\sqrt{v_{t-1}}, \epsilon),\, -c_t,\, c_t\right) \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, \hat g_t \\
        \theta_t &= \theta_{t-1} - \text{lr}\; m_t \\
        v_t &= \begin{cases}
            g_1^2 & \text{if } t = 1 \\
            \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 & \text{else}
        \end{cases}

    All operations are element by element; :math:`m_0 = v_0 = 0`. Adam's v holds the very gradient
    that it divides, so that a rare large one damps itself; with too small a β₂ this keeps Adam from
    converging in some problems. Here a gradient is divided by what was known before it. As there is
    no v before the first gradient, the first step only sets it: :math:`c_1 = 0`, and θ stays.

    Optax, too, has this form. pytorch-optimizer has :math:`c_t = t^{1/4}`. One version of the
    authors' code does not clip, but lets ε fall with t.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate, α in the paper, in units of θ.
    betas : pair of floats in [0, 1), default (0.9, 0.9999)
        Decay rates of the two moving averages, per step.
    eps : float, default 1e-6
        ε, in units of the gradient: the least value to divide by.
    weight_decay : float, default 0
        λ: adds λθ to the gradient (L2 regularisation).

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Taniguchi et al., "ADOPT: Modified Adam Can Converge with Any β₂ with the Optimal Rate",
    NeurIPS 2024.

    Examples
    --------
    >>> import numpy as np
    >>> adopt, theta = ADOPT(lr=0.1), np.array([1.0])
    >>> first = adopt.step(theta, np.array([5.0]), adopt.init(theta))
    >>> first.theta, first.v
    (array([1.]), array([25.]))
    >>> adopt.step(first.theta, np.array([5.0]), first.state).theta
    array([0.99])
    """

    lr: float = 1e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.9999)
    eps: float = 1e-6
    weight_decay: float = 0.0

    def init(self, theta):
        return ADOPTState(t=0, m=zeros_like(theta), v=zeros_like(theta))

    def at(self, t):
        beta1, beta2 = self.betas
        return {
            "lr": self.lr,
            "beta1": beta1,
            "beta2": beta2 if t > 1 else 0.0,
            "eps": self.eps,
            "c": (t - 1) ** 0.25,
        }

    def rule(self, theta, g, state, *, lr, beta1, beta2, eps, c):
        g_hat = (g / (state.v**0.5).clip(min=eps)).clip(-c, c)
        m = beta1 * state.m + (1 - beta1) * g_hat
        update = lr * m
        theta = theta - update
        v = beta2 * state.v + (1 - beta2) * g**2
        return ADOPTStep(theta, ADOPTState(state.t, m, v), g_hat, m, v, update)
