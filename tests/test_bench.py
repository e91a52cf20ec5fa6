"""The benchmark runs and measures what it says; how long things take is nobody's test."""

import sys

import torch

from adam_tutorial import bench


def test_the_shapes_are_those_of_the_text():
    assert len(bench.SHAPES) == 58
    assert round(sum(torch.Size(s).numel() for s in bench.SHAPES) / 1e6, 1) == 11.5


def test_every_contestant_takes_the_same_step():
    ends = {}
    for name, make in bench.CONTESTANTS.items():
        if "compile" in name:
            continue
        params = bench.parameters([(3, 4), (5,)])
        make(params).step()
        ends[name] = torch.cat([p.detach().flatten() for p in params])
    reference = ends.pop("torch.optim.Adam()")
    for end in ends.values():
        torch.testing.assert_close(end, reference, rtol=1e-6, atol=1e-7)


def test_the_table(monkeypatch, capsys):
    monkeypatch.setattr(bench, "SHAPES", [(3, 4)])
    plain = {k: v for k, v in bench.CONTESTANTS.items() if "compile" not in k}
    monkeypatch.setattr(bench, "CONTESTANTS", plain)
    monkeypatch.setattr(sys, "argv", ["bench", "--rounds", "2"])
    threads = torch.get_num_threads()
    try:
        bench.main()
    finally:
        torch.set_num_threads(threads)
    out = capsys.readouterr().out
    assert "0.0 M float32 parameters in 1 tensors, 1 thread(s), median of 2" in out
    rows = {line.rsplit(maxsplit=2)[0]: line.split()[-2:] for line in out.splitlines()[2:]}
    assert set(rows) == set(plain)
    assert rows["torch.optim.Adam(fused=True)"][1] == "1.00"
