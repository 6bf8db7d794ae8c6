"""Maps and answers of the page are those of `regard explain` and `regard evaluate`."""

import dataclasses
import io
import threading
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from server_tools import one, refusal, serving

from regard.data.source import samples_of
from regard.evaluation.settings import Gaze
from regard.images.heat import heat_colours, heat_levels
from regard.runs.evaluate import evaluate_run
from regard.runs.explain import explain_images
from regard.runs.explained import explain_image
from regard.runs.overlay import laid
from regard.runs.run import load_run
from regard.saliency.resizing import resize
from regard.server.looking import asked_of, held
from regard.server.photos import photo_of
from regard.server.questions import OfImage

RUN = "runs/one"
IMAGE = {"run": RUN, "split": "test", "index": 37}


def picture(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def kept_map(client, method, target="predicted", layer=None, **image):
    """The map that the server keeps after it was asked for."""
    photo = photo_of(client.service.shelves, OfImage(**IMAGE | image))
    found = held(client.service, asked_of(photo, method, layer, target).key)
    assert found is not None
    return found


@pytest.mark.parametrize("method", ["gradcam", "layercam", "scorecam"])
def test_a_map_is_that_of_regard_explain(client, whole_folder, tmp_path, method):
    run = load_run(whole_folder / RUN)
    path = run.manifest().resolve(run.manifest().table["image"][37])
    (row,) = explain_images(run, [path], [method], tmp_path)
    expected = load_file(tmp_path / "maps.safetensors")[row["map"]]
    answer = client.get("/api/map", params=IMAGE | {"method": method, "width": 512})
    found = kept_map(client, method)
    assert float(found.map.max()) > 0
    assert torch.equal(resize(found.map[None], run.transform.size)[0], expected)
    assert float(answer.headers["X-Regard-Peak"]) == pytest.approx(float(found.map.max()))
    # The picture is that map in the palette, as large as the photo.
    shown = laid(found.map, run.transform, (32, 32), (32, 32))
    assert (picture(answer) == heat_colours()[heat_levels(shown)]).all()


def test_a_map_of_another_layer_and_of_a_class(client, whole_folder):
    run = load_run(whole_folder / RUN)
    sample = samples_of(run.manifest(), "test", run.classes, run.data)[1]
    told = one(client, path="run", run=RUN)
    layer = next(name for name in told["layers"] if name != told["layer"])
    asked = {"method": "gradcam", "layer": layer, "target": "moss"}
    assert client.get("/api/map", params=IMAGE | asked).status_code == 200
    gaze = Gaze.model_validate(run.config["gaze"]).model_copy(update={"layer": layer})
    seen = explain_image(run, sample.views[0][1], sample, {"gradcam": {}}, gaze, "moss")
    found = kept_map(client, "gradcam", "moss", layer)
    assert float(found.map.max()) > 0
    assert torch.equal(found.map, seen.maps["gradcam"])
    assert run.classes[found.chosen] == "moss"


def test_probabilities_are_those_of_the_predictions(client, own_folder, tmp_path):
    """Read from the table where there is one, and else the net's own, which are the same."""
    table = pl.read_parquet(own_folder / RUN / "predictions" / "test.parquet")
    (own_folder / RUN / "predictions" / "test.parquet").unlink()
    with serving(own_folder, tmp_path / "cache") as live:
        for row in table.head(4).iter_rows(named=True):
            asked = {"path": "image", "run": RUN, "split": "test", "index": row["index"]}
            read, fresh = one(client, **asked), one(live, **asked)
            assert (read["live"], fresh["live"]) == (False, True)
            expected = {name: row[f"probability:{name}"] for name in ("fern", "moss")}
            for told in (read, fresh):
                given = {p["class"]: p["value"] for p in told["probabilities"]}
                assert given == pytest.approx(expected, abs=1e-6)
                assert told["probabilities"][0]["class"] == row["predicted"]
                assert told["label"] == row["label"]


def test_an_image_tells_its_region_and_its_scores(client, whole_folder):
    scores = pl.read_parquet(whole_folder / RUN / "scores" / "test.parquet")
    told = one(client, path="image", **IMAGE)
    assert told["region"] == {
        "present": True, "boxes": [], "box_labels": None, "mask": True, "ignore": False,
        "avoid": False,
    }  # fmt: skip
    assert (told["width"], told["height"]) == (32, 32)
    for method in ("gradcam", "layercam"):
        row = scores.filter(index=37, method=method).row(0, named=True)
        assert told["scores"][method]["energy"] == row["energy"]
    assert not one(client, path="image", **IMAGE | {"index": 36})["region"]["present"]


def test_a_photo_is_upright_and_in_its_own_proportions(own):
    path = next((own.folder / "tiny/images").glob("test-01.png"))
    upright = np.zeros((60, 90, 3), np.uint8)
    upright[:, 45:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(np.rot90(upright).copy())
    turned.save(path, "JPEG", exif=exif, quality=95)  # what a camera held sideways writes
    found = picture(own.get("/api/picture", params=IMAGE | {"width": 64}))
    assert found.shape[:2] == (43, 64)
    assert found[:, 2:28, :3].mean() < 20
    assert found[:, 36:62, :3].mean() > 235
    assert one(own, path="image", **IMAGE)["width"] == 90


def test_the_outline_lies_around_the_region_on_nothing(client, whole_folder):
    mask = np.asarray(Image.open(whole_folder / "tiny/images/test-01-region.png")) > 127
    found = picture(client.get("/api/region", params=IMAGE | {"width": 512}))
    assert found.shape == (512, 512, 4)  # finer than the photo of 32 pixels
    large = np.kron(mask, np.ones((16, 16), bool))
    rows, columns = np.nonzero(large)
    inside = found[rows.min() + 24 : rows.max() - 23, columns.min() + 24 : columns.max() - 23]
    assert inside.size
    assert inside[..., 3].max() == 0
    far = np.ones_like(large)
    far[
        max(0, rows.min() - 12) : rows.max() + 13, max(0, columns.min() - 12) : columns.max() + 13
    ] = 0
    assert found[far][:, 3].max() == 0
    assert found[..., 3].max() > 200
    nothing = picture(client.get("/api/region", params=IMAGE | {"index": 36}))
    assert nothing[..., 3].max() == 0


def test_a_picture_that_is_still_the_same_is_not_sent_again(client):
    first = client.get("/api/picture", params=IMAGE)
    etag = {"If-None-Match": first.headers["ETag"]}
    again = client.get("/api/picture", params=IMAGE, headers=etag)
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/api/picture", params=IMAGE | {"index": 38}, headers=etag)
    assert other.status_code == 200


def test_of_many_who_ask_for_one_map_at_once_one_computes_it(own_folder, tmp_path, monkeypatch):
    looks, hold = [], threading.Event()

    def counted(*args, **kwargs):
        looks.append(args)
        hold.wait(5)
        return explain_image(*args, **kwargs)

    monkeypatch.setattr("regard.server.looking.explain_image", counted)
    with serving(own_folder, tmp_path / "cache") as client:
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(client.get, "/api/map", params=IMAGE) for _ in range(8)]
            while not looks:
                threading.Event().wait(0.01)
            hold.set()
            answers = [future.result() for future in asked]
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.content for answer in answers}) == 1
    assert len(looks) == 1


def test_a_map_outlives_the_server_until_the_checkpoint_changes(own_folder, tmp_path, monkeypatch):
    looks = []

    def counted(*args, **kwargs):
        looks.append(args)
        return explain_image(*args, **kwargs)

    monkeypatch.setattr("regard.server.looking.explain_image", counted)
    for _ in range(2):
        with serving(own_folder, tmp_path / "cache") as client:
            client.get("/api/map", params=IMAGE)
    assert len(looks) == 1
    for part in ("checkpoints", "config.yaml"):  # another training of the same
        source, place = own_folder / "runs/two" / part, own_folder / RUN / part
        place.rename(place.with_name(f"old {part}"))
        source.rename(place)
    with serving(own_folder, tmp_path / "cache") as client:
        client.get("/api/map", params=IMAGE)
    assert len(looks) == 2


def test_few_nets_stay_in_memory(own_folder, tmp_path):
    with serving(own_folder, tmp_path / "cache", nets=2) as client:
        for run in ("runs/one", "runs/two", "runs/sets", "runs/one"):
            index = one(client, path="gallery", run=run, split="test")["items"][0]["index"]
            asked = {"run": run, "split": "test", "index": index}
            assert client.get("/api/map", params=asked).status_code == 200
            assert len(client.service.nets) <= 2


def test_a_segmenter_explains_the_pixel_that_is_pointed_at(client, whole_folder):
    run = load_run(whole_folder / "runs/masks")
    image = {"run": "runs/masks", "split": "test", "index": 3}
    sample = samples_of(run.manifest(), "test", run.classes, run.data)[0]
    with torch.no_grad():
        logits = run.net(run.transform(sample.views[0][1]))[0]
    # A photo of 40 x 60 seen at 32 x 48.
    asked = {"x": 30.5 / 48, "y": 20.5 / 32, "width": 64}
    answer = client.get("/api/pixel", params=image | asked)
    predicted = run.classes[int(logits[:, 20, 30].argmax())]
    assert urllib.parse.unquote(answer.headers["X-Regard-Class"]) == predicted
    assert picture(answer).shape == (40, 60, 4)
    mask = picture(client.get("/api/prediction", params=image | {"width": 64}))
    colours = one(client, path="run", run="runs/masks")["colours"]
    painted = tuple(bytes.fromhex(colours[run.classes.index(predicted)][1:]))
    assert tuple(mask[25, 38, :3]) == painted
    status, message = refusal(client.get("/api/pixel", params=IMAGE | asked))
    assert (status, "segmenter" in message) == (400, True)


def test_the_background_of_an_image_is_exchanged(client, whole_folder):
    run = load_run(whole_folder / RUN)
    sample = samples_of(run.manifest(), "test", run.classes, run.data)[1]
    told = one(client, path="background", **IMAGE)
    own = run.predict([sample.views[0][1]])[0]
    assert told["probability"] == pytest.approx(float(own[sample.label]), abs=1e-6)
    assert [answer["how"] for answer in told["swapped"]] == [
        "mean", "blur", "same_class", "other_class"
    ]  # fmt: skip
    assert one(client, path="background", **IMAGE) == told
    status, message = refusal(client.get("/api/background", params=IMAGE | {"index": 36}))
    assert (status, "region" in message) == (400, True)


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ({"method": "gradcan"}, 400, "did you mean"),
        ({"layer": "nowhere"}, 400, "layer"),
        ({"target": "mos"}, 400, "moss"),
        ({"index": 0}, 404, "image"),
        ({"index": 10**6}, 404, "image"),
        ({"split": "tset"}, 404, "image"),
        ({"width": 1}, 400, "width"),
        ({"width": "wide"}, 400, "width"),
        ({"method": "rollout"}, 400, "attention"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_a_line(client, asked, status, part):
    answer = refusal(client.get("/api/map", params=IMAGE | asked))
    assert answer[0] == status
    assert part in answer[1]


def test_a_region_can_be_had_filled(client, whole_folder):
    run = load_run(whole_folder / RUN)
    has = next(s for s in samples_of(run.manifest(), "test", run.classes, run.data) if s.region)
    asked = {"run": RUN, "split": "test", "index": has.index, "width": 256}
    filled = client.get("/api/region", params=asked | {"filled": True})
    mask = np.asarray(Image.open(io.BytesIO(filled.content)))
    with Image.open(has.region) as drawn:
        assert ((mask > 127) == (np.asarray(drawn.convert("L")) > 127)).all()


def test_methods_that_refuse_the_net_are_told_with_what_they_need(client):
    told = {run: one(client, path="run", run=f"runs/{run}") for run in ("one", "masks")}
    unfit = {
        run: {method["name"] for method in answer["methods"] if method["unfit"]}
        for run, answer in told.items()
    }
    attending = {"attention", "rollout", "gradient_rollout", "chefer"}
    assert unfit == {"one": attending, "masks": attending | {"cam"}}
    for run, answer in told.items():
        asked = {"run": f"runs/{run}", "split": "test", "index": 37 if run == "one" else 3}
        asked |= {"target": answer["classes"][0]}
        for method in answer["methods"]:
            if method["cost"] == "cheap":
                found = client.get("/api/map", params=asked | {"method": method["name"]})
                assert (found.status_code == 200) == (method["unfit"] is None), method["name"]


class Broken(torch.nn.Module):
    """As a net of anyone's make may be: it raises what it likes."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, images):
        raise KeyError(f"no such scale\nfor {tuple(images.shape)}")


def test_a_net_that_raises_is_a_line_and_no_fault_of_ours(own_folder, tmp_path, monkeypatch):
    load = load_run

    def broken(*args, **how):
        run = load(*args, **how)
        return dataclasses.replace(run, net=Broken())

    monkeypatch.setattr("regard.server.nets.load_run", broken)
    (own_folder / RUN / "predictions" / "test.parquet").unlink()
    with serving(own_folder, tmp_path / "cache") as client:
        told = one(client, path="run", run=RUN)
        assert "KeyError: 'no such scale" in told["problem"]
        assert (told["layers"], told["layer"]) == ([], None)
        assert all(method["unfit"] is None for method in told["methods"])
        for path in ("map", "background"):
            status, message = refusal(client.get(f"/api/{path}", params=IMAGE))
            assert status == 400
            assert message.startswith(f"the net of {RUN}: expected a net that runs, found KeyError")
        assert one(client, path="image", **IMAGE)["probabilities"] == []
        photo = io.BytesIO()
        Image.new("RGB", (9, 9)).save(photo, "PNG")
        sent = client.post(f"/api/upload?run={RUN}", content=photo.getvalue(),
                           headers={"Content-Type": "image/png"})  # fmt: skip
        assert refusal(sent)[0] == 400


def test_the_region_of_a_segmenter_is_where_a_class_is(client):
    asked = {"run": "runs/masks", "split": "test", "index": 3}
    numbers = np.asarray(Image.open(io.BytesIO(client.get("/api/mask", params=asked).content)))
    asked |= {"width": 64, "filled": True}
    for number, name in enumerate(one(client, path="run", run="runs/masks")["classes"]):
        answer = client.get("/api/region", params=asked | {"target": name})
        filled = np.asarray(Image.open(io.BytesIO(answer.content)))
        assert (filled == 255 * (numbers == number)).all()
        if number == 0:
            assert client.get("/api/region", params=asked).content == answer.content
    status, message = refusal(client.get("/api/region", params=asked | {"target": "no such"}))
    assert (status, "a class of the run" in message) == (400, True)


def test_the_region_of_a_set_is_that_of_the_label_that_is_named(client):
    asked = {"run": "runs/sets", "split": "test"}
    items = one(client, path="gallery", **asked)["items"]
    item = next(item for item in items if len(item["label"]) > 1 and item["region"])
    told = one(client, path="image", **asked, index=item["index"])
    labels = told["region"]["box_labels"]
    asked |= {"index": item["index"], "width": 64, "filled": True}

    def filled(**more):
        answer = client.get("/api/region", params=asked | more)
        assert answer.status_code == 200, answer.text
        return np.asarray(Image.open(io.BytesIO(answer.content))) > 127

    parts = [filled(target=name) for name in dict.fromkeys(labels)]
    assert len(parts) > 1
    assert (np.any(parts, axis=0) == filled()).all()
    assert all(0 < part.sum() < filled().sum() for part in parts)
    others = set(one(client, path="run", run="runs/sets")["classes"]) - set(labels)
    assert all(not filled(target=name).any() for name in others)
    first = told["probabilities"][0]["class"]
    assert (filled(target="predicted") == filled(target=first)).all()
    assert (filled(target="label") == filled(target=item["label"][0])).all()


@pytest.mark.parametrize("kind", ["sets", "masks"])
def test_scores_are_told_of_each_class_beside_their_means(own, kind):
    client, run = own, load_run(own.folder / "runs" / kind)
    evaluate_run(run, "test", gaze=(Gaze.model_validate(run.config["gaze"]),))
    table = pl.read_parquet(run.files.scores("test"))
    index = table["index"][0]
    rows = table.filter(index=index)
    told = one(client, path="image", run=f"runs/{kind}", split="test", index=index)
    found = told["class_scores"]["gradcam"]
    assert list(found) == rows["label"].to_list()
    for row in rows.iter_rows(named=True):
        energy = found[row["label"]]["energy"]
        assert energy == (None if np.isnan(row["energy"]) else pytest.approx(row["energy"]))
    mean = told["scores"]["gradcam"]["energy"]
    assert mean == pytest.approx(rows["energy"].drop_nans().mean())
    assert one(client, path="image", **IMAGE)["class_scores"] == {}
