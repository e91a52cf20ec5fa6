import math
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, library, mean_square, zeros


class AdafactorState(NamedTuple):
    r"""What Adafactor remembers between steps, and the number of steps.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    R : array, or None
        :math:`R_t`, the moving average of the mean square of each row, of shape (..., n, 1) for θ
        of shape (..., n, m); None if θ has fewer than two axes.
    C : array, or None
        :math:`C_t`, that of each column, of shape (..., 1, m).
    V : array like θ, or None
        :math:`\hat V_t`, the moving average of the squares, only if θ has fewer than two axes.
    """

    t: int
    R: Array | None
    C: Array | None
    V: Array | None


class AdafactorStep(NamedTuple):
    r"""One step of Adafactor, with every symbol of the algorithm.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : AdafactorState
        What the next step needs.
    R : array or None
        :math:`R_t`, as in the state.
    C : array or None
        :math:`C_t`, as in the state.
    V : array like θ
        :math:`\hat V_t`, the second moment estimate: for a matrix of rank 1.
    U : array like θ
        :math:`U_t`, the gradient divided by the root of the estimate.
    alpha : single number
        :math:`\alpha_t`, the step size.
    update : array like θ
        What the step subtracts, besides the weight decay.
    """

    theta: Array
    state: AdafactorState
    R: Array | None
    C: Array | None
    V: Array
    U: Array
    alpha: Array
    update: Array


@dataclass(frozen=True)
class Adafactor(Optimizer):
    r"""Adafactor: for a matrix, the second moments are kept as one number a row and one a column.

    .. math::

        \hat\beta_{2t} &= 1 - t^{\tau}, \qquad \rho_t = \min(\text{lr}, 1/\sqrt t) \\
        \alpha_t &= \max(\epsilon_2, \text{RMS}(\theta_{t-1}))\, \rho_t \\
        R_t &= \hat\beta_{2t} R_{t-1} + (1 - \hat\beta_{2t})\, \text{mean of each row of } g_t^2 \\
        C_t &= \hat\beta_{2t} C_{t-1}
            + (1 - \hat\beta_{2t})\, \text{mean of each column of } g_t^2 \\
        \hat V_t &= R_t C_t \,/\, \max(\text{mean of } R_t, \epsilon_1) \\
        U_t &= g_t \,/\, \max(\sqrt{\hat V_t}, \epsilon_1) \\
        \hat U_t &= U_t \,/\, \max(1, \text{RMS}(U_t) / d) \\
        \theta_t &= (1 - \text{lr}\,\lambda)\, \theta_{t-1} - \alpha_t \hat U_t

    RMS is the root of the mean square of all elements; :math:`R_0 = C_0 = 0`. A tensor of more than
    two axes is a stack of matrices; one of fewer keeps the whole
    :math:`\hat V_t`, as the moving average of :math:`g_t^2` with the rate
    :math:`\hat\beta_{2t}`. There is no first moment.

    This is the form of ``torch.optim.Adafactor``. The paper, Keras and Optax add their
    :math:`\epsilon_1 = 10^{-30}` to :math:`g_t^2`; here it is a lower bound. The paper has sums
    where this has means, which is the same; it has the constant 0.01 for lr, and no weight decay.
    Optax factors only tensors with two axes of at least 128, and then the two longest.

    Parameters
    ----------
    lr : float, default 1e-2
        The largest relative step :math:`\rho_t`: the length of a step as a part of RMS(θ).
    beta2_decay : float <= 0, default -0.8
        τ: the decay rate of the moving averages is :math:`1 - t^\tau`, at first 0.
    eps : pair of floats in [0, 1), default (None, 1e-3)
        :math:`\epsilon_1`, in units of the gradient, None for the machine epsilon of the type of θ;
        and :math:`\epsilon_2`, in units of θ, so that zeros can grow.
    d : float >= 1, default 1
        The largest RMS of an update, before it is multiplied by :math:`\alpha_t`.
    weight_decay : float, default 0
        λ: at each step θ first shrinks by the part lr λ (decoupled weight decay).

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", ICML 2018,
    Algorithms 4 and 5.

    Examples
    --------
    The squares of this gradient are a column times a row: what is kept gives them back.

    >>> import numpy as np
    >>> adafactor, theta = Adafactor(), np.ones((2, 3))
    >>> g = np.outer([1.0, -2.0], [1.0, 3.0, -5.0])
    >>> step = adafactor.step(theta, g, adafactor.init(theta))
    >>> step.V
    array([[  1.,   9.,  25.],
           [  4.,  36., 100.]])
    """

    lr: float = 1e-2
    _: KW_ONLY
    beta2_decay: float = -0.8
    eps: tuple[float | None, float] = (None, 1e-3)
    d: float = 1.0
    weight_decay: float = 0.0

    LIMITS = {"beta2_decay": {"least": -math.inf, "most": 0.0}, "d": {"least": 1.0}}

    LIKE_THETA = False
    DECOUPLED = True

    def init(self, theta):
        V = zeros(theta, theta.shape if hasattr(theta, "shape") else ())
        if V.ndim < 2:
            return AdafactorState(t=0, R=None, C=None, V=V)
        *stack, n, m = V.shape
        return AdafactorState(0, zeros(theta, (*stack, n, 1)), zeros(theta, (*stack, 1, m)), None)

    def at(self, t):
        eps1, eps2 = self.eps
        numbers = {
            "lr": self.lr,
            "rho": min(self.lr, 1 / t**0.5),
            "beta2": 1 - t**self.beta2_decay,
            "eps2": eps2,
            "d": self.d,
            "weight_decay": self.weight_decay,
        }
        return numbers if eps1 is None else numbers | {"eps1": eps1}

    def rule(self, theta, g, state, *, lr, rho, beta2, eps2, d, weight_decay, eps1=None):
        if eps1 is None:
            eps1 = float(library(theta).finfo(theta.dtype).eps)
        alpha = (mean_square(theta) ** 0.5).clip(min=eps2) * rho
        theta = (1 - lr * weight_decay) * theta
        if state.V is None:
            R = beta2 * state.R + (1 - beta2) * mean_square(g, (-1,))
            C = beta2 * state.C + (1 - beta2) * mean_square(g, (-2,))
            # R is a column and C is a row.
            mean = R.sum((-2,), keepdims=True) / max(1, R.shape[-2])
            V = R * C / mean.clip(min=eps1)
        else:
            R, C = None, None
            V = beta2 * state.V + (1 - beta2) * g**2
        U = g / (V**0.5).clip(min=eps1)
        U_hat = U / (mean_square(U) ** 0.5 / d).clip(min=1.0)
        update = alpha * U_hat
        theta = theta - update
        state = AdafactorState(state.t, R, C, V if R is None else None)
        return AdafactorStep(theta, state, R, C, V, U, alpha, update)
