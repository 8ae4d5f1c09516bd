"""The report's three formats: they say the same, whatever they have to say."""

from __future__ import annotations

import ast
import html
import io
import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pypdf
import pytest
from PIL import Image

from explainer.pages.content import (
    Bar,
    Bars,
    Card,
    Curve,
    Measure,
    Measures,
    Picture,
    Reading,
    Report,
    Section,
    Sign,
    Text,
    largest,
    left_out,
)
from explainer.pages.document import pdf
from explainer.pages.fonts import BOLD, CHINESE, JAPANESE, KOREAN, MISSING, NORMAL, Run, runs, shortened, width_of
from explainer.pages.notebook import notebook
from explainer.pages.page import html as page
from explainer.text.highlight import highlighted

HOSTILE = (
    "<script>alert(1)</script>",
    "</td></table></svg><img src=x onerror=alert(1)>",
    "$x$ and \\(y\\) cost $5",
    "**bold** _it_ `code` [link](http://x.example) | ~~gone~~ # head",
    "{{ 7 * 7 }} {% raw %}",
    "&lt;b&gt; &amp; ]]> \"quoted\" 'too'",
    "line\n\n# not a heading",
    "nul \x00 and \u202e turned",
    "漢字 カナ 한국어 Ж Ω é 😀",
    "x" * 3900,
)


def report(hostile: str, folder: Path, *pictures: Path) -> Report:
    """One of every kind of content, the same text wherever text can stand."""
    curve = Curve(hostile, [0.25, 0.75], [0.0, 1.0], hostile, hostile, [[0.5, 0.5]], [1.0, 0.0], [1.0, 0.2])
    blocks = (
        Bars((Bar(hostile, 0.5, 0.1), Bar("other", -0.25)), signed=True, caption=hostile),
        Measures((Measure(hostile, 0.1, 0.0, 0.2), Measure("CI", None, reason=hostile))),
        Text(highlighted(hostile, [((0, len(hostile)), -1.0)]), caption=hostile),
        curve,
    )
    shown = tuple(Card("", hostile, (Picture(picture, hostile),)) for picture in pictures)
    return Report(
        title=hostile,
        facts=((hostile, hostile),),
        notes=(hostile,),
        sections=(
            Section(
                hostile,
                (Sign(raises=True), hostile, Sign(raises=False, text=hostile)),
                (Card(hostile, hostile, blocks), *shown),
                readings=(Reading("analysis.json", "pd.Series(analysis)"), Reading("not there.csv", "1 / 0")),
            ),
        ),
    )


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "explanations_shap/shap_it's_a.jpeg"
    file.parent.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (240, 480, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file)
    return file


@pytest.mark.parametrize("hostile", HOSTILE)
def test_text_stays_text_in_the_page(hostile: str, tmp_path: Path, picture: Path) -> None:
    made, harmless = page(report(hostile, tmp_path, picture)), page(report("harmless", tmp_path, picture))
    assert tags(made) == tags(harmless)
    assert hostile in html.unescape(made).replace("&#0;", "\x00")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_text_stays_text_in_the_notebook(hostile: str, tmp_path: Path, picture: Path) -> None:
    made, harmless = cells(report(hostile, tmp_path, picture)), cells(report("harmless", tmp_path, picture))
    assert [cell["cell_type"] for cell in made] == [cell["cell_type"] for cell in harmless]
    for cell, same in zip(made, harmless, strict=True):
        if cell["cell_type"] == "code":
            assert cell["source"] == same["source"]
            continue
        # an element around each dollar sign, and a line for each line of a text, are all that is added
        added = {"<span>", "</span>", "<br>"}
        assert set(tags(cell["source"])) - added == set(tags(same["source"])) - added
        plain = re.sub(r"<[^>]*>", "", cell["source"])
        assert "$" not in plain
        assert not re.search(r"\*\*bold|_it_|`code|\]\(http|\\\(|http://|~~|\n# not", plain)
    assert " ".join(hostile.split()) in html.unescape(re.sub("</?span>", "", made[0]["source"])) or "\x00" in hostile


@pytest.mark.parametrize("hostile", HOSTILE)
def test_any_text_can_be_printed(hostile: str, tmp_path: Path, picture: Path) -> None:
    assert pdf(report(hostile, tmp_path, picture)).startswith(b"%PDF-")


def test_the_notebook_is_one_by_jupyters_own_schema(tmp_path: Path, picture: Path) -> None:
    made = notebook(report("fine", tmp_path, picture), tmp_path)
    nbformat.validate(json.loads(made), relax_add_props=False)
    assert (json.loads(made)["nbformat"], json.loads(made)["nbformat_minor"]) == (4, 5)


def test_a_notebooks_pictures_are_inside_it_and_shown_by_code_that_finds_them(tmp_path: Path, picture: Path) -> None:
    (cell,) = (cell for cell in cells(report("fine", tmp_path, picture)) if cell.get("outputs"))
    assert 'Image("explanations_shap/shap_it\'s_a.jpeg")' in cell["source"]
    (output,) = cell["outputs"]
    assert set(output["data"]) == {"image/jpeg", "text/plain"}


def test_a_notebook_reads_only_files_that_are_there(tmp_path: Path) -> None:
    assert "1 / 0" not in notebook(report("fine", tmp_path), tmp_path)
    (tmp_path / "not there.csv").touch()
    assert "1 / 0" in notebook(report("fine", tmp_path), tmp_path)


def test_the_same_report_is_the_same_document_whenever_it_is_printed(
    tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pdf(report("fine", tmp_path, picture))
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert pdf(report("fine", tmp_path, picture)) == first


def test_a_new_process_prints_the_same_document() -> None:
    program = (
        "import sys, hashlib\n"
        "from explainer.pages.content import *\n"
        "from explainer.pages.document import pdf\n"
        "bars = Bars((Bar('Ω 漢', 1.0), Bar('b', -2.0)), True)\n"
        "section = Section('s', ('i',), (Card('c', 'd', (bars,)),))\n"
        "print(hashlib.sha256(pdf(Report('t', (), (), (section,)))).hexdigest())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}
        ).stdout
        for _ in range(2)
    }
    assert len(told) == 1


def test_two_hundred_pictures_print_in_time_and_in_five_megabytes(tmp_path: Path, picture: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (400, 800, 3), dtype=np.uint8)
    files = [tmp_path / f"explanations_shap/{place}.jpeg" for place in range(200)]
    Image.fromarray(noise).save(files[0], quality=60)
    for file in files[1:]:
        file.write_bytes(files[0].read_bytes() + file.name.encode())  # none is another's copy
    began = time.process_time()
    made = pdf(report("many", tmp_path, *files))
    assert time.process_time() - began < 3
    assert len(made) < 5_000_000
    assert 0 < made.count(b"/Subtype /Image") < 200
    assert "more pictures are in report.html" in printed(made)


def test_a_document_says_what_the_page_says(tmp_path: Path) -> None:
    bars = Bars((Bar("capital_gain", 0.614, 0.0006), Bar("age", -0.02)), signed=True)
    measures = Measures((Measure("Class Imbalance (CI)", 0.398, 0.39, 0.41), Measure("KS", None, reason="one class")))
    said = Report(
        "Adult",
        (("Rows", "1,047"),),
        ("pdp: failed",),
        (Section("What moved", ("From the expected value",), (Card("row 7", "0.3 → 0.9", (bars, measures)),)),),
        "3 more labels",
    )
    facts = ["Adult", "1,047", "pdp: failed", "What moved", "row 7", "0.3 → 0.9", "capital_gain", "+0.6140 ± 0.0006"]
    facts += ["-0.0200", "Class Imbalance (CI)", "+0.398", "+0.39 to +0.41", "one class", "3 more labels"]
    shown = html.unescape(page(said)), html.unescape(notebook(said, tmp_path)), printed(pdf(said))
    for text in shown:
        assert [fact for fact in facts if fact.replace(" ", "") not in text.replace(" ", "")] == []


@pytest.mark.parametrize(
    ("values", "half_widths", "written"),
    [
        ([0.614, -0.0641, 0.002], None, ["+0.614", "-0.064", "+0.002"]),
        ([0.614, -0.0641], [0.0006, 0.0], ["+0.6140 ± 0.0006", "-0.0641"]),
        ([12345.6, -7.0], None, ["+12346", "-7"]),
        ([1.5e-7, -2e-8], [1e-8, np.nan], ["+1.5e-07 ± 1e-08", "-2e-08"]),
        ([3e9], None, ["+3e+09"]),
        ([0.0], None, ["+0.00"]),
        ([1.0, 0.5], [1e-15, 1e-15], ["+1.00", "+0.50"]),
    ],
)
def test_numbers_that_compare_have_the_same_decimals(
    values: list[float], half_widths: list[float] | None, written: list[str]
) -> None:
    names = [str(place) for place in range(len(values))]
    bars = largest(names, values, 20, None if half_widths is None else np.array(half_widths))
    assert Bars(bars, signed=True).written == written


def test_the_largest_come_first_and_no_more_than_are_shown() -> None:
    assert [bar.name for bar in largest(["a", "b", "c", "d"], [0.1, -3.0, 2.0, -0.1], 3)] == ["b", "c", "a"]
    assert left_out((2, "label"), (0, "feature"), (-3, "picture"), (1, "row")) == "2 more labels and 1 more row"
    assert left_out((1035, "row")) == "1,035 more rows"


def test_each_sign_is_printed_in_a_font_that_has_it() -> None:
    assert runs("Ωμέγα Ж é") == [Run("Ωμέγα Ж é", NORMAL)]
    assert runs("a 漢字", BOLD) == [Run("a ", BOLD), Run("漢字", CHINESE)]
    assert runs("漢字カナ") == [Run("漢字カナ", JAPANESE)]
    assert runs("한국") == [Run("한국", KOREAN)]
    assert runs("𓀀") == [Run(MISSING, NORMAL)]
    assert runs("a\u202eb\x00") == [Run("a b ", NORMAL)]


def test_a_name_is_cut_where_the_room_ends() -> None:
    name = "marital_status = Married-civ-spouse"
    assert shortened(name, NORMAL, 8, 500) == name
    cut = shortened(name, NORMAL, 8, 60)
    assert cut.endswith("…")
    assert name.startswith(cut[:-1])
    assert 50 < width_of(runs(cut), 8) <= 60


def test_a_card_higher_than_a_page_is_printed_on_several() -> None:
    long = Text(highlighted("word " * 790, []))
    many = Bars(tuple(Bar(f"f{place}", 1.0) for place in range(20)), signed=False)
    card = Card("row 1", "", (long, many, many, many))
    made = pdf(Report("t", (), (), (Section("s", ("i",), (card, card)),)))
    assert made.count(b"/Type /Page\n") > 2


def test_nothing_is_said_of_nothing(tmp_path: Path) -> None:
    empty = Report("Analysis Report", (), (), ())
    assert "Analysis Report" in page(empty)
    assert "Analysis Report" in printed(pdf(empty))
    assert len(json.loads(notebook(empty, tmp_path))["cells"]) == 2
    assert pdf(replace(empty, sections=(Section("Empty", ("nothing",), (Card("a", "no values", ()),)),)))


def cells(said: Report) -> list[dict[str, Any]]:
    folder = next((picture.file.parent.parent for picture in said.blocks(Picture)), Path())
    found: list[dict[str, Any]] = json.loads(notebook(said, folder))["cells"]
    return found


def tags(text: str) -> list[str]:
    """The elements, with the names of their attributes."""
    return [re.sub(r'="[^"]*"', "", tag) for tag in re.findall(r"</?[a-z][^>]*?>", re.sub(r'="[^"]*"', '=""', text))]


def printed(document: bytes) -> str:
    """What a reader of the document can search for."""
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(document)).pages)


def ran(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the notebook's cells leave when they are run beside the files, but for those that show pictures."""
    monkeypatch.chdir(folder)
    known: dict[str, Any] = {}
    for cell in json.loads((folder / "report.ipynb").read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code" and "IPython" not in cell["source"]:
            *statements, last = ast.parse(cell["source"]).body
            exec(compile(ast.Module(statements, []), "cell", "exec"), known)
            if isinstance(last, ast.Expr):
                known.setdefault("shown", []).append(eval(compile(ast.Expression(last.value), "cell", "eval"), known))
            else:
                exec(compile(ast.Module([last], []), "cell", "exec"), known)
    return known


def test_a_notebooks_code_reads_the_files_of_a_job_on_rows(
    job: Any, give_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas")
    rows = [f"{age},{'fm'[age % 2]},{'low' if age < 40 else 'high'}" for age in range(20, 60)]
    (job.data / "people.csv").write_text("\n".join(rows) + "\n")
    give_model(
        lambda inputs: np.asarray((inputs["age"] / 100 + 0.2 * (inputs["sex"] == "m"))[:, None]),
        age="float32",
        sex="string",
    )
    asked = {
        "dataset_type": "text/csv",
        "headers": ["age", "sex", "income"],
        "label": "income",
        "label_values_or_threshold": ["high"],
        "facet": [{"name_or_index": "sex", "value_or_threshold": ["f"]}],
        "predictor": {"model_name": "people"},
        "methods": {
            "shap": {"baseline": [[40, "f"]], "save_local_shap_values": True},
            "pdp": {"features": ["age", "sex"], "grid_resolution": 5},
            "pre_training_bias": {"methods": "all"},
            "post_training_bias": {"methods": "all"},
        },
    }
    assert job.run(asked) == 0, job.message
    names = {path.name for path in job.output.iterdir() if path.name.startswith("report")}
    assert names == {"report.html", "report.ipynb", "report.pdf"}
    known = ran(job.output, monkeypatch)
    values, attributions, *_, dependence, before, after = known["shown"]
    assert values.loc["age", "income"] == pytest.approx(known["attributions"]["age_income"].abs().mean())
    assert len(attributions) == 5
    assert set(dependence.index.get_level_values("feature")) == {"age", "sex"}
    assert before.set_index("name").loc["CI", "value"] == 0.0
    assert {"DPPL", "FT"} < set(after["name"])
    assert set(after["facet"]) == {"sex = f"}
    # in all three formats a row's features are beside their values
    shown = (job.output / "report.html").read_text(), printed((job.output / "report.pdf").read_bytes())
    assert all("age = 20" in text and "sex = f" in text for text in shown)


def test_a_notebooks_code_reads_the_files_of_a_job_on_texts(
    job: Any, give_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas")
    (job.data / "data.jsonl").write_text('{"features": ["good and bad"]}\n{"features": ["good"]}\n')
    give_model(lambda texts: np.array([[float("good" in one)] for one in texts.tolist()]), dtype="string")
    asked = {
        "dataset_type": "application/jsonlines",
        "headers": ["review"],
        "features": "features",
        "predictor": {"model_name": "reviews"},
        "methods": {
            "shap": {
                "baseline": [[""]],
                "text_config": {"granularity": "token", "language": "en"},
                "save_local_shap_values": True,
            }
        },
    }
    assert job.run(asked) == 0, job.message
    _, tokens, units, estimates = ran(job.output, monkeypatch)["shown"]
    assert tokens["label0", "review", "good"] == 1.0
    assert units["description.partial_text"].tolist() == ["good", "and", "bad"]
    assert estimates["prediction_label0"].tolist() == [1.0, 1.0]


def test_all_formats_show_the_pictures_of_a_job(job: Any, give_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(job.data / "it's <b> & 4.png")
    give_model(lambda batch: batch[:, :16, :16].mean(axis=(1, 2, 3))[:, None] * [1.0, -1.0], 32, 32, 3)
    asked = {
        "dataset_type": "application/x-image",
        "predictor": {"model_name": "corner", "label_headers": ["bright", "dark"]},
        "methods": {
            "shap": {
                "baseline": [[128]],
                "num_samples": 30,
                "image_config": {"model_type": "IMAGE_CLASSIFICATION", "num_segments": 4},
            }
        },
    }
    assert job.run(asked) == 0, job.message
    (heat_map,) = job.output.glob("explanations_shap/*.jpeg")
    said = "it's <b> & 4.png: bright"
    assert said in html.unescape((job.output / "report.html").read_text())
    document = (job.output / "report.pdf").read_bytes()
    assert said in printed(document)
    assert document.count(b"/Subtype /Image") == 1
    made = json.loads((job.output / "report.ipynb").read_text("utf-8"))
    nbformat.validate(made)
    (shown,) = (cell for cell in made["cells"] if cell.get("outputs"))
    assert f"explanations_shap/{heat_map.name}" in shown["source"]
    curves, pictures = ran(job.output, monkeypatch)["shown"]
    assert list(curves) == ["deletion", "insertion", "random"]
    assert pictures["image"].tolist() == ["it's <b> & 4.png"]
