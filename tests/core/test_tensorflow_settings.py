import os

import pytest

from services.core.tensorflow_settings import loading_tensorflow


def test_what_a_library_writes_while_it_is_loaded_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    with loading_tensorflow():
        os.write(2, b"a notice")
    os.write(2, b"told again")
    assert capfd.readouterr().err == "told again"


def test_of_an_import_that_fails_it_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), loading_tensorflow():
        os.write(2, b"the reason")
        raise ImportError("no such library")
    assert capfd.readouterr().err == "the reason"
