"""The detector's data, its targets, and what stands between it and pycocotools."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from adam_tutorial import SGD, Adam, datasets, detection

BOX = ["x", "y", "width", "height"]


@pytest.fixture(scope="module")
def some():
    return detection.scenes(60, seed=3)


def test_scenes_are_the_same_every_time_and_differ_between_seeds(some):
    again = detection.scenes(60, seed=3)
    assert np.array_equal(some.images, again.images)
    pd.testing.assert_frame_equal(some.objects, again.objects)
    assert not np.array_equal(some.images, detection.scenes(60, seed=4).images)


def test_scenes_have_one_to_four_digits_in_the_canvas_and_hardly_over_each_other(some):
    assert some.images.shape == (60, 1, 40, 40)
    assert some.images.min() >= 0
    assert some.images.max() <= 1
    counts = some.objects["image"].value_counts()
    assert len(counts) == 60
    assert counts.between(1, 4).all()
    assert counts.max() > 1
    assert set(some.objects["label"]) == set(range(detection.CLASSES))
    assert (some.objects[["x", "y"]] >= 0).all(axis=None)
    assert (some.objects["x"] + some.objects["width"] <= 40).all()
    assert (some.objects["y"] + some.objects["height"] <= 40).all()
    for _, boxes in some.objects.groupby("image")[BOX]:
        boxes = list(boxes.itertuples(index=False, name=None))
        for i, box in enumerate(boxes):
            assert all(detection._overlap(box, other) <= 0.1 for other in boxes[:i])


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_boxes_are_tight_around_ink(part, monkeypatch):
    # Without clutter and noise, all ink outside of the boxes is fainter than INK, and each side of
    # a box touches ink. Noise is taken away by a generator whose normal numbers are 0.
    monkeypatch.setattr(detection, "_clutter", lambda *_: None)

    class Quiet:
        def __init__(self, seed):
            self.rng = np.random.Generator(np.random.PCG64(seed))

        def standard_normal(self, shape):
            return np.zeros(shape)

        def __getattr__(self, name):
            return getattr(self.rng, name)

    monkeypatch.setattr(np.random, "default_rng", Quiet)
    clean = detection.scenes(40, part=part)
    for number, group in clean.objects.groupby("image"):
        ink = clean.images[number, 0] > detection.INK
        outside = ink.copy()
        for x, y, width, height in group[BOX].astype(int).itertuples(index=False):
            inside = ink[y : y + height, x : x + width]
            assert inside[0].any()
            assert inside[-1].any()
            assert inside[:, 0].any()
            assert inside[:, -1].any()
            outside[y : y + height, x : x + width] = False
        assert not outside.any()


def test_rounding_does_not_decide_about_a_box(some, monkeypatch):
    for shift in (-1e-9, 1e-9):
        monkeypatch.setattr(detection, "INK", 0.301 + shift)
        pd.testing.assert_frame_equal(detection.scenes(60, seed=3).objects, some.objects)


def test_the_parts_are_made_of_different_digits(monkeypatch):
    # A digit that two parts shared would be the same array of 64 numbers in both.
    data = datasets.load("digits")
    drawn = {}
    for part in ("train", "val", "test"):
        zoomed = drawn[part] = []
        monkeypatch.setattr(
            detection.ndimage,
            "zoom",
            lambda picture, *_, seen=zoomed, zoom=detection.ndimage.zoom, **more: (
                seen.append(np.array(picture)) or zoom(picture, *_, **more)
            ),
        )
        detection.scenes(40, part=part)
        monkeypatch.undo()
        digits = [p for p in zoomed if p.shape == (8, 8)]
        own = getattr(data, f"x_{part}")[:, 0]
        own = {(x / x.max()).tobytes() for x in own}
        assert digits
        assert all(digit.tobytes() in own for digit in digits)
    kept = {part: {p.tobytes() for p in pictures} for part, pictures in drawn.items()}
    assert len(kept["train"] & kept["test"]) < 3  # pieces of background may be equal


@pytest.mark.parametrize("count", [0, -1, 2.0, True, "3"])
def test_bad_counts(count):
    with pytest.raises(ValueError, match=r"^count must be .*got"):
        detection.scenes(count)


def test_a_part_that_does_not_exist():
    with pytest.raises(ValueError, match=r"^part must be one of .*got 'dev'"):
        detection.scenes(1, part="dev")


def test_decoding_inverts_the_targets(some):
    heat, sides = detection.encode(some.objects, 60)
    found = detection.decode(torch.logit(heat, eps=1e-6), torch.nan_to_num(sides, nan=0.1))
    found = found[found["score"] > 0.99]
    columns = ["image", "label", *BOX]
    found, truth = (table[columns].sort_values(columns) for table in (found, some.objects))
    # Two digits whose centres share a cell are one to the detector; a narrow box is lost.
    assert len(truth) - 2 <= len(found) <= len(truth)
    merged = truth.merge(found, on=["image", "label"])
    same = np.isclose(merged[[f"{c}_x" for c in BOX]], merged[[f"{c}_y" for c in BOX]])
    assert same.all(axis=1).sum() == len(found)


def test_a_narrow_box_has_no_sides_and_of_two_boxes_the_smaller_has_the_cell():
    narrow = pd.DataFrame(
        [[0, 1, 14.0, 8.0, 4.0, 16.0]], columns=["image", "label", *BOX]
    )  # from x = 14 to 18, which is the centre of column 4
    heat, sides = detection.encode(narrow, 1)
    assert heat.max() == 1
    assert torch.isnan(sides).all()
    large, small = [0, 1, 0.0, 0.0, 40.0, 40.0], [0, 2, 12.0, 12.0, 16.0, 16.0]
    for rows in ([large, small], [small, large]):
        both = pd.DataFrame(rows, columns=["image", "label", *BOX])
        _, sides = detection.encode(both, 1)
        assert sides[0, :, 5, 5].tolist() == [2.5, 2.5, 1.5, 1.5]


def test_every_detection_is_a_peak_and_there_are_at_most_twenty_on_a_canvas():
    torch.manual_seed(0)
    scores, sides = torch.randn(3, 5, 10, 10), torch.ones(3, 4, 10, 10)
    found = detection.decode(scores, sides)
    assert found["image"].value_counts().max() <= detection.MOST
    for _, own in found.groupby("image"):
        assert own["score"].is_monotonic_decreasing
        cells = ((own["x"] + 4) / 4 - 0.5).round(), ((own["y"] + 4) / 4 - 0.5).round()
        cells = np.stack(cells, axis=1)
        apart = np.abs(cells[:, None] - cells).max(axis=2) + 9 * np.eye(len(cells))
        assert apart.min() >= 2


def test_the_loss_is_least_at_the_truth():
    objects = detection.scenes(4).objects
    heat, sides = detection.encode(objects, 4)
    scores, exact = torch.logit(heat, eps=1e-12), torch.nan_to_num(sides)
    least = detection.loss(scores, exact, heat, sides)
    assert 0 <= least < 1e-6
    assert detection.loss(scores - 1, exact, heat, sides) > least
    assert detection.loss(scores + 1, exact, heat, sides) > least
    assert detection.loss(scores, exact + 1, heat, sides) > least + 1
    by_hand = 4 * (0.1**2 / (2 * 0.25))  # smooth L1, within its square part
    shifted = detection.loss(scores, exact + 0.1, heat, sides) - least
    assert math.isclose(shifted, by_hand, rel_tol=1e-9)


def test_perfect_detections_have_an_average_precision_of_one(some):
    result = detection.average_precision(some.objects, some.objects.assign(score=0.5))
    assert np.allclose(result, 1, rtol=0, atol=1e-12)
    assert list(result.index) == ["AP", "AP50", "AP75", "APsmall", "APmedium", "APlarge"]


def test_the_thresholds_of_the_overlap():
    # A box 10 wide that is shifted by 2.45 has an overlap of 7.55 / 12.45 = 0.606: it counts at
    # the thresholds 0.5, 0.55 and 0.6, three of ten, and not at 0.75.
    truth = pd.DataFrame({"image": [0], "label": 3, "x": 5.0, "y": 5.0, "width": 10, "height": 12})
    shifted = truth.assign(x=7.45, score=1.0)
    result = detection.average_precision(truth, shifted)
    assert math.isclose(result["AP50"], 1)
    assert result["AP75"] == 0
    assert math.isclose(result["AP"], 0.3)
    assert result["APmedium"] == result["AP"]
    assert result["APsmall"] == result["APlarge"] == -1


def test_wrong_classes_and_missing_detections_count_for_nothing(some):
    wrong = some.objects.assign(score=1.0, label=(some.objects["label"] + 1) % 5)
    assert (detection.average_precision(some.objects, wrong) == 0).all()
    assert (detection.average_precision(some.objects, wrong.iloc[:0]) == 0).all()


def test_average_precision_says_nothing(some, capsys):
    detection.average_precision(some.objects, some.objects.assign(score=1.0))
    assert capsys.readouterr() == ("", "")


def test_no_truth():
    empty = detection.scenes(1).objects.iloc[:0]
    with pytest.raises(ValueError, match="^truth must hold"):
        detection.average_precision(empty, empty.assign(score=1.0))


SHORT = detection.Detection(steps=30, canvases=80)


def test_training_lowers_the_loss_and_repeats():
    before = SHORT.run(SGD(lr=1e-12), 0)
    after, again = (SHORT.run(Adam(lr=0.003), 0) for _ in range(2))
    assert after["loss"] < before["loss"]
    assert after == again
    assert after != SHORT.run(Adam(lr=0.003), 1)
    assert set(after) == {"loss", "accuracy"}
    _, curve = SHORT.train(Adam(lr=0.003), 0, scale=1.1)
    assert curve.loc[1, "loss"] != SHORT.train(Adam(lr=0.003), 0)[1].loc[1, "loss"]


def test_a_run_that_diverges_has_an_infinite_loss():
    result = SHORT.run(SGD(lr=1e200), 0)
    assert result["loss"] == math.inf
    assert math.isnan(result["accuracy"])


def test_clipping_shortens_gradients():
    _, curve = SHORT.train(SGD(lr=0.0032), 0)
    _, clipped = replace(SHORT, clip=1e-9).train(SGD(lr=0.0032), 0)
    assert list(curve.columns) == ["loss", "norm"]
    assert len(curve) == 30
    assert curve.loc[1, "norm"] == clipped.loc[1, "norm"] > 1e-9
    # Steps that are clipped to nothing leave the detector where it was.
    _, still = SHORT.train(SGD(lr=1e-15), 0)
    assert np.allclose(clipped["loss"], still["loss"], rtol=1e-8)
    assert not np.allclose(clipped["loss"], curve["loss"], rtol=1e-3)
    assert not SHORT.steppable("Muon")
    assert SHORT.steppable("Adam")
