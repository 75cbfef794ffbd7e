"""Released weights: what their files are called, and that they are what was released.

Knows no network, and of where files come from only what the libraries' own tables say.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from vln.encoders.weights.download import download as fetch
from vln.encoders.weights.download import verify
from vln.errors import CannotWrite, MissingWeights, UnknownName


@dataclass(frozen=True)
class Released:
    """A published file of weights.

    Attributes:
        file: What it is called.
        sha256: In hex; of torchvision's files the first eight digits, which their names carry.
        package: In whose table its address is.
        entry: Its name there.
        size_mb: 2**20 bytes; 0 where no source says.
    """

    file: str
    sha256: str
    package: Literal["open_clip", "torchvision"]
    entry: str
    size_mb: int = 0

    @property
    def url(self) -> str:
        """Its address; imports the library, which takes seconds."""
        if self.package == "open_clip":
            import open_clip

            return str(open_clip.get_pretrained_url(self.entry, "openai"))
        import torchvision

        return str(torchvision.models.get_weight(f"{self.entry}.IMAGENET1K_V1").url)

    def __str__(self) -> str:
        size = f", {self.size_mb} MB" if self.size_mb else ""
        digest = "sha256" if len(self.sha256) == _WHOLE else "sha256 beginning with"
        return f"{self.file} ({digest} {self.sha256}{size})"


_WHOLE: Final = 64


def _clip(entry: str, sha256: str) -> Released:
    return Released(f"{entry}.pt", sha256, "open_clip", entry)


RELEASED: Final[Mapping[str, Released]] = MappingProxyType(
    {
        "clip_rn50": _clip(
            "RN50", "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"
        ),
        "clip_rn101": _clip(
            "RN101", "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599"
        ),
        "clip_rn50x4": _clip(
            "RN50x4", "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd"
        ),
        "clip_rn50x16": _clip(
            "RN50x16", "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa"
        ),
        "clip_vit_b32": _clip(
            "ViT-B-32", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
        ),
        "clip_vit_b16": _clip(
            "ViT-B-16", "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"
        ),
        "clip_vit_l14": _clip(
            "ViT-L-14", "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"
        ),
        "imagenet_resnet50": Released(
            "resnet50-0676ba61.pth", "0676ba61", "torchvision", "ResNet50_Weights", 98
        ),
        "imagenet_resnet152": Released(
            "resnet152-394f9c45.pth", "394f9c45", "torchvision", "ResNet152_Weights", 230
        ),
    }
)
"""Encoders with published weights. OpenAI's checksums: github.com/openai/CLIP, clip/clip.py, whose
addresses carry them; the other two are torchvision's original weights (IMAGENET1K_V1)."""


def weights_file(name: str, *, folders: Sequence[Path], download: bool = True) -> Path:
    """Gives the verified file of an encoder's released weights.

    The first that lies in a folder under its official name counts; else it is downloaded into the
    last folder that may be written to.

    Args:
        name: An encoder in `RELEASED`.
        folders: Where it may lie, at least one.
        download: Whether to try that.

    Raises:
        UnknownName: Nothing is released under this name.
        MissingWeights: The file is nowhere, and was not to be had.
        CorruptData: The file that lies there, or that came, has another checksum.
        CannotWrite: No folder takes it.
    """
    if name not in RELEASED:
        raise UnknownName.of("encoder with released weights", name, RELEASED)
    released = RELEASED[name]
    found = _found(released, folders)
    if found is not None:
        verify(found, sha256=released.sha256, remedy=_remedy(released, found))
        return found
    if not download:
        raise MissingWeights(f"no weights for {name}: {missing(name, folders)}.")
    return _downloaded(name, folders)


def missing(name: str, folders: Sequence[Path]) -> str:
    """Gives which file is to be put where, to end a sentence with; "" where nothing is missing.

    Nor is anything missing for an encoder without released weights.
    """
    released = RELEASED.get(name)
    if released is None or _found(released, folders) is not None:
        return ""
    *others, last = folders
    place = f"{last} (or {', '.join(map(str, others))})" if others else f"{last}"
    return f"put {released} into {place}"


def _found(released: Released, folders: Sequence[Path]) -> Path | None:
    files = (folder / released.file for folder in folders)
    return next((file for file in files if file.is_file()), None)


def _remedy(released: Released, file: Path) -> str:
    again = "Remove it, and it is downloaded again"
    if released.package == "open_clip":
        return f"{again}; or, if these weights are meant, name them: --encoder clip:{file}."
    return f"{again}."


def _downloaded(name: str, folders: Sequence[Path]) -> Path:
    released = RELEASED[name]
    file = _writable(released, folders) / released.file
    try:
        fetch(released.url, file, sha256=released.sha256)
    except MissingWeights as error:
        # One sentence: what failed, then what to do about it by hand.
        reason = str(error).rstrip(".")
        raise MissingWeights(
            f"no weights for {name}: {reason}; {missing(name, folders)}."
        ) from error
    return file


def _writable(released: Released, folders: Sequence[Path]) -> Path:
    """Gives the last folder that takes files, or would once it is made."""
    for folder in reversed(folders):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
            return folder
    raise CannotWrite(
        f"{released} is to be downloaded, and none of {', '.join(map(str, folders))} may be "
        "written to. Set VLN_CACHE to a folder that may."
    )
