"""Time one Adam step of this package beside PyTorch's own: ``python -m adam_tutorial.bench``."""

import argparse
import statistics
import time

import pandas as pd
import torch
from tqdm import tqdm

from adam_tutorial.optimizers import Adam
from adam_tutorial.torch_optimizer import TorchOptimizer

# The tensors of a residual network with 18 layers, nearly: 58 tensors, 11.5 million numbers.
SHAPES = (
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

CONTESTANTS = {
    "torch.optim.Adam()": lambda p: torch.optim.Adam(p),
    "torch.optim.Adam(foreach=True)": lambda p: torch.optim.Adam(p, foreach=True),
    "torch.optim.Adam(fused=True)": lambda p: torch.optim.Adam(p, fused=True),
    "TorchOptimizer(Adam())": lambda p: TorchOptimizer(p, Adam()),
    "TorchOptimizer(Adam(), compile=True)": lambda p: TorchOptimizer(p, Adam(), compile=True),
}


def parameters(shapes: list[tuple[int, ...]]) -> list[torch.Tensor]:
    """Return float32 parameters of these shapes, each with a gradient."""
    generator = torch.Generator().manual_seed(0)
    params = []
    for shape in shapes:
        p = torch.randn(shape, generator=generator, dtype=torch.float32).requires_grad_()
        p.grad = torch.randn(shape, generator=generator, dtype=torch.float32)
        params.append(p)
    return params


def measure(contestants: dict, shapes: list[tuple[int, ...]], rounds: int) -> pd.DataFrame:
    """Time one step of every contestant, side by side: each round takes one step of each.

    Returns a table with the median time in milliseconds and its ratio to the fused optimizer.
    """
    optimizers = {name: make(parameters(shapes)) for name, make in contestants.items()}
    for optimizer in tqdm(optimizers.values(), desc="warm up", disable=None):
        for _ in range(3):
            optimizer.step()
    times = {name: [] for name in optimizers}
    for _ in tqdm(range(rounds), desc="measure", disable=None):
        for name, optimizer in optimizers.items():
            start = time.perf_counter()
            optimizer.step()
            times[name].append(1e3 * (time.perf_counter() - start))
    table = pd.DataFrame({"ms": {name: statistics.median(ts) for name, ts in times.items()}})
    table["of fused"] = table["ms"] / table["ms"]["torch.optim.Adam(fused=True)"]
    return table


def main() -> None:
    """Run the benchmark that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m adam_tutorial.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="steps of each (default: 50)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    count = sum(torch.Size(shape).numel() for shape in SHAPES)
    print(
        f"One step over {count / 1e6:.1f} M float32 parameters in {len(SHAPES)} tensors, "
        f"{args.threads} thread(s), median of {args.rounds}:"
    )
    print(measure(CONTESTANTS, SHAPES, args.rounds).round({"ms": 1, "of fused": 2}).to_string())


if __name__ == "__main__":
    main()
