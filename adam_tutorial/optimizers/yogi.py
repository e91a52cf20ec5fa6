from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, full_like, sign, zeros_like


class YogiState(NamedTuple):
    """What Yogi remembers between steps: two arrays like θ, and the number of steps.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    m : array like θ
        :math:`m_t`, the exponential moving average of the gradients.
    v : array like θ
        :math:`v_t`, which follows the squared gradients up and down.
    """

    t: int
    m: Array
    v: Array


class YogiStep(NamedTuple):
    r"""One step of Yogi. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : YogiState
        What the next step needs.
    m : array
        :math:`m_t`, the biased first moment estimate.
    v : array
        :math:`v_t`, the biased second moment estimate.
    m_hat : array
        :math:`\hat m_t`, the bias-corrected first moment estimate.
    v_hat : array
        :math:`\hat v_t`, v with Adam's bias correction.
    update : array
        What the step subtracts: :math:`\theta_t = \theta_{t-1} - \text{update}`.
    """

    theta: Array
    state: YogiState
    m: Array
    v: Array
    m_hat: Array
    v_hat: Array
    update: Array


@dataclass(frozen=True)
class Yogi(Optimizer):
    r"""Yogi: Adam whose second moment changes by no more than the present squared gradient.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= v_{t-1} - (1 - \beta_2)\, \text{sign}(v_{t-1} - g_t^2)\, g_t^2 \\
        \hat m_t &= m_t / (1 - \beta_1^t) \\
        \hat v_t &= v_t / (1 - \beta_2^t) \\
        \theta_t &= \theta_{t-1} - \text{lr}\; \hat m_t / (\sqrt{\hat v_t} + \epsilon)

    All operations are element by element; :math:`m_0 = 0`. Adam's v moves by
    :math:`(1 - \beta_2)(g_t^2 - v_{t-1})`: where large gradients were followed by small ones, it
    falls by nearly a fixed part of itself at every step. This one falls by that part of the small
    squared gradient, and so more slowly.

    The bias corrections and the place of ε are those of Optax and pytorch-optimizer, which however
    start m, too, at ``initial_accumulator_value``. TensorFlow Addons starts m at 0, as here, and
    adds ε to :math:`\sqrt v`, before the bias correction.

    Parameters
    ----------
    lr : float, default 1e-2
        Learning rate, in units of θ.
    betas : pair of floats in [0, 1), default (0.9, 0.999)
        Decay rate of m, and 1 minus the rate at which v follows, per step.
    eps : float, default 1e-3
        ε, in units of the gradient, added to :math:`\sqrt{\hat v}`. So large a value makes
        coordinates with gradients below it move like in SGD.
    weight_decay : float, default 0
        λ: adds λθ to the gradient (L2 regularisation). pytorch-optimizer by default decays θ
        itself, as AdamW.
    initial_accumulator_value : float, default 1e-6
        :math:`v_0`, in units of the squared gradient.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Zaheer, Reddi, Sachan, Kale and Kumar, "Adaptive Methods for Nonconvex Optimization", NeurIPS
    2018, Algorithm 2.

    Examples
    --------
    After a gradient of 4 one of 1 halves the distance in Adam's v, which falls to 4.5:

    >>> import numpy as np
    >>> yogi = Yogi(betas=(0.9, 0.5), initial_accumulator_value=0.0)
    >>> state = yogi.init(np.array([1.0]))
    >>> for g in (4.0, 1.0):
    ...     state = yogi.step(np.array([1.0]), np.array([g]), state).state
    ...     print(state.v)
    [8.]
    [7.5]
    """

    lr: float = 1e-2
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-3
    weight_decay: float = 0.0
    initial_accumulator_value: float = 1e-6

    def init(self, theta):
        return YogiState(
            t=0, m=zeros_like(theta), v=full_like(theta, self.initial_accumulator_value)
        )

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
        v = state.v - (1 - beta2) * sign(state.v - g**2) * g**2
        m_hat = m / correction1
        v_hat = v / correction2
        update = lr * m_hat / (v_hat**0.5 + eps)
        theta = theta - update
        return YogiStep(theta, YogiState(state.t, m, v), m, v, m_hat, v_hat, update)
