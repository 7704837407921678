"""A server that nobody restarts for years still has a certificate that its clients accept."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
import trio.testing
from kmipkit_certs.authority import LEAF_DAYS
from kmipkit_certs.directory import Directory
from kmipkit_certs.passwords import KeyPassword
from kmipkit_server.config import Config, ConfigError, Settings
from kmipkit_server.config.sections import StoreConfig
from kmipkit_server.net.tls import TLSSettings
from kmipkit_server.service.reload import Certificates, Commit, Reloader, Values
from kmipkit_server.service.renewal import Renewal
from kmipkit_server.service.tls_files import renewed_files, revocation_files, tls_files

START = datetime(2026, 3, 1, tzinfo=UTC)
NEAR_THE_END = timedelta(days=LEAF_DAYS - 50)


async def no_changes(_: Config) -> Iterable[str]:
    return ()


class Scene:
    """A server without sockets: its certificates, and what renews them."""

    def __init__(self, folder: Path) -> None:
        self.config = Config(store=StoreConfig(directory=folder))
        self.directory = Directory(folder / "certs")
        self.time = START
        files = tls_files(self.config, self.now, KeyPassword())
        self.tls = TLSSettings.load(files, revocation_files(self.config), self.now)
        self.applied: list[Config] = []
        certificates = Certificates(self.tls, KeyPassword(), lambda: None, is_development=True)
        self.reloader = Reloader(
            self.config, lambda: Settings(self.config), (certificates,), no_changes
        )
        self.renewal = Renewal(
            self.reloader,
            (certificates, Values(self.applied.append)),
            lambda: renewed_files(self.config, self.now),
        )

    def now(self) -> datetime:
        return self.time

    async def serve(self, days: int) -> None:
        """What happens each day; nothing does before the end is near."""
        self.time = max(self.time, START + NEAR_THE_END)
        for _ in range(days):
            self.time += timedelta(days=1)
            self.tls.warn()
            await self.renewal.once()

    @property
    def end(self) -> datetime:
        """Of the certificate that clients get."""
        return min(each.chain[0].not_valid_after_utc for each in self.tls.material.own)


def test_a_server_that_runs_for_years_renews_its_certificates(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        scene = Scene(tmp_path)
        context = scene.tls.context
        await scene.serve(100)
        assert scene.end > scene.now() + timedelta(days=400)
        assert scene.tls.context is not context
        assert len(scene.applied) == 1, "once for both certificates"

    trio.run(run)
    assert "expires" not in caplog.text, "nobody is warned of what needs nobody"


def test_an_authority_without_its_key_is_a_warning_and_no_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who keeps ca.key elsewhere renews by hand; the server starts and runs with what it has."""

    async def run() -> None:
        scene = Scene(tmp_path)
        scene.directory.files("ca").key.rename(tmp_path / "vault")
        await scene.serve(40)
        assert scene.applied == []
        assert tls_files(scene.config, scene.now, KeyPassword()).pairs == scene.tls.files.pairs

    trio.run(run)
    assert "could not be renewed" in caplog.text
    assert "expires on" in caplog.text


def test_renewed_files_that_could_not_be_used_are_used_as_soon_as_they_can(tmp_path: Path) -> None:
    class Broken:
        is_broken = True

        def prepare(self, _: Config) -> Commit:
            if self.is_broken:
                raise ConfigError("a list of revoked certificates is damaged")
            return lambda: ()

    async def run() -> None:
        scene, broken = Scene(tmp_path), Broken()
        scene.renewal.parts = (*scene.renewal.parts, broken)
        first = scene.end
        await scene.serve(30)
        assert (scene.end, scene.applied) == (first, [])
        broken.is_broken = False
        await scene.serve(2)
        assert scene.end > first

    trio.run(run)


def test_it_looks_at_the_dates_once_a_day(tmp_path: Path) -> None:
    days: list[int] = []

    async def run() -> None:
        began = trio.current_time()

        class Noted(Renewal):
            async def once(self) -> None:
                days.append(round((trio.current_time() - began) / 86400))

        renewal = Scene(tmp_path).renewal
        with trio.move_on_after(3.5 * 86400):
            await Noted(renewal.reloader, renewal.parts, renewal.renew).run()

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))
    assert days == [1, 2, 3]
