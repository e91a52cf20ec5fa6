from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, zeros_like


class AdanState(NamedTuple):
    """What Adan remembers between steps: four arrays like θ, and the number of steps.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    m : array like θ
        :math:`m_t`, the exponential moving average of the gradients.
    v : array like θ
        :math:`v_t`, that of their differences from step to step.
    n : array like θ
        :math:`n_t`, that of the squared gradients as Nesterov's momentum sees them.
    g : array like θ
        :math:`g_t`, the last gradient.
    """

    t: int
    m: Array
    v: Array
    n: Array
    g: Array


class AdanStep(NamedTuple):
    r"""One step of Adan. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : AdanState
        What the next step needs.
    d : array
        :math:`d_t`, by how much the gradient has changed.
    m : array
        :math:`m_t`, the exponential moving average of the gradients.
    v : array
        :math:`v_t`, that of d.
    n : array
        :math:`n_t`, that of :math:`(g_t + \beta_2 d_t)^2`.
    m_hat, v_hat, n_hat : array
        The same, bias-corrected.
    update : array
        What the step subtracts before the decay:
        :math:`\theta_t = (\theta_{t-1} - \text{update}) / (1 + \text{lr}\,\lambda)`.
    """

    theta: Array
    state: AdanState
    d: Array
    m: Array
    v: Array
    n: Array
    m_hat: Array
    v_hat: Array
    n_hat: Array
    update: Array


@dataclass(frozen=True)
class Adan(Optimizer):
    r"""Adan: Adam with Nesterov's momentum, foreseen from how the gradient changes.

    .. math::

        d_t &= g_t - g_{t-1}, \qquad d_1 = 0 \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, d_t \\
        n_t &= \beta_3 n_{t-1} + (1 - \beta_3)\, (g_t + \beta_2 d_t)^2 \\
        \hat m_t &= m_t / (1 - \beta_1^t) \\
        \hat v_t &= v_t / (1 - \beta_2^t) \\
        \hat n_t &= n_t / (1 - \beta_3^t) \\
        \theta_t &= \frac{1}{1 + \text{lr}\,\lambda} \left(\theta_{t-1}
            - \text{lr}\, \frac{\hat m_t + \beta_2 \hat v_t}{\sqrt{\hat n_t} + \epsilon} \right)

    All operations are element by element; :math:`m_0 = v_0 = n_0 = 0`.

    This is the form of the authors' code. Its β are decay rates as elsewhere; those of the paper
    are 1 minus these, and its algorithm has no bias correction.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate, η in the paper, in units of θ.
    betas : triple of floats in [0, 1), default (0.98, 0.92, 0.99)
        Decay rates of the three moving averages, per step.
    eps : float, default 1e-8
        ε, in units of the gradient, added to :math:`\sqrt{\hat n}`.
    weight_decay : float, default 0
        λ, per unit of lr: after the step θ is divided by 1 + lr λ, which is nearly, but not quite,
        AdamW's multiplication by 1 - lr λ before it. The authors' ``no_prox=True`` gives that.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Xie, Zhou, Li, Lin and Yan, "Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing
    Deep Models", IEEE TPAMI 2024, Algorithm 1.

    Examples
    --------
    A gradient that falls from 2 to 1 is taken for one that goes on falling: with these decay rates
    for 0.5.

    >>> import numpy as np
    >>> adan = Adan(lr=0.1, betas=(0.0, 0.5, 0.0))
    >>> state = adan.init(np.array([1.0]))
    >>> for g in (2.0, 1.0):
    ...     step = adan.step(np.array([1.0]), np.array([g]), state)
    ...     state = step.state
    >>> step.d, step.n**0.5
    (array([-1.]), array([0.5]))
    """

    lr: float = 1e-3
    _: KW_ONLY
    betas: tuple[float, float, float] = (0.98, 0.92, 0.99)
    eps: float = 1e-8
    weight_decay: float = 0.0

    DECOUPLED = True

    def init(self, theta):
        zeros = (zeros_like(theta) for _ in range(4))
        return AdanState(0, *zeros)

    def at(self, t):
        beta1, beta2, beta3 = self.betas
        return {
            "lr": self.lr,
            "beta1": beta1,
            "beta2": beta2,
            "beta3": beta3,
            "eps": self.eps,
            "weight_decay": self.weight_decay,
            "later": float(t > 1),
            "correction1": 1 - beta1**t,
            "correction2": 1 - beta2**t,
            "correction3": 1 - beta3**t,
        }

    def rule(
        self, theta, g, state, *,
        lr, beta1, beta2, beta3, eps, weight_decay, later, correction1, correction2, correction3,
    ):  # fmt: skip
        d = later * (g - state.g)
        m = beta1 * state.m + (1 - beta1) * g
        v = beta2 * state.v + (1 - beta2) * d
        n = beta3 * state.n + (1 - beta3) * (g + beta2 * d) ** 2
        m_hat = m / correction1
        v_hat = v / correction2
        n_hat = n / correction3
        update = lr * (m_hat + beta2 * v_hat) / (n_hat**0.5 + eps)
        theta = (theta - update) / (1 + lr * weight_decay)
        # A copy of g: whoever computes gradients may reuse the array.
        state = AdanState(state.t, m, v, n, 1.0 * g)
        return AdanStep(theta, state, d, m, v, n, m_hat, v_hat, n_hat, update)
