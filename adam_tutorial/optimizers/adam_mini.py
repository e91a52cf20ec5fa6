from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, mean_square, zeros, zeros_like


class AdamMiniState(NamedTuple):
    """What Adam-mini remembers between steps: one array like θ, a number a block, and t.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    m : array like θ
        :math:`m_t`, the exponential moving average of the gradients.
    v : array
        :math:`v_t`, that of the mean square of each block: of shape (n, 1, ..., 1) for θ with n
        rows, (1,) for a vector, and () for a number.
    """

    t: int
    m: Array
    v: Array


class AdamMiniStep(NamedTuple):
    r"""One step of Adam-mini. Its arrays have the shape of θ, but for v and v_hat.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : AdamMiniState
        What the next step needs.
    m : array
        :math:`m_t`, the biased first moment estimate.
    v : array
        :math:`v_t`, the biased second moment estimate of each block.
    m_hat : array
        :math:`\hat m_t`, the bias-corrected first moment estimate.
    v_hat : array
        :math:`\hat v_t`, the bias-corrected second moment estimate of each block.
    update : array
        What the step subtracts, besides the weight decay.
    """

    theta: Array
    state: AdamMiniState
    m: Array
    v: Array
    m_hat: Array
    v_hat: Array
    update: Array


@dataclass(frozen=True)
class AdamMini(Optimizer):
    r"""Adam-mini: Adam with one second moment for each block of parameters.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, \text{mean of } g_t^2 \text{ over the block} \\
        \hat m_t &= m_t / (1 - \beta_1^t), \qquad \hat v_t = v_t / (1 - \beta_2^t) \\
        \theta_t &= (1 - \text{lr}\,\lambda)\, \theta_{t-1}
            - \text{lr}\; \hat m_t / (\sqrt{\hat v_t} + \epsilon)

    v has a number for each block; all else is element by element; :math:`m_0 = v_0 = 0`.

    A block is here a row, θ[i]: in torch's layers all weights into one output neuron. A tensor of
    fewer than two axes is one block. The authors' code goes by the name of the tensor: a block is
    an attention head for queries and keys, a row for the other matrices of a transformer, an
    element for biases, and the whole tensor for the rest (release 1.1; before, and in
    pytorch-optimizer, an element for embeddings and the last layer, and the whole tensor for all
    but queries and keys). A function of the tensor alone knows no names: so here queries and keys
    have smaller blocks, and biases larger ones.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate, in units of θ: about the root mean square of a step in a block as long as the
        gradient stays the same.
    betas : pair of floats in [0, 1), default (0.9, 0.999)
        Decay rates of the two moving averages, per step.
    eps : float, default 1e-8
        ε, in units of the gradient, added to :math:`\sqrt{\hat v}`.
    weight_decay : float, default 0
        λ: at each step θ first shrinks by the part lr λ (decoupled weight decay).

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Zhang et al., "Adam-mini: Use Fewer Learning Rates To Gain More", ICLR 2025, Algorithm 1.

    Examples
    --------
    Within a row the step keeps the proportions of the gradient; between rows it does not:

    >>> import numpy as np
    >>> mini, theta = AdamMini(lr=1.0), np.zeros((2, 2))
    >>> step = mini.step(theta, np.array([[1.0, 7.0], [10.0, 70.0]]), mini.init(theta))
    >>> step.update.round(6)
    array([[0.2, 1.4],
           [0.2, 1.4]])
    """

    lr: float = 1e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    LIKE_THETA = False
    DECOUPLED = True

    def init(self, theta):
        m = zeros_like(theta)
        block = _within(m)
        shape = tuple(1 if axis in block else size for axis, size in enumerate(m.shape))
        return AdamMiniState(t=0, m=m, v=zeros(theta, shape))

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
        v = beta2 * state.v + (1 - beta2) * mean_square(g, _within(g))
        m_hat = m / correction1
        v_hat = v / correction2
        update = lr * m_hat / (v_hat**0.5 + eps)
        theta = (1 - lr * weight_decay) * theta - update
        return AdamMiniStep(theta, AdamMiniState(state.t, m, v), m, v, m_hat, v_hat, update)


def _within(theta: Array) -> tuple[int, ...]:
    """Return the axes along which a block extends: all but the first, if there are more.

    Parameters
    ----------
    theta : array or tensor
        Only its number of axes matters.

    Returns
    -------
    tuple of int
        The axes.
    """
    return tuple(range(min(1, max(0, theta.ndim - 1)), theta.ndim))
