"""From labelled examples to a model in the compiled form: time-ordered folds, search, conversion, ONNX. Pure: no Kafka, no clock."""
