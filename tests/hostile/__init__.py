"""Hostile input: seeded mutants of valid inputs, thrown at everything that reads bytes from outside. See __main__.py."""
