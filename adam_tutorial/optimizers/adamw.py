from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, zeros_like


class AdamWState(NamedTuple):
    """What AdamW remembers between steps, the same as Adam.

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


class AdamWStep(NamedTuple):
    r"""One step of AdamW. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : AdamWState
        What the next step needs.
    m : array
        :math:`m_t`, the biased first moment estimate.
    v : array
        :math:`v_t`, the biased second moment estimate.
    m_hat : array
        :math:`\hat m_t`, the bias-corrected first moment estimate.
    v_hat : array
        :math:`\hat v_t`, the bias-corrected second moment estimate.
    update : array
        What the step subtracts after the decay:
        :math:`\theta_t = (1 - \text{lr}\,\lambda)\,\theta_{t-1} - \text{update}`.
    """

    theta: Array
    state: AdamWState
    m: Array
    v: Array
    m_hat: Array
    v_hat: Array
    update: Array


@dataclass(frozen=True)
class AdamW(Optimizer):
    r"""AdamW: Adam, with a weight decay that does not pass through the moments.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        \hat m_t &= m_t / (1 - \beta_1^t) \\
        \hat v_t &= v_t / (1 - \beta_2^t) \\
        \theta_t &= (1 - \text{lr}\,\lambda)\,\theta_{t-1}
            - \text{lr}\; \hat m_t / (\sqrt{\hat v_t} + \epsilon)

    All operations are element by element; :math:`m_0 = v_0 = 0`. In Adam the gradient
    :math:`\lambda\theta` of an L2 term is divided by :math:`\sqrt{\hat v}` like the rest, so that
    weights with large gradients decay less. Here all decay alike.

    PyTorch, Keras and Optax multiply the decay by lr, as here. The paper multiplies it by the
    schedule, a factor on lr, but not by lr itself.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate, in units of θ.
    betas : pair of floats in [0, 1), default (0.9, 0.999)
        Decay rates of the two moving averages, per step.
    eps : float, default 1e-8
        ε, in units of the gradient, added to :math:`\sqrt{\hat v}` as in PyTorch and Optax. Keras
        adds its 1e-7 to :math:`\sqrt v`, before the bias correction.
    weight_decay : float, default 1e-2
        λ, per unit of lr: a step shrinks θ by the part lr λ. Keras has no decay unless it is asked
        for, its AdamW 0.004; Optax has 0.0001.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, Algorithm 2.

    Examples
    --------
    Both weights lose a thousandth, however large their gradients are:

    >>> import numpy as np
    >>> adamw = AdamW(lr=0.01, weight_decay=0.1)
    >>> theta = np.array([1.0, 1.0])
    >>> step = adamw.step(theta, np.array([5.0, -0.001]), adamw.init(theta))
    >>> (step.theta + step.update).round(6), step.theta.round(6)
    (array([0.999, 0.999]), array([0.989, 1.009]))
    """

    lr: float = 1e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 1e-2

    DECOUPLED = True

    def init(self, theta):
        return AdamWState(t=0, m=zeros_like(theta), v=zeros_like(theta))

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
        m = beta1 * state.m + (1 - beta1) * g
        v = beta2 * state.v + (1 - beta2) * g**2
        m_hat = m / correction1
        v_hat = v / correction2
        update = lr * m_hat / (v_hat**0.5 + eps)
        theta = (1 - lr * weight_decay) * theta - update
        return AdamWStep(theta, AdamWState(state.t, m, v), m, v, m_hat, v_hat, update)
