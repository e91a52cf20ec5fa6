from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, zeros_like


class SGDState(NamedTuple):
    """What SGD remembers between steps: with momentum one array like θ, without it none.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    b : array like θ, or None
        :math:`b_t`, the momentum buffer; None if there is no momentum.
    """

    t: int
    b: Array | None


class SGDStep(NamedTuple):
    r"""One step of SGD. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : SGDState
        What the next step needs.
    b : array or None
        :math:`b_t`, the decaying sum of the gradients; None if there is no momentum.
    update : array
        What the step subtracts: :math:`\theta_t = \theta_{t-1} - \text{update}`.
    """

    theta: Array
    state: SGDState
    b: Array | None
    update: Array


@dataclass(frozen=True)
class SGD(Optimizer):
    r"""Stochastic gradient descent, plain, with momentum, or with Nesterov's momentum.

    .. math::

        b_t &= \mu\, b_{t-1} + g_t, \qquad b_0 = 0 \\
        d_t &= \begin{cases}
            g_t & \text{if } \mu = 0 \\
            b_t & \text{with momentum} \\
            g_t + \mu\, b_t & \text{with Nesterov's momentum}
        \end{cases} \\
        \theta_t &= \theta_{t-1} - \text{lr}\; d_t

    All operations are element by element. The buffer is a sum: a constant gradient makes it grow to
    :math:`g / (1 - \mu)`. PyTorch has this form (with dampening 0). Keras multiplies lr into the
    buffer, which is the same as long as lr does not change.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate, in units of θ per unit of gradient.
    momentum : float in [0, 1), default 0
        μ: the part of the buffer that is kept at each step.
    weight_decay : float, default 0
        λ: adds λθ to the gradient (L2 regularisation).
    nesterov : bool, default False
        Look one step ahead along the buffer; needs momentum > 0.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number, or if ``nesterov`` is given
        without momentum.

    References
    ----------
    Robbins and Monro, "A Stochastic Approximation Method", 1951; Polyak, "Some methods of
    speeding up the convergence of iteration methods", 1964; Nesterov, "A method for solving the
    convex programming problem with convergence rate O(1/k²)", 1983.

    Examples
    --------
    >>> import numpy as np
    >>> sgd = SGD(lr=0.1, momentum=0.9)
    >>> step = sgd.step(np.array([1.0]), np.array([2.0]), sgd.init(np.array([1.0])))
    >>> step.theta
    array([0.8])
    """

    lr: float = 1e-3
    _: KW_ONLY
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    FRACTIONS = ("momentum",)

    def __post_init__(self):
        super().__post_init__()
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=True needs momentum > 0, got momentum=0.0")

    def init(self, theta):
        b = zeros_like(theta)  # also where it is not kept, to check theta
        return SGDState(t=0, b=b if self.momentum else None)

    def at(self, t):
        return {"lr": self.lr, "momentum": self.momentum}

    def rule(self, theta, g, state, *, lr, momentum):
        if state.b is None:
            b, direction = None, g
        else:
            b = momentum * state.b + g
            direction = g + momentum * b if self.nesterov else b
        update = lr * direction
        theta = theta - update
        return SGDStep(theta, SGDState(state.t, b), b, update)
