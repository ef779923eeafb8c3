"""Posts of people who do not exist: a file of them where a mirror has it, else drawn by the same rules."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from plugins.contract import Array, Data, Dataset, Datasets, Samples, Unavailable

GENDERS = ("male", "female")
DECILES = tuple(map(str, range(1, 11)))  # 1: the tenth of the people that earns least
POSTS, TEST = 6000, 1000

# The rules. Every post has four words of its author's age, four of the income, two of the gender, and words of anyone.
BY_AGE = {
    (13, 21): np.array(["school", "campus", "homework", "dorm", "exam", "prom", "tiktok"]),
    (20, 34): np.array(["roommate", "gig", "dating", "rent", "gym", "startup", "festival"]),
    (30, 49): np.array(["mortgage", "barbecue", "toddler", "promotion", "daycare", "commute"]),
    (52, 84): np.array(["grandchildren", "doctor", "pension", "cruise", "garden", "retirement"]),
}
BY_DECILE = {
    (0, 2): np.array(["coupon", "payday", "loan", "bus", "overtime", "laundromat"]),
    (3, 4): np.array(["budget", "lunch", "sale", "savings", "commute"]),
    (5, 7): np.array(["renovation", "leasing", "conference", "bonus", "brunch"]),
    (8, 9): np.array(["chauffeur", "gallery", "dividend", "yacht", "vineyard", "portfolio"]),
}
BY_GENDER = (np.array(["beard", "tie", "darts", "barber"]), np.array(["mascara", "bracelet", "ballet", "dress"]))
ANYONES = "morning and with my love a just after great the so for this had some today again thinking really about new"
OF_ANYONE = np.array(ANYONES.split())
SHORTEST, LONGEST = 12, 39  # words of anyone


def read_csv(file: Path) -> Mapping[str, Array]:
    """Columns text, age, income_decile (0 to 9) and gender (0 or 1), a post a line."""
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {
        "text": np.array([row["text"].encode() for row in rows]),
        **{name: np.array([int(row[name]) for row in rows]) for name in ("age", "income_decile", "gender")},
    }


SYNTHETIC_POSTS = Dataset(
    file="synthetic_posts.csv.gz",
    sha256="0bd460eac5a41f2ca0aa493e44c24ac7fed002bfb514bf5aebbbcdd1b85e064d",
    read=read_csv,
    sources=(),
)


def draw_posts(count: int, seed: int) -> Mapping[str, Array]:
    """`count` posts as `read_csv` gives them; the same for the same seed."""
    random = np.random.default_rng(seed)
    ages = [tuple(BY_AGE)[stage] for stage in random.integers(len(BY_AGE), size=count)]
    authors = {
        "age": np.array([random.integers(low, high + 1) for low, high in ages]),
        "income_decile": random.integers(len(DECILES), size=count),
        "gender": random.integers(len(GENDERS), size=count),
    }
    bands = [next(band for band in BY_DECILE if band[0] <= decile <= band[1]) for decile in authors["income_decile"]]
    texts = []
    for age, band, gender in zip(ages, bands, authors["gender"], strict=True):
        words = [
            *random.choice(BY_AGE[age], 4),
            *random.choice(BY_DECILE[band], 4),
            *random.choice(BY_GENDER[gender], 2),
            *random.choice(OF_ANYONE, random.integers(SHORTEST, LONGEST + 1)),
        ]
        texts.append(" ".join(random.permutation(words)).encode())
    return {"text": np.array(texts), **authors}


def load(datasets: Datasets) -> Data:
    """5,000 posts to learn from, 1,000 to be judged on: bytes [N], with three targets each."""
    try:
        arrays = datasets.fetch(SYNTHETIC_POSTS)
    except Unavailable:
        arrays = draw_posts(POSTS, seed=7)
    targets = {
        "age": arrays["age"].astype(np.float32)[:, None],
        "income": arrays["income_decile"],
        "gender": arrays["gender"].astype(np.float32)[:, None],
    }
    posts = Samples(arrays["text"], targets)
    rows = np.arange(len(posts))
    return Data(train=posts.take(rows[:-TEST]), test=posts.take(rows[-TEST:]))
