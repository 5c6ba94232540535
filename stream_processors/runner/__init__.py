"""One runner for all folds: take, restore, fold, publish, serve, checkpoint (docs/semantics.md, section 5)."""
