"""The joiner: labels of one partition meet the vectors and predictions that stand on `<feed>.scores`."""
