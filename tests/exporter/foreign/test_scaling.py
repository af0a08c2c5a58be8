"""Scalers as scikit-learn fits them, read from JSON and put into the graph."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from exporter.errors import ForeignError
from exporter.foreign.scaling import Affine, read_scaler

RAW = np.random.default_rng(0).normal(loc=[10, -200], scale=[3, 50], size=(60, 2))


def written(folder: Path, document: Any) -> Path:
    path = folder / "scaler.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_both_kinds_scale_as_scikit_learn_does(tmp_path: Path) -> None:
    standard, minmax = StandardScaler().fit(RAW), MinMaxScaler((-1, 1)).fit(RAW)
    documents = {
        standard: {"kind": "standard", "mean": standard.mean_.tolist(), "scale": standard.scale_.tolist()},
        minmax: {
            "kind": "minmax",
            "minimum": minmax.data_min_.tolist(),
            "maximum": minmax.data_max_.tolist(),
            "range": [-1, 1],
        },
    }
    for fitted, document in documents.items():
        read = read_scaler(written(tmp_path, document)).inputs
        scaled = Affine(read)(torch.from_numpy(RAW))
        np.testing.assert_allclose(scaled, fitted.transform(RAW), atol=1e-12)
        np.testing.assert_allclose(Affine(read, inverted=True)(scaled), RAW, atol=1e-9)


def test_a_clip_comes_after_scaling() -> None:
    assert Affine(None, clip=2.0)(torch.tensor([-9.0, 1.0, 5.0])).tolist() == [-2.0, 1.0, 2.0]


def test_token_ids_are_left_alone() -> None:
    assert Affine(None, clip=2.0)(torch.tensor([7])).tolist() == [7]


def test_the_target_has_a_scaler_of_its_own(tmp_path: Path) -> None:
    target = {"kind": "minmax", "minimum": [0], "maximum": [10]}
    found = read_scaler(written(tmp_path, {"kind": "standard", "mean": [1], "scale": [2], "target": target}))
    assert found.target.maximum == (10.0,)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"kind": "standard", "mean": [1]}, r'scale is missing; expected is \{"kind"'),
        ({"kind": "robust"}, r'json: kind: "robust" was given; "standard" or "minmax" is expected; expected is'),
        ({"mean": [1], "scale": [2]}, r"json: kind is missing; expected is"),
        ({"kind": "standard", "mean": [1], "scale": [2], "target": {"mean": [1]}}, r"json: target\.kind is missing"),
        ({"kind": "standard", "mean": [1], "scale": [2], "means": [3]}, "json: means is unknown; expected is"),
        ({"kind": "standard", "mean": [1], "scale": ["x"]}, "scale.0: .*expected is"),
        ({"kind": "standard", "mean": [1, 2], "scale": [1, 0]}, "scale: a feature has no spread"),
        ({"kind": "minmax", "minimum": [1], "maximum": [1]}, "maximum: a feature has no spread"),
        (
            {"kind": "standard", "mean": [1, 2], "scale": [1, 2, 3]},
            "json: 2 for mean and 3 for scale do not fit; give as",
        ),
        ({"kind": "minmax", "minimum": [1, 2], "maximum": [3, 4, 5]}, "json: 2 for minimum and 3 for maximum do not"),
        ({"kind": "minmax", "minimum": [1], "maximum": [3], "range": [1, 1]}, r"json: range: .*, not \[1\.0, 1\.0\]"),
        (
            {
                "kind": "standard",
                "mean": [1],
                "scale": [1],
                "target": {"kind": "standard", "mean": [1] * 2, "scale": [1] * 3},
            },
            "json: target: 2 for mean and 3 for scale do not fit",
        ),
        ("{", "not valid JSON"),
        ([1], "json: it holds no object; expected is"),
    ],
)
def test_a_file_that_does_not_fit_is_one_sentence(tmp_path: Path, document: Any, problem: str) -> None:
    with pytest.raises(ForeignError, match=problem):
        read_scaler(written(tmp_path, document))


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ForeignError, match="cannot be read"):
        read_scaler(tmp_path / "none.json")
