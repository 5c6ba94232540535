"""The same folds over columns in memory: no broker, no store, no wall clock."""
