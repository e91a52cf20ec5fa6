from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, maximum, zeros_like


class AdamaxState(NamedTuple):
    """What Adamax remembers between steps: two arrays like θ, and the number of steps.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    m : array like θ
        :math:`m_t`, the exponential moving average of the gradients.
    u : array like θ
        :math:`u_t`, the largest gradient so far, where each loses weight with its age.
    """

    t: int
    m: Array
    u: Array


class AdamaxStep(NamedTuple):
    r"""One step of Adamax, with every symbol of Algorithm 2. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : AdamaxState
        What the next step needs.
    m : array
        :math:`m_t`, the biased first moment estimate.
    u : array
        :math:`u_t`, the exponentially weighted infinity norm of the gradients.
    m_hat : array
        :math:`\hat m_t`, the bias-corrected first moment estimate.
    update : array
        What the step subtracts: :math:`\theta_t = \theta_{t-1} - \text{update}`.
    """

    theta: Array
    state: AdamaxState
    m: Array
    u: Array
    m_hat: Array
    update: Array


@dataclass(frozen=True)
class Adamax(Optimizer):
    r"""Adamax: Adam with the largest recent gradient in place of the root of the mean square.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        u_t &= \max(\beta_2 u_{t-1}, |g_t| + \epsilon) \\
        \hat m_t &= m_t / (1 - \beta_1^t) \\
        \theta_t &= \theta_{t-1} - \text{lr}\; \hat m_t / u_t

    All operations are element by element; :math:`m_0 = u_0 = 0`. Adam divides by the root of a mean
    of squares. A mean of pth powers and its pth root become this maximum as p grows without limit.
    It needs no bias correction.

    The paper has no ε. PyTorch and Optax add it inside the maximum, as here; Keras to u.

    Parameters
    ----------
    lr : float, default 2e-3
        Learning rate, α in the paper, in units of θ. Keras has 0.001.
    betas : pair of floats in [0, 1), default (0.9, 0.999)
        Decay rates of the moving average and of the maximum, per step.
    eps : float, default 1e-8
        ε, in units of the gradient: keeps the quotient finite where all gradients were 0.
    weight_decay : float, default 0
        λ: adds λθ to the gradient (L2 regularisation).

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, Algorithm 2.

    Examples
    --------
    A large gradient counts until a later one exceeds what is left of it:

    >>> import numpy as np
    >>> adamax = Adamax(betas=(0.9, 0.5), eps=0)
    >>> state = adamax.init(np.array([1.0]))
    >>> for g in (8.0, 1.0, 3.0):
    ...     state = adamax.step(np.array([1.0]), np.array([g]), state).state
    ...     print(state.u)
    [8.]
    [4.]
    [3.]
    """

    lr: float = 2e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def init(self, theta):
        return AdamaxState(t=0, m=zeros_like(theta), u=zeros_like(theta))

    def at(self, t):
        beta1, beta2 = self.betas
        return {
            "lr": self.lr,
            "beta1": beta1,
            "beta2": beta2,
            "eps": self.eps,
            "correction1": 1 - beta1**t,
        }

    def rule(self, theta, g, state, *, lr, beta1, beta2, eps, correction1):
        m = beta1 * state.m + (1 - beta1) * g
        u = maximum(beta2 * state.u, abs(g) + eps)
        m_hat = m / correction1
        update = lr * m_hat / u
        theta = theta - update
        return AdamaxStep(theta, AdamaxState(state.t, m, u), m, u, m_hat, update)
