"""Records and values that several roles share."""
