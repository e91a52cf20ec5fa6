import math
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, norm, zeros_like


class MuonState(NamedTuple):
    """What Muon remembers between steps: one array like θ, and the number of steps.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    B : array like θ
        :math:`B_t`, the exponential moving average of the gradients.
    """

    t: int
    B: Array


class MuonStep(NamedTuple):
    r"""One step of Muon. Its arrays have the shape of θ.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : MuonState
        What the next step needs.
    B : array
        :math:`B_t`, the moving average of the gradients.
    B_tilde : array
        :math:`\tilde B_t`, what is made orthogonal.
    O : array
        :math:`O_t`: the singular vectors of :math:`\tilde B_t`, with singular values near 1.
    update : array
        What the step subtracts, besides the weight decay.
    """

    theta: Array
    state: MuonState
    B: Array
    B_tilde: Array
    O: Array  # noqa: E741
    update: Array


@dataclass(frozen=True)
class Muon(Optimizer):
    r"""Muon: momentum whose step is a matrix with all singular values about the same.

    .. math::

        B_t &= \mu B_{t-1} + (1 - \mu)\, g_t \\
        \tilde B_t &= \begin{cases}
            \mu B_t + (1 - \mu)\, g_t & \text{with Nesterov's momentum} \\
            B_t & \text{without it}
        \end{cases} \\
        X &= \tilde B_t / \max(\lVert\tilde B_t\rVert_F, \epsilon) \\
        X &\leftarrow a X + (b A + c A^2) X, \quad A = X X^\top, \qquad
            \text{k times; then } O_t = X \\
        \theta_t &= (1 - \text{lr}\,\lambda)\, \theta_{t-1} - \text{lr}\; s\; O_t

    θ is an n×m matrix, and :math:`B_0 = 0`. The iteration (Newton and Schulz) takes each singular
    value σ of X to :math:`a\sigma + b\sigma^3 + c\sigma^5` and leaves the singular vectors as they
    are. With the usual coefficients it does not converge: it ends between about 0.7 and 1.2.

    The factor s is :math:`\sqrt{\max(1, n/m)}`, or with ``adjust_lr_fn="match_rms_adamw"``
    :math:`0.2 \sqrt{\max(n, m)}`, with which a step is about as long as one of AdamW.

    This is the form of ``torch.optim.Muon``, but for one thing: PyTorch and the author's code
    iterate in bfloat16, this in the type of θ. Keras has no factor :math:`1 - \mu` in B, which
    scales B and leaves O as it is.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate: about the length of a step in each singular direction, in units of θ.
    weight_decay : float, default 0.1
        λ: at each step θ first shrinks by the part lr λ (decoupled weight decay).
    momentum : float in [0, 1), default 0.95
        μ: the decay rate of the moving average, per step.
    nesterov : bool, default True
        Look one step ahead along the moving average.
    ns_coefficients : three floats, default (3.4445, -4.775, 2.0315)
        a, b and c, of the iteration.
    eps : float, default 1e-7
        ε, the least norm to divide by, in units of the gradient.
    ns_steps : int, default 5
        k, the number of iterations.
    adjust_lr_fn : None, "original" or "match_rms_adamw", default None
        The factor s; None means "original".

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number, or (from ``init`` and ``step``) if
        θ is not a matrix. Biases, embeddings and the last layer are left to another optimizer.

    References
    ----------
    Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
    https://kellerjordan.github.io/posts/muon/; Liu et al., "Muon is Scalable for LLM Training",
    2025, for "match_rms_adamw".

    Examples
    --------
    A gradient ten times as steep in one direction as in the other gives steps of one size:

    >>> import numpy as np
    >>> muon, theta = Muon(), np.zeros((2, 2))
    >>> step = muon.step(theta, np.diag([10.0, 1.0]), muon.init(theta))
    >>> step.O.round(1)
    array([[0.7, 0. ],
           [0. , 0.7]])
    """

    lr: float = 1e-3
    _: KW_ONLY
    weight_decay: float = 0.1
    momentum: float = 0.95
    nesterov: bool = True
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315)
    eps: float = 1e-7
    ns_steps: int = 5
    adjust_lr_fn: str | None = None

    FRACTIONS = ("momentum",)
    LIMITS = {"ns_coefficients": {"least": -math.inf}}

    def __post_init__(self):
        super().__post_init__()
        if self.adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(
                'adjust_lr_fn must be None, "original" or "match_rms_adamw", '
                f"got {self.adjust_lr_fn!r}"
            )

    LIKE_THETA = False  # so that every step looks at the shape of θ
    DECOUPLED = True

    def init(self, theta):
        B = zeros_like(theta)
        if B.ndim != 2:
            raise ValueError(f"theta must be a matrix for Muon, got the shape {tuple(B.shape)}")
        return MuonState(t=0, B=B)

    def at(self, t):
        a, b, c = self.ns_coefficients
        return {
            "lr": self.lr,
            "weight_decay": self.weight_decay,
            "momentum": self.momentum,
            "a": a,
            "b": b,
            "c": c,
            "eps": self.eps,
        }

    def rule(self, theta, g, state, *, lr, weight_decay, momentum, a, b, c, eps):
        n, m = theta.shape
        B = momentum * state.B + (1 - momentum) * g
        B_tilde = momentum * B + (1 - momentum) * g if self.nesterov else B
        X = B_tilde / norm(B_tilde).clip(min=eps)
        X = X.T if n > m else X  # A is then the smaller one; the result is the same
        for _ in range(self.ns_steps):
            A = X @ X.T
            X = a * X + (b * A + c * (A @ A)) @ X
        O = X.T if n > m else X  # noqa: E741
        match_adamw = self.adjust_lr_fn == "match_rms_adamw"
        s = 0.2 * max(n, m) ** 0.5 if match_adamw else max(1.0, n / m) ** 0.5
        update = lr * s * O
        theta = (1 - lr * weight_decay) * theta - update
        return MuonStep(theta, MuonState(state.t, B), B, B_tilde, O, update)
