"""Models, calibration, detectors, the judge. Pure folds: no Kafka, no Redis, no clock."""
