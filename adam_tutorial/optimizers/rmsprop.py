from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, zeros_like


class RMSpropState(NamedTuple):
    """What RMSProp remembers between steps: one array like θ, and one more with momentum.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    v : array like θ
        :math:`v_t`, the exponential moving average of the squared gradients.
    b : array like θ, or None
        :math:`b_t`, the momentum buffer; None if there is no momentum.
    """

    t: int
    v: Array
    b: Array | None


class RMSpropStep(NamedTuple):
    r"""One step of RMSProp. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : RMSpropState
        What the next step needs.
    v : array
        :math:`v_t`, the exponential moving average of the squared gradients.
    b : array or None
        :math:`b_t`, the decaying sum of the rescaled gradients; None if there is no momentum.
    update : array
        What the step subtracts: :math:`\theta_t = \theta_{t-1} - \text{update}`.
    """

    theta: Array
    state: RMSpropState
    v: Array
    b: Array | None
    update: Array


@dataclass(frozen=True)
class RMSprop(Optimizer):
    r"""RMSProp: the gradient divided by the root of a moving average of its square.

    .. math::

        v_t &= \alpha v_{t-1} + (1 - \alpha)\, g_t^2, \qquad v_0 = 0 \\
        b_t &= \mu\, b_{t-1} + g_t / (\sqrt{v_t} + \epsilon), \qquad b_0 = 0 \\
        \theta_t &= \theta_{t-1} - \text{lr}\; b_t

    All operations are element by element. There is no bias correction: the first step has length
    :math:`\text{lr} / \sqrt{1 - \alpha}`, ten times lr with the default, in every coordinate whose
    gradient is much larger than ε. The momentum, 0 by default, comes after the division; in Adam it
    comes before.

    Parameters
    ----------
    lr : float, default 1e-2
        Learning rate, in units of θ.
    alpha : float in [0, 1), default 0.99
        α: decay rate of the moving average, per step. It is β₂ in Adam's notation; Keras and Optax
        have 0.9.
    eps : float, default 1e-8
        ε, in units of the gradient, added to the root as in PyTorch; Keras and (by default) Optax
        add theirs inside the root.
    weight_decay : float, default 0
        λ: adds λθ to the gradient (L2 regularisation).
    momentum : float in [0, 1), default 0
        μ: the part of the buffer that is kept at each step.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Tieleman and Hinton, "Lecture 6.5 -- RMSProp", COURSERA: Neural Networks for Machine Learning,
    2012.

    Examples
    --------
    >>> import numpy as np
    >>> rmsprop = RMSprop(lr=0.01)
    >>> step = rmsprop.step(np.array([1.0]), np.array([2.0]), rmsprop.init(np.array([1.0])))
    >>> step.theta.round(6)
    array([0.9])
    """

    lr: float = 1e-2
    _: KW_ONLY
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0

    FRACTIONS = ("alpha", "momentum")

    def init(self, theta):
        b = zeros_like(theta) if self.momentum else None
        return RMSpropState(t=0, v=zeros_like(theta), b=b)

    def at(self, t):
        return {"lr": self.lr, "alpha": self.alpha, "eps": self.eps, "momentum": self.momentum}

    def rule(self, theta, g, state, *, lr, alpha, eps, momentum):
        v = alpha * state.v + (1 - alpha) * g**2
        direction = g / (v**0.5 + eps)
        b = None if state.b is None else momentum * state.b + direction
        update = lr * (direction if b is None else b)
        theta = theta - update
        return RMSpropStep(theta, RMSpropState(state.t, v, b), v, b, update)
