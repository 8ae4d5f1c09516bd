"""`report.pdf`: the report on paper.

Written by ReportLab, which needs no browser and no system library. Of the ways measured for twelve pages it was the
fastest: 0.27 s with its import, fpdf2 0.60 s, Matplotlib 2.1 s.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Image, Paragraph, SimpleDocTemplate, Spacer, Table

from explainer.pages.content import Bars, Block, Card, Curve, Measures, Picture, Report, Section, Sign, Text
from explainer.pages.fonts import BOLD, NORMAL, Run, register, runs, shortened, width_of

INK, PALE, LINE, BARS = HexColor(0x1C1C1E), HexColor(0x6B6B70), HexColor(0xD8D8DC), HexColor(0xC4C4CA)
THIN = HexColor(0xC8C8CC)
FOR, AGAINST = HexColor(0x2166AC), HexColor(0xB2182B)

MARGIN, GUTTER = 16 * mm, 8 * mm
PADDING = 6
"""Of ReportLab's own frame."""
WIDTH, HEIGHT = A4[0] - 2 * MARGIN, A4[1] - 2 * MARGIN - 6 * mm
MOST_BYTES = 3_500_000
"""Of pictures, before their encoding as text adds a quarter: a document stays under 5 MB."""
MOST_CHARACTERS = 300
"""Of a name or a reason: no line of a table is higher than a page."""


PLAIN: list[tuple[Any, ...]] = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("RIGHTPADDING", (0, 0), (-1, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 4),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
]
"""A table without lines or room at its sides."""


def _style(name: str, size: float, **others: Any) -> ParagraphStyle:
    given: dict[str, Any] = {"fontName": NORMAL, "textColor": INK, "leading": size * 1.4, "splitLongWords": 1} | others
    return ParagraphStyle(name, fontSize=size, **given)


TITLE = _style("title", 18, fontName=BOLD, spaceAfter=8)
HEADING = _style("heading", 13, fontName=BOLD, spaceBefore=14, spaceAfter=3, keepWithNext=1)
INTRO = _style("intro", 8.5, textColor=PALE, spaceAfter=6, keepWithNext=1)
CARD = _style("card", 9.5, fontName=BOLD, keepWithNext=1)
BODY = _style("body", 8)
SMALL = _style("small", 8, textColor=PALE)
BELOW = _style("below", 8, textColor=PALE, spaceAfter=2, keepWithNext=1)
NUMBER = _style("number", 8, alignment=TA_RIGHT)
SMALL_NUMBER = _style("small number", 8, alignment=TA_RIGHT, textColor=PALE)
READ = _style("read", 8.5, leading=13, spaceAfter=3)


def pdf(report: Report) -> bytes:
    """The document: the same report, the same bytes."""
    register()
    written = io.BytesIO()
    document = SimpleDocTemplate(
        written,
        pagesize=A4,
        leftMargin=MARGIN - PADDING,
        rightMargin=MARGIN - PADDING,
        topMargin=MARGIN - PADDING,
        bottomMargin=MARGIN + 6 * mm - PADDING,
        title=report.title,
        author="",
        creator="Assay",
        invariant=1,  # no clock
    )
    story: list[Flowable] = [_paragraph(_cut(report.title), TITLE), *_facts(report.facts)]
    story += [_note(note) for note in report.notes]
    kept = _pictures_kept(report)
    for section in report.sections:
        story += _section(section, kept)
    gone = len(list(report.blocks(Picture))) - len(kept)
    if gone:
        story.append(_paragraph(f"{gone} more pictures are in report.html and beside it.", SMALL))
    if report.left_out:
        story.append(
            _paragraph(f"Not shown here: {report.left_out}. The files beside this one hold everything.", SMALL)
        )

    def foot(canvas: Any, page: Any) -> None:
        canvas.saveState()
        _draw(canvas, MARGIN, MARGIN - 2 * mm, runs(shortened(report.title, NORMAL, 7.5, WIDTH - 60)), 7.5, PALE)
        _draw(canvas, A4[0] - MARGIN, MARGIN - 2 * mm, runs(str(page.page)), 7.5, PALE, right=True)
        canvas.restoreState()

    document.build(story, onFirstPage=foot, onLaterPages=foot)
    return written.getvalue()


def _pictures_kept(report: Report) -> set[Picture]:
    """The first ones, as many as there is room for."""
    kept, room = set[Picture](), MOST_BYTES
    for picture in report.blocks(Picture):
        room -= picture.file.stat().st_size
        if room < 0:
            break
        kept.add(picture)
    return kept


def _paragraph(text: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(_markup(text, style.fontName), style)


def _markup(text: str, font: str = NORMAL) -> str:
    """A text as a paragraph takes it: what it holds stays text."""
    lines = text.splitlines() or [""]
    return "<br/>".join("".join(_in_font(run, font) for run in runs(line, font)) for line in lines)


def _in_font(run: Run, font: str) -> str:
    text = escape(run.text)
    return text if run.font == font else f'<font name="{run.font}">{text}</font>'


def _cut(text: str, most: int = MOST_CHARACTERS) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _facts(facts: Sequence[tuple[str, str]]) -> list[Flowable]:
    """Three beside each other, between two lines."""
    if not facts:
        return []
    cells: list[list[Flowable]] = [
        [_paragraph(_cut(name), SMALL), _paragraph(_cut(value), CARD)] for name, value in facts
    ]
    cells += [[]] * (-len(cells) % 3)
    rows = [cells[start : start + 3] for start in range(0, len(cells), 3)]
    lines = [("LINEABOVE", (0, 0), (-1, 0), 0.5, LINE), ("LINEBELOW", (0, -1), (-1, -1), 0.5, LINE)]
    return [Table(rows, colWidths=[WIDTH / 3] * 3, style=[*PLAIN, *lines])]


def _note(note: str) -> Flowable:
    """With a line at its side."""
    style = [*PLAIN, ("LINEBEFORE", (0, 0), (0, -1), 2, AGAINST), ("LEFTPADDING", (0, 0), (-1, -1), 8)]
    return Table([[_paragraph(_cut(note, 2000), BODY)]], colWidths=[WIDTH], style=style, spaceBefore=6)


def _section(section: Section, kept: set[Picture]) -> list[Flowable]:
    """Its cards in two columns; in one where they need room, or one of them is about as high as a page."""
    intro = "".join(_sign(piece) if isinstance(piece, Sign) else _markup(piece) for piece in section.intro)
    head: list[Flowable] = [_Mark(section.title), _paragraph(_cut(section.title), HEADING), Paragraph(intro, INTRO)]
    cards = [card for card in section.cards if all(not isinstance(one, Picture) or one in kept for one in card.blocks)]
    beside = _in_pairs(cards) if _fits_a_column(section) else None
    return [*head, *(_below_each_other(cards) if beside is None else beside)]


def _fits_a_column(section: Section) -> bool:
    pictured = any(isinstance(block, Picture) for card in section.cards for block in card.blocks)
    return len(section.cards) > 1 and (pictured or not section.wide)


def _in_pairs(cards: Sequence[Card]) -> list[Flowable] | None:
    """Two beside each other; None when one is about as high as a page, and would not be broken."""
    column = (WIDTH - GUTTER) / 2
    cells = [_card(card, column) for card in cards]
    if any(sum(part.wrap(column, HEIGHT)[1] for part in cell) > 0.8 * HEIGHT for cell in cells):
        return None
    cells += [[]] * (len(cells) % 2)
    return [
        Table([[left, [], right]], colWidths=[column, GUTTER, column], style=PLAIN)
        for left, right in zip(cells[::2], cells[1::2], strict=True)
    ]


def _below_each_other(cards: Sequence[Card]) -> list[Flowable]:
    return [part for card in cards for part in (*_card(card, WIDTH), Spacer(1, 10))]


def _sign(sign: Sign) -> str:
    colour = FOR if sign.raises else AGAINST
    if sign.text:
        return _marked(sign.text, sign.raises, 1.0)
    return f'<font color="#{colour.hexval()[2:]}">■</font>'


def _card(card: Card, width: float) -> list[Flowable]:
    parts: list[Flowable] = []
    if card.title:
        parts.append(_paragraph(_cut(card.title), CARD))
    if card.subtitle:
        parts.append(_paragraph(_cut(card.subtitle), BELOW))
    for block in card.blocks:
        parts += _block(block, width)
    return parts


def _block(block: Block, width: float) -> Iterable[Flowable]:
    match block:
        case Bars():
            return [*_caption(block.caption), *([_BarChart(block, width)] if block.bars else [])]
        case Measures():
            return [_measures(block, width)]
        case Text():
            marked = "".join(
                _markup(one.text) if one.value is None else _marked(one.text, one.value >= 0, one.strength)
                for one in block.passages
            )
            return [*_caption(block.caption), Paragraph(marked, READ)]
        case Curve():
            return [_CurveChart(block, width)]
        case Picture():
            image = Image(str(block.file))
            scale = width / image.imageWidth
            return [Image(str(block.file), width=width, height=image.imageHeight * scale)]


def _caption(text: str) -> list[Flowable]:
    return [_paragraph(_cut(text), BELOW)] if text else []


def _marked(text: str, raises: bool, strength: float) -> str:
    """Underlined, doubly where it lowers the score: told apart without colour."""
    colour = FOR if raises else AGAINST
    paper = 1 - 0.45 * strength  # mixed with white: not every printer knows transparency
    shade = Color(*(paper + (1 - paper) * part for part in colour.rgb())).hexval()[2:]
    kind = "single" if raises else "double"
    line = f'<u color="#{colour.hexval()[2:]}" kind="{kind}">'
    return "<br/>".join(
        f'<font backColor="#{shade}">{line}{_markup(one)}</u></font>' for one in text.splitlines() or [""]
    )


def _measures(block: Measures, width: float) -> Table:
    head = [_paragraph("metric", SMALL), _paragraph("value", SMALL_NUMBER), _paragraph("95 % interval", SMALL_NUMBER)]
    rows: list[list[Any]] = [head]
    style = [
        *PLAIN,
        ("TOPPADDING", (0, 0), (-1, -1), 1),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
        ("LINEBELOW", (0, 0), (-1, -1), 0.3, LINE),
    ]
    for place, one in enumerate(block.rows, start=1):
        if one.value is None:
            rows.append([_paragraph(_cut(one.name), BODY), _paragraph(_cut(one.reason), SMALL_NUMBER), ""])
            style.append(("SPAN", (1, place), (2, place)))
        else:
            rows.append(
                [
                    _paragraph(_cut(one.name), BODY),
                    _paragraph(one.written, NUMBER),
                    _paragraph(one.interval, SMALL_NUMBER),
                ]
            )
    return Table(rows, colWidths=[width * 0.5, width * 0.2, width * 0.3], style=style, repeatRows=1)


class _Mark(Flowable):
    """The place of a section, which a reader's outline shows."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.keepWithNext = 1
        self._title = title

    def wrap(self, *_: float) -> tuple[float, float]:
        return 0, 0

    def draw(self) -> None:
        self.canv.bookmarkPage(self._title)
        self.canv.addOutlineEntry(self._title, self._title)


class _BarChart(Flowable):
    """Names, bars and numbers, a line each; drawn at once, as a table of paragraphs takes ten times as long."""

    SIZE, STEP = 8, 13

    def __init__(self, block: Bars, width: float) -> None:
        super().__init__()
        self.block = block
        self.width, self.height = width, self.STEP * len(block.bars) + 4

    def wrap(self, *_: float) -> tuple[float, float]:
        return self.width, self.height

    def draw(self) -> None:
        written = self.block.written
        numbers = max(width_of(runs(one), self.SIZE) for one in written) + 6
        names = max(width_of(runs(bar.name[:MOST_CHARACTERS]), self.SIZE) for bar in self.block.bars) + 6
        names = min(names, self.width * 0.75 - numbers)  # the bars have a quarter at least
        room = self.width - names - numbers
        y = self.height
        for bar, number in zip(self.block.bars, written, strict=True):
            y -= self.STEP
            name = shortened(bar.name, NORMAL, self.SIZE, names - 6)
            _draw(self.canv, 0, y + 2.5, runs(name), self.SIZE, INK)
            _draw(self.canv, self.width, y + 2.5, runs(number), self.SIZE, PALE, right=True)
            end = abs(bar.value) / self.block.longest * room
            self.canv.setFillColor(AGAINST if bar.value < 0 else FOR)
            self.canv.rect(names, y + 1, max(end, 0.6), 8, fill=1, stroke=0)
            if bar.half_width:
                reach = bar.half_width / self.block.longest * room
                self._whisker(names + max(end - reach, 0), names + end + reach, y + 5)

    def _whisker(self, begin: float, end: float, y: float) -> None:
        self.canv.setStrokeColor(INK)
        self.canv.setLineWidth(0.6)
        for x0, y0, x1, y1 in ((begin, y, end, y), (begin, y - 2, begin, y + 2), (end, y - 2, end, y + 2)):
            self.canv.line(x0, y0, x1, y1)


class _CurveChart(Flowable):
    """A curve, below it how the data is spread, and what the ends of the axis are."""

    PLOT, SPREAD, ENDS = 90, 20, 12

    def __init__(self, curve: Curve, width: float) -> None:
        super().__init__()
        self.curve, self.width = curve, width
        self.floor = self.ENDS + (self.SPREAD + 4 if curve.shares else 2)
        self.height = self.floor + self.PLOT + 6

    def wrap(self, *_: float) -> tuple[float, float]:
        return self.width, self.height

    def draw(self) -> None:
        curve, canvas = self.curve, self.canv
        canvas.setFillColor(BARS)
        step = self.width / max(len(curve.shares), 1)
        for place, share in enumerate(curve.shares):
            canvas.rect(place * step, self.ENDS, max(step - 1, 0.5), self.SPREAD * share, fill=1, stroke=0)
        canvas.setLineJoin(1)
        self._line((0, 1), (0, 0), LINE, 0.5)
        for line in curve.own:
            self._line(curve.x, line, THIN, 0.4)
        if curve.by_chance:
            canvas.setDash(4, 3)
            self._line(curve.x, curve.by_chance, PALE, 0.8)
            canvas.setDash()
        self._line(curve.x, curve.mean, FOR, 1.6)
        half = self.width / 2 - 4
        _draw(canvas, 0, 2, runs(shortened(curve.first, NORMAL, 7.5, half)), 7.5, PALE)
        _draw(canvas, self.width, 2, runs(shortened(curve.last, NORMAL, 7.5, half)), 7.5, PALE, right=True)

    def _line(self, x: Sequence[float], y: Sequence[float], colour: Color, width: float) -> None:
        points = [(a * self.width, self.floor + b * self.PLOT) for a, b in zip(x, y, strict=True)]
        if len(points) == 1:  # which could not be seen
            points = [(0.0, points[0][1]), (self.width, points[0][1])]
        path = self.canv.beginPath()
        path.moveTo(*points[0])
        for point in points[1:]:
            path.lineTo(*point)
        self.canv.setStrokeColor(colour)
        self.canv.setLineWidth(width)
        self.canv.drawPath(path)


def _draw(
    canvas: Any, x: float, y: float, text: Sequence[Run], size: float, colour: Color, *, right: bool = False
) -> None:
    """A line of text, from its left end, or from its right."""
    x -= width_of(text, size) if right else 0
    canvas.setFillColor(colour)
    for run in text:
        canvas.setFont(run.font, size)
        canvas.drawString(x, y, run.text)
        x += width_of([run], size)
