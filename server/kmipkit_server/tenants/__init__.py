"""Tenants: sets of accounts with objects, administrators and limits of their own.

A tenant is invisible to all others, and to the accounts that belong to no tenant.
"""
