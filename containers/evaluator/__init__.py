"""The evaluator: score a model on held-out data, measure it, and choose which samples to explain.

    python -m evaluator [ROOT]

A SageMaker processing job with network isolation. Inputs `run` (run.json), `model` (model.tar.gz), `dataset` and, for
pictures, `annotations`; outputs evaluation.json (SageMaker's model-quality shape), report.json, predictions.parquet,
plots/ and explain/.
"""
