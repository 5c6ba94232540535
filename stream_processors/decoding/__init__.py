"""From raw Kafka records, or a data frame, to the columns that a stream fold takes."""
