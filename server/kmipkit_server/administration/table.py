"""The table of all routes. A family of routes is a module with a tuple ``ROUTES``; it is listed here."""

from kmipkit_server.administration import (
    accounts,
    affected_objects,
    approvals,
    audit,
    backups,
    configuration,
    groups,
    keys,
    objects,
    policies,
    sessions,
    tenants,
    users,
    validity,
)
from kmipkit_server.administration.routes import Routes

_FAMILIES = (
    *(objects, policies, affected_objects, approvals, accounts),
    *(users, groups, sessions, tenants, audit, backups, configuration, keys, validity),
)

ROUTES = Routes(row for family in _FAMILIES for row in family.ROUTES)
