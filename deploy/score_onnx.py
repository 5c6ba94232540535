"""Scores vectors with an exported model on a device that has numpy and onnxruntime and nothing else of this project.

``python score_onnx.py MODEL.onnx < rows.jsonl``: each line a JSON object of feature names to numbers; what is left out is missing.
Prints one JSON line a row: the number with its 90 % interval, or a probability a class.
"""

import json
import sys

import numpy as np
import onnxruntime


def main() -> None:
    """Reads rows until stdin ends."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(sys.argv[1], options)
    facts = session.get_modelmeta().custom_metadata_map
    features = facts["features"].split("\n")
    for line in sys.stdin:
        row = json.loads(line)
        if strange := sorted(set(row) - set(features)):
            sys.exit(f"{sys.argv[1]} knows no feature {', '.join(strange)}; it takes {', '.join(features)}")
        vector = np.array([[row.get(name, np.nan) for name in features]], np.float64)  # null and left out are missing
        (prediction,) = session.run(["prediction"], {"vector": vector})[0].tolist()
        if "classes" in facts:
            answer = dict(zip(facts["classes"].split("\n"), prediction, strict=True))
        else:
            half = float(facts.get("half_width", "nan"))
            answer = {facts["target"]: prediction[0], "low": prediction[0] - half, "high": prediction[0] + half, "unit": facts["unit"]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
