"""Nobody learns of the end of a certificate from a client that no longer gets its keys."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from administered import Administered
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_certs.authority import Purpose
from kmipkit_certs.revocation_status import PeerCertificate
from kmipkit_client import calls
from kmipkit_server.identity.identity import Identity
from kmipkit_server.identity.sightings import ENDING, Sightings
from kmipkit_server.metrics import collector
from kmipkit_server.net.validity import Validity
from kmipkit_server.service import client_certificates
from tenancy import NOW, authority, member, set_tenants, tenant

DAY = timedelta(days=1)


def client(name: str, days: int) -> Identity:
    """An account with a certificate that ends in so many days."""
    issued = authority("").issue(name, Purpose.CLIENT, NOW, days=days).certificate
    return Identity(
        name,
        certificate=PeerCertificate.of(issued),
        certificate_expires=issued.not_valid_after_utc,
    )


def ending(sightings: Sightings) -> list[str]:
    return [each.account for each in sightings.ending(NOW)]


def test_a_certificate_is_warned_of_until_its_successor_comes() -> None:
    sightings = Sightings()
    old = client("tape", 20)
    sightings.note(old, NOW)
    sightings.note(client("array", 400), NOW)
    assert ending(sightings) == ["tape"]
    sightings.note(client("tape", 10), NOW)
    assert ending(sightings) == ["tape", "tape"], "a successor ends later"
    sightings.note(client("tape", 825), NOW)
    assert ending(sightings) == []
    sightings.note(old, NOW)
    assert ending(sightings) == ["tape"], "another machine of the account still has the old one"


@given(st.lists(st.integers(min_value=1, max_value=100), min_size=1, max_size=8))
def test_what_is_shown_as_ending_ends_and_the_last_one_to_come_is_never_replaced(
    days: list[int],
) -> None:
    sightings = Sightings()
    for number in days:
        sightings.note(CLIENTS[number], NOW)
    found = list(sightings.certificates())
    assert len(found) == len(set(days))
    assert not found[-1].is_replaced
    for each in sightings.ending(NOW):
        assert each.certificate.expires is not None
        assert each.certificate.expires < NOW + ENDING


CLIENTS = {days: client("tape", days) for days in range(1, 101)}


def test_the_log_and_the_metric_say_so(caplog: pytest.LogCaptureFixture) -> None:
    sightings = Sightings()
    for number in range(client_certificates.MAX_WARNINGS + 2):
        sightings.note(client(f"host{number}", 29), NOW)
    client_certificates.warn(sightings, lambda: NOW)
    lines = [each.message for each in caplog.records]
    assert len(lines) == client_certificates.MAX_WARNINGS + 1
    assert "of the account host0 ends on 2026-11-30 00:00 UTC" in lines[0]
    assert lines[-1].startswith("2 more certificates of clients end soon")
    metrics = {
        each.name: each for each in collector.certificates(lambda: (), sightings, lambda: NOW)
    }
    [sample] = metrics["kmipkit_client_certificates_ending"].samples
    assert sample.value == len(sightings.accounts)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Administered]:
    laboratory = Administered(tmp_path / "data")
    yield laboratory
    laboratory.close()


def test_administrators_see_what_ends_first(server: Administered) -> None:
    sightings = server.dispatcher.server.state.sightings

    async def story() -> None:
        now = server.dispatcher.clock()
        server.validities = (
            Validity("server", "server.crt", None, now + 40 * DAY),
            Validity("client-authority", "CN=CA (1)", None, now - DAY),
        )
        days = (now - NOW).days
        sightings.note(client("tape", days + 20), now)
        answer = await server.ask("GET", "/certificates")
        roles = [each["role"] for each in answer.body["certificates"]]
        assert roles == ["client-authority", "client", "server"]
        assert answer.body["certificates"][0]["days_left"] == -1
        answer = await server.ask("GET", "/certificates", query={"days": 30})
        assert [each["name"] for each in answer.body["certificates"]] == ["CN=CA (1)", "tape"]
        assert not answer.body["more"]
        answer = await server.ask("GET", "/certificates", query={"limit": 1})
        assert (len(answer.body["certificates"]), answer.body["more"]) == (1, True)
        assert (await server.ask("GET", "/certificates", identity="tape")).status == 403

    server.administer(story)


def test_administrators_of_a_tenant_see_its_clients_only(server: Administered) -> None:
    """The names of other tenants' clients and authorities are nothing to them."""
    set_tenants(server, tenant("acme"), tenant("globex"))

    async def story() -> None:
        server.validities = (Validity("client-authority", "CN=globex CA (1)", None, NOW),)
        await server.request(calls.query(), identity=member("acme"))
        await server.request(calls.query(), identity=member("globex", "hidden"))
        answer = await server.ask("GET", "/certificates", identity=member("acme", "administrator"))
        found = {(each["role"], each["name"]) for each in answer.body["certificates"]}
        assert found == {("client", "db01"), ("client", "administrator")}
        everything = (await server.ask("GET", "/certificates")).body["certificates"]
        assert {"tenant:acme:db01", "tenant:globex:hidden", "CN=globex CA (1)"} <= {
            each["name"] for each in everything
        }

    server.administer(story)
