"""Stands in the evaluator's place: the archive is a script of what the job does, as JSON.

{"accuracy": 0.9}              these results, with two rows to explain; "explain": false without them
{"fails": "no rows"}           no results, and this sentence
{"waits": true}                runs until it is stopped
"""

import hashlib
import json
import sys
import time
from pathlib import Path

from assay.evaluation import (
    DataFacts,
    EvaluationReport,
    Explainable,
    ExplainSample,
    ExplainSamples,
    Metric,
    ModelFacts,
)
from assay.failure import Failure

root = Path(sys.argv[1])
archive = (root / "processing/input/model/model.tar.gz").read_bytes()
script = json.loads(archive)
output = root / "processing/output"

while script.get("waits"):
    time.sleep(0.1)
if "fails" in script:
    (output / "failure.json").write_text(Failure(error="BadModel", message=script["fails"]).to_json())
    (root / "output/message").write_text(script["fails"])
    sys.exit(1)

labels = ("low", "high")
accuracy = script["accuracy"]
explain = None
if script.get("explain", True):
    (output / "explain/rows").mkdir(parents=True)
    (output / "explain/rows/data.csv").write_text("1,2,low,a\n3,4,low,b\n")
    samples = (
        ExplainSample(id="a", row=0, sample=("representative",), reason="drawn", true="low", predicted="low"),
        ExplainSample(id="b", row=1, sample=("chosen",), reason="mistake", true="low", predicted="high", score=0.7),
    )
    (output / "explain/samples.json").write_text(ExplainSamples(samples=samples).to_json())
    headers = ("age", "hours", "income", "assay_id")
    explain = Explainable(kind="rows", samples=2, headers=headers, label="income", label_headers=labels)
report = EvaluationReport(
    task="tabular_classification",
    labels=labels,
    metrics={
        "accuracy": Metric(value=accuracy, low=accuracy - 0.05, high=accuracy + 0.05, n=100, higher_is_better=True)
    },
    model=ModelFacts(
        format="script", runtime="none", archive_sha256=hashlib.sha256(archive).hexdigest(), inputs=(), outputs=()
    ),
    data=DataFacts(rows=100, sha256="data"),
    explain=explain,
)
(output / "report.json").write_text(report.to_json())
