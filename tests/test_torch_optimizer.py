import copy
import io
import shutil

import numpy as np
import pytest
import torch
from foreign import twin
from torch import nn

from adam_tutorial import (
    ADOPT,
    SGD,
    AdaBelief,
    AdaBound,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Adan,
    AMSBound,
    AMSGrad,
    Lion,
    NAdam,
    RAdam,
    RMSprop,
    TorchOptimizer,
    Yogi,
    torch_optimizer,
)

ALL = [
    SGD(lr=0.1),
    SGD(lr=0.1, momentum=0.9),
    SGD(lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    Adagrad(lr=0.1, lr_decay=0.1),
    RMSprop(lr=0.01),
    RMSprop(lr=0.01, momentum=0.9, weight_decay=0.01),
    Adam(lr=0.1),
    Adam(lr=0.1, weight_decay=0.01),
    # With a short memory, so that v falls within ten steps.
    AMSGrad(lr=0.1, betas=(0.5, 0.5), weight_decay=0.01),
    AdamW(lr=0.1, weight_decay=0.1),
    Adamax(lr=0.1, betas=(0.5, 0.5), weight_decay=0.01),
    NAdam(lr=0.1, weight_decay=0.01),
    RAdam(lr=0.1, weight_decay=0.01),
    AdaBound(lr=0.1, weight_decay=0.01, gamma=0.1),
    AMSBound(lr=0.1, betas=(0.5, 0.5), weight_decay=0.01, gamma=0.1),
    AdaBelief(lr=0.1, weight_decay=0.1),
    Yogi(lr=0.1, weight_decay=0.01),
    Lion(lr=0.1, weight_decay=0.1),
    Adan(lr=0.1, weight_decay=0.1),
    ADOPT(lr=0.1, weight_decay=0.01),
]
# These are compiled: of the later ones those that come with operations of their own.
COMPILED = [ALL[1], ALL[3], ALL[5], ALL[7], ALL[8], ALL[17], ALL[19]]
needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None, reason="no C++ compiler"
)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1)).double()


X = torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(6, 4)
Y = X.sum(dim=1, keepdim=True).sin()


def train(net, optimizer, steps=5, scheduler=None):
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(X), Y).backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return net


def assert_same(net, other, tolerance=1e-12):
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_trains_like_the_other(optimizer):
    net, other = network(), network()
    train(net, TorchOptimizer(net.parameters(), optimizer), steps=10)
    train(other, twin(optimizer, other.parameters()), steps=10)
    assert_same(net, other)


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_a_step_is_that_of_the_pure_function_bit_by_bit(optimizer):
    p = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64, requires_grad=True)
    ours = TorchOptimizer([p], optimizer)
    theta, state = p.detach().clone(), optimizer.init(p)
    for _ in range(10):
        p.grad = p.detach().sin() + 0.1
        theta, state = optimizer.step(theta, p.grad.clone(), state)[:2]
        ours.step()
        assert torch.equal(p, theta)
    for name, value in ours.state[p].items():
        if value is not None:
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(getattr(state, name)))


@needs_compiler
@pytest.mark.parametrize("optimizer", COMPILED, ids=repr)
def test_compiled_trains_like_the_other(optimizer):
    net, other = network(), network()
    train(net, TorchOptimizer(net.parameters(), optimizer, compile=True), steps=10)
    train(other, twin(optimizer, other.parameters()), steps=10)
    assert_same(net, other)


@needs_compiler
def test_compiled_takes_new_hyperparameters_without_compiling_again():
    torch._dynamo.utils.counters.clear()
    net, other = network(), network()
    for n, make in ((net, lambda p: TorchOptimizer(p, Adam(lr=0.1), compile=True)),
                    (other, lambda p: torch.optim.Adam(p, lr=0.1))):  # fmt: skip
        optimizer = make(n.parameters())
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=30)
        train(n, optimizer, steps=30, scheduler=scheduler)
    assert_same(net, other)
    # OneCycleLR changes lr and betas at every step.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 1


@needs_compiler
def test_compiled_float32_keeps_its_type_and_agrees():
    nets = [network().float() for _ in range(2)]
    for net, compile in zip(nets, (True, False), strict=True):
        optimizer = TorchOptimizer(net.parameters(), Adam(lr=0.01), compile=compile)
        for p in net.parameters():
            p.grad = torch.ones_like(p)
        for _ in range(5):
            optimizer.step()
        assert all(p.dtype == torch.float32 for p in net.parameters())
        assert all(s["v"].dtype == torch.float32 for s in optimizer.state.values())
    assert_same(*nets, tolerance=1e-6)


def test_compile_without_a_compiler_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(RuntimeError, match=r"compile=True needs a C\+\+ compiler.*install one"):
        TorchOptimizer(network().parameters(), Adam(), compile=True)


def test_groups_have_hyperparameters_of_their_own():
    net, other = network(), network()
    groups = lambda n: [  # noqa: E731
        {"params": n[0].parameters(), "lr": 0.01, "betas": (0.5, 0.9)},
        {"params": n[2].parameters(), "weight_decay": 0.1},
    ]
    train(net, TorchOptimizer(groups(net), Adam(lr=0.1)))
    train(other, torch.optim.Adam(groups(other), lr=0.1))
    assert_same(net, other)


@pytest.mark.parametrize(
    "schedule",
    [
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=10),
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.2, total_steps=20),
    ],
    ids=["cosine", "lambda", "one cycle"],
)
def test_schedulers(schedule):
    net, other = network(), network()
    for n, make in ((net, lambda p: TorchOptimizer(p, Adam(lr=0.1))),
                    (other, lambda p: torch.optim.Adam(p, lr=0.1))):  # fmt: skip
        optimizer = make(n.parameters())
        train(n, optimizer, steps=15, scheduler=schedule(optimizer))
    assert_same(net, other)


def test_closure():
    net, other = network(), network()
    for n, optimizer in (
        (net, TorchOptimizer(net.parameters(), Adam(lr=0.1))),
        (other, torch.optim.Adam(other.parameters(), lr=0.1)),
    ):

        def closure(n=n, optimizer=optimizer):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(n(X), Y)
            loss.backward()
            return loss

        losses = [optimizer.step(closure).item() for _ in range(5)]
        assert losses[-1] < losses[0]
    assert_same(net, other)


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_resuming_from_a_file_changes_nothing(optimizer, tmp_path):
    straight = network()
    train(straight, TorchOptimizer(straight.parameters(), optimizer), steps=10)

    net = network()
    first = TorchOptimizer(net.parameters(), optimizer)
    train(net, first)
    file = tmp_path / "checkpoint.pt"
    torch.save({"net": net.state_dict(), "optimizer": first.state_dict()}, file)

    resumed = network(seed=1)
    second = TorchOptimizer(resumed.parameters(), optimizer)
    checkpoint = torch.load(file, weights_only=True)
    resumed.load_state_dict(checkpoint["net"])
    second.load_state_dict(checkpoint["optimizer"])
    train(resumed, second)
    assert_same(straight, resumed, tolerance=0)


def test_resuming_without_the_state_is_another_run():
    straight, net = network(), network()
    train(straight, TorchOptimizer(straight.parameters(), Adam(lr=0.1)), steps=10)
    for _ in range(2):
        train(net, TorchOptimizer(net.parameters(), Adam(lr=0.1)), steps=5)
    with pytest.raises(AssertionError):
        assert_same(straight, net, tolerance=1e-3)


def test_state_dict_survives_a_round_trip():
    net = network()
    optimizer = TorchOptimizer(net.parameters(), Adam(lr=0.1))
    train(net, optimizer)
    saved = copy.deepcopy(optimizer.state_dict())
    other = TorchOptimizer(network().parameters(), Adam())
    other.load_state_dict(saved)
    states = other.state_dict()["state"], saved["state"]
    for mine, theirs in zip(*(state.values() for state in states), strict=True):
        assert mine["t"] == theirs["t"] == 5
        torch.testing.assert_close(mine["m"], theirs["m"], rtol=0, atol=0)
    assert other.param_groups[0]["lr"] == 0.1


def test_add_param_group():
    net, other = network(), network()
    for n, make in ((net, lambda p: TorchOptimizer(p, Adam(lr=0.1))),
                    (other, lambda p: torch.optim.Adam(p, lr=0.1))):  # fmt: skip
        optimizer = make(n[0].parameters())
        train(n, optimizer, steps=3)
        optimizer.add_param_group({"params": n[2].parameters(), "lr": 0.01})
        train(n, optimizer, steps=3)
    assert_same(net, other)


def test_a_bad_group_is_refused_and_nothing_is_added():
    net = network()
    optimizer = TorchOptimizer(net[0].parameters(), Adam())
    with pytest.raises(ValueError, match="lr must be finite and >= 0, got -1"):
        optimizer.add_param_group({"params": net[2].parameters(), "lr": -1})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("compile", [False, pytest.param(True, marks=needs_compiler)])
def test_parameters_without_gradients_are_left_alone(compile):
    p, q = (torch.ones(2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    optimizer = TorchOptimizer([p, q], Adam(lr=0.1), compile=compile)
    p.grad = torch.ones_like(p)
    optimizer.step()
    assert q not in optimizer.state or not optimizer.state[q]
    assert torch.equal(q, torch.ones_like(q))
    # A parameter that joins later starts at its own t = 1: its first step is as long as lr.
    q.grad = torch.full_like(q, 1e-3)
    optimizer.step()
    np.testing.assert_allclose(q.detach().numpy(), 0.9, rtol=1e-4)
    assert (optimizer.state[p]["t"], optimizer.state[q]["t"]) == (2, 1)


@needs_compiler
def test_compiled_takes_any_number_of_shapes():
    # More than Dynamo compiles of one function before it gives up.
    for size in range(2, 14):
        p = torch.ones(size, requires_grad=True)
        p.grad = torch.ones(size)
        TorchOptimizer([p], SGD(lr=0.5), compile=True).step()
        assert torch.equal(p, torch.full((size,), 0.5))


@needs_compiler
def test_equal_parts_of_many_tensors_are_compiled_once(monkeypatch):
    monkeypatch.setattr(torch_optimizer, "PART", 2)
    torch_optimizer.compiled_step_all.cache_clear()
    # In such an order that only sorting makes equal parts.
    a, b = (3,), (2, 2)
    shapes = [a, b, a, a, b, b, b, a]
    params, others = ([torch.ones(s).requires_grad_() for s in shapes] for _ in range(2))
    ours = TorchOptimizer(params, Adam(lr=0.1), compile=True)
    theirs = torch.optim.Adam(others, lr=0.1)
    for t in range(3):
        for i, (p, q) in enumerate(zip(params, others, strict=True)):
            p.grad = q.grad = torch.full_like(p, (t + 1.0) * (i - 2.5))
        ours.step()
        theirs.step()
    assert torch_optimizer.compiled_step_all.cache_info().currsize == 2
    for p, q in zip(params, others, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("compile", [False, pytest.param(True, marks=needs_compiler)])
def test_a_group_may_have_another_kind_of_momentum(compile):
    net, other = network(), network()
    for n, make in ((net, lambda p: TorchOptimizer(p, SGD(lr=0.1, momentum=0.9), compile)),
                    (other, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9))):  # fmt: skip
        groups = [
            {"params": n[0].parameters(), "nesterov": True},
            {"params": n[2].parameters(), "momentum": 0.0},
        ]
        train(n, make(groups))
    assert_same(net, other)


def test_momentum_that_is_switched_on_later():
    net, other = network(), network()
    for n, make in ((net, lambda p: TorchOptimizer(p, SGD(lr=0.1))),
                    (other, lambda p: torch.optim.SGD(p, lr=0.1))):  # fmt: skip
        optimizer = make(n.parameters())
        train(n, optimizer, steps=2)
        optimizer.param_groups[0]["momentum"] = 0.9
        train(n, optimizer, steps=3)
    assert_same(net, other)


def test_a_buffer_that_is_not_kept_is_not_filled_at_every_step(monkeypatch):
    init, devices = SGD.init, []
    monkeypatch.setattr(
        SGD, "init", lambda self, p: (devices.append(p.device.type), init(self, p))[1]
    )
    net = network()
    optimizer = TorchOptimizer(net.parameters(), SGD(lr=0.1))
    train(net, optimizer, steps=1)
    devices.clear()
    torch_optimizer._state_names.cache_clear()
    train(net, optimizer, steps=1)
    assert set(devices) == {"meta"}
    # Once it is known what is kept, it is not asked again, whatever the learning rate.
    devices.clear()
    optimizer.param_groups[0]["lr"] = 0.05
    train(net, optimizer, steps=2)
    assert not devices


def test_the_state_of_another_algorithm_is_refused():
    p = torch.ones(1, requires_grad=True)
    p.grad = torch.ones(1)
    sgd, adam = TorchOptimizer([p], SGD(momentum=0.9)), TorchOptimizer([p], Adam())
    sgd.step()
    with pytest.raises(ValueError, match="state_dict must hold the state of Adam, .*got .'b', 't'"):
        adam.load_state_dict(sgd.state_dict())
    adam.step()


def test_named_parameters():
    net = network()
    optimizer = TorchOptimizer(net.named_parameters(), Adam(lr=0.1))
    train(net, optimizer)
    assert optimizer.state_dict()["param_groups"][0]["param_names"][0] == "0.weight"


def test_repr_tells_the_hyperparameters_of_each_group():
    net = network()
    groups = [{"params": net[0].parameters()}, {"params": net[2].parameters(), "lr": 0.5}]
    text = repr(TorchOptimizer(groups, SGD(lr=0.1)))
    sgd = "SGD(lr={}, momentum=0.0, weight_decay=0.0, nesterov=False)"
    assert text.splitlines() == [
        f"TorchOptimizer({sgd.format(0.1)}, compile=False)",
        f"  group 0: {sgd.format(0.1)} on 2 tensors, 25 parameters",
        f"  group 1: {sgd.format(0.5)} on 2 tensors, 6 parameters",
    ]


def test_pickling_keeps_the_algorithm():
    optimizer = TorchOptimizer([torch.ones(1, requires_grad=True)], Adam(lr=0.5))
    buffer = io.BytesIO()
    torch.save(optimizer, buffer)
    buffer.seek(0)
    assert torch.load(buffer, weights_only=False).optimizer == Adam(lr=0.5)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([], r"params must hold at least one tensor, got \[\]"),
        (
            [torch.ones(2, dtype=torch.int64)],
            r"params\[0\] must be floating point, got torch.int64",
        ),
        (
            [{"params": [torch.ones(2)], "betas": (0.9, 2.0)}],
            r"betas\[1\] must be in \[0, 1\), got 2.0",
        ),
        (2 * [torch.ones(2)], r"params\[1\] must be new, got the same tensor twice"),
        (
            [torch.ones(2, dtype=torch.complex64, requires_grad=True)],
            r"params\[0\] must be floating point, got torch.complex64",
        ),
    ],
    ids=str,
)
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        TorchOptimizer(params, Adam())


def test_a_bad_optimizer():
    with pytest.raises(ValueError, match="optimizer must be an Optimizer such as Adam.., got"):
        TorchOptimizer([torch.ones(1)], torch.optim.Adam)


def test_a_sparse_gradient_is_refused_before_anything_is_changed():
    table = nn.Embedding(3, 2, sparse=True)
    other = torch.ones(1, requires_grad=True)
    other.grad = torch.ones(1)
    table(torch.tensor([1])).sum().backward()
    optimizer = TorchOptimizer([{"params": [other]}, {"params": table.parameters()}], Adam())
    with pytest.raises(RuntimeError, match=r"shape \(3, 2\) is sparse"):
        optimizer.step()
    assert torch.equal(other, torch.ones(1))
