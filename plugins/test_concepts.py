import numpy as np

from plugins.concepts import MEMORY, Concepts


def test_a_vector_is_the_mean_with_the_class_minus_the_mean_of_all_others() -> None:
    concepts = Concepts({"three": 3, "five": 5}, 2)
    points = np.array([[1, 0], [3, 0], [0, 4], [0, 8]], np.float32)
    concepts.learn(points, np.array([3, 3, 5, 9], np.uint8))
    np.testing.assert_allclose(concepts.vectors(), np.array([[2, -6], [-4 / 3, 4 / 3]]), rtol=1e-5)


def test_what_a_young_network_said_fades() -> None:
    concepts = Concepts({"smile": 1}, 1)
    kinds = np.array([1, 0])
    concepts.learn(np.array([[100], [0]], np.float32), kinds)
    for _ in range(1000):
        concepts.learn(np.array([[2], [1]], np.float32), kinds)
    assert MEMORY**1000 < 1e-4
    np.testing.assert_allclose(concepts.vectors(), [[1]], rtol=1e-3)


def test_a_concept_that_was_never_seen_moves_nothing() -> None:
    concepts = Concepts({"smile": 1, "hat": 2}, 2)
    assert not np.any(concepts.vectors())
    concepts.learn(np.ones((2, 2), np.float32), np.array([1, 0]))
    assert not np.any(concepts.vectors()[1])
