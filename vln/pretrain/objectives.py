"""What towers are taught: each objective is a module that gives a loss of a batch of pictures.

All of them meet the same trunk and the same D features; what stands behind those is theirs alone
and is thrown away afterwards, save the reader of the contrastive one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vln.encoders.networks.tower import TowerPair, TowerSpec, WordTokenizer
from vln.errors import BadConfig
from vln.pretrain.lexicon import ALL, OBJECTS, label
from vln.text import Vocabulary

# N pictures, D features, K classes, L words

FIRST_TEMPERATURE, LEAST_TEMPERATURE = 0.07, 0.01
"""Of CLIP: where it starts, and where it is held. Source: Radford et al. 2021, section 2.5."""
_CROPS_TEMPERATURE: Final = 0.2
"""Of the self-supervised objective. Source: SimCLR's range, Chen et al. 2020, table 5."""
MIN_COUNT: Final = 5
"""Times that a word occurs in the captions at least, to be in a reader's vocabulary."""


def info_nce(one_ND: Tensor, other_ND: Tensor, *, scale: Tensor | float) -> Tensor:
    """Gives the symmetric cross-entropy of finding each row's partner among all rows.

    Args:
        one_ND: Features of one kind.
        other_ND: Of the other; rows belong together.
        scale: Inverse temperature.

    Source: InfoNCE as in CLIP, Radford et al. 2021, figure 3.
    """
    one = functional.normalize(one_ND.float(), dim=1)
    other = functional.normalize(other_ND.float(), dim=1)
    likeness_NN = scale * one @ other.T
    right = torch.arange(len(one), device=one.device)
    return (
        functional.cross_entropy(likeness_NN, right)
        + functional.cross_entropy(likeness_NN.T, right)
    ) / 2


class Objective(nn.Module):
    """A tower and what teaches it.

    Args:
        spec: Of the tower.

    Attributes:
        crops: How many differently changed copies of each picture a loss takes.
    """

    crops = 1

    def __init__(self, spec: TowerSpec) -> None:
        super().__init__()
        self.pair = TowerPair(spec)

    def loss(self, features: Sequence[Tensor], rows: Tensor) -> Tensor:
        """Gives the loss of a batch.

        Args:
            features: Per crop (N, D), what the tower gives.
            rows: (N,) which of the training pictures they are.
        """
        raise NotImplementedError

    def settle(self) -> None:
        """Keeps what is learnt within its bounds, after an update."""


class Contrastive(Objective):
    """Captions find their pictures and pictures their captions; the temperature is learnt.

    Args:
        spec: Of the tower, with a vocabulary.
        captions: Of all training pictures.
    """

    def __init__(self, spec: TowerSpec, captions: Sequence[str]) -> None:
        super().__init__(spec)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / FIRST_TEMPERATURE)))
        ids = WordTokenizer(spec.words, spec.max_words)(list(captions))
        self.register_buffer("ids", ids, persistent=False)

    def loss(self, features: Sequence[Tensor], rows: Tensor) -> Tensor:
        """Gives `info_nce` between pictures and captions."""
        assert self.pair.text is not None
        ids: Tensor = self.get_buffer("ids")
        return info_nce(features[0], self.pair.text(ids[rows]), scale=self.log_scale.exp())

    @torch.no_grad()
    def settle(self) -> None:
        """Holds the temperature."""
        self.log_scale.clamp_(max=math.log(1 / LEAST_TEMPERATURE))


class Classified(Objective):
    """A linear classifier for every kind of label, each by its mean cross-entropy.

    Several classes may be right: each has an equal share of the target. Pictures of which nothing
    is said of a kind do not count for it.

    Args:
        spec: Of the tower.
        captions: Of all training pictures, which the labels are read off.
        kinds: Of labels.
    """

    def __init__(self, spec: TowerSpec, captions: Sequence[str], kinds: Sequence[str]) -> None:
        super().__init__(spec)
        labels = label(captions, kinds)
        found = {kind: one for kind, one in labels.items() if one.names}
        if not found:
            raise BadConfig(
                "the captions name nothing that a classifier could be told. Use a world of ours."
            )
        self.heads = nn.ModuleDict(
            {kind: nn.Linear(spec.dim, len(one.names)) for kind, one in found.items()}
        )
        for kind, one in found.items():
            self.register_buffer(kind, torch.from_numpy(one.target), persistent=False)

    def loss(self, features: Sequence[Tensor], rows: Tensor) -> Tensor:
        """Gives the sum of the cross-entropies of all kinds of label."""
        features_ND = features[0].float()
        losses = []
        for kind, head in self.heads.items():
            target_NK = self.get_buffer(kind)[rows]
            entropy_N = functional.cross_entropy(head(features_ND), target_NK, reduction="none")
            losses.append(entropy_N.sum() / target_NK.sum().clamp_(min=1))
        return torch.stack(losses).sum()


class Alone(Objective):
    """Two crops of a picture find each other among those of all, without any words.

    Source: SimCLR, Chen et al. 2020 (arXiv:2002.05709), between the two crops only.

    Args:
        spec: Of the tower.
    """

    crops = 2

    def __init__(self, spec: TowerSpec) -> None:
        super().__init__(spec)
        self.head = nn.Sequential(
            nn.Linear(spec.dim, spec.dim), nn.ReLU(), nn.Linear(spec.dim, spec.dim // 2)
        )

    def loss(self, features: Sequence[Tensor], rows: Tensor) -> Tensor:
        """Gives `info_nce` between the crops."""
        del rows
        one, other = (self.head(crop) for crop in features)
        return info_nce(one, other, scale=1 / _CROPS_TEMPERATURE)


@dataclass(frozen=True)
class Made:
    """An objective and the tower that it teaches."""

    spec: TowerSpec
    module: Objective


def make(name: str, captions: Sequence[str]) -> Made:
    """Gives the objective called `name`, its weights drawn by torch's generator.

    All objectives draw the trunk first, so that one seed gives all of them the same one.

    Args:
        name: `contrastive`, `labels`, `told`, `alone` or `untrained`.
        captions: Of all training pictures.
    """
    spec = TowerSpec()
    if name == "contrastive":
        words = Vocabulary.build(captions, min_count=MIN_COUNT).words
        spec = TowerSpec(words=words)
        return Made(spec, Contrastive(spec, captions))
    if name in ("labels", "told"):
        kinds = OBJECTS if name == "labels" else ALL
        return Made(spec, Classified(spec, captions, kinds))
    return Made(spec, Alone(spec) if name == "alone" else Objective(spec))
