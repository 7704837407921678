"""Settings: where they come from, which source wins, and what is wrong with them, all at once."""

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import get_type_hints

import pytest
from click.testing import CliRunner
from kmipkit_server.admin.cli import admin
from kmipkit_server.config import Config, ConfigError, read_settings
from kmipkit_server.config.sections import TracingConfig
from kmipkit_server.config.show import MASK, as_json, as_lines
from kmipkit_server.config.sources import (
    CONFIG_VARIABLE,
    OPTIONS,
    OTHER_VARIABLES,
    all_settings,
    setting_types,
    variable,
)
from kmipkit_server.config.values import description_of, from_text
from kmipkit_server.service.reload import changes, is_reloadable, merged
from kmipkit_server.toml.lines import lines_of

PROJECT = Path(__file__).resolve().parents[3]

FILE = """\
# Schlüsselserver
listen.host = "::1"

[limits]
connections = 7
idle_timeout = 9.5

[tls]
crl = [
    "a.crl",  # die erste
    "b.crl",
]
[identity]
accounts = { "gerät 7" = "lager", b = "c" }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "kms größe.toml"
    path.write_text(FILE)
    return path


def faults(path: Path | None, environment: dict[str, str], options: object = None) -> list[str]:
    with pytest.raises(ConfigError) as refusal:
        read_settings(path, environment, options or {})  # type: ignore[arg-type]  # as the command line gives them
    return list(refusal.value.faults)


# --- sources ---------------------------------------------------------------------------------------


def test_each_source_overrides_those_before_it(file: Path) -> None:
    environment = {"KMIPKIT_LIMITS_CONNECTIONS": "8", "KMIPKIT_LISTEN_PORT": "1000"}
    options = {"listen": {"port": 2000, "host": None}}
    settings = read_settings(file, environment, options)
    config = settings.config
    assert (config.listen.host, config.listen.port) == ("::1", 2000)
    assert (config.limits.connections, config.limits.idle_timeout) == (8, 9.5)
    assert settings.origins == {
        "listen.host": f"{file}:2",
        "listen.port": "--port",
        "limits.connections": "KMIPKIT_LIMITS_CONNECTIONS",
        "limits.idle_timeout": f"{file}:6",
        "tls.crl": f"{file}:9",
        "identity.accounts": f"{file}:14",
    }
    assert settings.origin("log.level") == "default"


@pytest.mark.parametrize(("section", "key"), list(all_settings()))
def test_every_setting_can_be_set_by_its_variable(section: str, key: str) -> None:
    """Written as TOML, as a plain text for what is text, and with commas."""
    hint = setting_types()[section][key]
    texts = {
        "true or false": ("true", True), "a whole number": ("5", 5), "a number": ("0.5", 0.5),
        "a string": ("größe", "größe"), "a path": ("a b", Path("a b")),
        "a list of strings": ("a, b", ("a", "b")), "a list of paths": ("a,b", (Path("a"), Path("b"))),
        "a table of strings": ("a = x, b=y", {"a": "x", "b": "y"}),
    }  # fmt: skip

    text, value = texts[description_of(hint)]
    assert from_text(hint, text, "x") == value


def test_lists_and_tables_may_be_written_as_toml() -> None:
    settings = read_settings(
        None,
        {
            "KMIPKIT_IDENTITY_ACCOUNTS": '{ "a, b" = "c = d" }',
            "KMIPKIT_TLS_CRL": '["with, comma.crl"]',
            "KMIPKIT_KMIP_STRICT": "true",
        },
        {},
    )
    assert settings.config.identity.accounts == {"a, b": "c = d"}
    assert settings.config.tls.crl == (Path("with, comma.crl"),)
    assert settings.config.kmip.strict is True


def test_an_empty_variable_is_not_set_and_those_of_others_are_left_alone() -> None:
    environment = dict.fromkeys(OTHER_VARIABLES, "x") | {"KMIPKIT_LISTEN_PORT": "", "PATH": "/"}
    assert read_settings(None, environment, {}).config == Config()


def test_the_variables_that_any_part_reads_are_known() -> None:
    """Else a variable for a client would keep the server from starting."""
    sources = [path for folder in ("kmipkit", "server", "client", "conformance", "certs")
               for path in (PROJECT / folder).rglob("*.py")]  # fmt: skip
    named = {
        name
        for path in sources
        for name in re.findall(r"[\"'](KMIPKIT_[A-Z_]+)[\"']", path.read_text(encoding="utf-8"))
    }
    settings = {variable(section, key) for section, key in all_settings()}
    assert named - {"KMIPKIT_"} <= settings | OTHER_VARIABLES
    assert CONFIG_VARIABLE in named


def test_options_belong_to_settings() -> None:
    assert set(OPTIONS) <= {f"{section}.{key}" for section, key in all_settings()}


# --- faults ----------------------------------------------------------------------------------------


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "kms.toml"
    path.write_text(
        "[listen]\nprot = 1\nport = 70000\n[lisen]\n[log]\nlevel = 3\n[limits]\nworkers = 0\n"
    )
    environment = {"KMIPKIT_LIMITS_CONECTIONS": "3", "KMIPKIT_METRICS_TLS": "no"}
    assert [fault.split(";")[0] for fault in faults(path, environment)] == [
        f"{path}:2: [listen]: unknown key 'prot'",
        f"{path}:4: unknown section [lisen]",
        f"{path}:6: [log] level must be a string, not 3",
        "KMIPKIT_LIMITS_CONECTIONS: unknown environment variable",
        f"{path}:3: listen.port must be 0 to 65535",
        f"{path}:8: limits.workers must be more than 0",
        "KMIPKIT_METRICS_TLS: metrics.tls must be one of off, server, mutual",
    ]


@pytest.mark.parametrize(
    ("text", "environment", "suggestion"),
    [
        ("[listen]\nprot = 1", {}, "did you mean port?"),
        ("[limts]", {}, "did you mean limits?"),
        ("", {"KMIPKIT_LISTEN_HOTS": "x"}, "did you mean KMIPKIT_LISTEN_HOST?"),
        ("", {"KMIPKIT_SERVR": "x"}, "did you mean KMIPKIT_SERVER?"),
    ],
)
def test_what_is_unknown_gets_a_suggestion(
    tmp_path: Path, text: str, environment: dict[str, str], suggestion: str
) -> None:
    path = tmp_path / "kms.toml"
    path.write_text(text)
    [fault] = faults(path, environment)
    assert fault.endswith(suggestion)


def test_a_file_that_cannot_be_read_does_not_hide_the_faults_elsewhere(tmp_path: Path) -> None:
    found = faults(tmp_path / "missing", {"KMIPKIT_X": "1"}, {"listen": {"port": 99999}})
    assert found[0].endswith("missing: No such file or directory")
    assert found[1] == "KMIPKIT_X: unknown environment variable"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LISTEN_PORT", "many"), ("LISTEN_PORT", "1.5"), ("KMIP_STRICT", "yes"),
        ("TLS_CRL", "[1]"), ("LIMITS_IDLE_TIMEOUT", "[]"), ("LISTEN_PORT", "1\nport = 2"),
        ("NOTIFY_ACCOUNTS", "{ a = 1 }"), ("METRICS_LISTEN", "127.0.0.1"),
        ("METRICS_LISTEN", "127.0.0.1:70000"), ("TRACING_ENDPOINT", "ftp://x"),
        ("TRACING_SAMPLE_RATIO", "1.5"), ("LOG_FORMAT", "xml"), ("LISTEN_DRAIN_SECONDS", "-1"),
    ],
)  # fmt: skip
def test_a_wrong_value_of_a_variable_names_it(name: str, text: str) -> None:
    [fault] = faults(None, {f"KMIPKIT_{name}": text})
    assert fault.startswith(f"KMIPKIT_{name}")


def test_lines_are_those_where_a_statement_begins() -> None:
    lines = lines_of(FILE)
    assert lines["tls", "crl"] == 9
    assert lines["identity", "accounts"] == 14
    assert lines["listen", "host"] == lines["listen",] == 2
    assert lines_of("a = ") == {}
    assert lines_of("a = 1\n" * 50_000) == {}


def test_lines_of_arrays_of_tables_and_of_dotted_keys() -> None:
    lines = lines_of(
        "[[rules]]\nname = 1\n[rules.who]\na = 1\n[[rules]]\n\nwho.b = [\n1,\n]\nc = { d = 1 }\n"
    )
    assert lines["rules", 0, "name"] == 2
    assert lines["rules", 0, "who", "a"] == 4
    assert lines["rules", 1] == 5
    assert lines["rules", 1, "who", "b"] == lines["rules", 1, "who"] == 7
    assert lines["rules", 1, "c", "d"] == 10


# --- show ------------------------------------------------------------------------------------------


def test_the_values_that_apply_are_shown_with_their_sources(file: Path) -> None:
    settings = read_settings(file, {}, {"log": {"level": "DEBUG"}})
    shown = as_json(settings)
    assert shown["log"]["level"] == {"value": "DEBUG", "source": "--log-level"}
    assert shown["limits"]["connections"] == {"value": 7, "source": f"{file}:5"}
    assert shown["limits"]["connections_per_address"] == {"value": 5, "source": "default"}
    assert shown["store"]["root_key"]["value"] == "kmipkit-data/root.key"
    assert shown["kmip"]["interop"]["value"] is True
    assert set(shown) == set(get_type_hints(Config))
    for section, table in shown.items():
        assert set(table) == {each.name for each in fields(getattr(Config(), section))}
    lines = list(as_lines(settings))
    assert len(lines) == len(list(all_settings()))
    assert any(re.fullmatch(r"limits\.connections +7 +.*größe\.toml:5", line) for line in lines)


def test_secrets_are_masked(tmp_path: Path) -> None:
    secret = "Bearer 0123"
    settings = read_settings(
        None,
        {
            "KMIPKIT_TRACING_HEADERS": f"authorization={secret}",
            "KMIPKIT_TRACING_ENDPOINT": "https://user:geheim@collector:4318/v1/traces",
        },
        {},
    )
    for text in (json.dumps(as_json(settings)), "\n".join(as_lines(settings))):
        assert secret not in text
        assert "geheim" not in text
        assert MASK in text
        assert "authorization" in text


def test_the_command_shows_the_configuration(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KMIPKIT_LISTEN_PORT", "77")
    result = CliRunner().invoke(admin, ["config", "show", "--config", str(file), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["listen"]["port"] == {
        "value": 77,
        "source": "KMIPKIT_LISTEN_PORT",
    }
    text = CliRunner().invoke(admin, ["config", "show", "--config", str(file)])
    assert re.search(r"^listen\.port +77 +KMIPKIT_LISTEN_PORT$", text.output, re.MULTILINE)
    monkeypatch.setenv("KMIPKIT_LISTEN_PROT", "77")
    wrong = CliRunner().invoke(admin, ["config", "show", "--config", "missing"])
    assert wrong.exit_code == 1
    assert "did you mean KMIPKIT_LISTEN_PORT?" in wrong.output


# --- reload ----------------------------------------------------------------------------------------

OTHER_VALUES: dict[str, object] = {
    "true or false": True, "a whole number": 77, "a number": 77.5, "a string": "other",
    "a path": Path("other"), "a list of strings": ("other",), "a list of paths": (Path("other"),),
    "a table of strings": {"other": "value"},
}  # fmt: skip


@pytest.mark.parametrize(("section", "key"), list(all_settings()))
def test_a_reload_takes_on_what_it_can_and_names_every_change(section: str, key: str) -> None:
    old = Config()
    value = OTHER_VALUES[description_of(setting_types()[section][key])]
    if value is True:
        value = not getattr(getattr(old, section), key)
    new = replace(old, **{section: replace(getattr(old, section), **{key: value})})  # type: ignore[arg-type]  # a value of its type
    [change] = changes(old, new)
    assert str(change).startswith(f"{section}.{key}: ")
    merged_value = getattr(getattr(merged(old, new), section), key)
    assert (merged_value == value) is is_reloadable(section, key)
    expected = new if is_reloadable(section, key) else old
    assert merged(old, new) == expected


def test_a_change_of_a_secret_does_not_show_it() -> None:
    old, new = (
        Config(tracing=TracingConfig(headers={"authorization": secret}))
        for secret in ("geheim", "auch geheim")
    )
    assert "geheim" not in str(list(changes(old, new)))


@pytest.mark.parametrize(
    "text",
    ['administrators = ["root", "tenant:acme:root"]', 'accounts = { root = "tenant:acme:root" }'],
)
def test_no_setting_makes_an_account_of_a_tenant(tmp_path: Path, text: str) -> None:
    """A slip would give one tenant the keys of another."""
    path = tmp_path / "kms.toml"
    path.write_text(f"[identity]\n{text}\n")
    [fault] = faults(path, {})
    assert "must not have names that begin with tenant:" in fault
    assert "kmipkit admin tenants" in fault
