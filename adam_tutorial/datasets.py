"""Real data. All but MNIST needs no network: it comes with the packages that the book runs on."""

import ast
import functools
import hashlib
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import fetch_openml, load_digits
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import train_test_split

SPLIT_SEED = 0

PACKAGES = ("matplotlib", "numpy", "pandas", "scipy", "sklearn", "torch")
"""The packages whose docstrings ``sentences`` reads."""

CHARACTERS = " abcdefghijklmnopqrstuvwxyz"
"""What a text of ``load("characters")`` is made of; a character's number is its place."""

CONTEXT = 32
"""The length of a text of ``load("characters")``."""


@dataclass(frozen=True)
class Dataset:
    """Examples and their classes in three parts: to train on, to choose by, to report on.

    ``load`` makes it.

    Parameters
    ----------
    name : str
        The name by which ``load`` knows it.
    x_train, x_val, x_test : arrays of shape (n, ...)
        The examples. n differs between the parts. Images are float64, of shape
        ``(n, 1, height, width)``; a pixel is a number from 0 to 1.
    y_train, y_val, y_test : int64 arrays of shape (n,) or (n, length)
        The class of each example, or of each place in it, counted from 0.
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
        kind = "images" if self.x_train.ndim == 4 else "inputs"
        return f"Dataset({self.name}: {sizes}; {kind} {self.x_train.shape[1:]})"


def load(name: str = "digits") -> Dataset:
    """Return a data set by name, split at random into three parts, the same way every time.

    Where an example has one class, each part has the classes in the same shares.

    Parameters
    ----------
    name : "digits", "mnist", "docstrings" or "characters", default "digits"
        ``"digits"``: 1797 handwritten digits of 8 × 8 pixels, part of scikit-learn, always there.
        ``"mnist"``: 70 000 handwritten digits of 28 × 28 pixels, downloaded from OpenML at the
        first call (about 15 MB) and kept by scikit-learn in its data folder.
        ``"docstrings"``: the sentences of ``sentences()``; a sentence is an array of the shares
        that the 800 most frequent words of the training part have in it, its class the package
        that it comes from, in the order of ``PACKAGES``.
        ``"characters"``: the same sentences as one text for each part, cut into pieces of 32 of
        the ``CHARACTERS``, by number; the class at each place is the next character.

    Returns
    -------
    Dataset
        Of the digits 1077 to train on, 360 to choose by and 360 to report on; of MNIST 50 000,
        10 000 and 10 000; of the docstrings 2800, 700 and 700; of the characters 2048, 256 and
        256.

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
    >>> load("docstrings")
    Dataset(docstrings: 2800 train, 700 val, 700 test; inputs (800,))
    """
    makers = {
        "digits": _digits,
        "mnist": _mnist,
        "docstrings": _docstrings,
        "characters": _characters,
    }
    if name not in makers:
        raise ValueError(f"name must be one of {', '.join(map(repr, makers))}, got {name!r}")
    return makers[name]()


def sentences(per_package: int = 700) -> pd.DataFrame:
    """Return sentences from the docstrings of installed packages, without importing these.

    A sentence is the first of a docstring, in lower case, as its words of the letters a to z with
    single spaces between them; it has from 4 to 30 words. The names of the packages are taken out,
    and a sentence that two packages have belongs to neither. The docstrings are those of the
    installed versions, so that another version gives other sentences.

    Parameters
    ----------
    per_package : int, default 700
        How many sentences to take from each of ``PACKAGES``.

    Returns
    -------
    DataFrame
        The columns ``sentence`` and ``package``, both str; sorted by package.

    Raises
    ------
    ValueError
        If ``per_package`` is not an integer of at least 1, or a package has not so many.

    Examples
    --------
    >>> table = sentences(per_package=2)
    >>> table["package"].tolist()[:4]
    ['matplotlib', 'matplotlib', 'numpy', 'numpy']
    """
    integer = isinstance(per_package, (int, np.integer)) and not isinstance(per_package, bool)
    if not integer or per_package < 1:
        raise ValueError(f"per_package must be an integer of at least 1, got {per_package!r}")
    found = {package: _first_sentences(package, int(1.2 * per_package)) for package in PACKAGES}
    rows = []
    for package, own in found.items():
        others = set().union(*(found[other] for other in PACKAGES if other != package))
        # In an order that has nothing to do with the files, and that one file more hardly changes.
        kept = sorted((s for s in own if s not in others), key=_digest)[:per_package]
        if len(kept) < per_package:
            raise ValueError(
                f"per_package must be at most {len(kept)}, as {package} has no more sentences, "
                f"got {per_package}"
            )
        rows += [{"sentence": sentence, "package": package} for sentence in kept]
    return pd.DataFrame(rows)


@functools.cache
def _first_sentences(package: str, least: int) -> list[str]:
    """Return at least so many different sentences of a package, if it has them."""
    root = Path(importlib.util.find_spec(package).origin).parent
    names = {path: path.relative_to(root) for path in root.rglob("*.py")}
    files = [path for path, name in names.items() if not {"tests", "_vendor"} & {*name.parts}]
    found = {}
    for path in sorted(files, key=lambda path: _digest(names[path].as_posix())):
        for docstring in _docstrings_of(path):
            first = re.split(r"(?<=[.!?])\s|\n\s*\n", docstring.strip(), maxsplit=1)[0]
            words = re.findall("[a-z]+", first.lower())
            words = [word for word in words if word not in PACKAGES]
            if 4 <= len(words) <= 30:
                found[" ".join(words)] = None
        if len(found) >= least:
            break
    return list(found)


def _docstrings_of(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):  # a template, or of another version of Python
        return
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, kinds) and (docstring := ast.get_docstring(node)):
            yield docstring
        # Only statements hold definitions: ast.walk would go through all expressions too.
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, block, ())
            todo += inner if isinstance(inner, list) else ()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _digits() -> Dataset:
    x, y = load_digits(return_X_y=True)
    x = (x / 16).reshape(-1, 1, 8, 8)
    return _split("digits", x, y, test=360, val=360)


def _docstrings() -> Dataset:
    table = sentences()
    y = table["package"].map(PACKAGES.index).to_numpy()
    data = _split("docstrings", table["sentence"].to_numpy(dtype=object), y, test=700, val=700)
    counts = CountVectorizer(max_features=800).fit(data.x_train)

    def shares(part: np.ndarray) -> np.ndarray:
        x = counts.transform(part).toarray().astype(np.float64)
        return x / np.maximum(x.sum(axis=1, keepdims=True), 1)

    x_train, x_val, x_test = map(shares, (data.x_train, data.x_val, data.x_test))
    return Dataset(data.name, x_train, data.y_train, x_val, data.y_val, x_test, data.y_test)


def _characters() -> Dataset:
    table = sentences()
    y = table["package"].map(PACKAGES.index).to_numpy()
    data = _split("characters", table["sentence"].to_numpy(dtype=object), y, test=700, val=700)

    def pieces(part: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        codes = np.array([CHARACTERS.index(c) for c in " ".join(part)])
        codes = codes[: count * CONTEXT + 1]
        return codes[:-1].reshape(count, CONTEXT), codes[1:].reshape(count, CONTEXT)

    x_train, y_train = pieces(data.x_train, 2048)
    x_val, y_val = pieces(data.x_val, 256)
    x_test, y_test = pieces(data.x_test, 256)
    return Dataset(data.name, x_train, y_train, x_val, y_val, x_test, y_test)


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
