"""A drill of high availability: key servers on a replicated database, while what they run on fails."""
