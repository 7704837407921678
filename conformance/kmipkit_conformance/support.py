"""What a target offers, asked by Query."""

from kmipkit_client import Client, ClientError, OperationFailed

from kmipkit.spec.enums import Operation, QueryFunction
from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.target import Target


def offered_operations(target: Target) -> frozenset[Operation] | None:
    """The operations of the server; None if it does not say. ConformanceError if it does not answer."""
    try:
        with Client(
            target.host,
            target.port,
            ca=target.ca,
            cert=target.cert,
            key=target.key,
            timeout=target.timeout,
        ) as client:
            return frozenset(client.query(QueryFunction.QUERY_OPERATIONS).operations) or None
    except OperationFailed:
        return None
    except ClientError as error:
        raise ConformanceError(str(error)) from None
