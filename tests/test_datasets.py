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
    with pytest.raises(ValueError, match="name must be 'digits' or 'mnist', got 'cifar'"):
        datasets.load("cifar")
