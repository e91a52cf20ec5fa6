"""The tasks of BATCHES: each is what its name says, and trains."""

import math
from dataclasses import replace

import pytest

from adam_tutorial import study


@pytest.mark.parametrize("name", study.BATCHES)
def test_a_task_has_the_batch_size_of_its_name(name):
    kind, size = name.split("-")
    task = study.BATCHES[name]
    assert task.batch_size == int(size)
    assert task.data == {"batch": "digits", "words": "docstrings"}[kind]


def test_tasks_of_a_kind_differ_in_the_batch_size_only():
    for kind, count in (("batch", 6), ("words", 2)):
        tasks = [task for name, task in study.BATCHES.items() if name.startswith(f"{kind}-")]
        assert len(tasks) == count
        assert len({replace(task, batch_size=1) for task in tasks}) == 1


def test_a_task_trains():
    loss = study.run("batch-256", "Adam", lr=0.03125, seed=0)["loss"]
    assert loss < 0.2 * math.log(10)  # of the loss of a network that knows nothing
