"""Create Key Pair (KMIP 1.4 §4.2, KMIP 2.1 §6.1.9)."""

from kmipkit.model.payloads.create import CreateKeyPairRequest, CreateKeyPairResponse
from kmipkit_server.engine.call import Call
from kmipkit_server.keys import pairs
from kmipkit_server.objects.protection_storage import require_pair_storage


def create_key_pair(call: Call, request: CreateKeyPairRequest) -> CreateKeyPairResponse:
    """Make both keys and store them, linked to each other."""
    require_pair_storage(
        request.common_protection_storage_masks,
        request.private_protection_storage_masks,
        request.public_protection_storage_masks,
    )
    attributes = pairs.explicit_attributes(
        call,
        request.common_attributes,
        request.private_key_attributes,
        request.public_key_attributes,
    )
    private, public = pairs.create(call, pairs.with_defaults(call, attributes))
    return CreateKeyPairResponse(
        private_key_unique_identifier=private.id, public_key_unique_identifier=public.id
    )
