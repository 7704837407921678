"""Which database: its URL, what a server adds to it, and how it is named in messages."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.postgresql.connection import PostgreSQLConnection, adapt
from kmipkit_server.store.postgresql.errors import as_store_error
from kmipkit_server.store.postgresql.schema import SCHEMA

PROGRAM = "kmipkit"

_DEFAULTS: dict[str, str] = {
    "application_name": PROGRAM,
    "client_encoding": "UTF8",  # whatever the environment or the role has
    # A primary that was demoted accepts no writes, and may not know what was revoked since.
    "target_session_attrs": "read-write",
    "connect_timeout": "2",  # for each host: the next one may be the primary by now
    # A machine that is gone is noticed after two seconds, by both sides: what its session has locked
    # keeps other servers waiting.
    "keepalives_idle": "1",
    "keepalives_interval": "1",
    "keepalives_count": "1",
    "tcp_user_timeout": "2000",
}

_PRIMARY = ("read-write", "primary")
"""Which databases a URL may ask for."""

_NOTICING = ("keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
"""When a machine counts as gone: the database is told the same."""


_PLANS: dict[str, str] = {
    **dict.fromkeys(("enable_seqscan", "enable_bitmapscan"), "off"),
    **dict.fromkeys(("enable_hashjoin", "enable_mergejoin", "jit"), "off"),
    # Further processes take longer to start than a page to read.
    "max_parallel_workers_per_gather": "0",
}
"""What the planner does not do. The statements of the store look rows up by index, and end when they
have a page; with other plans, a table whose statistics are not up to date makes them read all of it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A database of PostgreSQL."""

    parameters: dict[str, Any] = field(repr=False)
    """The parameters of libpq."""
    name: str
    """For messages: it has no password."""
    statement_timeout: int = 30_000
    """Milliseconds that a statement may take."""

    @classmethod
    def parse(cls, url: str, password_file: Path | None = None, timeout: float = 30.0) -> "Target":
        """The target of a URL. StoreError if it is not one, or has a password in it.

        Args:
            url: ``postgresql://USER@HOST:PORT,HOST:PORT/DATABASE?PARAMETER=VALUE``, as libpq reads it.
            password_file: A file whose first line is the password.
            timeout: How many seconds a statement may take.
        """
        try:
            stated = conninfo_to_dict(url)
        except (psycopg.ProgrammingError, UnicodeEncodeError):  # its text may have the password
            raise StoreError(
                "store.url is not a URL of PostgreSQL, such as postgresql://kmipkit@db.example.org/kms"
            ) from None
        if stated.get("password") or stated.get("sslpassword"):
            raise StoreError(
                "store.url has a password in it, which other programs could read; use"
                " store.password_file, --password-file of a command, or a file that PGPASSFILE names"
            )
        if stated.get("target_session_attrs", _PRIMARY[0]) not in _PRIMARY:
            raise StoreError(
                f"store.url has target_session_attrs={stated['target_session_attrs']}, and a replica may"
                " not know yet what was revoked; leave it out: a server uses the primary"
            )
        for name in ("sslcert", "sslkey"):
            # The client library goes on without a file that is missing, and the database then says only
            # that it requires a certificate.
            if stated.get(name) and not Path(str(stated[name])).is_file():
                raise StoreError(f"store.url has {name}={stated[name]}, and there is no such file")
        parameters: dict[str, Any] = {**_DEFAULTS, **stated}
        if password_file is not None:
            parameters["password"] = _first_line(password_file)
        return cls(parameters, _name(stated), int(timeout * 1000))

    def of_node(self, node: str) -> "Target":
        """The same for a server of this name, by which the database shows its sessions."""
        if self.parameters["application_name"] != _DEFAULTS["application_name"]:
            return self
        return replace(
            self, parameters={**self.parameters, "application_name": f"{PROGRAM} {node}"}
        )

    def connect(self) -> PostgreSQLConnection:
        """A connection that commits each statement by itself. StoreError if there is none."""
        try:
            raw: psycopg.Connection[Any] = psycopg.connect(
                make_conninfo(**self.parameters), autocommit=True
            )
            self.prepare(raw)
        except psycopg.Error as error:
            raise as_store_error(error, self.name) from None
        return PostgreSQLConnection(raw, self.name, self.quick_timeout, self.statement_timeout)

    def prepare(self, raw: "psycopg.Connection[Any]") -> None:
        """Set a new connection up."""
        adapt(raw)
        raw.prepare_threshold = 2
        raw.execute(
            "SELECT set_config('search_path', %s, false), set_config('statement_timeout', %s, false),"
            " set_config('idle_in_transaction_session_timeout', '60s', false),"
            " set_config('lock_timeout', %s, false),"
            # What is acknowledged is on a disk, whatever the database does for others.
            " set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off',"
            " 'local'), false),"
            " set_config('tcp_keepalives_idle', %s, false),"
            " set_config('tcp_keepalives_interval', %s, false),"
            " set_config('tcp_keepalives_count', %s, false),"
            " set_config('tcp_user_timeout', %s, false)"
            + "".join(
                f", set_config('{name}', '{value}', false)" for name, value in _PLANS.items()
            ),
            (
                SCHEMA,
                str(self.statement_timeout),
                str(self.lock_timeout),
                *(self.parameters[each] for each in _NOTICING),
            ),
        )

    @property
    def lock_timeout(self) -> int:
        """Milliseconds that a statement waits for a lock: less than it may take, so that the error
        says which of the two it was."""
        return max(1, self.statement_timeout * 9 // 10)

    @property
    def quick_timeout(self) -> int:
        """Milliseconds that a search may take for which other clients wait."""
        return min(100, self.statement_timeout)


def _first_line(path: Path) -> str:
    try:
        password = path.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    except OSError as error:
        raise StoreError(f"the file with the password, {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StoreError(f"the file with the password, {path}, is not UTF-8 text") from None
    if not password or "\0" in password:
        raise StoreError(f"the first line of {path} is not a password")
    return password


def _name(stated: dict[str, Any]) -> str:
    """Host, port and database."""
    hosts = str(stated.get("host") or "").split(",")
    ports = str(stated.get("port") or "").split(",")
    ports += [ports[-1]] * (len(hosts) - len(ports))
    places = ",".join(
        f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False)
    )
    return f"PostgreSQL {places}/{stated.get('dbname') or ''}"
