"""A job on pictures: heat maps and their numbers, one picture at a time."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest

from threadpoolctl import threadpool_limits

from assay.errors import BadData, NotYet
from assay.explanation import AssayAnalysis, Attributions, Faithfulness, ImageExplanation, Runtime
from explainer.analysis import ENGINE, Results, analysis_json
from explainer.analysis_config import ImageConfig
from explainer.faithfulness import Mean
from explainer.image_baseline import ImageBaseline, image_baseline
from explainer.image_report import PictureShown, images_report
from explainer.image_results import ExplainedPicture
from explainer.images import PictureExplainer, Shown, check_class_ids, picture_explainer
from explainer.pages import write_report
from explainer.picture_files import PictureFile, ResultNames, find_pictures
from explainer.picture_parts import Done, PictureParts, digest_of, done_with
from explainer.picture_predictor import ServedPictures, open_picture_predictor
from explainer.request import Request
from explainer.samples import chosen_first, read_samples, true_classes
from model.endpoint import IN_FLIGHT
from model.runtime import CORES

logger = logging.getLogger(__name__)

MOST_LEFT_OUT = 100
"""Pictures that analysis.json names."""


@dataclass(frozen=True)
class Batch:
    """The job's pictures."""

    files: Sequence[PictureFile]
    digests: Mapping[PictureFile, str]
    """What their results depend on."""
    true: Mapping[str, str]
    """A picture's file name → its true class, of those that are known."""


@dataclass
class Found:
    """What came of the pictures."""

    done: Sequence[Done]
    unreadable: Sequence[str]
    left_out: Sequence[str] = ()
    """Those that there was no time for."""

    @property
    def images(self) -> list[ImageExplanation]:
        return [one.image for one in self.done]

    @property
    def model_calls(self) -> int:
        return sum(one.model_calls for one in self.done)

    @property
    def runtime(self) -> Runtime | None:
        """Of the last picture: it says too what failed at those before."""
        return self.done[-1].runtime

    @property
    def faithfulness(self) -> Faithfulness | None:
        mean = Mean()
        for one in self.done:
            mean.add(one.faithfulness)
        return mean.result()

    @property
    def attributions(self) -> Attributions:
        widths = [one.half_width for one in self.done if one.half_width is not None]
        return Attributions(
            exact=all(one.exact for one in self.done),
            explained=len(self.done),
            left_out=len(self.left_out),
            left_out_rows=tuple(self.left_out[:MOST_LEFT_OUT]),
            half_width=max(widths) if len(widths) == len(self.done) else None,
        )


def explain_images(request: Request) -> None:
    """Do the job; a picture that cannot be read is named, and the others go on.

    Those that an attempt before this one had done are not explained again.
    """
    config, settings = request.config, request.shap.image_config or ImageConfig()
    samples = read_samples(request.samples_file)
    files = chosen_first(find_pictures(request.dataset, settings.debug), samples)
    check_class_ids(settings.debug.class_ids, config.label_headers or ())
    baseline = image_baseline(request)
    true = true_classes(samples)
    batch = Batch(files, {file: digest_of(file, true.get(file.path.name)) for file in files}, true)
    parts = PictureParts(request, baseline.digest)
    done = {file: one for file in files if (one := parts.known(file, batch.digests[file])) is not None}
    if done:
        logger.info("%d of %d pictures were explained before", len(done), len(files))
    unreadable: dict[PictureFile, str] = {}
    if len(done) < len(files):
        _explain(request, batch, baseline, parts, done, unreadable)
    if not done:
        raise BadData(
            f"Data must contain features. None of {len(files)} pictures can be read: {next(iter(unreadable.values()))}"
        )
    found = Found([done[file] for file in files if file in done], list(unreadable.values()))
    found.left_out = [file.name for file in files if file not in done and file not in unreadable]
    write_results(request, found, baseline.name)
    parts.forget()


def _explain(
    request: Request,
    batch: Batch,
    baseline: ImageBaseline,
    parts: PictureParts,
    done: dict[PictureFile, Done],
    unreadable: dict[PictureFile, str],
) -> None:
    """Explain what is not done yet, one picture at a time, or as many as there is time for.

    While the model is asked about one, a thread beside it reads the next and writes the files of the last.
    """
    files = [file for file in batch.files if file not in done]
    names, budget = ResultNames(), request.shap.time_budget
    names.take(name for one in done.values() for name in one.image.heat_maps.values())

    def write(picture: ExplainedPicture) -> Done:
        one = done_with(picture, explainer.write(picture), batch.digests[picture.file], explainer.runtime)
        parts.note(picture.file, one)
        return one

    with (
        open_picture_predictor(request, files) as asked,
        ThreadPoolExecutor(
            IN_FLIGHT if isinstance(asked, ServedPictures) else CORES, thread_name_prefix="ask"
        ) as threads,
        ThreadPoolExecutor(1, thread_name_prefix="beside") as beside,
        warnings.catch_warnings(action="ignore"),  # of odd metadata; threads that do it each for itself undo it
        threadpool_limits(1, user_api="blas"),  # small products, which threads make slower, and not the same each time
    ):
        # by all pictures: an attempt that goes on uses the runtime of the one before it
        explainer = picture_explainer(request, asked, baseline, len(batch.files), threads, names)
        writing: tuple[PictureFile, Future[Done]] | None = None
        began = time.monotonic()
        for shown in _shown(files, explainer, beside, unreadable):
            picture = explainer.explain(shown, batch.true.get(shown.file.path.name))
            if writing is not None:
                done[writing[0]] = writing[1].result()
            writing = shown.file, beside.submit(write, picture)
            request.progress.report("explaining", len(done) + 1 + len(unreadable), len(batch.files), "images")
            if budget is not None and time.monotonic() - began >= budget:
                break
        if writing is not None:
            done[writing[0]] = writing[1].result()


def _shown(
    files: Sequence[PictureFile],
    explainer: PictureExplainer,
    beside: ThreadPoolExecutor,
    unreadable: dict[PictureFile, str],
) -> Iterator[Shown]:
    """The pictures that can be read, in order, each read while the one before is explained."""
    coming = beside.submit(explainer.show, files[0])
    for file, following in zip_longest(files, files[1:]):
        current = coming
        if following is not None:
            coming = beside.submit(explainer.show, following)
        try:
            shown = current.result()
        except BadData as error:
            logger.warning("left out: %s", error)
            unreadable[file] = str(error)
        else:
            yield shown


def write_results(request: Request, found: Found, baseline: str) -> None:
    """`analysis.json` and the report: what was found of all pictures."""
    gaps = [image.additivity_gap for image in found.images if image.additivity_gap is not None]
    faithfulness = found.faithfulness
    assay = AssayAnalysis(
        engine=ENGINE,
        samples=len(found.images),
        failed=len(found.unreadable),
        model_calls=found.model_calls,
        max_additivity_gap=max(gaps, default=None),
        images=tuple(found.images),
        faithfulness=faithfulness,
        runtime=found.runtime,
        attributions=found.attributions,
    )
    of_rows_only = {
        name: NotYet(f"not yet: {name} of images") for name in request.config.methods.asked if name != "shap"
    }
    request.write_text("analysis.json", analysis_json(request.config, Results(failures=of_rows_only), assay))
    all_pictures = len(found.images) + len(found.unreadable) + len(found.left_out)
    facts = (
        ("Pictures", f"{len(found.images):,}" + (f" of {all_pictures:,}" if all_pictures > len(found.images) else "")),
        ("Baseline", baseline),
        ("Model calls", f"{found.model_calls:,}"),
        *([] if found.runtime is None else [("Runtime", in_words(found.runtime))]),
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
    notes = list(found.unreadable)
    if found.left_out:
        notes.append(f"methods.shap.time_budget was too short for {', '.join(found.left_out)}")
    title = request.config.methods.report.title
    write_report(request, images_report(title, facts, pictures, notes, faithfulness))


def in_words(runtime: Runtime) -> str:
    return runtime.name if runtime.reason is None else f"{runtime.name} ({runtime.reason})"
