"""The bytes that are computed are those of real tensors."""

import pytest
import torch
from torch import nn

from adam_tutorial import SGD, Adafactor, Adam, Adam8bit, AdamW, Lion, Muon, TorchOptimizer, models
from adam_tutorial.memory import (
    PUBLISHED,
    RECIPES,
    Decoder,
    LiveBytes,
    Recipe,
    activation_bytes,
    training_memory,
)


def network(dtype=torch.float32):
    return models.small_cnn().to(dtype)


def held(net, optimizer):
    """Take a step, and weigh weights, gradients and state, but for tensors without axes."""
    dtype = next(net.parameters()).dtype
    net(torch.rand(4, 1, 8, 8, dtype=dtype)).sum().backward()
    optimizer.step()
    params = list(net.parameters())
    states = [
        sum(x.nbytes for x in state.values() if isinstance(x, torch.Tensor) and x.ndim)
        for state in optimizer.state.values()
    ]
    return sum(p.nbytes for p in params), sum(p.grad.nbytes for p in params), sum(states)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(
    "method",
    [Adam(), AdamW(), SGD(), SGD(momentum=0.9), Lion(), Adafactor(), Adam8bit()],
    ids=repr,
)
def test_what_a_step_leaves_has_the_computed_bytes(method, dtype):
    net = network(dtype)
    weights, gradients, states = held(net, TorchOptimizer(net.parameters(), method))
    name = {torch.float32: "float32", torch.bfloat16: "bf16", torch.float64: "float64"}[dtype]
    computed = training_memory(net, method, name)
    assert (computed.weights, computed.gradients) == (weights, gradients)
    assert sum(computed.states.values()) == states
    assert computed.total == weights + gradients + states


@pytest.mark.parametrize("name", ["float32", "bf16"])
def test_the_adam_of_torch_keeps_as_much(name):
    net = network(RECIPES[name].weights)
    real = held(net, torch.optim.Adam(net.parameters()))
    assert sum(real) == training_memory(net, Adam(), name).total


def test_the_mixed_recipe_is_that_of_a_real_training():
    net = network(torch.bfloat16)
    master = [p.detach().float().requires_grad_() for p in net.parameters()]
    optimizer = torch.optim.Adam(master)
    net(torch.rand(4, 1, 8, 8, dtype=torch.bfloat16)).sum().backward()
    for p, copy in zip(net.parameters(), master, strict=True):
        copy.grad = p.grad.float()
    optimizer.step()
    optimizer.zero_grad()  # the float32 gradients were there only for the step
    params = list(net.parameters())
    computed = training_memory(net, precision="mixed")
    assert computed.weights == sum(p.nbytes for p in params)
    assert computed.gradients == sum(p.grad.nbytes for p in params)
    assert computed.master == sum(p.nbytes for p in master)
    real = sum(optimizer.state[p][k].nbytes for p in master for k in ("exp_avg", "exp_avg_sq"))
    assert sum(computed.states.values()) == real


def test_shards_are_those_of_torch_chunk():
    shapes, N = [(10, 3), (5,), (2, 2), (8, 1)], 4
    full = [torch.zeros(shape, dtype=torch.float32) for shape in shapes]
    first = sum(x.chunk(N)[0].nbytes for x in full)
    every = [sum(x.chunk(N)[i].nbytes for x in full if i < len(x.chunk(N))) for i in range(N)]
    assert first == max(every)
    whole = sum(x.nbytes for x in full)
    totals = [training_memory(shapes, shard=s, processes=N).total
              for s in ("none", "optimizer", "gradients", "weights")]  # fmt: skip
    assert totals == [4 * whole, 2 * whole + 2 * first, whole + 3 * first, 4 * first]


def test_master_weights_are_sharded_with_the_states():
    some = training_memory([(8, 2)], precision="mixed", shard="optimizer", processes=4)
    assert (some.weights, some.master, some.gradients, some.states) == (
        32, 16, 32, {"m": 16, "v": 16},
    )  # fmt: skip


def test_what_is_not_trained_has_only_weights():
    net = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 2))
    net[0].requires_grad_(False)
    memory = training_memory(net, precision="mixed")
    assert (memory.weights, memory.master, memory.gradients) == (37 * 2, 12 * 4, 12 * 2)


def test_a_tied_weight_counts_once_and_meta_takes_no_memory():
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(10**6, 10**4, bias=False), nn.Linear(10**4, 10**4))
    assert training_memory(net).weights == 4 * (10**10 + 10**8 + 10**4)
    net[1].weight = nn.Parameter(net[1].weight)
    net.append(net[1])
    assert training_memory(net).weights == 4 * (10**10 + 10**8 + 10**4)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("GPT-2", 124_439_808),
        ("GPT-2 XL", 1_557_611_200),
        ("Llama 2 7B", 6_738_415_616),
        ("Llama 3 70B", 70_553_706_496),
        ("Llama 3.1 405B", 405_853_388_800),
    ],
)
def test_published_models_have_their_published_parameters(name, count):
    assert PUBLISHED[name].parameters == count
    assert training_memory(PUBLISHED[name].shapes(), precision="mixed").total == 16 * count


def test_a_recipe_of_ones_own():
    recipe = Recipe(torch.bfloat16, torch.float32, torch.bfloat16, master=torch.float32)
    assert training_memory([(10,)], precision=recipe).total == 10 * (2 + 4 + 4 + 2 * 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "fp8"}, "precision must be a Recipe or one of .*'fp8'"),
        ({"shard": "all"}, "shard must be one of .*'all'"),
        ({"processes": 0}, "processes must be .*0"),
        ({"processes": 1.5}, "processes must be .*1.5"),
        ({"model": []}, "model must have at least one parameter"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        training_memory(**{"model": [(2,)], **arguments})


def test_what_an_optimizer_cannot_step_it_refuses():
    with pytest.raises(ValueError, match="theta"):
        training_memory([(2, 3), (3,)], Muon())


def test_activations_of_a_layer_are_those_of_the_paper():
    # 34sbh of matrices, masks and normalisations, and 5as²b of scores.
    assert activation_bytes(64, 4, 10, 3) == 34 * 10 * 3 * 64 + 5 * 4 * 100 * 3
    assert activation_bytes(64, 4, 10, 3, recompute="attention") == 34 * 10 * 3 * 64
    assert activation_bytes(64, 4, 10, 3, recompute="layer") == 2 * 10 * 3 * 64
    with pytest.raises(ValueError, match="recompute must be .*'all'"):
        activation_bytes(64, 4, 10, recompute="all")
    with pytest.raises(ValueError, match="heads must be .*0"):
        activation_bytes(64, 0, 10)


def test_live_bytes_follow_what_is_made_and_freed():
    with LiveBytes() as live:
        x = torch.zeros(100, dtype=torch.float64)
        assert live.now == 800
        view = x[:10]
        x.mul_(2)
        assert live.now == 800  # a view and an operation in place take nothing
        y = x + view.sum()
        del x
        assert live.now == 1600  # the view keeps the memory
        del view
        assert live.now == 800
        del y
    assert (live.now, live.peak) == (0, 1608)


def test_live_bytes_leave_out_what_was_there_before():
    x = torch.zeros(100, dtype=torch.float64)
    with LiveBytes() as live:
        x.mul_(2)
        torch._foreach_add_([x], 1.0)
        y = x[:50].t()
    assert (live.now, live.peak) == (0, 0)
    assert y.shape == (50,)


@pytest.mark.parametrize(("options", "copies"), [({"foreach": True}, 1), ({"fused": True}, 0)])
def test_temporaries_of_the_step_of_torch(options, copies):
    net = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64)).float()
    optimizer = torch.optim.Adam(net.parameters(), **options)
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    with LiveBytes() as live:
        optimizer.step()
    assert live.now == 0
    assert live.peak == copies * sum(p.nbytes for p in net.parameters())


def test_live_bytes_of_a_tensor_from_numbers():
    with LiveBytes() as live:
        x = torch.tensor([0.0] * 1000, dtype=torch.float32)
        assert live.now == 4000
        del x
    assert (live.now, live.peak) == (0, 4000)


def test_live_bytes_of_a_backward_pass():
    x = torch.ones(1000, dtype=torch.float32, requires_grad=True)
    with LiveBytes() as live:
        (2 * x).sum().backward()
    assert live.now == x.grad.nbytes == 4000


def test_activations_without_dropout_and_a_tied_decoder():
    # Without its three masks and the dropped scores: 2 of 34, and 3 of 5 bytes.
    assert activation_bytes(64, 4, 128, 2, dropout=False) == 128 * 2 * (64 * 32 + 2 * 4 * 128)
    sizes = {"layers": 1, "width": 8, "heads": 2, "kv_heads": 1, "inner": 16, "vocabulary": 100}
    assert Decoder(**sizes).parameters - Decoder(**sizes, tied=True).parameters == 800


def test_a_single_number_is_not_divided():
    assert training_memory([()], shard="weights", processes=4).total == 16
