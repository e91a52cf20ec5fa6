"""All optimizers on the same tasks and the same grid: ``python -m adam_tutorial.study``.

A run is a task, an optimizer, a learning rate and a seed. Each is independent of the others, so
that any part of the study can be computed again, alone, with the same result. What is finished
stands in the file at once: a study that is interrupted goes on where it stopped.
"""

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from adam_tutorial import datasets, models, problems, search
from adam_tutorial.detection import Detection
from adam_tutorial.optimizers import (
    ADOPT,
    LAMB,
    SGD,
    SOAP,
    AdaBelief,
    AdaBound,
    Adafactor,
    Adagrad,
    Adam,
    Adam8bit,
    Adamax,
    AdamMini,
    AdamW,
    Adan,
    AMSBound,
    AMSGrad,
    Lion,
    Muon,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    ScheduleFreeAdamW,
    Yogi,
)
from adam_tutorial.schedules import linear_decay
from adam_tutorial.torch_optimizer import TorchOptimizer
from adam_tutorial.training import accuracy, fit
from adam_tutorial.translation import Translation

# But for the learning rate, each has its own default hyperparameters. The names are those of
# plotting.LOOKS.
OPTIMIZERS: dict[str, Optimizer] = {
    "SGD": SGD(),
    "Momentum": SGD(momentum=0.9),
    "Adagrad": Adagrad(),
    "RMSProp": RMSprop(),
    "Adam": Adam(),
    "AMSGrad": AMSGrad(),
    "AdamW": AdamW(),
    "Adamax": Adamax(),
    "NAdam": NAdam(),
    "RAdam": RAdam(),
    "AdaBound": AdaBound(),
    "AMSBound": AMSBound(),
    "AdaBelief": AdaBelief(),
    "Yogi": Yogi(),
    "Lion": Lion(),
    "Adan": Adan(),
    "ADOPT": ADOPT(),
    "LAMB": LAMB(),
    "Adafactor": Adafactor(),
    "AdamMini": AdamMini(),
    "Adam8bit": Adam8bit(),
    "ScheduleFreeAdamW": ScheduleFreeAdamW(),
    # With this factor one learning rate serves Muon, and AdamW beside it.
    "Muon": Muon(adjust_lr_fn="match_rms_adamw"),
    "SOAP": SOAP(),
}

OTHER_SETTINGS: dict[str, Optimizer] = {
    "Adam98": Adam(betas=(0.9, 0.98)),
    "Adam0": Adam(betas=(0.0, 0.999)),
    "Adam90": Adam(betas=(0.9, 0.9)),
    "Adam95": Adam(betas=(0.9, 0.95)),
    "Adam99": Adam(betas=(0.9, 0.99)),
    "Adam9999": Adam(betas=(0.9, 0.9999)),
}
"""Adam as the first Transformer had it, without momentum, and with other memories of v."""

LRS = tuple(float(f"{10 ** (k / 2):.2g}") for k in range(-8, 3))
"""The learning rates: two in each power of ten, from 1e-4 to 10."""

SEEDS = 5
"""The number of seeds."""

SPACES_HELP = f"search these instead of --optimizers: {', '.join(search.SPACES)}"

JUDGE_HELP = "train the winners of all budgets of a search again, with the seeds 1 to N"
AFTER_HELP = "search rest in N trials, at the learning rate of the best of each N trials of lr"

COLUMNS = ["task", "optimizer", "lr", "seed", "loss", "accuracy"]
KEY = COLUMNS[:4]


@dataclass(frozen=True)
class Training:
    """A network to train; its results are the validation loss and the test accuracy at the end.

    Parameters
    ----------
    data : str
        The name of the data set, for ``datasets.load``.
    model : callable
        Makes the network.
    epochs : int
        How often to go through the training examples.
    batch_size : int
        Examples in a batch.
    """

    data: str
    model: Callable[[], nn.Module]
    epochs: int
    batch_size: int

    def steppable(self, name: str) -> bool:
        """Return whether the optimizer of this name can take part (bool)."""
        return name != "Muon" or bool(_hidden_matrices(self.matrices()))

    def matrices(self) -> nn.Module:
        """Make the network, with each kernel of a convolution as a matrix, one row an output."""
        net = self.model()
        for layer in net.modules():
            if isinstance(layer, models.Convolution):
                layer.weight = nn.Parameter(layer.weight.detach().flatten(1))
        return net

    def run(self, optimizer: Optimizer, seed: int) -> dict[str, float]:
        """Train, and return the validation loss and the test accuracy.

        The learning rate falls to 0 in a straight line; Schedule-Free AdamW keeps it, as is meant.
        """
        data = _load(self.data)
        schedule = None if isinstance(optimizer, ScheduleFreeAdamW) else linear_decay
        net, curve = fit(
            self.matrices,
            lambda net: steppers(net, optimizer),
            data,
            epochs=self.epochs,
            batch_size=self.batch_size,
            seed=seed,
            schedule=schedule,
        )
        loss = curve["val_loss"].iloc[-1]
        if not np.isfinite(loss):
            return {"loss": np.inf, "accuracy": np.nan}
        return {"loss": loss, "accuracy": accuracy(net, data.x_test, data.y_test)}


@dataclass(frozen=True)
class Minimisation:
    """A function of two coordinates; its result is the height above the minimum at the end.

    Parameters
    ----------
    problem : Problem
        The function.
    steps : int
        How many steps to take, at a constant learning rate and without weight decay.
    shift : float, default 0
        By how much to move the function, along both coordinates.
    """

    problem: problems.Problem
    steps: int
    shift: float = 0.0

    def steppable(self, name: str) -> bool:
        """Return whether the optimizer of this name can take part (bool)."""
        return name != "Muon"

    def run(self, optimizer: Optimizer, seed: int) -> dict[str, float]:
        """Minimise from a point near the problem's start and return the height that is left."""
        if hasattr(optimizer, "weight_decay"):
            optimizer = replace(optimizer, weight_decay=0.0)
        noise = 0.2 * np.random.default_rng(seed).standard_normal(2)
        theta = self.problem.start + self.shift + noise
        state = optimizer.init(theta)
        with np.errstate(all="ignore"):
            for _ in range(self.steps):
                grad = self.problem.grad(theta - self.shift)
                if not np.isfinite(grad).all():
                    break
                step = optimizer.step(theta, grad, state)
                theta, state = step.theta, step.state
            if optimizer.AVERAGE:
                theta = getattr(state, optimizer.AVERAGE)
            lowest = self.problem.value(self.problem.minimum)
            height = self.problem.value(theta - self.shift) - lowest
        return {"loss": float(height) if np.isfinite(height) else np.inf, "accuracy": np.nan}


TASKS: dict[str, Training | Minimisation] = {
    "convex": Training("digits", models.linear, epochs=8, batch_size=64),
    "cnn": Training("digits", models.small_cnn, epochs=8, batch_size=64),
    "text": Training("docstrings", models.bag_of_words, epochs=4, batch_size=64),
    "transformer": Training("characters", models.Transformer, epochs=2, batch_size=32),
    # Away from the origin, to which the steps of LAMB and Adafactor are drawn: they grow with θ.
    "ravine": Minimisation(problems.ravine(condition=100, angle=30), steps=300, shift=3.0),
    "rosenbrock": Minimisation(problems.rosenbrock(), steps=300),
    "beale": Minimisation(problems.beale(), steps=300),
}


APPLICATIONS: dict[str, Translation | Detection] = {
    "translation": Translation(),
    "translation-cold": Translation(cold=True),
    "detection": Detection(),
    "detection-clipped": Detection(clip=1.0),
}
"""The tasks of the chapters on applications, with the same results: a loss, and a score."""

BATCHES: dict[str, Training] = {
    f"batch-{size}": Training("digits", models.dense, epochs=8, batch_size=size)
    for size in (8, 16, 32, 64, 128, 256)
} | {
    f"words-{size}": Training("docstrings", models.bag_of_words, epochs=4, batch_size=size)
    for size in (32, 256)
}
"""One network on images and one on words, with batches of several sizes."""

_TASKS = TASKS | APPLICATIONS | BATCHES
_OPTIMIZERS = OPTIMIZERS | OTHER_SETTINGS


@functools.cache
def _load(name: str) -> datasets.Dataset:
    return datasets.load(name)


def _hidden_matrices(net: nn.Module) -> list[nn.Parameter]:
    """Return the matrices between the first layer and the last: what Muon is made for."""
    layers = [m for m in net.modules() if isinstance(m, (nn.Linear, nn.Conv2d, nn.Embedding))]
    outer = [layers[0], layers[-1], *(m for m in layers if isinstance(m, nn.Embedding))]
    kept = {id(p) for layer in outer for p in layer.parameters()}
    return [p for p in net.parameters() if p.ndim == 2 and id(p) not in kept]


def steppers(net: nn.Module, optimizer: Optimizer) -> list[TorchOptimizer]:
    """Return what trains a network: one optimizer, or Muon and beside it AdamW.

    Parameters
    ----------
    net : torch.nn.Module
        The network.
    optimizer : Optimizer
        The optimizer for all parameters. Muon has the hidden matrices only; the embeddings, the
        first and the last layer and all that is no matrix are left to AdamW, with the same
        learning rate.

    Returns
    -------
    list of TorchOptimizer
        One or two, for ``training.fit``.
    """
    if not isinstance(optimizer, Muon):
        return [TorchOptimizer(net.parameters(), optimizer)]
    hidden = _hidden_matrices(net)
    ids = {id(p) for p in hidden}
    rest = [p for p in net.parameters() if id(p) not in ids]
    return [TorchOptimizer(hidden, optimizer), TorchOptimizer(rest, AdamW(lr=optimizer.lr))]


def run(task: str, optimizer: str, lr: float, seed: int) -> dict[str, float]:
    """Carry out one run of the study.

    Parameters
    ----------
    task : str
        One of ``TASKS``, ``APPLICATIONS`` or ``BATCHES``.
    optimizer : str
        One of ``OPTIMIZERS`` or ``OTHER_SETTINGS``; or, such as ``all/17``, a space and a trial of
        ``search.trial``.
    lr : float
        The learning rate. For a trial of a space that varies it, it is the trial's own.
    seed : int
        Decides the initial weights and the batches, or the start.

    Returns
    -------
    dict
        ``loss``, the validation loss at the end, or the height above the minimum, with infinity
        for what is not finite; and ``accuracy``, the test accuracy from 0 to 1, or NaN for a
        function.

    Raises
    ------
    ValueError
        If there is no such task or optimizer, the learning rate is not the trial's, or the
        optimizer cannot step the task's parameters.

    Examples
    --------
    >>> result = run("beale", "Adam", lr=0.1, seed=0)
    >>> result["loss"] < 0.01, result["accuracy"]
    (True, nan)
    """
    if task not in _TASKS:
        raise ValueError(f"task must be one of {', '.join(_TASKS)}, got {task!r}")
    found = _optimizer(optimizer)
    if lr not in _rates(optimizer, [lr]):
        raise ValueError(f"lr must be that of {optimizer}, {found.lr:g}, got {lr!r}")
    if not _TASKS[task].steppable(optimizer):
        raise ValueError(f"optimizer must be one that can step {task!r}, got {optimizer!r}")
    return _TASKS[task].run(replace(found, lr=lr), seed)


def _optimizer(name: str) -> Optimizer:
    space, slash, k = name.partition("/")
    if slash and space in search.SPACES and k.isdecimal():
        return search.trial(space, int(k))
    if name not in _OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {', '.join(_OPTIMIZERS)}, got {name!r}")
    return _OPTIMIZERS[name]


def _rates(name: str, lrs: list[float]) -> list[float]:
    """Return a trial's own learning rate, if its space has one, and the given ones otherwise."""
    own = "lr" in search.SPACES.get(name.partition("/")[0], ())
    return [_optimizer(name).lr] if own else lrs


def keys(tasks: list[str], optimizers: list[str], lrs: list[float], seeds: int) -> list[tuple]:
    """Return every run as (task, optimizer, lr, seed), without what cannot be stepped.

    The first seed comes first, with all else: a study that is cut short is whole with fewer seeds.

    Parameters
    ----------
    tasks, optimizers : lists of str
        Which tasks and optimizers, as for ``run``.
    lrs : list of floats
        The learning rates. A trial of a space that varies the learning rate has its own instead.
    seeds : int
        The number of seeds.

    Returns
    -------
    list of tuples
        The runs, for ``write``.
    """
    return [
        (task, optimizer, lr, seed)
        for seed in range(seeds)
        for task in tasks
        for optimizer in optimizers
        if _TASKS[task].steppable(optimizer)
        for lr in _rates(optimizer, lrs)
    ]


def winners(
    table: pd.DataFrame,
    tasks: list[str],
    spaces: list[str],
    seeds: int,
    budgets: Sequence[int] = search.BUDGETS,
) -> list[tuple]:
    """Return the runs that judge a search: its winners again, from seeds that it has not seen.

    Parameters
    ----------
    table : DataFrame
        Runs, as from ``read``. Those of seed 0 have searched.
    tasks, spaces : lists of str
        Which tasks, and which spaces of ``search.SPACES``.
    seeds : int
        The number of fresh seeds: 1, 2 and so on.
    budgets : sequence of ints, default search.BUDGETS
        Numbers of trials in a search. Those above the trials of the table are left out.

    Returns
    -------
    list of tuples
        The runs, for ``write``.

    Raises
    ------
    ValueError
        If the trials of a space are not there once each, from 0 on.
    """
    won = []
    for task in tasks:
        for space in spaces:
            own = _searched(table, task, space)
            losses = own["loss"]
            enough = [n for n in budgets if n <= len(own)]
            best = {int(k) for n in enough for k in search.winners(losses, n)}
            won += [(task, f"{space}/{k}", float(own["lr"].iloc[k])) for k in sorted(best)]
    return [(*key, seed) for seed in range(1, seeds + 1) for key in won]


def second_halves(table: pd.DataFrame, tasks: list[str], n: int) -> list[tuple]:
    """Return the trials of ``rest`` that follow on a search for the learning rate.

    The learning rate that wins a block of n trials of ``lr`` is kept for the next n trials of
    ``rest``: 0 to n - 1 for the first block, n to 2n - 1 for the second, and so on.

    Parameters
    ----------
    table : DataFrame
        Runs, as from ``read``, with the trials of ``lr``, seed 0.
    tasks : list of str
        Which tasks.
    n : int
        Trials in each half of a search.

    Returns
    -------
    list of tuples
        The runs, for ``write``.

    Raises
    ------
    ValueError
        If the trials of ``lr`` are not there once each, from 0 on, or are fewer than ``n``.
    """
    todo = []
    for task in tasks:
        own = _searched(table, task, "lr")
        for i, k in enumerate(search.winners(own["loss"], n)):
            lr = float(own["lr"].iloc[k])
            todo += [(task, f"rest/{j}", lr, 0) for j in range(i * n, (i + 1) * n)]
    return todo


def _searched(table: pd.DataFrame, task: str, space: str) -> pd.DataFrame:
    """Return the trials of a space with seed 0, in their order."""
    mine = (table["task"] == task) & (table["seed"] == 0)
    own = table[mine & table["optimizer"].str.startswith(f"{space}/")]
    own = own.set_index(own["optimizer"].str.removeprefix(f"{space}/").astype(int)).sort_index()
    if not len(own) or list(own.index) != list(range(len(own))):
        raise ValueError(f"table must have each trial of {space!r} once, for the task {task!r}")
    return own


def read(path: Path) -> pd.DataFrame:
    """Return the finished runs of a file.

    Parameters
    ----------
    path : path
        What the command wrote. A last line that an interruption cut off is not read.

    Returns
    -------
    DataFrame
        A row for each run, in the order in which they ended; the columns ``task``, ``optimizer``,
        ``lr``, ``seed``, ``loss`` and ``accuracy``.

    Raises
    ------
    ValueError
        If the file is not one of this command.
    """
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
    rows = [line.split(",") for line in whole]
    if not rows or rows[0] != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise ValueError(f"path must be a file of this study, got {str(path)!r}")
    try:
        table = pd.DataFrame(rows[1:], columns=COLUMNS).astype(
            {"lr": float, "seed": int, "loss": float, "accuracy": float}
        )
    except ValueError:
        raise ValueError(f"path must be a file of this study, got {str(path)!r}") from None
    return table


def best(table: pd.DataFrame) -> pd.DataFrame:
    """Return each optimizer at its best learning rate, for every task.

    The best learning rate is the one with the lowest mean loss over the seeds.

    Parameters
    ----------
    table : DataFrame
        Runs, as from ``read``.

    Returns
    -------
    DataFrame
        Index: task, optimizer. Columns: ``lr``; ``inside``, false where that is the smallest or the
        largest learning rate that was tried, so that a better one may lie beyond; ``loss`` and
        ``accuracy``, the means over the seeds; ``spread``, the standard deviation of the loss.
    """
    by_lr = table.groupby(["task", "optimizer", "lr"], sort=False).agg(
        loss=("loss", "mean"), spread=("loss", "std"), accuracy=("accuracy", "mean")
    )
    rows = {}
    for key, group in by_lr.groupby(["task", "optimizer"], sort=False):
        group = group.droplevel(["task", "optimizer"])
        lr = group["loss"].idxmin()
        inside = bool(group.index.min() < lr < group.index.max())
        rows[key] = {"lr": lr, "inside": inside, **group.loc[lr]}
    found = pd.DataFrame.from_dict(rows, orient="index")
    found.index = pd.MultiIndex.from_tuples(found.index, names=["task", "optimizer"])
    return found[["lr", "inside", "loss", "spread", "accuracy"]]


def write(path: Path, todo: list[tuple], jobs: int = -1) -> None:
    """Carry out those of the runs that the file does not have, and add each when it is finished.

    Parameters
    ----------
    path : path
        A file of an earlier study, to complete, or one to make.
    todo : list of (task, optimizer, lr, seed)
        The runs, as from ``keys``.
    jobs : int, default -1
        Number of processes, -1: one for each core. The results do not depend on it.

    Raises
    ------
    ValueError
        If there is a file that is not one of this study. It is left as it is.
    """
    if path.exists():
        known = set(read(path)[KEY].itertuples(index=False, name=None))
        whole = path.read_bytes().rpartition(b"\n")
        if whole[2]:  # what an interruption cut off
            path.write_bytes(whole[0] + b"\n")
    else:
        known = set()
        path.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    left = [key for key in todo if key not in known]
    tasks = (joblib.delayed(_row)(*key) for key in left)
    done = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(tasks)
    with path.open("a", encoding="utf-8") as file:
        bar = tqdm(done, total=len(todo), initial=len(todo) - len(left), disable=None, desc="runs")
        for row in bar:
            file.write(",".join(row) + "\n")
            file.flush()


def _row(task: str, optimizer: str, lr: float, seed: int) -> list[str]:
    torch.set_num_threads(1)
    result = run(task, optimizer, lr, seed)
    return [task, optimizer, f"{lr:g}", str(seed), *(f"{result[k]:.8g}" for k in COLUMNS[4:])]


def _parser() -> argparse.ArgumentParser:
    def rate(text):
        value = float(text)
        if not (np.isfinite(value) and value > 0):
            raise argparse.ArgumentTypeError(f"must be finite and > 0, got {text!r}")
        return value

    def whole(text):
        value = int(text)
        if value < 1:
            raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, got {text!r}")
        return value

    def names(usual, others):
        text = f"default: all of {', '.join(usual)}; on request: {', '.join(others)}"
        choices = [*usual, *others]
        return {
            "nargs": "+",
            "metavar": "NAME",
            "choices": choices,
            "default": list(usual),
            "help": text,
        }

    parser = argparse.ArgumentParser(
        prog="python -m adam_tutorial.study",
        description="Run all optimizers on the same tasks, learning rates and seeds.",
        epilog="A study that is interrupted goes on where it stopped.",
    )
    add = parser.add_argument
    add("--tasks", **names(TASKS, APPLICATIONS | BATCHES))
    add("--optimizers", **names(OPTIMIZERS, OTHER_SETTINGS))
    add("--lrs", nargs="+", metavar="LR", type=rate, default=list(LRS), help="learning rates")
    add("--spaces", nargs="+", metavar="SPACE", choices=search.SPACES, help=SPACES_HELP)
    add("--trials", metavar="N", type=whole, default=max(search.BUDGETS), help="for each space")
    add("--judge", metavar="N", type=whole, help=JUDGE_HELP)
    add("--after", metavar="N", type=whole, help=AFTER_HELP)
    add("--seeds", metavar="N", type=whole, default=SEEDS, help=f"how many (default: {SEEDS})")
    add("--jobs", metavar="J", type=whole, help="processes (default: one for each core)")
    add("--out", metavar="FILE", type=Path, required=True, help="CSV file to write or to complete")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Carry out the runs that the command line asks for; ``--help`` lists its options.

    Parameters
    ----------
    arguments : list of str, optional
        The command line; by default that of the process.

    Raises
    ------
    SystemExit
        With a message, if the command line asks for what cannot be.
    """
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.out.is_dir() or not args.out.absolute().parent.is_dir():
        parser.error(f"--out must be a file in a folder that is there, got {str(args.out)!r}")
    if args.spaces:
        args.optimizers = [f"{space}/{k}" for space in args.spaces for k in range(args.trials)]
    if args.judge and (not args.spaces or args.trials < min(search.BUDGETS)):
        parser.error(f"--judge must come with --spaces, and {min(search.BUDGETS)} --trials or more")
    if args.judge and "rest" in args.spaces and len(args.lrs) > 1:
        parser.error("--judge must come with one of --lrs for the space rest")
    if args.after and ("lr" not in (args.spaces or []) or args.after > args.trials):
        parser.error("--after must come with the space lr, and at least as many --trials")
    try:
        todo = keys(args.tasks, args.optimizers, args.lrs, args.seeds)
        if not todo:
            parser.error(f"--optimizers must have one for --tasks, got {args.optimizers}")
        count = _carry_out(args, todo)
    except ValueError as error:
        parser.error(str(error))
    print(f"{count} runs stand in {args.out}.")


def _carry_out(args: argparse.Namespace, todo: list[tuple]) -> int:
    done = set()

    def add(more):
        write(args.out, more, args.jobs or -1)
        done.update(more)

    # Each part needs what the one before it has found.
    add(todo)
    if args.judge:
        add(winners(read(args.out), args.tasks, args.spaces, args.judge))
    if args.after:
        add(second_halves(read(args.out), args.tasks, args.after))
    if args.after and args.judge:
        add(winners(read(args.out), args.tasks, ["rest"], args.judge, [args.after]))
    return len(done)


if __name__ == "__main__":
    # The other processes find the functions under the name of the module, not in __main__.
    from adam_tutorial import study

    try:
        study.main()
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; what was finished is in the file. The same command goes on.")
