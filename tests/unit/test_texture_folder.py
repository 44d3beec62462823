from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from texture_making import write_textures

from pixio_edge.errors import InputError
from pixio_edge.scenes.texture_folder import list_textures


def content(text: bytes) -> Callable[[Path], None]:
    return lambda index: index.write_bytes(text) and None


def folder_in_its_place(index: Path) -> None:
    index.unlink()
    index.mkdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (content(b"file,tag\nwood.png,h\xf6lzern\n"), r"index\.csv': cannot be read .*expected a CSV file in UTF-8"),
        (content(b"file,tag\n" + b"x" * 200_000), r"index\.csv': cannot be read .*limit"),
        (folder_in_its_place, r"index\.csv': cannot be read \(Is a directory\)"),
        (content(b"tag,file\nwood\n"), r"index\.csv', line 2: got file '' and tag 'wood', expected both"),
        (content(b"file,tag\nwood.png,wood\nbrick.png\n"), r"line 3: got file 'brick\.png' and tag ''"),
        (content(b"file,tag,author\n,wood,Me\n"), r"line 2: got file '' and tag 'wood'"),
        (content(b""), "got no column file, tag"),
    ],
)
def test_index_is_refused_in_one_line_when_it_is_damaged(
    damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    write_textures(tmp_path)
    damage(tmp_path / "surfaces" / "index.csv")

    with pytest.raises(InputError, match=message) as caught:
        list_textures(tmp_path)

    assert "\n" not in str(caught.value)
    assert "Fix: " in str(caught.value)


def test_index_of_a_spreadsheet_is_read_with_its_byte_order_mark(tmp_path: Path) -> None:
    write_textures(tmp_path)
    (tmp_path / "surfaces" / "index.csv").write_text("file,tag\nwood.png,wood\n", encoding="utf-8-sig")

    found = [image for image in list_textures(tmp_path) if image.group == "surfaces"]

    assert [(str(image.file), image.tag, image.licence) for image in found] == [("surfaces/wood.png", "wood", "")]
