import tensorflow as tf

from plugins.texts import beginning, ending, first, last, lookup, multi_hot, numbers_of, words_by_number, words_of

WORDS = lookup(["the", "film", "don't"])


def test_words_are_lower_case_and_keep_their_apostrophe() -> None:
    assert words_of(tf.constant(["I DON'T!\tLike--it<br />", "É\u00a0É", ""])).to_list() == [
        [b"i", b"don't", b"like", b"it", b"br"],
        ["é\u00a0é".encode()],
        [],
    ]


def test_words_are_numbered_as_keras_numbers_them() -> None:
    assert numbers_of(WORDS, tf.constant(["The film, the END", ""])).to_list() == [[1, 4, 5, 4, 2], [1]]


def test_each_number_has_its_word() -> None:
    (numbers,) = numbers_of(WORDS, tf.constant(["The film, the END"])).to_list()
    assert [words_by_number(WORDS)[number] for number in numbers] == ["(start)", "the", "film", "the", "(unknown)"]


def test_the_last_words_are_kept_and_short_texts_padded_in_front() -> None:
    numbers = numbers_of(WORDS, tf.constant(["the film the end", "film"]))
    assert last(numbers, 3).numpy().tolist() == [[5, 4, 2], [0, 1, 5]]
    assert last(numbers, 6).numpy().tolist() == [[0, 1, 4, 5, 4, 2], [0, 0, 0, 0, 1, 5]]


def test_a_text_is_marked_by_which_numbers_it_has() -> None:
    marks = multi_hot(tf.constant([[3, 1, 3, 0, 0], [0, -2, 4, 99, 2], [0, 0, 0, 0, 0]]), 5)
    assert marks.dtype == tf.float32
    assert marks.numpy().tolist() == [[0, 1, 0, 1, 0], [0, 0, 1, 0, 1], [0, 0, 0, 0, 0]]


def test_the_first_words_are_kept_and_short_texts_padded_behind() -> None:
    numbers = numbers_of(WORDS, tf.constant(["the film the end", "film"]))
    assert first(numbers, 3).numpy().tolist() == [[1, 4, 5], [1, 5, 0]]


def test_of_a_huge_text_one_end_is_read() -> None:
    huge, short = b"a" * 70_000 + "é".encode(), b"short"
    assert [len(text) for text in ending(tf.constant([huge, short])).numpy()] == [2**16, 5]
    assert ending(tf.constant([huge])).numpy()[0].endswith("é".encode())
    assert beginning(tf.constant([huge, short, b""])).numpy().tolist() == [b"a" * 2**16, short, b""]
