"""Jobs on pictures: a model that looks at one region only, and what people get to see of it."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from assay.explanation import thumbnail_of
from explainer.faithfulness import SHARES, area, curves
from explainer.heatmap import NEGATIVE, POSITIVE, colours, draw_heat_map, fitting
from explainer.image_baseline import white_noise
from explainer.images import outputs_to_draw
from explainer.masking import Masked, PictureGame, Sampling, superpixels
from explainer.picture_files import ResultNames, stems
from explainer.refused_by_aws import refused_by_aws

SIZE = 32
CORNER = (slice(0, 16), slice(0, 16))
"""The only pixels that the model looks at."""


def looks_at_a_corner(batch: NDArray[Any]) -> NDArray[Any]:
    """Two scores: how bright the corner is, bent so that no linear guess is right; and the rest to one."""
    bright = 1 / (1 + np.exp(-8 * (batch[:, CORNER[0], CORNER[1]].astype(np.float64).mean(axis=(1, 2, 3)) - 0.5)))
    return np.stack([bright, 1 - bright], axis=1)


def quarters() -> Image.Image:
    """Four flat colours, the upper left one the brightest."""
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[:32, :32], pixels[:32, 32:] = (255, 250, 240), (10, 120, 40)
    pixels[32:, :32], pixels[32:, 32:] = (150, 20, 30), (20, 30, 140)
    return Image.fromarray(pixels)


def config(**image_config: Any) -> dict[str, Any]:
    return {
        "dataset_type": "application/x-image",
        "methods": {
            "shap": {
                "baseline": [[128]],
                "num_samples": 200,
                "seed": 1,
                "image_config": {"model_type": "IMAGE_CLASSIFICATION", "num_segments": 4} | image_config,
            },
            "report": {"name": "report", "title": "Quarters"},
        },
        "predictor": {"model_name": "quarters", "label_headers": ["bright", "dark"]},
    }


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def pictures(job: Any, give_model: Any) -> Any:
    """A job on one picture."""
    quarters().save(job.data / "four.png")
    give_model(looks_at_a_corner, SIZE, SIZE, 3)
    return job


def numbers(job: Any, stem: str = "four") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((job.output / f"explanations_shap/shap_{stem}.json").read_text())
    return content


def arrays(job: Any, stem: str = "four") -> tuple[NDArray[Any], NDArray[Any]]:
    folder = job.output / "explanations_shap"
    return np.load(folder / f"shap_{stem}_segments.npy"), np.load(folder / f"shap_{stem}_attributions.npy")


@pytest.mark.parametrize("segments_asked", [4, 9, 30])
def test_attributions_lie_where_the_model_looks_and_nowhere_else(pictures: Any, segments_asked: int) -> None:
    assert pictures.run(config(num_segments=segments_asked)) == 0
    segments, attributions = arrays(pictures)
    assert segments.shape == (SIZE, SIZE)
    assert attributions.shape == (segments.max() + 1, 2)
    seen = np.unique(segments[CORNER])
    unseen = np.setdiff1d(np.unique(segments), seen)
    assert len(unseen) >= 3
    exact = numbers(pictures)["exact"]
    assert np.abs(attributions[unseen]).max() < (1e-9 if exact else 0.02)
    found = numbers(pictures)
    difference = np.array(found["prediction"]) - found["baseline_prediction"]
    np.testing.assert_allclose(attributions[seen].sum(axis=0), difference, atol=1e-9 if exact else 0.05)
    assert difference[0] > 0.4
    assert attributions[seen, 0].min() > 0


def test_the_numbers_beside_a_heat_map_add_up_and_agree_with_the_arrays(pictures: Any) -> None:
    assert pictures.run(config()) == 0
    found, (_, attributions) = numbers(pictures), arrays(pictures)
    assert found["image"] == "four.png"
    assert found["predicted"] == "bright"
    assert found["label_headers"] == ["bright", "dark"]
    assert found["attributions"] == {"bright": attributions[:, 0].tolist()}
    assert np.abs(found["additivity_gap"]).max() < 1e-9
    total = found["prediction"][0] - found["baseline_prediction"][0]
    assert sum(found["attributions"]["bright"]) == pytest.approx(total, abs=1e-9)


def test_the_heat_map_is_blue_where_the_model_found_the_label_and_pale_elsewhere(pictures: Any) -> None:
    assert pictures.run(config()) == 0
    picture = np.asarray(Image.open(pictures.output / "explanations_shap/shap_four_bright.jpeg")).astype(int)
    height = picture.shape[0]
    right = picture[60 : height - 16, 16 + 320 + 16 :][:, :320]
    blueness = right[..., 2] - right[..., 0]
    assert blueness[20:140, 20:140].min() > 60
    assert np.abs(blueness[180:300, 180:300]).max() < 25
    bar = (picture[..., 2] - picture[..., 0])[60 : height - 16, 3 * 16 + 2 * 320 + 7]
    assert bar[3] > 100  # blue above
    assert abs(bar[len(bar) // 2]) < 25
    assert bar[-4] < -100  # red below


def test_each_heat_map_has_a_thumbnail_that_a_page_can_carry_by_the_hundred(pictures: Any) -> None:
    assert pictures.run(config()) == 0
    full = Path(pictures.output, "explanations_shap/shap_four_bright.jpeg")
    small = Path(thumbnail_of(str(full)))
    assert small == Path(pictures.output, "assay/thumbnails/shap_four_bright.webp")
    with Image.open(small) as thumbnail, Image.open(full) as picture:
        assert (thumbnail.format, max(thumbnail.size)) == ("WEBP", 480)
        assert thumbnail.width / thumbnail.height == pytest.approx(picture.width / picture.height, rel=0.01)
    assert small.stat().st_size < full.stat().st_size / 3


def test_analysis_json_lists_the_pictures_under_assay(pictures: Any) -> None:
    assert pictures.run(config()) == 0
    analysis = pictures.analysis
    assert analysis["version"] == "1.0"
    assay = analysis["assay"]
    assert assay["samples"] == 1
    assert assay["failed"] == 0
    assert assay["max_additivity_gap"] < 1e-9
    assert assay["model_calls"] == sum(pictures.calls) - 1
    (image,) = assay["images"]
    assert image["heat_maps"] == {"bright": "shap_four_bright.jpeg"}
    assert (pictures.output / "explanations_shap/shap_four_bright.jpeg").exists()


def test_the_true_class_is_drawn_too_when_it_is_another(pictures: Any) -> None:
    samples = pictures.root / "processing/input/samples"
    samples.mkdir()
    sample = {"id": "four", "row": 0, "sample": ["chosen"], "reason": "mistake", "true": "dark", "file": "four.png"}
    (samples / "samples.json").write_text(json.dumps({"samples": [sample]}))
    assert pictures.run(config()) == 0
    assert numbers(pictures)["true"] == "dark"
    assert list(numbers(pictures)["heat_maps"]) == ["bright", "dark"]


def test_classes_and_pictures_can_be_chosen(pictures: Any) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        quarters().save(pictures.data / name)
    assert (
        pictures.run(config(debug={"class_ids": [1], "image_names": ["c.jpg", "b.jpg", "four.png"], "sample_to": 2}))
        == 0
    )
    assert [image["image"] for image in pictures.analysis["assay"]["images"]] == ["b.jpg", "c.jpg"]
    assert list(numbers(pictures, "b")["heat_maps"]) == ["dark"]


def test_white_noise_is_the_baseline_when_none_is_given_and_the_same_for_one_seed(pictures: Any) -> None:
    asked = config()
    del asked["methods"]["shap"]["baseline"]

    def run() -> dict[str, bytes]:
        assert pictures.run(asked) == 0
        return {str(path): path.read_bytes() for path in pictures.output.rglob("*") if path.is_file()}

    first = run()
    assert len(first) == 10
    assert run() == first
    noise = white_noise((50, 40), 1)
    assert noise.shape == (50, 40, 3)
    assert abs(noise.mean() - 127.5) < 3
    assert len(np.unique(noise)) == 256


def test_a_baseline_picture_is_resized_to_the_models(pictures: Any) -> None:
    folder = pictures.root / "processing/input/baseline"
    folder.mkdir()
    Image.new("RGB", (7, 5), (255, 255, 255)).save(folder / "white.png")
    (pictures.root / "config").mkdir()
    s3 = {"S3Uri": "s3://bucket/base/", "LocalPath": "/opt/ml/processing/input/baseline"}
    (pictures.root / "config/processingjobconfig.json").write_text(
        json.dumps({"ProcessingInputs": [{"InputName": "baseline", "S3Input": s3}]})
    )
    asked = config()
    asked["methods"]["shap"]["baseline"] = "s3://bucket/base/white.png"
    assert pictures.run(asked) == 0
    assert numbers(pictures)["baseline_prediction"][0] == pytest.approx(1 / (1 + np.exp(-4)))


def test_a_broken_picture_is_named_and_the_rest_goes_on(pictures: Any) -> None:
    (pictures.data / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    assert pictures.run(config()) == 0
    assay = pictures.analysis["assay"]
    assert (assay["samples"], assay["failed"]) == (1, 1)
    page = (pictures.output / "report.html").read_text()
    assert "broken.png" in page
    assert "1 of 2" in page


def test_only_broken_pictures_are_no_data(pictures: Any) -> None:
    (pictures.data / "four.png").write_bytes(b"no picture")
    assert pictures.run(config()) == 1
    assert re.match(r"Data must contain features\. None of 1 pictures can be read: .*four\.png", pictures.message)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"debug": {"image_names": ["five.png"]}}, "image_names: no five.png among 1 pictures such as four.png"),
        ({"debug": {"class_ids": [2]}}, "class_ids: 2, expected 0 to 1 for 2 labels"),
        ({"debug": {"sample_from": 3}}, "sample_from 3 to None leaves none of 1"),
    ],
)
@pytest.mark.usefixtures("without_tensorflow")
def test_what_is_wrong_is_said_before_the_model_is_loaded(
    pictures: Any, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], says: str
) -> None:
    monkeypatch.setattr("explainer.request.load_model", lambda _: pytest.fail("loaded the model"))
    assert pictures.run(config(**changes)) == 1
    assert says in pictures.message


def test_a_key_that_only_rows_can_have_is_refused(pictures: Any) -> None:
    asked = config()
    asked["methods"]["shap"]["features_to_explain"] = ["age"]
    assert pictures.run(asked) == 1
    assert "features_to_explain: a picture's segments have no names; image_config.debug says" in pictures.message


def test_no_more_is_asked_once_all_intervals_are_narrow_enough(pictures: Any) -> None:
    asked, seen = config(num_segments=30), {}
    asked["methods"]["shap"]["num_samples"] = 2000
    for tolerance in (None, 0.05, 1e-9):
        if tolerance is not None:
            asked["methods"]["shap"]["tolerance"] = tolerance
        assert pictures.run(asked) == 0
        intervals = np.load(pictures.output / "explanations_shap/shap_four_intervals.npy")
        found = pictures.analysis["assay"]
        half_width = float(np.ptp(intervals, axis=0).max() / 2)
        assert found["attributions"]["half_width"] == pytest.approx(half_width)
        chance = found["faithfulness"]["random_area"]  # of all that was asked about, in however many steps
        seen[tolerance] = numbers(pictures)["coalitions"], half_width, chance
    assert seen[1e-9] == pytest.approx(seen[None])
    assert seen[0.05][0] < seen[None][0] / 2
    assert seen[None][1] < seen[0.05][1] <= 0.05
    assert seen[0.05][2] == pytest.approx(seen[None][2], abs=0.02)


def more_pictures(job: Any) -> None:
    for name in ("a.png", "b.png", "c.png"):
        quarters().save(job.data / name)


def test_a_time_budget_leaves_out_pictures_and_names_them(pictures: Any) -> None:
    more_pictures(pictures)
    asked = config()
    asked["methods"]["shap"]["time_budget"] = 1e-6
    assert pictures.run(asked) == 0
    found = pictures.analysis["assay"]
    assert [image["image"] for image in found["images"]] == ["a.png"]
    assert (found["attributions"]["explained"], found["attributions"]["left_out"]) == (1, 3)
    assert found["attributions"]["left_out_rows"] == ["b.png", "c.png", "four.png"]
    assert "time_budget was too short for b.png, c.png, four.png" in (pictures.output / "report.html").read_text()
    samples = pictures.root / "processing/input/samples"
    samples.mkdir()
    sample = {"row": 0, "sample": ["chosen"], "reason": "mistake", "true": "dark"}
    content = [sample | {"id": name, "file": f"{name}.png"} for name in ("c", "four")]
    (samples / "samples.json").write_text(json.dumps({"samples": content}))
    assert pictures.run(asked) == 0
    assert pictures.analysis["assay"]["attributions"]["left_out_rows"] == ["four.png", "a.png", "b.png"]
    asked["methods"]["shap"]["time_budget"] = 100
    assert pictures.run(asked) == 0
    assert pictures.analysis["assay"]["attributions"]["left_out"] == 0


def killed_at(job: Any, monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    """The last attempt, which ended at this picture: what it had uploaded is the input `resume`."""
    from explainer import images

    explain = images.Classes.explain

    def until(self: Any, shown: Any, true: Any) -> Any:
        if shown.file.name == last:
            raise KeyboardInterrupt
        return explain(self, shown, true)

    with monkeypatch.context() as patch:
        patch.setattr(images.Classes, "explain", until)
        with pytest.raises(KeyboardInterrupt):
            job.run(config())
    resume = job.root / "processing/input/resume"
    shutil.rmtree(resume, ignore_errors=True)
    job.output.rename(resume)


def test_a_killed_job_goes_on_where_it_was(pictures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    more_pictures(pictures)
    (pictures.data / "a_bright.png").write_bytes(b"broken")

    def files() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in pictures.output.rglob("*") if path.is_file()}

    assert pictures.run(config()) == 0
    whole, calls = files(), sum(pictures.calls)
    assert not list(pictures.output.rglob("parts"))
    shutil.rmtree(pictures.output)
    killed_at(pictures, monkeypatch, "c.png")
    pictures.calls.clear()
    assert pictures.run(config()) == 0
    assert files() == whole  # with the same numbers, names and curves
    of_two = (calls - 1) // 2
    assert sum(pictures.calls) == of_two + 1


@pytest.mark.parametrize("change", ["picture", "seed", "lost"])
def test_what_is_not_the_same_any_more_is_explained_anew(
    pictures: Any, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    more_pictures(pictures)
    killed_at(pictures, monkeypatch, "four.png")
    if change == "picture":
        Image.new("RGB", (40, 40), (200, 9, 9)).save(pictures.data / "a.png")
    if change == "lost":
        next(pictures.root.rglob("resume/explanations_shap/shap_a_segments.npy")).unlink()
    pictures.calls.clear()
    asked = config()
    if change == "seed":
        asked["methods"]["shap"]["seed"] = 7
    assert pictures.run(asked) == 0
    one = pictures.analysis["assay"]["model_calls"] // 4
    assert sum(pictures.calls) == 1 + one * (4 if change == "seed" else 2)
    if change == "picture":
        assert numbers(pictures, "a")["prediction"][0] < 0.2


def test_a_folder_without_pictures_is_an_error(pictures: Any) -> None:
    (pictures.data / "four.png").rename(pictures.data / "four.txt")
    assert pictures.run(config()) == 1
    assert pictures.message.startswith("Data must contain features. Found no picture in")


def test_a_baseline_that_is_no_picture_is_an_error(pictures: Any) -> None:
    asked = config()
    asked["methods"]["shap"]["baseline"] = [[1, 2, 3], [4, 5, 6]]
    assert pictures.run(asked) == 1
    assert "for images expected the S3 address of a picture, or a colour" in pictures.message


def test_labels_must_be_as_many_as_the_models_outputs(pictures: Any) -> None:
    asked = config()
    asked["predictor"]["label_headers"] = ["one", "two", "three"]
    assert pictures.run(asked) == 1
    assert "3 names (one, two, three), but the model has 2 outputs" in pictures.message


def test_the_report_holds_the_pictures_and_needs_nothing_beside_it(pictures: Any) -> None:
    assert pictures.run(config()) == 0
    page = (pictures.output / "report.html").read_text()
    assert page.count('src="data:image/jpeg;base64,') == 1
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "<h1>Quarters</h1>" in page


def test_names_of_results_are_unique_and_safe(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.png", "a.jpg", "sub/b c.png", "ü+1.png")]
    assert stems(files, tmp_path) == ["a.png", "a.jpg", "sub_b_c", "ü_1"]
    names = ResultNames()
    assert [names.of("a", label, output) for output, label in enumerate(["<=50K", ">50K", "==50K", "b_c"])] == [
        "shap_a___50K.jpeg",
        "shap_a__50K.jpeg",
        "shap_a___50K-2.jpeg",
        "shap_a_b_c.jpeg",
    ]
    assert names.of("a_b", "c", 4) == "shap_a_b_c-4.jpeg"
    names.take(["shap_seen_c.jpeg"])
    assert names.of("seen", "C", 0) == "shap_seen_C-0.jpeg"


def test_the_predicted_and_the_true_class_are_drawn_once_each() -> None:
    labels, scores, either = ["a", "b", "c"], np.array([0.1, 0.7, 0.2]), ("predicted", "true")
    assert outputs_to_draw(scores, labels, None, either) == [1]
    assert outputs_to_draw(scores, labels, "b", either) == [1]
    assert outputs_to_draw(scores, labels, "c", either) == [1, 2]
    assert outputs_to_draw(scores, labels, "elsewhere", either) == [1]
    assert outputs_to_draw(scores, labels, "c", ["a", "true", "a"]) == [0, 2]
    assert outputs_to_draw(scores, labels, None, ["true"]) == [1]  # rather than nothing


@pytest.mark.parametrize(
    ("classes", "drawn"),
    [
        (["predicted", "true"], ["bright", "dark"]),
        (["true"], ["dark"]),
        (["dark", "predicted"], ["dark", "bright"]),
        (["bright"], ["bright"]),
    ],
)
def test_the_policy_says_whose_heat_maps_are_drawn(pictures: Any, classes: list[str], drawn: list[str]) -> None:
    inputs = pictures.root / "processing/input"
    for name in ("run", "samples"):
        (inputs / name).mkdir()
    policy = {"task": "image_classification", "data": {"source": "x/"}, "explain": {"classes": classes}}
    run = {"id": "r" * 20, "model": "m", "upload": {"bucket": "b", "key": "k"}, "opened_at": "2026-01-01T00:00:00Z"}
    (inputs / "run/run.json").write_text(json.dumps(run | {"policy": policy}))
    sample = {"id": "four", "row": 0, "sample": ["chosen"], "reason": "", "true": "dark", "predicted": "bright"}
    (inputs / "samples/samples.json").write_text(json.dumps({"samples": [sample | {"file": "four.png"}]}))
    assert pictures.run(config()) == 0, pictures.message
    (image,) = pictures.analysis["assay"]["images"]
    assert list(image["heat_maps"]) == drawn


def test_superpixels_follow_colours_and_are_numbered_without_gaps() -> None:
    segments = superpixels(np.asarray(quarters()), 4, 5)
    assert np.unique(segments).tolist() == [0, 1, 2, 3]
    assert len(np.unique(segments[2:30, 2:30])) == 1


def test_a_tiny_picture_has_superpixels_and_a_heat_map() -> None:
    digit = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    segments = superpixels(digit, 20, 5)
    assert 2 <= segments.max() + 1 <= 64
    drawn = draw_heat_map(digit, segments, np.linspace(-1, 1, segments.max() + 1), 1.0, "3", "predicted 3")
    assert drawn.height > 320
    assert drawn.width > 640


def test_numpy_arrays_are_pictures_one_or_a_batch_of_them(pictures: Any) -> None:
    pixels = np.asarray(quarters())
    np.save(pictures.data / "one.npy", pixels)
    np.save(pictures.data / "shares.npy", pixels / 255)
    np.save(pictures.data / "batch.npy", np.stack([pixels, pixels[::-1]]))
    assert pictures.run(config()) == 0
    images = pictures.analysis["assay"]["images"]
    assert [image["image"] for image in images] == [
        "batch.npy[0]",
        "batch.npy[1]",
        "four.png",
        "one.npy",
        "shares.npy",
    ]
    assert images[1]["heat_maps"] == {"dark": "shap_batch_1_dark.jpeg"}
    expected = numbers(pictures)["attributions"]
    for stem in ("batch_0", "one", "shares"):
        assert numbers(pictures, stem)["attributions"] == expected
    # of a batch too, sample_from and sample_to count pictures
    assert pictures.run(config(debug={"sample_from": 1, "sample_to": 3})) == 0
    assert [image["image"] for image in pictures.analysis["assay"]["images"]] == ["batch.npy[1]", "four.png"]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((3, 8, 8)), "float64 3 × 8 × 8, expected numbers, height × width × 3 (or 1), or a batch of such"),
        (np.full((8, 8, 3), -1.0), "values from -1 to -1, expected pixels of 0 to 255, or floats of 0 to 1"),
        (np.full((8, 8), np.nan), "values from nan to nan"),
        (np.full((8, 8, 3), 256), "values from 256 to 256"),
        (np.zeros((0, 8, 3), np.uint8), "0 × 8 pixels, from 1 to"),
        (np.full((8, 8, 3), "x"), "expected numbers"),
        (np.array([None]), "cannot be read as a NumPy array"),
        (b"no array", "cannot be read as a NumPy array"),
        (b"", "cannot be read as a NumPy array"),
    ],
)
def test_an_array_that_is_no_picture_is_named_and_the_rest_goes_on(pictures: Any, array: Any, said: str) -> None:
    if isinstance(array, bytes):
        (pictures.data / "bad.npy").write_bytes(array)
    else:
        np.save(pictures.data / "bad.npy", array, allow_pickle=True)
    assert pictures.run(config()) == 0
    assert (pictures.analysis["assay"]["samples"], pictures.analysis["assay"]["failed"]) == (1, 1)
    page = html.unescape((pictures.output / "report.html").read_text())
    assert f"bad.npy: {said}" in page or ("bad.npy: " in page and said in page)


def test_pictures_of_other_sizes_and_modes_are_all_explained(pictures: Any) -> None:
    quarters().convert("L").save(pictures.data / "grey.png")
    quarters().convert("P").save(pictures.data / "palette.png")
    quarters().convert("CMYK").save(pictures.data / "print.jpg")
    quarters().resize((130, 31)).save(pictures.data / "wide.jpeg")
    turned = Image.Exif()
    turned[0x0112] = 3
    quarters().rotate(180).save(pictures.data / "turned.jpg", exif=turned, quality=95)
    quarters().convert("RGBA").save(pictures.data / "opaque.png")
    clear = Image.new("RGBA", (64, 64))
    clear.paste(quarters(), (0, 0), Image.new("L", (64, 64), 255))
    clear.save(pictures.data / "UPPER.PNG", save_all=True, append_images=[Image.new("RGBA", (64, 64))])  # it moves
    deep = np.asarray(quarters().convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(pictures.data / "deep.png")
    (pictures.data / "broken.jpg").write_bytes((pictures.data / "print.jpg").read_bytes()[:300])
    (pictures.data / "empty.png").touch()
    (pictures.data / "notes.txt").write_text("no picture")
    assert pictures.run(config()) == 0
    assert (pictures.analysis["assay"]["samples"], pictures.analysis["assay"]["failed"]) == (9, 2)
    page = (pictures.output / "report.html").read_text()
    assert "broken.jpg: cannot be read as a picture" in page
    assert "empty.png: cannot be read as a picture" in page
    alike = numbers(pictures)["prediction"]
    for stem in ("palette", "print", "turned", "opaque", "UPPER"):
        assert numbers(pictures, stem)["prediction"] == pytest.approx(alike, abs=0.02), stem
    assert numbers(pictures, "deep")["prediction"] == pytest.approx(numbers(pictures, "grey")["prediction"])
    assert arrays(pictures, "wide")[0].shape == (SIZE, SIZE)


def test_hostile_names_harm_nobody(pictures: Any) -> None:
    (pictures.data / "four.png").unlink()
    long = "é" * 110
    names = [
        "<img src=x onerror=alert(1)>.png",
        "a b+c%20&amp;'\".png",
        "shop/four.png",
        "shop/four.jpg",
        "shop_four.png",
        "other/four.png",
        f"{long}1.png",
        f"{long}2.png",
        "x..png",
        "new\nline.png",
    ]
    for name in names:
        (pictures.data / name).parent.mkdir(exist_ok=True)
        quarters().save(pictures.data / name)
    labels = ["<b>bright</b>/../x", "暗" * 90]
    asked = config(debug={"class_ids": [0, 1]})
    asked["predictor"]["label_headers"] = labels
    assert pictures.run(asked) == 0, pictures.message
    images = pictures.analysis["assay"]["images"]
    assert sorted(image["image"] for image in images) == sorted(names)
    files = [name for image in images for name in image["heat_maps"].values()]
    assert len({name.lower() for name in files}) == 2 * len(names)
    folder = pictures.output / "explanations_shap"
    assert {path.name for path in folder.glob("*.jpeg")} == set(files)
    page = (pictures.output / "report.html").read_text()
    assert "<img src=x" not in page
    assert "<b>bright" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in page


def test_what_a_manifest_brought_is_found_by_its_address(pictures: Any) -> None:
    folder = pictures.root / "processing/input/pictures/2026/shop"
    folder.mkdir(parents=True)
    quarters().save(folder / "a.jpg")
    (pictures.root / "config").mkdir()
    s3 = {
        "S3Uri": "s3://bucket/lists/pictures.manifest",
        "LocalPath": "/opt/ml/processing/input/pictures",
        "S3DataType": "ManifestFile",
    }
    (pictures.root / "config/processingjobconfig.json").write_text(
        json.dumps({"ProcessingInputs": [{"InputName": "pictures", "S3Input": s3}]})
    )
    assert pictures.run(config() | {"dataset_uri": "s3://bucket/lists/pictures.manifest"}) == 0
    (image,) = pictures.analysis["assay"]["images"]
    assert image["image"] == "2026/shop/a.jpg"
    assert image["heat_maps"] == {"bright": "shap_2026_shop_a_bright.jpeg"}


def test_the_picture_blurred_is_a_baseline_that_clarify_does_not_know(pictures: Any) -> None:
    asked = config()
    asked["methods"]["shap"]["baseline"] = {"blur": 200}
    assert pictures.run(asked) == 0
    assert "the picture blurred by 200 px" in (pictures.output / "report.html").read_text()
    # so blurred that nothing is left but the mean colour
    grey = np.asarray(quarters()).mean() / 255
    expected = 1 / (1 + np.exp(-8 * (grey - 0.5)))
    assert numbers(pictures)["baseline_prediction"][0] == pytest.approx(expected, abs=0.05)
    assert list(refused_by_aws(asked)) == [
        "methods.shap.baseline: a blurred picture is Assay's own (AWS's own schema takes it, Clarify does not)"
    ]


@pytest.mark.parametrize("baseline", [{"blur": 0}, {"blur": "10"}, {"blur": 10, "noise": 1}, {"blurr": 10}, [[300]]])
def test_another_baseline_is_an_error(pictures: Any, baseline: Any) -> None:
    asked = config()
    asked["methods"]["shap"]["baseline"] = baseline
    assert pictures.run(asked) == 1
    assert "for images expected the S3 address of a picture, or a colour" in pictures.message


def test_intervals_stand_beside_attributions_where_they_are_known(pictures: Any) -> None:
    assert pictures.run(config(num_segments=30)) == 0
    found, folder = numbers(pictures), pictures.output / "explanations_shap"
    assert not found["exact"]
    intervals = np.load(folder / found["all_intervals"])
    _, attributions = arrays(pictures)
    assert intervals.shape == (2, *attributions.shape)
    assert (intervals[0] <= attributions).all()
    assert (attributions <= intervals[1]).all()
    assert np.array(found["intervals"]["bright"]).T.tolist() == intervals[:, :, 0].tolist()
    few = config(num_segments=30)
    few["methods"]["shap"]["num_samples"] = 20  # too few to tell
    assert pictures.run(few) == 0
    assert numbers(pictures)["intervals"] is numbers(pictures)["all_intervals"] is None


def test_deletion_and_insertion_tell_a_faithful_order_from_chance(pictures: Any) -> None:
    assert pictures.run(config(num_segments=30)) == 0
    found = pictures.analysis["assay"]["faithfulness"]
    assert found["explained"] == 1
    assert found["shares"] == [n / 10 for n in range(11)]
    assert found["deletion_area"] < found["random_area"] - 0.1
    assert found["insertion_area"] > found["random_area"] + 0.1
    whole, nothing = numbers(pictures)["prediction"][0], numbers(pictures)["baseline_prediction"][0]
    assert (found["deletion"][0], found["deletion"][-1]) == pytest.approx((whole, nothing))
    assert (found["insertion"][0], found["insertion"][-1]) == pytest.approx((nothing, whole))
    assert (found["random"][0], found["random"][-1]) == pytest.approx((nothing, whole))
    assert numbers(pictures)["faithfulness"]["bright"]["deletion_area"] == found["deletion_area"]
    assert "Deletion" in (pictures.output / "report.html").read_text()


def test_curves_of_a_sum_are_known(threads: ThreadPoolExecutor) -> None:
    """Players of worth 3, 2, 1 and 0: the curve is their running sum, by chance it is straight."""
    pixels, baseline = np.array([[[3.0], [2.0]], [[1.0], [0.0]]]), np.zeros((2, 2, 1))
    picture = Masked(pixels, baseline, np.arange(4).reshape(2, 2))
    game = PictureGame(picture, lambda batch: batch.sum(axis=(1, 2)), Sampling(None, 0, None, "auto", threads))
    explanation = game.explain(1)
    np.testing.assert_allclose(explanation.values[:, 0], [3, 2, 1, 0], atol=1e-12)
    (found,) = curves(game, explanation, [0])
    at = np.linspace(0, 1, 5)
    np.testing.assert_allclose(found.insertion, np.interp(SHARES, at, [0, 3, 5, 6, 6]), atol=1e-12)
    np.testing.assert_allclose(found.deletion, np.interp(SHARES, at, [6, 3, 1, 0, 0]), atol=1e-12)
    np.testing.assert_allclose(found.random, 6 * SHARES, atol=1e-12)
    assert area(found.random) == pytest.approx(3)
    assert game.asked == 16 + 6


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64", "int32"])
def test_masked_pictures_are_the_picture_where_a_segment_is_there_and_the_baseline_elsewhere(dtype: str) -> None:
    rng = np.random.default_rng(0)
    picture, baseline = (rng.integers(0, 255, (5, 7, 3)).astype(dtype) for _ in range(2))
    segments = rng.integers(-1, 4, (5, 7))
    masks = rng.random((9, 4)) < 0.5
    found = Masked(picture, baseline, segments).pictures(masks)
    assert found.dtype == picture.dtype
    for mask, one in zip(masks, found, strict=True):
        there = (mask[segments] & (segments >= 0))[..., None]
        assert (one == np.where(there, picture, baseline)).all()


@pytest.mark.parametrize(("worth", "asked"), [(32 * 32 * 200, 1), (32 * 32 * 200 + 1, 0)])
def test_a_faster_runtime_is_looked_for_when_the_job_is_long_enough(
    pictures: Any, monkeypatch: pytest.MonkeyPatch, worth: int, asked: int
) -> None:
    probes: list[NDArray[Any]] = []

    def fastest(model: Any, probe: NDArray[Any]) -> Any:
        probes.append(probe)
        model.runtime = model.runtime_reason = "known"
        return model

    monkeypatch.setattr("explainer.images.fastest", fastest)
    monkeypatch.setattr("explainer.images.WORTH_PIXELS", worth)
    assert pictures.run(config()) == 0
    assert [probe.shape for probe in probes] == [(8, SIZE, SIZE, 3)] * asked
    few = f"1 × 200 pictures of {SIZE} × {SIZE} are too few to look for a faster one"
    assert pictures.analysis["assay"]["runtime"] == {"name": "known", "reason": "known" if asked else few}


def test_a_picture_of_one_segment_owes_it_all(pictures: Any) -> None:
    assert pictures.run(config(num_segments=1)) == 0
    found = numbers(pictures)
    assert found["attributions"]["bright"] == [found["prediction"][0] - found["baseline_prediction"][0]]
    assert found["exact"]


def test_colours_are_blue_for_white_at_zero_and_red_against() -> None:
    assert colours(np.array([1.0, 0.0, -1.0, 2.0])).astype(int).tolist() == [
        list(POSITIVE),
        [255, 255, 255],
        list(NEGATIVE),
        list(POSITIVE),
    ]


def test_a_long_title_is_cut_and_stays_on_its_line() -> None:
    assert fitting("short", lambda text: len(text) <= 10) == "short"
    assert fitting("a\nlonger title", lambda text: len(text) <= 10) == "a longer …"


def test_an_explanation_of_nothing_draws_no_false_colours() -> None:
    image = np.full((16, 16, 3), 200, dtype=np.uint8)
    drawn = np.asarray(draw_heat_map(image, np.zeros((16, 16), dtype=np.intp), np.zeros(1), 0.0, "t", "s"))
    right = drawn[60:380, 352:672].astype(int)
    assert np.ptp(right, axis=2).max() == 0


RUN: dict[str, Any] = {
    "id": "a" * 20,
    "model": "birds",
    "upload": {"bucket": "bucket", "key": "models/birds/model.tar.gz"},
    "opened_at": "2026-01-31T12:00:00Z",
    "policy": {"task": "image_classification", "data": {"source": "images/"}, "preprocessing": {"scaling": "none"}},
}
UNSAID = RUN | {"policy": {"task": "image_classification", "data": {"source": "images/"}}}


@pytest.mark.parametrize(
    ("run", "in_archive", "brightest"),
    [
        (None, None, 1.0),  # the model takes floats: 0 to 1
        (None, '{"scaling": [0.5, 0]}', 127.5),
        (RUN, '{"scaling": [0.5, 0]}', 255.0),
        (UNSAID, '{"scaling": [0.5, 0]}', 127.5),
        (RUN, None, 255.0),
    ],
)
def test_pictures_are_prepared_as_the_run_says_else_as_the_archive_says(
    job: Any, give_model: Any, monkeypatch: pytest.MonkeyPatch, run: Any, in_archive: str | None, brightest: float
) -> None:
    Image.new("RGB", (20, 20), "white").save(job.data / "white.png")
    give_model(lambda batch: batch.max(axis=(1, 2, 3))[:, None], 16, 16, 3)

    def unpack(_: Path, into: Path) -> None:
        into.mkdir()
        if in_archive is not None:
            (into / "assay.json").write_text(in_archive)

    monkeypatch.setattr("explainer.request.unpack", unpack)
    if run is not None:
        (job.root / "processing/input/run").mkdir()
        (job.root / "processing/input/run/run.json").write_text(json.dumps(run))
    asked = config()
    asked["methods"]["shap"]["baseline"] = [[0]]
    asked["predictor"]["label_headers"] = ["brightness"]
    assert job.run(asked) == 0
    assert numbers(job, "white")["prediction"] == [brightest]


def test_a_last_step_that_the_policy_names_is_explained_with_the_model(job: Any, give_model: Any) -> None:
    Image.new("RGB", (20, 20), "white").save(job.data / "white.png")
    give_model(lambda batch: 3 * batch.max(axis=(1, 2, 3))[:, None], 16, 16, 3)
    (job.root / "processing/input/run").mkdir()
    policy = UNSAID["policy"] | {"model": {"output_transform": "sigmoid"}}
    (job.root / "processing/input/run/run.json").write_text(json.dumps(RUN | {"policy": policy}))
    asked = config()
    asked["methods"]["shap"]["baseline"] = [[0]]
    asked["predictor"]["label_headers"] = ["brightness"]
    assert job.run(asked) == 0
    assert numbers(job, "white")["prediction"] == pytest.approx([1 / (1 + np.exp(-3))])
    assert numbers(job, "white")["baseline_prediction"] == [0.5]


def test_an_archive_that_says_nonsense_about_pictures_is_the_models_fault(
    pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpack(_: Path, into: Path) -> None:
        into.mkdir()
        (into / "assay.json").write_text('{"scalling": "none"}')

    monkeypatch.setattr("explainer.request.unpack", unpack)
    assert pictures.run(config()) == 1
    assert pictures.message.startswith("assay.json in the archive does not say how to prepare pictures")
    failure = json.loads((pictures.output / "failure.json").read_text())
    assert failure["error"] == "BadModel"
