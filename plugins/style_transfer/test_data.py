"""Styles and crops to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from plugins.conftest import Folder
from plugins.contract import Array, InvalidArgument, Unavailable
from plugins.style_transfer.data import CROP, LARGEST_STYLE, StyleConfig, load, read_style


def test_a_style_of_ones_own_is_read_by_its_name(tmp_path: Path) -> None:
    class Shelf:
        def fetch(self, dataset: Any) -> Mapping[str, Array]:
            file = tmp_path / dataset.file
            if not file.exists():
                raise Unavailable(f"{dataset.file} is on no shelf")
            return dict(dataset.read(file))

    Image.new("RGB", (600, 300)).save(tmp_path / "wall.png")
    assert read_style(Shelf(), "wall.png").shape == (LARGEST_STYLE // 2, LARGEST_STYLE, 3)
    with pytest.raises(Unavailable, match="own-"):  # a file of the same name is another picture
        read_style(Shelf(), "https://example.org/wall.png")
    (tmp_path / "wall.txt").write_text("a wall")
    with pytest.raises(InvalidArgument, match=r"A style is a picture.* Received: wall\.txt"):
        read_style(Shelf(), "wall.txt")


def test_the_same_seed_cuts_the_same_crops(mirror: Folder) -> None:
    config = StyleConfig(crops=12)
    one, same = load(config, mirror).train.inputs, load(config, mirror).train.inputs
    other = load(StyleConfig(crops=12, seed=2), mirror).train.inputs
    assert one.shape == (12, CROP, CROP, 3) and one.dtype == np.uint8
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
