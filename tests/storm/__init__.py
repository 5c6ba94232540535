"""A storm over real workers and real servers: what breaks is found by verify and by a reader that polls all through."""
