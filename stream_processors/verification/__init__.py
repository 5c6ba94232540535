"""verify: folds the recorded logs again and compares every byte (docs/semantics.md, section 10)."""
