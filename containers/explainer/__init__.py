"""Explains a model's predictions: reads SageMaker Clarify's `analysis_config.json`, writes Clarify's output.

    python -m explainer [ROOT]

ROOT is `/opt/ml` in a processing job, and laid out as SageMaker does it:

    processing/input/config/analysis_config.json    what to explain, by Clarify's schema
    processing/input/data/                          CSV files, or JPEG and PNG pictures
    processing/input/model/model.tar.gz             the model; else `predictor` says whom to ask
    processing/input/run/run.json                   the run's policy: how pictures become the model's input
    processing/input/samples/samples.json           if given, the true class of each picture, for the heat maps' titles
    processing/input/resume/                        if given, the output of an attempt that was killed: it goes on
    processing/output/                              where the results go
    output/message, output/failure.json             why there are none

What it writes:

    analysis.json                                   Clarify's, and what it does not give under the key `assay`
    report.html, report.ipynb, report.pdf           one report of everything, for people: page, notebook, paper
    explanations_shap/baseline.csv, out.csv         rows: the baseline, and an attribution for each feature and label
    assay/standard_errors.csv, lower.csv, upper.csv rows: how sure each number of out.csv is, and its 95 % interval
    assay/rows.csv                                  rows: whether each was explained; its scores, calls, additivity gap
    explanations_shap/shap_<stem>_<label>.jpeg      pictures: segments left, heat map right; blue for, red against
    assay/thumbnails/shap_<stem>_<label>.webp       the same small, for pages that show many
    explanations_shap/shap_<stem>.json, .npy        their numbers: segments, attributions, predictions, additivity gap

The model runs in the job's own process, or answers through an endpoint: `explainer.predictor` decides. A mistake in
the configuration or the data is found before TensorFlow is imported, and said in Clarify's words first.
`explainer.shapley` is the mathematics; it needs nothing but NumPy and can be used alone.
"""
