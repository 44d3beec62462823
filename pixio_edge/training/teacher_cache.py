"""Lessons of a teacher kept on disk, so that it sees each image once, whatever is learnt from it and how often.

A folder of the cache belongs to one teacher (by its weights), one size and one kind of lesson; a file to one image, by
the content of its file. Files are whole or absent, so that a cache can be filled by several runs and go on at any time.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from pixio_edge.errors import InputError
from pixio_edge.files import atomic_path, create_folder
from pixio_edge.training.photos import Photo
from pixio_edge.training.teacher import Lesson, Teacher

# Of the hash of a teacher in the name of its folder: enough to tell any two apart.
HASH_DIGITS = 16


class TeacherCache:
    """Where the lessons of one teacher are.

    Args:
        folder: Of the whole cache; created with the first lesson.
        teacher: Whose lessons.
        tokens: Whether they hold tokens.
    """

    def __init__(self, folder: Path, teacher: Teacher, *, tokens: bool) -> None:
        kind = "tokens" if tokens else "label"
        self.folder = folder / f"{teacher.sha256[:HASH_DIGITS]}-{teacher.side}-{kind}"

    def path_of(self, sha256: str) -> Path:
        """Where the lesson on an image is; at most 256 folders, so that none has millions of files."""
        return self.folder / sha256[:2] / f"{sha256}.npz"

    def get(self, sha256: str) -> Lesson | None:
        """The lesson on an image; None if it was not given yet.

        Raises:
            InputError: The file is damaged.
        """
        path = self.path_of(sha256)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return Lesson(*(arrays.get(name) for name in ("label", "patches", "class_tokens")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: a damaged lesson of a teacher ({error}). Fix: delete the file") from error

    def put(self, sha256: str, lesson: Lesson) -> None:
        """Keep the lesson on an image.

        Raises:
            OutputError: The folder cannot be written.
        """
        parts = {"label": lesson.label, "patches": lesson.patches, "class_tokens": lesson.class_tokens}
        path = self.path_of(sha256)
        create_folder(path.parent)
        with atomic_path(path) as temporary:
            np.savez(temporary, allow_pickle=False, **{name: each for name, each in parts.items() if each is not None})


class Lessons:
    """Lessons on photos: from the cache, else from the teacher, and then into the cache.

    Args:
        teacher: Asked for what is not in the cache.
        tokens: Whether tokens are asked for.
        folder: Of the cache; None: the teacher is asked every time.
    """

    def __init__(self, teacher: Teacher, *, tokens: bool, folder: Path | None = None) -> None:
        self._teacher, self._tokens = teacher, tokens
        self.cache = TeacherCache(folder, teacher, tokens=tokens) if folder is not None else None

    def on(self, photo: Photo) -> Lesson:
        """The lesson on a photo.

        Raises:
            CheckFailedError: The teacher gives values that are not finite.
            InputError: Its file in the cache is damaged.
            OutputError: The cache cannot be written.
        """
        kept = self.cache.get(photo.sha256) if self.cache is not None else None
        if kept is not None:
            return kept
        lesson = self._teacher.teach(photo.rgb, tokens=self._tokens)
        if self.cache is not None:
            self.cache.put(photo.sha256, lesson)
        return lesson
