from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, maximum, zeros_like


class AMSGradState(NamedTuple):
    r"""What AMSGrad remembers between steps: three arrays like θ, and the number of steps.

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


class AMSGradStep(NamedTuple):
    r"""One step of AMSGrad. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : AMSGradState
        What the next step needs.
    m : array
        :math:`m_t`, the biased first moment estimate.
    v : array
        :math:`v_t`, the biased second moment estimate.
    v_max : array
        :math:`v^{\max}_t`, the largest v so far.
    m_hat : array
        :math:`\hat m_t`, the bias-corrected first moment estimate.
    v_hat : array
        :math:`\hat v_t`, v_max with the bias correction of v.
    update : array
        What the step subtracts: :math:`\theta_t = \theta_{t-1} - \text{update}`.
    """

    theta: Array
    state: AMSGradState
    m: Array
    v: Array
    v_max: Array
    m_hat: Array
    v_hat: Array
    update: Array


@dataclass(frozen=True)
class AMSGrad(Optimizer):
    r"""AMSGrad: Adam that divides by the largest second moment so far, not by the present one.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        v^{\max}_t &= \max(v^{\max}_{t-1}, v_t) \\
        \hat m_t &= m_t / (1 - \beta_1^t) \\
        \hat v_t &= v^{\max}_t / (1 - \beta_2^t) \\
        \theta_t &= \theta_{t-1} - \text{lr}\; \hat m_t / (\sqrt{\hat v_t} + \epsilon)

    All operations are element by element; :math:`m_0 = v_0 = v^{\max}_0 = 0`.

    This is the form of ``torch.optim.Adam(amsgrad=True)``: the maximum is taken over v, before the
    bias correction. Keras does the same, and adds ε before the correction. Optax takes the maximum
    over the corrected :math:`v / (1 - \beta_2^t)`, which never forgets a large gradient among the
    first. The paper has no bias correction and no ε, and projects θ onto a given set.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate, α in the paper, in units of θ.
    betas : pair of floats in [0, 1), default (0.9, 0.999)
        Decay rates of the two moving averages, per step.
    eps : float, default 1e-8
        ε, in units of the gradient, added to :math:`\sqrt{\hat v}` as in PyTorch.
    weight_decay : float, default 0
        λ: adds λθ to the gradient (L2 regularisation).

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Reddi, Kale and Kumar, "On the Convergence of Adam and Beyond", ICLR 2018, Algorithm 2.

    Examples
    --------
    After a large gradient Adam forgets, AMSGrad does not:

    >>> import numpy as np
    >>> amsgrad = AMSGrad(lr=0.1, betas=(0.0, 0.5))
    >>> state = amsgrad.init(np.array([1.0]))
    >>> for g in (4.0, 1.0, 1.0):
    ...     step = amsgrad.step(np.array([1.0]), np.array([g]), state)
    ...     state = step.state
    >>> step.v, step.v_max
    (array([2.75]), array([8.]))
    """

    lr: float = 1e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def init(self, theta):
        zeros = (zeros_like(theta) for _ in range(3))
        return AMSGradState(0, *zeros)

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
        v_max = maximum(state.v_max, v)
        m_hat = m / correction1
        v_hat = v_max / correction2
        update = lr * m_hat / (v_hat**0.5 + eps)
        theta = theta - update
        state = AMSGradState(state.t, m, v, v_max)
        return AMSGradStep(theta, state, m, v, v_max, m_hat, v_hat, update)
