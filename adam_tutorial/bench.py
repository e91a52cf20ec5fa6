"""What one step of Adam costs: ``python -m adam_tutorial.bench``.

Every implementation takes one step in turn, over the same parameters and gradients, so that what
else the machine does meets all alike. Beside them, the same memory is read and written by the
plainest operation there is; that gives the bandwidth, and with it an estimate of the shortest time
that a step can take. For small arrays the bandwidth is that of a cache, or the cost of a call.
"""

import argparse
import functools
import json
import os
import platform
import random
import re
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from adam_tutorial.optimizers import Adam
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

BYTES = 28
"""Bytes that a step moves for each float32 parameter: it reads θ, g, m, v and writes θ, m, v."""

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


def _foreign(name: str) -> Callable:
    def make(params):
        import pytorch_optimizer

        return getattr(pytorch_optimizer, name)(params)

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
        Which implementations, of ``IMPLEMENTATIONS``.
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
        GB/s; ``of limit``, the median over the shortest possible time, which is that of moving 28
        bytes a parameter at that bandwidth.

    Raises
    ------
    ValueError
        If ``names`` is empty or has one that is not there.

    Examples
    --------
    >>> records = measure(["torch-fused", "package"], [(64, 64)], seconds=0)
    >>> [(r["implementation"], r["parameters"], r["rounds"]) for r in records]
    [('torch-fused', 4096, 5), ('package', 4096, 5)]
    """
    unknown = [name for name in names if name not in IMPLEMENTATIONS]
    if unknown or not names:
        raise ValueError(f"names must be some of {', '.join(IMPLEMENTATIONS)}, got {names!r}")
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
    shortest = BYTES * count / bandwidth / 1e6
    records = []
    for name, ts in times.items():
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
    """Return records as a table, sorted by time, with the ratio to torch's fused optimizer."""
    cases = ["parameters", "tensors", "threads", "device"]
    frame = pd.DataFrame(records)
    fused = frame[frame["implementation"] == "torch-fused"].set_index(cases)["milliseconds"]
    ratio = frame["milliseconds"] / fused.reindex(pd.MultiIndex.from_frame(frame[cases])).values
    frame["of fused"] = ratio
    frame = frame.sort_values([*cases, "milliseconds"]).set_index([*cases, "implementation"])
    return frame[["milliseconds", "low", "high", "of fused", "of limit"]]


def _parser() -> argparse.ArgumentParser:
    def positive(text):
        value = float(text)
        if not (value >= 1 and value.is_integer()):
            raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, got {text!r}")
        return int(value)

    parser = argparse.ArgumentParser(
        prog="python -m adam_tutorial.bench",
        description="Time one step of Adam in several implementations, side by side.",
        epilog="Without --sizes: 58 tensors, nearly a ResNet-18, 11.5 million parameters. "
        "A run that is interrupted goes on where it stopped, if --out names the same file.",
    )
    names = list(IMPLEMENTATIONS)
    for option, settings in {
        "--optimizers": {
            "nargs": "+",
            "metavar": "NAME",
            "choices": names,
            "default": names,
            "help": "which implementations (default: all): " + ", ".join(names),
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
        Which of ``IMPLEMENTATIONS``; all by default.
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
    ``of limit`` as from ``measure``, and ``of fused``, the median over that of ``torch-fused``.

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
    names = args.optimizers
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
    cases = [RESNET]
    if args.sizes:
        sizes = [(size, tensors) for size in args.sizes for tensors in args.tensors]
        cases = [shapes_of(size, tensors) for size, tensors in sizes if tensors <= size]
        if not cases:
            parser.error(f"--tensors must be at most --sizes, got {args.tensors} and {args.sizes}")
    cases = [(shapes, threads) for shapes in cases for threads in args.threads]
    try:
        stored = load(args.out, machine(args.device)) if args.out else {"results": []}
    except ValueError as error:
        parser.error(str(error))
    for shapes, threads in tqdm(cases, desc="cases", disable=None):
        case = {
            "parameters": sum(torch.Size(shape).numel() for shape in shapes),
            "tensors": len(shapes),
            "threads": threads,
            "device": args.device,
        }
        there = [r for r in stored["results"] if case.items() <= r.items()]
        known = {r["implementation"] for r in there}
        if set(names) <= known:
            continue
        # Side by side or not at all: what was measured alone gives no ratio to the others. What
        # the file has of this case is measured again, not lost.
        wanted = [name for name in IMPLEMENTATIONS if name in {*names, *known}]
        others = [r for r in stored["results"] if r not in there]
        new = measure(wanted, shapes, threads, args.device, args.seconds)
        stored["results"] = others + new
        if args.out:
            save(args.out, stored)
    shown = table(stored["results"]).reset_index()
    digits = {"milliseconds": 3, "low": 3, "high": 3, "of fused": 2, "of limit": 1}
    print(shown.round(digits).to_string(index=False))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; what was finished is in the file of --out, if one was given.")
