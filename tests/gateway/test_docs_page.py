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
