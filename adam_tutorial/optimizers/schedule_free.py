from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, floating, zeros, zeros_like


class ScheduleFreeAdamWState(NamedTuple):
    r"""What Schedule-Free AdamW remembers between steps, and the number of steps.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    x : array like θ
        :math:`x_t`, the average: the parameters to use when training is done, or for a test.
    z : array like θ
        :math:`z_t`, the parameters that take the steps.
    v : array like θ
        :math:`v_t`, the exponential moving average of the squared gradients.
    lr_max : single number
        The largest learning rate so far.
    weight_sum : single number
        The sum of the weights in the average so far.
    """

    t: int
    x: Array
    z: Array
    v: Array
    lr_max: Array
    weight_sum: Array


class ScheduleFreeAdamWStep(NamedTuple):
    r"""One step of Schedule-Free AdamW. Its arrays have the shape of θ, but for c.

    Attributes
    ----------
    theta : array
        :math:`y_t`, where the next gradient is taken.
    state : ScheduleFreeAdamWState
        What the next step needs.
    v : array
        :math:`v_t`, the biased second moment estimate.
    v_hat : array
        :math:`\hat v_t`, the bias-corrected second moment estimate.
    z : array
        :math:`z_t`, the parameters that take the steps.
    c : single number
        :math:`c_t`, the weight of :math:`z_t` in the average.
    x : array
        :math:`x_t`, the average.
    """

    theta: Array
    state: ScheduleFreeAdamWState
    v: Array
    v_hat: Array
    z: Array
    c: Array
    x: Array


@dataclass(frozen=True)
class ScheduleFreeAdamW(Optimizer):
    r"""Schedule-Free AdamW: an average over the run in place of a schedule of learning rates.

    .. math::

        \gamma_t &= \text{lr}\; \min(1, t / \text{warmup_steps}) \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2, \qquad
            \hat v_t = v_t / (1 - \beta_2^t) \\
        z_t &= z_{t-1} - \gamma_t \bigl( g_t / (\sqrt{\hat v_t} + \epsilon)
            + \lambda y_{t-1} \bigr) \\
        w_t &= t^r \bigl(\max_{i \le t} \gamma_i\bigr)^p, \qquad
            c_t = w_t \Big/ \sum_{i \le t} w_i \\
        x_t &= (1 - c_t)\, x_{t-1} + c_t z_t \\
        y_t &= \beta_1 x_t + (1 - \beta_1)\, z_t

    The gradient :math:`g_t` is taken at :math:`\theta = y_{t-1}`, and :math:`\theta` becomes
    :math:`y_t`. What training is for is the average x: ``step.x``, or ``state.x``. All operations
    are element by element; :math:`x_0 = y_0 = z_0` and :math:`v_0 = 0`. Without warm-up and with
    r = 0 x is the plain mean of all z. There is no momentum: in place of m, β₁ draws the point at
    which gradients are taken towards the average.

    This is the authors' reference form, with x as an array of its own: it works for β₁ = 0 too.
    Their usual code, pytorch-optimizer, Optax and Keras save that array, as x can be had from
    y and z; it divides by β₁. Older releases of the authors' code multiplied
    :math:`\sqrt{1 - \beta_2^t}` into :math:`\gamma_t`, and so into the weights; Keras has
    :math:`c_t = 1/t` always; pytorch-optimizer also adds 1e-15 to :math:`\hat v_t`.

    Parameters
    ----------
    lr : float, default 2.5e-3
        Learning rate, γ in the paper, in units of θ; larger than one for AdamW.
    betas : pair of floats in [0, 1), default (0.9, 0.999)
        β₁, the weight of x in y, and β₂, the decay rate of v, per step.
    eps : float, default 1e-8
        ε, in units of the gradient, added to :math:`\sqrt{\hat v}`.
    weight_decay : float, default 0
        λ: at each step z also moves by :math:`-\gamma_t\lambda y_{t-1}` (decoupled weight decay).
    warmup_steps : int, default 0
        The learning rate rises in proportion to t for so many steps.
    r : float, default 0
        The weight of :math:`z_t` in the average grows as :math:`t^r`.
    weight_lr_power : float, default 2
        p: during the warm-up the weight grows as this power of the learning rate.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number.

    References
    ----------
    Defazio et al., "The Road Less Scheduled", NeurIPS 2024, Algorithm 1.

    Examples
    --------
    On noisy gradients z wanders on, while the average settles:

    >>> import numpy as np
    >>> optimizer, theta = ScheduleFreeAdamW(lr=0.01), np.array([1.0])
    >>> state, rng = optimizer.init(theta), np.random.default_rng(0)
    >>> for _ in range(1000):
    ...     step = optimizer.step(theta, theta + rng.standard_normal(1), state)
    ...     theta, state = step.theta, step.state
    >>> step.z.round(1), step.x.round(1)
    (array([0.3]), array([-0.]))
    """

    lr: float = 2.5e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    warmup_steps: int = 0
    r: float = 0.0
    weight_lr_power: float = 2.0

    LIKE_THETA = False
    DECOUPLED = True
    AVERAGE = "x"

    def init(self, theta):
        theta = floating("theta", theta)
        x, z = theta * 1, theta * 1  # copies
        return ScheduleFreeAdamWState(
            t=0,
            x=x,
            z=z,
            v=zeros_like(theta),
            lr_max=zeros(theta, ()),
            weight_sum=zeros(theta, ()),
        )

    def at(self, t):
        beta1, beta2 = self.betas
        return {
            "lr": self.lr * (t / self.warmup_steps if t < self.warmup_steps else 1.0),
            "beta1": beta1,
            "beta2": beta2,
            "eps": self.eps,
            "weight_decay": self.weight_decay,
            "weight_t": float(t**self.r),
            "power": self.weight_lr_power,
            "correction2": 1 - beta2**t,
        }

    def rule(
        self, theta, g, state, *, lr, beta1, beta2, eps, weight_decay, weight_t, power, correction2
    ):
        y = theta
        v = beta2 * state.v + (1 - beta2) * g**2
        v_hat = v / correction2
        z = state.z - lr * (g / (v_hat**0.5 + eps) + weight_decay * y)
        lr_max = state.lr_max.clip(min=lr)
        weight = weight_t * lr_max**power
        weight_sum = state.weight_sum + weight
        c = weight / (weight_sum + (weight_sum == 0))  # 0 as long as lr is 0
        x = (1 - c) * state.x + c * z
        y = beta1 * x + (1 - beta1) * z
        state = ScheduleFreeAdamWState(state.t, x, z, v, lr_max, weight_sum)
        return ScheduleFreeAdamWStep(y, state, v, v_hat, z, c, x)
