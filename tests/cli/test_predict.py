"""How words on the command line become an instance."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from services.cli.predict import read_instance
from services.core.card import InputField, SignatureCard, Task
from services.core.errors import InvalidArgument

TEXT = SignatureCard(
    task=Task.GENERATE_TEXT,
    inputs=(
        InputField(name="prompt", dtype="string", content="text"),
        InputField(name="temperature", dtype="float32", default=0.5),
    ),
    outputs=(),
    example={},
)
IMAGE = SignatureCard(
    task=Task.CLASSIFY,
    inputs=(InputField(name="image_bytes", dtype="string", content="image"),),
    outputs=(),
    example={},
)


def test_a_bare_word_is_the_first_field_not_given_by_name() -> None:
    assert read_instance(TEXT, ["temperature=0.2", "so = it"]) == {"temperature": 0.2, "prompt": "so = it"}


def test_a_picture_is_read_from_its_path(tmp_path: Path) -> None:
    picture = tmp_path / "digit.png"
    picture.write_bytes(b"\x89PNG")
    assert read_instance(IMAGE, [str(picture)]) == {"image_bytes": {"b64": base64.b64encode(b"\x89PNG").decode()}}


@pytest.mark.parametrize(
    ("signature", "values", "rule"),
    [
        (TEXT, ["a", "b", "c"], "The inputs are"),
        (TEXT, ["temperature=warm"], "temperature is a number"),
        (IMAGE, ["no-such.png"], "image_bytes is the path"),
    ],
)
def test_what_cannot_be_read_names_the_rule_and_the_value(
    signature: SignatureCard, values: list[str], rule: str
) -> None:
    with pytest.raises(InvalidArgument, match=rule) as caught:
        read_instance(signature, values)
    assert "Received" in str(caught.value)
