"""Guess the policy that fits an archive and its data, by what they are and by trying.

What is tried, scalings and readings of the labels, is tried with the evaluation's own code on 100 samples; the reading
by which the model is right most often is taken. Runs in a process of its own, with containers/ to import from:
`python -m assay_local.trials ROOT`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from assay.evaluation import ModelFacts
from assay.layout import ARCHIVE_NAME
from assay_local.guessed import Asked
from assay_local.trials_pictures import guess_pictures, pictures_in
from assay_local.trials_rows import guess_rows
from job.folders import Folders
from job.program import run_program
from job.progress import Progress
from model.archive import sha256, unpack
from model.load import load_model


def main(root: Path) -> int:
    return run_program("trials", guess, root)


def guess(folders: Folders, progress: Progress) -> None:
    """Raises BadModel, BadData: the model cannot be loaded, or the data is nothing that is known here."""
    asked = Asked.model_validate_json((folders.root / "question.json").read_bytes())
    archive, place = folders.input("model") / ARCHIVE_NAME, Path(asked.data)
    with TemporaryDirectory(prefix="model-") as temporary:
        folder = Path(temporary) / "model"
        unpack(archive, folder)
        model = load_model(folder)
        pictures = [] if place.is_file() else pictures_in(place)
        if pictures:
            annotations = None if asked.annotations is None else Path(asked.annotations)
            found = guess_pictures(place, pictures, annotations, model, folder, progress)
        else:
            found = guess_rows(place, model, progress)
        facts = ModelFacts(
            format=model.format,
            runtime=model.runtime,
            archive_sha256=sha256(archive),
            inputs=model.inputs,
            outputs=model.outputs,
        )
    (folders.root / "guess.json").write_text(found.model_copy(update={"facts": facts}).to_json(), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
