"""Tiny models with their cards, one a task or a form of answer. Their answers can be worked out by hand."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from services.core.card import CARD_PATH, Card, Expected, InputField, Lineage, OutputField, SignatureCard, Task
from services.core.refs import STABLE
from services.core.tensors import Array
from services.store import open_store
from tests.gateway.backend import Model, Signature, refuse

LABELS = ("zero", "one", "two")
# What held-out data would have led to: as many of each digit, and half of the houses for 25 thousand dollars or less.
EXPECTED: Mapping[str, Mapping[str, Expected]] = {
    "digits": {"scores": Expected(columns=3, shares=dict.fromkeys(LABELS, 1 / 3))},
    "houses": {"values": Expected(columns=1, edges=(25, 75), shares={"<=25": 0.5, "<=75": 0.25, ">75": 0.25})},
}
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def png(width: int = 2, height: int = 2, salt: int = 0) -> bytes:
    """A valid grey PNG; `salt` makes it different."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + bytes([salt % 256]) * min(width, 64) for _ in range(min(height, 64)))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def card_of(name: str, model: Model) -> Card:
    """The card of a tiny model; its task is its first signature's."""
    return Card(
        model=name,
        task=next(iter(model.values())).card.task,
        title=f"tiny {name}",
        description="",
        signatures={key: signature.card for key, signature in model.items()},
        metrics={},
        baseline={},
        expected=EXPECTED.get(name, {}),
        lineage=Lineage(plugin=name, variant="", run="", seed=1, config={}, created=datetime.now(UTC)),
    )


def publish_all(store: str) -> None:
    """Publish and label every tiny model."""
    with TemporaryDirectory() as folder:
        (Path(folder) / CARD_PATH).parent.mkdir()
        for name, model in ALL.items():
            (Path(folder) / CARD_PATH).write_text(card_of(name, model).model_dump_json())
            open_store(store).move_label(name, STABLE, open_store(store).publish(name, Path(folder)))


def scores_of(data: bytes) -> Array:
    """What `digits` says of a picture: three scores from its hash."""
    raw = np.frombuffer(hashlib.sha256(data).digest()[:3], np.uint8).astype(np.float32) + np.float32(1)
    return (raw / raw.sum()).astype(np.float32)


def _classify(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    pictures = columns["image_bytes"]
    if any(b"broken" in data for data in pictures):
        raise refuse("Input is not a picture")
    return {"scores": np.stack([scores_of(data) for data in pictures])}


def _pixels(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    means = columns["image"].reshape(len(columns["image"]), -1).mean(axis=1)
    return {"scores": np.stack([means, 1 - means, np.zeros_like(means)], axis=1).astype(np.float32)}


def _light(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    knobs = zip(columns["target"], columns["alpha"], strict=True)
    return {
        "image_bytes": np.array([png(salt=int(target)) for target in columns["target"]], object),
        "heatmap": np.stack([np.full((2, 3), target + alpha, np.float32) for target, alpha in knobs]),
    }


def _layers(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    frames = [[png(salt=at) for at in range(3)][: int(count)] for count in columns["count"]]
    longest = max(map(len, frames))
    return {"image_bytes": np.array([row + [b""] * (longest - len(row)) for row in frames], object)}


def _read(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    """Of each text: how long it is, and the chances that it is short and that it has an a or an e."""
    texts = columns["text"]
    short = np.array([1 / (1 + len(text)) for text in texts], np.float32)
    vowels = [[text.count(b"a"), text.count(b"e"), text.count(b"o")] for text in texts]
    return {
        "length": np.array([[len(text)] for text in texts], np.float32),
        "size": np.stack([1 - short, short], axis=1),
        "vowels": np.array(vowels, np.float32) / 4,
    }


def _topics(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    return {"scores": _read(columns)["vowels"]}


def _words(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    rows = [text.split() for text in columns["text"]]
    longest = max(map(len, rows))
    padded = [row + [b""] * (longest - len(row)) for row in rows]
    return {
        "words": np.array(padded, object).reshape(len(rows), longest),
        "attributions": np.array([[len(word) / 2 for word in row] for row in padded], np.float32),
        "target": columns["target"],
    }


def _value(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    value = 10 * columns["rooms"] + columns["river"].astype(np.float32)
    return {"values": value.astype(np.float32)[:, None]}


def _double(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    return {"y": columns["x"] * np.float32(0.5) + np.float32(2)}


def letters(seed: int, start: int, count: int) -> str:
    """What `writer` writes from a position on."""
    return "".join(ALPHABET[(seed + at) % 26] for at in range(start, start + count))


def logprob(letter: str) -> float:
    """How likely the tiny writer says that a letter was."""
    return -ALPHABET.index(letter) / 8


def _write(columns: Mapping[str, Array], seeds: Array, positions: Array, asked: Array) -> Mapping[str, Array]:
    """Where a row asks for it, likelihoods for all rows: of the letters, and of a and b."""
    steps = columns["steps"]
    texts = [letters(*row) for row in zip(seeds, positions, steps, strict=True)]
    longest = max(map(len, texts)) if asked.any() else 0
    told = [[logprob(letter) for letter in text[:longest].ljust(longest, "a")] for text in texts]
    after = positions + steps
    return {
        "text": np.array([text.encode() for text in texts], object),
        "finished": after >= 1000,
        "logprobs": np.array(told, np.float32).reshape(len(texts), longest),
        "top_tokens": np.broadcast_to(np.array([b"a", b"b"], object), (len(texts), longest, 2)),
        "top_logprobs": np.broadcast_to(np.array([0, -0.125], np.float32), (len(texts), longest, 2)),
        "state_seed": seeds,
        "state_position": after,
        "state_logprobs": asked,
    }


def _start(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    positions = np.array([len(prompt) for prompt in columns["prompt"]], np.int64)
    return _write(columns, columns["seed"], positions, columns["logprobs"])


def _continue(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    return _write(columns, columns["state_seed"], columns["state_position"], columns["state_logprobs"])


WORDS = ("a", " of", " the", " soul", ".")
COMMA = ","  # of a prompt it is all that `speaker` does not know


def spoken(seed: int, start: int, count: int) -> list[str]:
    """What `speaker` says from a position on."""
    return [WORDS[(seed + at) % len(WORDS)] for at in range(start, start + count)]


def _say(columns: Mapping[str, Array], seeds: Array, positions: Array) -> Mapping[str, Array]:
    rows = [spoken(*row) for row in zip(seeds, positions, columns["steps"], strict=True)]
    longest = max(map(len, rows))
    lengths = [[*map(len, row), *[0] * (longest - len(row))] for row in rows]
    chances = np.array([[-len(word) / 8 for word in row] + [0] * (longest - len(row)) for row in rows], np.float32)
    return {
        "text": np.array(["".join(row).encode() for row in rows], object),
        "finished": np.zeros(len(rows), bool),
        "token_lengths": np.array(lengths, np.int32).reshape(len(rows), longest),
        "logprobs": chances.reshape(len(rows), longest),
        "top_tokens": np.broadcast_to(np.array([b"a", b" of"], object), (len(rows), longest, 2)),
        "top_logprobs": np.broadcast_to(np.array([-0.125, -0.375], np.float32), (len(rows), longest, 2)),
        "state_seed": seeds,
        "state_position": positions + columns["steps"],
    }


def _begin_to_say(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    words = [prompt.decode().split() for prompt in columns["prompt"]]
    return {
        **_say(columns, columns["seed"], np.array(list(map(len, words)), np.int64)),
        "prompt_tokens": np.array(list(map(len, words)), np.int32),
        "unknown": np.array([COMMA.encode() if COMMA in one else b"" for one in words], object),
    }


def _say_on(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    return _say(columns, columns["state_seed"], columns["state_position"])


def _draw(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    return {"image_bytes": np.array([png(salt=int(seed)) for seed in columns["seed"]], object)}


def _sheet(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    frames = [[png(salt=at) for at in range(3)] for _ in columns["count"]]
    return {"image_bytes": np.array(frames, object).reshape(-1, 3)}


def _sketch(columns: Mapping[str, Array], totals: Array, done: Array) -> Mapping[str, Array]:
    """A picture of so many strokes; what is drawn so far has their number as its salt."""
    done = np.minimum(done + columns.get("work", totals), totals).astype(np.int64)
    return {
        "image_bytes": np.array([png(salt=int(strokes)) for strokes in done], object),
        "strokes": done.astype(np.float32),
        "progress": (done / totals).astype(np.float32),
        "state_total": np.array([str(total).encode() for total in totals], object),
        "state_done": np.array([str(strokes).encode() for strokes in done], object),
    }


def _begin(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    return _sketch(columns, columns["total"], np.zeros_like(columns["total"]))


def _go_on(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    return _sketch(columns, columns["state_total"].astype(np.int64), columns["state_done"].astype(np.int64))


def _whole(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    return {name: column for name, column in _begin(columns).items() if name in ("image_bytes", "strokes")}


def _encode(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    zeros = np.zeros((len(columns["image_bytes"]), 2), np.float32)
    return {"z_mean": zeros, "z_log_var": zeros + 1}


def _signature(task: Task, function: Any, inputs: list[InputField], outputs: list[OutputField]) -> Signature:
    return Signature(SignatureCard(task=task, inputs=tuple(inputs), outputs=tuple(outputs), example={}), function)


_SCORES = OutputField(name="scores", dtype="float32", shape=(3,), content="scores", labels=LABELS)
_PICTURE = InputField(name="image_bytes", dtype="string", content="image")
_STEPS = InputField(name="steps", dtype="int32")
_STATE = [
    InputField(name="state_seed", dtype="int64"),
    InputField(name="state_position", dtype="int64"),
    InputField(name="state_logprobs", dtype="bool"),
]
_WRITTEN = [
    OutputField(name="text", dtype="string", content="text"),
    OutputField(name="finished", dtype="bool"),
    OutputField(name="logprobs", dtype="float32", shape=(None,)),
    OutputField(name="top_tokens", dtype="string", shape=(None, 2)),
    OutputField(name="top_logprobs", dtype="float32", shape=(None, 2)),
    OutputField(name="state_logprobs", dtype="bool", content="state"),
    OutputField(name="state_seed", dtype="int64", content="state"),
    OutputField(name="state_position", dtype="int64", content="state"),
]

_EXPLAINED = [
    OutputField(name="image_bytes", dtype="string", content="image"),
    OutputField(name="heatmap", dtype="float32", shape=(2, 3)),
]
_TEXT = InputField(name="text", dtype="string", content="text")

DIGITS: Model = {
    "classify": _signature(Task.CLASSIFY, _classify, [_PICTURE], [_SCORES]),
    "serving_default": _signature(
        Task.CLASSIFY, _pixels, [InputField(name="image", dtype="float32", shape=(2, 2))], [_SCORES]
    ),
    "explain": _signature(
        Task.EXPLAIN,
        _light,
        [
            _PICTURE,
            InputField(name="target", dtype="int32", default=-1),
            InputField(name="alpha", dtype="float32", default=0.5, minimum=0, maximum=1),
        ],
        _EXPLAINED,
    ),
    "activations": _signature(
        Task.EXPLAIN, _layers, [_PICTURE, InputField(name="count", dtype="int32")], _EXPLAINED[:1]
    ),
}
READER: Model = {
    "classify": _signature(
        Task.CLASSIFY,
        _read,
        [_TEXT],
        [
            OutputField(name="length", dtype="float32", shape=(1,), content="values", unit="letters"),
            OutputField(name="size", dtype="float32", shape=(2,), content="scores", labels=("long", "short")),
            OutputField(
                name="vowels", dtype="float32", shape=(3,), content="scores", labels=("a", "e", "o"), independent=True
            ),
        ],
    ),
    "topics": _signature(
        Task.CLASSIFY,
        _topics,
        [_TEXT],
        [OutputField(name="scores", dtype="float32", content="scores", labels=("a", "e", "o"), independent=True)],
    ),
    "explain": _signature(
        Task.EXPLAIN,
        _words,
        [_TEXT, InputField(name="target", dtype="int32", default=-1, minimum=-1, maximum=2)],
        [
            OutputField(name="target", dtype="int32"),
            OutputField(name="words", dtype="string", shape=(None,), content="words"),
            OutputField(name="attributions", dtype="float32", shape=(None,), content="attributions"),
        ],
    ),
}
HOUSES: Model = {
    "regress": _signature(
        Task.REGRESS,
        _value,
        [
            InputField(name="rooms", dtype="float32", minimum=0, maximum=100),
            InputField(name="river", dtype="int64", default=0),
        ],
        [OutputField(name="values", dtype="float32", shape=(1,), content="values", unit="thousand dollars")],
    )
}
WRITER: Model = {
    "start": _signature(
        Task.GENERATE_TEXT,
        _start,
        [
            InputField(name="prompt", dtype="string", content="text"),
            _STEPS,
            InputField(name="temperature", dtype="float32", default=0.5, minimum=0),
            InputField(name="seed", dtype="int64", default=0),
            InputField(name="logprobs", dtype="bool", default=False),
        ],
        _WRITTEN,
    ),
    "continue": _signature(Task.GENERATE_TEXT, _continue, [_STEPS, *_STATE], _WRITTEN),
}
_SAID = [
    *_WRITTEN[:5],
    OutputField(name="token_lengths", dtype="int32", shape=(None,)),
    OutputField(name="state_seed", dtype="int64", content="state"),
    OutputField(name="state_position", dtype="int64", content="state"),
]
SPEAKER: Model = {
    "start": _signature(
        Task.GENERATE_TEXT,
        _begin_to_say,
        [*WRITER["start"].card.inputs],
        [
            *_SAID,
            OutputField(name="unknown", dtype="string"),
            OutputField(name="prompt_tokens", dtype="int32"),
        ],
    ),
    "continue": _signature(Task.GENERATE_TEXT, _say_on, [_STEPS, *_STATE[:2]], _SAID),
}
_PNG = OutputField(name="image_bytes", dtype="string", content="image")
PAINTER: Model = {
    "generate": _signature(Task.GENERATE_IMAGE, _draw, [InputField(name="seed", dtype="int64")], [_PNG]),
    "sheet": _signature(
        Task.GENERATE_IMAGE,
        _sheet,
        [InputField(name="count", dtype="int64")],
        [OutputField(name="image_bytes", dtype="string", shape=(None,), content="image")],
    ),
    "edit": _signature(
        Task.GENERATE_IMAGE,
        lambda columns: {"image_bytes": np.array([png(salt=steps) for steps in columns["steps"].tolist()], object)},
        [
            _PICTURE,
            InputField(name="steps", dtype="int32", default=1),
            InputField(name="style", dtype="string", content="text", default="plain", choices=("plain", "bold")),
        ],
        [_PNG],
    ),
    "encode": _signature(
        Task.REGRESS,
        _encode,
        [_PICTURE],
        [OutputField(name=name, dtype="float32", shape=(2,)) for name in ("z_mean", "z_log_var")],
    ),
}
_TOTAL = InputField(name="total", dtype="int64", minimum=1, maximum=10_000)
_WORK = InputField(name="work", dtype="int32", default=1)
_SKETCHED = [_PNG, OutputField(name="strokes", dtype="float32")]
_SLICE = [
    *_SKETCHED,
    OutputField(name="progress", dtype="float32", content="progress"),
    OutputField(name="state_total", dtype="string", content="state"),
    OutputField(name="state_done", dtype="string", content="state"),
]
SKETCHER: Model = {
    "generate": _signature(Task.GENERATE_IMAGE, _whole, [_TOTAL], _SKETCHED),
    "start": _signature(Task.GENERATE_IMAGE, _begin, [_TOTAL, _WORK], _SLICE),
    "continue": _signature(
        Task.GENERATE_IMAGE,
        _go_on,
        [_WORK, *(InputField(name=name, dtype="string") for name in ("state_total", "state_done"))],
        _SLICE,
    ),
}
AFFINE: Model = {
    "serving_default": _signature(
        Task.REGRESS,
        _double,
        [InputField(name="x", dtype="float32")],
        [OutputField(name="y", dtype="float32", content="values")],
    ),
}
ALL = {
    "digits": DIGITS,
    "houses": HOUSES,
    "writer": WRITER,
    "painter": PAINTER,
    "sketcher": SKETCHER,
    "affine": AFFINE,
    "reader": READER,
}  # and speaker, which has a gateway of its own
