"""The page for everybody: headings, names and captions for readers who hear it, contrast, phones, dark and paper."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from audit.report.page import render
from audit.report.public import scrub
from audit.report.wording import leaves
from tests.audit.documents import document, model, rich

STYLE = (Path(__file__).resolve().parents[2] / "audit" / "report" / "style.css").read_text(encoding="utf-8")
LEAST_CONTRAST = 4.5
ON_ANY_GROUND = ("ink", "quiet", "accent")
ON_PAPER = ("good", "bad", "open", "void", "fresh", "bound", "third", "fourth", "fifth")
ON_THEIR_OWN = ("good", "bad", "open", "void", "accent")
VOID_TAGS = {"meta", "link", "br", "img", "input", "hr", "circle", "rect", "line", "path"}


class Tree(HTMLParser):
    """Every element with its parent, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.nodes: list[dict] = []
        self.open: list[int] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.nodes.append({"tag": tag, "up": list(self.open), "text": "", **dict(attrs)})
        if tag not in VOID_TAGS:
            self.open.append(len(self.nodes) - 1)

    def handle_startendtag(self, tag, attrs):
        self.nodes.append({"tag": tag, "up": list(self.open), "text": "", **dict(attrs)})

    def handle_endtag(self, tag):
        while self.open and self.nodes[self.open.pop()]["tag"] != tag:
            pass

    def handle_data(self, data):
        for place in self.open:
            self.nodes[place]["text"] += data

    def all(self, tag):
        return [(place, node) for place, node in enumerate(self.nodes) if node["tag"] == tag]

    def inside(self, place, *tags):
        return [node for node in self.nodes if place in node["up"] and node["tag"] in tags]


@pytest.fixture(scope="module", params=["internal", "public", "plain"])
def tree(request):
    made = {"internal": rich, "public": lambda: scrub(rich()), "plain": document}[request.param]()
    return Tree(render(made))


def test_every_section_has_a_heading_that_names_it(tree):
    for place, section in tree.all("section"):
        headings = {node.get("id") for node in tree.inside(place, "h1", "h2")}
        assert section["aria-labelledby"] in headings, section.get("id")


def test_every_table_has_a_caption_and_named_headers(tree):
    for place, _ in tree.all("table"):
        caption, *more = tree.inside(place, "caption")
        assert caption["text"].strip() and not more
        headers = tree.inside(place, "th")
        assert any(node.get("scope") == "col" for node in headers), caption["text"]
        assert all(node.get("scope") and node["text"].strip() for node in headers), caption["text"]


def test_every_picture_has_words_or_is_hidden_from_readers(tree):
    for _, picture in tree.all("svg"):
        named = picture.get("role") == "img" and (picture.get("aria-label") or "").strip()
        assert named or picture.get("aria-hidden") == "true"


def test_whatever_scrolls_or_folds_is_reached_by_the_keyboard(tree):
    for place, node in enumerate(tree.nodes):
        if "scroll" in (node.get("class") or "").split() or node["tag"] == "pre":
            assert node.get("tabindex") == "0" and node.get("role") == "region" and node.get("aria-label")
        if node["tag"] == "details":
            first = next(each for each in tree.nodes[place + 1 :] if place in each["up"])
            assert first["tag"] == "summary"
    assert not [node for node in tree.nodes if "onclick" in node or int(node.get("tabindex") or 0) > 0]


def test_the_first_link_skips_to_the_verdict(tree):
    assert tree.all("a")[0][1]["href"] == "#verdict"
    assert any(node["tag"] == "main" for node in tree.nodes)


def palette(dark: bool) -> dict[str, tuple[int, ...]]:
    first, second = re.findall(r":root \{(.*?)\}", STYLE, re.S)[:2]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", first))
    colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", second)) if dark else {}
    return {name: tuple(int(each[k : k + 2], 16) for k in (1, 3, 5)) for name, each in colours.items()}


def contrast(first: tuple[int, ...], second: tuple[int, ...]) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2)."""

    def light(colour):
        parts = [each / 255 for each in colour]
        linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([light(first), light(second)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read_on_its_ground(dark):
    colours = palette(dark)
    pairs = [(text, ground) for text in ON_ANY_GROUND for ground in ("paper", "card", "soft")]
    pairs += [(text, "paper") for text in ON_PAPER] + [(text, f"{text}-soft") for text in ON_THEIR_OWN]
    found = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in found.items() if ratio < LEAST_CONTRAST} == {}


def test_contrast_is_that_of_the_standard():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


def test_paper_is_white_whatever_the_screen_is():
    assert "@media screen and (prefers-color-scheme: dark)" in STYLE
    assert "@media (prefers-color-scheme: dark)" not in STYLE
    paper = STYLE[STYLE.index("@media print") :]
    assert "color-scheme: light" in paper and "break-inside: avoid" in paper
    assert ".scroll { overflow: visible; }" in paper


def test_nested_settings_are_told_one_by_one_and_may_wrap():
    settings = {"rate": 0.1, "training": {"epochs": 15, "ema": {"decay": 0.999, "on": True}}, "none": {}, "widths": [8]}
    assert leaves(settings) == [
        ("rate", "0.100"),
        ("training.epochs", "15"),
        ("training.ema.decay", "0.999"),
        ("training.ema.on", "true"),
        ("none", "{}"),
        ("widths", "[8]"),
    ]
    page = render(document((model(settings={"training": {f"setting_{k}": k for k in range(60)}}),)))
    assert "training.setting_59 <code>59</code></span>" in page
    assert "nowrap" not in re.search(r"<dt>Settings</dt><dd>(.*?)</dd>", page, re.S)[1]


def test_deep_settings_end():
    deep: dict = {"a": 1}
    for _ in range(50):
        deep = {"b": deep}
    assert len(leaves(deep)) == 1
