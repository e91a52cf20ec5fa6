"""What one step costs, of Adam or any other optimizer: ``python -m adam_tutorial.bench``.

Every implementation takes one step in turn, over the same parameters and gradients, so that what
else the machine does meets all alike. Beside them, the same memory is read and written by the
plainest operation there is; that gives the bandwidth, and with it an estimate of the shortest time
that a step can take. For small arrays the bandwidth is that of a cache, or the cost of a call.
"""

import argparse
import functools
import itertools
import json
import os
import platform
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from adam_tutorial import optimizers
from adam_tutorial.optimizers import Adam, Optimizer
from adam_tutorial.torch_optimizer import TorchOptimizer

# The tensors of a residual network with 18 layers, nearly: 58 tensors, 11.5 million numbers.
RESNET = (
    [(64, 3, 7, 7)]
    + 4 * [(64, 64, 3, 3)]
    + [(128, 64, 3, 3)]
    + 3 * [(128, 128, 3, 3)]
    + [(256, 128, 3, 3)]
    + 3 * [(256, 256, 3, 3)]
    + [(512, 256, 3, 3)]
    + 3 * [(512, 512, 3, 3)]
    + [(1000, 512)]
    + 20 * [(512,)]
    + 20 * [(64,)]
)

MATRICES = {"Muon", "SOAP"}
"""What these step are matrices; a tensor with more axes is one whose rows are its first axis."""


def optimizer_of(algorithm: str, axes: int) -> Optimizer:
    """Return what steps a tensor with so many axes: for Muon and a vector, as usual, AdamW."""
    return getattr(optimizers, "AdamW" if algorithm == "Muon" and axes < 2 else algorithm)()


def bytes_moved(algorithm: str, shapes: Iterable[tuple[int, ...]]) -> int:
    """Return the bytes that a step must move over float32 tensors of these shapes.

    It reads θ, g and the state, and writes θ and the state. What is of use only at times counts as
    if it were read and written at every step.
    """
    total = 0
    for shape in shapes:
        theta = torch.empty(shape, device="meta", dtype=torch.float32)
        if algorithm in MATRICES and theta.ndim > 2:
            theta = theta.flatten(1)
        state = optimizer_of(algorithm, theta.ndim).state_bytes(theta)
        total += 3 * theta.nbytes + 2 * state
    return total


BYTES = bytes_moved("Adam", [(1,)])
"""Those of Adam for each parameter: it reads θ, g, m, v and writes θ, m, v."""

BLOCK = 32_768
"""Numbers in a block: five arrays of them fit into the cache of one core."""


def textbook(theta, g, m, v, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Take one step as the formulas read; each operation makes a new array."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    theta -= lr * m_hat / (v_hat**0.5 + eps)
    return m, v


def in_place(theta, g, m, v, t, scratch, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Take one step without a new array: every result goes into an array that is there."""
    np.multiply(g, 1 - beta1, out=scratch)
    m *= beta1
    m += scratch
    np.multiply(g, g, out=scratch)
    scratch *= 1 - beta2
    v *= beta2
    v += scratch
    # lr m̂ / (√v̂ + ε), with the corrections put together: fewer passes over the arrays.
    np.sqrt(v, out=scratch)
    scratch *= 1 / (1 - beta2**t) ** 0.5
    scratch += eps
    np.divide(m, scratch, out=scratch)
    scratch *= lr / (1 - beta1**t)
    theta -= scratch
    return m, v


def in_blocks(theta, g, m, v, t, scratch):
    """Take one step block by block: what one operation writes, the next finds in the cache."""
    for start in range(0, theta.size, BLOCK):
        block = slice(start, start + BLOCK)
        size = theta[block].size
        in_place(theta[block], g[block], m[block], v[block], t, scratch[:size])
    return m, v


class Arrays:
    """A loop over tensors; ``rule(theta, g, m, v, t)`` changes θ and returns the new m and v."""

    def __init__(self, params, rule, numpy: bool, scratch: bool = False):
        def flat(x):
            x = x.detach().view(-1)
            return x.numpy() if numpy else x

        self.rule, self.t = rule, 0
        self.thetas = [flat(p) for p in params]
        self.grads = [flat(p.grad) for p in params]
        self.moments = [(flat(torch.zeros_like(p)), flat(torch.zeros_like(p))) for p in params]
        longest = max(theta.shape[0] for theta in self.thetas)
        self.scratch = np.empty(longest, dtype=self.thetas[0].dtype) if scratch else None

    def step(self):
        self.t += 1
        for i, (theta, g) in enumerate(zip(self.thetas, self.grads, strict=True)):
            more = () if self.scratch is None else (self.scratch[: theta.size],)
            self.moments[i] = self.rule(theta, g, *self.moments[i], self.t, *more)


class Several:
    """Optimizers that step as one."""

    def __init__(self, *optimizers):
        self.optimizers = optimizers

    def step(self):
        for optimizer in self.optimizers:
            optimizer.step()


def _as_matrices(make: Callable) -> Callable:
    """Let ``make`` have the tensors with more axes than two as matrices, in the same memory."""

    def matrix(p):
        view = p.detach().flatten(1).requires_grad_()
        view.grad = p.grad.flatten(1)
        return view

    return lambda params: make([matrix(p) if p.ndim > 2 else p for p in params])


def _shared(muon: Callable, adamw: Callable) -> Callable:
    """Give the matrices to Muon and all else to AdamW."""

    def make(params):
        matrices, others = [p for p in params if p.ndim == 2], [p for p in params if p.ndim != 2]
        return Several(muon(matrices), *([adamw(others)] if others else []))

    return make


def _ours(algorithm: str, compile: bool) -> Callable:
    def make(params):
        return TorchOptimizer(params, optimizer_of(algorithm, params[0].ndim), compile)

    return make


def _foreign(name: str, **settings) -> Callable:
    def make(params):
        import pytorch_optimizer

        return getattr(pytorch_optimizer, name)(params, **settings)

    return make


# Each takes parameters with gradients and returns something with a method ``step()``.
IMPLEMENTATIONS = {
    "numpy-textbook": lambda p: Arrays(p, textbook, numpy=True),
    "numpy-in-place": lambda p: Arrays(p, in_place, numpy=True, scratch=True),
    "numpy-blocks": lambda p: Arrays(p, in_blocks, numpy=True, scratch=True),
    "torch-textbook": lambda p: Arrays(p, textbook, numpy=False),
    "torch-default": lambda p: torch.optim.Adam(p),
    "torch-for-loop": lambda p: torch.optim.Adam(p, foreach=False),
    "torch-foreach": lambda p: torch.optim.Adam(p, foreach=True),
    "torch-fused": lambda p: torch.optim.Adam(p, fused=True),
    "package": lambda p: TorchOptimizer(p, Adam()),
    "package-compiled": lambda p: TorchOptimizer(p, Adam(), compile=True),
    # pytorch_optimizer.Adam is torch.optim.Adam itself; AdaBelief is the nearest that is its own.
    "pytorch_optimizer-adabelief": _foreign("AdaBelief"),
}
CPU_ONLY = {"numpy-textbook", "numpy-in-place", "numpy-blocks"}

# Adam8bit and AdamMini have none: pytorch_optimizer's Adam-mini takes a model, and other blocks.
OTHERS = {
    "torch": {
        "SGD": torch.optim.SGD,
        "Adagrad": torch.optim.Adagrad,
        "RMSprop": torch.optim.RMSprop,
        "AMSGrad": functools.partial(torch.optim.Adam, amsgrad=True),
        "Adamax": torch.optim.Adamax,
        "NAdam": torch.optim.NAdam,
        "RAdam": torch.optim.RAdam,
        "AdamW": torch.optim.AdamW,
        "Adafactor": torch.optim.Adafactor,
        "Muon": _shared(torch.optim.Muon, torch.optim.AdamW),
    },
    "pytorch_optimizer": {
        "AdaBelief": _foreign("AdaBelief"),
        "AdaBound": _foreign("AdaBound"),
        "AMSBound": _foreign("AdaBound", ams_bound=True),
        "Adan": _foreign("Adan"),
        "ADOPT": _foreign("ADOPT"),
        "LAMB": _foreign("Lamb"),
        "Lion": _foreign("Lion"),
        "ScheduleFreeAdamW": _foreign("ScheduleFreeAdamW"),
        "SOAP": _foreign("SOAP"),
        "Yogi": _foreign("Yogi"),
    },
}
"""From a library to its implementations of the algorithms of this package besides Adam."""

ALGORITHMS = {"Adam": list(IMPLEMENTATIONS)}
"""From an algorithm to the names of its implementations, which are measured side by side."""


def _add_algorithms() -> None:
    for algorithm in optimizers.__all__:
        if algorithm in ("Adam", "Optimizer"):
            continue
        makers = {"package": _ours(algorithm, False), "package-compiled": _ours(algorithm, True)}
        if algorithm == "Muon":
            makers = {key: _shared(make, make) for key, make in makers.items()}
        makers |= {key: them[algorithm] for key, them in OTHERS.items() if algorithm in them}
        if algorithm in MATRICES:
            makers = {key: _as_matrices(make) for key, make in makers.items()}
        ALGORITHMS[algorithm] = [f"{key}:{algorithm}" for key in makers]
        IMPLEMENTATIONS.update(zip(ALGORITHMS[algorithm], makers.values(), strict=True))


_add_algorithms()


def algorithm_of(name: str) -> str:
    """Return the algorithm of an implementation: what its name has after a colon, or Adam."""
    return name.partition(":")[2] or "Adam"


def shapes_of(parameters: int, tensors: int) -> list[tuple[int]]:
    """Return the shapes of so many equal tensors, with so many parameters in all, nearly."""
    return tensors * [(max(1, round(parameters / tensors)),)]


def parameters_of(shapes: list[tuple[int, ...]], device: str = "cpu") -> list[torch.Tensor]:
    """Return float32 parameters of these shapes, each with a gradient."""
    generator = torch.Generator().manual_seed(0)
    params = []
    for shape in shapes:
        numbers = torch.randn((2, *shape), generator=generator, dtype=torch.float32).to(device)
        p = numbers[0].clone().requires_grad_()
        p.grad = numbers[1].clone()
        params.append(p)
    return params


class Bandwidth:
    """``a += b`` over as many bytes as Adam's four arrays have; it reads 2 and writes 1 of them."""

    def __init__(self, count: int, device: str):
        self.a, self.b = (torch.ones(2 * count, device=device, dtype=torch.float32) for _ in "ab")
        self.bytes = 3 * self.a.numel() * self.a.element_size()

    def step(self):
        self.a.add_(self.b)


def measure(
    names: list[str],
    shapes: list[tuple[int, ...]],
    threads: int = 1,
    device: str = "cpu",
    seconds: float = 10.0,
) -> list[dict]:
    """Time one step of each implementation, all in turn, over tensors of these shapes.

    All share the parameters and the gradients, float32; each has its own state.

    Parameters
    ----------
    names : list of str
        Which implementations, of ``IMPLEMENTATIONS``: those of Adam, such as ``"torch-fused"``, and
        of every other algorithm ``"package:NAME"``, ``"package-compiled:NAME"`` and the one of
        another library, such as ``"torch:RAdam"`` or ``"pytorch_optimizer:Adan"``. Muon and SOAP
        step a tensor of more than two axes as a matrix; Muon leaves what has fewer to AdamW.
    shapes : list of tuples of int
        The shape of each tensor.
    threads : int, default 1
        The number of CPU threads that torch may use.
    device : str, default "cpu"
        Where the tensors lie: ``"cpu"`` or ``"cuda"``. On the latter there are no NumPy
        implementations.
    seconds : float, default 10
        How long the rounds go on, without the first steps, which compile; 5 rounds at least and
        1000 at most.

    Returns
    -------
    list of dict
        A record for each implementation: its name and the case; ``milliseconds``, the median of the
        ``rounds``, and ``low`` and ``high``, the quartiles; ``bandwidth``, that of the memory, in
        GB/s; ``of limit``, the median over the shortest possible time, which is that of moving at
        that bandwidth what the algorithm must read and write: θ, the gradient and its state, for
        Adam 28 bytes a parameter.

    Raises
    ------
    ValueError
        If ``names`` is empty or has one that is not there, or if it has Muon or SOAP and no tensor
        has two axes or more.

    Examples
    --------
    >>> records = measure(["torch-fused", "package"], [(64, 64)], seconds=0)
    >>> [(r["implementation"], r["parameters"], r["rounds"]) for r in records]
    [('torch-fused', 4096, 5), ('package', 4096, 5)]
    """
    unknown = [name for name in names if name not in IMPLEMENTATIONS]
    if unknown or not names:
        raise ValueError(f"names must be some of {', '.join(IMPLEMENTATIONS)}, got {names!r}")
    matrices = sorted({algorithm_of(name) for name in names} & MATRICES)
    if matrices and all(len(shape) < 2 for shape in shapes):
        raise ValueError(f"shapes must have one with two axes for {matrices[0]}, got vectors alone")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        params = parameters_of(shapes, device)
        count = sum(p.numel() for p in params)
        plain = Bandwidth(count, device)
        runs = {"bandwidth": plain}
        for name in tqdm(names, desc="first steps", disable=None, leave=False):
            runs[name] = IMPLEMENTATIONS[name](params)
            for _ in range(3):
                runs[name].step()
        times = _rounds(runs, device, seconds)
    finally:
        torch.set_num_threads(before)
    bandwidth = plain.bytes / statistics.median(times.pop("bandwidth")) / 1e9
    records = []
    for name, ts in times.items():
        shortest = bytes_moved(algorithm_of(name), shapes) / bandwidth / 1e6
        low, middle, high = statistics.quantiles([1e3 * t for t in ts], n=4)
        records.append(
            {
                "implementation": name,
                "parameters": count,
                "tensors": len(shapes),
                "threads": threads,
                "device": device,
                "milliseconds": middle,
                "low": low,
                "high": high,
                "rounds": len(ts),
                "bandwidth": bandwidth,
                "of limit": middle / shortest,
            }
        )
    return records


def _rounds(runs: dict, device: str, seconds: float) -> dict[str, list[float]]:
    cuda = device.startswith("cuda")
    wait = functools.partial(torch.cuda.synchronize, device) if cuda else lambda: None
    times = {name: [] for name in runs}
    # In a fixed order each would always find the caches as the same neighbour leaves them.
    order, rng = list(runs), random.Random(0)
    end = time.perf_counter() + seconds
    with tqdm(total=1000, desc="rounds", disable=None, leave=False) as bar:
        for i in range(1000):
            if i >= 5 and time.perf_counter() > end:
                break
            rng.shuffle(order)
            for name in order:
                wait()
                start = time.perf_counter()
                runs[name].step()
                wait()
                times[name].append(time.perf_counter() - start)
            bar.update()
    return times


def machine(device: str = "cpu") -> dict:
    """Return what this machine is: its processor, memory, system and the versions that matter."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        name = models[0] if models else name
    found = {
        "processor": name,
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        found["memory, GiB"] = round(memory / 2**30)
    if device.startswith("cuda"):
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def save(path: Path, contents: dict) -> None:
    """Write JSON at once: whoever reads the file sees all of the old or all of the new."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def load(path: Path, here: dict) -> dict:
    """Return what a file holds, or an empty start; refuse the results of another machine."""
    if not path.exists():
        return {"machine": here, "date": date.today().isoformat(), "results": []}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        there, _ = found["machine"], found["results"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"--out must be a file of this benchmark, got {str(path)!r}") from None
    if there != here:
        other = {k: v for k, v in there.items() if here.get(k) != v}
        raise ValueError(f"--out must be of this machine, got {str(path)!r}, of {other}")
    return found


def table(records: list[dict]) -> pd.DataFrame:
    """Return records as a table, sorted by time.

    ``of fused`` is the ratio to torch's fused optimizer, for the implementations of Adam. For those
    of another algorithm ``of other`` is the ratio to the one that another library has.
    """
    cases = ["parameters", "tensors", "threads", "device"]
    frame = pd.DataFrame(records)
    names = frame["implementation"]
    frame["algorithm"] = names.map(algorithm_of)
    references = {
        "of fused": names == "torch-fused",
        "of other": names.str.startswith(tuple(f"{library}:" for library in OTHERS)),
    }
    side_by_side = [*cases, "algorithm"]
    for column, those in references.items():
        reference = frame[those].set_index(side_by_side)["milliseconds"]
        there = pd.MultiIndex.from_frame(frame[side_by_side])
        frame[column] = frame["milliseconds"] / reference.reindex(there).values
    frame = frame.sort_values([*side_by_side, "milliseconds"]).set_index([*cases, "implementation"])
    return frame[["milliseconds", "low", "high", *references, "of limit"]]


def _parser() -> argparse.ArgumentParser:
    def positive(text):
        value = float(text)
        if not (value >= 1 and value.is_integer()):
            raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, got {text!r}")
        return int(value)

    parser = argparse.ArgumentParser(
        prog="python -m adam_tutorial.bench",
        description="Time one step of an optimizer in several implementations, side by side.",
        epilog="Without --sizes: 58 tensors, nearly a ResNet-18, 11.5 million parameters. "
        "A run that is interrupted goes on where it stopped, if --out names the same file.",
    )
    adam = ALGORITHMS["Adam"]
    for option, settings in {
        "--optimizers": {
            "nargs": "+",
            "metavar": "NAME",
            "choices": list(IMPLEMENTATIONS),
            "default": [],
            "help": "which implementations (default: those of Adam): "
            + ", ".join(adam)
            + "; of another algorithm package:NAME, package-compiled:NAME, torch:NAME or "
            "pytorch_optimizer:NAME",
        },
        "--algorithms": {
            "nargs": "+",
            "metavar": "NAME",
            "choices": ["all", *ALGORITHMS],
            "default": [],
            "help": "all implementations of these algorithms, each algorithm for itself: "
            + ", ".join(ALGORITHMS)
            + "; or all (compiling takes up to a minute for each, SOAP much longer)",
        },
        "--sizes": {
            "nargs": "+",
            "metavar": "N",
            "type": positive,
            "help": "numbers of parameters, such as 1e6",
        },
        "--tensors": {
            "nargs": "+",
            "metavar": "K",
            "type": positive,
            "default": [1],
            "help": "into how many equal tensors to cut each size (default: 1)",
        },
        "--threads": {
            "nargs": "+",
            "metavar": "T",
            "type": positive,
            "default": [1],
            "help": "numbers of CPU threads (default: 1)",
        },
        "--device": {"default": "cpu", "help": "cpu (default) or cuda"},
        "--seconds": {
            "type": float,
            "default": 10.0,
            "help": "time for the rounds of a case (default: 10)",
        },
        "--out": {"metavar": "FILE", "type": Path, "help": "JSON file to write or to complete"},
    }.items():
        parser.add_argument(option, **settings)
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark that the command line asks for, and print its table.

    Without ``--sizes`` it times the 58 tensors of a ResNet-18, 11.5 million parameters. A run that
    is interrupted goes on where it stopped, if ``--out`` names the same file.

    ``--optimizers NAME ...``
        Which implementations; by default those of Adam. Those of one algorithm take turns.
    ``--algorithms NAME ...``
        All implementations of these algorithms, such as ``RAdam Adan``, or of ``all``.
    ``--sizes N ...``
        Numbers of parameters, such as ``1e6``.
    ``--tensors K ...``
        Into how many equal tensors to cut each size; 1 by default.
    ``--threads T ...``
        Numbers of CPU threads; 1 by default.
    ``--device DEVICE``
        ``cpu``, the default, or ``cuda``.
    ``--seconds SECONDS``
        Time for the rounds of a case; 10 by default.
    ``--out FILE``
        JSON file to write, or to complete.

    The table has a row for each case and implementation: ``milliseconds``, ``low``, ``high`` and
    ``of limit`` as from ``measure``; ``of fused``, the median over that of ``torch-fused``; and for
    the algorithms besides Adam ``of other``, the median over that of the other library.

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
    every = "all" in args.algorithms
    names = {name for key in (ALGORITHMS if every else args.algorithms) for name in ALGORITHMS[key]}
    names = [name for name in IMPLEMENTATIONS if name in names or name in args.optimizers]
    names = names or ALGORITHMS["Adam"]
    if args.out and (args.out.is_dir() or not args.out.absolute().parent.is_dir()):
        parser.error(f"--out must be a file in a folder that is there, got {str(args.out)!r}")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", args.device):
        parser.error(f"--device must be cpu or cuda, got {args.device!r}")
    if args.device != "cpu":
        index = torch.device(args.device).index or 0
        if not torch.cuda.is_available() or index >= torch.cuda.device_count():
            parser.error(f"--device must be one that is there, got {args.device!r}")
        names = [name for name in names if name not in CPU_ONLY]
        if not names:
            parser.error(f"--optimizers must have one for cuda, got {args.optimizers}")
    algorithms = [key for key in ALGORITHMS if any(algorithm_of(name) == key for name in names)]
    cases = [RESNET]
    if args.sizes:
        sizes = [(size, tensors) for size in args.sizes for tensors in args.tensors]
        cases = [shapes_of(size, tensors) for size, tensors in sizes if tensors <= size]
        if not cases:
            parser.error(f"--tensors must be at most --sizes, got {args.tensors} and {args.sizes}")
        matrices = [key for key in algorithms if key in MATRICES]
        if matrices:
            parser.error(f"--sizes makes vectors, and {matrices[0]} steps matrices: leave one out")
    cases = [(*case, key) for case in itertools.product(cases, args.threads) for key in algorithms]
    try:
        stored = load(args.out, machine(args.device)) if args.out else {"results": []}
    except ValueError as error:
        parser.error(str(error))
    for shapes, threads, algorithm in tqdm(cases, desc="cases", disable=None):
        case = {
            "parameters": sum(torch.Size(shape).numel() for shape in shapes),
            "tensors": len(shapes),
            "threads": threads,
            "device": args.device,
        }
        there = [
            r
            for r in stored["results"]
            if case.items() <= r.items() and algorithm_of(r["implementation"]) == algorithm
        ]
        known = {r["implementation"] for r in there}
        new = {name for name in names if algorithm_of(name) == algorithm}
        if new <= known:
            continue
        # Side by side or not at all: what was measured alone gives no ratio to the others. What
        # the file has of this case is measured again, not lost.
        wanted = [name for name in IMPLEMENTATIONS if name in new | known]
        others = [r for r in stored["results"] if r not in there]
        measured = measure(wanted, shapes, threads, args.device, args.seconds)
        stored["results"] = others + measured
        if args.out:
            save(args.out, stored)
    shown = table(stored["results"]).reset_index().dropna(axis="columns", how="all")
    digits = {"milliseconds": 3, "low": 3, "high": 3, "of fused": 2, "of other": 2, "of limit": 1}
    print(shown.round(digits).to_string(index=False, na_rep=""))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; what was finished is in the file of --out, if one was given.")
