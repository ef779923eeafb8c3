"""The page that shows the API and tries requests."""

from __future__ import annotations

import re

import pytest

from tests.gateway.world import World

pytestmark = pytest.mark.anyio


async def test_the_page_needs_no_other_host(here: World) -> None:
    page = (await here.rest.get("/docs")).text
    addresses = re.findall(r"""(?:src|href)="([^"]*)"|url: '([^']*)'""", page)
    wanted = [one or other for one, other in addresses]
    assert {path.rpartition("/")[2] for path in wanted} >= {"swagger-ui-bundle.js", "swagger-ui.css", "openapi.json"}
    for path in wanted:
        assert re.match("/[^/]", path), path
        assert (await here.rest.get(path)).status_code == 200, path


async def test_the_api_has_one_page(here: World) -> None:
    assert (await here.rest.get("/redoc")).status_code == 404


async def test_the_page_says_what_each_group_of_operations_is(here: World) -> None:
    page = (await here.rest.get("/openapi.json")).json()
    told = {tag["name"] for tag in page["tags"] if tag["description"]}
    assert told == {tag for path in page["paths"].values() for operation in path.values() for tag in operation["tags"]}


async def test_the_page_shows_all_that_tensorflow_serving_s_clients_ask(here: World) -> None:
    paths = (await here.rest.get("/openapi.json")).json()["paths"]
    for verb in (":predict", ":classify", ":regress", "/metadata", ""):
        assert f"/v1/models/{{model}}/versions/{{version}}{verb}" in paths
