"""Paths of TensorFlow Serving's REST API."""

from __future__ import annotations

import pytest

from services.core.errors import InvalidArgument
from services.core.tfs_paths import parse_path


def test_a_path_names_model_version_or_label_and_verb() -> None:
    assert parse_path("POST", "/v1/models/a%20b/versions/3:predict") == ("predict", "a b", 3, None)
    assert parse_path("GET", "/V1/models/m/labels/canary/metadata") == ("metadata", "m", None, "canary")
    with pytest.raises(InvalidArgument, match="Malformed request: GET /v1/models/m:predict"):
        parse_path("GET", "/v1/models/m:predict")
