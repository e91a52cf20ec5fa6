"""A small object detector: digits on canvases with clutter, and their average precision."""

import contextlib
import functools
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import ndimage
from torch import nn

from adam_tutorial import datasets, training
from adam_tutorial.optimizers import Optimizer, ScheduleFreeAdamW
from adam_tutorial.optimizers.base import integer
from adam_tutorial.schedules import linear_decay
from adam_tutorial.torch_optimizer import TorchOptimizer

SIZE = 40
"""The side of a canvas in pixels."""

STRIDE = 4
"""The side of a cell of the detector in pixels."""

CELLS = SIZE // STRIDE

INK = 0.301
"""What is brighter belongs to a digit. No interpolated pixel has just this value, which rounding
would put here on one processor and there on another."""

AREAS = {"all": (0, 1e5), "small": (0, 10**2), "medium": (10**2, 15**2), "large": (15**2, 1e5)}
"""The areas of the boxes of each size in square pixels; COCO's own limits are 32² and 96².

A box whose area is a limit counts on both sides of it, as in COCO's code."""

CLASSES = 5
"""The digits that occur: 0 to 4. With five kinds, a short training is enough."""

MOST = 20
"""The most detections of a canvas."""


@dataclass(frozen=True)
class Scenes:
    """Canvases and the digits on them; ``scenes`` makes it.

    Parameters
    ----------
    images : float64 array of shape (n, 1, 40, 40)
        The canvases; a pixel is a number from 0 to 1.
    objects : DataFrame
        A row for each digit: ``image``, the number of its canvas; ``label``, the digit;
        ``x``, ``y``, ``width``, ``height``, its box in pixels, from the canvas's upper left corner.
    """

    images: np.ndarray
    objects: pd.DataFrame


def scenes(count: int, seed: int = 0, part: str = "train") -> Scenes:
    """Return canvases of 40 × 40 pixels with one to four digits, fragments, strokes and noise.

    A digit is one of scikit-learn's, enlarged to a side of 11 to 22 pixels. Its box is tight around
    its ink. Two boxes overlap by no more than a tenth of the smaller one.

    Parameters
    ----------
    count : int
        How many canvases.
    seed : int, default 0
        Decides all that is random.
    part : "train", "val" or "test", default "train"
        The part of ``datasets.load("digits")`` that the digits and the fragments are taken from.
        The parts share no digit.

    Returns
    -------
    Scenes
        The canvases and what is on them.

    Raises
    ------
    ValueError
        If ``count`` is not an integer of at least 1, or ``part`` is not one of the three.

    Examples
    --------
    >>> some = scenes(2)
    >>> some.images.shape, list(some.objects)
    ((2, 1, 40, 40), ['image', 'label', 'x', 'y', 'width', 'height'])
    """
    integer("count", count, least=1)
    if part not in ("train", "val", "test"):
        raise ValueError(f"part must be one of 'train', 'val', 'test', got {part!r}")
    data = _digits()
    digits, labels = getattr(data, f"x_{part}")[:, 0], getattr(data, f"y_{part}")
    digits, labels = digits[labels < CLASSES], labels[labels < CLASSES]
    # The parts share no random numbers, so that no two have canvases of one layout.
    rng = np.random.default_rng([seed, ("train", "val", "test").index(part)])
    images, rows = np.zeros((count, 1, SIZE, SIZE)), []
    for number in range(count):
        canvas = images[number, 0]
        _clutter(canvas, digits, rng)
        boxes = []
        for _ in range(rng.integers(1, 5)):
            index, side = rng.integers(len(digits)), int(rng.integers(11, 23))
            left, top = rng.integers(0, SIZE - side + 1, size=2)
            # As bright as can be somewhere, whoever wrote it.
            picture = ndimage.zoom(digits[index] / digits[index].max(), side / 8, order=1)
            box = _tight(picture, left, top)
            if all(_overlap(box, other) <= 0.1 for other in boxes):
                patch = canvas[top : top + side, left : left + side]
                np.maximum(patch, picture, out=patch)
                boxes.append(box)
                rows.append((number, int(labels[index]), *box))
        canvas += 0.05 * rng.standard_normal(canvas.shape)
    columns = ["image", "label", "x", "y", "width", "height"]
    return Scenes(images.clip(0, 1), pd.DataFrame(rows, columns=columns))


@functools.cache
def _digits() -> datasets.Dataset:
    return datasets.load("digits")


def _tight(picture: np.ndarray, left: int, top: int) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(picture > INK)
    x, y = left + columns.min(), top + rows.min()
    width, height = columns.max() + 1 - columns.min(), rows.max() + 1 - rows.min()
    return float(x), float(y), float(width), float(height)


def _overlap(a: tuple, b: tuple) -> float:
    """Return the area that two boxes share, as a part of the smaller one."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0) / min(a[2] * a[3], b[2] * b[3])


def _clutter(canvas: np.ndarray, digits: np.ndarray, rng: np.random.Generator) -> None:
    """Draw two pieces of digits, and two straight strokes, all darker than the digits."""
    for _ in range(2):
        row, column = rng.integers(0, 5, size=2)
        piece = digits[rng.integers(len(digits)), row : row + 4, column : column + 4]
        side = int(rng.integers(6, 12))
        left, top = rng.integers(0, SIZE - side + 1, size=2)
        patch = canvas[top : top + side, left : left + side]
        np.maximum(patch, 0.6 * ndimage.zoom(piece, side / 4, order=1), out=patch)
    for _ in range(2):
        ends = rng.integers(0, SIZE, size=(2, 2))
        along = np.linspace(0, 1, 2 * SIZE)[:, None]
        row, column = np.floor(ends[0] + along * (ends[1] - ends[0]) + 0.01).astype(int).T
        canvas[row, column] = 0.6


class Detector(nn.Module):
    """A detector in one stage and without anchors: convolutions, and two heads for every cell.

    The canvas is divided into 10 × 10 cells. For each cell one head scores the five digits, and the
    other says how far it is from the cell's centre to the left, upper, right and lower side of
    the box.

    Parameters
    ----------
    width : int, default 24
        The channels of the hidden layers; the first has half as many.

    Examples
    --------
    >>> sum(p.numel() for p in Detector().parameters())
    13569
    """

    def __init__(self, width: int = 24):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, width // 2, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
        )
        self.scores = nn.Conv2d(width, CLASSES, 1)
        self.sides = nn.Conv2d(width, 4, 1)
        for layer in self.body[::2]:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        # At first each score is 0.1: few cells have a digit (Lin et al., 2017).
        nn.init.constant_(self.scores.bias, math.log(0.1 / 0.9))
        nn.init.constant_(self.sides.bias, 1.5)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map canvases to scores of (n, 5, 10, 10) and sides of (n, 4, 10, 10), in cells."""
        features = self.body(images)
        return self.scores(features), self.sides(features)


def encode(objects: pd.DataFrame, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the detector should answer.

    Parameters
    ----------
    objects : DataFrame
        As in ``Scenes``.
    count : int
        The number of canvases.

    Returns
    -------
    heat : tensor of shape (count, 5, 10, 10)
        For every digit a bell curve, with 1 in the cell that has the box's centre.
    sides : tensor of shape (count, 4, 10, 10)
        In that cell and its eight neighbours, if they lie in the box, the distances from the cell's
        centre to the left, upper, right and lower side of the box, in cells; elsewhere NaN. A cell
        that lies in two boxes has the distances of the smaller one, and a box so narrow that no
        cell's centre lies in it has none.
    """
    heat = np.zeros((count, CLASSES, CELLS, CELLS))
    sides = np.full((count, 4, CELLS, CELLS), np.nan)
    cells = np.arange(CELLS)
    # Small boxes last: a cell that lies in two boxes belongs to the smaller one, as in FCOS.
    order = (-objects["width"] * objects["height"]).argsort(kind="stable")
    for image, label, x, y, width, height in objects.iloc[order].itertuples(index=False):
        x, y, width, height = (value / STRIDE for value in (x, y, width, height))
        column, row = int(x + width / 2), int(y + height / 2)
        spread = math.sqrt(width * height) / 6
        far = (cells[:, None] - row) ** 2 + (cells - column) ** 2
        np.maximum(heat[image, label], np.exp(-far / (2 * spread**2)), out=heat[image, label])
        for i in range(max(row - 1, 0), min(row + 2, CELLS)):
            for j in range(max(column - 1, 0), min(column + 2, CELLS)):
                distances = j + 0.5 - x, i + 0.5 - y, x + width - j - 0.5, y + height - i - 0.5
                if min(distances) > 0:
                    sides[image, :, i, j] = distances
    return torch.from_numpy(heat), torch.from_numpy(sides)


def decode(scores: torch.Tensor, sides: torch.Tensor) -> pd.DataFrame:
    """Return the boxes that the detector's answers stand for.

    A cell is taken where its score is the highest of its 3 × 3 neighbourhood, of all digits. So one
    digit gives one box, and no boxes have to be removed afterwards.

    Parameters
    ----------
    scores : tensor of shape (n, 5, 10, 10)
        The logits.
    sides : tensor of shape (n, 4, 10, 10)
        Distances in cells.

    Returns
    -------
    DataFrame
        The columns of ``Scenes.objects``, and ``score``, from 0 to 1; for each canvas the 20 with
        the highest scores.
    """
    best, labels = scores.max(dim=1)
    peaks = nn.functional.max_pool2d(best[:, None], 3, stride=1, padding=1)[:, 0]
    # A score that is not finite is no peak.
    image, row, column = torch.nonzero((best == peaks) & best.isfinite(), as_tuple=True)
    left, top, right, bottom = STRIDE * sides.movedim(1, -1)[image, row, column].clamp(min=0.1).T
    found = {
        "image": image,
        "label": labels[image, row, column],
        "x": STRIDE * (column + 0.5) - left,
        "y": STRIDE * (row + 0.5) - top,
        "width": left + right,
        "height": top + bottom,
        "score": best[image, row, column].sigmoid(),
    }
    table = pd.DataFrame({name: column.numpy() for name, column in found.items()})
    table = table.sort_values(["image", "score"], ascending=[True, False], kind="stable")
    return table.groupby("image").head(MOST).reset_index(drop=True)


def loss(
    scores: torch.Tensor, sides: torch.Tensor, heat: torch.Tensor, true_sides: torch.Tensor
) -> torch.Tensor:
    """Return the loss of a batch: focal loss of the scores, and smooth L1 loss of the sides.

    Parameters
    ----------
    scores, sides : tensors
        What the detector answers.
    heat, true_sides : tensors
        What ``encode`` gives.

    Returns
    -------
    tensor
        A number: the focal loss per digit and the loss of a cell's four sides per such cell.

    References
    ----------
    Zhou, Wang and Krähenbühl, "Objects as Points", 2019 (the bell curves); Li et al., "Generalized
    Focal Loss", NeurIPS 2020 (the focal loss for answers between 0 and 1); Girshick, "Fast R-CNN",
    ICCV 2015 (the smooth L1 loss); Tian et al., "FCOS", ICCV 2019 (the four sides).
    """
    entropy = nn.functional.binary_cross_entropy_with_logits(scores, heat, reduction="none")
    focal = ((heat - scores.sigmoid()) ** 2 * entropy).sum() / (heat == 1).sum().clamp(min=1)
    known = true_sides.isfinite()
    boxes = nn.functional.smooth_l1_loss(sides[known], true_sides[known], beta=0.25)
    return focal + 4 * boxes


def average_precision(truth: pd.DataFrame, detections: pd.DataFrame) -> pd.Series:
    """Return COCO's average precision, computed by pycocotools' own ``COCOeval``.

    Parameters
    ----------
    truth : DataFrame
        As ``Scenes.objects``.
    detections : DataFrame
        The same columns and ``score``.

    Returns
    -------
    Series
        ``AP``, the mean over the digits and over ten thresholds of the overlap (intersection over
        union), from 0.5 to 0.95; ``AP50`` and ``AP75``, with the threshold 0.5 or 0.75 alone; and
        ``APsmall``, ``APmedium`` and ``APlarge``, over digits whose box has an area below 100, up
        to 225, or above 225 square pixels. -1 where there is no such digit.

    Raises
    ------
    ValueError
        If ``truth`` is empty.

    Examples
    --------
    >>> truth = scenes(20).objects
    >>> round(average_precision(truth, truth.assign(score=1.0))["AP"], 6)
    np.float64(1.0)
    """
    if not len(truth):
        raise ValueError("truth must hold at least one box, got an empty table")
    names = ["AP", "AP50", "AP75", "APsmall", "APmedium", "APlarge"]
    if not len(detections):  # pycocotools cannot read an empty list
        return pd.Series(0.0, index=names)
    known = COCO()
    known.dataset = {
        "images": [{"id": int(i)} for i in {*truth["image"], *detections["image"]}],
        "categories": [{"id": k} for k in range(CLASSES)],
        # Numbered from 1: COCOeval takes the number 0 for "no box".
        "annotations": [
            {"id": k, **annotation, "iscrowd": 0}
            for k, annotation in enumerate(_annotations(truth), start=1)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        known.createIndex()
        found = known.loadRes(
            [
                {**annotation, "score": float(score)}
                for annotation, score in zip(
                    _annotations(detections), detections["score"], strict=True
                )
            ]
        )
        evaluation = COCOeval(known, found, "bbox")
        evaluation.params.areaRngLbl, evaluation.params.areaRng = zip(*AREAS.items(), strict=True)
        evaluation.params.maxDets = [1, 10, 100]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return pd.Series(evaluation.stats[:6], index=names)


def _annotations(table: pd.DataFrame) -> Iterator[dict]:
    columns = ["image", "label", "x", "y", "width", "height"]
    for image, label, *box in table[columns].itertuples(index=False):
        box = [float(value) for value in box]
        area = box[2] * box[3]
        yield {"image_id": int(image), "category_id": int(label), "bbox": box, "area": area}


@functools.cache
def batchable(part: str, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the canvases of a part of the digits, with seed 0, and what ``encode`` says of them.

    Parameters
    ----------
    part : "train", "val" or "test"
        As for ``scenes``.
    count : int
        How many canvases.

    Returns
    -------
    images, heat, sides : tensors
        The rows of each are the canvases. They are kept for the next call: do not change them.
    """
    some = scenes(count, 0, part)
    return torch.from_numpy(some.images), *encode(some.objects, count)


@dataclass(frozen=True)
class Detection:
    """The detector to train; its results are the validation loss and the test AP at the end.

    Parameters
    ----------
    steps : int, default 500
        The number of steps.
    batch_size : int, default 8
        Canvases in a batch.
    canvases : int, default 1000
        The number of canvases to train on; a quarter of it to choose by, and as many to report on.
    clip : float, default infinity
        The largest norm of a gradient; a longer one is scaled down to it.
    """

    steps: int = 500
    batch_size: int = 8
    canvases: int = 1000
    clip: float = math.inf

    def steppable(self, name: str) -> bool:
        """Return whether the optimizer of this name can take part (bool)."""
        return name not in ("Muon", "SOAP")  # they step matrices, and kernels are none

    def train(
        self, optimizer: Optimizer, seed: int, scale: float = 1.0
    ) -> tuple[nn.Module, pd.DataFrame]:
        """Train a detector.

        The learning rate falls to 0 in a straight line; Schedule-Free AdamW keeps it, as is meant.

        Parameters
        ----------
        optimizer : Optimizer
            For example ``Adam(lr=1e-3)``.
        seed : int
            Decides the initial weights and the order of the canvases.
        scale : float, default 1
            Factor on the initial weights.

        Returns
        -------
        net : Detector
            The detector after the training, or after the first loss that is not finite.
        curve : DataFrame
            A row for each step, with its number as the index; ``loss``, that of its batch, and
            ``norm``, that of its gradient before it was scaled down.
        """
        images, heat, sides = batchable("train", self.canvases)
        order = torch.Generator().manual_seed(seed)
        net = training.build(Detector, seed, scale)
        steppers, rows, left = [TorchOptimizer(net.parameters(), optimizer)], [], []

        def batch_loss(step: int) -> torch.Tensor:
            nonlocal left
            if len(left) < self.batch_size:
                left = torch.randperm(self.canvases, generator=order)
            batch, left = left[: self.batch_size], left[self.batch_size :]
            return loss(*net(images[batch]), heat[batch], sides[batch])

        def clipped(*_) -> None:
            norm = nn.utils.clip_grad_norm_(net.parameters(), self.clip)
            rows.append({"norm": norm.item()})

        steppers[0].register_step_pre_hook(clipped)
        schedule = None if isinstance(optimizer, ScheduleFreeAdamW) else linear_decay
        for _, value in training.steps(
            net, lambda _: steppers, batch_loss, self.steps, schedule=schedule
        ):
            rows[-1]["loss"] = value
            if not math.isfinite(value):
                break
        steppers[0].swap_average()
        curve = pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="step"))
        return net.eval(), curve[["loss", "norm"]]

    def run(self, optimizer: Optimizer, seed: int) -> dict[str, float]:
        """Train, and return the validation loss and the test AP."""
        net, _ = self.train(optimizer, seed)
        value = self.validate(net)
        if not math.isfinite(value):
            return {"loss": math.inf, "accuracy": math.nan}
        return {"loss": value, "accuracy": self.test(net)["AP"].item()}

    @torch.no_grad()
    def validate(self, net: nn.Module) -> float:
        """Return a detector's mean loss on the validation canvases (float)."""
        images, heat, sides = batchable("val", self.canvases // 4)
        return loss(*net(images), heat, sides).item()

    @torch.no_grad()
    def test(self, net: nn.Module) -> pd.Series:
        """Return what ``average_precision`` gives on the test canvases (Series)."""
        count = self.canvases // 4
        found = decode(*net(batchable("test", count)[0]))
        return average_precision(scenes(count, 0, "test").objects, found)
