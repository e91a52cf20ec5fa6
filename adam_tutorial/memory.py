"""The memory that training takes: for any model, optimizer, precision and number of processes."""

import weakref
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from adam_tutorial.optimizers import Adam, Optimizer
from adam_tutorial.optimizers.base import integer

SHARDS = ("none", "optimizer", "gradients", "weights")
"""What is divided among the processes: each name includes those before it."""


@dataclass(frozen=True)
class Recipe:
    """In which types a training keeps its numbers.

    Parameters
    ----------
    weights : torch.dtype
        The type of the weights that the network computes with.
    gradients : torch.dtype
        The type of the gradients.
    states : torch.dtype
        The type of what the optimizer remembers.
    master : torch.dtype, optional
        The type of a further copy of the weights, which the optimizer steps. By default there is
        none: the optimizer steps the weights themselves.

    Examples
    --------
    Weights in bfloat16 beside a float32 copy, both moments in bfloat16:

    >>> recipe = Recipe(torch.bfloat16, torch.float32, torch.bfloat16, master=torch.float32)
    >>> training_memory([(100, 10)], precision=recipe).total / 1000
    14.0
    """

    weights: torch.dtype
    gradients: torch.dtype
    states: torch.dtype
    master: torch.dtype | None = None


RECIPES = {
    "float64": Recipe(torch.float64, torch.float64, torch.float64),
    "float32": Recipe(torch.float32, torch.float32, torch.float32),
    # Autocast converts to bfloat16 what an operation reads; what is kept stays in float32.
    "autocast": Recipe(torch.float32, torch.float32, torch.float32),
    "mixed": Recipe(torch.bfloat16, torch.bfloat16, torch.float32, master=torch.float32),
    "bf16": Recipe(torch.bfloat16, torch.bfloat16, torch.bfloat16),
}
"""The recipes that have a name."""


@dataclass(frozen=True)
class TrainingMemory:
    """What training keeps between two steps, in bytes a process.

    Parameters
    ----------
    weights : int
        The weights that the network computes with.
    master : int
        Their copy of higher precision, if there is one.
    gradients : int
        The gradients.
    states : mapping from str to int
        The arrays of the optimizer, under their names in its state.

    Attributes
    ----------
    total : int
        The sum.
    """

    weights: int
    master: int
    gradients: int
    states: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.weights + self.master + self.gradients + sum(self.states.values())


def training_memory(
    model: nn.Module | Iterable[tuple[int, ...]],
    optimizer: Optimizer | None = None,
    precision: str | Recipe = "float32",
    shard: str = "none",
    processes: int = 1,
) -> TrainingMemory:
    r"""Return the bytes that training keeps from step to step in one process.

    For a parameter of n numbers, each with b bytes of weight, of master copy and of gradient, and
    with :math:`s(n)` bytes of state in all,

    .. math::

        \text{bytes} = \sum_{\text{parameters}}
            n\, (b_\text{weight} + b_\text{master} + b_\text{gradient}) + s(n) .

    The state is not a formula: ``optimizer.init`` makes it, on the device ``"meta"``, where a
    tensor has a shape and a type, but no values. Not counted are activations, buffers such as those
    of batch normalisation, the numbers t of steps, and what lives only during a step.

    What is sharded is cut along the first axis of each tensor, as ``torch.chunk`` and so FSDP2 do:
    with n rows and N processes the first processes hold :math:`\lceil n/N \rceil` rows. It is the
    first process that is counted; none holds more. (DeepSpeed cuts flat buffers instead. torch's
    ``ZeroRedundancyOptimizer`` gives away whole tensors: its fullest process may hold more.)

    Parameters
    ----------
    model : torch.nn.Module, or iterable of tuples of int
        The network, which may be on the device ``"meta"``, or the shapes of its parameters. Of a
        parameter that is not trained (``requires_grad=False``) only the weight counts. Of a
        network the shapes count, not the types: those are from ``precision``.
    optimizer : Optimizer, optional
        By default ``Adam()``.
    precision : str or Recipe, default "float32"
        ``"float32"``; ``"autocast"``, the same, since ``torch.autocast`` leaves weights and
        gradients in float32; ``"mixed"``, weights and gradients in bfloat16, with master weights
        and states in float32; ``"bf16"``, everything in bfloat16; ``"float64"``; or any other.
    shard : str, default "none"
        What is divided among the processes: ``"optimizer"``, states and master weights (ZeRO-1);
        ``"gradients"``, these and the gradients (ZeRO-2); ``"weights"``, all (ZeRO-3, FSDP).
    processes : int, default 1
        The number of processes.

    Returns
    -------
    TrainingMemory
        The bytes of each kind.

    Raises
    ------
    ValueError
        If ``precision``, ``shard`` or ``processes`` is none of these, or ``model`` has no
        parameters.

    Examples
    --------
    >>> training_memory([(100, 10)])
    TrainingMemory(weights=4000, master=0, gradients=4000, states={'m': 4000, 'v': 4000})
    >>> training_memory([(100, 10)], precision="mixed", shard="weights", processes=8).total
    2080

    (13 of 100 rows with 10 numbers, of 2 + 4 + 2 + 8 bytes.)
    """
    optimizer = Adam() if optimizer is None else optimizer
    recipe = RECIPES.get(precision) if isinstance(precision, str) else precision
    if not isinstance(recipe, Recipe):
        raise ValueError(f"precision must be a Recipe or one of {[*RECIPES]}, got {precision!r}")
    if shard not in SHARDS:
        raise ValueError(f"shard must be one of {list(SHARDS)}, got {shard!r}")
    processes = integer("processes", processes, least=1)
    level = SHARDS.index(shard)
    weights = master = gradients = 0
    states: dict[str, int] = {}
    for (shape, trained), count in _shapes(model).items():
        part = _part(shape, processes)
        weights += count * _bytes(part if level >= 3 else shape, recipe.weights)
        if not trained:
            continue
        if recipe.master is not None:
            master += count * _bytes(part if level >= 1 else shape, recipe.master)
        gradients += count * _bytes(part if level >= 2 else shape, recipe.gradients)
        theta = torch.empty(part if level >= 1 else shape, dtype=recipe.states, device="meta")
        for name, value in optimizer.init(theta)._asdict().items():
            if isinstance(value, torch.Tensor):
                states[name] = states.get(name, 0) + count * value.nbytes
    return TrainingMemory(weights, master, gradients, states)


def _shapes(model: nn.Module | Iterable[tuple[int, ...]]) -> Counter:
    """Return how many parameters there are of each shape, and whether they are trained."""
    if isinstance(model, nn.Module):
        shapes = Counter((tuple(p.shape), p.requires_grad) for p in model.parameters())
    else:
        shapes = Counter((tuple(shape), True) for shape in model)
    if not shapes:
        raise ValueError(f"model must have at least one parameter, got {model!r}")
    return shapes


def _part(shape: tuple[int, ...], processes: int) -> tuple[int, ...]:
    """Return the shape of what the first process holds of a tensor."""
    return (-(-shape[0] // processes), *shape[1:]) if shape else shape


def _bytes(shape: tuple[int, ...], dtype: torch.dtype) -> int:
    return torch.Size(shape).numel() * dtype.itemsize


@dataclass(frozen=True)
class Decoder:
    """A language model of the Llama family: only its sizes.

    Each layer has four projections of attention, a gated feed-forward part of three matrices and
    two normalisations with a gain; there are no biases.

    Parameters
    ----------
    layers, width : int
        The number of layers, and the length of the vector that stands for a token.
    heads, kv_heads : int
        Heads of the queries, and of keys and values; several of the first may share one of these.
    inner : int
        The width between the feed-forward matrices.
    vocabulary : int
        The number of tokens that it knows.
    tied : bool, default False
        Whether the output layer is the embedding.

    Examples
    --------
    >>> PUBLISHED["Llama 2 7B"].parameters
    6738415616
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    inner: int
    vocabulary: int
    tied: bool = False

    def shapes(self) -> list[tuple[int, ...]]:
        """Return the shapes of all parameters."""
        d, kv = self.width, self.width // self.heads * self.kv_heads
        attention = [(d, d), (kv, d), (kv, d), (d, d)]
        layer = [*attention, (self.inner, d), (self.inner, d), (d, self.inner), (d,), (d,)]
        ends = [(self.vocabulary, d)] * (1 if self.tied else 2)
        return [*ends, *layer * self.layers, (d,)]

    @property
    def parameters(self) -> int:
        """The number of parameters."""
        return sum(torch.Size(shape).numel() for shape in self.shapes())


@dataclass(frozen=True)
class GPT2:
    """A language model of the GPT-2 family: only its sizes.

    Parameters
    ----------
    layers, width : int
        The number of layers, and the length of the vector that stands for a token. The inner width
        of the feed-forward part is four times as long.
    vocabulary, length : int, default 50257 and 1024
        The number of tokens that it knows, and of positions.

    Examples
    --------
    >>> PUBLISHED["GPT-2"].parameters
    124439808
    """

    layers: int
    width: int
    vocabulary: int = 50257
    length: int = 1024

    def shapes(self) -> list[tuple[int, ...]]:
        """Return the shapes of all parameters; the output layer is the embedding."""
        d = self.width
        matrices = [(3 * d, d), (3 * d,), (d, d), (d,), (4 * d, d), (4 * d,), (d, 4 * d), (d,)]
        return [(self.vocabulary, d), (self.length, d), *[*matrices, *[(d,)] * 4] * self.layers,
                (d,), (d,)]  # fmt: skip

    @property
    def parameters(self) -> int:
        """The number of parameters."""
        return sum(torch.Size(shape).numel() for shape in self.shapes())


PUBLISHED = {
    "GPT-2": GPT2(layers=12, width=768),
    "GPT-2 XL": GPT2(layers=48, width=1600),
    "Llama 2 7B": Decoder(32, 4096, heads=32, kv_heads=32, inner=11008, vocabulary=32000),
    "Llama 3 70B": Decoder(80, 8192, heads=64, kv_heads=8, inner=28672, vocabulary=128256),
    "Llama 3.1 405B": Decoder(126, 16384, heads=128, kv_heads=8, inner=53248, vocabulary=128256),
}
"""Models with the sizes in their published configurations."""


def activation_bytes(
    width: int,
    heads: int,
    length: int,
    batch: int = 1,
    *,
    recompute: str = "none",
    dropout: bool = True,
) -> int:
    r"""Return what one layer of a GPT keeps for the backward pass, in 16 bits: an estimate.

    With the length s of a sequence, b sequences, the width h and a heads,

    .. math::

        s b h \left( 34 + 5\, \frac{a s}{h} \right)

    bytes (Korthikanti et al. 2023). The term with 5 is the scores of attention. The layer is that
    of GPT-2, with a feed-forward part of four times the width, GELU and three dropouts; a mask of a
    dropout takes one byte a number. Statistics of the normalisations are left out. Without
    dropout it is :math:`s b h\, (32 + 2 a s/h)`, if a framework keeps the scores once.

    Parameters
    ----------
    width, heads, length, batch : int
        h, a, s and b.
    recompute : str, default "none"
        ``"attention"``: the scores are computed again in the backward pass, as fused attention
        does; ``"layer"``: only the input of the layer is kept, 2sbh.
    dropout : bool, default True
        Whether there is dropout.

    Returns
    -------
    int
        The bytes.

    Raises
    ------
    ValueError
        If a size is below 1 or ``recompute`` is none of these.

    Examples
    --------
    >>> activation_bytes(12288, 96, 2048) / 1e9
    2.868903936
    """
    h, a = integer("width", width, least=1), integer("heads", heads, least=1)
    s, b = integer("length", length, least=1), integer("batch", batch, least=1)
    kinds = ["none", "attention", "layer"]
    if recompute not in kinds:
        raise ValueError(f"recompute must be one of {kinds}, got {recompute!r}")
    if recompute == "layer":
        return 2 * s * b * h
    scores = 0 if recompute == "attention" else (5 if dropout else 2) * a * s * s * b
    return s * b * h * (34 if dropout else 32) + scores


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that are made within it and still live.

    It sees every operation of torch that returns a dense tensor, in the forward pass, the backward
    pass and the step alike. Tensors that were there before do not count. What a single operation
    needs inside itself, and what ``resize_`` adds, is not seen.

    Attributes
    ----------
    now, peak : int
        The bytes that live now, and the most that have lived at once.

    Examples
    --------
    >>> with LiveBytes() as live:
    ...     x = torch.zeros(1000, dtype=torch.float32)
    ...     y = (x + 1) * 2
    >>> live.now, live.peak
    (8000, 12000)
    """

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._known = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run an operation, and count the memory of what it returns."""
        # What goes in and comes out again, as from an operation in place, was not made here.
        inputs = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        old = {x.untyped_storage()._cdata for x in inputs}
        if func is torch.ops.aten.lift_fresh.default:
            old = set()  # but for this one, by which torch.tensor hands out what it has made
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, torch.Tensor) and x.untyped_storage()._cdata not in old:
                self._count(x.untyped_storage())
        return out

    def _count(self, storage) -> None:
        key = storage._cdata
        if key not in self._known:
            self._known.add(key)
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._free, key, storage.nbytes()).atexit = False

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size
