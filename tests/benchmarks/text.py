"""What a character costs each variant of nietzsche: `python -m tests.benchmarks.text`.

The network has the weights it starts with: what it has learned does not change what a character costs.
"""

from __future__ import annotations

import time
from itertools import islice, product
from typing import Any

import tensorflow as tf

from plugins.nietzsche.data import split
from plugins.nietzsche.model import TextConfig
from plugins.nietzsche.plugin import PLUGIN
from services.trainer.configuration import resolve_config
from tests.benchmarks.page import table, write_section

TOKENS, SIDE_BY_SIDE, TURNS = 400, 64, 3
ALPHABET = "\n !\"'(),-.0123456789:;=?[]_abcdefghijklmnopqrstuvwxyzäæéë"  # the book's 57, as its text has them
LETTERS, WORDS = "etaoinsh", 5000
TOLD = f"""{TOKENS} characters, or words, at temperature 0.5 through nietzsche's `start`, one text and
{SIDE_BY_SIDE} side by side; the graph alone, no network between.
"""


def writer_of(variant: str) -> Any:
    """The variant's `start`, as it is exported."""
    config = TextConfig.model_validate(resolve_config(PLUGIN, variant).model_dump())
    words = " ".join(map("".join, islice(product(LETTERS, repeat=5), WORDS)))
    model = PLUGIN.build_model(config, variant, split(f"{ALPHABET} {words} " * 2, config).train)
    signature = PLUGIN.signatures(model)["start"]
    specs = [tf.TensorSpec((None, *field.shape), field.dtype, name=field.name) for field in signature.inputs]
    return tf.function(signature.function, input_signature=specs, autograph=False)


def characters_a_second(start: Any, texts: int) -> float:
    """The best of several turns, after one that is not counted."""
    asked = (
        tf.fill([texts], "the eternal recurrence of "),
        tf.fill([texts], TOKENS),
        tf.fill([texts], 0.5),
        tf.zeros(texts, tf.int32),
        tf.ones(texts),
        tf.zeros(texts, tf.bool),
        tf.range(texts, dtype=tf.int64),
    )
    took, written = [], 0
    for _ in range(TURNS + 1):
        began = time.perf_counter()
        answer = start(*asked)["text"].numpy()
        took.append(time.perf_counter() - began)
        written = sum(len(text.decode()) for text in answer)
    return written / min(took[1:])


def main() -> None:
    """Measure each variant."""
    rows = [("characters a second", "one text", f"{SIDE_BY_SIDE} side by side")]
    for variant in PLUGIN.variants:
        start = writer_of(variant)
        one, many = (characters_a_second(start, texts) for texts in (1, SIDE_BY_SIDE))
        rows.append((f"`{variant}`", f"{one:,.0f}", f"{many:,.0f}"))
    print(table(*rows))
    write_section("What a character costs", f"{TOLD}\n{table(*rows)}")


if __name__ == "__main__":
    main()
