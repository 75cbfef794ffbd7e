"""The one loop that teaches towers; it can be killed at any moment and goes on to the same numbers.

A run's folder holds `config.json`, `metrics.jsonl`, `last.safetensors` with everything needed to go
on, and at the end `tower.safetensors`, which `--encoder tower:FILE` takes.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from vln import checkpoint
from vln.encoders.networks.tower import Tower
from vln.encoders.weights.towers import write_tower
from vln.errors import BadConfig
from vln.metrics.recall import recall
from vln.pretrain.augment import augmented, plain
from vln.pretrain.config import PretrainConfig
from vln.pretrain.objectives import Contrastive, make
from vln.pretrain.pairs import Pairs
from vln.runs import Run, generator

logger = logging.getLogger(__name__)

LAST: Final = "last.safetensors"
TOWER: Final = "tower.safetensors"
NORM: Final = 10.0
"""Root mean square norm of a finished tower's features: about that of CLIP's, whatever taught it,
so that no agent prefers one for its scale."""
_ADAM: Final = ("exp_avg", "exp_avg_sq", "step")
_BLOCK: Final = 256
SETTLING: Final = 32
"""Batches that set the statistics of normalisation layers and the scale of the features."""


class Pretraining:
    """One tower in training.

    Args:
        config: How.
        pairs: What it learns from.
        unseen: What it is measured on.
        run: Its folder.
    """

    def __init__(self, config: PretrainConfig, pairs: Pairs, unseen: Pairs, run: Run) -> None:
        self.config, self.pairs, self.unseen, self.run = config, pairs, unseen, run
        self.updates, self.seconds = 0, 0.0
        self._device = torch.device(config.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(generator(config.seed, "weights").integers(2**31)))
            made = make(config.objective, pairs.captions)
        self.spec, self.module = made.spec, made.module.to(self._device)
        self.module.to(memory_format=torch.channels_last)
        self._optimizer = self._adam()
        self._order: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._epoch = -1
        if (run.folder / LAST).is_file():
            self._resume()

    @property
    def _size(self) -> tuple[int, int]:
        return self.spec.size, self.spec.size * 4 // 3

    def _adam(self) -> torch.optim.AdamW:
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim > 1]},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        config = self.config
        return torch.optim.AdamW(
            groups, lr=config.lr, betas=(0.9, 0.98), weight_decay=config.weight_decay
        )

    def train(self) -> Path:
        """Trains to the end and gives the tower's file."""
        total = 0 if self.config.objective == "untrained" else self.config.updates
        bar = tqdm(total=total, initial=self.updates, desc=self.config.objective, mininterval=5.0)
        losses = []
        while self.updates < total:
            started = time.perf_counter()
            losses.append(self._update())
            self.seconds += time.perf_counter() - started
            bar.update()
            if self.updates % self.config.evaluate_every == 0 or self.updates == total:
                self._report(float(np.mean(losses)))
                losses.clear()
        bar.close()
        self.run.close()
        return self._finish()

    def _update(self) -> float:
        rows = self._rows(self.updates)
        rng = torch.Generator().manual_seed(
            int(generator(self.config.seed, f"augment {self.updates}").integers(2**31))
        )
        images = torch.from_numpy(self.pairs.images[np.sort(rows)])
        rows_N = torch.from_numpy(np.sort(rows)).to(self._device)
        rate = self._rate(self.updates)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self.module.train()
        features = []
        with self._autocast():
            for _ in range(self.module.crops):
                seen = augmented(images, self.config.augmentation, size=self._size, rng=rng)
                features.append(self.module.pair.image(self._laid_out(seen)))
            loss: Tensor = self.module.loss(features, rows_N)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self._optimizer.step()
        self.module.settle()
        self.updates += 1
        return float(loss.detach())

    def _autocast(self) -> torch.autocast:
        return torch.autocast(
            self._device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"
        )

    def _laid_out(self, images: Tensor) -> Tensor:
        return images.to(self._device, memory_format=torch.channels_last)

    def _rows(self, update: int) -> npt.NDArray[np.int64]:
        """Gives the pictures of an update: each once in an epoch, the rest of one left out."""
        batch = min(self.config.batch, len(self.pairs))
        epoch, place = divmod(update, len(self.pairs) // batch)
        if epoch != self._epoch:
            rng = generator(self.config.seed, f"order {epoch}")
            self._order, self._epoch = rng.permutation(len(self.pairs)), epoch
        return self._order[place * batch : (place + 1) * batch]

    def _rate(self, update: int) -> float:
        config = self.config
        if update < config.warmup:
            return config.lr * (update + 1) / config.warmup
        share = (update - config.warmup) / max(1, config.updates - config.warmup)
        return config.lr * 0.5 * (1 + math.cos(math.pi * share))

    def _report(self, loss: float) -> None:
        """Measures on unseen homes, logs, and writes what is needed to go on."""
        values: dict[str, Any] = {"loss": loss, "minutes": self.seconds / 60}
        if isinstance(self.module, Contrastive):
            values |= self._recall(self.module)
            values["temperature"] = float((-self.module.log_scale).exp().detach())
        self.run.log(self.updates, values)
        told = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        logger.info("%s, update %d: %s", self.config.objective, self.updates, told)
        self._save()

    def _recall(self, module: Contrastive) -> dict[str, float]:
        from vln.encoders.networks.tower import WordTokenizer

        reader = module.pair.text
        assert reader is not None
        module.eval()
        ids = WordTokenizer(self.spec.words, self.spec.max_words)(list(self.unseen.captions))
        with torch.inference_mode(), self._autocast():
            words = [
                reader(part.to(self._device)).float().cpu() for part in torch.split(ids, _BLOCK)
            ]
            seen = [self._see(module.pair.image, rows) for rows in self._unseen_blocks()]
        found = recall(
            torch.cat(seen).numpy(), torch.cat(words).numpy(), self.unseen.captions, among=100
        )
        return {
            "image_to_text_1": found.image_to_text[0],
            "text_to_image_1": found.text_to_image[0],
        }

    def _unseen_blocks(self) -> list[npt.NDArray[np.int64]]:
        rows = np.arange(len(self.unseen))
        return np.array_split(rows, max(1, len(rows) // _BLOCK))

    def _see(self, tower: Tower, rows: npt.NDArray[np.int64]) -> Tensor:
        images = plain(torch.from_numpy(self.unseen.images[rows]), size=self._size)
        features: Tensor = tower(self._laid_out(images))
        return features.float().cpu()

    # Going on after a kill.

    def _save(self) -> None:
        tensors = {f"module.{name}": t for name, t in self.module.state_dict().items()}
        for number, state in self._optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{part}": state[part] for part in _ADAM}
        state = {"updates": self.updates, "seconds": self.seconds, "pairs": self.pairs.identity}
        checkpoint.save(self.run.folder / LAST, tensors=tensors, state=state)

    def _resume(self) -> None:
        tensors, state = checkpoint.load(self.run.folder / LAST)
        if state["pairs"] != self.pairs.identity:
            raise BadConfig(
                f"{self.run.folder} was trained on other pictures or captions. Give it those it "
                "was begun with, or choose another folder with --out."
            )
        weights = {k.removeprefix("module."): v for k, v in tensors.items() if k[:7] == "module."}
        checkpoint.load_weights(self.module, weights, source=self.run.folder / LAST)
        whole = self._optimizer.state_dict()
        numbers = {int(name.split(".")[1]) for name in tensors if name.startswith("adam.")}
        whole["state"] = {
            number: {part: tensors[f"adam.{number}.{part}"] for part in _ADAM} for number in numbers
        }
        self._optimizer.load_state_dict(whole)
        self.updates, self.seconds = int(state["updates"]), float(state["seconds"])
        self.run.rewind(self.updates)

    # The finished tower.

    def _finish(self) -> Path:
        """Settles statistics and scale, and writes the tower alone."""
        tower = self.module.pair.image
        self._settle(tower)
        file = self.run.folder / TOWER
        about = {
            "config": asdict(self.config),
            "updates": self.updates,
            "minutes": round(self.seconds / 60, 2),
            "pairs": self.pairs.identity,
            "curve": self.run.history(),
        }
        tensors = {
            name: tensor
            for name, tensor in self.module.pair.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }
        write_tower(file, tensors, spec=self.spec.as_json(), about=about)
        return file

    @torch.no_grad()
    def _settle(self, tower: Tower) -> None:
        """Sets normalisation statistics to those of plain pictures, and features' size to `NORM`.

        A running mean lags behind weights that move, and nothing has set an untrained tower's.
        """
        rng = generator(self.config.seed, "settling")
        size = min(_BLOCK, len(self.pairs))
        blocks = [
            np.sort(rng.choice(len(self.pairs), size, replace=False)) for _ in range(SETTLING)
        ]
        norms = [module for module in tower.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the batches
        for training in (True, False):
            tower.train(training)
            seen = [tower(self._laid_out(self._plain(rows))).float() for rows in blocks]
        scale = NORM / torch.cat(seen).square().sum(1).mean().sqrt()
        tower.projection.weight.mul_(scale)
        tower.projection.bias.mul_(scale)

    def _plain(self, rows: npt.NDArray[np.int64]) -> Tensor:
        return plain(torch.from_numpy(self.pairs.images[rows]), size=self._size)
