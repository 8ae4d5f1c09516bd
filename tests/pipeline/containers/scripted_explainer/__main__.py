"""Stands in the explainer's place, and in Clarify's: two rows' attributions, whatever it is asked."""

import json
import sys
from pathlib import Path

root = Path(sys.argv[1])
config = json.loads((root / "processing/input/config/analysis_config.json").read_text())
labels = config["predictor"]["label_headers"]
output = root / "processing/output"
(output / "explanations_shap").mkdir()
header = ",".join(f"{feature}_{label}" for label in labels for feature in ("age", "hours")) + ",assay_id"
(output / "explanations_shap/out.csv").write_text(f"{header}\n1,-2,-1,2,a\n3,-4,-3,4,b\n")
(output / "analysis.json").write_text(json.dumps({"version": "1.0", "explanations": {}}))
