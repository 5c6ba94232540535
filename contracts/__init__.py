"""The shared words: definitions, records, ids, time, errors, settings. Imports nothing of the project."""
