"""Certificates for KMIP: makes, signs, shows and checks what mutual TLS needs.

KMIP Profiles §3 (Authentication Suites) asks for TLS with certificates on both sides. This package
is the small authority for laboratories and tests, and the explainer for everybody's certificates.
"""
