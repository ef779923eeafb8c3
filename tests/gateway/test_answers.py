"""What a typed door tells of an answer."""

from __future__ import annotations

import numpy as np

from services.gateway.answers import pictures
from services.gateway.request import Answer
from services.gateway.routing_table import Servable
from tests.gateway.models import PAINTER, card_of


def test_frames_that_only_fill_a_shorter_row_are_no_pictures() -> None:
    servable = Servable("painter", 1, card_of("painter", PAINTER), {}, ())
    frames = np.array([[b"one", b"two", b""]], object)
    assert pictures(Answer(servable, "sheet", {"image_bytes": frames})) == [b"one", b"two"]
