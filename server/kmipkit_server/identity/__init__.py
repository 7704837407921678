"""Who asks: certificates, credentials and tickets become identities."""
