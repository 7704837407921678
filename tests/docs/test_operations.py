"""The pages for operators, the alerts and the dashboard name metrics and settings that there are."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from documents import PROJECT
from kmipkit_certs.passwords import KeyPassword
from kmipkit_server.admin.connection import connect
from kmipkit_server.backup.encryption import new_identity
from kmipkit_server.config.sources import all_settings
from monitoring import OPEN_METRICS, families, fetch
from prometheus_client.core import Metric
from servers import RunningServer

from tools import gen_settings

ALERTS = PROJECT / "server/deploy/prometheus/alerts.yml"
DASHBOARD = PROJECT / "server/deploy/grafana/kmipkit.json"
PAGE = PROJECT / "docs/operations.md"

_NAME = re.compile(r"\b((?:kmipkit|process)_[a-z_]+|up)\b(?=[{\[ ,)]|$)")
_SELECTOR = re.compile(r"\b((?:kmipkit)_[a-z_]+)\{([^}]*)\}")
_LABEL = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
OF_PROMETHEUS = {"instance", "job", "le"}


@pytest.fixture(scope="module")
def scrape(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Metric]]:
    """The metrics of a running server."""
    folder = tmp_path_factory.mktemp("scraped")
    config = folder / "server.toml"
    recipient = new_identity(folder / "identity")
    config.write_text(
        '[metrics]\nlisten = "127.0.0.1:0"\n'
        f'[backup]\ndirectory = "backups"\nrecipients = ["{recipient}"]\n'
    )
    server = RunningServer(folder / "data", ("--config", str(config))).start()
    try:
        files = server.credentials()
        address = f"127.0.0.1:{server.port}"
        password = KeyPassword()
        with connect(address, files["ca"], files["cert"], files["key"], password) as connection:
            connection.send("POST", "/backup")
        with server.client() as kms:
            kms.query()
        [url] = re.findall(r"http://\S+", server.ready)
        yield families(fetch(url, OPEN_METRICS))
    finally:
        server.end()


def names(scrape: dict[str, Metric]) -> set[str]:
    """Every name that a query can have."""
    suffixes = {
        "counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "info": ("_info",),
    }  # fmt: skip
    return {
        name + suffix
        for name, metric in scrape.items()
        for suffix in suffixes.get(metric.type, ("",))
    } | {"up"}


def queries_of_alerts() -> list[str]:
    """The expressions, on one line or in a block."""
    text = ALERTS.read_text(encoding="utf-8")
    found = re.findall(r"^ +expr: (?:\|\n((?: {10}.*\n)+)|(.*)$)", text, re.MULTILINE)
    return [(block or line).strip() for block, line in found]


def queries_of_dashboard() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("queries", [queries_of_alerts(), queries_of_dashboard()])
def test_the_queries_name_metrics_and_labels_of_a_scrape(
    scrape: dict[str, Metric], queries: list[str]
) -> None:
    assert len(queries) >= 14
    labels = {
        label for metric in scrape.values() for each in metric.samples for label in each.labels
    } | OF_PROMETHEUS | {"limit", "reason"}  # fmt: skip
    for query in queries:
        named = set(_NAME.findall(query))
        assert named, query
        assert named <= names(scrape), query
        for _, selector in _SELECTOR.findall(query):
            assert {label for label, _ in _LABEL.findall(selector)} <= labels, query
        for grouping in re.findall(r"(?:by|ignoring) \(([^)]*)\)", query):
            assert set(re.split(r", ", grouping)) <= labels | {"state"}, query


def test_the_alerts_are_accepted_by_prometheus() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run([promtool, "check", "rules", ALERTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_says_what_is_wrong_and_how_severe_it_is() -> None:
    text = ALERTS.read_text(encoding="utf-8")
    alerts = re.split(r"^      - alert: ", text, flags=re.MULTILINE)[1:]
    assert len(alerts) == len(queries_of_alerts())
    for alert in alerts:
        assert re.search(r"severity: (critical|warning|info)}", alert)
        assert "summary: " in alert


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {each["name"] for each in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text(encoding="utf-8")))
    assert used <= variables | {"__rate_interval"}
    for panel in dashboard["panels"]:
        assert panel["title"]
        position = panel["gridPos"]
        assert position["x"] + position["w"] <= 24


def test_the_page_names_every_metric_of_the_server(scrape: dict[str, Metric]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"`(kmipkit_\w+)`", text))
    simple = {re.sub(r"_(?:bucket|count|sum)$", "", name) for name in names(scrape)}
    # See test_workers.py and test_lost_workers.py.
    of_several = {"kmipkit_workers", "kmipkit_workers_silent", "kmipkit_worker_restarts_total"}
    assert named == {name for name in simple if name.startswith("kmipkit_")} | of_several


def test_the_page_names_every_check(scrape: dict[str, Metric]) -> None:
    assert scrape
    [table] = re.findall(r"^\| check \|.*?\n\n", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert named == ["serving", "certificate", "revocation", "store", "audit", "workers"]


# --- settings ------------------------------------------------------------------------------------


def test_the_tables_of_settings_are_those_of_the_declarations() -> None:
    text = gen_settings.PAGE.read_text(encoding="utf-8")
    assert text == gen_settings.page(text), "run: tools/gen_settings.py"


def test_every_setting_is_described() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", "".join(gen_settings.tables()), re.MULTILINE)
    assert len(rows) == len(list(all_settings()))
    assert all(description.endswith(".") for _, description in rows)


def test_the_schemas_of_the_page_about_upgrading_are_all_of_them() -> None:
    from kmipkit_server.store.sqlite import schema

    text = (PROJECT / "docs/upgrading.md").read_text(encoding="utf-8")
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)]
    assert numbers == list(range(1, len(schema.STEPS) + 1))


def test_the_deployed_files_are_where_the_page_says() -> None:
    text = PAGE.read_text(encoding="utf-8")
    paths = re.findall(r"`(server/deploy/[\w./]+)`", text)
    assert paths
    assert [path for path in paths if not (PROJECT / path).exists()] == []
    assert Path(ALERTS).is_file()
