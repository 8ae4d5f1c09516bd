"""What goes to an endpoint and what comes back: CSV, JSON Lines and JSON, with templates and paths as Clarify has them.

https://docs.aws.amazon.com/sagemaker/latest/dg/clarify-processing-job-data-format-tabular.html
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from assay.errors import BadModel, BadPolicy
from assay.policy import ContentType, ModelOptions

R = TypeVar("R")

SHOWN = 300
"""Characters of an answer that an error shows."""

_DEFAULT_TEMPLATES: dict[ContentType, str] = {
    "text/csv": "",
    "application/jsonlines": '{"features":$features}',
    "application/json": '{"instances":$records}',  # what TensorFlow Serving takes
}
_SERVING_PATH = "predictions"
"""Where TensorFlow Serving puts its answers."""


class RequestFormat:
    """How rows become a request's body."""

    def __init__(self, options: ModelOptions) -> None:
        self.content_type = rows_type(options)
        self._content = as_text(options.content_template or _DEFAULT_TEMPLATES[self.content_type])
        self._record = options.record_template or "$features"

    @property
    def takes_one(self) -> bool:
        """Whether a request holds one record: its template has `$record` and not `$records`."""
        return self.content_type == "application/json" and "$records" not in self._content

    def record(self, names: Sequence[str], values: Sequence[Any]) -> str:
        """One row: a line of CSV or of JSON Lines, or a JSON record."""
        if self.content_type == "text/csv":
            line = io.StringIO()
            csv.writer(line, lineterminator="").writerow(["" if value is None else value for value in values])
            return line.getvalue()
        template = self._content if self.content_type == "application/jsonlines" else self._record
        return filled(template, names, values)

    def body(self, records: Sequence[str], names: Sequence[str] = ()) -> bytes:
        if self.content_type != "application/json":
            return "\n".join(records).encode()
        content = self._content.replace("$feature_names", as_json(list(names)))
        # what a record holds is never taken for a placeholder
        before, marker, after = content.partition("$record" if self.takes_one else "$records")
        filling = records[0] if self.takes_one else "[" + ",".join(records) + "]"
        return (before + filling + after if marker else content).encode()

    def cut(self, records: Sequence[str], most: int, limit: int, names: Sequence[str] = ()) -> Iterator[Sequence[str]]:
        """The records in requests of at most `most` records and `limit` bytes; a longer record goes alone."""
        most = 1 if self.takes_one else most
        spent = frame = len(self.body([""], names))
        start = 0
        for place, record in enumerate(records):
            size = len(record.encode()) + 1  # and what parts it from the next
            if place > start and (place - start == most or spent + size > limit):
                yield records[start:place]
                start, spent = place, frame
            spent += size
        if start < len(records):
            yield records[start:]


def rows_type(options: ModelOptions) -> ContentType:
    """How rows are sent; raises BadPolicy where the policy says how pictures are."""
    match options.content_type:
        case None:
            return "text/csv"
        case "text/csv" | "application/jsonlines" | "application/json" as said:
            return said
        case of_pictures:
            raise BadPolicy(
                f"model.content_type is {of_pictures}, which pictures are sent as; rows are sent as "
                + ", ".join(_DEFAULT_TEMPLATES)
            )


_QUOTED = re.compile(r'"(\$(?:records|record|features_kvp|feature_names|features))"')


def as_text(template: str | Mapping[str, str]) -> str:
    """A template; of one that is given as an object, `{"instances": "$records"}`, its JSON."""
    return template if isinstance(template, str) else _QUOTED.sub(r"\1", as_json(template))


_PLACEHOLDER = re.compile(r'"\$\{(?P<name>[^}"]+)\}"|\$(?P<kind>features_kvp|feature_names|features)')


def filled(template: str, names: Sequence[str], values: Sequence[Any]) -> str:
    """A template with a row in it: `$features`, `$features_kvp`, `$feature_names`, `"${Name}"`.

    Raises:
        BadPolicy: it names a feature that there is none of.
    """
    row = dict(zip(names, values, strict=True))

    def put(found: re.Match[str]) -> str:
        if found["kind"] is not None:
            content = {"features": list(values), "features_kvp": row, "feature_names": list(names)}[found["kind"]]
            return as_json(content)
        if found["name"] not in row:
            raise BadPolicy(f"a template of model names the feature {found['name']!r}; there are {', '.join(names)}")
        return as_json(row[found["name"]])

    # in one pass: what a row holds is never taken for a placeholder
    return _PLACEHOLDER.sub(put, template)


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def plain(column: NDArray[Any]) -> list[Any]:
    """A column's values as they stand in the data: whole numbers without a point, None for a missing number."""
    if column.dtype.kind != "f":
        return list(column.tolist())
    return [
        None if math.isnan(value) else int(value) if value.is_integer() and abs(value) < 2**53 else value
        for value in column.tolist()
    ]


class AnswerFormat:
    """How an answer becomes scores.

    Args:
        options: the policy's: where probability or label stand, by JMESPath or by a CSV column's number from 0.
        labels: a label as it is answered → its class; None where what is answered is a number (a regression).
        default: how an answer is asked for where the policy does not say; None: as rows are sent.
    """

    def __init__(
        self, options: ModelOptions, labels: Mapping[str, int] | None = None, default: ContentType | None = None
    ) -> None:
        self.accept_type: ContentType = options.accept_type or default or rows_type(options)
        self._labels = labels
        self.labels_only = labels is not None and options.probability is None and options.predicted_label is not None
        """No scores are answered, only a class: it gets 1, the others 0."""
        self._path = options.predicted_label if options.probability is None else options.probability
        self._where = "model.predicted_label" if options.probability is None else "model.probability"

    def scores(self, body: bytes, content_type: str, n: int) -> NDArray[np.float64]:
        """(n, outputs) of an answer about n records.

        Raises:
            BadModel: it cannot be read, or is not about n records; shows how it begins.
            BadPolicy: nothing stands where the policy says.
        """
        return self._read(body, content_type, n, self._one_hot if self.labels_only else numbers)

    def values(self, body: bytes, content_type: str, n: int) -> list[Any]:
        """What stands at the path, whatever it is, for each of n records; raises as `scores` does."""
        return self._read(body, content_type, n, list)

    def _read(self, body: bytes, content_type: str, n: int, read: Callable[[list[Any]], R]) -> R:
        text = body.decode("utf-8", errors="replace")
        try:
            return read(self._values(text, content_type.partition(";")[0].strip().lower() or self.accept_type, n))
        except Unfit as error:
            raise BadModel(f"{error}; the answer begins {shown(text)}") from error

    def document(self, body: bytes) -> Any:
        """What stands at the path in an answer about one record, in JSON.

        Raises:
            BadModel: it cannot be read; shows how it begins.
            BadPolicy: nothing stands where the policy says.
        """
        text = body.decode("utf-8", errors="replace")
        try:
            document = json_documents(text)[0]
            found = self._search(document)
            return self._nothing(document) if found is None else found
        except Unfit as error:
            raise BadModel(f"{error}; the answer begins {shown(text)}") from error

    def _values(self, text: str, content_type: str, n: int) -> list[Any]:
        if content_type == "text/csv":
            return self._of_table(list(csv.reader(io.StringIO(text))), n)
        documents = json_documents(text)
        if len(documents) == n and (n > 1 or content_type == "application/jsonlines"):
            found = [self._search(document) for document in documents]
            if all(value is None for value in found):  # a null among numbers is a score that is none
                self._nothing(documents[0])
            return found
        if len(documents) != 1:
            raise Unfit(f"answered {len(documents)} lines for {n} records")
        found = self._search(documents[0])
        if found is None:
            self._nothing(documents[0])
        if isinstance(found, list) and len(found) == n:
            return found
        if n == 1 and not (isinstance(found, list) and found and isinstance(found[0], list)):
            return [found]  # one record's scores without a list around them
        raise Unfit(f"answered {len(found) if isinstance(found, list) else 1} values for {n} records")

    def _of_table(self, rows: list[list[str]], n: int) -> list[Any]:
        rows = [row for row in rows if row]
        if self._path is None and len(rows) == 1 and len(rows[0]) == n > 1:
            return list(rows[0])  # SageMaker's XGBoost answers in one line
        if len(rows) != n:
            raise Unfit(f"answered {len(rows)} rows for {n} records")
        if self._path is None:
            return [row if len(row) > 1 else in_cell(row[0]) for row in rows]
        if not isinstance(self._path, int):
            raise BadPolicy(f"{self._where} is {self._path!r}; an answer in CSV needs a column's number, from 0")
        widths = [len(row) for row in rows]
        if not 0 <= self._path < min(widths):
            raise Unfit(f"{self._where} is column {self._path}, answered were {min(widths)} columns, counted from 0")
        return [in_cell(row[self._path]) for row in rows]

    def _search(self, document: Any) -> Any:
        """What stands at the path; without one, TensorFlow Serving's place or the document itself."""
        if self._path is None:
            return document.get(_SERVING_PATH, document) if isinstance(document, dict) else document
        if isinstance(self._path, int):
            if isinstance(document, list) and 0 <= self._path < len(document):
                return document[self._path]
            raise Unfit(f"{self._where} is {self._path}, a place in a list; answered was {kind_of(document)}")
        import jmespath  # only for JSON

        try:
            return jmespath.search(self._path, document)
        except jmespath.exceptions.JMESPathError as error:
            raise BadPolicy(f"{self._where} {self._path!r} is no JMESPath: {error}") from error

    def _nothing(self, document: Any) -> NoReturn:
        raise Unfit(f"nothing stands at {self._where} {self._path!r} in {kind_of(document)}")

    def _one_hot(self, values: Sequence[Any]) -> NDArray[np.float64]:
        labels = self._labels or {}
        scores = np.zeros((len(values), max(labels.values()) + 1))
        for row, value in enumerate(values):
            place = next((labels[text] for text in readings(value) if text in labels), None)
            if place is None:
                known = ", ".join(list(labels)[:10])
                raise Unfit(f"answered label {value!r}, which is none of data.labels ({known})")
            scores[row, place] = 1
        return scores


class Unfit(Exception):
    """An answer that is not what the policy describes."""


def json_documents(text: str) -> list[Any]:
    """One JSON document, or one a line. A handler often answers JSON Lines whatever it says it does."""
    try:
        return [json.loads(text)]
    except ValueError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            return [json.loads(line) for line in lines] if len(lines) > 1 else raised(error)
        except ValueError:
            raise Unfit(f"expected JSON ({error})") from error


def raised(error: Exception) -> Any:
    raise error


def in_cell(cell: str) -> Any:
    """A CSV cell, which may hold a list of scores: `"[0.1, 0.9]"`."""
    if cell.lstrip().startswith("["):
        try:
            return json.loads(cell)
        except ValueError as error:
            raise Unfit(f"a cell is {cell!r:.80}, expected a number or a JSON list") from error
    return cell


def readings(value: Any) -> list[str]:
    """What a label may be in the data: 5, 5.0 and "5" are one; true is `true`."""
    if isinstance(value, list) and len(value) == 1:
        return readings(value[0])
    if isinstance(value, bool):
        return [str(value).lower()]
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        return [text]
    return [text, str(int(number)), str(number)] if number.is_integer() else [text]


def numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    """(n, outputs); null is NaN.

    Raises:
        Unfit: a value is no number and no list of numbers, or some are longer than others.
    """
    rows = [value if isinstance(value, list) else [value] for value in values]
    if len(rows) == 0:
        return np.zeros((0, 1))
    widths = {len(row) for row in rows}
    if len(widths) > 1 or 0 in widths:
        raise Unfit(f"expected as many scores for each record, found {' and '.join(map(str, sorted(widths)))}")
    try:
        return np.array([[np.nan if cell is None else float(cell) for cell in row] for row in rows])
    except (TypeError, ValueError) as error:
        raise Unfit(
            f"expected numbers, found {kind_of(values[0])}; say where they stand with model.probability, or the "
            "label with model.predicted_label"
        ) from error


def kind_of(document: Any) -> str:
    if isinstance(document, dict):
        return f"an object with {', '.join(map(repr, list(document)[:10])) or 'no key'}"
    if isinstance(document, list):
        return f"a list of {len(document)}"
    return repr(document)[:80]


def shown(text: str) -> str:
    """How an answer begins, on one line."""
    return repr(" ".join(text.split())[:SHOWN])
