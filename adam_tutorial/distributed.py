"""Adam on more than one process: data parallel, ZeRO-1 and FSDP2, measured and compared.

What each process runs, started by torchrun; on GPUs add ``--device cuda``::

    torchrun --standalone --nproc-per-node 2 -m adam_tutorial.distributed

``launch`` starts that command from Python, returns its report, and leaves no process behind.
"""

import argparse
import contextlib
import errno
import functools
import json
import os
import platform
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

import adam_tutorial
from adam_tutorial.optimizers import Adam
from adam_tutorial.optimizers.base import Optimizer, integer
from adam_tutorial.torch_optimizer import TorchOptimizer

GLOBAL_BATCH = 64
"""The examples of a step, of all processes together."""

LR = 0.01
"""The learning rate of every optimizer."""

WARM_UP = 2
"""The steps before bytes and seconds are measured: the first ones also set things up."""


class Blocks(nn.Module):
    """Eight square matrices, each with a tanh and a way around it.

    Parameters
    ----------
    width : int, default 64
        The rows and columns of each matrix.
    layers : int, default 8
        How many there are.

    Examples
    --------
    >>> sum(p.numel() for p in Blocks().parameters())
    32768
    """

    def __init__(self, width: int = 64, layers: int = 8):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map examples, of shape (n, width), to predictions of the same shape."""
        for layer in self.layers:
            x = x + torch.tanh(layer(x))
        return x


def ddp(net: nn.Module, make: Callable, **settings):
    """Return the network and its optimizer, data parallel: every process holds everything.

    Parameters
    ----------
    net : torch.nn.Module
        The network, the same in every process.
    make : callable
        The class of the optimizer, such as ``torch.optim.Adam``.
    **settings
        Its keyword arguments.

    Returns
    -------
    net : torch.nn.Module
        The network to train.
    optimizer : torch.optim.Optimizer
        Its optimizer.
    """
    net = DistributedDataParallel(net)
    return net, make(net.parameters(), **settings)


def zero(net: nn.Module, make: Callable, **settings):
    """Return the network and its optimizer, ZeRO-1: the optimizer's state is divided.

    Parameters and result are those of ``ddp``.
    """
    net = DistributedDataParallel(net)
    return net, ZeroRedundancyOptimizer(net.parameters(), make, **settings)


def fsdp(net: nn.Module, make: Callable, **settings):
    """Return the network and its optimizer, FSDP2: parameters, gradients and state are divided.

    Parameters and result are those of ``ddp``.
    """
    device = next(net.parameters()).device.type
    mesh = init_device_mesh(device, (dist.get_world_size(),))
    for layer in net.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(net, mesh=mesh)
    return net, make(net.parameters(), **settings)


ENGINES = {"ddp": ddp, "zero": zero, "fsdp": fsdp}
"""From the name of an engine to the function that sets it up."""


def mean_bytes_sent(engine: str, nbytes: float, processes: int, backend: str = "ring") -> float:
    r"""Return how many bytes a process sends in one step, in the mean over the processes.

    With N processes, a ring all-reduce of b bytes sends :math:`2b(N-1)/N` from each process, a
    reduce-scatter and an all-gather :math:`b(N-1)/N` each, and a broadcast of b bytes makes
    N - 1 processes receive b bytes. ``ddp`` takes one all-reduce of the gradient. ``zero``, as
    ``ZeroRedundancyOptimizer`` does it, takes the same all-reduce and broadcasts every parameter.
    ``fsdp`` gathers the parameters forward and again backward, and reduce-scatters the gradient.

    Parameters
    ----------
    engine : str
        ``"ddp"``, ``"zero"`` or ``"fsdp"``.
    nbytes : float
        The bytes of all parameters, and of all gradients.
    processes : int
        How many processes there are.
    backend : str, default "ring"
        ``"gloo"`` reduce-scatters by a whole all-reduce.

    Returns
    -------
    float
        The bytes.

    Raises
    ------
    ValueError
        If there is no such engine or backend, or ``processes`` is not an integer of at least 1.

    Examples
    --------
    >>> [mean_bytes_sent(engine, 1000, 2) for engine in ("ddp", "zero", "fsdp")]
    [1000.0, 1500.0, 1500.0]
    >>> mean_bytes_sent("fsdp", 1000, 2, backend="gloo")
    2000.0
    """
    if backend not in ("ring", "gloo"):
        raise ValueError(f"backend must be 'ring' or 'gloo', got {backend!r}")
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    passes = {"ddp": 2, "zero": 3, "fsdp": 4 if backend == "gloo" else 3}[engine]
    n = integer("processes", processes, least=1)
    return passes * nbytes * (n - 1) / n


# What each process runs


def _build(width: int, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """Return the network with the weights that it has in every process.

    ``training.build`` does so too; to import it takes seconds, in each process.
    """
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    return Blocks(width).to(device, dtype)


def _batch(step: int, width: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the examples of a step; they depend on its number alone, so any run can go on."""
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(GLOBAL_BATCH, width, generator=generator, dtype=torch.float64)
    return x.to(dtype), torch.sin(2 * x.roll(1, dims=1)).to(dtype)


def _make(name: str) -> tuple[Callable, dict]:
    """Return class and settings of an optimizer."""
    if name == "torch":
        return torch.optim.Adam, {"lr": LR}
    rule = Adam if name == "book" else getattr(adam_tutorial, name)
    return TorchOptimizer, {"optimizer": rule(lr=LR)}


def train_step(net: nn.Module, optimizer: torch.optim.Optimizer, x, y) -> None:
    """Take one step on this process's part of the batch; the engine averages the gradients.

    Parameters
    ----------
    net, optimizer
        What ``ddp``, ``zero`` or ``fsdp`` gave.
    x, y : tensors
        The examples of this process, and what is to be predicted.
    """
    optimizer.zero_grad()
    loss = (net(x) - y).square().mean()
    loss.backward()
    optimizer.step()


def _local(x: torch.Tensor) -> torch.Tensor:
    """Return the part of a tensor that this process holds."""
    return x.to_local() if isinstance(x, DTensor) else x


def _nbytes(tensors) -> int:
    """Return the bytes of tensors in this process, without single numbers such as Adam's step."""
    return sum(_local(x).nbytes for x in tensors if isinstance(x, torch.Tensor) and x.ndim > 0)


def _state(optimizer: torch.optim.Optimizer) -> list:
    inner = getattr(optimizer, "optim", optimizer)  # ZeRO keeps its part in an optimizer of its own
    return [value for state in inner.state.values() for value in state.values()]


def socket_bytes() -> int | None:
    """Return the bytes that this process's TCP connections have sent, or None if unknown.

    It is the kernel's own count, ``tcpi_bytes_sent`` of ``TCP_INFO``: Linux has it.

    Returns
    -------
    int or None
        The bytes, without those of the packets' headers.
    """
    total, known = 0, sys.platform == "linux"
    for name in os.listdir("/proc/self/fd") if known else ():
        try:
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(name))) as connection:
                internet = connection.family in (socket.AF_INET, socket.AF_INET6)
                if internet and connection.type == socket.SOCK_STREAM:
                    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                    # Where tcpi_bytes_sent and tcpi_bytes_retrans stand in struct tcp_info, since
                    # Linux 4.19.
                    sent, again = struct.unpack_from("=2Q", info, 200)
                    total += sent - again
        except (OSError, struct.error):  # closed meanwhile; or a kernel without the number
            known = known and not os.path.exists(f"/proc/self/fd/{name}")
    return total if known else None


def newest(folder: Path) -> Path | None:
    """Return the newest whole checkpoint in a folder, or None if there is none.

    Parameters
    ----------
    folder : Path
        Where the checkpoints of one run are. One that is being written has another name.

    Returns
    -------
    Path or None
        The folder of the checkpoint.
    """
    whole = sorted(path for path in folder.glob("step-*") if re.fullmatch(r"step-\d+", path.name))
    return whole[-1] if whole else None


def save(folder: Path, step: int, net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Save a checkpoint: all processes write their parts, and the last act gives it its name.

    Parameters
    ----------
    folder : Path
        Where the checkpoints of this run are.
    step : int
        How many steps were taken.
    net, optimizer
        What ``ddp``, ``zero`` or ``fsdp`` gave.
    """
    whole, unfinished = folder / f"step-{step:06d}", folder / "unfinished"
    if dist.get_rank() == 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
    dist.barrier()
    state = {"model": get_model_state_dict(net)}
    if isinstance(optimizer, ZeroRedundancyOptimizer):
        # It does not work with DCP: one process gathers the whole state first.
        optimizer.consolidate_state_dict(to=0)
        if dist.get_rank() == 0:
            whole_state = optimizer.state_dict()
            for group in whole_state["param_groups"]:
                group.pop("optimizer", None)  # a Python object; the run that resumes has its own
            torch.save(whole_state, unfinished / "zero.pt")
    else:
        state["optimizer"] = get_optimizer_state_dict(net, optimizer)
    checkpoint.save(state, checkpoint_id=unfinished)
    dist.barrier()
    if dist.get_rank() == 0:
        # A folder that is half removed must not look whole.
        shutil.rmtree(folder / "replaced", ignore_errors=True)
        if whole.exists():
            whole.rename(folder / "replaced")
        unfinished.rename(whole)
        shutil.rmtree(folder / "replaced", ignore_errors=True)
    dist.barrier()


def resume(folder: Path, net: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Go on from the newest whole checkpoint, saved by any number of processes.

    Parameters
    ----------
    folder : Path
        Where the checkpoints of the run are.
    net, optimizer
        What ``ddp``, ``zero`` or ``fsdp`` gave.

    Returns
    -------
    int
        How many steps were taken; 0 if there is no checkpoint yet.
    """
    path = newest(folder)
    if path is None:
        return 0
    state = {"model": get_model_state_dict(net)}
    if isinstance(optimizer, ZeroRedundancyOptimizer):
        # Not onto the GPU: the file holds the state of all processes.
        file = torch.load(path / "zero.pt", map_location="cpu", mmap=True, weights_only=True)
        optimizer.load_state_dict(file)
        checkpoint.load(state, checkpoint_id=path)
    else:
        state["optimizer"] = get_optimizer_state_dict(net, optimizer)
        checkpoint.load(state, checkpoint_id=path)
        set_optimizer_state_dict(net, optimizer, state["optimizer"])
    set_model_state_dict(net, state["model"])
    return int(path.name.removeprefix("step-"))


@functools.cache
def _alone(name: str, steps: int, width: int, dtype: torch.dtype, device: torch.device):
    """Return the parameters after training on the whole batch in this process alone."""
    net = _build(width, dtype, device)
    make, settings = _make(name)
    optimizer = make(net.parameters(), **settings)
    for step in range(1, steps + 1):
        train_step(net, optimizer, *(x.to(device) for x in _batch(step, width, dtype)))
    return list(net.parameters())


def _run(engine: str, name: str, args, device: torch.device) -> dict:
    """Train with one engine and one optimizer; return the report of this process."""
    rank, processes = dist.get_rank(), dist.get_world_size()
    dtype = getattr(torch, args.dtype)
    net = _build(args.width, dtype, device)
    make, settings = _make(name)
    try:
        net, optimizer = ENGINES[engine](net, make, **settings)
    except ValueError as error:
        return {"refused": str(error)}
    start, folder = 0, f"{engine}-{name}"
    restarted = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    if not restarted and args.save not in (None, args.resume) and newest(args.save / folder):
        raise FileExistsError(f"{args.save / folder} has the checkpoints of another run")
    # What this run has saved comes first, then what it started from.
    for source in filter(None, [args.save if restarted else None, args.resume]):
        start = start or resume(source / folder, net, optimizer)
    if start == 0 and args.resume:
        raise FileNotFoundError(f"there is no whole checkpoint in {args.resume / folder}")
    if start > args.steps:
        raise ValueError(f"the checkpoint is of step {start}, after the last, {args.steps}")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = sent = 0
    for step in range(start + 1, args.steps + 1):
        if step == args.fail_at and rank == processes - 1 and not restarted:
            os.kill(os.getpid(), signal.SIGKILL)
        mine = [x[rank::processes].to(device) for x in _batch(step, args.width, dtype)]
        before, clock = socket_bytes(), time.perf_counter()
        train_step(net, optimizer, *mine)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if step > start + WARM_UP:
            seconds += time.perf_counter() - clock
            # What the others still wait for is sent before the barrier is passed.
            dist.barrier()
            after = socket_bytes()
            sent = None if None in (before, after, sent) else sent + after - before
        if args.save and step % args.save_every == 0:
            save(args.save / folder, step, net, optimizer)
    measured = max(args.steps - start - WARM_UP, 0)
    params = list(net.parameters())
    whole = [p.full_tensor() if isinstance(p, DTensor) else p for p in params]
    alone = _alone(name, args.steps, args.width, dtype, device)
    return {
        # max of Python would pass over a NaN.
        "difference": torch.stack([(p - q).abs().max() for p, q in zip(whole, alone, strict=True)])
        .max()
        .item(),
        "parameter_bytes": _nbytes(params),
        "gradient_bytes": _nbytes(p.grad for p in params),
        "state_bytes": _nbytes(_state(optimizer)),
        # On GPUs the traffic does not go through the sockets.
        "sent": sent / measured if measured and sent is not None and args.device == "cpu" else None,
        "seconds": seconds / measured if measured else None,
        "peak_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
        "resumed_at": start,
        "process": rank,
    }


def _parser() -> argparse.ArgumentParser:
    def whole(text):
        if int(text) < 1:
            raise argparse.ArgumentTypeError(f"must be at least 1, got {text!r}")
        return int(text)

    def rule(text):
        if text in ("torch", "book"):
            return text
        found = getattr(adam_tutorial, text, None)
        if not (isinstance(found, type) and issubclass(found, Optimizer)):
            raise argparse.ArgumentTypeError(f"there is no optimizer {text!r}")
        return text

    parser = argparse.ArgumentParser(
        prog="torchrun --standalone --nproc-per-node 2 -m adam_tutorial.distributed",
        description="Train a small network on several processes, and compare with one process.",
    )
    add = parser.add_argument
    add("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    add(
        "--optimizers",
        nargs="+",
        type=rule,
        default=["torch", "book"],
        metavar="NAME",
        help="torch: torch.optim.Adam; book: the package's Adam; or another of its optimizers",
    )
    add("--steps", type=whole, default=20)
    add("--width", type=whole, default=64, help="rows of each of the 8 matrices (default: 64)")
    add("--dtype", choices=["float64", "float32"], default="float64")
    add("--device", choices=["cpu", "cuda"], default="cpu", help="cuda: a GPU for each process")
    add("--save", type=Path, metavar="DIR", help="save checkpoints here")
    add("--save-every", type=whole, default=5, metavar="N", help="steps between (default: 5)")
    add("--resume", type=Path, metavar="DIR", help="go on from the newest checkpoint here")
    add("--fail-at", type=whole, metavar="STEP", help="one process kills itself before this step")
    add("--report", type=Path, metavar="FILE", help="write the report here, as JSON")
    return parser  # fmt: skip


def _leave_with(launcher: int) -> None:
    """End this process when the one that called ``launch`` is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(launcher)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.5)
    os._exit(1)


def main(arguments: list[str] | None = None) -> None:
    """Run what the command line asks for, in each process that torchrun starts.

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
    if "WORLD_SIZE" not in os.environ:
        sys.exit(f"start it with torchrun:\n{parser.prog}")
    if launcher := os.environ.get("ADAM_TUTORIAL_LAUNCHER"):
        threading.Thread(target=_leave_with, args=(int(launcher),), daemon=True).start()
    processes, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
    if GLOBAL_BATCH % processes:
        sys.exit(f"the number of processes must divide {GLOBAL_BATCH}, got {processes}")
    if args.device == "cuda" and local >= torch.cuda.device_count():
        sys.exit(f"--device cuda: {torch.cuda.device_count()} GPUs, for process {local} none")
    device = torch.device(args.device, local) if args.device == "cuda" else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # torchrun keeps its store when it restarts the workers: without a prefix they might find there
    # the addresses of those that died.
    store, rank, _ = next(dist.rendezvous("env://"))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = dist.PrefixStore(f"attempt-{attempt}", store)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=processes)
    try:
        runs = []
        for engine in args.engines:
            for name in args.optimizers:
                mine, all_of_them = _run(engine, name, args, device), [None] * processes
                dist.all_gather_object(all_of_them, mine)
                what = {"engine": engine, "optimizer": name, "processes": processes}
                runs.append(what | _together(all_of_them))
        gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
        machine = {"machine": platform.node(), "device": gpu or platform.processor() or "cpu"}
        report = machine | {"torch": torch.__version__, "dtype": args.dtype, "runs": runs}
        if dist.get_rank() == 0:
            text = json.dumps(report, indent=1)
            print(text) if args.report is None else args.report.write_text(text)
    finally:
        dist.destroy_process_group()


def _together(reports: list[dict]) -> dict:
    """Return one report of the reports of all processes: lists, and the largest difference."""
    if "refused" in reports[0]:
        return reports[0]
    result = {key: [report[key] for report in reports] for key in reports[0] if key != "process"}
    result["difference"] = torch.tensor(result["difference"], dtype=torch.float64).max().item()
    result["resumed_at"] = result["resumed_at"][0]
    return result


# What starts the processes


def launch(
    processes: int,
    *arguments: object,
    timeout: float = 600.0,
    port: int | None = None,
    restarts: int = 0,
) -> dict:
    """Start this module on several processes by torchrun, and return the report.

    However it ends, none of the processes is left.

    Parameters
    ----------
    processes : int
        How many.
    *arguments : objects
        The command line of this module, for example ``"--engines", "ddp"``.
    timeout : float, default 600
        After so many seconds all processes are ended.
    port : int, optional
        Where the processes meet; by default torchrun finds one that is free.
    restarts : int, default 0
        How often torchrun starts all processes again when one dies. They then go on from the
        newest checkpoint that ``--save`` has left.

    Returns
    -------
    dict
        ``machine``, ``device``, ``torch``, ``dtype``, and ``runs``, a list with a dict for each
        engine and optimizer: ``engine``, ``optimizer``, ``processes``; ``difference``, the largest
        of all weights to the same training in one process; ``resumed_at``, the step; and lists
        with an entry for each process: ``parameter_bytes``, ``gradient_bytes``, ``state_bytes``,
        ``sent`` (bytes a step, None where they cannot be counted), ``seconds`` (a step),
        ``peak_bytes`` (on a GPU). What an engine cannot do has ``refused``, the reason.

    Raises
    ------
    RuntimeError
        If a process fails, with its last lines; if ``port`` is taken; or after ``timeout``.
    """
    integer("processes", processes, least=1)
    if port is not None and _taken(integer("port", port, least=1, most=65535)):
        raise RuntimeError(_port_message(port))
    meet = ["--standalone"] if port is None else [f"--master-port={port}"]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        *meet,
        f"--nproc-per-node={processes}",
    ]
    command += [f"--max-restarts={restarts}", "-m", "adam_tutorial.distributed"]
    loopback = {"linux": "lo", "darwin": "lo0"}.get(sys.platform)
    usual = {} if loopback is None else {"GLOO_SOCKET_IFNAME": loopback}
    own = {"OMP_NUM_THREADS": "1", "ADAM_TUTORIAL_LAUNCHER": str(os.getpid())}
    with tempfile.TemporaryDirectory() as folder:
        report, log = Path(folder, "report.json"), Path(folder, "log.txt")
        command += [*map(str, arguments), f"--report={report}"]
        with log.open("w") as out:
            code = _wait(command, usual | os.environ | own, out, timeout)
        text = log.read_text(errors="replace")
        if code is None:
            raise RuntimeError(f"not finished after {timeout:g} s, and ended:\n{_last_lines(text)}")
        if code and port is not None and re.search("EADDRINUSE|address already in use", text, re.I):
            raise RuntimeError(_port_message(port))
        if code or not report.exists():
            raise RuntimeError(f"a process failed (exit code {code}):\n{_last_lines(text)}")
        return json.loads(report.read_text())


def _wait(command: list[str], environment: dict, out, timeout: float) -> int | None:
    """Run a command; return its exit code, or None after the timeout. Nothing of it is left."""
    end, known = time.monotonic() + timeout, set()
    # In a session of its own, so that Ctrl-C reaches this process alone, which then ends the rest.
    process = subprocess.Popen(
        command, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        while process.poll() is None and time.monotonic() < end:
            # torchrun gives each worker a session too: only as its children are they known.
            known.update(_children(process.pid))
            time.sleep(0.1)
        return process.poll()
    finally:
        known.update(_children(process.pid))
        if process.poll() is None:
            process.terminate()  # torchrun then ends its workers
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
        known.update(_children(process.pid))
        if process.poll() is None:
            process.kill()
            process.wait()
        for worker in known:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        psutil.wait_procs(known, timeout=5)


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _taken(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise RuntimeError(f"port {port} cannot be used: {error.strerror}") from None
    return False


def _port_message(port: int) -> str:
    return f"port {port} is taken by another program: give another port, or none"


def _last_lines(text: str) -> str:
    """Return the end of what the workers wrote; torchrun's own lines say less."""
    lines = [line for line in text.splitlines() if line.strip()]
    own = [line for line in lines if re.match(r"\[rank\d+\]: ", line)]
    signals = [line.strip() for line in lines if "Signal " in line]
    return "\n".join((own[-6:] + signals[-1:]) or lines[-12:])


if __name__ == "__main__":
    main()
