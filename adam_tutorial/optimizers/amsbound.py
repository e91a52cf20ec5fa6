from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.adabound import bounds
from adam_tutorial.optimizers.base import Array, Optimizer, maximum, zeros_like


class AMSBoundState(NamedTuple):
    r"""What AMSBound remembers between steps, the same as AMSGrad.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    m : array like θ
        :math:`m_t`, the exponential moving average of the gradients.
    v : array like θ
        :math:`v_t`, the exponential moving average of their squares.
    v_max : array like θ
        :math:`v^{\max}_t`, the largest v so far.
    """

    t: int
    m: Array
    v: Array
    v_max: Array


class AMSBoundStep(NamedTuple):
    r"""One step of AMSBound. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : AMSBoundState
        What the next step needs.
    m : array
        :math:`m_t`, the biased first moment estimate.
    v : array
        :math:`v_t`, the biased second moment estimate.
    v_max : array
        :math:`v^{\max}_t`, the largest v so far.
    eta : array
        :math:`\eta_t`, the learning rate of each coordinate, within the bounds.
    update : array
        What the step subtracts: :math:`\theta_t = \theta_{t-1} - \text{update}`.
    """

    theta: Array
    state: AMSBoundState
    m: Array
    v: Array
    v_max: Array
    eta: Array
    update: Array


@dataclass(frozen=True)
class AMSBound(Optimizer):
    r"""AMSBound: AMSGrad whose learning rates are held between bounds that close in on one value.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        v^{\max}_t &= \max(v^{\max}_{t-1}, v_t) \\
        \alpha_t &= \text{lr}\, \sqrt{1 - \beta_2^t} \,\big/\, (1 - \beta_1^t) \\
        l_t &= c\, \big(1 - 1 / (\gamma t + 1)\big) \\
        u_t &= c\, \big(1 + 1 / (\gamma t)\big) \\
        \eta_t &= \text{clip}\big(\alpha_t / (\sqrt{v^{\max}_t} + \epsilon),\; l_t,\; u_t\big) \\
        \theta_t &= \theta_{t-1} - \eta_t\, m_t

    with c for ``final_lr``. All operations are element by element;
    :math:`m_0 = v_0 = v^{\max}_0 = 0`. It is to AMSGrad what ``AdaBound`` is to Adam, in the form
    of the authors' code; what is said there of schedulers holds here.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate of the start, in units of θ, as in AMSGrad.
    betas : pair of floats in [0, 1), default (0.9, 0.999)
        Decay rates of the two moving averages, per step.
    eps : float, default 1e-8
        ε, in units of the gradient, added to the root of the largest v, before the bias correction.
    weight_decay : float, default 0
        λ: adds λθ to the gradient (L2 regularisation).
    final_lr : float, default 0.1
        Learning rate of the end, as in SGD: in units of θ per unit of gradient.
    gamma : float, default 1e-3
        γ: how fast the bounds close, per step.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Luo, Xiong, Liu and Sun, "Adaptive Gradient Methods with Dynamic Bound of Learning Rate",
    ICLR 2019, Algorithm 3.

    Examples
    --------
    >>> import numpy as np
    >>> amsbound = AMSBound(lr=0.1, betas=(0.0, 0.5), gamma=0.0)
    >>> state = amsbound.init(np.array([1.0]))
    >>> for g in (4.0, 1.0, 1.0):
    ...     step = amsbound.step(np.array([1.0]), np.array([g]), state)
    ...     state = step.state
    >>> step.v, step.v_max
    (array([2.75]), array([8.]))
    """

    lr: float = 1e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    final_lr: float = 0.1
    gamma: float = 1e-3

    def init(self, theta):
        zeros = (zeros_like(theta) for _ in range(3))
        return AMSBoundState(0, *zeros)

    def at(self, t):
        beta1, beta2 = self.betas
        return {
            "lr": self.lr,
            "beta1": beta1,
            "beta2": beta2,
            "eps": self.eps,
            "correction1": 1 - beta1**t,
            "correction2": 1 - beta2**t,
            **bounds(t, self.final_lr, self.gamma),
        }

    def rule(
        self, theta, g, state, *, lr, beta1, beta2, eps, correction1, correction2, lower, upper
    ):
        m = beta1 * state.m + (1 - beta1) * g
        v = beta2 * state.v + (1 - beta2) * g**2
        v_max = maximum(state.v_max, v)
        eta = (lr * correction2**0.5 / correction1 / (v_max**0.5 + eps)).clip(lower, upper)
        update = eta * m
        theta = theta - update
        state = AMSBoundState(state.t, m, v, v_max)
        return AMSBoundStep(theta, state, m, v, v_max, eta, update)
