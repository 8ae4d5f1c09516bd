"""A job on pictures: heat maps and their numbers, one picture at a time."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from assay.errors import BadData, NotYet
from assay.explanation import AssayAnalysis, ImageExplanation
from explainer.analysis import ENGINE, Results, analysis_json
from explainer.analysis_config import ImageConfig
from explainer.faithfulness import Mean
from explainer.image_baseline import image_baseline
from explainer.image_report import PictureShown, images_report
from explainer.image_results import ExplainedPicture
from explainer.images import PictureExplainer, Shown, Written, check_class_ids, picture_explainer
from explainer.pages import write_report
from explainer.picture_files import PictureFile, find_pictures
from explainer.picture_predictor import ServedPictures, open_picture_predictor
from explainer.request import Request
from explainer.samples import read_samples, true_classes
from model.endpoint import IN_FLIGHT
from model.runtime import CORES

logger = logging.getLogger(__name__)


@dataclass
class Found:
    """What is kept of the pictures once their files are written: memory stays flat."""

    images: list[ImageExplanation] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    model_calls: int = 0
    faithfulness: Mean = field(default_factory=Mean)

    def add(self, picture: ExplainedPicture, written: Written) -> None:
        gap = None if picture.explanation is None else float(np.abs(picture.explanation.gap).max())
        self.images.append(
            ImageExplanation(
                image=picture.file.name, heat_maps=written.heat_maps, objects=written.objects, additivity_gap=gap
            )
        )
        self.model_calls += picture.asked
        self.faithfulness.add(list(picture.curves.values()))


def explain_images(request: Request) -> None:
    """Do the job, one picture at a time; one that cannot be read is named, and the others go on.

    While the model is asked about one, a thread beside it reads the next and writes the files of the last.
    """
    config, settings = request.config, request.shap.image_config or ImageConfig()
    files = find_pictures(request.dataset, settings.debug)
    check_class_ids(settings.debug.class_ids, config.label_headers or ())
    baseline = image_baseline(request)
    true = true_classes(read_samples(request.samples_file))
    found = Found()
    with (
        open_picture_predictor(request, files) as asked,
        ThreadPoolExecutor(
            IN_FLIGHT if isinstance(asked, ServedPictures) else CORES, thread_name_prefix="ask"
        ) as threads,
        ThreadPoolExecutor(1, thread_name_prefix="beside") as beside,
        warnings.catch_warnings(action="ignore"),  # of odd metadata; threads that do it each for itself undo it
    ):
        explainer = picture_explainer(request, asked, baseline, len(files), threads)
        writing: tuple[ExplainedPicture, Future[Written]] | None = None
        for number, shown in enumerate(_shown(files, explainer, beside, found), start=1):
            picture = explainer.explain(shown, true.get(shown.file.path.name))
            if writing is not None:
                found.add(writing[0], writing[1].result())
            writing = picture, beside.submit(explainer.write, picture)
            request.progress.report("explaining", number + len(found.unreadable), len(files), "images")
        if writing is not None:
            found.add(writing[0], writing[1].result())
    if not found.images:
        raise BadData(f"Data must contain features. None of {len(files)} pictures can be read: {found.unreadable[0]}")
    write_results(request, found, baseline.name)


def _shown(
    files: Sequence[PictureFile], explainer: PictureExplainer, beside: ThreadPoolExecutor, found: Found
) -> Iterator[Shown]:
    """The pictures that can be read, in order, each read while the one before is explained."""
    coming = beside.submit(explainer.show, files[0])
    for following in (*files[1:], None):
        current = coming
        if following is not None:
            coming = beside.submit(explainer.show, following)
        try:
            shown = current.result()
        except BadData as error:
            logger.warning("left out: %s", error)
            found.unreadable.append(str(error))
        else:
            yield shown


def write_results(request: Request, found: Found, baseline: str) -> None:
    """`analysis.json` and the report: what was found of all pictures."""
    gaps = [image.additivity_gap for image in found.images if image.additivity_gap is not None]
    faithfulness = found.faithfulness.result()
    assay = AssayAnalysis(
        engine=ENGINE,
        samples=len(found.images),
        failed=len(found.unreadable),
        model_calls=found.model_calls,
        max_additivity_gap=max(gaps, default=None),
        images=tuple(found.images),
        faithfulness=faithfulness,
    )
    of_rows_only = {
        name: NotYet(f"not yet: {name} of images") for name in request.config.methods.asked if name != "shap"
    }
    request.write_text("analysis.json", analysis_json(request.config, Results(failures=of_rows_only), assay))
    all_pictures = len(found.images) + len(found.unreadable)
    facts = (
        ("Pictures", f"{len(found.images):,}" + (f" of {all_pictures:,}" if found.unreadable else "")),
        ("Baseline", baseline),
        ("Model calls", f"{found.model_calls:,}"),
        ("Largest additivity gap", f"{max(gaps):.1g}" if gaps else "–"),
    )
    pictures = [
        PictureShown(
            image.image,
            None if image.objects is None else request.shap_folder / image.objects,
            {label: request.shap_folder / name for label, name in image.heat_maps.items()},
        )
        for image in found.images
    ]
    title = request.config.methods.report.title
    write_report(request, images_report(title, facts, pictures, found.unreadable, faithfulness))
