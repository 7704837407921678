"""Moving from one KMIP server to another: copies objects, and compares two servers."""
