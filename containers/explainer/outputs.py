"""The model's outputs: which of them are explained, and what they are called."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from assay.errors import BadPolicy
from explainer.analysis_config import AnalysisConfig
from explainer.shapley import Predict


def explained_outputs(predict: Predict, sample: NDArray[Any], config: AnalysisConfig) -> tuple[Predict, int]:
    """The outputs that the configuration asks for, and how many: all, or the column that `probability` names.

    A JMESPath in `probability` finds the scores in an endpoint's answer; in process the scores are all there is.

    Args:
        predict: the whole model.
        sample: one input, to see how many outputs there are.
        config: what was asked for.
    """
    columns = output_columns(predict(sample).shape[1], config)
    return lambda batch: predict(batch)[:, columns], columns.stop - columns.start


def output_columns(outputs: int, config: AnalysisConfig) -> slice:
    """Which of the model's outputs are explained."""
    column = config.predictor.probability if config.predictor else None
    if not isinstance(column, int):
        return slice(0, outputs)
    if not 0 <= column < outputs:
        raise BadPolicy(f"predictor.probability: column {column}, expected 0 to {outputs - 1}: the model has {outputs}")
    return slice(column, column + 1)


def output_names(config: AnalysisConfig, label: str | None, outputs: int) -> tuple[str, ...]:
    """A name for each output: `label_headers`, else the label's header for a single one, else label0, label1, …

    Raises:
        BadPolicy: `label_headers` are not as many as the outputs.
    """
    names = config.label_headers
    if names is None:
        return (label,) if label is not None and outputs == 1 else tuple(f"label{index}" for index in range(outputs))
    if len(names) != outputs:
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        raise BadPolicy(
            f"predictor.label_headers: {len(names)} names ({shown}), but the model has {outputs} "
            f"output{'' if outputs == 1 else 's'}; "
            "expected a name for each, in their order"
        )
    return names
