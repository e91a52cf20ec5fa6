"""Searches: trials that hold on every machine, and the best of n among them."""

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from adam_tutorial import search, study
from adam_tutorial.optimizers import AdamW

BOOK = Path(__file__).parent.parent / "book"


@pytest.mark.parametrize("space", search.SPACES)
def test_trials_fill_their_ranges_evenly_on_a_logarithmic_scale(space):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = [search.settings(space, k) for k in range(128)]
    assert all(tuple(row) == search.SPACES[space] for row in rows)
    for name in search.SPACES[space]:
        low, high = np.log(search.RANGES[name])
        u = (np.log([row[name] for row in rows]) - low) / (high - low)
        # Three digits move a point by at most 0.005 / log(100); points of chance lie 0.07 off.
        assert stats.kstest(u, "uniform").statistic < 0.02


def test_a_trial_is_adamw_with_the_settings_and_otherwise_its_defaults():
    for space in search.SPACES:
        for k in range(20):
            made, values = search.trial(space, k), search.settings(space, k)
            usual = AdamW()
            assert made.lr == values.get("lr", usual.lr)
            assert made.eps == values.get("eps", usual.eps)
            assert made.weight_decay == values.get("weight_decay", usual.weight_decay)
            for beta, name, default in zip(
                made.betas, ("1-beta1", "1-beta2"), usual.betas, strict=True
            ):
                assert math.isclose(1 - beta, values.get(name, 1 - default), rel_tol=1e-6)
            assert all(float(f"{x:.3g}") == x for x in values.values())


def test_a_beta_has_no_digits_of_rounding():
    assert all(len(str(b)) <= 9 for k in range(100) for b in search.trial("all", k).betas)


def test_the_best_of_n_is_judged_by_what_did_not_choose():
    losses = [5.0, 1.0, math.inf, 2.0, 0.5, 3.0, 9.0]
    judged = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert search.winners(losses, 3).tolist() == [1, 4]
    assert search.winners(losses, 1).tolist() == list(range(7))
    found = search.best_of(losses, judged, budgets=[3, 7])
    assert found.loc[3].tolist() == [2, 0.75, 2.5, np.std([1, 4], ddof=1)]
    assert found.loc[7].tolist()[:3] == [1, 0.5, 4.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: search.settings("lr+beta3", 0), "space must be one of lr, .*, got 'lr.beta3'"),
        (lambda: search.settings("lr", -1), "k must be .*, got -1"),
        (lambda: search.trial("lr", 1024), "k must be .*, got 1024"),
        (lambda: search.trial("lr", 0.5), "k must be .*, got 0.5"),
        (lambda: search.winners([1.0, 2.0], 3), "n must be .*, got 3"),
        (lambda: search.winners([1.0, math.nan], 1), "losses must be numbers or infinity, got nan"),
        (lambda: search.best_of([1.0, 2.0], [1.0]), r"judged must have the shape .*, got \(1,\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_study_runs_trials_with_their_own_learning_rates(tmp_path):
    path = tmp_path / "search.csv"
    start = ["--tasks", "beale", "--seeds", "2", "--jobs", "1", "--out", str(path)]
    study.main([*start, "--spaces", "lr", "all", "--trials", "3"])
    study.main([*start, "--spaces", "rest", "--trials", "2", "--lrs", "0.01", "0.1"])
    table = study.read(path)
    assert len(table) == 2 * (2 * 3 + 2 * 2)
    assert not table.duplicated(study.KEY).any()
    for row in table.itertuples():
        space, k = row.optimizer.split("/")
        if space == "rest":
            assert row.lr in (0.01, 0.1)
        else:
            assert row.lr == search.settings(space, int(k))["lr"]
        loss = study.run(row.task, row.optimizer, row.lr, row.seed)["loss"]
        assert math.isclose(row.loss, loss, rel_tol=1e-7)
    by_trial = table[table["seed"] == 0].groupby("optimizer")["loss"].nunique()
    assert by_trial["rest/0"] == 2


SEARCH = ["--tasks", "beale", "--seeds", "1", "--jobs", "1", "--spaces", "lr", "all"]


def test_a_search_is_judged_by_fresh_seeds_and_its_second_half_has_the_rate_of_the_first(
    tmp_path, capsys
):
    path = tmp_path / "search.csv"
    more = ["--trials", "6", "--judge", "2", "--after", "3", "--out", str(path)]
    study.main([*SEARCH, *more])
    table = study.read(path)
    searched = table[table["seed"] == 0].set_index("optimizer")
    for space, budgets in (("lr", [5]), ("all", [5]), ("rest", [3])):
        losses = [searched.loc[f"{space}/{k}", "loss"] for k in range(6)]
        won = {f"{space}/{k}" for n in budgets for k in search.winners(losses, n)}
        for seed in (1, 2):
            own = table[(table["seed"] == seed) & table["optimizer"].str.startswith(f"{space}/")]
            assert set(own["optimizer"]) == won
    losses = [searched.loc[f"lr/{k}", "loss"] for k in range(6)]
    for block, k in enumerate(search.winners(losses, 3)):
        names = [f"rest/{j}" for j in range(3 * block, 3 * block + 3)]
        assert set(searched.loc[names, "lr"]) == {search.settings("lr", k)["lr"]}
    assert set(table["seed"]) == {0, 1, 2}
    assert f"{len(table)} runs stand in" in capsys.readouterr().out
    # A search of all trials is one too, and each budget has its winners.
    by_budget = [set(study.winners(table, ["beale"], ["all"], 1, [n])) for n in (1, 2, 6)]
    assert [len(found) for found in by_budget] == [6, 3, 1]
    assert set(study.winners(table, ["beale"], ["all"], 1, [2, 6])) == by_budget[1] | by_budget[2]
    # Interrupted anywhere, it ends with the same runs.
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]))
    study.main([*SEARCH, *more])
    assert sorted(path.read_bytes().splitlines(keepends=True)) == sorted(lines)


def test_what_has_not_been_searched_is_not_judged(tmp_path):
    path = tmp_path / "search.csv"
    study.main([*SEARCH, "--trials", "3", "--out", str(path)])
    table = study.read(path)
    with pytest.raises(ValueError, match="table must have each trial of 'lr' once, .* 'text'"):
        study.winners(table, ["text"], ["lr"], 1)
    with pytest.raises(ValueError, match="table must have each trial of 'lr' once, .* 'beale'"):
        study.second_halves(table[table["optimizer"] != "lr/1"], ["beale"], 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--judge", "1"], "--judge must come with --spaces"),
        (["--judge", "1", "--spaces", "lr", "--trials", "4"], "and 5 --trials or more"),
        (["--judge", "1", "--spaces", "rest"], "one of --lrs for the space rest"),
        (["--spaces", "lr", "--trials", "1025", "--lrs", "1"], "k must be"),
        (["--spaces", "all", "--after", "5"], "--after must come with the space lr"),
        (["--spaces", "lr", "--trials", "4", "--after", "5"], "at least as many --trials"),
    ],
)
def test_bad_command_lines(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit):
        study.main(["--tasks", "beale", "--out", str(tmp_path / "search.csv"), *arguments])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "search.csv").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("all/0", r"lr must be that of all/0, .*, got 0.1"),
        ("none/0", "optimizer must be one of .*, got 'none/0'"),
        ("all/x", "optimizer must be one of .*, got 'all/x'"),
        ("all", "optimizer must be one of .*, got 'all'"),
        ("rest/5000", "k must be .*, got 5000"),
    ],
)
def test_runs_of_trials_that_are_not_there(name, message):
    with pytest.raises(ValueError, match=message):
        study.run("beale", name, 0.1, 0)


def test_trials_are_those_of_the_stored_searches():
    # Another version of SciPy that scrambled otherwise would make the stored runs those of others.
    assert search.settings("all", 17) == {
        "lr": 0.676,
        "1-beta1": 0.0904,
        "1-beta2": 0.000842,
        "eps": 1.13e-06,
        "weight_decay": 0.759,
    }


def test_the_stored_searches_have_every_trial_once_and_the_same_fresh_seeds_for_each_winner():
    table = study.read(BOOK / "practice" / "search.csv")
    assert not table.duplicated(study.KEY).any()
    seeds = {}
    for row in table.itertuples():
        space, k = row.optimizer.split("/")
        seeds.setdefault((row.task, space), {}).setdefault(int(k), set()).add(row.seed)
        if "lr" in search.SPACES[space]:
            assert row.lr == search.settings(space, int(k))["lr"]
    for trials in seeds.values():
        assert sorted(trials) == list(range(len(trials)))
        assert {frozenset(found) for found in trials.values()} <= {
            frozenset({0}),
            frozenset(range(5)),
        }


def test_the_stored_searches_are_what_the_command_of_the_chapter_makes():
    table = study.read(BOOK / "practice" / "search.csv")
    tasks, spaces = ["text", "cnn"], [space for space in search.SPACES if space != "rest"]
    names = [f"{space}/{k}" for space in spaces for k in range(100)]
    todo = [
        *study.keys(tasks, names, [0.01], 1),
        *study.winners(table, tasks, spaces, 4),
        *study.second_halves(table, tasks, 25),
        *study.winners(table, tasks, ["rest"], 4, [25]),
    ]
    assert set(todo) == set(table[study.KEY].itertuples(index=False, name=None))
