"""Real data. The default needs no network: scikit-learn ships it."""

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import fetch_openml, load_digits
from sklearn.model_selection import train_test_split

SPLIT_SEED = 0


@dataclass(frozen=True)
class Dataset:
    """Images and their classes in three parts: to train on, to choose by, to report on.

    ``load`` makes it.

    Parameters
    ----------
    name : str
        The name by which ``load`` knows it.
    x_train, x_val, x_test : float64 arrays of shape (n, 1, height, width)
        The images; a pixel is a number from 0 to 1. n differs between the parts.
    y_train, y_val, y_test : int64 arrays of shape (n,)
        The class of each image, counted from 0.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    @property
    def classes(self) -> int:
        """The number of classes (int), one more than the largest class in ``y_train``."""
        return int(self.y_train.max()) + 1

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(getattr(self, 'y_' + k))} {k}" for k in ("train", "val", "test"))
        return f"Dataset({self.name}: {sizes}; images {self.x_train.shape[1:]})"


def load(name: str = "digits") -> Dataset:
    """Return a data set by name, split at random into three parts, the same way every time.

    Each part has the classes in the same shares.

    Parameters
    ----------
    name : "digits" or "mnist", default "digits"
        ``"digits"``: 1797 handwritten digits of 8 × 8 pixels, part of scikit-learn, always there.
        ``"mnist"``: 70 000 handwritten digits of 28 × 28 pixels, downloaded from OpenML at the
        first call (about 15 MB) and kept by scikit-learn in its data folder.

    Returns
    -------
    Dataset
        Of the digits 1077 to train on, 360 to choose by and 360 to report on; of MNIST 50 000,
        10 000 and 10 000.

    Raises
    ------
    ValueError
        If there is no data set of this name.
    ConnectionError
        If the data has to be downloaded and the network does not give it.

    References
    ----------
    Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, 1998; LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to
    Document Recognition", Proceedings of the IEEE, 1998.

    Examples
    --------
    >>> load("digits")
    Dataset(digits: 1077 train, 360 val, 360 test; images (1, 8, 8))
    """
    if name == "digits":
        return _digits()
    if name == "mnist":
        return _mnist()
    raise ValueError(f"name must be 'digits' or 'mnist', got {name!r}")


def _digits() -> Dataset:
    x, y = load_digits(return_X_y=True)
    x = (x / 16).reshape(-1, 1, 8, 8)
    return _split("digits", x, y, test=360, val=360)


def _mnist() -> Dataset:
    try:
        x, y = fetch_openml("mnist_784", version=1, as_frame=False, return_X_y=True, n_retries=1)
    except OSError as error:
        raise ConnectionError(
            f"MNIST could not be downloaded from OpenML ({error}); "
            "load('digits') gives smaller digits that need no network"
        ) from error
    x = (x / 255).reshape(-1, 1, 28, 28)
    return _split("mnist", x, y, test=10_000, val=10_000)


def _split(name: str, x: np.ndarray, y: np.ndarray, test: int, val: int) -> Dataset:
    """Split at random, the same way every time, with the classes in equal shares."""
    y = y.astype(np.int64)
    x_rest, x_test, y_rest, y_test = train_test_split(
        x, y, test_size=test, stratify=y, random_state=SPLIT_SEED
    )
    x_train, x_val, y_train, y_val = train_test_split(
        x_rest, y_rest, test_size=val, stratify=y_rest, random_state=SPLIT_SEED
    )
    return Dataset(name, x_train, y_train, x_val, y_val, x_test, y_test)
