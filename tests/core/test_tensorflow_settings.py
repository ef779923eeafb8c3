import os

import pytest

from services.core.tensorflow_settings import loading_tensorflow


def test_what_a_library_writes_while_it_is_loaded_is_dropped_and_errors_are_raised(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ImportError), loading_tensorflow():
        os.write(2, b"a notice")
        raise ImportError("no such library")
    os.write(2, b"told again")
    assert capfd.readouterr().err == "told again"
