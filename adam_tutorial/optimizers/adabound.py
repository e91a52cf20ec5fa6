import math
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, zeros_like


class AdaBoundState(NamedTuple):
    """What AdaBound remembers between steps, the same as Adam.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    m : array like θ
        :math:`m_t`, the exponential moving average of the gradients.
    v : array like θ
        :math:`v_t`, the exponential moving average of their squares.
    """

    t: int
    m: Array
    v: Array


class AdaBoundStep(NamedTuple):
    r"""One step of AdaBound. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : AdaBoundState
        What the next step needs.
    m : array
        :math:`m_t`, the biased first moment estimate.
    v : array
        :math:`v_t`, the biased second moment estimate.
    eta : array
        :math:`\eta_t`, the learning rate of each coordinate, within the bounds.
    update : array
        What the step subtracts: :math:`\theta_t = \theta_{t-1} - \text{update}`.
    """

    theta: Array
    state: AdaBoundState
    m: Array
    v: Array
    eta: Array
    update: Array


def bounds(t: int, final_lr: float, gamma: float) -> dict[str, float]:
    """Return the bounds that AdaBound and AMSBound set to the learning rate of a coordinate.

    Parameters
    ----------
    t : int
        The step, counted from 1.
    final_lr : float
        Where both bounds end.
    gamma : float
        How fast they get there, per step; with 0 there are no bounds.

    Returns
    -------
    dict
        ``lower`` and ``upper``.

    Examples
    --------
    >>> bounds(1000, final_lr=0.1, gamma=1e-3)
    {'lower': 0.05, 'upper': 0.2}
    """
    lower = final_lr * (1 - 1 / (gamma * t + 1))
    upper = final_lr * (1 + 1 / (gamma * t)) if gamma > 0 else math.inf
    return {"lower": lower, "upper": upper}


@dataclass(frozen=True)
class AdaBound(Optimizer):
    r"""AdaBound: Adam whose learning rates are held between bounds that close in on one value.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        \alpha_t &= \text{lr}\, \sqrt{1 - \beta_2^t} \,\big/\, (1 - \beta_1^t) \\
        l_t &= c\, \big(1 - 1 / (\gamma t + 1)\big) \\
        u_t &= c\, \big(1 + 1 / (\gamma t)\big) \\
        \eta_t &= \text{clip}\big(\alpha_t / (\sqrt{v_t} + \epsilon),\; l_t,\; u_t\big) \\
        \theta_t &= \theta_{t-1} - \eta_t\, m_t

    with c for ``final_lr``. All operations are element by element; :math:`m_0 = v_0 = 0`. At first
    the bounds are wide, and the step is Adam's. In the end every coordinate has the learning rate
    ``final_lr``, and the step is that of SGD with momentum. With γ = 0 it is Adam all along.

    This is the form of the authors' code. The paper divides :math:`\eta_t` by :math:`\sqrt t`
    besides. The authors' code also lets ``final_lr`` follow a learning-rate scheduler. Here a
    scheduler changes lr alone, which has no effect once the bounds have closed; change
    ``final_lr`` of the parameter group, too.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate of the start, in units of θ, as in Adam.
    betas : pair of floats in [0, 1), default (0.9, 0.999)
        Decay rates of the two moving averages, per step.
    eps : float, default 1e-8
        ε, in units of the gradient, added to :math:`\sqrt v`, before the bias correction.
    weight_decay : float, default 0
        λ: adds λθ to the gradient (L2 regularisation).
    final_lr : float, default 0.1
        Learning rate of the end, as in SGD: in units of θ per unit of gradient.
    gamma : float, default 1e-3
        γ: how fast the bounds close, per step. After 1/γ steps they are half of ``final_lr`` and
        twice as much.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Luo, Xiong, Liu and Sun, "Adaptive Gradient Methods with Dynamic Bound of Learning Rate",
    ICLR 2019, Algorithm 2.

    Examples
    --------
    >>> for t in (1, 1000, 1_000_000):
    ...     numbers = AdaBound().at(t)
    ...     print(f"{numbers['lower']:.4f} to {numbers['upper']:.4f}")
    0.0001 to 100.1000
    0.0500 to 0.2000
    0.0999 to 0.1001
    """

    lr: float = 1e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    final_lr: float = 0.1
    gamma: float = 1e-3

    def init(self, theta):
        return AdaBoundState(t=0, m=zeros_like(theta), v=zeros_like(theta))

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
        eta = (lr * correction2**0.5 / correction1 / (v**0.5 + eps)).clip(lower, upper)
        update = eta * m
        theta = theta - update
        return AdaBoundStep(theta, AdaBoundState(state.t, m, v), m, v, eta, update)
