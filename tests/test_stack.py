"""A stack of networks does what each of them would do alone."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from adam_tutorial import (
    LAMB,
    SGD,
    Adafactor,
    Adam,
    AdamW,
    NAdam,
    RAdam,
    ScheduleFreeAdamW,
    datasets,
    models,
    training,
)
from adam_tutorial.stack import Stack, compare, compare_stacked

DIGITS = datasets.load()
X, Y = torch.from_numpy(DIGITS.x_train[:64]), torch.from_numpy(DIGITS.y_train[:64])


def loss(scores):
    return torch.nn.functional.cross_entropy(scores, Y)


def losses(stack):
    each = torch.nn.functional.cross_entropy(
        stack(X, shared=True).flatten(0, 1), Y.repeat(3), reduction="none"
    )
    return each.view(3, -1).mean(dim=1)


class Uncorrected(Adam):
    def at(self, t):
        return super().at(t) | {"correction1": 1.0, "correction2": 1.0}


@pytest.mark.parametrize(
    "optimizers",
    [
        [Adam(lr=0.01), Uncorrected(lr=0.01), Adam(lr=0.02)],
        [Adam(lr=0.01), Adam(lr=0.03, betas=(0.0, 0.9)), Adam(lr=0.01, weight_decay=0.1)],
        [AdamW(lr=0.01, weight_decay=w) for w in (0.0, 0.1, 1.0)],
        [SGD(lr=lr, momentum=0.9, nesterov=True) for lr in (0.01, 0.03, 0.1)],
        [SGD(lr=lr, weight_decay=0.1) for lr in (0.01, 0.03, 0.1)],
        [RAdam(lr=0.01, betas=(0.9, b)) for b in (0.9, 0.99, 0.999)],
        [NAdam(lr=lr) for lr in (0.01, 0.02, 0.03)],
    ],
    ids=lambda optimizers: type(optimizers[0]).__name__,
)
def test_a_stack_steps_each_network_as_if_it_were_alone(optimizers):
    stack = Stack([training.build(models.dense, k) for k in range(3)], optimizers)
    for _ in range(8):
        stack.step(losses(stack))
    for k, optimizer in enumerate(optimizers):
        net = training.build(models.dense, k)
        for _ in training.steps(net, optimizer, lambda step, net=net: loss(net(X)), 8):
            pass
        for mine, alone in zip(stack.net(k).parameters(), net.parameters(), strict=True):
            torch.testing.assert_close(mine, alone, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(stack(X, shared=True)[k], net(X), rtol=1e-9, atol=1e-12)


def test_inputs_of_their_own():
    stack = Stack([training.build(models.linear, k) for k in range(3)], 3 * [Adam()])
    xs = torch.stack([X, 2 * X, 0 * X])
    for k in range(3):
        expected = training.build(models.linear, k)(xs[k])
        torch.testing.assert_close(stack(xs)[k], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("optimizers", "message"),
    [
        ([], "optimizers must be as many as nets, 2, at least 1, got 0"),
        ([Adam()], "optimizers must be as many as nets, 2, at least 1, got 1"),
        ([LAMB(), LAMB()], "optimizers must work element by element, got LAMB"),
        ([Adafactor(), Adafactor()], "optimizers must work element by element, got Adafactor"),
        ([Adam(), AdamW()], "optimizers must differ in numbers only, got Adam.* and AdamW"),
        ([SGD(), SGD(momentum=0.9)], "optimizers must differ in numbers only, got SGD"),
        (
            [SGD(momentum=0.9), SGD(momentum=0.9, nesterov=True)],
            "optimizers must differ in numbers only, got SGD",
        ),
    ],
)
def test_what_cannot_be_stacked(optimizers, message):
    with pytest.raises(ValueError, match=message):
        Stack([training.build(models.linear) for _ in range(2)], optimizers)


def train(optimizers, seeds, scales):
    nets = [training.build(models.linear, *of) for of in zip(seeds, scales, strict=True)]
    stack = Stack(nets, optimizers)

    def all_losses():
        scores = stack(X, shared=True)
        each = torch.nn.functional.cross_entropy(
            scores.flatten(0, 1), Y.repeat(len(nets)), reduction="none"
        )
        return each.view(len(nets), -1).mean(dim=1)

    for _ in range(5):
        stack.step(all_losses())
    return {"val_loss": all_losses().detach().numpy(), "test_loss": np.array(seeds)}


def run(optimizer, seed, scale):
    net = training.build(models.linear, seed, scale)
    for _ in training.steps(net, optimizer, lambda step: loss(net(X)), 5):
        pass
    return pd.DataFrame({"val_loss": [loss(net(X)).item()], "test_loss": [seed]})


def test_compare_stacked_is_compare_runs():
    settings = {"lrs": [0.001, 0.01, 0.1], "seeds": [0, 3]}
    names = {"early": Adam(betas=(0.5, 0.9)), "Adam": Adam()}
    stacked = compare_stacked(train, names, **settings)
    alone = training.compare_runs(run, names, report="test_loss", jobs=1, **settings)
    assert stacked.names == alone.names
    mine, other = stacked.by_lr(), alone.by_lr()
    assert mine.index.equals(other.index)
    assert mine["reproducible"].all()
    for column in ("val_loss", "test_loss", "spread"):
        np.testing.assert_allclose(mine[column], other[column], rtol=1e-9)
    assert stacked.best()["lr"].tolist() == alone.best()["lr"].tolist()


def test_compare_stacked_finds_chaos_and_overflow():
    def wild(optimizers, seeds, scales):
        ends = [o.lr + (s - 1) * 1e9 * (o.lr > 1) for o, s in zip(optimizers, scales, strict=True)]
        return {"val_loss": np.where(np.array(ends) < 0.1, np.nan, ends), "test_loss": seeds}

    found = compare_stacked(wild, {"Adam": Adam()}, lrs=[0.01, 0.5, 2.0], seeds=[0])
    assert found.by_lr().loc["Adam", "reproducible"].tolist() == [True, True, False]
    assert found.runs["val_loss"].tolist()[0] == np.inf
    assert found.best().loc["Adam", "lr"] == 0.5


def test_one_run_that_overflows_spoils_the_mean_of_what_is_reported():
    def half(optimizers, seeds, scales):
        over = [s == 1 and o.lr > 0.1 for o, s in zip(optimizers, seeds, strict=True)]
        return {"val_loss": np.where(over, np.nan, 1.0), "test_loss": np.where(over, np.nan, 2.0)}

    table = compare_stacked(half, {"Adam": Adam()}, lrs=[0.1, 0.5], seeds=[0, 1, 2]).by_lr()
    assert table["test_loss"].iloc[0] == 2.0
    assert table["val_loss"].iloc[1] == np.inf
    assert table.iloc[1][["test_loss", "spread"]].isna().all()


@pytest.mark.parametrize("name", ["optimizers", "lrs", "seeds"])
def test_compare_stacked_wants_something_to_compare(name):
    settings = {"optimizers": {"Adam": Adam()}, "lrs": [0.1], "seeds": [0], name: []}
    if name == "optimizers":
        settings[name] = {}
    with pytest.raises(ValueError, match=f"^{name} must hold different values, at least one, got"):
        compare_stacked(train, **settings)


@pytest.mark.parametrize("model", [models.small_cnn, models.dense])
def test_a_comparison_is_that_of_single_runs(model):
    race = {
        "optimizers": {"SGD": SGD(), "Momentum": SGD(momentum=0.9), "Adam": Adam()},
        "model": model,
        "data": DIGITS,
        # The last overflows.
        "lrs": [0.01, 0.1, 1e200],
        "seeds": [0, 3],
        "epochs": 2,
        "batch_size": 100,
        "jobs": 1,
    }
    mine, alone = compare(**race), training.compare(**race)
    assert (mine.names, mine.choose, mine.report) == (alone.names, alone.choose, alone.report)
    calm = [lr for lr in race["lrs"] if lr < 1]
    for name in ("runs", "curves"):
        pd.testing.assert_index_equal(getattr(mine, name).index, getattr(alone, name).index)
        pd.testing.assert_frame_equal(
            *(getattr(found, name).loc[(slice(None), calm), :] for found in (mine, alone)),
            rtol=1e-9,
        )
    assert np.isinf(mine.runs["val_loss"].xs(1e200, level="lr").loc["Momentum"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lrs": []}, "lrs must hold different values, at least one, got []"),
        ({"epochs": 0}, "epochs must be an integer >= 1, got 0"),
        ({"batch_size": 2000}, "batch_size must be an integer >= 1 and <= 1077, got 2000"),
        (
            {"optimizers": {"A": ScheduleFreeAdamW()}},
            "optimizers must not end with an average, got ScheduleFreeAdamW",
        ),
        ({"optimizers": {"A": LAMB()}}, "optimizers must work element by element, got LAMB"),
    ],
)
def test_a_comparison_that_cannot_be(change, message):
    race = {"optimizers": {"A": Adam()}, "lrs": [0.1], "seeds": [0], "epochs": 1, "jobs": 1}
    with pytest.raises(ValueError, match=re.escape(message)):
        compare(**race | {"model": models.linear, "data": DIGITS} | change)
