from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, zeros_like


class AdamState(NamedTuple):
    """What Adam remembers between steps: two arrays like θ, and the number of steps.

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


class AdamStep(NamedTuple):
    r"""One step of Adam, with every symbol of Algorithm 1. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : AdamState
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
        What the step subtracts: :math:`\theta_t = \theta_{t-1} - \text{update}`.
    """

    theta: Array
    state: AdamState
    m: Array
    v: Array
    m_hat: Array
    v_hat: Array
    update: Array


@dataclass(frozen=True)
class Adam(Optimizer):
    r"""Adam: the mean gradient, divided in each coordinate by the root of its mean square.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        \hat m_t &= m_t / (1 - \beta_1^t) \\
        \hat v_t &= v_t / (1 - \beta_2^t) \\
        \theta_t &= \theta_{t-1} - \text{lr}\; \hat m_t / (\sqrt{\hat v_t} + \epsilon)

    All operations are element by element; :math:`m_0 = v_0 = 0`.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate, α in the paper, in units of θ: the length of a step in each coordinate as
        long as the gradient stays the same and is much larger than ε.
    betas : pair of floats in [0, 1), default (0.9, 0.999)
        Decay rates of the two moving averages, per step.
    eps : float, default 1e-8
        ε, in units of the gradient. It is added to :math:`\sqrt{\hat v}`, after the bias
        correction, as in the paper's Algorithm 1, PyTorch and Optax. Keras and TensorFlow add
        theirs to :math:`\sqrt v`, before the correction (the paper's ε̂), with 1e-7. In float16
        the default rounds to 0; give a larger one.
    weight_decay : float, default 0
        λ: adds λθ to the gradient (L2 regularisation). This is not AdamW's decoupled decay.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> adam = Adam(lr=0.01)
    >>> theta = np.array([1.0, 1.0])
    >>> step = adam.step(theta, np.array([5.0, -0.001]), adam.init(theta))
    >>> step.theta.round(6)
    array([0.99, 1.01])
    """

    lr: float = 1e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def init(self, theta):
        return AdamState(t=0, m=zeros_like(theta), v=zeros_like(theta))

    def at(self, t):
        beta1, beta2 = self.betas
        return {
            "lr": self.lr,
            "beta1": beta1,
            "beta2": beta2,
            "eps": self.eps,
            "correction1": 1 - beta1**t,
            "correction2": 1 - beta2**t,
        }

    def rule(self, theta, g, state, *, lr, beta1, beta2, eps, correction1, correction2):
        m = beta1 * state.m + (1 - beta1) * g
        v = beta2 * state.v + (1 - beta2) * g**2
        m_hat = m / correction1
        v_hat = v / correction2
        update = lr * m_hat / (v_hat**0.5 + eps)
        theta = theta - update
        return AdamStep(theta, AdamState(state.t, m, v), m, v, m_hat, v_hat, update)
