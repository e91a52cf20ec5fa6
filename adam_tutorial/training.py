"""Seeded training, and fair comparisons of optimizers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import joblib
import numpy as np
import pandas as pd
import torch
from torch import nn

from adam_tutorial.datasets import Dataset
from adam_tutorial.optimizers import Optimizer
from adam_tutorial.optimizers.base import integer
from adam_tutorial.progress import progress
from adam_tutorial.torch_optimizer import TorchOptimizer

TWIN_SCALE = 1 + 1e-15
"""The initial weights of a run's twin, relative to those of the run."""

REPRODUCIBLE = 1e-8
"""How far, relatively, the losses of a run and its twin may lie apart."""


def fit(
    model: Callable[[], nn.Module],
    optimizer: Optimizer | Callable[[nn.Module], list[TorchOptimizer]],
    data: Dataset,
    *,
    epochs: int,
    batch_size: int = 64,
    seed: int = 0,
    scale: float = 1.0,
    schedule: Callable[[float], float] | None = None,
) -> tuple[nn.Module, pd.DataFrame]:
    """Train a classifier in float64 and return it with its learning curve.

    The loss is the mean cross-entropy of a batch; the steps are those of ``TorchOptimizer``.

    Parameters
    ----------
    model : callable
        Makes the network, for example ``models.small_cnn``. The network takes a batch of the data's
        examples, such as images of shape ``(n, 1, height, width)``, and gives scores of shape
        ``(n, classes)``; or ``(n, classes, length)`` if each place of an example has a class.
    optimizer : Optimizer, or callable
        For example ``Adam(lr=1e-2)``. A function gets the network and returns a list of
        ``TorchOptimizer``, where one algorithm is not for all of the parameters.
    data : Dataset
        What ``datasets.load`` gives.
    epochs : int
        How often to go through the training examples, each time in a new random order.
    batch_size : int, default 64
        Examples in a batch. The last examples of an epoch, if too few for a batch, are left out.
    seed : int, default 0
        Decides the initial weights and the order of the examples, and nothing else does.
    scale : float, default 1
        Factor on the initial weights.
    schedule : callable, optional
        From the part of the training that is done, from 0 to 1, to a factor on the learning rate,
        and on AdaBound's ``final_lr``; for example ``schedules.linear_decay``. By default the
        learning rate stays.

    Returns
    -------
    net : torch.nn.Module
        The network after training.
    curve : DataFrame
        A row for each epoch (row 0: before training) and the columns ``train_loss`` (mean over the
        epoch's batches, as they came), ``val_loss`` and ``val_accuracy`` (from 0 to 1).

    Raises
    ------
    ValueError
        If ``epochs`` is not an integer of at least 1, or ``batch_size`` not one from 1 to the
        number of training examples.

    Examples
    --------
    >>> from adam_tutorial import Adam, datasets, models
    >>> net, curve = fit(models.small_cnn, Adam(lr=0.01), datasets.load(), epochs=1)
    >>> curve.shape
    (2, 3)
    >>> bool(curve["val_loss"][1] < curve["val_loss"][0])
    True
    """
    integer("epochs", epochs, least=1)
    integer("batch_size", batch_size, least=1, most=len(data.y_train))
    # Layers such as dropout draw from torch's own generator: it is the caller's again afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = build(model, seed, scale)
        steppers = _steppers_of(net, optimizer)
        return net, _fit(net, steppers, data, epochs, batch_size, seed, schedule)


def build(model: Callable[[], nn.Module], seed: int = 0, scale: float = 1.0) -> nn.Module:
    """Make a network in float64 from a seed.

    Parameters
    ----------
    model : callable
        Makes the network.
    seed : int, default 0
        Decides the initial weights. Torch's own generator is afterwards as it was before.
    scale : float, default 1
        Factor on the initial weights.

    Returns
    -------
    torch.nn.Module
        The network.

    Examples
    --------
    >>> from adam_tutorial import models
    >>> net, twin = build(models.dense), build(models.dense, scale=2.0)
    >>> bool((twin[1].weight == 2 * net[1].weight).all()), net[1].weight.dtype
    (True, torch.float64)
    """
    # Weights made in float32 and cast would differ between processors in the eighth digit.
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = model()
    finally:
        torch.set_default_dtype(dtype)
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(scale)
    return net


def steps(
    net: nn.Module,
    optimizer: Optimizer | Callable[[nn.Module], list[TorchOptimizer]],
    loss: Callable[[int], torch.Tensor],
    count: int,
    *,
    schedule: Callable[[float], float] | None = None,
) -> Iterator[tuple[int, float]]:
    """Train a network, one step at each pass of a loop.

    Parameters
    ----------
    net : torch.nn.Module
        The network.
    optimizer : Optimizer, or callable
        As for ``fit``.
    loss : callable
        From the number of the step, counted from 1, to the loss of its batch: a tensor without
        axes.
    count : int
        How many steps to take.
    schedule : callable, optional
        As for ``fit``.

    Yields
    ------
    step : int
        The number of the step that was taken.
    loss : float
        The loss of its batch, before the step.

    Raises
    ------
    ValueError
        If ``count`` is not an integer of at least 1.

    Examples
    --------
    >>> from adam_tutorial import Adam, datasets, models
    >>> net, digits = build(models.linear), datasets.load()
    >>> x, y = torch.from_numpy(digits.x_train), torch.from_numpy(digits.y_train)
    >>> losses = [
    ...     loss
    ...     for step, loss in steps(
    ...         net, Adam(lr=0.01), lambda step: nn.functional.cross_entropy(net(x), y), 20
    ...     )
    ... ]
    >>> losses[19] < losses[0]
    True
    """
    integer("count", count, least=1)
    return _steps(net, _steppers_of(net, optimizer), loss, count, schedule)


def _steps(net, steppers, loss, count, schedule) -> Iterator[tuple[int, float]]:
    groups = [group for stepper in steppers for group in stepper.param_groups]
    rates = [{k: group[k] for k in ("lr", "final_lr") if k in group} for group in groups]
    # As net.zero_grad() does, which looks for the parameters anew each time.
    params = list(net.parameters())
    for step in range(1, count + 1):
        if schedule is not None:
            factor = schedule((step - 1) / count)
            for group, rate in zip(groups, rates, strict=True):
                group.update({k: value * factor for k, value in rate.items()})
        value = loss(step)
        for p in params:
            p.grad = None
        value.backward()
        for stepper in steppers:
            stepper.step()
        yield step, value.item()


def _steppers_of(net, optimizer) -> list[TorchOptimizer]:
    if isinstance(optimizer, Optimizer):
        return [TorchOptimizer(net.parameters(), optimizer)]
    return optimizer(net)


def _fit(net, steppers, data, epochs, batch_size, seed, schedule) -> pd.DataFrame:
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
    per_epoch = len(y) // batch_size
    batches = _batches(len(y), epochs, batch_size, seed)

    def loss(step):
        batch = next(batches)
        return nn.functional.cross_entropy(net(x[batch]), y[batch])

    rows = [{"train_loss": np.nan, **_evaluate(net, steppers, data)}]
    losses = []
    for step, value in _steps(net, steppers, loss, epochs * per_epoch, schedule):
        losses.append(value)
        if step % per_epoch == 0:
            rows.append({"train_loss": np.mean(losses), **_evaluate(net, steppers, data)})
            losses = []
    # What is returned is what was evaluated.
    for stepper in steppers:
        stepper.swap_average()
    return pd.DataFrame(rows).rename_axis("epoch")


def _batches(count: int, epochs: int, batch_size: int, seed: int) -> Iterator[torch.Tensor]:
    """Yield which examples are in each batch, epoch by epoch; too few for a batch are left out."""
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        yield from torch.randperm(count, generator=order).split(batch_size)[: count // batch_size]


@torch.no_grad()
def predict(net: nn.Module, x: np.ndarray) -> torch.Tensor:
    """Return the network's scores for examples, in evaluation mode and without gradients.

    Parameters
    ----------
    net : torch.nn.Module
        A network, for example from ``fit``. It is in the same mode afterwards as before.
    x : array of shape (n, ...)
        The examples, such as images of shape ``(n, 1, height, width)``, of the type that the
        network takes.

    Returns
    -------
    tensor of shape (n, classes) or (n, classes, length)
        The scores (logits).
    """
    training = net.training
    try:
        return net.eval()(torch.from_numpy(x))
    finally:
        net.train(training)


def accuracy(net: nn.Module, x: np.ndarray, y: np.ndarray) -> float:
    """Return the part of the examples that the network puts into the right class.

    Parameters
    ----------
    net : torch.nn.Module
        A network, for example from ``fit``.
    x : array of shape (n, ...)
        The examples, as for ``predict``.
    y : array of shape (n,) or (n, length)
        The class of each example, or of each place in it.

    Returns
    -------
    float
        From 0 to 1. The class that the network takes is the one with the highest score.
    """
    return (predict(net, x).argmax(dim=1).numpy() == y).mean().item()


def _evaluate(net: nn.Module, steppers: list, data: Dataset) -> dict[str, float]:
    for stepper in steppers:
        stepper.swap_average()
    scores, y = predict(net, data.x_val), torch.from_numpy(data.y_val)
    for stepper in steppers:
        stepper.swap_average()
    return {
        "val_loss": nn.functional.cross_entropy(scores, y).item(),
        "val_accuracy": (scores.argmax(dim=1) == y).double().mean().item(),
    }


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` or ``compare_runs`` measured.

    Parameters
    ----------
    names : tuple of str
        The optimizers, in the order in which the tables of the methods list them.
    curves : DataFrame
        The learning curve of every run; index: optimizer, lr, seed, epoch; columns: as from
        ``fit``, and ``test_accuracy``, which only the last row has; or those of the own runs.
    runs : DataFrame
        The end of every run; index: optimizer, lr, seed; columns: the last row of the curve and
        ``reproducible``. The latter says whether a twin, whose initial weights differ in the last
        digits, had the same validation losses. A run that is not reproducible is chaotic: another
        processor gives it another result. A run whose loss overflowed has the loss infinity.
    choose : str, default "val_loss"
        The column that decides the learning rate: the lower the better.
    report : str, default "test_accuracy"
        The column that is reported.
    """

    names: tuple[str, ...]
    curves: pd.DataFrame
    runs: pd.DataFrame
    choose: str = "val_loss"
    report: str = "test_accuracy"

    def by_lr(self) -> pd.DataFrame:
        """Return mean and spread over the seeds, for every optimizer and learning rate.

        Returns
        -------
        DataFrame
            Index: optimizer, lr. Columns: ``val_loss`` and ``test_accuracy`` (or the columns
            ``choose`` and ``report``), the means over the seeds; ``spread``, the standard deviation
            of the latter (NaN for one seed); ``reproducible``, true where all seeds are. Where it
            is false the numbers are NaN.
        """
        groups = self.runs.groupby(level=["optimizer", "lr"])
        # A column that both decides and is reported stands there once.
        means = {name: (name, _mean) for name in (self.choose, self.report)}
        numbers = groups.agg(**means, spread=(self.report, _spread))
        reproducible = groups["reproducible"].all()
        # One chaotic seed spoils the mean.
        table = numbers.where(reproducible).assign(reproducible=reproducible)
        return table.reindex(self.names, level="optimizer")

    def best(self) -> pd.DataFrame:
        """Return each optimizer at the learning rate with the lowest mean of ``choose``.

        Learning rates with a run that is not reproducible are left out of the choice. A best
        learning rate at the end of the grid is not one: ``inside`` tells that it is not there.

        Returns
        -------
        DataFrame
            Index: optimizer. Columns: ``lr``, ``inside``, and those of ``by_lr``:
            ``val_loss``, ``test_accuracy``, ``spread``.

        Raises
        ------
        ValueError
            If an optimizer has no learning rate to choose from.
        """
        table = self.by_lr()
        rows = {}
        for name, group in table.groupby(level="optimizer", sort=False):
            if not np.isfinite(group[self.choose]).any():
                raise ValueError(f"no learning rate of {name!r} gave a finite, reproducible loss")
            (_, lr) = group[self.choose].idxmin()
            lrs = group.index.get_level_values("lr")
            inside = lrs.min() < lr < lrs.max()
            numbers = group.loc[(name, lr)].drop("reproducible")
            rows[name] = {"lr": lr, "inside": inside, **numbers}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("optimizer")

    def best_runs(self) -> pd.DataFrame:
        """Return the runs at each optimizer's best learning rate.

        Returns
        -------
        DataFrame
            Rows of ``runs``; index: optimizer, seed.

        Raises
        ------
        ValueError
            If an optimizer has no learning rate to choose from.
        """
        return self._at_best(self.runs)

    def best_curves(self) -> pd.DataFrame:
        """Return the curves at each optimizer's best learning rate.

        Returns
        -------
        DataFrame
            Rows of ``curves``; index: optimizer, seed, epoch.

        Raises
        ------
        ValueError
            If an optimizer has no learning rate to choose from.
        """
        return self._at_best(self.curves)

    def _at_best(self, table: pd.DataFrame) -> pd.DataFrame:
        best = self.best()["lr"]
        parts = {k: table.xs((k, lr), level=["optimizer", "lr"]) for k, lr in best.items()}
        return pd.concat(parts, names=["optimizer"])


def _mean(numbers: pd.Series) -> float:
    # A run without a number, such as one that overflowed, leaves no mean.
    return numbers.mean(skipna=False)


def _spread(numbers: pd.Series) -> float:
    return numbers.std(skipna=False)


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
    """Train with every optimizer, at every learning rate, from every seed.

    All optimizers get the same learning rates, the same initial weights and the same batches in
    the same order. Every run has a twin that starts from weights which differ in the last digits,
    to tell the chaotic runs from the others: where the two have validation losses that differ after
    some epoch by more than one part in 10⁸, the run is not reproducible.

    Parameters
    ----------
    optimizers : mapping from name to Optimizer
        Their own ``lr`` is replaced.
    model : callable
        Makes the network, as for ``fit``; a function that another process can import.
    data : Dataset
        What ``datasets.load`` gives.
    lrs : sequence of floats
        The learning rates, without repetition.
    seeds : sequence of ints
        The seeds, without repetition.
    epochs : int
        As for ``fit``.
    batch_size : int, default 64
        As for ``fit``.
    jobs : int, default -1
        Number of processes, -1: one for each core. The result does not depend on it.

    Returns
    -------
    Comparison
        All runs and their curves, without the twins.

    Raises
    ------
    ValueError
        If ``optimizers``, ``lrs`` or ``seeds`` is empty or repeats a value, and where ``fit``
        raises it.

    Examples
    --------
    >>> from adam_tutorial import SGD, Adam, datasets, models
    >>> result = compare(
    ...     {"SGD": SGD(), "Adam": Adam()},
    ...     models.small_cnn,
    ...     datasets.load(),
    ...     lrs=[0.01],
    ...     seeds=[0],
    ...     epochs=1,
    ...     batch_size=256,
    ...     jobs=1,
    ... )
    >>> len(result.runs), list(result.best().index)
    (2, ['SGD', 'Adam'])
    """
    run = partial(_run, model, data, epochs, batch_size)
    return compare_runs(run, optimizers, lrs=lrs, seeds=seeds, jobs=jobs)


def _run(model, data, epochs, batch_size, optimizer, seed, scale) -> pd.DataFrame:
    net, curve = fit(
        model, optimizer, data, epochs=epochs, batch_size=batch_size, seed=seed, scale=scale
    )
    curve["test_accuracy"] = np.nan
    curve.loc[epochs, "test_accuracy"] = accuracy(net, data.x_test, data.y_test)
    return curve


def _check_grid(optimizers: Mapping, lrs: Sequence, seeds: Sequence) -> None:
    for name, values in (("optimizers", optimizers), ("lrs", lrs), ("seeds", seeds)):
        if not len(values) or len(set(values)) < len(values):
            raise ValueError(f"{name} must hold different values, at least one, got {values!r}")


def compare_runs(
    run: Callable[[Optimizer, int, float], pd.DataFrame],
    optimizers: Mapping[str, Optimizer],
    *,
    lrs: Sequence[float],
    seeds: Sequence[int],
    choose: str = "val_loss",
    report: str = "test_accuracy",
    jobs: int = -1,
) -> Comparison:
    """Compare optimizers at a training of one's own, at every learning rate, from every seed.

    Every run has a twin, as in ``compare``.

    Parameters
    ----------
    run : callable
        From the optimizer, the seed and a factor on the initial weights (for ``build``) to a
        DataFrame with a row for each stage of the training, the last of which is the result.
    optimizers : mapping from name to Optimizer
        Their own ``lr`` is replaced.
    lrs : sequence of floats
        The learning rates, without repetition.
    seeds : sequence of ints
        The seeds, without repetition.
    choose : str, default "val_loss"
        The column whose mean at the end decides the learning rate: the lower the better.
    report : str, default "test_accuracy"
        The column that is reported.
    jobs : int, default -1
        Number of processes, -1: one for each core. The result does not depend on it.

    Returns
    -------
    Comparison
        All runs and their curves, without the twins.

    Raises
    ------
    ValueError
        If ``optimizers``, ``lrs`` or ``seeds`` is empty or repeats a value, or if a run has no
        column ``choose`` or ``report``.

    Examples
    --------
    >>> from adam_tutorial import Adam, minimize
    >>> def run(optimizer, seed, scale):
    ...     path = minimize(optimizer, lambda theta: theta, theta=scale * (1.0 + seed), steps=20)
    ...     return pd.DataFrame({"height": path.theta**2 / 2})
    >>> lrs = [1e-3, 0.1, 10.0]
    >>> adam = {"Adam": Adam()}
    >>> compare_runs(
    ...     run, adam, lrs=lrs, seeds=[0], choose="height", report="height", jobs=1
    ... ).best()["lr"].item()
    0.1
    """
    _check_grid(optimizers, lrs, seeds)
    keys = [
        (name, float(lr), int(seed), scale)
        for name in optimizers
        for lr in lrs
        for seed in seeds
        for scale in (1.0, TWIN_SCALE)
    ]
    tasks = (
        joblib.delayed(run)(replace(optimizers[name], lr=lr), seed, scale)
        for name, lr, seed, scale in keys
    )
    done = joblib.Parallel(n_jobs=jobs, return_as="generator")(tasks)
    results = dict(zip(keys, progress(done, len(keys), "training runs"), strict=True))

    return _collect(results, tuple(optimizers), choose, report)


def _collect(
    results: Mapping[tuple, pd.DataFrame], names: tuple[str, ...], choose: str, report: str
) -> Comparison:
    """Make a comparison of curves by optimizer, lr, seed and scale."""
    curves, ends = {}, {}
    for key in dict.fromkeys(key[:3] for key in results):
        curve, twin = results[*key, 1.0], results[*key, TWIN_SCALE]
        for name, column in (("choose", choose), ("report", report)):
            if column not in curve:
                raise ValueError(f"{name} must be a column of the runs, got {column!r}")
        same = np.allclose(curve[choose], twin[choose], rtol=REPRODUCIBLE, atol=0, equal_nan=True)
        curves[key] = curve
        end = curve.iloc[-1]
        ends[key] = {**end, choose: np.nan_to_num(end[choose], nan=np.inf), "reproducible": same}
    index = ["optimizer", "lr", "seed"]
    runs = pd.DataFrame(ends.values(), index=pd.MultiIndex.from_tuples(ends, names=index))
    # Sorted, because pandas looks up slowly, and warns, where an index is not.
    curves = pd.concat(curves, names=index).sort_index()
    return Comparison(names, curves, runs.sort_index(), choose, report)
