"""How the model is called: what goes into `start` and `continue`, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plugins.contract import InputField, OutputField, Signature, Task
from plugins.nietzsche.tokens import MOST_UNKNOWN, Words
from plugins.nietzsche.writer import LIKELIEST, LONGEST_CHUNK, Writer

TEMPERATURE = InputField(
    name="temperature",
    dtype="float32",
    description="0 takes the likeliest token, below 1 is careful, above 1 is daring",
    default=0.5,
    minimum=0,
    maximum=2,
)
TOP_K = InputField(
    name="top_k", dtype="int32", description="draw from so many of the likeliest; 0: from all", default=0, minimum=0
)
TOP_P = InputField(
    name="top_p",
    dtype="float32",
    description="draw from the likeliest whose chances add up to this",
    default=1.0,
    minimum=0,
    maximum=1,
)
LOGPROBS = InputField(
    name="logprobs",
    dtype="bool",
    description="tell how likely each token was, and which were likelier",
    default=False,
)
SEED = InputField(name="seed", dtype="int64", description="same seed, same text", default=0)
KNOBS = (TEMPERATURE, TOP_K, TOP_P, LOGPROBS, SEED)


def signatures_of(writer: Writer) -> Mapping[str, Signature]:
    """`start` reads a prompt and writes; `continue` goes on from a state."""
    unit = "words and marks" if isinstance(writer.vocabulary, Words) else "characters"
    steps = InputField(
        name="steps",
        dtype="int32",
        description=f"{unit} to write in this call",
        unit=unit,
        default=400,
        minimum=0,
        maximum=LONGEST_CHUNK,
    )
    asked = {"steps": 400, "temperature": 0.5, "top_k": 0, "top_p": 1.0, "logprobs": False, "seed": 7}
    empty = {s.name: np.zeros([size or 1 for size in s.shape], s.dtype).tolist() for s in writer.fields}
    written = _written(writer, unit)
    return {
        "start": Signature(
            Task.GENERATE_TEXT,
            writer.start,
            (_prompt(writer, unit), steps, *KNOBS),
            (*written, *_read(writer, unit)),
            {"prompt": "the eternal recurrence of ", **asked},
            "Write on from a prompt",
        ),
        "continue": Signature(
            Task.GENERATE_TEXT,
            writer.go_on,
            (steps, *writer.fields),
            written,
            {"steps": 20, **empty},
            "Write on from a state",
        ),
    }


def _prompt(writer: Writer, unit: str) -> InputField:
    known = "those that the model does not know as unknown" if unit != "characters" else "others than its own as spaces"
    return InputField(
        name="prompt",
        dtype="string",
        content="text",
        description=f"the text to go on from: its last {writer.memory.width} {unit} are read, in lower case; {known}, "
        "an empty prompt as a line break",
        unit=unit,
        default="",
    )


def _written(writer: Writer, unit: str) -> tuple[OutputField, ...]:
    sizes = OutputField(
        name="token_lengths", dtype="int32", shape=(None,), description="characters of each token that was written"
    )
    return (
        OutputField(name="text", dtype="string", content="text", description="the new text only"),
        OutputField(name="finished", dtype="bool", description=f"never: the model goes on for any number of {unit}"),
        OutputField(name="logprobs", dtype="float32", shape=(None,), description="of each token, if asked for"),
        OutputField(name="top_tokens", dtype="string", shape=(None, LIKELIEST), description="the likeliest"),
        OutputField(name="top_logprobs", dtype="float32", shape=(None, LIKELIEST), description="of them"),
        *((sizes,) if isinstance(writer.vocabulary, Words) else ()),
        *(OutputField(name=s.name, dtype=s.dtype, shape=s.shape, content="state") for s in writer.fields),
    )


def _read(writer: Writer, unit: str) -> tuple[OutputField, ...]:
    """What `start` tells of the prompt."""
    unknown = OutputField(
        name="unknown",
        dtype="string",
        description=f"of what was read the {unit} that the model does not know, each once, {MOST_UNKNOWN} at most",
    )
    count = OutputField(name="prompt_tokens", dtype="int32", description=f"{unit} of the prompt that were read")
    return (unknown, count) if isinstance(writer.vocabulary, Words) else (unknown,)
