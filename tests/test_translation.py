"""Numbers in words: read back by another grammar; the network sees no future and no filling."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from adam_tutorial import SGD, Adam
from adam_tutorial import translation as tr
from adam_tutorial.training import build

NUMBERS = st.integers(0, 99_999)


SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen"""
ROUND = "twenty thirty forty fifty sixty seventy eighty ninety"


def read_english(text):
    """A reader that knows the words' values, and adds and multiplies from left to right."""
    value = {word: i for i, word in enumerate(SMALL.split())}
    value |= {word: 20 + 10 * i for i, word in enumerate(ROUND.split())}
    done, now = 0, 0
    for word in text.replace("-", " ").split(" "):
        if word == "thousand":
            done, now = now * 1000, 0
        elif word == "hundred":
            now *= 100
        else:
            now += value[word]
    return done + now


def read_chinese(text):
    """A reader that adds digit times unit; a unit without a digit before it counts once."""
    units = {"十": 10, "百": 100, "千": 1000, "万": 10_000}
    total, digit = 0, None
    for character in text:
        if character in units:
            total += (1 if digit is None else digit) * units[character]
            digit = None
        else:
            digit = "零一二三四五六七八九".index(character) or None
    return total + (digit or 0)


@given(NUMBERS)
@example(0)
@example(10)
@example(99_999)
def test_what_is_written_can_be_read_back(n):
    assert read_english(tr.english(n)) == n
    assert read_chinese(tr.chinese(n)) == n


@given(NUMBERS)
def test_the_rules_of_zero_and_ten(n):
    text = tr.chinese(n)
    assert "零零" not in text
    assert n == 0 or not text.endswith("零")
    gaps = sum(1 for gap in str(n).strip("0").replace("0", " ").split(" ")[1:] if gap)
    assert text.count("零") == (gaps if n else 1)
    assert text.startswith("十") == (10 <= n < 20)
    assert "and" not in tr.english(n).replace("thousand", "")


@pytest.mark.parametrize(
    ("n", "words", "characters"),
    [
        (0, "zero", "零"),
        (7, "seven", "七"),
        (10, "ten", "十"),
        (14, "fourteen", "十四"),
        (20, "twenty", "二十"),
        (21, "twenty-one", "二十一"),
        (100, "one hundred", "一百"),
        (110, "one hundred ten", "一百一十"),
        (202, "two hundred two", "二百零二"),
        (1010, "one thousand ten", "一千零一十"),
        (3005, "three thousand five", "三千零五"),
        (3050, "three thousand fifty", "三千零五十"),
        (3500, "three thousand five hundred", "三千五百"),
        (10_000, "ten thousand", "一万"),
        (20_500, "twenty thousand five hundred", "二万零五百"),
        (50_505, "fifty thousand five hundred five", "五万零五百零五"),
        (12_345, "twelve thousand three hundred forty-five", "一万二千三百四十五"),
    ],
)
def test_by_hand(n, words, characters):
    assert (tr.english(n), tr.chinese(n)) == (words, characters)
    assert tr.chinese(np.int64(n)) == characters


@pytest.mark.parametrize("n", [-1, 100_000, 2.0, "2", True, None])
@pytest.mark.parametrize("write", [tr.english, tr.chinese])
def test_other_numbers_are_refused(write, n):
    with pytest.raises(ValueError, match="n must be an integer >= 0 and <= 99999, got"):
        write(n)


def test_the_longest_texts_fit():
    assert max(len(tr.words(tr.english(n))) for n in range(100_000)) == tr.WORDS_MOST
    assert max(len(tr.chinese(n)) for n in range(100_000)) == tr.CHARACTERS_MOST


def test_the_parts_have_no_number_in_common_and_are_the_same_every_time():
    parts = tr.numbers()
    together = np.concatenate([parts.train, parts.val, parts.test])
    assert len(np.unique(together)) == len(together) == 4096 + 512 + 1024
    assert together.min() >= 0
    assert together.max() <= 99_999
    assert np.array_equal(tr.numbers().test, parts.test)
    assert not np.array_equal(tr.numbers(seed=1).test, parts.test)


@pytest.mark.parametrize(
    "sizes", [{"train": 0}, {"val": 0}, {"test": -1}, {"train": 99_999}, {"val": 2.5}]
)
def test_impossible_parts_are_refused(sizes):
    with pytest.raises(ValueError, match=f"{next(iter(sizes))} must "):
        tr.numbers(**sizes)


def test_texts_that_are_no_numbers_are_refused():
    for texts in (["two cats"], ["one one one one one one one one"], [""]):
        with pytest.raises(ValueError, match="texts must be numbers in English words, got"):
            tr.encode_english(texts)
    for texts in (["两百"], ["一" * 10]):
        with pytest.raises(ValueError, match="texts must be numbers in Chinese characters, got"):
            tr.encode_chinese(texts)


def rows(*ns):
    return tr.encode_english([tr.english(n) for n in ns]), tr.encode_chinese(
        [tr.chinese(n) for n in ns]
    )


def test_no_place_sees_a_later_character():
    net = build(tr.Translator)
    source, target = rows(12_345)
    other = target.clone()
    other[0, 5] = 7 if target[0, 5] != 7 else 8
    before, after = net(source, target[:, :-1]), net(source, other[:, :-1])
    assert torch.allclose(before[..., :5], after[..., :5], rtol=0, atol=1e-12)
    assert not torch.allclose(before[..., 5], after[..., 5], rtol=0, atol=1e-6)


def test_the_filling_changes_nothing():
    net = build(tr.Translator)
    source, target = rows(305)
    short = source[:, : int((source > 0).sum())]
    long, cut = net(source, target[:, :-1]), net(short, target[:, :-1])
    assert short.shape[1] < source.shape[1]
    assert torch.allclose(long, cut, rtol=0, atol=1e-12)


def test_the_loss_is_that_of_the_characters_and_the_end_sign_alone():
    net = build(tr.Translator)
    source, target = rows(305)
    length = int((target > 0).sum()) - 1
    chances = net(source, target[:, :-1]).softmax(dim=1)[0, :, :length]
    right = chances[target[0, 1 : length + 1], torch.arange(length)]
    assert torch.isclose(tr.loss(net, source, target), -right.log().mean())


def test_attention_gives_weights_and_leaves_the_network_as_it_was():
    net = build(tr.Translator)
    source, target = rows(45_116)
    before = net(source, target[:, :-1])
    weights = tr.attention(net, 45_116)
    assert weights.shape == (2, len(tr.chinese(45_116)) + 1, 6)
    assert torch.allclose(weights.sum(dim=2), torch.ones(2, 10, dtype=torch.float64))
    assert not net.decoder[-1].multihead_attn._forward_hooks
    assert torch.equal(net(source, target[:, :-1]), before)


class Scripted:
    """Stands in for a network: writes the same rows whatever the text."""

    def __init__(self, *rows):
        self.rows = torch.tensor(rows)

    def encode(self, source):
        return source

    def decode(self, memory, source, target):
        wanted = self.rows[:, : target.shape[1]]
        return torch.nn.functional.one_hot(wanted, len(tr.CHARACTERS)).movedim(-1, 1)


def test_a_translation_ends_at_the_first_end_sign_and_every_character_counts():
    end, five, six, start = tr.END, 8, 9, tr.START
    net = Scripted(
        [five, end, six] + [end] * 7, [end] + [five] * 9, [six, start] + [six] * 8, [six] * 10
    )
    assert tr.translate(net, ["five"] * 4) == ["五", "", "六?" + "六" * 8, "六" * 10]
    assert tr.exact_match(net, [5, 0, 6, 6]) == 0.25


def test_the_schedule_is_that_of_the_paper_with_the_peak_free():
    width, warmup, count = 512, 40, 100
    schedule = tr.warmup_inverse_sqrt(warmup, count)
    for t in range(1, count + 1):
        paper = width**-0.5 * min(t**-0.5, t * warmup**-1.5)
        peak = (width * warmup) ** -0.5
        assert schedule((t - 1) / count) * peak == pytest.approx(paper, rel=1e-12)
    with pytest.raises(ValueError, match="warmup must be an integer >= 1, got 0"):
        tr.warmup_inverse_sqrt(0, 100)


def test_without_warm_up_only_the_start_differs():
    warm, cold = tr.Translation(), tr.Translation(cold=True)
    for t in range(1, 301):
        factor = cold.schedule((t - 1) / 300)
        assert factor == (1.0 if t <= 30 else warm.schedule((t - 1) / 300))


def test_a_short_training_learns_and_its_seed_decides_all():
    task = tr.Translation(count=30, warmup=3)
    first, again = (task.run(Adam(lr=0.01), seed=0) for _ in range(2))
    assert first == again
    assert task.run(Adam(lr=0.01), seed=1) != first
    assert first["loss"] < 2.0 < tr.Translation(count=1).run(Adam(lr=0.0), seed=0)["loss"]


def test_each_part_has_its_own_use():
    task, ns = tr.Translation(count=2, warmup=1, batch_size=4096), tr.numbers()
    net = task.train(SGD(lr=0.1), seed=0)
    texts = {part: getattr(ns, part) for part in ("train", "val", "test")}
    rows = {
        part: (
            tr.encode_english([tr.english(n) for n in own]),
            tr.encode_chinese([tr.chinese(n) for n in own]),
        )
        for part, own in texts.items()
    }
    found = task.evaluate(net)
    assert found["loss"] == pytest.approx(tr.loss(net, *rows["val"]).item(), rel=1e-12)
    # A network that knows the answers of one part only is right there, and there only.
    known = {tr.english(n) for n in texts["test"]}

    def knows(net, asked):
        return [tr.chinese(n) if tr.english(n) in known else "" for n in map(number_of, asked)]

    number_of = {tr.english(n): n for own in texts.values() for n in own}.__getitem__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tr, "translate", knows)
        assert task.evaluate(net)["accuracy"] == 1.0
        known = {tr.english(n) for n in texts["val"]} | {tr.english(n) for n in texts["train"]}
        assert task.evaluate(net)["accuracy"] == 0.0
    # Two steps down the loss of batches of the training part, by hand.
    other, draw = build(tr.Translator, seed=0), torch.Generator().manual_seed(0)
    source, target = rows["train"]
    for rate in (0.1, 0.1 * 0.5**0.5):
        batch = torch.randint(len(source), (4096,), generator=draw)
        value = tr.loss(other, source[batch], target[batch])
        grads = torch.autograd.grad(value, list(other.parameters()))
        with torch.no_grad():
            for p, grad in zip(other.parameters(), grads, strict=True):
                p.sub_(rate * grad)
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-12)


def test_scale_and_norm_first():
    task = tr.Translation(count=1, warmup=1)
    one, two = task.train(SGD(lr=1e-9), 0), task.train(SGD(lr=1e-9), 0, scale=2.0)
    assert torch.allclose(2 * one.words.weight, two.words.weight, rtol=1e-6)
    # With the normalisation first, a layer whose outputs are all zero passes its input on.
    with torch.no_grad():
        for layer in one.encoder:
            layer.self_attn.out_proj.weight.zero_(), layer.self_attn.out_proj.bias.zero_()
            layer.linear2.weight.zero_(), layer.linear2.bias.zero_()
        source = tr.encode_english(["two hundred one"])
        x = one.words(source) + one.word_places.weight
        assert torch.allclose(one.encode(source), one.encoder_norm(x))


def test_an_overflow_is_an_infinite_loss():
    result = tr.Translation(count=3, warmup=1).run(Adam(lr=1e200), seed=0)
    assert result["loss"] == np.inf
    assert np.isnan(result["accuracy"])


def test_only_muon_cannot_take_part():
    assert tr.Translation().steppable("Adam")
    assert not tr.Translation().steppable("Muon")
