"""Which of a table's columns are texts."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace

from assay.errors import BadPolicy
from assay.policy import ColumnType
from explainer.table import Table

logger = logging.getLogger(__name__)


def with_texts(table: Table, declared: Collection[str]) -> Table:
    """The table with the types that its features have in an explanation of texts.

    Texts are the features declared so; where there is none, those that are text by the length of their values; where
    there is none of these either, the one of the longest values among those that are no numbers.

    Raises:
        BadPolicy: all features are numbers.
    """
    texts = [name for name in table.features if name in declared]
    how = "declared"
    if not texts:
        texts, how = [name for name in table.features if table.types[name] == "text"], "by the length of its values"
    if not texts:
        words = [name for name in table.features if table.types[name] != "numeric"]
        if not words:
            raise BadPolicy(
                f"methods.shap.text_config: no feature holds text; all of {', '.join(table.features)} are numbers"
            )
        texts, how = [max(words, key=lambda name: _length(table, name))], "the longest values of all"
    logger.info("explained as text: %s (%s)", ", ".join(texts), how)
    types: dict[str, ColumnType] = dict(table.types)
    for name in table.features:
        if types[name] != "numeric" or name in texts:
            types[name] = "text" if name in texts else "categorical"
    return replace(table, types=types)


def _length(table: Table, name: str) -> int:
    return sum(map(len, table.columns[name].tolist()))
