"""What the summary says of how sure the explanations are, and of what was broken."""

from __future__ import annotations

import json

from assay.evaluation import Comparison, ExplainSamples, Flip
from assay.explanation import AssayAnalysis, Attributions, Faithfulness, FeatureDependence
from assay.summary import FaithfulnessAreas
from publish_summary.certainty import MOST_LEFT_OUT, certainty
from publish_summary.explanation import MOST_CURVES, dependence
from publish_summary.handler import publish_summary

from .conftest import SAMPLES, Aws
from .test_publish_summary import ANALYSIS, explained, summary


def test_how_sure_rows_are_is_told_as_the_job_said_it() -> None:
    rows = Attributions(
        exact=False,
        explained=7,
        left_out=30,
        left_out_rows=tuple(f"row {n}" for n in range(30)),
        half_width=0.02,
        surrogate=True,
        rank_correlations={"high": 0.9},
    )
    found = certainty(AssayAnalysis(samples=37, failed=1, model_calls=5, attributions=rows))
    assert (found.explained, found.failed, found.model_calls, found.exact) == (7, 1, 5, False)
    assert (found.half_width, found.surrogate, found.rank_correlations) == (0.02, True, {"high": 0.9})
    assert (found.left_out, len(found.left_out_rows)) == (30, MOST_LEFT_OUT)


def test_of_pictures_the_areas_under_the_curves_are_told() -> None:
    curve = (0.0, 1.0)
    areas = {"deletion_area": 0.1, "insertion_area": 0.8, "random_area": 0.4}
    faithfulness = Faithfulness(explained=3, shares=curve, deletion=curve, insertion=curve, random=curve, **areas)
    found = certainty(AssayAnalysis(samples=4, faithfulness=faithfulness))
    assert found.faithfulness == FaithfulnessAreas(explained=3, deletion=0.1, insertion=0.8, random=0.4)
    assert (found.explained, found.exact, found.half_width) == (4, None, None)


def test_partial_dependence_is_cut_to_the_first_labels_and_an_error_is_kept() -> None:
    labels = tuple(f"label {n}" for n in range(200))
    many = FeatureDependence(
        feature_name="age",
        feature_values=(1, "two", None),
        data_distribution=(0.5, 0.25, 0.25),
        model_predictions=((0.1, 0.2, 0.3),) * 200,
        label_headers=labels,
    )
    found, failed = dependence([many, FeatureDependence(feature_name="sex", error="one value only")])
    assert [curve.label for curve in found.curves] == list(labels[:MOST_CURVES])
    assert list(found.values) == [1, "two", ""]
    assert failed.error == "one value only"
    assert not failed.curves


def test_the_summary_holds_dependence_facts_and_where_the_jobs_are_seen(aws: Aws) -> None:
    pdp = [{"feature_name": "age", "feature_values": [1], "model_predictions": [[0.5]], "label_headers": ["high"]}]
    uploaded = explained(aws)
    aws.put(uploaded.folder.analysis, json.dumps(ANALYSIS | {"explanations": {"pdp": pdp}}))
    publish_summary(uploaded.changed("explanation"))
    found = summary(aws, uploaded)
    assert [one.feature for one in found.dependence] == ["age"]
    assert found.data is not None and found.data.sha256 == "da"
    assert found.model_facts is not None and found.model_facts.format == "SavedModel"
    assert [job.arn.rpartition(":")[2] for job in found.jobs] == [f"processing-job/{job.name}" for job in found.jobs]


def test_what_the_champion_has_right_comes_first_even_when_it_was_drawn_by_chance(aws: Aws) -> None:
    drawn, mistake, unsure = SAMPLES.samples
    drawn = drawn.model_copy(update={"predicted": "high"})
    flips = (Flip(id="a", row=0, true="low", predicted="high", champion="low"),)
    compared = Comparison(champion="c" * 20, rows=3, mended=0, broken=1, mcnemar_p=1.0, flips=flips)
    uploaded = explained(aws, comparison=compared)
    aws.put(uploaded.folder.samples, ExplainSamples(samples=(mistake, unsure, drawn)).to_json())
    publish_summary(uploaded.changed("explanation"))
    found = summary(aws, uploaded).mistakes
    assert [(one.id, one.broken, one.reason) for one in found] == [
        ("a", True, "mistake: low taken for high; the champion said low"),
        ("b", False, "mistake: low taken for high with 0.7"),
    ]
    assert found[0].attributions == {"hours": 2.0, "age": -1.0}


def test_a_sample_itself_says_that_the_champion_has_it_right(aws: Aws) -> None:
    """The report names a hundred flips, and the champion may have explained other samples."""
    drawn, mistake, unsure = SAMPLES.samples
    reason = "broken: low taken for high with 0.7; the champion said low"
    broken = mistake.model_copy(update={"reason": reason, "champion": "low"})
    both = mistake.model_copy(update={"id": "c", "champion": "high"})
    uploaded = explained(aws)
    aws.put(uploaded.folder.samples, ExplainSamples(samples=(both, broken, unsure, drawn)).to_json())
    publish_summary(uploaded.changed("explanation"))
    found = summary(aws, uploaded).mistakes
    assert [(one.id, one.broken, one.reason) for one in found] == [
        ("b", True, reason),
        ("c", False, "mistake: low taken for high with 0.7"),
    ]
