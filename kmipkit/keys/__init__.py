"""Cryptographic functions on top of `cryptography`: bytes and parameters in, bytes out.

The functions know no message, store or clock, and take randomness as an argument where the library
permits it; server and host role use the same ones. They fail with an ``OperationError`` that has the
Result Reason of KMIP 2.x and a message without key bytes, never with an exception of the library.

=================  ==========================================================================
`wrap`             wrap and unwrap keys: RFC 3394, RFC 5649, GCM, RSA, and the modes of `cipher`
`cipher`           Encrypt and Decrypt, by the table in `rules`, with `padding`
`rsa`              encryption with RSA
`formats`          from one Key Format Type to another
`describe`         algorithm, length and curve of a key; `certificates`: facts of certificates
`generate`         new symmetric keys; `hashes`: digests
`parameters`       Cryptographic Parameters, the argument of all these functions
=================  ==========================================================================
"""
