"""A running feed to another definition: its recorded events folded again beside it, and a cut-over on record (docs/operating.md)."""
