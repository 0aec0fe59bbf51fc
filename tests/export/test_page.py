import base64
import contextlib
import io

import numpy as np
import pytest
from PIL import Image

from tests.export.conftest import NAMES
from tests.export.nginx import running_nginx
from tests.export.running_server import requests

pytestmark = pytest.mark.slow

PNG_OF = "canvas => canvas.toDataURL().split(',')[1]"


@pytest.fixture
def page(browser, server):
    with opened(browser, server.address) as page:
        yield page


@contextlib.contextmanager
def opened(browser, address):
    """The page of a server, which must run without errors in the browser."""
    page = browser.new_page()
    page.set_default_timeout(60_000)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: said.type == "error" and errors.append(said.text))
    page.goto(address)
    choose(page, "vae")
    yield page
    page.close()
    # The browser reports each answer of 400 on the console.
    assert not [text for text in errors if "Failed to load resource" not in text]


def choose(page, name):
    page.get_by_label("Model").select_option(name)
    page.get_by_role("status").get_by_text("Ready").wait_for()


def draw(page, text, role="status", **fields):
    """Draw with numbers of the form, and wait for what the page says."""
    for name, value in fields.items():
        page.locator(f"#{name}").fill(str(value))
    page.locator("#draw").get_by_role("button", name="Draw").click()
    page.get_by_role(role).get_by_text(text).wait_for()


def check_shown(page, place, images):
    """Check that canvases show images, in all four channels."""
    files = [c.evaluate(PNG_OF) for c in page.locator(f"#{place} canvas").all()]
    opened = [Image.open(io.BytesIO(base64.b64decode(file))) for file in files]
    shown = np.array([np.asarray(image.convert("RGBA")) for image in opened])
    colors = np.broadcast_to(images, (*images.shape[:-1], 3))
    np.testing.assert_array_equal(shown[..., :3], colors)
    assert (shown[..., 3] == 255).all()


def test_a_late_answer_of_the_model_before_changes_nothing(browser, server, drawn):
    held = []

    def answer(route):
        if "/vae" in route.request.url:
            route.continue_()
        else:
            held.append(route)

    with browser.new_context() as context:
        context.route("**/assets/metadata", answer)
        with opened(context, server.address) as page:
            assert held
            for route in held:
                with page.expect_response(route.request.url):
                    route.continue_()
            page.wait_for_timeout(500)
            draw(page, "Drew 3 images", seed=5, count=3)
            check_shown(page, "drawn", drawn("vae", [5, 6, 7]))


@pytest.fixture(scope="module", params=["server", "proxy"])
def shown(request, browser, server, base_dir, tmp_path_factory):
    """Address and page of a server, or of a proxy before it, with three images."""
    found = contextlib.nullcontext(server.address)
    if request.param == "proxy":
        directory = tmp_path_factory.mktemp("proxy")
        found = running_nginx(directory, server.address, base_dir)
    with found as address, opened(browser, address) as page:
        draw(page, "Drew 3 images", seed=5, count=3)
        yield address, page


def test_draws_by_seed(shown, drawn):
    _, page = shown
    check_shown(page, "drawn", drawn("vae", [5, 6, 7]))
    captions = page.locator("#drawn figcaption").all_inner_texts()
    assert captions == ["seed 5", "seed 6", "seed 7"]


def test_shows_no_fields_that_a_model_does_not_take(shown):
    _, page = shown
    assert not page.locator("#complete").is_visible()
    assert not page.locator("#temperature").is_visible()


def test_lists_all_models(shown, base_dir):
    _, page = shown
    names = page.get_by_label("Model").locator("option").all_inner_texts()
    assert set(names) == {path.name for path in base_dir.iterdir()}


def test_the_policy_allows_nothing_from_elsewhere(shown):
    address, _ = shown
    policy = requests.get(address, timeout=60).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert "unsafe" not in policy and "http" not in policy


def test_loads_nothing_from_elsewhere(shown):
    address, page = shown
    sources = page.evaluate(
        "performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert len(sources) > 5
    assert page.evaluate("document.styleSheets[0].cssRules.length > 9")
    assert all(source.startswith((address, "data:")) for source in sources)


def test_draws_by_label_and_temperature(page, drawn):
    choose(page, "pixels")
    draw(page, "Drew 4 images", seed=1, count=4, label=2)
    check_shown(page, "drawn", drawn("pixels", [1, 2, 3, 4], 2))
    draw(page, "Drew 4 images", temperature=0.2)
    check_shown(page, "drawn", drawn("pixels", [1, 2, 3, 4], 2, temperature=0.2))


def test_has_a_menu_of_named_classes(page, drawn):
    choose(page, "candidates")
    menu = page.get_by_label("Class")
    assert menu.locator("option").all_inner_texts() == NAMES
    assert not page.locator("#label").is_visible()
    menu.select_option("0")  # The third class.
    draw(page, "Drew 2 images", seed=1, count=2)
    check_shown(page, "drawn", drawn("pixels", [1, 2], 2))
    choose(page, "pixels")
    assert page.locator("#label").is_visible() and not menu.is_visible()


def test_erases_with_the_mouse_and_completes(page, drawn, completed):
    choose_second(page, "pixels")
    assert page.get_by_role("button", name="Complete").is_disabled()
    erase(page, row=2, start=1)
    known = np.ones((4, 5), int)
    known[2, 1:] = 0
    original = drawn("pixels", [2, 2], 1)
    complete(page)
    check_shown(page, "completed", completed(original, known, [30, 31], 1))

    page.get_by_role("button", name="Restore").click()
    assert page.get_by_role("button", name="Complete").is_disabled()
    page.get_by_role("button", name="Erase lower half").click()
    known = np.ones((4, 5), int)
    known[2:] = 0
    complete(page)
    check_shown(page, "completed", completed(original, known, [30, 31], 1))
    captions = page.locator("#completed figcaption").all_inner_texts()
    assert captions == ["seed 30", "seed 31"]
    text = page.locator("#about-completion").inner_text()
    assert "kept after an erased one do not influence it" in text


def test_completes_with_candidates(page, drawn, models):
    choose_second(page, "candidates", "green")
    assert "Of 3 candidates" in page.locator("#about-completion").text_content()
    # No more completions are asked for than the model takes: 16 // 3.
    assert page.locator("#complete-count").input_value() == "5"
    erase(page, row=0, start=0)
    known = np.ones((4, 5), int)
    known[0] = 0
    complete(page)
    model = models["pixels"]
    options = {"num_candidates": 3, "return_effective_sample_size": True}
    options |= {"seed": [30, 31], "conditions": [1, 1]}
    image = model.generate(2, seed=[2, 2], conditions=[1, 1])
    images, sizes = model.complete(image, known, **options)
    check_shown(page, "completed", model.likelihood.to_display(images))
    captions = page.locator("#completed figcaption").all_inner_texts()
    assert captions == [
        f"seed {30 + index}, ESS {size:.1f}" for index, size in enumerate(sizes)
    ]
    page.locator("#complete-count").fill("6")
    page.get_by_role("button", name="Complete").click()
    text = "Completions must be a whole number from 1 to 5."
    page.get_by_role("alert").get_by_text(text).wait_for()


def test_an_oriented_model_says_which_order_it_took(page, models):
    model = models["oriented"]
    choose(page, "oriented")
    assert "the fewest kept pixels" in page.locator("#about-completion").inner_text()
    draw(page, "Drew 2 images", seed=1, count=2)
    page.get_by_role("button", name="Erase left half").click()
    complete(page)
    image = model.generate(2, seed=[1, 1])
    known = np.array(4 * [[0, 0, 1, 1]])
    options = {"num_candidates": 3, "return_effective_sample_size": True}
    options |= {"seed": [30, 31], "return_orders": True}

    def check_completed(known, order):
        images, sizes, orders = model.complete(image, known, **options)
        assert orders.tolist() == [order, order]
        check_shown(page, "completed", model.likelihood.to_display(images))
        captions = page.locator("#completed figcaption").all_inner_texts()
        assert captions == [
            f"seed {30 + index}, ESS {size:.1f}" for index, size in enumerate(sizes)
        ]
        return sizes.tolist()

    assert check_completed(known, 5) == [3, 3]
    taken = page.locator("#taken-order")
    assert taken.inner_text() == (
        "Drawn in order 5: column by column from the top right. No kept pixel follows "
        "an erased one, so these are exact samples of the model."
    )

    # A brush that restores the upper left corner; then one that erases below it.
    page.locator("#brush-action").select_option("restores")
    erase(page, row=0, start=0, columns=4)
    page.locator("#brush-action").select_option("erases")
    erase(page, row=3, start=2, columns=4)
    known[0], known[3] = 1, 0
    complete(page)
    check_completed(known, 1)
    assert taken.inner_text() == (
        "Drawn in order 1: row by row from the top right. 2 kept pixels follow the "
        "first erased one."
    )
    page.get_by_role("button", name="Restore").click()
    page.locator("#drawn button").nth(1).click()
    assert not taken.inner_text()


def choose_second(page, model, class_name=None):
    """Draw two images of class 1, and choose the second one to be completed."""
    choose(page, model)
    fields = {"seed": 1, "count": 2}
    if class_name is None:
        fields["label"] = 1
    else:
        page.get_by_label("Class").select_option(class_name)
    draw(page, "Drew 2 images", **fields)
    page.locator("#drawn button").nth(1).click()


def erase(page, row, start, columns=5):
    """Brush pixels of a row, from one to the last, with the mouse."""
    page.locator("#brush").fill("1")
    editor = page.locator("#editor")
    editor.scroll_into_view_if_needed()
    box = editor.bounding_box()
    size = box["width"] / columns

    def move(column, row):
        page.mouse.move(box["x"] + (column + 0.5) * size, box["y"] + (row + 0.5) * size)

    move(start, row)
    page.mouse.down()
    move(columns - 1, row)
    page.mouse.up()
    move(1, 0)  # Not pressed.


def complete(page):
    """Complete the chosen image twice."""
    page.locator("#complete-seed").fill("30")
    page.locator("#complete-count").fill("2")
    page.get_by_role("button", name="Complete").click()
    page.locator("#completed figure").nth(1).wait_for()
    page.get_by_role("status").get_by_text("Completed the image 2 times").wait_for()


def test_watches_canvases(page, models):
    model = models["draw"]
    choose(page, "draw")
    page.locator("#canvases-count").fill("2")
    page.get_by_role("button", name="Watch").click()
    page.get_by_role("button", name="Play").wait_for()  # It has played to the end.
    canvases = model.generate_canvases(2, seed=0)["canvases"]
    canvases = model.likelihood.to_display(canvases)
    check_shown(page, "watched", canvases[:, 2])
    page.get_by_label("Glimpse").fill("1")
    assert "1 of 3" in page.locator("#player").inner_text()
    check_shown(page, "watched", canvases[:, 0])


def test_errors_can_be_read(page):
    alert = page.get_by_role("alert")
    for seed, count, text in (
        (-1, 1, "First seed must be a whole number from 0"),
        (0, 17, "Images must be a whole number from 1 to 16."),
    ):
        draw(page, text, "alert", seed=seed, count=count)
    draw(page, "Drew 1 images", count=1)
    assert not alert.is_visible()
    page.get_by_label("Model").select_option("plain")
    alert.get_by_text("has no assets.extra/metadata.json").wait_for()
    # What the server says is shown too.
    choose(page, "vae")
    page.route("**/*:predict", lambda route: route.continue_(post_data="{"))
    draw(page, "JSON Parse error", "alert")
    page.route("**/*:predict", lambda route: route.abort())
    draw(page, "The server cannot be reached", "alert")
