"""One tree, one table."""

from __future__ import annotations

import grpc
import pytest

from services.core.errors import HTTP_STATUS, Code, Internal, TensorgateError, error_of

# The model server has one more, with a code of its own.
ERRORS = [error for error in TensorgateError.__subclasses__() if error.__module__ == TensorgateError.__module__]


def test_codes_are_grpcs_own() -> None:
    assert {code.name: code.value for code in Code} == {code.name: code.value[0] for code in grpc.StatusCode}


def test_every_code_has_an_http_status() -> None:
    assert set(HTTP_STATUS) == set(Code)


def test_no_two_errors_share_a_code() -> None:
    codes = [error.code for error in ERRORS]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("error", ERRORS)
def test_a_code_from_the_wire_becomes_its_error(error: type[TensorgateError]) -> None:
    assert type(error_of(error.code, "why")) is error


def test_a_code_without_an_error_is_internal() -> None:
    assert isinstance(error_of(Code.UNKNOWN, "why"), Internal)
