"""All rules for clients, and the provocations that some of them need."""

from kmipkit_conformance.clients.content_rules import CONTENT_RULES
from kmipkit_conformance.clients.message_rules import MESSAGE_RULES
from kmipkit_conformance.clients.order_rules import ORDER_RULES
from kmipkit_conformance.clients.provocations import PROVOCATIONS, REACTION_RULES
from kmipkit_conformance.clients.transport_rules import IMPOSTOR, OLDER, TRANSPORT_RULES

PENDING = "pending"

RULES = (*TRANSPORT_RULES, *MESSAGE_RULES, *CONTENT_RULES, *ORDER_RULES, *REACTION_RULES)
"""In the order of the reports."""

DOES = {
    OLDER: "has an older version of the same major version than the client prefers",
    IMPOSTOR: "shows a certificate of an authority that nobody knows",
    **{provocation.key: provocation.does for provocation in PROVOCATIONS},
    PENDING: "says that an operation is pending, if the client accepts that, and has its result later",
}
"""What free play does to a client, in this order. The older version comes first, when the client does
not yet remember which versions the server has."""

PROVOCATION_KEYS = tuple(DOES)
