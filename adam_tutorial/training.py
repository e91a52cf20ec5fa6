"""Seeded training of classifiers, and fair comparisons of optimizers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import joblib
import numpy as np
import pandas as pd
import torch
from torch import nn

from adam_tutorial.datasets import Dataset
from adam_tutorial.optimizers import Optimizer
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
        and on AdaBound's ``final_lr``; for example ``linear_decay``. By default the learning rate
        stays.

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
    for name, value, most in (
        ("epochs", epochs, float("inf")),
        ("batch_size", batch_size, len(data.y_train)),
    ):
        integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not integer or not 1 <= value <= most:
            raise ValueError(f"{name} must be an integer from 1 to {most}, got {value!r}")
    # Layers such as dropout draw from torch's own generator: it is the caller's again afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _in_float64(model)
        with torch.no_grad():
            for p in net.parameters():
                p.mul_(scale)
        single = isinstance(optimizer, Optimizer)
        steppers = [TorchOptimizer(net.parameters(), optimizer)] if single else optimizer(net)
        return net, _fit(net, steppers, data, epochs, batch_size, seed, schedule)


def linear_decay(done: float) -> float:
    """Return a factor on the learning rate that falls from 1 to 0 in a straight line.

    Parameters
    ----------
    done : float
        The part of the training that is done, from 0 to 1.

    Returns
    -------
    float
        1 - ``done``.
    """
    return 1 - done


def _fit(net, steppers, data, epochs, batch_size, seed, schedule) -> pd.DataFrame:
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
    order = torch.Generator().manual_seed(seed)
    steps, step = epochs * (len(y) // batch_size), 0
    groups = [group for stepper in steppers for group in stepper.param_groups]
    rates = [{k: group[k] for k in ("lr", "final_lr") if k in group} for group in groups]

    rows = [{"train_loss": np.nan, **_evaluate(net, steppers, data)}]
    for _ in range(epochs):
        losses = []
        for batch in torch.randperm(len(y), generator=order).split(batch_size):
            if len(batch) < batch_size:
                break
            if schedule is not None:
                for group, rate in zip(groups, rates, strict=True):
                    group.update({k: value * schedule(step / steps) for k, value in rate.items()})
            loss = nn.functional.cross_entropy(net(x[batch]), y[batch])
            net.zero_grad()
            loss.backward()
            for stepper in steppers:
                stepper.step()
            losses.append(loss.item())
            step += 1
        rows.append({"train_loss": np.mean(losses), **_evaluate(net, steppers, data)})
    # What is returned is what was evaluated.
    for stepper in steppers:
        stepper.swap_average()
    return pd.DataFrame(rows).rename_axis("epoch")


def _in_float64(model: Callable[[], nn.Module]) -> nn.Module:
    # Weights made in float32 and cast would differ between processors in the eighth digit.
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return model()
    finally:
        torch.set_default_dtype(dtype)


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
    """What ``compare`` measured.

    Parameters
    ----------
    names : tuple of str
        The optimizers, in the order in which the tables of the methods list them.
    curves : DataFrame
        The learning curve of every run; index: optimizer, lr, seed, epoch; columns: as from
        ``fit``.
    runs : DataFrame
        The end of every run; index: optimizer, lr, seed; columns: the last row of the curve,
        ``test_accuracy`` and ``reproducible``. The latter says whether a twin, whose initial
        weights differ in the last digits, had the same validation losses. A run that is not
        reproducible is chaotic: another processor gives it another result. A run whose loss
        overflowed has the loss infinity.
    """

    names: tuple[str, ...]
    curves: pd.DataFrame
    runs: pd.DataFrame

    def by_lr(self) -> pd.DataFrame:
        """Return mean and spread over the seeds, for every optimizer and learning rate.

        Returns
        -------
        DataFrame
            Index: optimizer, lr. Columns: ``val_loss`` and ``test_accuracy``, the means over the
            seeds; ``spread``, the standard deviation of the test accuracy (NaN for one seed);
            ``reproducible``, true where all seeds are. Where it is false the numbers are NaN.
        """
        groups = self.runs.groupby(level=["optimizer", "lr"])
        table = groups.agg(
            val_loss=("val_loss", "mean"),
            test_accuracy=("test_accuracy", "mean"),
            spread=("test_accuracy", "std"),
            reproducible=("reproducible", "all"),
        )
        # One chaotic seed spoils the mean.
        table.loc[~table["reproducible"], ["val_loss", "test_accuracy", "spread"]] = np.nan
        return table.reindex(self.names, level="optimizer")

    def best(self) -> pd.DataFrame:
        """Return each optimizer at the learning rate with the lowest mean validation loss.

        Learning rates with a run that is not reproducible are left out of the choice. A best
        learning rate at the end of the grid is not one: ``inside`` tells that it is not there.

        Returns
        -------
        DataFrame
            Index: optimizer. Columns: ``lr``, ``inside``, ``val_loss``, ``test_accuracy``,
            ``spread``.

        Raises
        ------
        ValueError
            If an optimizer has no learning rate to choose from.
        """
        table = self.by_lr()
        rows = {}
        for name, group in table.groupby(level="optimizer", sort=False):
            if not np.isfinite(group["val_loss"]).any():
                raise ValueError(f"no learning rate of {name!r} gave a finite, reproducible loss")
            (_, lr) = group["val_loss"].idxmin()
            lrs = group.index.get_level_values("lr")
            inside = lrs.min() < lr < lrs.max()
            numbers = group.loc[(name, lr), ["val_loss", "test_accuracy", "spread"]]
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
    for name, values in (("optimizers", optimizers), ("lrs", lrs), ("seeds", seeds)):
        if not len(values) or len(set(values)) < len(values):
            raise ValueError(f"{name} must hold different values, at least one, got {values!r}")
    keys = [
        (name, float(lr), int(seed), scale)
        for name in optimizers
        for lr in lrs
        for seed in seeds
        for scale in (1.0, TWIN_SCALE)
    ]
    tasks = (
        joblib.delayed(_run)(
            model, replace(optimizers[name], lr=lr), data, epochs, batch_size, seed, scale
        )
        for name, lr, seed, scale in keys
    )
    done = joblib.Parallel(n_jobs=jobs, return_as="generator")(tasks)
    results = dict(zip(keys, progress(done, len(keys), "training runs"), strict=True))

    curves, ends = {}, {}
    for key in dict.fromkeys(key[:3] for key in keys):
        curve, test_accuracy = results[*key, 1.0]
        twin, _ = results[*key, TWIN_SCALE]
        same = np.allclose(
            curve["val_loss"], twin["val_loss"], rtol=REPRODUCIBLE, atol=0, equal_nan=True
        )
        curves[key] = curve
        end = curve.iloc[-1].fillna(np.inf)
        ends[key] = {**end, "test_accuracy": test_accuracy, "reproducible": same}
    names = ["optimizer", "lr", "seed"]
    runs = pd.DataFrame(ends.values(), index=pd.MultiIndex.from_tuples(ends, names=names))
    # Sorted, because pandas looks up slowly, and warns, where an index is not.
    curves = pd.concat(curves, names=names).sort_index()
    return Comparison(tuple(optimizers), curves, runs.sort_index())


def _run(model, optimizer, data, epochs, batch_size, seed, scale) -> tuple[pd.DataFrame, float]:
    net, curve = fit(
        model, optimizer, data, epochs=epochs, batch_size=batch_size, seed=seed, scale=scale
    )
    return curve, accuracy(net, data.x_test, data.y_test)
