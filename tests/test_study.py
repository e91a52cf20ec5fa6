"""The study: every run stands alone, and an interruption neither loses nor repeats one."""

import math
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from adam_tutorial import plotting, study

BOOK = Path(__file__).parent.parent / "book"
QUICK = ["--tasks", "beale", "ravine", "--optimizers", "Adam", "SGD", "--seeds", "2", "--jobs", "1"]


def command(path, *more):
    study.main([*QUICK, "--lrs", "0.01", "0.1", "--out", str(path), *more])
    return study.read(path).sort_values(study.KEY).reset_index(drop=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return command(tmp_path_factory.mktemp("study") / "study.csv")


def test_a_study_has_every_run_once(whole):
    assert list(whole.columns) == study.COLUMNS
    assert len(whole) == 2 * 2 * 2 * 2
    assert not whole.duplicated(study.KEY).any()
    for row in whole.itertuples():
        loss = study.run(row.task, row.optimizer, row.lr, row.seed)["loss"]
        assert math.isclose(row.loss, loss, rel_tol=1e-7)


def test_what_is_cut_off_is_done_again_and_what_is_finished_is_not(whole, tmp_path, monkeypatch):
    path = tmp_path / "study.csv"
    command(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:6]) + lines[6][:10])
    assert len(study.read(path)) == 5
    done, row = [], study._row
    monkeypatch.setattr(study, "_row", lambda *key: done.append(key) or row(*key))
    again = command(path)
    assert len(done) == 16 - 5
    assert path.read_bytes().splitlines(keepends=True)[:6] == lines[:6]
    assert again.equals(whole)


def test_an_interruption_leaves_what_is_finished(whole, tmp_path):
    path = tmp_path / "study.csv"
    arguments = [*QUICK[:-2], "--jobs", "2", "--lrs", "0.01", "0.1", "--out", str(path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "adam_tutorial.study", *arguments, "--seeds", "100000"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 120
    while (not path.exists() or len(path.read_text().splitlines()) < 10) and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert "Interrupted; what was finished is in the file" in process.communicate(timeout=60)[1]
    finished = study.read(path)
    assert len(finished) >= 9
    assert not finished.duplicated(study.KEY).any()
    assert command(path).equals(study.read(path).sort_values(study.KEY).reset_index(drop=True))
    assert not study.read(path).duplicated(study.KEY).any()


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "task,optimizer,lr,seed,loss,accuracy\nx\n"])
def test_another_file_is_refused_and_left_alone(text, tmp_path, capsys):
    path = tmp_path / "other.csv"
    path.write_text(text)
    with pytest.raises(SystemExit):
        command(path)
    assert "must be a file of this study, got" in capsys.readouterr().err
    assert path.read_text() == text


def test_the_best_learning_rate_is_that_of_the_lowest_mean_and_at_an_end_it_is_marked():
    losses = {0.1: [3.0, 5.0], 1.0: [2.0, 3.0], 10.0: [1.0, math.inf]}
    rows = [
        ["beale", name, lr, seed, sign * loss, 0.5]
        for name, sign in (("Adam", 1), ("SGD", -1))
        for lr, pair in losses.items()
        for seed, loss in enumerate(pair)
        if np.isfinite(loss) or sign == 1
    ]
    found = study.best(pd.DataFrame(rows, columns=study.COLUMNS))
    assert found.loc[("beale", "Adam")].tolist() == [1.0, True, 2.5, math.sqrt(0.5), 0.5]
    assert found.loc[("beale", "SGD"), ["lr", "inside"]].tolist() == [0.1, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lrs", "0"], "must be finite and > 0, got '0'"),
        (["--lrs", "nan"], "must be finite and > 0, got 'nan'"),
        (["--seeds", "0"], "must be a whole number, at least 1, got '0'"),
        (["--tasks", "mountain"], "invalid choice: 'mountain'"),
        (["--tasks", "convex", "--optimizers", "Muon"], "--optimizers must have one for --tasks"),
        (["--out", "no/such/folder/study.csv"], "--out must be a file in a folder that is there"),
    ],
)
def test_bad_command_lines(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit):
        study.main(["--out", str(tmp_path / "study.csv"), *arguments])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "study.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mountain", "Adam"), "task must be one of convex, .*, got 'mountain'"),
        (("beale", "Eve"), "optimizer must be one of SGD, .*, got 'Eve'"),
        (("beale", "Muon"), "optimizer must be one that can step 'beale', got 'Muon'"),
    ],
)
def test_bad_runs(arguments, message):
    with pytest.raises(ValueError, match=message):
        study.run(*arguments, lr=0.1, seed=0)


def test_every_optimizer_has_a_look_and_every_learning_rate_is_its_own():
    assert set(study.OPTIMIZERS) <= set(plotting.LOOKS)
    np.testing.assert_allclose(study.LRS, np.logspace(-4, 1, 11), rtol=0.02)


def test_what_diverges_is_infinitely_bad():
    assert study.run("rosenbrock", "SGD", lr=1.0, seed=0)["loss"] == math.inf


@pytest.mark.parametrize("task", ["cnn", "text", "transformer"])
def test_muon_has_the_hidden_matrices_and_adamw_all_else(task):
    net = study.TASKS[task].matrices()
    muon, adamw = study.steppers(net, study.OPTIMIZERS["Muon"])
    names = {id(p): name for name, p in net.named_parameters()}
    mine = [names[id(p)] for p in muon.param_groups[0]["params"]]
    rest = [names[id(p)] for p in adamw.param_groups[0]["params"]]
    assert sorted(mine + rest) == sorted(names.values())
    layer = ["self_attn.in_proj_weight", "self_attn.out_proj.weight", "linear1.weight"]
    expected = {
        "cnn": ["2.weight"],
        "text": ["1.weight"],
        "transformer": [
            f"layers.{i}.{name}" for i in (0, 1) for name in [*layer, "linear2.weight"]
        ],
    }
    assert mine == expected[task]


def test_the_minimum_is_where_the_shift_has_put_it():
    found = study.run("ravine", "Momentum", lr=0.01, seed=0)["loss"]
    task = study.TASKS["ravine"]
    moved = study.Minimisation(task.problem, task.steps, shift=-7.0)
    there = moved.run(study.SGD(lr=0.01, momentum=0.9), seed=0)["loss"]
    assert found < 1e-3
    assert math.isclose(found, there, rel_tol=1e-6)


@pytest.mark.parametrize(
    "name",
    ["variants/study", "applications/translation", "applications/detection", "practice/batch-size"],
)
def test_the_stored_studies_have_every_run_of_their_grids_once(name):
    table = study.read(BOOK / f"{name}.csv")
    assert not table.duplicated(study.KEY).any()
    seeds = table.groupby(["task", "optimizer", "lr"])["seed"].agg(lambda s: sorted(s))
    for (task, optimizer, lr), found in seeds.items():
        assert found == list(range(len(found))), (task, optimizer, lr)
        assert study._TASKS[task].steppable(optimizer)
        assert optimizer in study._OPTIMIZERS
    assert seeds.map(len).groupby(level="task").nunique().eq(1).all()


def test_what_only_the_applications_need_runs_on_request_alone():
    parser = study._parser()
    usual = parser.parse_args(["--out", "x"])
    assert set(usual.tasks) == set(study.TASKS)
    assert set(usual.optimizers) == set(study.OPTIMIZERS)
    asked = parser.parse_args(
        ["--out", "x", "--tasks", "detection", "--optimizers", "Adam98", "Adam"]
    )
    assert (asked.tasks, asked.optimizers) == (["detection"], ["Adam98", "Adam"])
    assert study.APPLICATIONS["detection-clipped"].clip == 1.0
    assert study.APPLICATIONS["translation-cold"].cold


@pytest.mark.parametrize("name", study.BATCHES)
def test_a_task_of_batches_has_the_size_of_its_name(name):
    kind, size = name.split("-")
    task = study.BATCHES[name]
    assert task.batch_size == int(size)
    assert task.data == {"batch": "digits", "words": "docstrings"}[kind]


def test_tasks_of_batches_differ_in_the_batch_size_only():
    for kind, count in (("batch", 6), ("words", 2)):
        tasks = [task for name, task in study.BATCHES.items() if name.startswith(f"{kind}-")]
        assert len(tasks) == count
        assert len({replace(task, batch_size=1) for task in tasks}) == 1


def test_a_task_of_batches_trains():
    loss = study.run("batch-256", "Adam", lr=0.03125, seed=0)["loss"]
    assert loss < 0.2 * math.log(10)  # of the loss of a network that knows nothing
