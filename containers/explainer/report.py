"""What the report of a job on rows says: what matters, what moved single predictions, dependence, bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan

from explainer.analysis import Results
from explainer.bias_job import BiasFound
from explainer.coding import Columns
from explainer.curves import dependence_card
from explainer.dependence_job import FeatureDependence, NoDependence
from explainer.pages.content import (
    Bars,
    Card,
    Measure,
    Measures,
    Reading,
    Report,
    Section,
    Sign,
    Text,
    largest,
    left_out,
    short,
)
from explainer.rows import RowsExplained
from explainer.shapley import NORMAL_95
from explainer.text.explained import TextsExplained
from explainer.text.game import MOST_UNITS
from explainer.text.highlight import highlighted

MOST_FEATURES, MOST_LABELS, MOST_ROWS, MOST_CURVES, MOST_FACETS = 20, 12, 12, 24, 40
"""What is shown before it is said how much more there is: a page stays well under 10 MB, and readable."""
FEATURES_OF_A_ROW = 8

GLOBAL = Reading(
    "analysis.json",
    """\
shap = analysis["explanations"]["kernel_shap"]
pd.DataFrame({label: found["global_shap_values"] for label, found in shap.items()})""",
)
GLOBAL_TEXT = Reading(
    "analysis.json",
    """\
pd.concat(
    {
        (label, feature): pd.Series(units, dtype=float)
        for label, found in shap.items()
        for feature, units in found["global_top_shap_text"].items()
    },
    names=["label", "feature", "text"],
)""",
)
ESTIMATES = Reading("assay/rows.csv", 'estimates = pd.read_csv("assay/rows.csv")\nestimates.head()')
LOCAL = (
    Reading(
        "explanations_shap/out.csv", 'attributions = pd.read_csv("explanations_shap/out.csv")\nattributions.head()'
    ),
    ESTIMATES,
)
LOCAL_TEXT = (
    Reading(
        "explanations_shap/out.jsonl",
        """\
with open("explanations_shap/out.jsonl", encoding="utf-8") as stream:
    rows = [json.loads(line) for line in stream]
pd.json_normalize(rows[0]["explanations"], "attributions", ["feature_name", "data_type"])""",
    ),
    ESTIMATES,
)
DEPENDENCE = Reading(
    "analysis.json",
    """\
pd.concat(
    {
        found["feature_name"]: pd.DataFrame(
            dict(zip(found["label_headers"], found["model_predictions"])), index=found["feature_values"]
        )
        for found in analysis["explanations"]["pdp"]
        if "error" not in found
    },
    names=["feature", "value"],
)""",
)
BIAS = """\
pd.DataFrame(
    {{"facet": f"{{column}} = {{facet['value_or_threshold']}}"}} | metric
    for column, facets in analysis["{key}"]["facets"].items()
    for facet in facets
    for metric in facet["metrics"]
)"""


def rows_report(
    title: str, facts: Sequence[tuple[str, str]], results: Results, columns: Columns, chosen: Mapping[int, str]
) -> Report:
    """The report.

    Args:
        title: its own.
        facts: what stands above.
        results: of all analyses.
        columns: of the data.
        chosen: row → why it was chosen to be shown; the first rows where none was.
    """
    notes = [f"{name}: {error}" for name, error in results.failures.items()]
    sections: list[Section] = []
    more = ""
    if results.rows is not None:
        local = _rows(results.rows, columns, chosen)
        sections += [_labels(results.rows), local]
        more = _more(results.rows, int((results.rows.found.numbers >= 0).sum()) - len(local.cards))
        notes += _not_in_time(results.rows)
    elif results.texts is not None:
        local = _text_rows(results.texts, columns, chosen)
        sections += [_text_labels(results.texts), local]
        more = _more(results.texts, len(results.texts.rows.parts) - len(local.cards))
        notes += [*_not_in_time(results.texts), *text_notes(results.texts)]
    curves = [one for one in results.dependence if isinstance(one, FeatureDependence)]
    notes += [f"pdp of {one.name}: {one.error}" for one in results.dependence if isinstance(one, NoDependence)]
    if curves:
        sections.append(_dependence(curves, results.labels))
    for when, key, bias in (
        ("before training", "pre_training_bias_metrics", results.before),
        ("after training", "post_training_bias_metrics", results.after),
    ):
        if bias is not None:
            sections.append(_bias(bias, when, key))
    return Report(title, facts, notes, sections, more)


def _more(explained: RowsExplained | TextsExplained, rows: int) -> str:
    features = explained.features if isinstance(explained, RowsExplained) else explained.rows.others
    return left_out(
        (len(explained.labels) - MOST_LABELS, "label"), (len(features) - MOST_FEATURES, "feature"), (rows, "row")
    )


def _labels(explained: RowsExplained) -> Section:
    cards = []
    for output, label in enumerate(explained.labels[:MOST_LABELS]):
        bars = Bars(
            largest(explained.features, explained.importance[:, output], MOST_FEATURES),
            signed=explained.agg_method == "median",
        )
        cards.append(
            Card(label, _of_label(explained.expected[output], explained.rank_correlations.get(label)), (bars,))
        )
    return _what_matters(explained.representative, explained.agg_method, cards, (GLOBAL,))


def _of_label(expected: float, alike: float | None) -> str:
    said = "" if alike is None else f"; two halves of the rows rank the features with a correlation of {alike:.2f}"
    return f"expected value {short(expected)}{said}"


def _text_labels(explained: TextsExplained) -> Section:
    by_sign = explained.agg_method == "median"
    rows, totals = explained.rows, explained.totals
    cards = []
    for output, label in enumerate(explained.labels[:MOST_LABELS]):
        blocks = [Bars(largest(rows.others, totals.importance[:, output], MOST_FEATURES), by_sign)]
        for name in rows.texts:
            top = totals.top[name][output]
            caption = f"{name}, by {explained.granularity}"
            blocks.append(Bars(largest(list(top), list(top.values()), MOST_FEATURES), by_sign, caption))
        shown = [block for block in blocks if block.bars]
        cards.append(Card(label, _of_label(explained.expected[output], totals.rank_correlations.get(label)), shown))
    return _what_matters(totals.representative, explained.agg_method, cards, (GLOBAL, GLOBAL_TEXT))


def _what_matters(rows: int, agg_method: str, cards: Sequence[Card], readings: Sequence[Reading]) -> Section:
    intro = (
        f"Each feature's Shapley values over {rows:,} representative row{'' if rows == 1 else 's'}, aggregated by "
        f"{agg_method}; the expected value is the mean score of the baseline."
    )
    return Section("What matters for each label", (intro,), cards, readings=readings)


def _not_in_time(explained: RowsExplained | TextsExplained) -> list[str]:
    gone, total = (
        (explained.rows.left_out, len(explained.rows.numbers))
        if isinstance(explained, TextsExplained)
        else (explained.left_out, len(explained.found.numbers))
    )
    if not gone:
        return []
    others = f" and {len(gone) - 10:,} more" if len(gone) > 10 else ""
    done = f"{total - len(gone):,} of {total:,} rows, drawn by chance"
    names = f"{', '.join(gone[:10])}{others}; assay/rows.csv names them all"
    return [f"The time budget was over after {done}. Left out are {names}."]


_WHAT_MOVES = (
    Sign(raises=True),
    " raises the score, ",
    Sign(raises=False),
    " lowers it. From the expected value, a row's attributions add up to its score.",
)


_DOUBT = (
    " ± tells the 95 % interval of an estimate, as a line at a bar's end does: what other coalitions of features would "
    "have left by chance."
)


def _rows(explained: RowsExplained, columns: Columns, chosen: Mapping[int, str]) -> Section:
    known = explained.found.numbers >= 0
    order = [row for row in list(chosen) or range(len(known)) if known[row]]
    cards = [_row(explained, columns, row, chosen.get(row, "")) for row in order[:MOST_ROWS]]
    intro = _WHAT_MOVES if explained.exact else (*_WHAT_MOVES, _DOUBT)
    return Section("What moved single predictions", intro, cards, readings=LOCAL)


def _row(explained: RowsExplained, columns: Columns, row: int, reason: str) -> Card:
    found, line = explained.found.row(row), explained.found.line
    assert found is not None
    prediction = found[line.prediction]
    output = int(prediction.argmax())
    of_label = slice(output * line.features, (output + 1) * line.features)
    bars = largest(
        _with_values(explained.features, columns, row),
        found[line.values][of_label],
        FEATURES_OF_A_ROW,
        NORMAL_95 * found[line.errors][of_label],
    )
    moved = _moved(explained.labels[output], found[line.base][output], prediction[output], reason)
    return Card(explained.ids[row], moved, (Bars(bars, signed=True),))


def _with_values(features: Sequence[str], columns: Columns, row: int) -> list[str]:
    return [f"{name} = {_value(columns[name][row])}" for name in features]


def _value(value: object) -> str:
    if isinstance(value, float):
        return "missing" if isnan(value) else f"{value:.6g}"
    return str(value) or "missing"


def _moved(label: str, expected: float, prediction: float, reason: str) -> str:
    return f"{label}: {short(expected)} → {short(prediction)}{'; ' if reason else ''}{reason}"


def _text_rows(explained: TextsExplained, columns: Columns, chosen: Mapping[int, str]) -> Section:
    known = explained.rows.known
    order = [row for row in list(chosen) or range(len(known)) if known[row]]
    cards = [_text_row(explained, columns, row, chosen.get(row, "")) for row in order[:MOST_ROWS]]
    rest = (
        " have lines of their own; the colour is strongest for what moves it most. The expected value of a text is the "
        "score with all of it replaced by the baseline's."
    )
    intro = (
        *_WHAT_MOVES,
        " In texts ",
        Sign(raises=True, text="what raises it"),
        " and ",
        Sign(raises=False, text="what lowers it"),
        rest,
        *(() if explained.exact or not explained.rows.others else (_DOUBT,)),
    )
    return Section("What moved single predictions", intro, cards, wide=True, readings=LOCAL_TEXT)


def _text_row(explained: TextsExplained, columns: Columns, place: int, reason: str) -> Card:
    row = explained.rows.row(place)
    assert row is not None
    output = int(row.prediction.argmax())
    others = [player.span is None for player in row.players]
    texts = [
        Text(
            highlighted(text, [(span, float(values[output])) for span, values in row.parts(name)]),
            caption=name if len(row.texts) > 1 else "",
        )
        for name, text in row.texts.items()
    ]
    names = _with_values(explained.rows.others, columns, place)
    errors = None if row.errors is None else NORMAL_95 * row.errors[others, output]
    bars = Bars(largest(names, row.values[others, output], FEATURES_OF_A_ROW, errors), signed=True)
    moved = _moved(explained.labels[output], row.base[output], row.prediction[output], reason)
    return Card(row.id, moved, (*texts, *([bars] if bars.bars else [])))


def text_notes(explained: TextsExplained) -> list[str]:
    """What a reader should know of how texts were cut."""
    notes = []
    segmenter = explained.rows.segmenter
    if segmenter.instead_of:
        notes.append(f"{segmenter.instead_of}. Texts are cut by {segmenter.how} instead.")
    if explained.grouped:
        notes.append(
            f"{explained.grouped} of the texts have more than {MOST_UNITS:,} {explained.granularity}s: there "
            "neighbours are taken together, as many as leave no more than that."
        )
    return notes


def _dependence(curves: Sequence[FeatureDependence], labels: Sequence[str]) -> Section:
    intro = (
        "The mean prediction when every row has the same value of the feature (thick), some rows' own (thin), and "
        "below how the data is spread over it; of a category each value's mean. Of several labels the one that moves "
        "most is drawn."
    )
    cards = [dependence_card(one, labels) for one in curves[:MOST_CURVES]]
    return Section("How predictions move with one feature", (intro,), cards, readings=(DEPENDENCE,))


def _bias(bias: BiasFound, when: str, key: str) -> Section:
    intro = (
        f"Positive is {bias.label} {bias.positive}. Differences compare all other rows with the facet's: above zero "
        "they favour the others. The 95 % intervals are by bootstrap."
    )
    cards = [
        Card(
            f"{column} = {value}",
            "",
            (Measures([Measure(one.description, one.value, one.low, one.high, one.error or "") for one in metrics]),),
        )
        for column, found in bias.facets.items()
        for value, metrics in found
    ]
    code = Reading("analysis.json", BIAS.format(key=key))
    return Section(f"Bias {when}", (intro,), cards[:MOST_FACETS], wide=True, readings=(code,))
