import pytest

from regard.errors import ConfigError, DataError
from regard.importers.imagenet import import_imagenet


def annotation(name, box=(1, 1, 4, 3)):
    sides = "".join(
        f"<{side}>{value}</{side}>"
        for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name><bndbox>{sides}</bndbox></object>"


@pytest.fixture(params=["ILSVRC/", ""], ids=["whole", "inner"])
def challenge(request, tmp_path, picture):
    """Two classes in train, one image of it without an annotation, and a flat val."""
    images = tmp_path / f"{request.param}Data/CLS-LOC"
    boxes = tmp_path / f"{request.param}Annotations/CLS-LOC"

    def write(path, objects):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<annotation><filename>x</filename>{objects}</annotation>")

    for name in ("n01/n01_1", "n01/n01_2", "n02/n02_1"):
        picture(images / "train" / f"{name}.JPEG")
    write(boxes / "train/n01/n01_1.xml", annotation("n01") + annotation("n09", (2, 2, 3, 3)))
    write(boxes / "train/n02/n02_1.xml", annotation("n02", (1, 2, 8, 6)))
    for number in (1, 2):
        picture(images / "val" / f"ILSVRC2012_val_{number}.JPEG")
        write(boxes / f"val/ILSVRC2012_val_{number}.xml", annotation(f"n0{number}"))
    (tmp_path / "LOC_synset_mapping.txt").write_text("n01 tench, Tinca tinca\nn02 goldfish\n")
    return tmp_path


def test_labels_are_folders_and_boxes_of_the_own_class(challenge):
    table = import_imagenet(challenge, root=challenge).table
    assert table["label"].to_list() == ["n01", "n01", "n02", "n01", "n02"]
    assert table["split"].to_list() == ["train"] * 3 + ["val"] * 2
    assert table["boxes"].to_list() == [
        [[0, 0, 4, 3]],
        None,
        [[0, 1, 8, 6]],
        [[0, 0, 4, 3]],
        [[0, 0, 4, 3]],
    ]


def test_classes_words_and_boxed_images_alone(challenge):
    said = []
    table = import_imagenet(
        challenge, root=challenge, classes="n01", boxed=True, words=True, say=said.append
    ).table
    assert table["label"].to_list() == ["tench", "tench"]
    assert table["boxes"].null_count() == 0
    assert said == ["images without a box, left out: 1"]


def test_mistakes(challenge, tmp_path):
    with pytest.raises(ConfigError, match="'n03'"):
        import_imagenet(challenge, root=challenge, classes="n01,n03")
    with pytest.raises(DataError, match="expected a folder"):
        import_imagenet(tmp_path / "none", root=tmp_path)


def test_classes_of_one_first_word_stay_apart(challenge):
    names = "n01 crane, a bird\nn02 crane, a machine\n"
    (challenge / "LOC_synset_mapping.txt").write_text(names)
    table = import_imagenet(challenge, root=challenge, words=True).table
    assert set(table["label"]) == {"crane (n01)", "crane (n02)"}
    (challenge / "LOC_synset_mapping.txt").write_bytes("n01 é".encode("latin-1"))
    with pytest.raises(DataError, match="expected a text in UTF-8"):
        import_imagenet(challenge, root=challenge, words=True)
