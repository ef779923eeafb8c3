"""How words on the command line become an instance."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from services.cli.predict import in_words, read_instance
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
        (TEXT, ["temperature=NaN"], "temperature is a number"),
        (TEXT, ["temperature=1e999"], "temperature is a number"),
        (TEXT, [f"temperature={'9' * 5000}"], "temperature is a number"),
        (TEXT, [f"temperature={'[' * 9999}"], "temperature is a number"),
        (TEXT, ["\udcff"], "prompt is UTF-8"),
        (IMAGE, ["long" * 99], "image_bytes is the path"),
        (IMAGE, ["no-such.png"], "image_bytes is the path"),
    ],
)
def test_what_cannot_be_read_names_the_rule_and_the_value(
    signature: SignatureCard, values: list[str], rule: str
) -> None:
    with pytest.raises(InvalidArgument, match=rule) as caught:
        read_instance(signature, values)
    assert "Received" in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ({"predictions": [{"label": "cat", "score": 0.9, "scores": {"cat": 0.9, "dog": 0.1}}]}, ["cat  (0.9000)"]),
        ({"predictions": [{"labels": ["a", "b"], "scores": {"a": 1, "b": 0.5}}]}, ["a  (1.0000), b  (0.5000)"]),
        ({"predictions": [{"labels": [], "scores": {"a": 0.1}}]}, ["no label"]),
        (
            {
                "predictions": [
                    {
                        "age": {"values": [33.25], "unit": "years"},
                        "gender": {"label": "f", "score": 0.9, "scores": {"f": 0.9, "m": 0.1}},
                    }
                ]
            },
            ["age: 33.25 years", "gender: f  (0.9000)"],
        ),
        ({"predictions": [{"values": [21.5]}], "unit": "thousand dollars"}, ["21.5 thousand dollars"]),
        (
            {"predictions": [{"values": [21.5, 22], "naive": 20.0}], "units": {"values": "degrees"}},
            ["values: 21.5, 22 degrees", "naive: 20"],
        ),
        ({"text": "the soul", "finish_reason": "length"}, ["the soul"]),
        ({"images": [], "attributions": [{"word": "good", "attribution": 0.25}], "arrays": {}}, ["+0.2500  good"]),
        ({"images": [{"b64": ""}], "attributions": [], "arrays": {}}, []),
    ],
)
def test_every_form_of_answer_is_told_in_words_but_pictures(answer: dict[str, Any], lines: list[str]) -> None:
    assert in_words(answer) == lines
