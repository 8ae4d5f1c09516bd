"""The page as people meet it: clicked through in a browser, checked by axe-core, with nothing loaded from elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import pytest
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from assay.evaluation import DataFacts, Metric, Speed, Tensor
from assay.layout import RunFolder
from assay.summary import Certainty, FaithfulnessAreas, Mistake, OfChampion, PartialDependence, Passage
from assay_aws.run_store import RunStore
from publish_summary.page import page

from .conftest import ROWS, report
from .test_notice import FAILED, PASSED, RUN
from .test_page import EVIL, full

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = Path(__file__).parents[2] / ".envs" / "browser" / "axe-core" / "axe.min.js"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium (Debian and Ubuntu: apt install chromium)"),
    pytest.mark.skipif(not AXE.is_file(), reason="no axe-core: python3 tools/environment.py browser"),
]

LONG = "".join(f"a-name-without-a-space-{n}-" for n in range(12))
HOSTILE = f"{EVIL}{LONG}<img src=x onerror=\"document.title='taken'\">"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="300"><rect width="400" height="300"/></svg>'
VIEWS = [(320, "light"), (320, "dark"), (768, "light"), (1440, "light"), (1440, "dark")]


class Folder(RunStore):
    """A run's folder on disk."""

    def read(self, key: str) -> bytes | None:
        path = Path(self.bucket, key)
        return path.read_bytes() if path.is_file() else None


TEXTS = ROWS.model_copy(update={"types": {"age": "text", "hours": "numeric"}})


def written(root: Path, name: str) -> Path:
    """A run's folder with a page that has everything; each name that somebody gave is `name`."""
    folder = RunFolder("digits", RUN)
    heat_map = folder.explanation + "explanations_shap/a.jpeg"
    curve = {"curves": [{"label": name, "scores": [0.1, 0.5, 0.4]}], "shares": [0.5, 0.25, 0.25]}
    mistakes = [
        Mistake(
            id=f"{n:02} {name}",
            true=name,
            predicted=name,
            score=0.7,
            reason=f"mistake: {name}",
            heat_maps=(heat_map,) if n < 3 else (),
            attributions={name: -1.0, "other": 0.25},
            texts={name: (Passage(text=name, value=1.0, apart=False), Passage(text=name, value=-0.5, apart=True))},
            broken=n < 2,
            champion=OfChampion(predicted=name, score=0.9, heat_maps=(heat_map,), attributions={name: 1.0}),
        )
        for n in range(15)
    ]
    tensor = Tensor(name=name, shape=(None, 8, 8), dtype="float32")
    classes = tuple(f"{n} {name}" for n in range(40))
    told = report(
        explain=TEXTS,
        labels=classes,
        per_class={"recall": {one: Metric(value=n / 40) for n, one in enumerate(classes)}},
        plots=("plots/confusion.svg",),
    )
    facts = told.model.model_copy(update={"inputs": (tensor,), "outputs": (tensor,), "runtime_reason": name})
    shown = full(
        name,
        gates=(PASSED, *(FAILED.model_copy(update={"of": name, "reason": name}),) * 3),
        metrics={f"{('even', 'odd')[n % 2]} {n:02}": Metric(value=n * 7 % 20, low=0, high=30, n=5) for n in range(20)},
        mistakes=tuple(mistakes),
        dependence=(
            PartialDependence.model_validate({"feature": name, "values": [20, 30.5, 80], **curve}),
            PartialDependence.model_validate({"feature": name, "values": ["", name, "Bonn"], **curve}),
        ),
        certainty=Certainty(
            explained=40,
            half_width=0.1,
            left_out=1,
            left_out_rows=(name,),
            rank_correlations={name: 0.9},
            faithfulness=FaithfulnessAreas(explained=1, deletion=0.1, insertion=0.9, random=0.5),
        ),
        bias={name: {"DPL": Metric(value=0.1, low=0, high=0.2)}, "b": {"DPL": Metric(reason=name)}},
        model_facts=facts,
        data=DataFacts(rows=9, unreadable=1, unreadable_names=(name,), sha256="0" * 64),
        speed=Speed(per_second=1, unit="rows"),
    )
    picture = BytesIO()
    Image.new("RGB", (784, 396), "white").save(picture, "JPEG")
    for key, content in ((heat_map, picture.getvalue()), (folder.evaluation + "plots/confusion.svg", SVG.encode())):
        Path(root, key).parent.mkdir(parents=True, exist_ok=True)
        Path(root, key).write_bytes(content)
    file = Path(root, folder.summary_html)
    file.write_text(page(shown, told, Folder(str(root), folder)))
    return file


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_playwright() as playwright:
        # as root, which tests in a container are, Chromium has no sandbox
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("plain"), "plain")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("hostile"), HOSTILE)


class Visit:
    """A page that is open, and what it asked for and complained about meanwhile."""

    def __init__(self, browser: Any, file: Path, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.refused: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", lambda request: self.refused.append(f"{request.url} {request.failure}"))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.goto(file.as_uri())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.context.close()


def cells(page: Page, section: str, column: int) -> list[str]:
    """A column of a section's first table, of the rows that are seen."""
    found: list[str] = (
        page.locator(f"#{section} table.long >> nth=0")
        .locator(f"tbody tr:visible > :nth-child({column})")
        .all_inner_texts()
    )
    return found


def test_a_click_on_a_heading_sorts_by_it_and_another_turns_it_round(chromium: Any, plain: Path) -> None:
    with Visit(chromium, plain) as visit:
        heading = visit.page.get_by_role("region", name="Metrics", exact=True).get_by_role("columnheader", name="Value")
        heading.get_by_role("button").click()
        assert cells(visit.page, "metrics", 2) == sorted(cells(visit.page, "metrics", 2), key=float)
        assert heading.get_attribute("aria-sort") == "ascending"
        heading.get_by_role("button").click()
        assert cells(visit.page, "metrics", 2)[:3] == ["19", "18", "17"]
        assert heading.get_attribute("aria-sort") == "descending"


def test_a_filter_leaves_the_rows_that_hold_its_words(chromium: Any, plain: Path) -> None:
    with Visit(chromium, plain) as visit:
        visit.page.get_by_label("Filter: Metrics", exact=True).fill("5 EVEN")
        assert cells(visit.page, "metrics", 1) == [f"even {n:02}" for n in range(0, 20, 2)]
        assert "10 of 20 rows" in visit.page.locator("#metrics output").inner_text()
        visit.page.get_by_label("Filter: Metrics", exact=True).fill("")
        assert len(cells(visit.page, "metrics", 1)) == 20


def test_a_picture_enlarges_leads_on_and_closes_by_the_keyboard(chromium: Any, plain: Path) -> None:
    with Visit(chromium, plain) as visit:
        first = visit.page.locator("a.picture").first
        first.focus()
        visit.page.keyboard.press("Enter")
        dialog = visit.page.get_by_role("dialog")
        assert dialog.is_visible()
        assert dialog.locator("p").inner_text() == "Heat map of 00 plain"
        visit.page.keyboard.press("ArrowRight")
        assert dialog.locator("p").inner_text() == "The champion's heat map of 00 plain"
        assert dialog.get_by_role("link").get_attribute("href") == "explanation/explanations_shap/a.jpeg"
        visit.page.keyboard.press("Escape")
        assert not dialog.is_visible()
        assert first.evaluate("link => link === document.activeElement")
        assert visit.page.url == plain.as_uri()


def test_without_javascript_all_of_it_is_there_and_nothing_that_does_nothing(chromium: Any, plain: Path) -> None:
    with Visit(chromium, plain, java_script_enabled=False) as visit:
        assert visit.page.locator("button, input").count() == 0
        assert len(cells(visit.page, "metrics", 1)) == 20
        visit.page.get_by_text("1 more", exact=True).click()
        assert visit.page.get_by_title("14 plain", exact=True).is_visible()
        visit.page.locator("a.picture").first.click()
        visit.page.wait_for_url("**/explanation/explanations_shap/a.jpeg")


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_refused(chromium: Any, plain: Path) -> None:
    with Visit(chromium, plain) as visit:
        visit.page.evaluate("for (const image of document.images) image.loading = 'eager'")
        visit.page.wait_for_function("Array.from(document.images).every(image => !image.src || image.naturalWidth > 0)")
        assert [url for url in visit.requests if not url.startswith("data:image/")] == [plain.as_uri()]
        assert visit.complaints == []


def test_what_somebody_named_in_markup_is_shown_and_not_run(chromium: Any, hostile: Path) -> None:
    with Visit(chromium, hostile) as visit:
        title = visit.page.title()
        assert title.startswith("FAIL: digits")
        visit.page.locator("a.picture").first.click()
        assert visit.page.get_by_role("dialog").is_visible()
        assert (visit.page.title(), visit.complaints) == (title, [])
        assert visit.page.locator("script").count() == 1
        assert "<script>alert(1)</script>" in visit.page.locator("#mistakes figure").first.inner_text()
        assert [url for url in visit.requests if not url.startswith("data:image/")] == [hostile.as_uri()]


def test_the_policy_in_the_page_holds_even_where_escaping_would_fail(chromium: Any, plain: Path) -> None:
    with Visit(chromium, plain) as visit:
        visit.page.evaluate(
            "document.body.insertAdjacentHTML('beforeend', `<img src=x onerror=\"document.title='taken'\">"
            "<img src='https://example.com/spy.gif'><p style='position:fixed'>`)"
        )
        visit.page.wait_for_timeout(200)
        assert visit.page.title().startswith("FAIL")
        assert any(one.startswith("https://example.com/spy.gif") and "csp" in one for one in visit.refused)
        said = " ".join(visit.complaints)
        assert "inline event handler" in said and "img-src data:" in said and "style-src" in said


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
@pytest.mark.parametrize("names", ["plain", "hostile"])
def test_it_fits_and_axe_finds_nothing(
    chromium: Any, request: pytest.FixtureRequest, names: str, width: int, scheme: str
) -> None:
    file: Path = request.getfixturevalue(names)
    view = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, "bypass_csp": True}
    with Visit(chromium, file, **view) as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        wide = visit.page.evaluate(
            "Array.from(document.querySelectorAll('body *'), e => [e, e.getBoundingClientRect()])"
            ".filter(([e, box]) => box.right > innerWidth + 1 && !e.closest('.scroll, nav, .unseen, svg'))"
            ".map(([e]) => e.outerHTML.slice(0, 80))"
        )
        assert wide == []
        visit.page.add_script_tag(path=AXE)
        visit.page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")
        found = visit.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        assert [(one["id"], node["html"][:120]) for one in found["violations"] for node in one["nodes"][:3]] == []


def test_on_paper_nothing_is_cut_off_and_nothing_is_there_to_click(chromium: Any, plain: Path) -> None:
    with Visit(chromium, plain, viewport={"width": 794, "height": 1123}) as visit:
        visit.page.emulate_media(media="print")
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 794
        assert not visit.page.locator("nav").is_visible()
        assert not visit.page.locator(".tools").first.is_visible()
        hidden = visit.page.evaluate(
            "Array.from(document.querySelectorAll('.scroll')).filter(e => e.scrollHeight > e.clientHeight + 1).length"
        )
        assert hidden == 0
        visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert visit.page.locator("details:not([open])").count() == 0
        visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert visit.page.locator("details:not([open])").count() == 1
