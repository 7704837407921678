"""Backups over the network: an administrator asks for one, and can choose nothing else."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from administered import Administered
from backing_up import Backups
from kmipkit_server.backup.creation import Made
from kmipkit_server.config.sections import BackupConfig


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Administered]:
    laboratory = Administered(tmp_path / "data")
    yield laboratory
    laboratory.close()


def test_without_a_directory_there_is_no_backup(server: Administered) -> None:
    async def story() -> None:
        shown = await server.ask("GET", "/backup")
        assert shown.body["configured"] is False
        refused = await server.ask("POST", "/backup")
        assert refused.status == 503
        assert "has no backup.directory in its configuration" in refused.body["detail"]

    server.administer(story)


def test_an_administrator_cannot_choose_recipients_or_directory(
    server: Administered, tmp_path: Path
) -> None:
    """Or everybody with an administrator's certificate would get the root key."""

    async def story() -> None:
        for body in ({"recipients": ["age1..."]}, {"directory": str(tmp_path)}):
            refused = await server.ask("POST", "/backup", body)
            assert refused.status in (400, 422), refused.text
        tenant = {"name": "lab", "accounts": ["lab-*"], "administrators": ["lab-root"]}
        assert (await server.ask("POST", "/tenants", tenant)).status == 200
        for identity in ("db01", "lab-root"):
            for method in ("GET", "POST"):
                assert (await server.ask(method, "/backup", identity=identity)).status == 403

    server.administer(story)


def test_a_backup_is_made_and_recorded(
    server: Administered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backups = Backups(tmp_path / "other")
    made = backups.create()
    server.config = replace(
        server.config, backup=BackupConfig(backups.directory, (backups.recipient,))
    )

    def create(order: Any, *_: Any) -> Made:
        assert order.is_full
        return made

    monkeypatch.setattr("kmipkit_server.backup.schedule.create", create)

    async def story() -> None:
        answer = await server.ask("POST", "/backup", {"full": True})
        assert answer.body["number"] == 1
        assert answer.body["file"] == made.part.data.name
        shown = await server.ask("GET", "/backup")
        assert shown.body["last"] == answer.body
        assert shown.body["recipients"] == [backups.recipient]

    server.administer(story)
    [first, _] = server.requests()
    assert (first.operation, first.subject) == ("backup now", made.part.data.name)
