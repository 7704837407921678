"""Requests of administrators that are not as they should be: what is refused, and with which words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from administered import Administered, Answer
from kmipkit_server.audit.records import Outcome

SECRET = "hunter2-hunter2"
EXPLAIN = "/policy/explain?account=a&operation=Get&owner=b"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Administered]:
    laboratory = Administered(tmp_path / "data")
    yield laboratory
    laboratory.close()


def ask(server: Administered, *arguments: Any, **options: Any) -> Answer:
    async def work() -> Answer:
        return await server.ask(*arguments, **options)

    answer: Answer = server.administer(work)
    [record] = server.requests()
    assert (record.outcome is Outcome.FAILED) == (answer.status >= 400)
    if answer.status >= 400:
        assert answer.body["status"] == answer.status
        assert record.message == answer.body["detail"]
    return answer


@pytest.mark.parametrize(
    ("arguments", "status", "detail"),
    [
        (("GET", "/nothing"), 404, "no such path; /admin/v1/openapi.json describes"),
        (("GET", "/"), 404, "no such path"),
        (("GET", "/objects/"), 404, "no such path"),
        (("GET", "/objects/../config"), 404, "no such path"),
        (("GET", "/objects/..%2F..%2Fconfig"), 404, "no object '../../config'"),
        (("GET", "/objects/%00"), 404, r"no object '\x00'"),
        (("GET", "/objects/%ff"), 400, "the path is not UTF-8"),
        (("GET", "//objects"), 404, "no such path"),
        (("GET", "/Objects"), 404, "no such path"),
        (("POST", "/objects"), 405, "this path has only GET"),
        (("OPTIONS", "/objects"), 405, "this path has only GET"),
        (("HEAD", "/objects"), 405, "this path has only GET"),
        (("TRACE", "/users"), 405, "this path has only GET, POST"),
        (("GET", "/objects?limit=0"), 400, "the parameter limit"),
        (("GET", "/objects?limit=1001"), 400, "the parameter limit: expected a whole number <= 1000"),
        (("GET", "/objects?limit=1&limit=2"), 400, "given twice"),
        (("GET", "/objects?nothing=1"), 400, "there is no parameter nothing"),
        (("GET", "/objects?limit"), 400, "the query of the URL is malformed"),
        (("GET", "/objects?state=gone"), 400, "state must be one of: pre-active, active"),
        (("GET", "/objects?type=gone"), 400, "type must be one of: certificate"),
        (("GET", "/objects?attribute=gone"), 400, "attribute must be NAME=VALUE"),
        (("GET", "/objects?attribute=Gone=1"), 400, "there is no attribute 'Gone'"),
        (("GET", "/objects?attribute=Cryptographic Length=x"), 400, "not a valid value"),
        (("GET", "/objects?created_after=yesterday"), 400, "the parameter created_after"),
        (("GET", f"{EXPLAIN}&type=gone"), 400, "type has no value 'gone'"),
        (("GET", f"{EXPLAIN}&state=gone"), 400, "state has no value 'gone'"),
        (("GET", f"{EXPLAIN}&address=home"), 400, "'home' is not an address"),
        (("GET", f"{EXPLAIN}&attribute=Gone=1"), 400, "the attribute 'Gone': is no attribute"),
        (("GET", "/objects?after=-1"), 400, "the parameter after"),
        (("GET", "/objects/x?id=y"), 400, "id is in the path already"),
        (("GET", "/audit?address=nowhere"), 400, "address must be an address or a network"),
        (("GET", "/objects", {}), 400, "has its parameters in the URL"),
        (("POST", "/users?name=x"), 400, "not in the URL"),
        (("POST", "/users", b"{"), 400, "the body is not JSON"),
        (("POST", "/users", b"\xff"), 400, "the body is not JSON"),
        (("POST", "/users", b"[" * 100_000), 400, "the body is not JSON"),
        (("POST", "/users", []), 400, "the body must be a JSON object"),
        (("POST", "/users", {"name": "x"}), 422, "needs a password or a certificate"),
        (("POST", "/users", {"name": ""}), 400, "the parameter name"),
        (("POST", "/users", {"name": "x", "certificate": "y"}), 422, "one certificate in PEM"),
        (("PUT", "/accounts/x/block", {"name": "y"}), 400, "name is in the path already"),
        (("DELETE", "/sessions/x"), 400, "the parameter number"),
        (("DELETE", "/sessions/7"), 404, "there is no connection 7"),
        (("GET", "/accounts/nobody"), 404, "there is no account 'nobody'"),
        (("GET", "/users/nobody"), 404, "there is no user 'nobody'"),
        (("GET", "/groups/nobody"), 404, "there is no group 'nobody'"),
        (("POST", "/accounts/a/transfer", {"to": "a"}), 422, "both names are the same"),
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_request_is_refused_with_its_reason(
    server: Administered, arguments: tuple[Any, ...], status: int, detail: str
) -> None:
    method, path, *body = arguments
    path = path.replace(" ", "%20")
    answer = ask(server, method, path, *body)
    assert (answer.status, detail in answer.body["detail"]) == (status, True), answer.text


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "password": [SECRET]},
        {"name": "x", "password": SECRET * 100},
        {"name": "x", "password": SECRET, "extra": SECRET},
        {"password": SECRET},
        {"name": {"password": SECRET}, "password": SECRET},
        f'{{"name": "x", "password": "{SECRET}"'.encode(),
    ],
    ids=str,
)
def test_a_refusal_does_not_repeat_a_password(server: Administered, body: Any) -> None:
    """The log and the terminal would have it."""
    answer = ask(server, "POST", "/users", body)
    assert answer.status == 400
    assert SECRET not in answer.text
    assert all(SECRET.encode() not in path.read_bytes() for path in server.directory.iterdir())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (((b"origin", b"https://evil.example"),), 403),
        (((b"origin", b"null"),), 403),
        (((b"sec-fetch-site", b"cross-site"),), 403),
        (((b"sec-fetch-site", b"same-site"),), 403),
        (((b"origin", b"https://kms"), (b"sec-fetch-site", b"same-origin")), 200),
        (((b"sec-fetch-site", b"none"),), 200),
    ],
)
def test_pages_of_other_sites_cannot_use_the_certificate_of_an_administrator(
    server: Administered, headers: Any, status: int
) -> None:
    """A page that an administrator looks at would read and change everything."""
    answer = ask(server, "GET", "/accounts", headers=headers)
    assert answer.status == status
    assert not any(name.lower().startswith("access-control") for name in answer.headers)
    assert "set-cookie" not in {name.lower() for name in answer.headers}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "content_type",
    [
        b"text/plain",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
        b"application/json; charset=utf-16",
        b"",
    ],
)
def test_what_a_form_can_send_is_no_request(server: Administered, content_type: bytes) -> None:
    async def work() -> Answer:
        return await server.ask(
            "PUT", "/accounts/db01/block", {"reason": "x"}, content_type=content_type
        )

    answer = server.administer(work)
    assert answer.status == 415
    assert server.state.blocked == {}


@pytest.mark.parametrize("path", ["/objects", "/nothing", "/openapi.json", "/users/x/password"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_who_is_not_an_administrator_learns_nothing(
    server: Administered, method: str, path: str
) -> None:
    """Not even which paths there are."""
    answer = ask(server, method, path, identity="db01")
    assert answer.status == 403
    assert "'db01' is not an administrator" in answer.body["detail"]
