"""Many small networks that train side by side, as one."""

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace

import joblib
import numpy as np
import pandas as pd
import torch
from torch import nn

from adam_tutorial.datasets import Dataset
from adam_tutorial.optimizers import LAMB, Muon, Optimizer
from adam_tutorial.optimizers.base import integer
from adam_tutorial.progress import progress
from adam_tutorial.training import (
    TWIN_SCALE,
    Comparison,
    _batches,
    _check_grid,
    _collect,
    build,
)


class Stack:
    r"""Copies of a network that train side by side, each with hyperparameters of its own.

    Most of the time of a step of a small network goes into calling functions. An algorithm that
    works element by element does not care for the shape: the same weight of K networks is one array
    with an axis of length K in front, and where a formula has a number such as
    :math:`\beta_1`, it gets K of them. One step of the stack is one step of each network.

    Parameters
    ----------
    nets : sequence of torch.nn.Module
        K networks of one kind, for example from ``training.build``.
    optimizers : sequence of Optimizer
        K optimizers of one algorithm that works element by element. They differ in numbers only:
        in hyperparameters, or in what their ``at`` gives.

    Raises
    ------
    ValueError
        If the lists are empty or of different lengths, or the optimizers are not of one algorithm,
        work on whole tensors, or differ in what they remember.

    Examples
    --------
    Two copies of one network, at two learning rates:

    >>> from adam_tutorial import Adam, models, training
    >>> nets = [training.build(models.linear) for _ in range(2)]
    >>> stack = Stack(nets, [Adam(lr=0.1), Adam(lr=0.2)])
    >>> x = torch.ones(2, 1, 64, dtype=torch.float64)
    >>> stack.step(stack(x).square().sum(dim=(1, 2)))
    >>> moved = [(stack.net(k)[1].weight - nets[k][1].weight).abs().max() for k in (0, 1)]
    >>> round(moved[0].item(), 3), round(moved[1].item(), 3)
    (0.1, 0.2)
    """

    def __init__(self, nets: Sequence[nn.Module], optimizers: Sequence[Optimizer]):
        if not len(nets) or len(nets) != len(optimizers):
            raise ValueError(
                f"optimizers must be as many as nets, {len(nets)}, at least 1, "
                f"got {len(optimizers)}"
            )
        first = optimizers[0]
        if not first.LIKE_THETA or isinstance(first, (LAMB, Muon)):
            raise ValueError(f"optimizers must work element by element, got {first!r}")
        for other in optimizers:
            if _kind(other) != _kind(first):
                raise ValueError(
                    f"optimizers must differ in numbers only, got {first!r} and {other!r}"
                )
        self._net, self._optimizers, self._t = nets[0], list(optimizers), 0
        self._params, self._buffers = torch.func.stack_module_state(list(nets))
        self._states = {name: first.init(p) for name, p in self._params.items()}

    def __call__(self, *inputs: torch.Tensor, shared: bool = False):
        """Return what each network makes of its inputs, in one tensor with an axis in front.

        Parameters
        ----------
        *inputs : tensors
            What the networks take, with an axis of length K in front.
        shared : bool, default False
            All networks get the same inputs, without that axis.

        Returns
        -------
        tensor of shape (K, ...)
            The outputs.
        """

        def run(params, buffers, *xs):
            return torch.func.functional_call(self._net, (params, buffers), xs)

        dims = (0, 0, *(None if shared else 0 for _ in inputs))
        return torch.func.vmap(run, in_dims=dims)(self._params, self._buffers, *inputs)

    def step(self, losses: torch.Tensor) -> None:
        """Take one step of each network, down the gradient of its own loss.

        Parameters
        ----------
        losses : tensor of shape (K,)
            The losses. What they were computed from must have come from this stack.
        """
        grads = torch.autograd.grad(losses.sum(), list(self._params.values()))
        self._t += 1
        rows = [optimizer.at(self._t) for optimizer in self._optimizers]
        first = self._optimizers[0]
        decay = [getattr(optimizer, "weight_decay", 0.0) for optimizer in self._optimizers]
        with torch.no_grad():
            for (name, p), g in zip(self._params.items(), grads, strict=True):
                numbers = {key: _column([row[key] for row in rows], p) for key in rows[0]}
                g = first.l2(p, g, _column(decay, p) if any(decay) else None)
                new = first.rule(p, g, self._states[name], **numbers)
                p.copy_(new.theta)
                self._states[name] = new.state

    def net(self, k: int) -> nn.Module:
        """Return a copy of the first network with the present weights of network ``k``."""
        net = copy.deepcopy(self._net)
        state = {**self._params, **self._buffers}
        net.load_state_dict({name: value[k] for name, value in state.items()})
        return net


def _kind(optimizer: Optimizer) -> tuple:
    """Return all that optimizers of one stack must have in common."""
    state = optimizer.init(torch.empty(1, device="meta"))
    fixed = {k: x for k, x in asdict(optimizer).items() if not isinstance(x, (float, tuple))}
    return type(optimizer).rule, fixed, [x is None for x in state]


def _column(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    """Return K numbers as a tensor that multiplies the K parts of another."""
    return torch.tensor(values, dtype=like.dtype).view(-1, *[1] * (like.ndim - 1))


def compare_stacked(
    train: Callable[[list[Optimizer], list[int], list[float]], Mapping[str, np.ndarray]],
    optimizers: Mapping[str, Optimizer],
    *,
    lrs: Sequence[float],
    seeds: Sequence[int],
    choose: str = "val_loss",
    report: str = "test_loss",
) -> Comparison:
    """Compare optimizers of one algorithm, all learning rates, seeds and twins in one stack.

    The rules are those of ``training.compare_runs``.

    Parameters
    ----------
    train : callable
        From the optimizers of K runs, their seeds and the factors on their initial weights to the
        results at the end: from the name of a column to K numbers.
    optimizers : mapping from name to Optimizer
        Of one algorithm; their own ``lr`` is replaced.
    lrs : sequence of floats
        The learning rates, without repetition.
    seeds : sequence of ints
        The seeds, without repetition.
    choose : str, default "val_loss"
        The column whose mean decides the learning rate: the lower the better.
    report : str, default "test_loss"
        The column that is reported.

    Returns
    -------
    Comparison
        All runs, without the twins; ``curves`` has their ends only.

    Raises
    ------
    ValueError
        If ``optimizers``, ``lrs`` or ``seeds`` is empty or repeats a value.

    Examples
    --------
    >>> from adam_tutorial import Adam, models, training
    >>> def train(optimizers, seeds, scales):
    ...     nets = [training.build(models.linear, *of) for of in zip(seeds, scales)]
    ...     stack, x = Stack(nets, optimizers), torch.ones(1, 64, dtype=torch.float64)
    ...     for _ in range(20):
    ...         stack.step(stack(x, shared=True).square().mean(dim=(1, 2)))
    ...     return {"height": stack(x, shared=True).square().mean(dim=(1, 2)).detach().numpy()}
    >>> columns = {"choose": "height", "report": "height"}
    >>> found = compare_stacked(train, {"Adam": Adam()}, lrs=[1e-4, 0.01], seeds=[0, 1], **columns)
    >>> found.best()["lr"].item()
    0.01
    """
    _check_grid(optimizers, lrs, seeds)
    scales = (1.0, TWIN_SCALE)
    keys = list(itertools.product(optimizers, map(float, lrs), map(int, seeds), scales))
    made = [replace(optimizers[name], lr=lr) for name, lr, *_ in keys]
    ends = train(made, [seed for *_, seed, _ in keys], [scale for *_, scale in keys])
    table = pd.DataFrame({name: np.asarray(column) for name, column in ends.items()})
    results = {key: table.iloc[[k]].reset_index(drop=True) for k, key in enumerate(keys)}
    return _collect(results, tuple(optimizers), choose, report)


def compare(
    optimizers: Mapping[str, Optimizer],
    model: Callable[[], nn.Module],
    data: Dataset,
    *,
    lrs: Sequence[float],
    seeds: Sequence[int],
    epochs: int,
    batch_size: int = 64,
    jobs: int = -1,
) -> Comparison:
    """Do what ``training.compare`` does, several times faster for a small network.

    The runs of an optimizer from one seed see the same batches: all its learning rates, and their
    twins, train in one stack.

    Parameters
    ----------
    optimizers : mapping from name to Optimizer
        Each works element by element and keeps no average for the end; its own ``lr`` is replaced.
    model : callable
        Makes the network, in which nothing is left to chance once it is made (no dropout); a
        function that another process can import.
    data, lrs, seeds, epochs, batch_size, jobs
        As for ``training.compare``.

    Returns
    -------
    Comparison
        All runs and their curves, without the twins.

    Raises
    ------
    ValueError
        If ``optimizers``, ``lrs`` or ``seeds`` is empty or repeats a value, if an optimizer cannot
        be stacked, or if ``epochs`` or ``batch_size`` is not as for ``training.fit``.

    Examples
    --------
    >>> from adam_tutorial import SGD, Adam, datasets, models
    >>> result = compare(
    ...     {"SGD": SGD(), "Adam": Adam()},
    ...     models.linear,
    ...     datasets.load(),
    ...     lrs=[0.01, 0.1],
    ...     seeds=[0],
    ...     epochs=1,
    ...     jobs=1,
    ... )
    >>> len(result.runs), list(result.best().index)
    (4, ['SGD', 'Adam'])
    """
    _check_grid(optimizers, lrs, seeds)
    integer("epochs", epochs, least=1)
    integer("batch_size", batch_size, least=1, most=len(data.y_train))
    for optimizer in optimizers.values():
        if optimizer.AVERAGE:
            raise ValueError(f"optimizers must not end with an average, got {optimizer!r}")
    keys = [(name, int(seed)) for name in optimizers for seed in seeds]
    tasks = (
        joblib.delayed(_curves)(optimizers[name], model, data, lrs, seed, epochs, batch_size)
        for name, seed in keys
    )
    done = joblib.Parallel(n_jobs=jobs, return_as="generator")(tasks)
    results = {}
    for (name, seed), curves in zip(keys, progress(done, len(keys), "stacks"), strict=True):
        results |= {(name, lr, seed, scale): curve for (lr, scale), curve in curves.items()}
    return _collect(results, tuple(optimizers), "val_loss", "test_accuracy")


def _curves(optimizer, model, data, lrs, seed, epochs, batch_size) -> dict[tuple, pd.DataFrame]:
    """Return the curve of each learning rate and scale, as ``training.fit`` would give it."""
    keys = [(float(lr), scale) for lr in lrs for scale in (1.0, TWIN_SCALE)]
    nets = [build(model, seed, scale) for _, scale in keys]
    stack = Stack(nets, [replace(optimizer, lr=lr) for lr, _ in keys])
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
    per_epoch = len(y) // batch_size
    rows = [{"train_loss": np.full(len(keys), np.nan), **_validate(stack, data)}]
    losses = []
    for step, batch in enumerate(_batches(len(y), epochs, batch_size, seed), start=1):
        each = _cross_entropy(stack(x[batch], shared=True), y[batch])
        stack.step(each)
        losses.append(each.detach().numpy())
        if step % per_epoch == 0:
            rows.append({"train_loss": np.mean(losses, axis=0), **_validate(stack, data)})
            losses = []
    with torch.no_grad():
        guesses = stack(torch.from_numpy(data.x_test), shared=True).argmax(dim=2).numpy()
    accuracies = (guesses == data.y_test).reshape(len(keys), -1).mean(axis=1)
    curves = {}
    for k, key in enumerate(keys):
        curve = pd.DataFrame([{name: column[k] for name, column in row.items()} for row in rows])
        curve["test_accuracy"] = np.nan
        curve.loc[epochs, "test_accuracy"] = accuracies[k]
        curves[key] = curve.rename_axis("epoch")
    return curves


def _cross_entropy(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of each network's scores, of shape (K, n, classes, ...)."""
    each = nn.functional.cross_entropy(
        scores.flatten(0, 1), y.repeat(len(scores), *[1] * (y.ndim - 1)), reduction="none"
    )
    return each.view(len(scores), -1).mean(dim=1)


@torch.no_grad()
def _validate(stack: Stack, data: Dataset) -> dict[str, np.ndarray]:
    scores, y = stack(torch.from_numpy(data.x_val), shared=True), torch.from_numpy(data.y_val)
    right = (scores.argmax(dim=2) == y).flatten(1).double()
    return {
        "val_loss": _cross_entropy(scores, y).numpy(),
        "val_accuracy": right.mean(dim=1).numpy(),
    }
