from urllib.error import URLError

import numpy as np
import pytest

from adam_tutorial import datasets


def test_digits_are_split_into_parts_that_share_nothing():
    data = datasets.load()
    parts = [getattr(data, f"x_{part}") for part in ("train", "val", "test")]
    assert [x.shape for x in parts] == [(1077, 1, 8, 8), (360, 1, 8, 8), (360, 1, 8, 8)]
    images = np.concatenate(parts).reshape(1797, -1)
    assert images.dtype == np.float64
    assert (images.min(), images.max()) == (0.0, 1.0)
    # Each image of scikit-learn's set stands in one part only; none of them occurs twice.
    assert len(np.unique(images, axis=0)) == 1797
    assert data.classes == 10


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_every_class_has_its_share(part):
    y = getattr(datasets.load(), f"y_{part}")
    counts = np.bincount(y, minlength=10)
    assert y.dtype == np.int64
    assert counts.min() > 0.08 * len(y)


def test_the_split_is_always_the_same():
    np.testing.assert_array_equal(datasets.load().y_test, datasets.load().y_test)


def test_mnist_without_a_network_names_the_way_out(monkeypatch):
    def fetch(*args, **kwargs):
        raise URLError("Name or service not known")

    monkeypatch.setattr(datasets, "fetch_openml", fetch)
    with pytest.raises(ConnectionError, match=r"MNIST could not be downloaded.*load\('digits'\)"):
        datasets.load("mnist")


def test_mnist_has_the_same_form_as_the_digits(monkeypatch):
    x = np.tile(np.arange(784) % 256, (30_000, 1))
    y = np.tile([str(d) for d in range(10)], 3000)
    monkeypatch.setattr(datasets, "fetch_openml", lambda *args, **kwargs: (x, y))
    data = datasets.load("mnist")
    assert data.x_train.shape == (10_000, 1, 28, 28)
    assert data.x_train.max() == 1.0
    assert data.y_test.dtype == np.int64


def test_an_unknown_name():
    with pytest.raises(ValueError, match="name must be one of 'digits', .*, got 'cifar'"):
        datasets.load("cifar")


def test_sentences_belong_to_one_package_and_do_not_name_it():
    table = datasets.sentences()
    assert table.groupby("package").size().to_dict() == dict.fromkeys(datasets.PACKAGES, 700)
    assert table["sentence"].is_unique
    words = table["sentence"].str.split(" ")
    assert words.str.len().between(4, 30).all()
    assert table["sentence"].str.fullmatch("[a-z ]+").all()
    assert not words.explode().isin(datasets.PACKAGES).any()


def test_sentences_are_those_of_the_docstrings(tmp_path):
    path = tmp_path / "some.py"
    path.write_text('"""One two. Three."""\ndef f():\n    """Four\n    five."""\n    "six"\n')
    assert list(datasets._docstrings_of(path)) == ["One two. Three.", "Four\nfive."]
    path.write_text("print 'of another Python'")
    assert list(datasets._docstrings_of(path)) == []


@pytest.mark.parametrize("bad", [0, True, 2.5])
def test_a_bad_number_of_sentences(bad):
    with pytest.raises(ValueError, match=f"^per_package must be .*got {bad}$"):
        datasets.sentences(bad)


def test_more_sentences_than_a_package_has(monkeypatch):
    # Small packages: all their files are read, which for PACKAGES takes a minute.
    monkeypatch.setattr(datasets, "PACKAGES", ("tqdm", "joblib"))
    with pytest.raises(ValueError, match="at most [0-9]+, as tqdm has no more.*, got 1000000$"):
        datasets.sentences(10**6)


def test_words_become_their_shares():
    data = datasets.load("docstrings")
    assert data.x_train.shape == (2800, 800)
    sums = data.x_train.sum(axis=1)
    assert np.all(np.isclose(sums, 1) | (sums == 0))
    assert np.bincount(data.y_test, minlength=6).min() > 110


def test_the_next_character_is_the_class():
    data = datasets.load("characters")
    for part in ("train", "val", "test"):
        x, y = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
        np.testing.assert_array_equal(np.append(x.ravel()[1:], y[-1, -1]), y.ravel())
    text = "".join(datasets.CHARACTERS[i] for i in data.x_test.ravel())
    assert " the " in text
