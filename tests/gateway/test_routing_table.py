"""Which version answers: decided by values alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from services.core.errors import NotFound, TensorgateError, Unavailable
from services.core.refs import ModelRef
from services.gateway.routing_table import NOTHING_READ, ModelRoutes, RoutingTable, Servable, merged, routed_versions
from tests.gateway.models import AFFINE, card_of

CARD = card_of("m", AFFINE)


def available(*versions: int, on: Mapping[int, str] = MappingProxyType({})) -> dict[int, Servable]:
    """Servables of these versions on server a, or `on` those servers."""
    return {version: Servable("m", version, CARD, {}, tuple(on.get(version, "a"))) for version in versions}


@pytest.mark.parametrize(
    ("labels", "there", "previous", "wanted"),
    [
        ({"stable": 3}, (2, 3), {"stable": 2}, {"stable": 3}),
        ({"stable": 3}, (2,), {"stable": 2}, {"stable": 2}),
        ({"stable": 3}, (1, 2), {"stable": 1}, {"stable": 1}),
        ({"stable": 3}, (2,), {}, {"stable": 2}),
        ({"stable": 3, "canary": 4}, (2, 4), {}, {"stable": 2, "canary": 4}),
        ({"stable": 3, "canary": 2}, (2,), {}, {"stable": 3, "canary": 2}),
        ({"stable": 3}, (), {"stable": 2}, {"stable": 3}),
        ({"stable": 2}, (2, 3), {"stable": 3}, {"stable": 2}),
        ({"stable": 1, "canary": 4}, (1, 3), {"stable": 1, "canary": 3}, {"stable": 1, "canary": 3}),
        ({"canary": 4}, (3,), {}, {"canary": 4}),
        ({"canary": 3}, (3,), {"stable": 3}, {"canary": 3}),
        ({}, (), {}, {}),
    ],
)
def test_each_label_goes_to_its_version_or_while_that_loads_to_the_one_before(
    labels: dict[str, int], there: tuple[int, ...], previous: dict[str, int], wanted: dict[str, int]
) -> None:
    assert routed_versions(labels, available(*there), previous) == wanted


@pytest.mark.parametrize(
    ("on", "previous", "wanted"),
    [
        ({1: "abc", 2: "a"}, {"stable": 1}, 1),
        ({1: "abc", 2: "ab"}, {"stable": 1}, 1),
        ({1: "ab", 2: "ab"}, {"stable": 1}, 2),
        ({1: "b", 2: "a"}, {"stable": 1}, 2),
        ({1: "ab", 2: "a"}, {"stable": 2}, 2),
        ({1: "ab", 2: "a"}, {}, 1),
    ],
)
def test_a_label_goes_to_its_version_when_as_many_servers_have_it_as_the_one_before(
    on: dict[int, str], previous: dict[str, int], wanted: int
) -> None:
    assert routed_versions({"stable": 2}, available(*on, on=on), previous) == {"stable": wanted}


def test_of_several_servers_the_furthest_state_counts() -> None:
    one, two = {1: "AVAILABLE", 2: "LOADING", 3: "END"}, {1: "END", 2: "START", 4: "UNLOADING"}
    assert merged([one, two]) == {1: "AVAILABLE", 2: "LOADING", 3: "END", 4: "UNLOADING"}


def table(reachable: bool = True) -> RoutingTable:
    """One model: 1 answers, 2 loads, 3 is labelled but not there, 4 has no card."""
    states = {1: "AVAILABLE", 2: "LOADING", 4: "AVAILABLE"}
    labels = {"stable": 1, "next": 3}
    routes = ModelRoutes("m", labels, states, available(1), {4: "no card"}, routed_versions(labels, available(1), {}))
    return RoutingTable({"m": routes}, {"a": reachable})


@pytest.mark.parametrize(
    ("ref", "error", "says"),
    [
        (ModelRef("n"), NotFound, "The models here are m. Received: model 'n'"),
        (ModelRef("m", 9), NotFound, "Model m has versions 1. Received: version 9"),
        (ModelRef("m", label="x"), NotFound, "has labels next, stable. Received: label 'x'"),
        (ModelRef("m", 2), Unavailable, "Its state: LOADING"),
        (ModelRef("m", label="next"), Unavailable, "Its state: not loaded yet"),
        (ModelRef("m", 4), Unavailable, "cannot be called: no card"),
    ],
)
def test_a_ref_that_cannot_be_called_says_why(ref: ModelRef, error: type[TensorgateError], says: str) -> None:
    with pytest.raises(error, match=says):
        table().find(ref)


def test_a_ref_that_can_be_called_is_found_by_version_label_and_name() -> None:
    for ref in (ModelRef("m"), ModelRef("m", 1), ModelRef("m", label="stable")):
        assert table().find(ref).version == 1


def test_without_a_model_server_all_models_are_unavailable_but_unknown_ones_stay_unknown() -> None:
    with pytest.raises(Unavailable):
        table(reachable=False).find(ModelRef("m"))
    with pytest.raises(NotFound):
        table(reachable=False).find(ModelRef("n"))


def test_before_the_store_has_been_read_nothing_is_known_to_be_missing() -> None:
    with pytest.raises(Unavailable, match="just started"):
        NOTHING_READ.find(ModelRef("m"))
    assert not NOTHING_READ.ready


def test_at_most_twenty_names_are_listed() -> None:
    routes = table().models["m"]
    many = RoutingTable({f"m{n:03}": routes for n in range(50)}, {"a": True})
    with pytest.raises(NotFound, match=r"m019 and 30 more\. Received"):
        many.find(ModelRef("n"))


def test_one_callable_stable_is_enough_to_be_ready() -> None:
    up, down = table().models["m"], ModelRoutes("d", {"stable": 1}, {}, {}, {}, {"stable": 1})
    assert RoutingTable({"m": up, "d": down}, {"a": True}).ready
    assert not RoutingTable({"d": down}, {"a": True}).ready
    assert not RoutingTable({"m": up}, {"a": False}).ready
    assert RoutingTable({}, {"a": True}).ready
