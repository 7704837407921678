"""Calls between the roles: JSON in frames, over TLS with certificates on both sides."""
