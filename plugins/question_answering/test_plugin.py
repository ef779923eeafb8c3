import gzip
import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from plugins.conftest import Endpoint, Folder, Serve
from plugins.contract import Array, Data, Dataset
from plugins.question_answering.data import ANSWERS, TRAIN, Question, load, questions_in, words_in
from plugins.question_answering.model import AnswersConfig, build
from plugins.question_answering.plugin import EXAMPLE, PLUGIN
from plugins.question_answering.raw import read_stories

ANSWERED = ("words", "attributions")
BABI = """1 Mary moved to the bathroom.
2 John went to  the hallway.
3 Where is Mary? \tbathroom\t1
4 Daniel went back to the office.
5 Where is Daniel? \toffice\t4
1 Sandra journeyed to the garden.
2 Where is Sandra? \tgarden\t1
"""


class Told:
    """The stories above, to learn from; to be judged on, one with a word that they lack."""

    def fetch(self, dataset: Dataset) -> Mapping[str, Array]:
        text = BABI if dataset is TRAIN else "1 Mary teleported to the garden.\n2 Where is Mary?\tgarden\t1\n"
        return {"text": np.frombuffer(text.encode(), np.uint8)}


@pytest.fixture(scope="module")
def few() -> Data:
    return load(Told())


@pytest.fixture(scope="module", params=["attention", "two_lstms"])
def model(request: pytest.FixtureRequest, few: Data) -> Any:
    keras.utils.set_random_seed(1)
    return PLUGIN.build_model(AnswersConfig(), request.param, few.train)


@pytest.fixture(scope="module")
def endpoints(model: Any, serve: Serve) -> Mapping[str, Endpoint]:
    return serve(PLUGIN, model)


def ask(endpoints: Mapping[str, Endpoint], *asked: tuple[str, str]) -> Array:
    story, question = (np.array([text.encode() for text in column], object) for column in zip(*asked, strict=True))
    return endpoints["classify"](story=story, question=question)["scores"]


def test_a_question_is_asked_of_what_was_told_before_it() -> None:
    first, second, third = questions_in(BABI)
    assert first == Question(
        ("Mary moved to the bathroom.", "John went to  the hallway."), "Where is Mary?", "bathroom"
    )
    assert second.story == (*first.story, "Daniel went back to the office.")
    assert third.story == ("Sandra journeyed to the garden.",)


def test_the_last_sentence_is_in_the_last_row_and_words_come_from_training_only(few: Data) -> None:
    story = few.train.inputs["story"]
    assert story.shape == (3, 10, 8)
    assert not story[0, :8].any()
    assert np.count_nonzero(story[1, -1]) == 6
    assert np.count_nonzero(few.test.inputs["story"]) == 4  # not "teleported"
    assert list(few.train.targets) == [ANSWERS.index(place) for place in ("bathroom", "office", "garden")]


def test_texts_and_their_numbers_get_the_same_scores(endpoints: Mapping[str, Endpoint], model: Any, few: Data) -> None:
    asked = [(request["story"], request["question"]) for request in PLUGIN.requests(few.train)]
    scores = ask(endpoints, *asked)
    np.testing.assert_allclose(scores, model.predict(few.train.inputs, verbose=0), atol=1e-5)
    numbers = {f"{name}_numbers": column.astype(np.int32) for name, column in few.train.inputs.items()}
    np.testing.assert_allclose(scores, endpoints["serving_default"](**numbers)["scores"], atol=1e-5)
    as_written = [(" ".join(one.story).upper(), one.question) for one in questions_in(BABI)]
    np.testing.assert_allclose(scores, ask(endpoints, *as_written), atol=1e-5)


def test_of_a_long_story_the_last_ten_sentences_are_read(endpoints: Mapping[str, Endpoint], model: Any) -> None:
    told = [f"Mary moved to the {place}." for place in ("bathroom", "hallway", "office", "garden") * 5]
    long, last = (" ".join(told[-count:]) for count in (20, 10))
    first, second = ask(endpoints, (long, "Where is Mary?"), (last, "Where is Mary?"))
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert read_stories(model.words, [last]).numpy().any(axis=2).all()


def test_of_a_long_sentence_the_first_words_are_read(endpoints: Mapping[str, Endpoint]) -> None:
    words = "Mary went back to the office to the"
    long, short = ask(endpoints, (words + " garden hallway", "Where is Mary"), (words, "Where is Mary"))
    np.testing.assert_allclose(long, short, atol=1e-6)


def test_line_breaks_end_sentences_and_empty_ones_do_not_count(endpoints: Mapping[str, Endpoint]) -> None:
    plain, lines = (
        "Mary moved to the office. John went to the garden.",
        "\nMary moved to the office!\n\nJohn went to the garden...",
    )
    one, other = ask(endpoints, (plain, "Where is Mary?"), (lines, "Where is Mary?"))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_an_unknown_word_is_passed_over(endpoints: Mapping[str, Endpoint]) -> None:
    known, unknown = ask(
        endpoints,
        ("Mary moved to the office.", "Where is Mary?"),
        ("Yesterday Mary moved to the old office.", "Where on earth is Mary?"),
    )
    np.testing.assert_allclose(known, unknown, atol=1e-6)


def test_a_word_moved_the_answer_as_far_as_it_falls_without_it(endpoints: Mapping[str, Endpoint]) -> None:
    story, question = "Mary moved to the bathroom.", "Where is Mary?"
    asked = {"story": np.array([story.encode()], object), "question": np.array([question.encode()], object)}
    answer = endpoints["explain"](**asked, target=np.array([2], np.int32))
    told = [(word.decode(), moved) for word, moved in zip(*(answer[name][0] for name in ANSWERED), strict=True) if word]
    assert [word for word, _ in told] == ["mary", "moved", "to", "the", "bathroom", "where", "is", "mary"]
    whole, *without = ask(
        endpoints, (story, question), ("moved to the bathroom.", question), (story, "Where is?"), (story, "is Mary?")
    )[:, 2]
    moved = [told[place][1] for place in (0, 7, 5)]
    np.testing.assert_allclose(moved, whole - np.array(without), atol=1e-6)
    assert max(map(abs, moved)) > 1e-6


def test_where_nothing_is_told_or_asked_all_answers_are_as_likely(endpoints: Mapping[str, Endpoint]) -> None:
    scores = ask(endpoints, ("", "Where is Mary?"), (EXAMPLE["story"], ""), ("?!", "xyz"), (EXAMPLE["story"], "Mary?"))
    np.testing.assert_allclose(scores[:3], 1 / 6, rtol=1e-6)
    assert scores[3].std() > 0


def test_a_story_of_10_megabytes_is_read_from_its_end(endpoints: Mapping[str, Endpoint]) -> None:
    end = "".join(f"Mary moved to the {place}. " for place in ("office", "garden") * 5)
    filler = "John went to the hallway. " * 400_000
    assert len(filler) > 10_000_000
    question = "Where is Mary?"
    long, short = ask(endpoints, (filler + end, question + " where" * 2_000_000), (end, question + " where" * 5))
    np.testing.assert_allclose(long, short, atol=1e-6)


def test_attention_falls_on_the_sentence_that_answers(few: Data) -> None:
    keras.utils.set_random_seed(1)
    model = build(AnswersConfig(optimizer="adam", learning_rate=0.05), "attention", words_in(few.train.assets))
    model.fit(few.train.take(np.tile(np.arange(3), 40)).in_order(3), shuffle=False, verbose=0)
    assert model.evaluate(few.train.inputs, few.train.targets, verbose=0, return_dict=True)["accuracy"] == 1
    weights = keras.Model(model.input, model.get_layer("attention").output).predict(few.train.inputs, verbose=0)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    assert not weights[:, :7].any()  # padding
    (figure,) = PLUGIN.figures(model, few, AnswersConfig())
    with Image.open(BytesIO(figure.png)) as picture:
        assert picture.height == 22 * 3  # a sentence, the question, an empty line


def test_the_archive_and_the_mirrors_file_hold_the_same_text(tmp_path: Path) -> None:
    mirrored, archive = tmp_path / "train.txt.gz", tmp_path / "file"
    mirrored.write_bytes(gzip.compress(BABI.encode()))
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo("tasks_1-20_v1-2/en-10k/qa1_single-supporting-fact_train.txt")
        info.size = len(BABI.encode())
        tar.addfile(info, BytesIO(BABI.encode()))
    (source,) = TRAIN.sources
    assert TRAIN.read(mirrored)["text"].tobytes() == source.read(archive)["text"].tobytes() == BABI.encode()


@pytest.fixture(scope="module")
def real(mirror: Folder) -> Data:
    return load(mirror)


def test_babi_has_10000_questions_and_1000_to_be_judged_on(real: Data) -> None:
    assert (len(real.train), len(real.test)) == (10_000, 1_000)
    assert set(real.train.targets) == set(range(len(ANSWERS)))
    assert next(PLUGIN.requests(real.train))["story"] == "mary moved to the bathroom. john went to the hallway."


def test_no_word_of_the_test_stories_is_unknown(real: Data) -> None:
    assert real.test.inputs["story"].any(axis=2).sum() == sum(
        request["story"].count(".") for request in PLUGIN.requests(real.test)
    )
    assert np.count_nonzero(real.test.inputs["question"], axis=1).tolist() == [3] * 1000
