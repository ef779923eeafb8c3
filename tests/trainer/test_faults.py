"""What is made of an error that a plugin's code, or Keras, has raised."""

from __future__ import annotations

import errno
import json

import pytest

from services.core.errors import InvalidArgument, NotFound
from services.trainer.configuration import variant_of
from services.trainer.faults import told, what_was_raised
from tests.trainer.tiny_plugin import Tiny

HERE = "tests.trainer"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("one\n  two", "ValueError: one two"),
        ("", "ValueError: "),
        (
            "Exception encountered when calling D.call().\n\n\x1b[1mno fit\x1b[0m\n\nArguments received",
            "ValueError: no fit",
        ),
        (
            'Graph execution error:\n\n  File "a.py", line 1, in f\n\nno fit\n\t [[{{node a/b}}]] [Op:c]',
            "ValueError: no fit",
        ),
        ("Graph execution error:\n\nDetected at node a\n<stack traces unavailable>\nno fit", "ValueError: no fit"),
        ("in user code:\n\n    File 'a.py'\n\n    ValueError: no fit\n", "ValueError: no fit"),
        ("a" * 1000, f"ValueError: {'a' * 588}..."),
    ],
)
def test_what_keras_and_tensorflow_say_is_one_line_without_their_stacks(text: str, said: str) -> None:
    assert what_was_raised(ValueError(text), HERE) == said


def test_the_last_line_of_the_plugins_own_is_told() -> None:
    with pytest.raises(InvalidArgument) as fault, told(Tiny(), "A rule", lambda: "this, and "):
        json.loads("{")
    said = fault.value.message
    assert said.startswith("A rule. Received: this, and JSONDecodeError: Expecting property name")
    assert said.endswith('json.loads("{"))') and "(test_faults.py, line" in said
    assert isinstance(fault.value.__cause__, json.JSONDecodeError)


def test_sentences_and_faults_of_the_disk_pass() -> None:
    for error in (NotFound("A rule. Received: nothing"), OSError(errno.ENOSPC, "No space left on device")):
        with pytest.raises(type(error)) as fault, told(Tiny(), "A rule"):
            raise error
        assert fault.value is error


def test_what_our_own_lines_raise_that_the_plugin_has_called_passes() -> None:
    with pytest.raises(AttributeError), told(Tiny(), "A rule"):
        variant_of(None, "dense")  # type: ignore[arg-type]  # as a mistake of ours would
