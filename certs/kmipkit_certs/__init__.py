"""Certificates for KMIP: issues, signs, shows and checks what mutual TLS needs.

KMIP Profiles §3 (Authentication Suites) requires TLS with certificates on both sides. This package
is a small certificate authority for laboratories and tests, and explains what is wrong with the
certificates of any authority.
"""
