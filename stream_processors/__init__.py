"""The runner of folds and its Kafka and Faust shells, archiver, verification."""
