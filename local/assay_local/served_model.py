"""The program behind a laptop's shadow endpoint: serves an archive's model as TensorFlow Serving's container does.

    program_guard.py assay_local.served_model <root>

<root>/model.tar.gz is served; <root>/port holds where, once it is; <root>/failed why not. The archive's own code is
never run, so an archive that has some is refused.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import AssayError, BadData, BadModel
from model.archive import unpack
from model.load import Model, load_model

HANDLER = Path("code") / "inference.py"


def main(root: Path) -> int:
    try:
        model = served(root)
    except AssayError as error:
        (root / "failed").write_text(str(error), encoding="utf-8")
        return 1
    server = ThreadingHTTPServer(("127.0.0.1", 0), requests_of(model))
    part = root / ".port"
    part.write_text(str(server.server_port))
    part.rename(root / "port")
    server.serve_forever()
    return 0


def served(root: Path) -> Model:
    folder = root / "model"
    unpack(root / "model.tar.gz", folder)
    if (folder / HANDLER).is_file():
        raise BadModel(
            f"the archive has {HANDLER}, and an archive's own code is never run on a laptop; start its container "
            "yourself and name it: model.endpoint_name, and --endpoint NAME=URL"
        )
    return load_model(folder)


def requests_of(model: Model) -> type[BaseHTTPRequestHandler]:
    class Requests(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                answer = {"predictions": predictions(model, body, self.headers.get_content_type())}
            except AssayError as error:
                self._answer(415 if isinstance(error, UnknownType) else 400, {"error": str(error)})
            else:
                self._answer(200, answer)

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """The job's log says what was asked."""

    return Requests


class UnknownType(BadData):
    """A content type that TensorFlow Serving's container does not take without a handler."""


def predictions(model: Model, body: bytes, content_type: str) -> list[Any]:
    """A list of scores for each instance."""
    scores: list[Any] = model.predict(arranged(model, instances(body.decode(), content_type))).tolist()
    return scores


def instances(text: str, content_type: str) -> list[Any]:
    """What a request asks about.

    Raises:
        BadData: it cannot be read.
    """
    try:
        if content_type == "application/json":
            document = json.loads(text)
            found = document["instances"] if isinstance(document, dict) else document
            if not isinstance(found, list):
                raise BadData("expected a list of instances")
            return found
        if content_type == "application/jsonlines":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        if content_type == "text/csv":
            return [[number(cell) for cell in row] for row in csv.reader(io.StringIO(text)) if row]
    except (ValueError, KeyError) as error:
        raise BadData(f"expected {content_type}, {error!r}") from error
    raise UnknownType(f"content type {content_type}: expected JSON, JSON Lines or CSV")


def number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def arranged(model: Model, found: list[Any]) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """Instances as the model's inputs: lists for a model with one input, objects by input name for any."""
    if all(isinstance(instance, dict) for instance in found):
        return {tensor.name: column([i.get(tensor.name) for i in found], tensor.dtype) for tensor in model.inputs}
    return column(found, model.inputs[0].dtype)


def column(values: list[Any], dtype: str) -> NDArray[Any]:
    try:
        return np.array(values, dtype=object if dtype == "string" else dtype)
    except (ValueError, TypeError) as error:
        raise BadData(f"expected {dtype}: {error}") from error


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
