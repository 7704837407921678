"""Application Data that the server generates (KMIP 1.4 §3.36, KMIP 2.1 §4.4).

"Clients MAY request to set an instance of this attribute with a particular Application Namespace while
omitting Application Data. In that case, if the server supports this namespace (as indicated by the
Query operation), then it SHALL return a suitable Application Data value. If the server does not support
this namespace, then an error SHALL be returned." The data of this server are random identifiers.
"""

import uuid

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attribute
from kmipkit.model.attributes import ApplicationSpecificInformation
from kmipkit.spec.enums import ResultReason
from kmipkit_server.engine.call import Call


def with_application_data(call: Call, attribute: Attribute) -> Attribute:
    """The attribute itself, or Application Specific Information with the data that it lacks."""
    information = attribute.value
    if (
        not isinstance(information, ApplicationSpecificInformation)
        or information.application_data is not None
    ):
        return attribute
    namespace = information.application_namespace
    if namespace not in call.settings.application_namespaces:
        raise OperationError(
            ResultReason.APPLICATION_NAMESPACE_NOT_SUPPORTED,
            f"the server does not generate Application Data for the namespace {namespace!r};"
            " the request must have them",
        )
    data = str(uuid.UUID(bytes=call.random(16), version=4))
    return Attribute(attribute.key, information.replace(application_data=data), attribute.index)
