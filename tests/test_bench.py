"""The benchmark runs and measures what it says; how long things take is nobody's test."""

import json

import numpy as np
import pytest
import torch

from adam_tutorial import Adam, bench

QUICK = [name for name in bench.IMPLEMENTATIONS if name != "package-compiled"]
TWO = ["--optimizers", "torch-fused", "numpy-blocks", "--sizes", "1e3", "--seconds", "0"]


def test_the_shapes_are_those_of_the_text():
    assert len(bench.RESNET) == 58
    assert round(sum(torch.Size(s).numel() for s in bench.RESNET) / 1e6, 1) == 11.5
    assert bench.shapes_of(1000, 4) == 4 * [(250,)]


@pytest.mark.parametrize("name", [n for n in bench.IMPLEMENTATIONS if "adabelief" not in n])
def test_every_implementation_takes_the_step_of_the_package(name):
    # More numbers than two blocks hold, in more than one tensor.
    shapes = [(2 * bench.BLOCK + 3,), (3, 4)]
    params, adam = bench.parameters_of(shapes), Adam()
    thetas = [p.detach().double().numpy() for p in params]
    states = [adam.init(theta) for theta in thetas]
    optimizer = bench.IMPLEMENTATIONS[name](params)
    for factor in (1.0, -0.3, 2.0):
        for i, p in enumerate(params):
            p.grad.mul_(factor)
            step = adam.step(thetas[i], p.grad.double().numpy(), states[i])
            thetas[i], states[i] = step.theta, step.state
        optimizer.step()
    for p, theta in zip(params, thetas, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), theta, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", [bench.textbook, bench.in_place, bench.in_blocks])
def test_the_rules_agree_in_double_precision(rule):
    rng = np.random.default_rng(0)
    theta, adam = rng.normal(size=bench.BLOCK + 5), Adam()
    mine, m, v = theta.copy(), np.zeros_like(theta), np.zeros_like(theta)
    more = () if rule is bench.textbook else (np.empty_like(theta),)
    state = adam.init(theta)
    for t in range(1, 6):
        g = rng.normal(size=theta.size)
        step = adam.step(theta, g, state)
        theta, state = step.theta, step.state
        m, v = rule(mine, g, m, v, t, *more)
    np.testing.assert_allclose(mine, theta, rtol=1e-14, atol=1e-15)


def test_a_record_says_how_near_the_limit_a_step_comes():
    records = bench.measure(QUICK, [(50,), (7, 2)], seconds=0)
    assert [r["implementation"] for r in records] == QUICK
    for r in records:
        assert (r["parameters"], r["tensors"], r["threads"], r["rounds"]) == (64, 2, 1, 5)
        assert 0 < r["low"] <= r["milliseconds"] <= r["high"]
        shortest = 28 * 64 / (r["bandwidth"] * 1e9)
        assert r["of limit"] == pytest.approx(r["milliseconds"] / 1e3 / shortest)


def test_the_plain_operation_counts_its_bytes():
    plain = bench.Bandwidth(100, "cpu")
    assert plain.bytes == 3 * plain.a.nbytes == 3 * plain.b.nbytes
    assert plain.a.nbytes + plain.b.nbytes == 4 * 100 * 4


def test_the_threads_are_those_asked_for(monkeypatch):
    asked, set_num_threads = [], torch.set_num_threads
    monkeypatch.setattr(torch, "set_num_threads", lambda n: (asked.append(n), set_num_threads(n)))
    before = torch.get_num_threads()
    bench.measure(["torch-fused"], [(3,)], threads=before + 1, seconds=0)
    assert asked == [before + 1, before]


def test_the_threads_are_as_before(monkeypatch):
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="names must be some of.*got \\['no-such'\\]"):
        bench.measure(["no-such"], [(3,)], threads=before + 1)
    bench.measure(["torch-fused"], [(3,)], threads=before + 1, seconds=0)
    assert torch.get_num_threads() == before


def test_the_command_writes_completes_and_prints(tmp_path, capsys):
    out = tmp_path / "speed.json"
    bench.main([*TWO, "--tensors", "1", "10", "--out", str(out)])
    first = json.loads(out.read_text())
    assert first["machine"]["processor"]
    assert [(r["parameters"], r["tensors"]) for r in first["results"]] == 2 * [(1000, 1)] + 2 * [
        (1000, 10)
    ]
    printed = capsys.readouterr().out
    assert "torch-fused" in printed
    assert "of limit" in printed
    # What is there is not measured again; a new case is added.
    bench.main([*TWO, "--tensors", "1", "10", "100", "--out", str(out)])
    second = json.loads(out.read_text())
    assert second["results"][:4] == first["results"]
    assert second["results"][4]["tensors"] == 100
    assert not list(tmp_path.glob("*.part"))


def test_an_interruption_keeps_what_was_finished(tmp_path, monkeypatch):
    out, measure = tmp_path / "speed.json", bench.measure

    def interrupted(names, shapes, *args):
        if len(shapes) == 10:
            raise KeyboardInterrupt
        return measure(names, shapes, *args)

    monkeypatch.setattr(bench, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.main([*TWO, "--tensors", "1", "10", "--out", str(out)])
    assert [r["tensors"] for r in json.loads(out.read_text())["results"]] == [1, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--optimizers", "adam"], "adam"),
        (["--sizes", "0"], "must be a whole number, at least 1, got '0'"),
        (["--sizes", "inf"], "must be a whole number, at least 1, got 'inf'"),
        (["--sizes", "1.5"], "must be a whole number, at least 1, got '1.5'"),
        (["--sizes", "5", "--tensors", "10"], "--tensors must be at most"),
        (["--device", "foo"], "--device must be cpu or cuda, got 'foo'"),
        (["--out", "no-such/speed.json"], "--out must be a file in a folder that is there"),
        (["--device", "cuda:99"], "--device must be one that is there, got 'cuda:99'"),
    ],
)
def test_bad_options_are_refused(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="2"):
        bench.main(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", '{"machine": {"processor": "another"}, "results": []}'])
def test_a_file_of_something_else_is_refused_and_kept(tmp_path, capsys, text):
    out = tmp_path / "speed.json"
    out.write_text(text)
    with pytest.raises(SystemExit, match="2"):
        bench.main([*TWO, "--out", str(out)])
    assert "--out must be" in capsys.readouterr().err
    assert out.read_text() == text


def test_the_ratio_is_to_fused_of_the_same_case():
    rows = [
        {"implementation": name, "parameters": n, "tensors": 1, "threads": 1, "device": "cpu",
         "milliseconds": ms, "low": ms, "high": ms, "of limit": 1.0}
        for n in (10, 20)
        for name, ms in (("torch-fused", float(n)), ("package", 3.0 * n))
    ]  # fmt: skip
    found = bench.table(rows)["of fused"].groupby("implementation").unique()
    assert found["package"] == [3.0]
    assert found["torch-fused"] == [1.0]
