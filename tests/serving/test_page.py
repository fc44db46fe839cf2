"""The page at `/`: what it weighs, what it asks for, and, where a browser is found, that it works.

A stand-in answers as the server would, under a path of its own and under the same CSP.
What it answers is written into the picture, after the end of the PNG, or into the address:
`want:unknown`, `want:413`, …
"""

import base64
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache, partial
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

PAGE = Path(__file__).parents[2] / "src/discern/serving/page"
FILES = sorted(PAGE.iterdir())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
ROOT = "/models/clothes/"  # as behind a proxy
KEY = "s3cret"

LABELS = ["dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt"]
LABELS += ["t-shirt"]
MODEL: dict[str, Any] = {
    "name": "clothes",
    "version": "3",
    "labels": LABELS,
    "task": "classification",
    "backbone": "mobilenetv2_100",
    "mode": "frozen",
    "created": "2026-11-20T10:00:00+00:00",
    "metrics": {
        "split": "validation",
        "n": 341,
        "accuracy": 0.877,
        "low": 0.838,
        "high": 0.908,
        "calibration_error": 0.043,
    },
    "examples": [f"model/files/reference/{k:03d}.jpg" for k in range(4)],
    "report": "model/files/report.html",
    "unknown": True,
    "set": True,
    "explain": True,
    "fetch": True,
    "key": False,
    "limits": {"bytes": 33554432, "pixels": 50000000, "pictures": 32},
}


# --- what holds without a browser ---


class Markup(HTMLParser):
    """What tests ask of the HTML: ids, attributes by tag, and text inside style and script."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.inline = ""
        self._in = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in in ("script", "style"):
            self.inline += data.strip()


@pytest.fixture(scope="module")
def markup() -> Markup:
    parser = Markup()
    parser.feed((PAGE / "index.html").read_text("utf-8"))
    return parser


def test_weighs_less_than_100_kilobytes() -> None:
    assert sum(path.stat().st_size for path in FILES) < 100_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_asks_nothing_of_the_outside(path: Path) -> None:
    text = path.read_text("utf-8")
    # The name of a file format, and the example in the snippets.
    for known in ('xmlns="http://www.w3.org/2000/svg"', '"https://example.com/picture.jpg"'):
        text = text.replace(known, "")
    assert not re.search(r"https?://\w|[\"']//", text)
    if path.suffix == ".css":
        assert not re.search(r"@import|url\(", text)


def test_nothing_is_inline(markup: Markup) -> None:
    names = {name for _, name, _ in markup.attributes}
    assert not markup.inline
    assert "style" not in names
    assert not [name for name in names if name.startswith("on")]
    scripts = "".join(path.read_text("utf-8") for path in SCRIPTS)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(|new Function", scripts)


def test_nothing_is_stored() -> None:
    scripts = "".join(path.read_text("utf-8") for path in SCRIPTS)
    assert not re.search(
        r"localStorage|sessionStorage|indexedDB|document\.cookie|caches\.", scripts
    )


def test_every_id_is_there_once(markup: Markup) -> None:
    assert len(set(markup.ids)) == len(markup.ids)
    scripts = "".join(path.read_text("utf-8") for path in SCRIPTS)
    used = set(re.findall(r"(?:byId|getElementById|once|listenToInput)\(\"([^\"]+)", scripts))
    used |= set(re.findall(r"[\"'`]#([a-z-]+)", scripts))
    assert len(used) > 40
    assert used <= set(markup.ids)
    for tag, name, value in markup.attributes:
        if name in ("for", "aria-labelledby", "aria-describedby", "aria-controls"):
            assert set(value.split()) <= set(markup.ids), (tag, name, value)
        if name == "href" and value.startswith("#"):
            assert value[1:] in markup.ids


def test_every_part_of_a_card_is_there(markup: Markup) -> None:
    parts = {value for _, name, value in markup.attributes if name == "data-part"}
    used = set(re.findall(r'part\("([a-z-]+)"\)', (PAGE / "card.js").read_text("utf-8")))
    assert used == parts


def test_addresses_are_relative_and_lead_somewhere(markup: Markup) -> None:
    linked = [value for _, name, value in markup.attributes if name in ("src", "href")]
    files = [value for value in linked if not value.startswith("#")]
    assert all((PAGE.parent / value).is_file() for value in files)
    for path in SCRIPTS:
        for name in re.findall(r'^import .* from "(.+?)"', path.read_text("utf-8"), re.MULTILINE):
            assert name.startswith("./")
            assert (PAGE / name).is_file()
    loaded = {Path(value).name for value in files if value.endswith(".js")}
    assert loaded == {path.name for path in SCRIPTS}


def test_no_emoji() -> None:
    for path in FILES:
        assert not re.search("[\U0001f000-\U0001faff\u2600-\u27bf]", path.read_text("utf-8"))


# --- a stand-in for the server ---


@cache
def png(want: str = "dress", size: tuple[int, int] = (120, 160)) -> bytes:
    """A picture that tells the stand-in what to answer."""
    file = BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(file, "PNG")
    return file.getvalue() + f" want:{want} ".encode()


def heatmap() -> str:
    file = BytesIO()
    Image.new("RGBA", (12, 16), (220, 40, 20, 120)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def scores(label: str, probability: float, labels: list[str]) -> dict[str, float]:
    rest = [name for name in labels if name != label]
    weights = [0.6 * 0.4**k + 1e-3 for k in range(len(rest))]
    shared = {
        name: (1 - probability) * w / sum(weights) for name, w in zip(rest, weights, strict=True)
    }
    return {label: probability} | shared


class StandIn(ThreadingHTTPServer):
    """Answers as `discern serve` does. `model` and `starting` may be set by a test."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.model: dict[str, Any] = json.loads(json.dumps(MODEL))
        self.files: dict[str, bytes] = {}
        self.starting = 0  # so many requests for the model are answered with 503
        self.open = threading.Event()  # `want:held` waits for it
        self.bodies: list[bytes] = []
        self.queries: list[str] = []
        self.agents: list[str] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """A browser may leave while it is answered."""
        if not isinstance(sys.exception(), ConnectionError):
            raise

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{ROOT}"

    def answer(self, want: str, explain: bool) -> dict[str, Any]:
        label = want if want in self.model["labels"] else self.model["labels"][0]
        probability = 0.41 if want in ("unknown", "set", "nothing-fits") else 0.93
        sets = {"set": ["dress", "skirt", "longsleeve"], "nothing-fits": []}
        return {
            "label": label,
            "probability": probability,
            "unknown": want == "unknown",
            "set": sets.get(want, [label]) if self.model["set"] else None,
            "scores": scores(label, probability, self.model["labels"]),
            "heatmap": heatmap() if explain and want != "no-heat" else None,
            "model": {"name": "clothes", "version": "3"},
        }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one write, or each answer waits 40 ms for an ACK
    disable_nagle_algorithm = True
    server: StandIn

    def log_message(self, *args: object) -> None:
        """A test's output is its own."""

    def reply(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", CSP)
        self.send_header("Permissions-Policy", "camera=(self)")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def reply_json(self, document: object) -> None:
        self.reply(200, json.dumps(document).encode(), "application/json")

    def problem(self, status: int, **headers: str) -> None:
        detail = f"In the server's words: {status}."
        document = {"type": "about:blank", "title": str(status), "status": status}
        document |= {"detail": detail, "request_id": "r-42"}
        kind = "application/problem+json"
        self.reply(status, json.dumps(document).encode(), kind, **headers)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if not path.startswith(ROOT):
            return self.problem(404)
        name = path.removeprefix(ROOT)
        if name == "model":
            return self.get_model()
        if name.startswith("model/files/") and not self.let_in():
            return self.problem(401)
        if name in self.server.files:
            return self.reply(200, self.server.files[name], "image/jpeg")
        if name.startswith("model/files/reference/"):
            return self.reply(200, png("hat"), "image/png")
        if name == MODEL["report"]:
            return self.reply(200, b"the report", "text/html")
        file = PAGE.parent / (name or "page/index.html")
        if not file.is_file():
            return self.problem(404)
        return self.reply(200, file.read_bytes(), TYPES[file.suffix])

    def let_in(self) -> bool:
        return not self.server.model["key"] or self.headers["X-API-Key"] == KEY

    def get_model(self) -> None:
        if self.server.starting:
            self.server.starting -= 1
            return self.problem(503, Retry_After="0")
        return self.reply_json(self.server.model)

    def do_POST(self) -> None:
        server = self.server
        with server.lock:
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            self.predict()
        finally:
            with server.lock:
                server.at_once -= 1

    def predict(self) -> None:
        server, parts = self.server, urlsplit(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with server.lock:
            server.bodies.append(body)
            server.queries.append(parts.query)
            server.agents.append(self.headers["User-Agent"])
            tries = server.bodies.count(body)
        if parts.path != ROOT + "predict":
            return self.problem(404)
        if not self.let_in():
            return self.problem(401)
        match = re.search(rb"want:([\w-]+)", body)
        want = match[1].decode() if match else "dress"
        if want == "held":
            server.open.wait(10)
        if want == "gone":
            self.close_connection = True
            return None
        if want == "html":
            return self.reply(502, b"<h1>Bad gateway</h1>", "text/html")
        if want == "busy-once" and tries == 1:
            return self.problem(429, Retry_After="1")
        if want == "busy-long":
            return self.problem(503, Retry_After="300")
        if want in ("429", "503"):
            return self.problem(int(want), Retry_After="0")
        if want.isdigit():
            return self.problem(int(want))
        if want == "heat-fails" and "explain" in parts.query:
            return self.problem(504)
        return self.reply_json(server.answer(want, "explain=1" in parts.query))


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        thread = threading.Thread(target=partial(stand_in.serve_forever, poll_interval=0.01))
        thread.start()
        yield stand_in
        stand_in.open.set()
        stand_in.shutdown()
        thread.join()


# --- in a browser ---

ANSWERED = "[data-phase=answered]"


Visit = Callable[..., Any]


class Tab:
    """A page of a context of its own, and what it complained of."""

    def __init__(self, browser: Any, **options: Any) -> None:
        permissions = ["camera", "clipboard-read", "clipboard-write"]
        self.context = browser.new_context(permissions=permissions, **options)
        self.context.set_default_timeout(10_000)
        self.page = self.context.new_page()
        self.home = ""
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda line: self.complaints.append(line.text))
        self.page.on("request", lambda request: self.heard(request.url))

    def heard(self, url: str) -> None:
        if not url.startswith((self.home, "blob:", "data:", "about:")):
            self.complaints.append(f"asks the outside: {url}")

    def assert_content(self) -> None:
        # Chromium writes a line of its own for each answer of 400 and above.
        assert not [line for line in self.complaints if "Failed to load resource" not in line]


@pytest.fixture(scope="module")
def desktop(browser: Any) -> Tab:
    """One for all tests: the page keeps nothing, so opening it again is a fresh start."""
    return Tab(browser)


@pytest.fixture
def visit(browser: Any, desktop: Tab, server: StandIn) -> Iterator[Visit]:
    """`visit(width, dark)` opens the page; a script's error or a refusal by the CSP fails."""
    tabs = [desktop]
    desktop.complaints.clear()

    def open_page(width: int = 1280, dark: bool = False, phone: bool = False) -> Any:
        if phone:
            tabs.append(Tab(browser, has_touch=True, is_mobile=True))
        tab = tabs[-1]
        tab.home = server.url
        tab.page.set_viewport_size({"width": width, "height": 800})
        scheme = "dark" if dark else "light"
        tab.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        tab.page.goto(server.url)
        return tab.page

    yield open_page
    for tab in tabs:
        tab.page.goto("about:blank")
        tab.assert_content()
    for tab in tabs[1:]:
        tab.context.close()


def file(name: str, want: str = "dress", kind: str = "image/png") -> dict[str, Any]:
    return {"name": name, "mimeType": kind, "buffer": png(want)}


def choose(page: Any, *files: dict[str, Any]) -> None:
    page.set_input_files("#files", list(files))


def card(page: Any, name: str) -> Any:
    return page.locator(".card").filter(has=page.locator("h3", has_text=re.compile(f"^{name}$")))


def wait_for_cards(page: Any, phase: str, n: int) -> None:
    page.locator(f"[data-phase={phase}]").nth(n - 1).wait_for()


def text(locator: Any) -> str:
    """What is seen, with every kind of space as one plain space."""
    return " ".join(locator.inner_text().split())


def give_bytes(page: Any, event: str, want: str, name: str) -> None:
    """Drop or paste a picture, as the browser would say it."""
    page.evaluate(
        """async ([event, data, name]) => {
          const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], name, {type: "image/png"}));
          const options = {bubbles: true, cancelable: true};
          const pasting = {...options, clipboardData: transfer};
          const dragging = {...options, dataTransfer: transfer};
          const events = event === "paste"
            ? [new ClipboardEvent("paste", pasting)]
            : ["dragenter", "dragover", "drop"].map(kind => new DragEvent(kind, dragging));
          events.forEach(made => document.body.dispatchEvent(made));
        }""",
        [event, base64.b64encode(png(want)).decode(), name],
    )


def give_text(page: Any, event: str, words: str, target: str = "body") -> None:
    page.evaluate(
        """([event, words, target]) => {
          const transfer = new DataTransfer();
          transfer.setData(event === "paste" ? "text/plain" : "text/uri-list", words);
          const options = {bubbles: true, cancelable: true};
          const made = event === "paste"
            ? new ClipboardEvent("paste", {...options, clipboardData: transfer})
            : new DragEvent("drop", {...options, dataTransfer: transfer});
          document.querySelector(target).dispatchEvent(made);
        }""",
        [event, words, target],
    )


def assert_accessible(page: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # axe-playwright-python puts its script in through the DevTools, which no CSP holds up.
    found = axe.Axe().run(page).response["violations"]
    assert not [(v["id"], [node["html"] for node in v["nodes"]]) for v in found]


def test_says_what_the_model_is_and_how_good(visit: Visit) -> None:
    page = visit()
    page.wait_for_selector("#about-body:visible")
    assert page.title() == "clothes – discern"
    assert text(page.locator(".brand")) == "clothes version 3"
    about = text(page.locator("#about"))
    for words in (
        "87.7%",
        "right on 341 pictures of the validation split",
        "95 % interval 83.8 to 90.8 %",
        "4.3 %",
        "20 November 2026",
        "mobilenetv2_100",
        "10 labels",
    ):
        assert words in about
    assert page.locator("#labels li").all_inner_texts() == LABELS
    assert not page.locator("#labels-more").is_visible()
    report = page.locator("#report-link")
    assert report.evaluate("link => link.href").endswith(f"{ROOT}model/files/report.html")


def test_a_model_with_less_to_say(visit: Visit, server: StandIn) -> None:
    labels = [f"species {k}" for k in range(120)]
    server.model |= {"metrics": None, "report": None, "examples": [], "labels": labels}
    server.model |= {"unknown": False, "set": False, "explain": False, "fetch": False}
    page = visit()
    page.wait_for_selector("#unmeasured:visible")
    for hidden in ("#measured", "#report", "#examples", "#url-form", "#form", "#key-form"):
        assert not page.locator(hidden).is_visible()
    assert page.locator("#labels li").count() == 20
    page.click("text=All 120 labels")
    assert page.locator("#labels li").count() == 120
    choose(page, file("a.png"))
    page.wait_for_selector(ANSWERED)
    assert not page.locator("[data-part=heat]").is_visible()
    assert not page.locator("[data-part=remark]").is_visible()
    give_text(page, "paste", "https://example.com/a.jpg")
    page.wait_for_selector("text=This server fetches no addresses")
    assert page.locator(".card").count() == 1


def test_every_way_in(visit: Visit, server: StandIn) -> None:
    page = visit()
    page.wait_for_selector("#examples img")
    with page.expect_file_chooser() as chooser:
        page.click("#choose")
    chooser.value.set_files([file("chosen.png", "hat")])
    give_bytes(page, "drop", "pants", "dropped.png")
    give_bytes(page, "paste", "shirt", "image.png")
    give_text(page, "paste", "https://example.com/pasted.jpg?want:shoes")
    give_text(page, "drop", "https://example.com/dragged.jpg?want:skirt")
    page.fill("#url", "example.com/typed.jpg?want:outwear")
    page.press("#url", "Enter")
    page.click("#example-list li:nth-child(3) button")
    page.click("#camera")
    page.wait_for_selector("#shutter:enabled")
    page.click("#shutter")
    wait_for_cards(page, "answered", 8)
    labels = {
        text(one.locator("h3")): text(one.locator("[data-part=label]"))
        for one in page.locator(".card").all()
    }
    assert labels == {
        "chosen.png": "hat",
        "dropped.png": "pants",
        "Pasted picture": "shirt",
        "pasted.jpg": "shoes",
        "dragged.jpg": "skirt",
        "typed.jpg": "outwear",
        "Example 3": "hat",
        "Photograph 1": "dress",
    }
    assert not page.locator("html.dropping").count()
    assert not page.locator("#camera-dialog").is_visible()
    addressed = card(page, "typed.jpg")
    assert "example.com" in text(addressed.locator("[data-part=stand-in]"))
    # No picture to lay a heat map over.
    assert not addressed.locator("[data-part=heat]").is_visible()
    sent = [body for body in server.bodies if body.startswith(b"{")]
    assert {"url": "https://example.com/typed.jpg?want:outwear"} in map(json.loads, sent)
    assert [body for body in server.bodies if body.startswith(b"\xff\xd8")]  # the camera's JPEG
    assert set(server.queries) == {"top_k=10"}


def test_a_folder_can_be_dropped(visit: Visit, server: StandIn, tmp_path: Path) -> None:
    for name in ("a.png", "deeper/b.png", ".hidden/c.png", "deeper/.DS_Store"):
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png())
    page = visit()
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(tmp_path / "folder")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 9, "y": 9, "data": data})
    page.wait_for_selector("text=Let go to look")
    devtools.send("Input.dispatchDragEvent", {"type": "drop", "x": 9, "y": 9, "data": data})
    wait_for_cards(page, "answered", 2)
    assert sorted(page.locator(".card h3").all_inner_texts()) == ["a.png", "b.png"]
    assert len(server.bodies) == 2


def test_what_is_no_address_is_not_sent(visit: Visit, server: StandIn) -> None:
    page = visit()
    for words in ("a coat", "file:///etc/passwd", "https://"):
        page.fill("#url", words)
        page.press("#url", "Enter")
        page.wait_for_selector("text=An address starts with https://")
        assert page.evaluate("document.activeElement.id") == "url"
    page.fill("#url", "")
    assert text(page.locator("#url-problem")) == ""
    give_text(page, "paste", "words, not an address")
    give_text(page, "paste", "https://example.com/into-the-field.jpg", "#url")
    assert page.locator(".card").count() == 0
    assert not server.bodies


def test_an_answer(visit: Visit) -> None:
    page = visit()
    choose(page, file("a.png"), file("b.png", "unknown"), file("c.png", "set"))
    choose(page, file("d.png", "nothing-fits"))
    wait_for_cards(page, "answered", 4)
    assert page.locator(".card h3").all_inner_texts() == ["d.png", "a.png", "b.png", "c.png"]
    plain = card(page, "a.png")
    assert text(plain.locator(".verdict")) == "dress 93 %"
    assert text(plain.locator("[data-part=remark]")) == "Only: dress"
    bars = plain.locator(".bars li")
    assert bars.count() == 5
    assert text(bars.first) == "dress 93 %"
    assert text(bars.last) == "pants < 1 %"
    shown = bars.first.locator(".bar").evaluate(
        "bar => getComputedStyle(bar).getPropertyValue('--v')"
    )
    assert float(shown) == 0.93
    plain.locator("text=All 10 labels").click()
    assert plain.locator(".bars .name").all_inner_texts() == LABELS
    plain.locator("text=Only the first 5").click()
    assert bars.count() == 5
    unknown = card(page, "b.png")
    assert text(unknown.locator(".verdict")) == "None of these"
    assert text(unknown.locator("[data-part=remark]")) == "Nearest: dress, 41 %"
    assert (
        text(card(page, "c.png").locator("[data-part=remark]"))
        == "One of: dress, skirt, longsleeve"
    )
    assert text(card(page, "d.png").locator("[data-part=remark]")) == "No label fits well enough."
    spoken = " ".join(page.locator("#announcer").text_content().split())
    assert "a.png: dress, 93 %" in spoken
    assert "b.png: none of these; nearest dress, 41 %" in spoken
    assert text(page.locator("#progress")) == "4 pictures"


def test_labels_that_look_like_numbers_stand_by_probability(visit: Visit, server: StandIn) -> None:
    server.model["labels"] = ["7", "3", "0", "11"]
    page = visit()
    choose(page, file("a.png"))
    page.wait_for_selector(ANSWERED)
    assert page.locator(".bars .name").all_inner_texts() == ["7", "3", "0", "11"]


def test_a_heat_map_comes_when_asked_for(visit: Visit, server: StandIn) -> None:
    page = visit()
    choose(page, file("a.png"), file("b.png", "no-heat"), file("c.png", "heat-fails"))
    wait_for_cards(page, "answered", 3)
    assert len(server.queries) == 3
    one = card(page, "a.png")
    layer = one.locator("[data-part=heatmap]")
    one.locator("text=Show heat map").click()
    layer.wait_for(state="visible")
    assert server.queries[-1] == "top_k=10&explain=1"
    assert layer.bounding_box() == one.locator("[data-part=picture]").bounding_box()
    one.locator("text=Hide heat map").click()
    assert not layer.is_visible()
    one.locator("text=Show heat map").click()
    assert layer.is_visible()
    assert len(server.queries) == 4
    card(page, "b.png").locator("text=Show heat map").click()
    page.wait_for_selector("text=There is no heat map for this picture.")
    card(page, "c.png").locator("text=Show heat map").click()
    page.wait_for_selector("text=No heat map. It took too long")


def test_many_at_once_go_four_at_a_time_and_in_order(visit: Visit, server: StandIn) -> None:
    server.model["limits"]["pictures"] = 8
    page = visit()
    page.wait_for_selector("#about-body:visible")
    choose(page, *(file(f"{k}.png", "held" if k < 4 else "hat") for k in range(12)))
    wait_for_cards(page, "looking", 4)
    assert page.locator("[data-phase=waiting]").count() == 8
    assert text(page.locator("#progress")) == "0 of 12"
    for _ in range(500):  # what the page has sent, the server may still have to see
        if server.at_once == 4:
            break
        page.wait_for_timeout(10)
    server.open.set()
    wait_for_cards(page, "answered", 12)
    assert server.most_at_once == 4
    assert page.locator(".card h3").all_inner_texts() == [f"{k}.png" for k in range(12)]


PROBLEMS = {
    "400": ("did not understand", False),
    "403": ("The server refuses this", False),
    "404": ("Not found", False),
    "408": ("Sending took too long", True),
    "413": ("too large", False),
    "415": ("kind of file", False),
    "422": ("not a picture", False),
    "429": ("The server is busy", True),
    "500": ("went wrong on the server", True),
    "502": ("No usable answer", True),
    "503": ("The server is busy", True),
    "504": ("took too long", True),
    "busy-long": ("The server is busy", True),
    "gone": ("can’t be reached", True),
    "html": ("No usable answer", True),
}


def test_every_failure_is_told_on_its_card(visit: Visit, server: StandIn) -> None:
    page = visit()
    choose(page, *(file(f"{want}.png", want) for want in PROBLEMS))
    wait_for_cards(page, "failed", len(PROBLEMS))
    for want, (title, again) in PROBLEMS.items():
        one = card(page, f"{want}.png")
        assert title in text(one.locator("[data-part=problem-title]"))
        assert one.locator("[data-part=retry]").is_visible() == again
        if want.isdigit():
            assert f"In the server's words: {want}." in text(one)
            assert "Request r-42" in text(one)
    # Busy servers are asked three times in all, others once; too long a wait is not waited for.
    for want, times in {"429": 3, "503": 3, "504": 1, "busy-long": 1}.items():
        assert server.bodies.count(png(want)) == times
    assert "422.png: This is not a picture" in page.locator("#announcer").text_content()
    server.bodies.clear()
    card(page, "500.png").locator("text=Try again").click()
    card(page, "500.png").locator("[data-part=problem]").wait_for()
    assert server.bodies == [png("500")]


def test_an_address_that_fails_is_told_as_such(visit: Visit) -> None:
    page = visit()
    wanted = {"403": "may not look there", "404": "No picture at this address"}
    wanted |= {"502": "could not be fetched", "504": "other site took too long"}
    for status, words in wanted.items():
        give_text(page, "paste", f"https://example.com/{status}.jpg?want:{status}")
        page.wait_for_selector(f"text={words}")


def test_a_busy_server_is_asked_again(visit: Visit, server: StandIn) -> None:
    page = visit()
    choose(page, file("a.png", "busy-once"))
    page.wait_for_selector("text=Busy, trying again in 1 second")
    page.wait_for_selector(ANSWERED)
    assert len(server.bodies) == 2


def test_what_is_too_large_is_not_sent(visit: Visit, server: StandIn) -> None:
    server.model["limits"]["bytes"] = 2**20
    page = visit()
    large = {"name": "a.png", "mimeType": "image/png", "buffer": png() + bytes(3 * 2**19)}
    choose(page, large)
    page.wait_for_selector("text=this server takes up to 1 MB")
    assert "It has 1.5 MB" in text(page.locator(".card"))
    assert not server.bodies


def test_what_the_browser_cannot_draw_is_sent_all_the_same(visit: Visit, server: StandIn) -> None:
    page = visit()
    raw = {"name": "scan.heic", "mimeType": "", "buffer": b"no browser draws this want:hat "}
    choose(page, raw)
    page.wait_for_selector(ANSWERED)
    assert text(page.locator("[data-part=stand-in]")) == "HEIC No preview"
    assert server.bodies == [raw["buffer"]]


def test_pictures_given_before_the_model_is_there_wait(visit: Visit, server: StandIn) -> None:
    server.starting = 4
    page = visit()
    page.wait_for_selector("text=The model is still loading")
    choose(page, file("a.png"))
    page.wait_for_selector("text=Waiting")
    page.wait_for_selector(ANSWERED)
    assert text(page.locator("#notice")) == ""


def test_a_server_that_is_away_can_be_asked_again(visit: Visit) -> None:
    page = visit()
    page.route("**/model", lambda route: route.abort())
    page.reload()
    page.wait_for_selector("text=The server can’t be reached")
    page.unroute("**/model")
    page.click("#reconnect")
    page.wait_for_selector("#about-body:visible")
    assert not page.locator("#reconnect").is_visible()


def test_a_key_is_asked_for_and_kept_in_memory(visit: Visit, server: StandIn) -> None:
    server.model["key"] = True
    page = visit()
    page.wait_for_selector("#key-form:visible")
    assert page.get_attribute("#key", "type") == "password"
    choose(page, file("a.png"))
    page.wait_for_selector("text=A key is needed")
    assert not server.bodies
    assert page.evaluate("document.activeElement.id") == "key"
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=In the server's words: 401.")
    page.wait_for_selector("text=The server does not take this key.")
    assert not page.locator("#examples").is_visible()
    page.click("#report-link")
    page.wait_for_selector("#report >> text=A key is needed")
    page.fill("#key", KEY)
    page.press("#key", "Enter")
    page.wait_for_selector(ANSWERED)
    page.wait_for_selector("text=In use, and kept in memory only.")
    page.click("#example-list li:nth-child(2) button")
    wait_for_cards(page, "answered", 2)
    assert server.bodies[-1] == png("hat")
    with page.expect_download() as report:
        page.click("#report-link")
    assert report.value.suggested_filename == "report.html"
    page.reload()
    assert page.input_value("#key") == ""


def test_cards_are_removed_and_cleared(visit: Visit) -> None:
    page = visit()
    choose(page, file("a.png"), file("b.png"), file("c.png", "held"))
    wait_for_cards(page, "answered", 2)
    page.click("[aria-label='Remove a.png']")
    assert page.evaluate("document.activeElement.ariaLabel") == "Remove b.png"
    page.click("text=Clear all")
    assert page.locator(".card").count() == 0
    assert not page.locator("#results").is_visible()
    assert page.evaluate("document.activeElement.id") == "choose"


def test_a_reload_keeps_nothing(visit: Visit) -> None:
    page = visit()
    choose(page, file("a.png"))
    page.wait_for_selector(ANSWERED)
    page.fill("#url", "https://example.com/")
    page.click("#tab-python")
    page.click("text=An address")
    page.reload()
    page.wait_for_selector("#about-body:visible")
    assert page.locator(".card").count() == 0
    assert page.input_value("#url") == ""
    assert page.is_checked("text=A file")
    kept = "[localStorage.length, sessionStorage.length, document.cookie.length]"
    assert page.evaluate(kept) == [0, 0, 0]


def test_the_camera_closes_and_lets_go(visit: Visit) -> None:
    page = visit()
    page.click("#camera")
    page.wait_for_selector("#shutter:enabled")
    assert page.evaluate("document.activeElement.id") == "shutter"
    page.keyboard.press("Escape")
    page.wait_for_selector("#camera-dialog", state="hidden")
    assert page.evaluate("document.activeElement.id") == "camera"
    page.wait_for_function("document.getElementById('video').srcObject === null")
    refuse = """name => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("", name));
    }"""
    for name, words in {"NotAllowedError": "not allowed", "NotFoundError": "No camera"}.items():
        page.evaluate(refuse, name)
        page.click("#camera")
        page.wait_for_selector(f"text={words}")
        assert page.locator("#shutter").is_disabled()
        page.click("#camera-close")


def test_a_phone_without_live_video_uses_its_own_camera(visit: Visit) -> None:
    page = visit(390, phone=True)
    page.add_init_script("delete Navigator.prototype.mediaDevices")
    page.reload()
    with page.expect_file_chooser() as chooser:
        page.click("#camera")
    chooser.value.set_files([file("shot.png")])
    page.wait_for_selector(ANSWERED)
    assert page.get_attribute("#capture", "capture") == "environment"


def run_copied(page: Any, language: str, folder: Path) -> str:
    """Copy the snippet as a person would, run it beside `picture.jpg`; what it prints."""
    page.click(f"#tab-{language}")
    page.click("#copy")
    page.wait_for_selector("text=Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#snippet").text_content()
    copied = copied.replace("YOUR-KEY", KEY)
    if language == "curl":
        command = ["sh", "-c", copied.replace("curl ", "curl --silent ", 1)]
    elif language == "python":
        command = [sys.executable, "-c", copied]
    else:
        command = [shutil.which("node") or "", "--input-type=module", "--eval", copied]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout


@pytest.mark.parametrize("language", ["curl", "python", "javascript"])
def test_the_snippets_work(visit: Visit, server: StandIn, tmp_path: Path, language: str) -> None:
    tool = {"curl": "curl", "javascript": "node"}.get(language)
    if tool and not shutil.which(tool):
        pytest.skip(f"no {tool} on this machine")
    (tmp_path / "picture.jpg").write_bytes(png("hat"))
    page = visit()
    page.wait_for_selector("#form:visible")
    page.click(f"#tab-{language}")
    assert "X-API-Key" not in page.locator("#snippet").text_content()
    server.model["key"] = True
    page.reload()
    page.wait_for_selector("#key-form:visible")
    printed = run_copied(page, language, tmp_path)
    assert "hat" in printed
    assert "0.93" in printed
    assert server.bodies.pop() == png("hat")
    page.click("text=An address")
    assert "0.93" in run_copied(page, language, tmp_path)
    assert json.loads(server.bodies.pop()) == {"url": "https://example.com/picture.jpg"}
    assert server.queries == ["top_k=5"] * 2


def test_plain_http_has_no_clipboard_and_copies_all_the_same(visit: Visit) -> None:
    page = visit()
    page.wait_for_selector("#about-body:visible")
    page.evaluate("navigator.clipboard.writeText('before')")
    clipboard = "Object.defineProperty(navigator, 'clipboard', {value: undefined})"
    page.evaluate(f"window.kept = navigator.clipboard; {clipboard}")
    page.click("#copy")
    page.wait_for_selector("text=Copied")
    assert page.evaluate("kept.readText()") == page.locator("#snippet").inner_text()


def test_the_tabs_follow_the_arrow_keys(visit: Visit) -> None:
    page = visit()
    page.focus("#tab-curl")
    for key, tab in {"ArrowRight": "python", "End": "javascript", "Home": "curl"}.items():
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.id") == f"tab-{tab}"
        assert page.get_attribute(f"#tab-{tab}", "aria-selected") == "true"
    page.keyboard.press("ArrowLeft")
    assert page.get_attribute("#snippet-panel", "aria-labelledby") == "tab-javascript"


def test_by_keyboard_alone(visit: Visit) -> None:
    page = visit()
    page.wait_for_selector("#examples img")
    seen: list[str] = []

    def tab_to(condition: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            outline = "getComputedStyle(document.activeElement).outlineStyle"
            seen.append(page.evaluate(outline))
            if page.evaluate(f"document.activeElement.matches({condition!r})"):
                return
        raise AssertionError(f"{condition} was not reached")

    tab_to(".skip")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to("#choose")
    tab_to("#url")
    page.keyboard.type("https://example.com/a.jpg")
    page.keyboard.press("Enter")
    page.wait_for_selector(ANSWERED)
    tab_to("#example-list button")
    page.keyboard.press("Enter")
    wait_for_cards(page, "answered", 2)
    tab_to("[data-part=all]")
    page.keyboard.press("Enter")
    tab_to("[data-part=heat]")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-part=heatmap]:visible")
    tab_to("[data-part=remove]")
    page.keyboard.press("Enter")
    assert page.locator(".card").count() == 1
    tab_to("#report-link")
    tab_to("#copy")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Copied")
    assert set(seen) <= {"solid", "auto"}


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (360, False)])
def test_accessible_in_every_state(visit: Visit, server: StandIn, width: int, dark: bool) -> None:
    server.model["key"] = True
    page = visit(width, dark)
    page.wait_for_selector("#key-form:visible")
    assert_accessible(page)
    page.fill("#key", KEY)
    page.press("#key", "Enter")
    page.wait_for_selector("#examples img")
    wants = ["dress", "unknown", "set", "422", "429", "held"]
    choose(page, *(file(f"a-rather-long-name-for-a-picture-{want}.png", want) for want in wants))
    give_text(page, "paste", "https://a-rather-long-name-of-a-host.example.com/a.jpg")
    wait_for_cards(page, "answered", 4)
    wait_for_cards(page, "failed", 2)
    page.locator("[data-part=all]:visible").first.click()
    page.locator("[data-part=heat]:visible").first.click()
    page.wait_for_selector("[data-part=heatmap]:visible")
    page.fill("#url", "no address")
    page.press("#url", "Enter")
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = """[...document.querySelectorAll("button, input, nav a")]
      .filter(e => e.checkVisibility()).map(e => [e.id || e.textContent, e.getBoundingClientRect()])
      .filter(([, r]) => r.height < 24 && r.width > 16).map(([name]) => name)"""
    assert page.evaluate(small) == []
    page.click("#camera")
    page.wait_for_selector("#shutter:enabled")
    assert_accessible(page)


def test_the_dark_scheme_is_dark(visit: Visit) -> None:
    page = visit()
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(colour) == "rgb(20, 22, 26)"


def test_nothing_moves_where_that_is_unwanted(visit: Visit) -> None:
    page = visit()
    choose(page, file("a.png"))
    page.wait_for_selector(ANSWERED)
    assert page.evaluate("document.getAnimations().length") == 0
    page.emulate_media(reduced_motion="no-preference")
    choose(page, file("b.png", "held"))
    page.wait_for_selector("[data-phase=looking]")
    assert page.evaluate("document.getAnimations().length") > 0


def test_no_page_scrolls_sideways(visit: Visit, server: StandIn) -> None:
    long = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk"
    server.model |= {"name": long * 2, "labels": [long * 2, *LABELS]}
    page = visit()
    page.wait_for_selector("#examples img")

    def assert_fits() -> None:
        for width in (360, 768, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width

    assert_fits()
    for k, name in enumerate((f"{'long' * 40}.png", "b.png"), 1):
        choose(page, file(name))
        wait_for_cards(page, "answered", k)
        assert_fits()
