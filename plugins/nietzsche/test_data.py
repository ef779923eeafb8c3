"""Texts become passages of characters or words, and stay what they were."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from plugins.contract import Array, Dataset, InvalidArgument, Unavailable
from plugins.nietzsche.data import AUSTEN, NIETZSCHE, coded, read_corpus, read_text, split, text_of, unigram_nats
from plugins.nietzsche.model import TextConfig

TEXT = "thus spoke the camel:\nwhat is heavy? so asks the load-bearing spirit, é and kneels.\n" * 40
TOKENS = pytest.mark.parametrize("tokens", ["characters", "words"])


def test_the_baseline_is_the_cross_entropy_of_character_frequencies() -> None:
    assert unigram_nats("aab ", "ab#") == pytest.approx(-np.log([0.5, 0.25, 0.25]).mean())  # '#' is read as a space


@TOKENS
@pytest.mark.parametrize("text", [TEXT, "1888,\tdon't  stop...\n\n naïve\u00a0x\r\n"])
def test_tokens_one_after_another_are_the_text_again(tokens: str, text: str) -> None:
    codes, assets = coded(text, tokens)
    assert text_of(codes, assets) == text
    assert len(codes) == len(text) or tokens == "words"


def test_a_word_has_the_space_before_it() -> None:
    codes, assets = coded("the soul,\nthe  soul's 12", "words")
    told = [text_of(code, assets) for code in codes]
    assert told == ["the", " soul", ",", "\n", "the", " ", " soul", "'", "s", " 1", "2"]


@TOKENS
def test_no_passage_crosses_the_cut_and_targets_are_one_token_later(tokens: str) -> None:
    data = split(TEXT, TextConfig.model_validate({"tokens": tokens, "window": 30, "step": 3}))
    train = [text_of(rows[-1], data.train.assets) for rows in (data.train.inputs, data.train.targets)]
    test = text_of(data.test.inputs[0], data.test.assets)
    np.testing.assert_array_equal(data.train.inputs[-1][1:], data.train.targets[-1][:-1])
    cut = len(TEXT) - TEXT[::-1].index(test[::-1]) - len(test)
    assert all(passage in TEXT[:-200] for passage in train) and cut > 0.85 * len(TEXT)
    with pytest.raises(InvalidArgument, match=f"Received: . {tokens} in all"):
        split("too short", TextConfig.model_validate({"tokens": tokens}))


class Shelf:
    """Datasets that are files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, dataset: Dataset) -> Mapping[str, Array]:
        file = self.folder / dataset.file
        if not file.exists():
            raise Unavailable(f"{dataset.file} is on no shelf")
        return dataset.read(file)


def test_austen_stands_in_and_the_log_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / AUSTEN.file).write_text("It is a truth, É.", encoding="utf-8")
    assert read_corpus(Shelf(tmp_path)) == "it is a truth, é."
    assert "Training on austen-sense.txt (Sense and Sensibility) instead of Nietzsche" in caplog.text


def test_a_text_of_ones_own_is_read_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("Dear É.", encoding="utf-8")
    assert read_corpus(Shelf(tmp_path), "letters.txt") == "dear é."
    with pytest.raises(Unavailable, match="own-"):  # a file of the same name is another text
        read_corpus(Shelf(tmp_path), "https://example.org/old/letters.txt")
    with pytest.raises(Unavailable, match=r"none\.txt"):
        read_corpus(Shelf(tmp_path), "none.txt")


def test_a_corpus_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_bytes(b"Dear \xff")
    with pytest.raises(InvalidArgument, match=r"UTF-8 text. Received: letters\.txt with invalid start byte at 5"):
        read_corpus(Shelf(tmp_path), "letters.txt")


def test_a_package_carries_austen_in_some_folder(tmp_path: Path) -> None:
    folder = tmp_path / "package" / "gutenberg"
    folder.mkdir(parents=True)
    (folder / "austen-sense.txt").write_text("The family of Dashwood")
    assert AUSTEN.sources[0].read(tmp_path)["text"].tobytes() == b"The family of Dashwood"


@pytest.mark.skipif("TENSORGATE_DATASETS" not in os.environ, reason="TENSORGATE_DATASETS is not set")
def test_the_books_corpus_is_the_books() -> None:
    text = read_corpus(Shelf(Path(os.environ["TENSORGATE_DATASETS"])))
    assert (len(text), len(set(text))) == (600_893, 57)
    assert read_text is NIETZSCHE.read
