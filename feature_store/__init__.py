"""Tiles and features (pure kernels), the Redis store, Parquet history, point-in-time join, readers. No Kafka here."""
