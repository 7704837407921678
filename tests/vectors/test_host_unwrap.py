"""The vectors of conformance/suite/unwrap, through the host role's locked blobs.

Those of RSA are left out: the keys that lock a machine's data keys are AES keys.
"""

import pytest
from kmipkit_vsphere.model import bundle
from kmipkit_vsphere.model.errors import DamagedData
from unwrap_vectors import Vector, vectors

VERSIONS = {
    "nist key wrap": bundle.KEY_WRAP,
    "aes key wrap padding": bundle.KEY_WRAP_WITH_PADDING,
    "gcm": bundle.GCM,
}
"""Method of a vector to the version byte of a blob that is wrapped so."""

# Our GCM blobs have nonces of 12 bytes and tags of 16, nothing else.
ALL = [
    vector
    for vector in vectors()
    if vector.method in VERSIONS
    and (vector.method != "gcm" or (len(vector.iv or b"") == 12 and "tag-12" not in vector.name))
]


@pytest.mark.parametrize("vector", ALL, ids=lambda vector: vector.name)
def test_vector(vector: Vector) -> None:
    blob = bytes((VERSIONS[vector.method],)) + (vector.iv or b"") + vector.wrapped
    if vector.expect == "success":
        assert bundle.unwrap(vector.key, blob) == vector.unwrapped
        return
    with pytest.raises(DamagedData) as caught:
        bundle.unwrap(vector.key, blob)
    assert vector.key.hex() not in str(caught.value)


def test_each_method_is_tried_with_good_and_bad_keys() -> None:
    tried = {(vector.method, vector.expect == "success") for vector in ALL}
    assert tried == {(method, good) for method in VERSIONS for good in (True, False)}
