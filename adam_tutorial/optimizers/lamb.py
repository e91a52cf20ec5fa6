from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, norm, zeros_like


class LAMBState(NamedTuple):
    """What LAMB remembers between steps: two arrays like θ, and the number of steps.

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


class LAMBStep(NamedTuple):
    r"""One step of LAMB. Its arrays have the shape of θ, but for the trust ratio.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : LAMBState
        What the next step needs.
    m : array
        :math:`m_t`, the biased first moment estimate.
    v : array
        :math:`v_t`, the biased second moment estimate.
    m_hat : array
        :math:`\hat m_t`, the bias-corrected first moment estimate.
    v_hat : array
        :math:`\hat v_t`, the bias-corrected second moment estimate.
    r : array
        :math:`r_t`, the direction of Adam.
    trust : single number
        :math:`\rho_t`, the trust ratio of the layer.
    update : array
        What the step subtracts: :math:`\theta_t = \theta_{t-1} - \text{update}`.
    """

    theta: Array
    state: LAMBState
    m: Array
    v: Array
    m_hat: Array
    v_hat: Array
    r: Array
    trust: Array
    update: Array


@dataclass(frozen=True)
class LAMB(Optimizer):
    r"""LAMB: Adam whose step is, in each layer, as long as lr times the layer's own norm.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        \hat m_t &= m_t / (1 - \beta_1^t), \qquad \hat v_t = v_t / (1 - \beta_2^t) \\
        r_t &= \hat m_t / (\sqrt{\hat v_t} + \epsilon) \\
        \rho_t &= \lVert\theta_{t-1}\rVert \,/\, \lVert r_t + \lambda\theta_{t-1}\rVert \\
        \theta_t &= \theta_{t-1} - \text{lr}\; \rho_t\, (r_t + \lambda\theta_{t-1})

    A layer is a tensor: the norms are those of all its elements. Where one of them is 0, the trust
    ratio :math:`\rho_t` is 1. All else is element by element; :math:`m_0 = v_0 = 0`.

    This is the paper's algorithm with :math:`\phi(x) = x`, as in Optax. The paper leaves φ open;
    pytorch-optimizer clips the norm of θ at 10. It and Google's TensorFlow code (in ALBERT) do not
    correct the moments for their bias; pytorch-optimizer divides lr by :math:`1 - \beta_1^t`. In
    Keras and, by default, pytorch-optimizer :math:`\lambda\theta` does not enter the trust ratio.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate, η in the paper: the length of a step as a part of the norm of θ.
    betas : pair of floats in [0, 1), default (0.9, 0.999)
        Decay rates of the two moving averages, per step.
    eps : float, default 1e-6
        ε, in units of the gradient, added to :math:`\sqrt{\hat v}`.
    weight_decay : float, default 0
        λ, in units of 1/θ: adds λθ to the direction, before its norm is taken.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", ICLR
    2020, Algorithm 2.

    Examples
    --------
    Whatever the gradient, the length of the step is lr times the norm of θ, here 5:

    >>> import numpy as np
    >>> lamb, theta = LAMB(lr=0.01), np.array([3.0, 4.0])
    >>> step = lamb.step(theta, np.array([100.0, -0.1]), lamb.init(theta))
    >>> np.linalg.norm(step.update).round(6)
    np.float64(0.05)
    """

    lr: float = 1e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-6
    weight_decay: float = 0.0

    DECOUPLED = True

    def init(self, theta):
        return LAMBState(t=0, m=zeros_like(theta), v=zeros_like(theta))

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
        r = m_hat / (v_hat**0.5 + eps)
        direction = r + weight_decay * theta
        trust = _ratio(norm(theta), norm(direction))
        update = lr * trust * direction
        theta = theta - update
        return LAMBStep(theta, LAMBState(state.t, m, v), m, v, m_hat, v_hat, r, trust, update)


def _ratio(x: Array, y: Array) -> Array:
    """Return x / y, or 1 where one of them is 0.

    Parameters
    ----------
    x, y : arrays or tensors
        Two single numbers.

    Returns
    -------
    array or tensor
        A single number.

    Examples
    --------
    >>> import numpy as np
    >>> _ratio(np.float64(3.0), np.float64(2.0)), _ratio(np.float64(3.0), np.float64(0.0))
    (np.float64(1.5), np.float64(1.0))
    """
    # With the truth as a number, 0 or 1, no branch is needed.
    none = (x == 0) | (y == 0)
    return (x * ~none + none) / (y * ~none + none)
