"""Any optimizer of this package as a ``torch.optim.Optimizer``, eager or compiled."""

import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields, replace
from typing import Any

import torch

from adam_tutorial.optimizers.base import Optimizer


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
        Turn the steps of all tensors of a group into one compiled function. The first step then
        takes some 10 to 30 seconds; later ones take about as long as PyTorch's fused
        optimizers. For parameters on the CPU this needs a C++ compiler. New values of the
        hyperparameters, from a scheduler for instance, do not compile again; new shapes do.

    Raises
    ------
    ValueError
        If ``params`` is empty, holds a tensor that is not floating point or occurs twice, or a
        group gives a hyperparameter a value that is out of its range. Nothing is changed then.
    RuntimeError
        If ``compile`` is asked for on a machine without a C++ compiler, or (at a step) if a
        gradient is sparse.

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
        """Add a group of parameters; what it does not set, the optimizer's own values fill in."""
        group = dict(param_group)
        tensors = group.get("params")
        group["params"] = [tensors] if isinstance(tensors, torch.Tensor) else list(tensors)
        for i, tensor in enumerate(group["params"]):
            tensor = tensor[1] if isinstance(tensor, tuple) else tensor
            if isinstance(tensor, torch.Tensor) and not tensor.is_floating_point():
                raise ValueError(f"params[{i}] must be floating point, got {tensor.dtype}")
        self._with(group)
        super().add_param_group(group)

    def _with(self, group: dict[str, Any]) -> Optimizer:
        """Return the optimizer with the hyperparameters that a group has at present."""
        names = [field.name for field in fields(self.optimizer) if field.name in group]
        return replace(self.optimizer, **{name: group[name] for name in names})

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None):
        """Take one step; with ``closure``, evaluate the loss and its gradients first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                if p.grad.is_sparse:
                    raise RuntimeError(
                        f"the gradient of a parameter of shape {tuple(p.shape)} is sparse; "
                        "use dense gradients (sparse=False in the embedding)"
                    )
            optimizer = self._with(group)
            for p in params:
                if not self.state[p]:
                    self.state[p].update(optimizer.init(p)._asdict())
            # A parameter that had no gradient at some step is behind the others.
            by_t = defaultdict(list)
            for p in params:
                self.state[p]["t"] += 1
                by_t[self.state[p]["t"]].append(p)
            for t, same_t in by_t.items():
                self._step_all(optimizer, same_t, t)
        return loss

    def _step_all(self, optimizer: Optimizer, params: list[torch.Tensor], t: int) -> None:
        state_type = type(optimizer.init(params[0].new_empty(0)))
        states = [state_type(**{**self.state[p], "t": None}) for p in params]
        grads = [p.grad for p in params]
        numbers, decay = optimizer.at(t), getattr(optimizer, "weight_decay", None) or None
        if not self.compile:
            step_all(optimizer, params, grads, states, numbers, decay)
            return
        # As tensors the numbers may change from step to step without a new compilation.
        numbers = {k: torch.tensor(x, dtype=torch.float64) for k, x in numbers.items()}
        decay = None if decay is None else torch.tensor(decay, dtype=torch.float64)
        compiled_step_all(self.optimizer, params, grads, states, numbers, decay)

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


def step_all(optimizer, params, grads, states, numbers, decay) -> None:
    """Apply the rule to every tensor, and write what comes out back into the tensors."""
    for p, grad, state in zip(params, grads, states, strict=True):
        step = optimizer.rule(p, optimizer.l2(p, grad, decay), state, **numbers)
        p.copy_(step.theta)
        for old, new in zip(state, step.state, strict=True):
            if old is not None:
                old.copy_(new)


compiled_step_all = torch.compile(step_all, fullgraph=True, dynamic=False)
