"""Pure key work on top of `cryptography`: bytes and parameters in, bytes out.

No message, store or clock is known here, and randomness is passed in where the library allows it;
server and host role use the same functions. What fails is an ``OperationError`` with the Result
Reason of KMIP 2.x and a message without key bytes; an exception of the library never gets out.

=================  ==========================================================================
`wrap`             wrap and unwrap keys: RFC 3394, RFC 5649, GCM, RSA, and what `cipher` can do
`cipher`           Encrypt and Decrypt, by the table in `rules`, with `padding`
`rsa`              encryption with RSA
`formats`          from one Key Format Type to another
`describe`         algorithm, length and curve of a key; `certificates`: facts of certificates
`generate`         new symmetric keys; `hashes`: digests
`parameters`       Cryptographic Parameters as all of these take them
=================  ==========================================================================
"""
