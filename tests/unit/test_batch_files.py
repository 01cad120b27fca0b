"""Forms and batch files as they are read: strictly, so that no provider sees another request than was priced."""

import json

import pytest

from farthing.catalog.usage.openai import PICTURE
from farthing.core.batches import Lot
from farthing.core.errors import InputError
from farthing.core.units import INPUT, OUTPUT
from farthing.gateway.batchfile import MOST_REQUESTS, read_batch
from farthing.gateway.wire.form import MOST_PARTS, read_form
from farthing.gateway.wire.images import MOST_IMAGES, read_images, renamed_form

KIND = b"multipart/form-data; boundary=XX"


def part(head: bytes, content: bytes) -> bytes:
    return b"--XX\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


def text(name: bytes, content: bytes) -> bytes:
    return part(b'Content-Disposition: form-data; name="%b"' % name, content)


def picture(name: bytes = b"image") -> bytes:
    head = b'Content-Disposition: form-data; name="%b"; filename="a \\"b\\".png"\r\nContent-Type: image/png' % name
    return part(head, b"\x89PNG\r\n--X\r\n")


END = b"--XX--\r\n"


def test_a_form_is_read_in_place():
    body = text(b"model", b"gpt-image-1") + picture() + END
    form = read_form(body, KIND)
    assert form.text("model") == "gpt-image-1"
    image = form.one("image")
    assert image is not None
    assert image.file
    assert body[image.start : image.end] == b"\x89PNG\r\n--X\r\n"
    assert form.text("n") is None
    assert read_form(body, b'Multipart/Form-Data; boundary="XX"').fields == form.fields


def test_only_the_model_of_a_form_changes_when_it_is_renamed():
    body = text(b"prompt", b"model") + text(b"model", b"alias") + picture() + END
    assert renamed_form(body, KIND, "gpt-image-1") == body.replace(b"alias", b"gpt-image-1")
    with pytest.raises(InputError, match="model"):
        renamed_form(picture() + END, KIND, "gpt-image-1")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        END,
        b"preamble\r\n" + text(b"model", b"m") + END,
        text(b"model", b"m"),
        text(b"model", b"m") + END + b"epilogue",
        text(b"model", b"m") + END + text(b"model", b"dearer") + END,
        part(b"Content-Disposition: form-data; name=model", b"m") + END,
        part(b'Content-Disposition: form-data; name="mo\\del"', b"m") + END,
        part(b'Content-Disposition: form-data; name="%6dodel"', b"m") + END,
        part(b"Content-Disposition: form-data; name*=UTF-8''model", b"m") + END,
        part(b'Content-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="model"', b"m") + END,
        part(b'Content-Disposition: form-data;\r\n name="model"', b"m") + END,
        part(b'Content-Disposition: attachment; name="model"', b"m") + END,
        part(b'Content-Disposition: form-data; name="model"\r\nContent-Transfer-Encoding: base64', b"bQ==") + END,
        part(b"X: " + b"y" * 9000, b"m") + END,
        text(b"a", b"b") * (MOST_PARTS + 1) + END,
        b"--XXX\r\n" + text(b"model", b"m") + END,
    ],
)
def test_unusual_forms_are_refused(body):
    with pytest.raises(InputError):
        read_form(body, KIND)


def test_a_field_that_decides_the_price_stands_once():
    body = text(b"model", b"gpt-image-1-mini") + text(b"model", b"gpt-image-1") + END
    with pytest.raises(InputError, match="once"):
        read_images(body, KIND)


@pytest.mark.parametrize("kind", [b"multipart/form-data", b"multipart/mixed; boundary=XX", KIND + b"; charset=x", b""])
def test_a_form_needs_its_boundary(kind):
    with pytest.raises(InputError):
        read_form(text(b"model", b"m") + END, kind)


def test_the_most_that_pictures_can_come_to():
    body = json.dumps({"model": "gpt-image-1", "prompt": "x", "n": 3, "partial_images": 2}).encode()
    head = read_images(body, b"application/json")
    assert head.most[OUTPUT] == 3 * (6_240 + 200)
    assert head.most[INPUT] == len(body)
    edit = read_images(text(b"model", b"gpt-image-2") + text(b"n", b"2") + picture() + picture(b"mask") + END, KIND)
    assert edit.most[OUTPUT] == 2 * 23_710
    assert edit.most[INPUT] >= 2 * 6_725
    assert read_images(b'{"prompt": "x", "n": 4}', b"application/json").most[PICTURE] == 4


@pytest.mark.parametrize("n", [0, -1, MOST_IMAGES + 1, "many", 1.5])
def test_absurd_numbers_of_pictures_are_refused(n):
    with pytest.raises(InputError, match="n"):
        read_images(json.dumps({"model": "m", "n": n}).encode(), b"application/json")
    with pytest.raises(InputError, match="n"):
        read_images(text(b"model", b"m") + text(b"n", str(n).encode()) + END, KIND)


def line(body: object, **more: object) -> bytes:
    asked = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body, **more}
    return json.dumps(asked).encode() + b"\n"


def read(content: bytes) -> tuple[str, tuple[Lot, ...]]:
    return read_batch(content, 0, len(content))


def test_a_batch_is_summed_up_by_model():
    content = (
        line({"model": "small", "max_tokens": 10})
        + b"\n\r\n"
        + line({"model": "small", "max_completion_tokens": 5, "n": 3})
        + line({"model": "large"})
    )
    endpoint, lots = read(content.rstrip())
    assert endpoint == "/v1/chat/completions"
    small, large = lots
    assert (small.requests, small.output_limit, small.uncapped) == (2, 25, 0)
    assert (large.requests, large.output_limit, large.uncapped) == (1, 0, 1)
    assert large.input_tokens == len(json.dumps({"model": "large"}))


def test_every_prompt_of_a_completion_may_be_answered_in_full():
    url = "/v1/completions"
    _, [lot] = read(
        line({"model": "m", "max_tokens": 7, "prompt": ["a", "b", "c"]}, url=url)
        + line({"model": "m", "max_tokens": 7, "prompt": [1, 2, 3]}, url=url)
        + line({"model": "m", "max_tokens": 7, "prompt": "a"}, url=url)
    )
    assert lot.output_limit == 7 * 5


def test_embeddings_write_nothing():
    _, [lot] = read(line({"model": "m", "input": "a"}, url="/v1/embeddings"))
    assert (lot.output_limit, lot.uncapped) == (0, 0)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"", "file"),
        (b"\n \n", "file"),
        (line({"model": "m"}) + b"no json\n", "line 2"),
        (line({"model": "m"}) + line({}), "line 2"),
        (line({"model": "m", "max_tokens": -1}), "line 1"),
        (line({"model": "m"}, custom_id=""), "line 1"),
        (line({"model": "m"}, method="GET"), "line 1"),
        (line({"model": "m"}, url="/v1/files"), "line 1"),
        (line({"model": "m"}) + line({"model": "m"}, url="/v1/embeddings"), "line 2"),
        (b"[" * 5000, "line 1"),
        (line({"model": "m"}) * (MOST_REQUESTS + 1), "file"),
    ],
)
def test_what_is_no_batch_is_refused_by_name(content, names):
    with pytest.raises(InputError) as refused:
        read(content)
    assert names in refused.value.field
