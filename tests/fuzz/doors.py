"""Requests for every HTTP door, made of what its parser is tried with, and the form each door's answers must have."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import strategies as st

from services.gateway.open_inference_infer import JSON_LENGTH
from tests.fuzz.parsers import PARSERS

_JSON = "application/json"
_EVENTS = "text/event-stream"
_REFS = ("", "/versions/1", "/labels/stable", "/versions/9", "/labels/canary", "/versions/0", "/labels/%C3%A9")
_ACCEPTS = ("*/*", _JSON, _EVENTS, "image/png", "image/gif")
_IDS = ("a", "x" * 200, "\xe9", 'a"b', "")


@dataclass(frozen=True)
class Case:
    """One request."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def send(self, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        """Without what http.client would add or mend."""
        connection.putrequest("POST", self.path, skip_accept_encoding=True)
        for name, value in {"Content-Length": str(len(self.body)), **self.headers}.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders(self.body)
        return connection.getresponse()


def _typed(*paths: str) -> st.SearchStrategy[str]:
    return st.builds("/api/models/{0[0]}{1}/{0[1]}".format, st.sampled_from([path.split() for path in paths]), _ref)


def _at_models(form: str, *models: str) -> st.SearchStrategy[str]:
    return st.builds(form.format, st.sampled_from(models), _ref)


_ref = st.one_of(st.just(""), st.sampled_from(_REFS))
_PATHS: Mapping[str, st.SearchStrategy[str]] = {
    "predict": _at_models("/v1/models/{}{}:predict", "affine", "houses", "reader", "plus", "nobody"),
    "examples": _at_models("/v1/models/{}{}:classify", "affine") | _at_models("/v1/models/{}{}:regress", "affine"),
    "classify": _typed("digits classify", "reader classify", "houses classify"),
    "regress": _typed("houses regress", "affine regress"),
    "explain": _typed("digits explain", "reader explain"),
    "text": _typed("writer generate-text"),
    "generate": _at_models("/v2/models/{}{}/generate", "writer")
    | _at_models("/v2/models/{}{}/generate_stream", "writer"),
    "completion": st.just("/v1/completions"),
    "images": st.just("/v1/images/generations") | _typed("painter generate-image", "sketcher generate-image"),
    "infer": _at_models("/v2/models/{}{}/infer", "affine", "plus"),
    "infer_bytes": _at_models("/v2/models/{}{}/infer", "affine"),
    "multipart": _typed("digits classify", "painter generate-image", "digits explain"),
    "picture": _typed("digits classify", "painter generate-image?steps=3", "digits explain?target=one&alpha=1"),
    "gzip": _at_models("/v1/models/{}{}:predict", "affine") | st.just("/v2/repository/index"),
}
DOORS = tuple(_PATHS)


@st.composite
def cases(draw: st.DrawFn, door: str) -> Case:
    """A request for a door, mostly with the headers that it wants."""
    body, headers = draw(PARSERS[door].inputs), {"Content-Type": _JSON}
    if door.startswith("infer"):
        length, _, body = body.partition(b"\n")
        headers |= {JSON_LENGTH: _header(length)} if length else {}
    elif door == "multipart":
        kind, _, body = body.partition(b"\n")
        headers["Content-Type"] = _header(kind)
    elif door == "picture":
        headers["Content-Type"] = draw(st.sampled_from(("image/png", "image/", "image/jpeg; x=1")))
    elif door == "gzip":
        headers["Content-Encoding"] = "gzip"
    elif draw(st.integers(0, 9)) == 9:
        headers["Content-Type"] = draw(st.sampled_from(("", "text/plain", "image/png", "multipart/form-data")))
    if draw(st.integers(0, 5)) == 5:
        headers |= {
            "Accept": draw(st.sampled_from(_ACCEPTS)),
            "X-Request-Id": draw(st.sampled_from(_IDS)),
            "X-Request-Timeout-Seconds": _header(draw(PARSERS["seconds"].inputs)),
        }
    return Case(draw(_PATHS[door]), body, headers)


def _header(value: bytes) -> str:
    """What a client can put into a header: framing itself is another test's."""
    return bytes(byte for byte in value if byte >= 32 and byte != 127).decode("latin-1").strip()[:8000]


def check_form(case: Case, answer: http.client.HTTPResponse) -> None:
    """The answer is no fault of ours and in its door's form."""
    body = answer.read()
    assert answer.getheader("X-Request-Id")
    if answer.status < 400:
        if answer.getheader("Content-Type") == _JSON:
            json.loads(body.decode(errors="surrogateescape"))
        return
    assert answer.status < 500 or answer.status in _may_be(case), body
    text = body.decode(errors="surrogateescape")  # TensorFlow Serving's texts repeat bytes that are no UTF-8
    assert (not body and case.path.startswith("/v1/models/")) or _has_form(case.path, json.loads(text)), body
    assert b"Traceback" not in body


def _may_be(case: Case) -> set[int]:
    """The tiny model server has no Classify and Regress; and a request may state less time than an answer takes."""
    unknown = {501} if case.path.endswith((":classify", ":regress")) else set()
    return unknown | ({504} if "X-Request-Timeout-Seconds" in case.headers else set())


def _has_form(path: str, document: dict[str, object]) -> bool:
    error = document.get("error")
    if path.startswith(("/v1/models/", "/v2/")):
        return list(document) == ["error"] and isinstance(error, str)
    keys = {"message", "type", "param", "code"} if path.startswith("/v1/") else {"code", "message", "request_id"}
    return list(document) == ["error"] and isinstance(error, dict) and error.keys() == keys
