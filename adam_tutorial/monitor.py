"""Watch a training run from inside the optimizer's steps: ``Monitor``."""

import math
from collections.abc import Sequence
from functools import partial

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from torch import nn

from adam_tutorial.optimizers.base import integer
from adam_tutorial.torch_optimizer import TorchOptimizer

LABELS = {
    "lr": "learning rate",
    "grad_norm": "gradient norm",
    "grad_rms": "gradient, rms",
    "weight_rms": "weights, rms",
    "update_ratio": "update / weight",
    "m_over_sqrt_v": r"$|\hat m| / \sqrt{\hat v}$, rms",
    "zero_share": "share of zeros",
    "nonfinite_share": "share not finite",
    "dead_rows": "share of dead rows",
}
"""The columns of ``Monitor.table`` that hold numbers, and how a figure's axis calls them."""

SHARES = ("zero_share", "nonfinite_share", "dead_rows")
"""The columns between 0 and 1; 0 is frequent there, so their axis is not logarithmic."""

FROM_ZERO = ("Adam", "AdamW", "AMSGrad", "AdaBound", "AMSBound", "LAMB", "NAdam", "RAdam")
"""The algorithms of this package whose m and v are averages of g and g² that start at zero.

Others have an m and a v too, but with another meaning, such as Adan, or another start: the
bias correction would be wrong for them.
"""


class Monitor:
    """Measure every step of an optimizer, tensor by tensor, without changing the training.

    Three lines are enough::

        monitor = Monitor(net, optimizer)
        ...  # train as before
        monitor.plot()

    It uses the hooks that every ``torch.optim.Optimizer`` calls before and after a step: it works
    with parameter groups, schedulers, closures, clipping and ``GradScaler``, and for
    ``TorchOptimizer``. Only numbers are kept, apart from one copy of the parameters that lives from
    the beginning of a measured step to its end (if a closure fails in between: to the next step).
    Nothing of it enters a ``state_dict``, and it stays attached over ``load_state_dict``.

    A measured step costs about a dozen passes over the parameters, in float64, and on an
    accelerator one wait for the device, or one for each tensor if the optimizer counts its steps
    there. For a network of few thousand weights that can triple the time of a step; with large
    batches or large layers it is a small part. ``every=10`` divides it by ten.

    Parameters
    ----------
    net : torch.nn.Module
        The network, for the names of its parameters.
    *optimizers : torch.optim.Optimizer
        One or more. Their parameters must be in ``net``. A step is counted for each of them on its
        own. A step that ``GradScaler`` leaves out did not happen, and is not counted.
    every : int, default 1
        Measure the steps 1, 1 + ``every``, 1 + 2 ``every``, and so on.

    Raises
    ------
    ValueError
        If there is no optimizer, if one has no hooks or has a parameter that is not in ``net``
        (also if that is added later: at the next step, before it changes anything), or if ``every``
        is not an integer of at least 1.

    Examples
    --------
    >>> net = nn.Linear(3, 2)
    >>> optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    >>> monitor = Monitor(net, optimizer)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     net(torch.ones(5, 3)).square().mean().backward()
    ...     optimizer.step()
    >>> table = monitor.table()
    >>> table[["step", "parameter"]].values.tolist()
    [[1, 'weight'], [1, 'bias'], [2, 'weight'], [2, 'bias']]
    >>> table["m_over_sqrt_v"][:2].round(6).tolist()  # whatever the gradient
    [1.0, 1.0]
    """

    def __init__(self, net: nn.Module, *optimizers: torch.optim.Optimizer, every: int = 1):
        self.every = integer("every", every, least=1)
        if not optimizers:
            raise ValueError("optimizers must be at least one torch.optim.Optimizer, got none")
        for optimizer in optimizers:
            if not hasattr(optimizer, "register_step_post_hook"):
                raise ValueError(f"optimizers must have torch's step hooks, got {optimizer!r}")
        self._net, self._names = net, {p: name for name, p in net.named_parameters()}
        for optimizer in optimizers:
            self._check(optimizer)
        self._rows, self._seen, self._handles = [], {}, []
        self._counts, self._before = [0] * len(optimizers), {}
        for i, optimizer in enumerate(optimizers):
            before, after = partial(self._before_step, i), partial(self._after_step, i)
            self._handles.append(optimizer.register_step_pre_hook(before))
            self._handles.append(optimizer.register_step_post_hook(after))

    def close(self) -> None:
        """Detach from the optimizers. What was measured is kept.

        Examples
        --------
        >>> net = nn.Linear(3, 2)
        >>> with Monitor(net, torch.optim.SGD(net.parameters(), lr=0.1)) as monitor:
        ...     pass  # train; it is closed at the end
        >>> len(monitor.table())
        0
        """
        for handle in self._handles:
            handle.remove()
        self._before.clear()

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def table(self) -> pd.DataFrame:
        """Return what was measured, a row for every measured step and parameter tensor.

        Returns
        -------
        DataFrame
            The columns:

            - ``step``: counted from 1 since the monitor was attached; ``parameter``: the tensor's
              name in ``net.named_parameters()``;
            - ``lr``: the learning rate of the tensor's group;
            - ``grad_norm``, ``grad_rms``: the root of the sum, and of the mean, of the squared
              gradient that the step used;
            - ``weight_rms``: the root mean square of the weights before the step;
            - ``update_ratio``: the root mean square of what the step changed, over ``weight_rms``
              (NaN if that is 0);
            - ``m_over_sqrt_v``: the root mean square of m̂/√v̂ over the elements with v̂ > 0, after
              the step; NaN for an algorithm that has not both averages (AMSGrad's is v, not its
              maximum);
            - ``zero_share``, ``nonfinite_share``: the shares of elements whose gradient is exactly
              0, and infinite or not a number;
            - ``dead_rows``: for tensors with at least two axes, the share of rows in which no
              element has had a gradient other than 0 at any measured step so far.

            A tensor without a gradient has NaN in all columns that need one.
        """
        return pd.DataFrame(self._rows, columns=["step", "parameter", *LABELS])

    def plot(
        self,
        columns: Sequence[str] = ("update_ratio", "m_over_sqrt_v", "grad_rms"),
        parameters: Sequence[str] | None = None,
    ) -> Figure:
        """Draw some columns of the table against the step, one below the other.

        Parameters
        ----------
        columns : sequence of str, default ("update_ratio", "m_over_sqrt_v", "grad_rms")
            Which columns.
        parameters : sequence of str, optional
            Which tensors, by name. By default those with at least two axes, or all if there are
            none: biases often start at 0, and a ratio to a weight of almost 0 says nothing.

        Returns
        -------
        matplotlib.figure.Figure
            A thin line for each tensor, and a thick one for their median.

        Raises
        ------
        ValueError
            If nothing was measured, or there is no such column or parameter.
        """
        columns = [columns] if isinstance(columns, str) else list(columns)
        parameters = [parameters] if isinstance(parameters, str) else parameters
        self._check_names(columns, parameters)
        size = (6.0, 0.6 + 1.6 * len(columns))
        figure, axes = plt.subplots(len(columns), figsize=size, sharex=True, squeeze=False)
        for ax, column in zip(axes[:, 0], columns, strict=True):
            self.draw(ax, column, parameters)
        for ax in axes[:-1, 0]:
            ax.set_xlabel("")
        return figure

    def draw(self, ax: Axes, column: str, parameters: Sequence[str] | None = None) -> None:
        """Draw one column of the table into given axes, as ``plot`` does.

        Parameters
        ----------
        ax : matplotlib.axes.Axes
            Where to draw.
        column : str
            One of ``LABELS``.
        parameters : sequence of str, optional
            As for ``plot``.

        Raises
        ------
        ValueError
            As for ``plot``.
        """
        wide = self._wide(column, parameters)
        share = column in SHARES
        # The logarithm of 0 has no place on the axis.
        values = wide if share else wide.where(wide > 0)
        ax.plot(values.index, values, color="C0", alpha=0.35, linewidth=0.9)
        median = values.median(axis=1)
        ax.plot(median.index, median, color="C0", linewidth=2.2)
        ax.set(xlabel="step $t$", ylabel=LABELS[column])
        if share:
            ax.set(ylim=(-0.03, 1.03))
            return
        ax.set(yscale="log")
        low, high = ax.get_ylim()
        if high > 10 * low:
            # Labels between the powers of ten would touch.
            ax.yaxis.set_minor_formatter(NullFormatter())

    def median(self, column: str, parameters: Sequence[str] | None = None) -> pd.Series:
        """Return the median of a column over the tensors, at every measured step.

        Parameters
        ----------
        column : str
            One of ``LABELS``.
        parameters : sequence of str, optional
            As for ``plot``.

        Returns
        -------
        Series
            The medians; the index is the step.

        Raises
        ------
        ValueError
            As for ``plot``.
        """
        return self._wide(column, parameters).median(axis=1)

    def _wide(self, column, parameters) -> pd.DataFrame:
        """Return a column with a row for each step and a column for each tensor."""
        parameters = [parameters] if isinstance(parameters, str) else parameters
        self._check_names([column], parameters)
        table = self.table()
        if parameters is None:
            axes = {name: p.ndim for p, name in self._names.items()}
            measured = list(dict.fromkeys(table["parameter"]))
            parameters = [name for name in measured if axes[name] > 1] or measured
        wide = table.pivot_table(column, "step", "parameter", dropna=False, aggfunc="last")
        return wide.reindex(columns=list(parameters))

    def _check_names(self, columns, parameters) -> None:
        if not self._rows:
            raise ValueError("nothing to show: no step has been measured yet")
        for column in columns:
            if column not in LABELS:
                raise ValueError(f"columns must be among {', '.join(LABELS)}, got {column!r}")
        measured = {row[1] for row in self._rows}
        for name in () if parameters is None else parameters:
            if name not in measured:
                raise ValueError(f"parameters must be tensors that were stepped, got {name!r}")

    def _check(self, optimizer: torch.optim.Optimizer) -> None:
        params = [p for group in optimizer.param_groups for p in group["params"]]
        if any(p not in self._names for p in params):
            # A layer may have been added to the network since.
            self._names = {p: name for name, p in self._net.named_parameters()}
        for p in params:
            if p not in self._names:
                raise ValueError(
                    "the parameters of optimizers must be those of net, got one of shape "
                    f"{tuple(p.shape)} that is not in it"
                )

    def _measured(self, i: int) -> bool:
        return (self._counts[i] - 1) % self.every == 0

    @torch.no_grad()
    def _before_step(self, i, optimizer, args, kwargs) -> None:
        self._check(optimizer)
        # A fused optimizer is called for steps that GradScaler leaves out, too.
        if (found := getattr(optimizer, "found_inf", None)) is not None and float(found) > 0:
            return
        self._counts[i] += 1
        if self._measured(i):
            params = [p for group in optimizer.param_groups for p in group["params"]]
            self._before[i] = {p: p.detach().clone() for p in params}

    @torch.no_grad()
    def _after_step(self, i, optimizer, args, kwargs) -> None:
        # Gradients are looked at now, as a closure has computed them during the step.
        before = self._before.pop(i, None)
        if before is None:
            return
        names, measured = [], []
        for group in optimizer.param_groups:
            for p in group["params"]:
                names.append((self._names[p], float(group.get("lr", math.nan))))
                measured.append(self._measure(optimizer, group, p, before.pop(p)))
        # One transfer from the device instead of one for every number.
        for (name, lr), values in zip(names, _numbers(measured), strict=True):
            self._rows.append((self._counts[i], name, lr, *values))

    def _measure(self, optimizer, group, p, before) -> torch.Tensor:
        """Return the columns from ``grad_norm`` on, as one tensor."""
        old = _plain(before)
        nothing = torch.full((), math.nan, dtype=old.dtype, device=old.device)
        weight, change = _rms(old), _rms(_plain(p) - old)
        ratio = torch.where(weight > 0, change / weight, nothing)
        if p.grad is None:
            return torch.stack([nothing, nothing, weight, ratio, *[nothing] * 4])
        g = _plain(p.grad)
        rms, dead = _rms(g), nothing
        if p.ndim > 1:
            alive = ((g != 0) & g.isfinite()).flatten(1).any(dim=1)
            self._seen[p] = alive | self._seen[p] if p in self._seen else alive
            dead = (~self._seen[p]).to(g.dtype).mean()
        quotient = nothing
        if (averages := _averages(optimizer, group, p)) is not None:
            m, v = averages
            squares = torch.where(v > 0, m**2 / v, torch.zeros_like(v))
            quotient = (squares.sum() / (v > 0).sum()).sqrt()
        zeros, bad = ((x).to(g.dtype).mean() for x in (g == 0, ~g.isfinite()))
        norm = rms * math.sqrt(g.numel())
        return torch.stack([norm, rms, weight, ratio, quotient, zeros, bad, dead])


def _plain(x: torch.Tensor) -> torch.Tensor:
    """Return a tensor as dense, real and precise: half precision cannot hold a sum of squares."""
    x = x.detach()
    x = x.to_dense() if x.layout != torch.strided else x
    x = torch.view_as_real(x) if x.is_complex() else x
    return x.to(torch.float32 if x.device.type == "mps" else torch.float64)


def _rms(x: torch.Tensor) -> torch.Tensor:
    return x.square().mean().sqrt()


def _averages(optimizer, group, p) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return m̂ and v̂ of a parameter, or None where the algorithm has not both."""
    state, betas = optimizer.state.get(p, {}), group.get("betas", ())
    if isinstance(optimizer, TorchOptimizer):
        if type(optimizer.optimizer).__name__ not in FROM_ZERO:
            return None
        names = ("m", "v", "t")
    else:
        names = ("exp_avg", "exp_avg_sq", "step")
    if len(betas) != 2 or any(name not in state for name in names):
        return None
    m, v, t = (state[name] for name in names)
    if m.shape != p.shape or v.shape != p.shape or not (t := float(t)) >= 1:
        return None
    beta1, beta2 = map(float, betas)
    return _plain(m) / (1 - beta1**t), _plain(v) / (1 - beta2**t)


def _numbers(rows: list[torch.Tensor]) -> list[list[float]]:
    if len({row.device for row in rows}) > 1:
        rows = [row.cpu() for row in rows]
    return torch.stack(rows).tolist() if rows else []
