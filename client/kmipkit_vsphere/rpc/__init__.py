"""Calls between the roles: JSON over HTTPS with certificates on both sides."""
