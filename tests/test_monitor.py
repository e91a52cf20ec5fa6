import copy
import gc
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from adam_tutorial import SGD, Adam, AdamW, Adan, TorchOptimizer
from adam_tutorial.monitor import LABELS, Monitor

OPTIMIZERS = {
    "Adam foreach": lambda p: torch.optim.Adam(p, lr=0.01, foreach=True),
    "Adam fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01),
    "SGD": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "TorchOptimizer": lambda p: TorchOptimizer(p, Adam(lr=0.01)),
}


def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()


def train(net, optimizer, steps=6, scaler=None, first=0, closure=False):
    """Train a little; the losses of steps that are divisible by three are infinite if scaled."""
    for step in range(first, first + steps):
        x = torch.linspace(-1, 1, 20).double().reshape(5, 4) * (step + 1)

        def loss(x=x):
            optimizer.zero_grad()
            value = net(x).square().mean()
            (value if scaler is None else scaler.scale(value)).backward()
            return value

        if closure:
            optimizer.step(loss)
            continue
        loss()
        if scaler is None:
            optimizer.step()
        else:
            if step % 3 == 0:
                net[0].weight.grad[0, 0] = torch.inf
            scaler.step(optimizer)
            scaler.update()


def same(net, other):
    pairs = zip(net.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("closure", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_changes_no_bit(name, closure):
    net, watched = make(), make()
    optimizer, other = OPTIMIZERS[name](net.parameters()), OPTIMIZERS[name](watched.parameters())
    monitor = Monitor(watched, other)
    train(net, optimizer, closure=closure)
    train(watched, other, closure=closure)
    assert same(net, watched)
    assert not same(net, make())
    table = monitor.table()
    assert table["step"].max() == 6
    # Gradients that the closure computed, not those before it.
    assert (table["grad_norm"] > 0).all()
    assert str(other.state_dict()) == str(optimizer.state_dict())


@pytest.mark.parametrize("name", ["Adam foreach", "Adam fused", "SGD"])
def test_steps_that_a_scaler_skips(name):
    nets = make(), make()
    optimizers = [OPTIMIZERS[name](net.parameters()) for net in nets]
    monitor = Monitor(nets[1], optimizers[1])
    for net, optimizer in zip(nets, optimizers, strict=True):
        train(net, optimizer, scaler=torch.amp.GradScaler("cpu", init_scale=8.0))
    assert same(*nets)
    table = monitor.table()
    assert table["step"].max() == 4
    assert (table["update_ratio"] > 0).all()
    assert (table["nonfinite_share"] == 0).all()


def one_step(optimizer, grads):
    """A matrix of ones that gets the gradients one after the other, and its table."""
    net = nn.Linear(2, 3, bias=False).double()
    nn.init.ones_(net.weight)
    stepper = optimizer(net.parameters())
    monitor = Monitor(net, stepper)
    for g in grads:
        net.weight.grad = g
        stepper.step()
    return monitor.table()


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.5, 0.75)),
        lambda p: TorchOptimizer(p, Adam(lr=0.1, betas=(0.5, 0.75))),
        lambda p: TorchOptimizer(p, AdamW(lr=0.1, betas=(0.5, 0.75), weight_decay=0)),
    ],
)
def test_numbers_by_hand(optimizer):
    first = torch.tensor([[3.0, 0.0], [0.0, 0.0], [0.0, 0.0]]).double()
    second = torch.tensor([[-1.0, 0.0], [0.0, 2.0], [0.0, torch.nan]]).double()
    row, later = one_step(optimizer, [first, second]).to_dict("records")
    expected = {
        "step": 1, "parameter": "weight", "lr": 0.1, "grad_norm": 3, "grad_rms": 3 / 6**0.5,
        "weight_rms": 1, "update_ratio": 0.1 / 6**0.5, "m_over_sqrt_v": 1,
        "zero_share": 5 / 6, "nonfinite_share": 0, "dead_rows": 2 / 3,
    }  # fmt: skip
    assert row == pytest.approx(expected, abs=1e-8)
    assert later["nonfinite_share"] == 1 / 6
    assert later["dead_rows"] == 1 / 3  # what is not a number is no gradient
    assert later["zero_share"] == 3 / 6


def test_late_gradient_is_longer_than_one():
    """The quotient is that of the closed form, (1 - β1)/(1 - β1^t) √((1 - β2^t)/(1 - β2))."""
    zeros, ones = torch.zeros(3, 2).double(), torch.ones(3, 2).double()
    table = one_step(lambda p: torch.optim.Adam(p), [zeros] * 9 + [ones])
    expected = 0.1 / (1 - 0.9**10) * ((1 - 0.999**10) / 0.001) ** 0.5
    assert np.isnan(table["m_over_sqrt_v"][:9]).all()
    assert table["m_over_sqrt_v"][9] == pytest.approx(expected)
    assert table["dead_rows"].tolist() == [1] * 9 + [0]


@pytest.mark.parametrize("rule", [SGD(lr=0.1), Adan(lr=0.1)])
def test_no_quotient_without_both_averages(rule):
    table = one_step(lambda p: TorchOptimizer(p, rule), [torch.ones(3, 2).double()])
    assert np.isnan(table["m_over_sqrt_v"][0])


def test_every():
    net = make()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    monitor = Monitor(net, optimizer, every=3)
    train(net, optimizer, steps=7)
    assert monitor.table()["step"].unique().tolist() == [1, 4, 7]


def test_without_gradients_and_frozen():
    net = make()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    monitor = Monitor(net, optimizer)
    net[2].requires_grad_(False)
    train(net, optimizer, steps=2)
    table = monitor.table().set_index(["step", "parameter"])
    assert np.isnan(table.loc[(2, "2.weight"), "grad_norm"])
    assert table.loc[(2, "2.weight"), "update_ratio"] == 0
    assert table.loc[(2, "0.weight"), "update_ratio"] > 0


def test_sparse_gradients():
    rows = {}
    for sparse in (False, True):
        torch.manual_seed(0)
        net = nn.Embedding(5, 2, sparse=sparse)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        monitor = Monitor(net, optimizer)
        net(torch.tensor([1, 1, 3])).sum().backward()
        optimizer.step()
        assert net.weight.grad.is_sparse == sparse
        rows[sparse] = monitor.table().to_dict("records")[0]
    assert rows[True] == pytest.approx(rows[False], nan_ok=True)
    assert rows[True]["dead_rows"] == 3 / 5


def test_groups_and_several_optimizers():
    net = make()
    first = torch.optim.Adam([{"params": net[0].weight, "lr": 0.1}, {"params": net[0].bias}])
    second = torch.optim.SGD(net[2].parameters(), lr=0.5)
    monitor = Monitor(net, first, second)
    train(net, first, steps=2)
    second.step()
    table = monitor.table().groupby("parameter")
    assert table["lr"].last().to_dict() == {
        "0.weight": 0.1, "0.bias": 0.001, "2.weight": 0.5, "2.bias": 0.5
    }  # fmt: skip
    assert table["step"].max().to_dict()["2.weight"] == 1


def test_survives_load_state_dict_and_is_not_in_it():
    net = make()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    monitor = Monitor(net, optimizer)
    train(net, optimizer, steps=2)
    state = copy.deepcopy(optimizer.state_dict())
    assert set(state) == {"state", "param_groups"}
    optimizer.load_state_dict(state)
    train(net, optimizer, steps=2)
    assert monitor.table()["step"].max() == 4


def test_keeps_no_copies_and_closes():
    net = make()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    with Monitor(net, optimizer) as monitor:
        copies = []
        optimizer.register_step_pre_hook(
            lambda *_: copies.extend(map(weakref.ref, monitor._before[0].values()))
        )
        train(net, optimizer, steps=1)
        gc.collect()
        assert len(copies) == 4
        assert not any(copy() is not None for copy in copies)
        monitor.close()
        copies_before = len(monitor.table())
        optimizer._optimizer_step_pre_hooks.popitem()
        train(net, optimizer, steps=1)
        assert len(monitor.table()) == copies_before == 4


def test_half_precision_is_measured_in_full():
    net = nn.Linear(2, 2, bias=False).half()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    monitor = Monitor(net, optimizer)
    net.weight.grad = torch.full((2, 2), 1e-5).half()  # its square is 0 in half precision
    optimizer.step()
    assert monitor.table()["grad_rms"][0] == pytest.approx(1e-5, rel=0.01)


def test_plot():
    net = make()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    monitor = Monitor(net, optimizer)
    train(net, optimizer)
    for columns in (["update_ratio"], list(LABELS)):
        figure = monitor.plot(columns)
        assert figure.get_figwidth() <= 6.4
        assert len(figure.axes) == len(columns)
        # The two matrices, and their median.
        assert [len(ax.lines) for ax in figure.axes] == [3] * len(columns)
    assert len(monitor.plot("lr", parameters=["0.bias"]).axes[0].lines) == 2
    median = monitor.median("update_ratio")
    table = monitor.table().query("step == 4 and parameter in ('0.weight', '2.weight')")
    assert median[4] == pytest.approx(table["update_ratio"].mean())


def test_bad_input():
    net = make()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="optimizers must be at least one"):
        Monitor(net)
    with pytest.raises(ValueError, match="optimizers must have torch's step hooks, got SGD"):
        Monitor(net, SGD())
    with pytest.raises(ValueError, match=r"must be those of net, got one of shape \(8, 4\)"):
        Monitor(make(), optimizer)
    for every in (0, 1.5, True):
        with pytest.raises(ValueError, match="every must be an integer"):
            Monitor(net, optimizer, every=every)
    monitor = Monitor(net, optimizer)
    with pytest.raises(ValueError, match="no step has been measured"):
        monitor.plot()
    train(net, optimizer, steps=1)
    with pytest.raises(ValueError, match="columns must be among lr, .*, got 'norm'"):
        monitor.plot(["norm"])
    with pytest.raises(ValueError, match="parameters must be tensors that were .*, got 'x'"):
        monitor.plot(parameters=["x"])
    optimizer.add_param_group({"params": [torch.ones(3, requires_grad=True)]})
    before = [p.clone() for p in net.parameters()]
    with pytest.raises(ValueError, match=r"got one of shape \(3,\)"):
        optimizer.step()
    assert all(map(torch.equal, before, net.parameters()))


def test_a_layer_that_is_added_later():
    net = make()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    monitor = Monitor(net, optimizer)
    net.append(nn.Linear(3, 1).double())
    optimizer.add_param_group({"params": net[3].parameters()})
    train(net, optimizer, steps=1)
    assert "3.weight" in set(monitor.table()["parameter"])
