"""Any optimizer of this package as a ``torch.optim.Optimizer``, eager or compiled."""

import functools
import os
import shutil
import sys
import types
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields, replace
from typing import Any

import torch

from adam_tutorial.optimizers.base import Optimizer

PART = 64
"""The number of tensors that one compiled function steps."""


class TorchOptimizer(torch.optim.Optimizer):
    """Train a torch model with an optimizer of this package.

    It does what the optimizers of ``torch.optim`` do: parameter groups with hyperparameters of
    their own, learning-rate schedulers, closures, ``state_dict`` and ``load_state_dict``,
    ``add_param_group``. A parameter without a gradient is left alone, and so is its state.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) pairs, or of dicts
        What to train, as for ``torch.optim.Adam``. A group may give any hyperparameter of
        ``optimizer`` another value: ``{"params": [...], "lr": 1e-4}``.
    optimizer : Optimizer
        The algorithm and its hyperparameters, for example ``Adam(lr=1e-3)``.
    compile : bool, default False
        Turn the steps of a group into compiled functions, each for up to 64 tensors. The first
        step then takes some 10 to 30 seconds for each of these that differs from the others; later
        steps take about as long as those of PyTorch's fused optimizers. (Eager steps take several
        times as long as PyTorch's default.) For parameters on the CPU this needs a C++ compiler.
        New values of the hyperparameters, from a scheduler for instance, do not compile again;
        another set of tensors with gradients does.

    Raises
    ------
    ValueError
        If ``params`` is empty, or holds a tensor that is not floating point, occurs twice or has a
        shape that the algorithm cannot step; if a group gives a hyperparameter a value that is out
        of its range; or if a state dict to load is that of another algorithm. Nothing is changed
        then.
    RuntimeError
        If ``compile`` is asked for, for parameters on the CPU, on a machine without a C++ compiler,
        or (at a step) if a gradient is sparse.

    Examples
    --------
    >>> from adam_tutorial.optimizers import Adam
    >>> model = torch.nn.Linear(3, 1)
    >>> optimizer = TorchOptimizer(model.parameters(), Adam(lr=0.01))
    >>> loss = model(torch.ones(5, 3)).square().mean()
    >>> loss.backward()
    >>> optimizer.step()
    """

    def __init__(self, params: Iterable, optimizer: Optimizer, compile: bool = False):
        if not isinstance(optimizer, Optimizer):
            raise ValueError(f"optimizer must be an Optimizer such as Adam(), got {optimizer!r}")
        params = params if isinstance(params, torch.Tensor) else list(params)
        if isinstance(params, list) and not params:
            raise ValueError("params must hold at least one tensor, got []")
        self.optimizer = optimizer
        self.compile = bool(compile)
        super().__init__(params, asdict(optimizer))
        if self.compile:
            self._check_compiler()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters with hyperparameters of its own.

        Parameters
        ----------
        param_group : dict
            ``"params"``, a tensor or an iterable of tensors or of (name, tensor) pairs, and any of
            the hyperparameters. What it does not set has the optimizer's own value.

        Raises
        ------
        ValueError
            If a tensor is not floating point or is there already, if a hyperparameter is out of
            its range, or if the algorithm cannot step such a tensor.
        """
        group = dict(param_group)
        tensors = group.get("params", [])
        if isinstance(tensors, torch.Tensor):
            tensors = [tensors]
        # A set has no order to keep: torch says so below.
        group["params"] = tensors if isinstance(tensors, set) else list(tensors)
        seen = set()
        for i, tensor in enumerate(group["params"]):
            tensor = tensor[1] if isinstance(tensor, tuple) else tensor
            if isinstance(tensor, torch.Tensor) and not tensor.is_floating_point():
                raise ValueError(f"params[{i}] must be floating point, got {tensor.dtype}")
            if id(tensor) in seen:
                raise ValueError(f"params[{i}] must be new, got the same tensor twice in a group")
            seen.add(id(tensor))
        optimizer = self._with(group)
        for tensor in group["params"]:
            tensor = tensor[1] if isinstance(tensor, tuple) else tensor
            if isinstance(tensor, torch.Tensor):
                _check_divided(optimizer, _shape_of(tensor))
        super().add_param_group(group)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over hyperparameters and state, to go on where another run stopped.

        Parameters
        ----------
        state_dict : dict
            What the method ``state_dict`` of an optimizer with the same groups gave.

        Raises
        ------
        ValueError
            If it is the state of another algorithm, or its groups are others.
        """
        # A group may be empty, as where ZeroRedundancyOptimizer has no tensor for a process.
        params = [p for group in self.param_groups for p in group["params"]]
        names = set(self._initial_state(_shape_of(params[0]))) if params else set()
        for state in state_dict["state"].values() if params else ():
            if set(state) != names:
                raise ValueError(
                    f"state_dict must hold the state of {type(self.optimizer).__name__}, "
                    f"{sorted(names)}, got {sorted(state)}"
                )
        super().load_state_dict(state_dict)
        # torch has turned every tensor into the type of the parameter, codes of 8 bits too. No
        # number from 0 to 255 was changed by that.
        for p, state in self.state.items():
            for name, model in self._initial_state(_shape_of(p)).items():
                if isinstance(model, torch.Tensor) and state[name] is not None:
                    state[name] = state[name].to(model.dtype)

    def _initial_state(self, p: torch.Tensor, optimizer: Optimizer | None = None) -> dict[str, Any]:
        return (optimizer or self.optimizer).init(p)._asdict()

    def _with(self, group: dict[str, Any]) -> Optimizer:
        """Return the optimizer with the hyperparameters that a group has at present."""
        names = [field.name for field in fields(self.optimizer) if field.name in group]
        return replace(self.optimizer, **{name: group[name] for name in names})

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None):
        """Take one step: change every parameter that has a gradient, in place.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients anew and returns the loss. It is called first.

        Returns
        -------
        tensor or None
            What ``closure`` returned, if it was given.

        Raises
        ------
        RuntimeError
            If a gradient is sparse; no parameter is changed then.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        # All groups are checked before the first is changed.
        for p in (p for group in self.param_groups for p in group["params"]):
            if p.grad is not None and p.grad.is_sparse:
                raise RuntimeError(
                    f"the gradient of a parameter of shape {tuple(p.shape)} is sparse; "
                    "use dense gradients (sparse=False in the embedding)"
                )
        for optimizer, group in [(self._with(group), group) for group in self.param_groups]:
            # A parameter that had no gradient at some step is behind the others.
            by_t = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    state = self._complete_state(optimizer, p)
                    by_t[state["t"] + 1].append((p, state))
            for t, pairs in by_t.items():
                self._step_all(optimizer, pairs, t)
        return loss

    @torch.no_grad()
    def swap_average(self) -> None:
        """Exchange the parameters and their averages, for an algorithm whose result is an average.

        Of the algorithms here that is ``ScheduleFreeAdamW``; with the others nothing happens. Call
        it before the model is tested or saved, and again before the next step.

        Examples
        --------
        >>> from adam_tutorial.optimizers import ScheduleFreeAdamW
        >>> p = torch.nn.Parameter(torch.ones(1))
        >>> optimizer = TorchOptimizer([p], ScheduleFreeAdamW(lr=0.1, betas=(0.5, 0.999)))
        >>> for _ in range(2):
        ...     p.grad = torch.ones(1)
        ...     optimizer.step()
        >>> round(p.item(), 3), round(optimizer.state[p]["x"].item(), 3)
        (0.825, 0.85)
        >>> optimizer.swap_average()
        >>> round(p.item(), 3), round(optimizer.state[p]["x"].item(), 3)
        (0.85, 0.825)
        """
        name = self.optimizer.AVERAGE
        for p, state in self.state.items():
            if name is not None and state:
                theta = p.clone()
                p.copy_(state[name])
                state[name].copy_(theta)

    def _complete_state(self, optimizer: Optimizer, p: torch.Tensor) -> dict[str, Any]:
        """Give a parameter its first state, and a buffer that a new hyperparameter calls for."""
        state = self.state[p]
        if not state:
            state.update(self._initial_state(p, optimizer))
        elif missing := [name for name, value in state.items() if value is None]:
            # Most often nothing is called for. A learning rate never calls for a buffer.
            kept = _state_names(replace(optimizer, lr=0.0), p.shape)
            if any(name in kept for name in missing):
                initial = self._initial_state(p, optimizer)
                state.update({name: initial[name] for name in missing})
        return state

    def _step_all(self, optimizer: Optimizer, pairs: list[tuple], t: int) -> None:
        numbers, decay = optimizer.at(t), getattr(optimizer, "weight_decay", None) or None
        if not self.compile:
            self._run(step_all, optimizer, pairs, numbers, decay)
        else:
            # As tensors the numbers may change from step to step without a new compilation.
            numbers = {k: torch.tensor(x, dtype=torch.float64) for k, x in numbers.items()}
            decay = None if decay is None else torch.tensor(decay, dtype=torch.float64)
            kinds = tuple((p.shape, p.dtype, p.device) for p, _ in pairs)
            for part in parts(kinds):
                run = compiled_step_all(type(optimizer), tuple(kinds[i] for i in part))
                self._run(run, optimizer, [pairs[i] for i in part], numbers, decay)
        for _, state in pairs:
            state["t"] = t

    def _run(self, run: Callable, optimizer: Optimizer, pairs: list, numbers, decay) -> None:
        state_type = _state_type(type(optimizer))
        states = [state_type(**{**state, "t": None}) for _, state in pairs]
        params = [p for p, _ in pairs]
        grads = [p.grad for p in params]
        if self.compile:
            # torch.compile takes a float64 tensor without axes for a number, and forgets what is
            # written into it.
            params, grads = _one_axis(params), _one_axis(grads)
            states = [state_type(*_one_axis(state)) for state in states]
        run(optimizer, params, grads, states, numbers, decay)

    def _check_compiler(self) -> None:
        if all(p.device.type != "cpu" for group in self.param_groups for p in group["params"]):
            return
        usual = {"win32": "cl", "darwin": "clang++"}.get(sys.platform, "g++")
        compiler = os.environ.get("CXX", usual)
        if shutil.which(compiler) is None:
            raise RuntimeError(
                f"compile=True needs a C++ compiler, and {compiler!r} was not found: install one "
                "(g++ on Debian or Ubuntu, the Xcode command line tools on macOS, the Visual "
                "Studio build tools on Windows), set CXX, or use compile=False"
            )

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"optimizer": self.optimizer, "compile": self.compile}

    def __repr__(self) -> str:
        lines = [f"TorchOptimizer({self.optimizer!r}, compile={self.compile})"]
        for i, group in enumerate(self.param_groups):
            count = sum(p.numel() for p in group["params"])
            tensors = f"{len(group['params'])} tensors, {count} parameters"
            lines.append(f"  group {i}: {self._with(group)!r} on {tensors}")
        return "\n".join(lines)


def _check_divided(optimizer: Optimizer, shape: torch.Tensor) -> None:
    """Raise ValueError if FSDP2 has divided a parameter whose state cannot be divided like it."""
    state = optimizer.init(shape)
    # A DTensor. Only what is made in its likeness is divided as it is.
    if hasattr(shape, "placements"):
        # A number without axes is the same in every process.
        tensors = [x for x in state if isinstance(x, torch.Tensor) and x.ndim > 0]
        if not all(hasattr(x, "placements") for x in tensors):
            raise ValueError(
                f"params must be whole tensors for {type(optimizer).__name__}, whose state has "
                f"another shape: got one of shape {tuple(shape.shape)} that is divided among "
                "processes (fully_shard); use DistributedDataParallel and ZeroRedundancyOptimizer"
            )


def _shape_of(p: torch.Tensor) -> torch.Tensor:
    """Return a tensor of the shape and type of ``p`` that has no values and takes no memory."""
    return torch.empty_like(p, device="meta")


@functools.cache
def _state_type(algorithm: type) -> type:
    """Return the named tuple in which an algorithm keeps its state."""
    return type(algorithm().init(torch.empty((1, 1), device="meta")))


@functools.lru_cache(maxsize=1024)
def _state_names(optimizer: Optimizer, shape: torch.Size) -> frozenset[str]:
    """Return the names of what an optimizer remembers of a tensor of this shape."""
    state = optimizer.init(torch.empty(shape, device="meta"))._asdict()
    return frozenset(name for name, value in state.items() if value is not None)


def _one_axis(xs: Iterable[torch.Tensor | None]) -> list[torch.Tensor | None]:
    """Return the tensors; instead of one without axes, a view of it with one."""
    return [x.view(1) if x is not None and x.ndim == 0 else x for x in xs]


def step_all(optimizer, params, grads, states, numbers, decay) -> None:
    """Apply the rule to every tensor, and write what comes out back into the tensors."""
    for p, grad, state in zip(params, grads, states, strict=True):
        step = optimizer.rule(p, optimizer.l2(p, grad, decay), state, **numbers)
        p.copy_(step.theta)
        for old, new in zip(state, step.state, strict=True):
            if old is not None:
                old.copy_(new)


def parts(kinds: tuple) -> list[list[int]]:
    """Cut a list of tensors into parts that are each worth a compilation of their own.

    The time to compile grows with the number of tensors. A model has many tensors of few kinds,
    which are shapes, types and devices: side by side, they make equal parts, which are compiled
    once. A part is the places of its tensors in the list.
    """
    order = _order(kinds)
    return [order[i : i + PART] for i in range(0, len(order), PART)]


@functools.cache
def _order(kinds: tuple) -> list[int]:
    return sorted(range(len(kinds)), key=lambda i: str(kinds[i]))


@functools.cache
def compiled_step_all(algorithm: type, tensors: tuple) -> Callable:
    """Return ``step_all`` compiled for one algorithm and one list of shapes, types and devices.

    Dynamo counts the compilations of each code object, and gives up after a few. So each list
    gets a code object of its own.
    """
    code = step_all.__code__.replace(co_name=f"step_all_{algorithm.__name__}_{hash(tensors):x}")
    copy = types.FunctionType(code, step_all.__globals__, closure=step_all.__closure__)
    # Dynamo has looked at the sizes before; the compiled code need not do it again.
    options = {"size_asserts": False}
    return torch.compile(copy, fullgraph=True, dynamic=False, options=options)
