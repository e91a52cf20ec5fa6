import os
import socket

import psutil
import pytest

from adam_tutorial import distributed
from adam_tutorial.distributed import launch, mean_bytes_sent, newest

STEPS = ["--steps", "12"]
BYTES = 8 * 32768
TIMEOUT = 240
OTHERS = ["Adafactor", "SOAP", "ScheduleFreeAdamW"]


def ours():
    """The processes that launch of this process has started and that are alive."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("ADAM_TUTORIAL_LAUNCHER") == str(os.getpid()):
                found.append(process)
        except psutil.Error:
            pass
    return found


# Each start takes seconds. Four processes, LAMB and Muon, what two have saved and four or one go on
# with, and a restart after an accident are in the notebook practice/scale, which nbval runs.
@pytest.fixture(scope="module")
def all_of_two():
    """All engines on two processes, with five optimizers."""
    options = ["--optimizers", "torch", "book", *OTHERS]
    return launch(2, "--steps", 10, *options, timeout=TIMEOUT)["runs"]


@pytest.fixture(scope="module")
def two(all_of_two):
    return [run for run in all_of_two if run["optimizer"] not in OTHERS]


def key(run):
    return run["engine"], run["optimizer"]


def test_the_weights_are_those_of_one_process(two):
    engines = [(e, o) for e in ("ddp", "zero", "fsdp") for o in ("torch", "book")]
    assert [key(run) for run in two] == engines
    assert {run["resumed_at"] for run in two} == {0}
    assert max(run["difference"] for run in two) < 1e-12


def test_every_process_holds_its_part(two):
    whole, part = [BYTES] * 2, [BYTES // 2] * 2
    held = {"ddp": (whole, whole, whole), "zero": (whole, whole, part), "fsdp": (part, part, part)}
    for run in two:
        parameters, gradients, state = held[run["engine"]]
        assert run["parameter_bytes"] == parameters
        assert run["gradient_bytes"] == gradients
        assert run["state_bytes"] == [2 * n for n in state]


def test_the_bytes_sent_are_those_of_the_formula(two):
    for run in two:
        if None in run["sent"]:
            pytest.skip("this system does not count the bytes of a socket")
        predicted = mean_bytes_sent(run["engine"], BYTES, 2, backend="gloo")
        # Beside the numbers each message has a header, and barriers and the store send a little.
        assert 1 <= sum(run["sent"]) / 2 / predicted < 1.05


def test_the_other_optimizers_are_right_or_refused(all_of_two):
    runs = [run for run in all_of_two if run["optimizer"] in OTHERS]
    assert len(runs) == 9
    for run in runs:
        if key(run) in [("fsdp", "Adafactor"), ("fsdp", "SOAP")]:
            assert f"whole tensors for {run['optimizer']}" in run["refused"]
        else:
            # SOAP's eigenvectors make more of a rounding error.
            assert run["difference"] < (1e-8 if run["optimizer"] == "SOAP" else 1e-12)


def test_a_killed_worker_and_the_last_checkpoint(tmp_path):
    options = ["--engines", "fsdp", "--optimizers", "book", "--save", tmp_path, "--save-every", 5]
    with pytest.raises(RuntimeError, match="a process failed") as error:
        launch(2, *STEPS, *options, "--fail-at", 9, timeout=TIMEOUT)
    assert "SIGKILL" in str(error.value)
    assert ours() == []
    assert newest(tmp_path / "fsdp-book").name == "step-000005"
    # One that was being written is not taken for a whole one.
    (tmp_path / "fsdp-book" / "unfinished").mkdir()
    assert newest(tmp_path / "fsdp-book").name == "step-000005"


def test_nothing_is_left_after_the_timeout(monkeypatch):
    seen, children = set(), distributed._children

    def spy(pid):
        found = children(pid)
        seen.update(process.pid for process in found)
        return found

    monkeypatch.setattr(distributed, "_children", spy)
    # On a busy machine the workers come later.
    for timeout in (6, 12, 24, 48):
        with pytest.raises(RuntimeError, match=f"not finished after {timeout} s"):
            launch(2, "--steps", 10**9, timeout=timeout)
        assert ours() == []
        if len(seen) >= 2:
            break
    assert len(seen) >= 2


def test_a_port_that_is_taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(RuntimeError, match=f"port {port} is taken"):
            launch(2, port=port, timeout=TIMEOUT)


def test_bad_arguments():
    for engine, processes, backend, text in [
        ("dpp", 2, "ring", "engine must be one of ddp, zero, fsdp, got 'dpp'"),
        ("ddp", 0, "ring", "processes must be an integer >= 1, got 0"),
        ("ddp", 2, "mpi", "backend must be 'ring' or 'gloo', got 'mpi'"),
    ]:
        with pytest.raises(ValueError, match=text):
            mean_bytes_sent(engine, 1.0, processes, backend)
    with pytest.raises(ValueError, match="processes must be an integer >= 1, got 0"):
        launch(0)
