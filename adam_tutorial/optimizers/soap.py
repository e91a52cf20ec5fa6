from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

from adam_tutorial.optimizers.base import Array, Optimizer, library, zeros, zeros_like


class SOAPState(NamedTuple):
    r"""What SOAP remembers between steps, and the number of steps.

    Attributes
    ----------
    t : int
        The number of steps taken so far.
    m : array like θ
        :math:`m_t`, the exponential moving average of the gradients.
    v : array like θ
        :math:`v_t`, that of the squares of the rotated gradients.
    L, R : square arrays, or None
        The moving averages of :math:`g g^\top` and :math:`g^\top g`, of as many rows as θ has rows
        and columns; None if θ is not a matrix.
    Q_L, Q_R : square arrays, or None
        Their eigenvectors, as columns, as they were when last refreshed.
    """

    t: int
    m: Array
    v: Array
    L: Array | None
    R: Array | None
    Q_L: Array | None
    Q_R: Array | None


class SOAPStep(NamedTuple):
    r"""One step of SOAP.

    Attributes
    ----------
    theta : array
        :math:`\theta_t`, the parameters after the step.
    state : SOAPState
        What the next step needs.
    m : array like θ
        :math:`m_t`, the biased first moment estimate.
    v : array like θ
        :math:`v_t`, the biased second moment estimate, in the eigenbases.
    L, R, Q_L, Q_R : square arrays, or None
        As in the state.
    update : array like θ
        What the step subtracts, besides the weight decay.
    """

    theta: Array
    state: SOAPState
    m: Array
    v: Array
    L: Array | None
    R: Array | None
    Q_L: Array | None
    Q_R: Array | None
    update: Array


@dataclass(frozen=True)
class SOAP(Optimizer):
    r"""SOAP: Adam in the eigenbases of Shampoo, which turn with the gradients.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        g'_t &= Q_L^\top g_t\, Q_R, \qquad m'_t = Q_L^\top m_t\, Q_R \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g'^2_t \\
        \theta_t &= (1 - \text{lr}\,\lambda) \Bigl( \theta_{t-1} - \text{lr}\;
            \frac{\sqrt{1 - \beta_2^{t-1}}}{1 - \beta_1^{t-1}}\;
            Q_L \frac{m'_t}{\sqrt{v_t} + \epsilon} Q_R^\top \Bigr) \\
        L_t &= \beta_2 L_{t-1} + (1 - \beta_2)\, g_t g_t^\top, \qquad
        R_t = \beta_2 R_{t-1} + (1 - \beta_2)\, g_t^\top g_t \\
        Q_L, Q_R &\leftarrow \text{eigenvectors of } L_t, R_t
            \quad\text{at times}

    θ is a matrix; :math:`m_0 = v_0 = L_0 = R_0 = 0`. The first step only sets L, R and their
    eigenvectors, and moves nothing. Later, after every ``precondition_frequency`` steps, one power
    iteration brings the eigenvectors up to date: Q becomes the orthogonal factor of LQ, its columns
    and those of v sorted by falling eigenvalue. A vector or a single number has no bases: there it
    is Adam from the second step on.

    This is the form of the authors' code and of pytorch-optimizer: the decay rate of L and R is β₂,
    ε is added before the bias correction (the ε̂ of Adam's paper), and weight decay is decoupled and
    comes last. They also step tensors of more axes, and give an axis of more than 10,000 no basis.

    Parameters
    ----------
    lr : float, default 3e-3
        Learning rate, η in the paper, in units of θ.
    betas : pair of floats in [0, 1), default (0.95, 0.95)
        Decay rates of the moving averages, per step.
    eps : float, default 1e-8
        ε, in units of the gradient.
    weight_decay : float, default 0.01
        λ: after each step θ shrinks by the part lr λ (decoupled weight decay).
    precondition_frequency : int >= 1, default 10
        f: the number of steps from one refresh of the bases to the next.

    Raises
    ------
    ValueError
        If a hyperparameter is out of its range or not a number, or (from ``init`` and ``step``) if
        θ has more than two axes.

    References
    ----------
    Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", ICLR 2025, Algorithm 3.

    Examples
    --------
    The gradient has one direction, (1, -1) times (1, 2). Adam steps as far in each coordinate, SOAP
    along the gradient:

    >>> import numpy as np
    >>> soap, theta = SOAP(lr=0.1), np.zeros((2, 2))
    >>> g = np.outer([1.0, -1.0], [1.0, 2.0])
    >>> state = soap.step(theta, g, soap.init(theta)).state
    >>> step = soap.step(theta, g, state)
    >>> (step.update / g).round(6)
    array([[0.031623, 0.031623],
           [0.031623, 0.031623]])
    """

    lr: float = 3e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.95, 0.95)
    eps: float = 1e-8
    weight_decay: float = 1e-2
    precondition_frequency: int = 10

    LIMITS = {"precondition_frequency": {"least": 1}}

    LIKE_THETA = False
    DECOUPLED = True

    def init(self, theta):
        m, v = zeros_like(theta), zeros_like(theta)
        if m.ndim > 2:
            raise ValueError(f"theta must have two axes or fewer, got the shape {tuple(m.shape)}")
        bases = [zeros(theta, (size, size)) if m.ndim == 2 else None for size in m.shape * 2]
        L, R, Q_L, Q_R = bases if m.ndim == 2 else 4 * [None]
        return SOAPState(0, m, v, L, R, Q_L, Q_R)

    def at(self, t):
        beta1, beta2 = self.betas
        numbers = {
            "lr": self.lr,
            "beta1": beta1,
            "beta2": beta2,
            "eps": self.eps,
            "weight_decay": self.weight_decay,
        }
        # What is there only at times says what to do: compiled, these are three functions.
        if t == 1:
            return numbers | {"first": 1.0}
        correction = (1 - beta2 ** (t - 1)) ** 0.5 / (1 - beta1 ** (t - 1))
        refresh = {"refresh": 1.0} if (t - 1) % self.precondition_frequency == 0 else {}
        return numbers | {"correction": correction} | refresh

    def rule(
        self,
        theta,
        g,
        state,
        *,
        lr,
        beta1,
        beta2,
        eps,
        weight_decay,
        correction=None,
        first=None,
        refresh=None,
    ):
        _, m, v, L, R, Q_L, Q_R = state
        if first is None:
            m = beta1 * m + (1 - beta1) * g
            g_rotated = _into(g, Q_L, Q_R)
            v = beta2 * v + (1 - beta2) * g_rotated**2
            direction = _into(m, Q_L, Q_R) / (v**0.5 + eps)
            update = lr * correction * _out_of(direction, Q_L, Q_R)
            theta = (1 - lr * weight_decay) * (theta - update)
        else:
            update = 0 * g
        if L is not None:
            L = beta2 * L + (1 - beta2) * (g @ g.T)
            R = beta2 * R + (1 - beta2) * (g.T @ g)
            if first is not None:
                Q_L, Q_R = library(g).linalg.eigh(L)[1], library(g).linalg.eigh(R)[1]
            elif refresh is not None:
                Q_L, rows = _power_iteration(L, Q_L)
                Q_R, columns = _power_iteration(R, Q_R)
                v = v[rows][:, columns]
        state = SOAPState(state.t, m, v, L, R, Q_L, Q_R)
        return SOAPStep(theta, state, m, v, L, R, Q_L, Q_R, update)


def _into(x: Array, Q_L: Array | None, Q_R: Array | None) -> Array:
    """Return a matrix in the bases Q_L and Q_R, and what is no matrix as it is."""
    return x if Q_L is None else Q_L.T @ x @ Q_R


def _out_of(x: Array, Q_L: Array | None, Q_R: Array | None) -> Array:
    """Return what ``_into`` had."""
    return x if Q_L is None else Q_L @ x @ Q_R.T


def _power_iteration(A: Array, Q: Array) -> tuple[Array, Array]:
    """Return better eigenvectors of a symmetric matrix, and where each of them was before.

    Parameters
    ----------
    A : square array or tensor
        The matrix.
    Q : array or tensor like A
        Orthogonal; its columns are about the eigenvectors.

    Returns
    -------
    Q : array or tensor
        The new ones, the largest eigenvalue first.
    order : array or tensor of int
        The column of the old ones that each new one comes from.
    """
    xp = library(A)
    AQ = A @ Q
    order = xp.argsort(-(Q * AQ).sum(0))
    return xp.linalg.qr(AQ[:, order])[0], order
