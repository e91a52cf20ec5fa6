from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from adam_tutorial import (
    SGD,
    AdaBound,
    Adam,
    ScheduleFreeAdamW,
    TorchOptimizer,
    datasets,
    minimize,
    models,
    training,
)
from adam_tutorial.schedules import linear_decay

DATA = datasets.load()
SMALL = replace(DATA, x_train=DATA.x_train[:128], y_train=DATA.y_train[:128])


def fit(optimizer=Adam(lr=0.01), epochs=2, **settings):  # noqa: B008
    return training.fit(models.dense, optimizer, SMALL, epochs=epochs, **settings)


@pytest.fixture(scope="module")
def comparison():
    return training.compare(
        {"SGD": SGD(), "Adam": Adam()},
        models.dense,
        SMALL,
        lrs=[1e-3, 1e-2, 0.1, 30.0],
        seeds=[0, 1],
        epochs=3,
        jobs=2,
    )


def test_fit_learns_and_tells_every_epoch():
    net, curve = fit(epochs=15)
    assert list(curve.index) == list(range(16))
    assert curve["val_loss"].iloc[-1] < curve["val_loss"].iloc[0]
    assert training.accuracy(net, DATA.x_val, DATA.y_val) == curve["val_accuracy"].iloc[-1] > 0.5
    assert all(p.dtype == torch.float64 for p in net.parameters())


def test_the_seed_decides_everything():
    torch.manual_seed(7)
    _, one = fit(seed=3)
    torch.manual_seed(8)
    _, two = fit(seed=3)
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    assert not fit(seed=4)[1].equals(one)


def test_fit_leaves_the_global_state_alone():
    torch.manual_seed(0)
    before, dtype = torch.random.get_rng_state(), torch.get_default_dtype()
    fit()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_default_dtype() == dtype


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be an integer >= 1, got 0"),
        ({"batch_size": 129}, "batch_size must be an integer >= 1 and <= 128, got 129"),
        ({"batch_size": 3.5}, "batch_size must be an integer >= 1 and <= 128, got 3.5"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        fit(**settings)


def test_compare_runs_what_fit_runs(comparison):
    net, curve = fit(SGD(lr=0.1), epochs=3, seed=1)
    found = comparison.curves.loc["SGD", 0.1, 1]
    pd.testing.assert_frame_equal(found[curve.columns], curve, check_exact=True)
    expected = training.accuracy(net, DATA.x_test, DATA.y_test)
    assert comparison.runs.loc[("SGD", 0.1, 1), "test_accuracy"] == expected


def test_compare_does_not_depend_on_the_number_of_processes(comparison):
    alone = training.compare(
        {"Adam": Adam()}, models.dense, SMALL, lrs=[0.1], seeds=[1], epochs=3, jobs=1
    )
    pd.testing.assert_frame_equal(
        alone.runs, comparison.runs.loc[("Adam", 0.1, 1) : ("Adam", 0.1, 1)], check_exact=True
    )


def test_best_is_the_lowest_validation_loss(comparison):
    best, means = comparison.best(), comparison.by_lr()
    for name in ("SGD", "Adam"):
        assert best.loc[name, "val_loss"] == means.loc[name, "val_loss"].min()
        assert best.loc[name, "lr"] == means.loc[name, "val_loss"].idxmin()
    assert best.loc["Adam", "inside"]


def test_a_best_learning_rate_at_the_end_of_the_grid_is_marked():
    narrow = training.compare(
        {"Adam": Adam()}, models.dense, SMALL, lrs=[1e-4, 1e-3], seeds=[0], epochs=2, jobs=1
    )
    assert not narrow.best().loc["Adam", "inside"]


def test_best_curves_and_best_runs_are_those_of_the_best_learning_rate(comparison):
    lr = comparison.best().loc["Adam", "lr"]
    curves = comparison.best_curves()
    assert curves.index.names == ["optimizer", "seed", "epoch"]
    pd.testing.assert_frame_equal(
        curves.loc["Adam", 0], comparison.curves.loc["Adam", lr, 0], check_exact=True
    )
    assert (
        comparison.best_runs().loc[("Adam", 1), "val_loss"]
        == (comparison.runs.loc[("Adam", lr, 1), "val_loss"])
    )


def test_chaotic_runs_have_no_numbers():
    # Momentum beyond the edge of stability, for long enough.
    wild = training.compare(
        {"Momentum": SGD(momentum=0.9)},
        models.dense,
        SMALL,
        lrs=[0.03, 0.3],
        seeds=[0, 1, 2],
        epochs=20,
        batch_size=16,
        jobs=2,
    )
    table = wild.by_lr().loc["Momentum"]
    assert table.loc[0.03, "reproducible"]
    assert not table.loc[0.3, "reproducible"]
    assert np.isnan(table.loc[0.3, "val_loss"])
    assert wild.best().loc["Momentum", "lr"] == 0.03


def test_a_run_that_overflows_spoils_its_learning_rate():
    wild = training.compare(
        {"SGD": SGD()}, models.dense, SMALL, lrs=[0.1, 1e60], seeds=[0, 1, 2, 3], epochs=2, jobs=1
    )
    assert wild.by_lr().loc[("SGD", 1e60), "val_loss"] in (
        np.inf,
        pytest.approx(np.nan, nan_ok=True),
    )
    assert wild.best().loc["SGD", "lr"] == 0.1
    hopeless = replace(
        wild, runs=wild.runs.loc[["SGD"]].query("lr > 1"), curves=wild.curves.query("lr > 1")
    )
    with pytest.raises(ValueError, match="no learning rate of 'SGD' gave a finite, reproducible"):
        hopeless.best()


def halve(optimizer, seed, scale, chaos=1.0):
    """Minimise θ²/2 from a start that the seed decides; with chaos, forget how it began."""
    path = minimize(optimizer, lambda theta: theta, theta=scale * (1.0 + seed), steps=4)
    height = path.theta**2 / 2
    return pd.DataFrame({"height": height * (scale if chaos == 1.0 else chaos), "seed": seed})


def test_compare_runs_takes_any_training():
    result = training.compare_runs(
        halve,
        {"SGD": SGD(), "Adam": Adam()},
        lrs=[0.01, 0.5, 1.9],
        seeds=[0, 2],
        choose="height",
        report="seed",
        jobs=1,
    )
    # Each of the four steps of gradient descent multiplies θ by 1 - lr.
    expected = (1 + 9) / 2 * 0.5**8 / 2
    assert result.best().loc["SGD", "height"] == pytest.approx(expected, rel=1e-12)
    assert result.best().loc["SGD", ["lr", "seed", "spread"]].tolist() == [0.5, 1, 2**0.5]
    assert list(result.best().columns) == ["lr", "inside", "height", "seed", "spread"]
    assert len(result.best_curves().loc["SGD", 2]) == 5


def test_compare_runs_finds_chaos_in_the_column_that_decides():
    def chaotic(optimizer, seed, scale):
        return halve(optimizer, seed, scale, chaos=1 + 1e10 * (scale - 1))

    settings = {"lrs": [0.5], "seeds": [0], "choose": "height", "report": "height", "jobs": 1}
    assert training.compare_runs(halve, {"SGD": SGD()}, **settings).by_lr()["reproducible"].all()
    wild = training.compare_runs(chaotic, {"SGD": SGD()}, **settings).by_lr()
    assert not wild["reproducible"].any()
    assert wild["height"].isna().all()


@pytest.mark.parametrize("name", ["choose", "report"])
def test_compare_runs_wants_its_columns(name):
    columns = {"choose": "height", "report": "height", name: "hight"}
    with pytest.raises(ValueError, match=f"{name} must be a column of the runs, got 'hight'"):
        training.compare_runs(halve, {"SGD": SGD()}, lrs=[0.1], seeds=[0], jobs=1, **columns)


def test_build_is_what_fit_begins_with():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    net, twin = training.build(models.dense, seed=3), training.build(models.dense, 3, scale=2.0)
    assert torch.equal(torch.random.get_rng_state(), before)
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        assert p.dtype == torch.float64
        assert torch.equal(2 * p, q)
    scores = training.predict(net, DATA.x_val)
    expected = torch.nn.functional.cross_entropy(scores, torch.from_numpy(DATA.y_val)).item()
    assert fit(seed=3)[1]["val_loss"][0] == expected


def test_steps_are_those_of_the_optimizer():
    net, other = training.build(models.dense), training.build(models.dense)
    x, y = torch.from_numpy(SMALL.x_train), torch.from_numpy(SMALL.y_train)

    def loss(net):
        return torch.nn.functional.cross_entropy(net(x), y)

    rates, found = [1.0, 0.75, 0.5, 0.25], []
    for step, value in training.steps(
        net, SGD(lr=0.1), lambda step: loss(net), 4, schedule=linear_decay
    ):
        found.append((step, value))
    for step, rate in enumerate(rates, start=1):
        value = loss(other)
        grads = torch.autograd.grad(value, list(other.parameters()))
        assert found[step - 1] == (step, value.item())
        with torch.no_grad():
            for p, grad in zip(other.parameters(), grads, strict=True):
                p.sub_(0.1 * rate * grad)
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("count", [0, 2.5, True])
def test_steps_wants_a_number_of_steps(count):
    net = training.build(models.dense)
    with pytest.raises(ValueError, match=f"count must be an integer >= 1, got {count}"):
        training.steps(net, Adam(), lambda step: None, count)


def dropout():
    net = models.dense()
    return net.insert(2, torch.nn.Dropout(0.5))


def test_the_seed_decides_dropout_too_and_predictions_do_without():
    torch.manual_seed(7)
    net, one = training.fit(dropout, Adam(lr=0.01), SMALL, epochs=2, seed=3)
    torch.manual_seed(8)
    _, two = training.fit(dropout, Adam(lr=0.01), SMALL, epochs=2, seed=3)
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    scores = training.predict(net, SMALL.x_val)
    assert torch.equal(scores, training.predict(net, SMALL.x_val))
    assert net.training


@pytest.mark.parametrize("name", ["optimizers", "lrs", "seeds"])
@pytest.mark.parametrize("values", ["none", "twice"])
def test_compare_needs_different_values(name, values):
    good = {"optimizers": {"Adam": Adam()}, "lrs": [0.1], "seeds": [0]}
    bad = type(good[name])() if values == "none" else 2 * list(good[name])
    optimizers = {**good, name: bad}.pop("optimizers")
    with pytest.raises(ValueError, match=f"{name} must hold different values, at least one, got"):
        training.compare(
            optimizers,
            models.dense,
            SMALL,
            epochs=1,
            **{k: v for k, v in {**good, name: bad}.items() if k != "optimizers"},
        )


def test_the_networks_fit_their_images():
    x = torch.zeros(2, 1, 8, 8)
    assert models.dense()(x).shape == models.small_cnn()(x).shape == (2, 10)
    assert partial(models.small_cnn, size=28)()(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    with pytest.raises(ValueError, match="size must be a multiple of 4, got 6"):
        models.small_cnn(size=6)


def test_a_schedule_sees_the_part_that_is_done_and_scales_the_rates():
    seen = []
    _, halved = fit(AdaBound(lr=0.02), schedule=lambda done: seen.append(done) or 0.5)
    # Two epochs of two batches; each of the two rates asks.
    assert sorted(set(seen)) == [0, 0.25, 0.5, 0.75]
    _, half = fit(AdaBound(lr=0.01, final_lr=0.05))
    pd.testing.assert_frame_equal(halved, half, check_exact=True)
    assert [linear_decay(done) for done in (0, 0.25, 1)] == [1, 0.75, 0]


def test_an_average_is_what_is_evaluated_and_returned():
    made = []

    def optimizers(net):
        made.append(TorchOptimizer(net.parameters(), ScheduleFreeAdamW(lr=0.01)))
        return made

    net, curve = fit(optimizers)
    assert training.accuracy(net, DATA.x_val, DATA.y_val) == curve["val_accuracy"].iloc[-1]
    # A run that is not evaluated on the way ends at the same average.
    _, end = fit(ScheduleFreeAdamW(lr=0.01))
    pd.testing.assert_frame_equal(curve, end, check_exact=True)
    (optimizer,) = made
    averages = [optimizer.state[p]["x"].clone() for p in net.parameters()]
    optimizer.swap_average()
    for p, other in zip(net.parameters(), averages, strict=True):
        assert torch.equal(p, other)
        assert not torch.equal(p, optimizer.state[p]["x"])
