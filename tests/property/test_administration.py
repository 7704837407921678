"""Whatever an administrator's program sends: an answer, or a refusal, and never an internal error."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from administered import Administered
from hypothesis import given, settings
from hypothesis import strategies as st
from kmipkit_client import calls, symmetric_key
from kmipkit_server.administration import values
from kmipkit_server.administration.problems import Refused
from kmipkit_server.administration.routes import AnyRoute
from kmipkit_server.administration.table import ROUTES
from lengths import examples
from locate_strategies import attribute_lists

from kmipkit.spec.attributes import BY_NAME
from kmipkit.spec.masks import CryptographicUsageMask

texts = st.one_of(
    st.sampled_from(
        [
            "", "0", "-1", "1" * 5000, "db01", "bob", "*", "[", "Active", "symmetric-key", "true",
            "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01T00:00:00", "10.0.0.0/8",
            "\x00", "🔑", "Name=db", "Cryptographic Length=256", "State=Active", "x-Owner=y", "success",
        ]
    ),
    st.text(max_size=20),
)  # fmt: skip
MATERIAL = bytes.fromhex("d00dfeedcafebabe8badf00dfee1dead")
FORMS = (MATERIAL.hex(), MATERIAL.hex().upper(), base64.b64encode(MATERIAL).decode()[:20])
json_values = st.one_of(
    texts, st.integers(), st.booleans(), st.none(), st.lists(texts, max_size=2), st.floats()
)


@pytest.fixture(scope="module")
def server() -> Iterator[Administered]:
    with TemporaryDirectory() as folder:
        laboratory = Administered(Path(folder) / "data")
        yield laboratory
        laboratory.close()


@st.composite
def requests(draw: st.DrawFn) -> tuple[AnyRoute, str, Any, list[tuple[str, str]]]:
    """A request with parameters that the route has, and values that it may not expect."""
    route = draw(st.sampled_from(ROUTES.rows))
    parts = [quote(draw(texts), safe="") if part[0] == "{" else part for part in route.parts]
    names = st.sampled_from(
        [field.name for field in msgspec.structs.fields(route.request)] or ["x"]
    )
    query, body = [], None
    if route.method == "GET":
        query = draw(st.lists(st.tuples(names, texts), max_size=3))
    else:
        body = draw(st.one_of(st.none(), st.dictionaries(names, json_values, max_size=4)))
    return route, "/" + "/".join(parts), body, query


@settings(max_examples=examples(30))
@given(sent=st.lists(requests(), min_size=10, max_size=30))
def test_every_request_is_answered_or_refused_with_a_reason(
    server: Administered, sent: list[Any]
) -> None:
    """A defect would look like an outage, and hide what was wrong."""

    async def work() -> list[Any]:
        key = symmetric_key(MATERIAL)
        usage = CryptographicUsageMask.ENCRYPT
        await server.request(calls.register(key, usage, None, None), identity="db01")
        answers = []
        for route, path, body, query in sent:
            data = None if body is None else json.dumps(body).encode()
            answers.append(await server.ask(route.method, path, data, query=query))
        return answers

    for request, answer in zip(sent, server.administer(work), strict=True):
        # 503: this server has no backups configured, and nothing that rotates keys.
        assert answer.status < 500 or answer.status == 503, (request, answer)
        assert answer.status < 400 or answer.body["detail"], request
        # Routes that others add are here, too: none may give out what only clients may have.
        assert not any(form in answer.text for form in FORMS), request


@given(attributes=attribute_lists())
def test_all_attributes_can_be_shown(attributes: Any) -> None:
    """An object with an unusual attribute could not be looked at."""
    shown = values.attribute_data(attributes)
    assert json.loads(msgspec.json.encode(shown)) == shown
    assert sum(map(len, shown.values())) == len(attributes)


@given(name=st.sampled_from(sorted(BY_NAME)) | st.just("x-Owner"), text=texts)
def test_any_text_of_an_attribute_is_a_condition_or_refused(name: str, text: str) -> None:
    refusal = None
    try:
        values.criterion(f"{name}={text}")
    except Refused as refused:
        refusal = refused
    assert refusal is None or (refusal.status == 400 and refusal.detail)
