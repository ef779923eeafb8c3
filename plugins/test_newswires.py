from pathlib import Path

import numpy as np
import tensorflow as tf

from plugins.keras_files import read_words
from plugins.newswires import text_of
from plugins.texts import lookup, numbers_of


def test_words_are_read_in_the_order_of_their_rank(tmp_path: Path) -> None:
    file = tmp_path / "index.json"
    file.write_text('{"pct": 3, "the": 1, "of": 2}')
    assert read_words(file)["words"].tobytes().decode() == "the\nof\npct"


def test_text_is_what_its_numbers_came_from() -> None:
    words = ["the", "oil's", "price"]
    numbers = np.array([1, 5, 6, 4, 0, 0], np.uint16)
    assert text_of(numbers, words) == "oil's price the"
    assert numbers_of(lookup(words), tf.constant([text_of(numbers, words)])).to_list() == [[1, 5, 6, 4]]
