"""The benchmark runs and measures what it says; how long things take is nobody's test."""

import json

import numpy as np
import pytest
import torch

from adam_tutorial import Adam, bench, optimizers

QUICK = [name for name in bench.ALGORITHMS["Adam"] if name != "package-compiled"]
# pytorch_optimizer's LAMB has no bias correction; SOAP's eigenvectors are not float32's.
OTHERS = [
    name
    for name in bench.IMPLEMENTATIONS
    if ":" in name
    and not name.startswith("package-compiled")
    and name != "pytorch_optimizer:LAMB"
    and not name.endswith(":SOAP")
]
TWO = ["--optimizers", "torch-fused", "numpy-blocks", "--sizes", "1e3", "--seconds", "0"]


def test_the_shapes_are_those_of_the_text():
    assert len(bench.RESNET) == 58
    assert round(sum(torch.Size(s).numel() for s in bench.RESNET) / 1e6, 1) == 11.5
    assert bench.shapes_of(1000, 4) == 4 * [(250,)]


@pytest.mark.parametrize("name", [n for n in bench.ALGORITHMS["Adam"] if "adabelief" not in n])
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


@pytest.mark.parametrize("name", OTHERS)
def test_every_implementation_of_another_takes_the_step_of_its_algorithm(name):
    params, algorithm = bench.parameters_of([(6,), (3, 2, 2), (5, 4)]), bench.algorithm_of(name)

    def numbers(x):
        matrix = algorithm == "Muon" and x.ndim > 2
        return (x.flatten(1) if matrix else x).detach().double().numpy()

    thetas = [numbers(p) for p in params]
    ours = [bench.optimizer_of(algorithm, theta.ndim) for theta in thetas]
    states = [one.init(theta) for one, theta in zip(ours, thetas, strict=True)]
    optimizer = bench.IMPLEMENTATIONS[name](params)
    for factor in (1.0, -0.3, 2.0):
        for i, p in enumerate(params):
            p.grad.mul_(factor)
            step = ours[i].step(thetas[i], numbers(p.grad), states[i])
            thetas[i], states[i] = step.theta, step.state
        optimizer.step()
    # torch's Muon works in bfloat16.
    tolerance = 1e-4 if name == "torch:Muon" else 1e-5
    for p, theta in zip(params, thetas, strict=True):
        np.testing.assert_allclose(numbers(p), theta, rtol=0, atol=tolerance)


def test_every_optimizer_is_there_and_compiled_where_it_says_so():
    assert set(bench.ALGORITHMS) == set(optimizers.__all__) - {"Optimizer"}
    names = [name for names in bench.ALGORITHMS.values() for name in names]
    assert names == list(bench.IMPLEMENTATIONS)
    params = bench.parameters_of([(2, 2)])
    for name in names:
        if name.startswith("package") and "Muon" not in name:
            made = bench.IMPLEMENTATIONS[name](params)
            assert type(made.optimizer).__name__ == bench.algorithm_of(name)
            assert made.compile == name.startswith("package-compiled")
    # In a few steps these would not differ from the ones without a maximum.
    assert bench.IMPLEMENTATIONS["torch:AMSGrad"](params).defaults["amsgrad"]
    assert bench.IMPLEMENTATIONS["pytorch_optimizer:AMSBound"](params).defaults["ams_bound"]


def test_muon_has_the_matrices_and_adamw_the_rest():
    params = bench.parameters_of([(6,), (3, 2, 2), (5, 4)])
    for name in ("package:Muon", "torch:Muon"):
        muon, adamw = bench.IMPLEMENTATIONS[name](params).optimizers
        assert [tuple(p.shape) for p in muon.param_groups[0]["params"]] == [(3, 4), (5, 4)]
        assert [tuple(p.shape) for p in adamw.param_groups[0]["params"]] == [(6,)]
    for name in ("Muon", "SOAP"):
        with pytest.raises(ValueError, match=f"shapes must have one with two axes for {name}, got"):
            bench.measure([f"package:{name}"], [(3,), ()], seconds=0)


@pytest.mark.parametrize(
    ("algorithm", "shape", "state"),
    [
        ("SGD", (3, 5), 0),
        ("Lion", (3, 5), 15 * 4),
        ("Adam", (3, 5), 30 * 4),
        ("AMSGrad", (3, 5), 45 * 4),
        ("Adan", (3, 5), 60 * 4),
        ("Adafactor", (3, 5), 8 * 4),
        ("Muon", (3, 5), 15 * 4),
        ("Muon", (15,), 30 * 4),
        ("SOAP", (3, 5, 1), 30 * 4 + 2 * (9 + 25) * 4),
    ],
)
def test_a_step_reads_and_writes_its_state(algorithm, shape, state):
    assert bench.bytes_moved(algorithm, [shape]) == 3 * 15 * 4 + 2 * state
    assert bench.bytes_moved(algorithm, [shape, (1,)]) > bench.bytes_moved(algorithm, [shape])


def test_the_limit_is_that_of_the_algorithm():
    records = bench.measure(["package:SGD", "torch-fused", "torch:AMSGrad"], [(50,)], seconds=0)
    for r, moved in zip(records, (12, 28, 36), strict=True):
        shortest = moved * 50 / (r["bandwidth"] * 1e9)
        assert r["of limit"] == pytest.approx(r["milliseconds"] / 1e3 / shortest)


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


def test_algorithms_are_measured_each_for_itself(tmp_path, monkeypatch, capsys):
    calls = []

    def measure(names, shapes, threads, device, seconds):
        calls.append(names)
        parameters = sum(torch.Size(shape).numel() for shape in shapes)
        case = {"parameters": parameters, "tensors": len(shapes), "threads": threads}
        times = {"milliseconds": 1.0, "low": 1.0, "high": 1.0, "of limit": 1.0}
        return [{"implementation": n, **case, "device": device, **times} for n in names]

    monkeypatch.setattr(bench, "measure", measure)
    out = ["--out", str(tmp_path / "speed.json")]
    adan = ["package:Adan", "package-compiled:Adan", "pytorch_optimizer:Adan"]
    bench.main(["--algorithms", "Adan", "--optimizers", "torch:RAdam", *out])
    assert calls == [adan, ["torch:RAdam"]]
    assert "of other" in capsys.readouterr().out
    # What is new is measured again beside its own alone; by default that is Adam.
    calls.clear()
    bench.main(["--optimizers", "package:RAdam", "package:Adan", *out])
    assert calls == [["package:RAdam", "torch:RAdam"]]
    calls.clear()
    bench.main(out)
    assert calls == [bench.ALGORITHMS["Adam"]]
    calls.clear()
    bench.main(["--algorithms", "all"])
    assert calls == list(bench.ALGORITHMS.values())


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
        (["--algorithms", "adam"], "adam"),
        (
            ["--sizes", "9", "--algorithms", "SOAP"],
            "--sizes makes vectors, and SOAP steps matrices",
        ),
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


def rows(times):
    return [
        {"implementation": name, "parameters": n, "tensors": 1, "threads": 1, "device": "cpu",
         "milliseconds": ms * n, "low": ms, "high": ms, "of limit": 1.0}
        for n in (10, 20)
        for name, ms in times.items()
    ]  # fmt: skip


def test_the_ratio_is_to_fused_of_the_same_case():
    found = bench.table(rows({"torch-fused": 1.0, "package": 3.0}))
    found = found["of fused"].groupby("implementation").unique()
    assert found["package"] == [3.0]
    assert found["torch-fused"] == [1.0]


def test_the_ratio_is_to_the_other_of_the_same_algorithm():
    times = {"torch-fused": 2.0, "package": 2.0, "torch:RAdam": 4.0, "package:RAdam": 1.0}
    times |= {"pytorch_optimizer:Adan": 5.0, "package:Adan": 15.0, "package:AdamMini": 1.0}
    found = bench.table(rows(times)).groupby("implementation").mean()
    assert found.loc["package:RAdam", "of other"] == 0.25
    assert found.loc["package:Adan", "of other"] == 3.0
    assert found.loc[["package", "package:AdamMini"], "of other"].isna().all()
    assert found["of fused"].dropna().to_dict() == {"package": 1.0, "torch-fused": 1.0}
