"""The inference log as Parquet: the archiver, and the log's tail for readers (docs/history.md)."""
