"""How many workers a configuration may have."""

import pytest
from kmipkit_server.config import Config, ConfigError
from kmipkit_server.config.rules import MAX_WORKERS, check
from kmipkit_server.config.sections import ServerConfig


@pytest.mark.parametrize("count", [1, 2, MAX_WORKERS, None])
def test_as_many_as_a_machine_has_use_for(count: int | None) -> None:
    config = Config(server=ServerConfig(workers=count))
    assert check(config, "kms.toml") is config


@pytest.mark.parametrize("count", [-1, 0, MAX_WORKERS + 1, 2000])
def test_other_numbers_are_refused(count: int) -> None:
    """A zero too many would stop the machine, and not only the server."""
    with pytest.raises(ConfigError, match=r"workers.* must be (1 or more|256 at most)"):
        check(Config(server=ServerConfig(workers=count)), "kms.toml")
