"""No test on training images: hashes of the image files that a network was trained on, kept in every checkpoint."""
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..compat.checkpoint_fields import HASH_BYTES
from ..datasets.parts import image_infos, split_settings
from ..devkit import find_split, read_split
from ..devkit.layout import IMAGES
from ..errors import InputError, printable
from .options import parse_config

KEY = 'training_images'  # in the meta data of a checkpoint
ALLOW = '--allow-training-images'


@dataclass(frozen=True)
class Images:
    """Image files as data: SHA-256 of their bytes, its first eight, by name.

    Attributes:
        hashes: By image name; a name may stand for several files.
    """

    hashes: dict[str, list[bytes]]

    @classmethod
    def of(cls, dataset: Any) -> 'Images':
        """The image files of a dataset, through whatever wraps it.

        Raises:
            InputError: If a file cannot be read.
        """
        hashes: dict[str, list[bytes]] = {}
        for path in sorted({info['img_path'] for info in image_infos(dataset)}):
            hashes.setdefault(Path(path).stem, []).append(_digest(path))
        return cls(hashes)

    @classmethod
    def from_meta(cls, meta: dict) -> 'Images':
        """What a checkpoint holds."""
        hashes: dict[str, list[bytes]] = {}
        for name, digest in zip(meta['names'], meta['sha256'].cpu().numpy(), strict=True):
            hashes.setdefault(name, []).append(digest.tobytes())
        return cls(hashes)

    def to_meta(self) -> dict:
        """``names`` and ``sha256``, uint8 (n, 8): what a checkpoint holds."""
        pairs = [(name, digest) for name, digests in sorted(self.hashes.items()) for digest in sorted(digests)]
        data = torch.frombuffer(bytearray(b''.join(digest for _, digest in pairs)), dtype=torch.uint8)
        return dict(names=[name for name, _ in pairs], sha256=data.reshape(-1, HASH_BYTES))

    def __or__(self, other: 'Images') -> 'Images':
        """The images of both."""
        return Images({name: sorted({*self.hashes.get(name, ()), *other.hashes.get(name, ())})
                       for name in {**self.hashes, **other.hashes}})

    def __len__(self) -> int:
        return sum(map(len, self.hashes.values()))

    def equal_to(self, other: 'Images') -> list[str]:
        """Names of the images that are an image of ``other`` byte for byte, under any name."""
        theirs = {digest for digests in other.hashes.values() for digest in digests}
        return sorted(name for name, digests in self.hashes.items() if theirs.intersection(digests))


@HOOKS.register_module()
class TrainingImagesHook(Hook):
    """Keeps in every checkpoint what it was trained on, and refuses to test or validate on that.

    The data of a run that is resumed or fine-tuned, by ``load_from`` or ``init_cfg``, count on. An image is known by
    the bytes of its file. One of an equal name and other bytes is a warning. For a checkpoint without hashes the split
    files are compared that its config names.

    Args:
        allow: Warn instead of refusing. ``--allow-training-images`` of train and test sets it.

    Attributes:
        tested: How many of the images that were tested on the network was trained on; None before a test.

    Raises:
        InputError: Before a test, or a training that validates, on training images.
    """

    def __init__(self, allow: bool = False) -> None:
        if not isinstance(allow, bool):
            raise InputError(f'TrainingImagesHook: allow={allow!r} must be True or False')
        self.allow = allow
        self.tested: int | None = None
        self._trained: Images | None = None
        self._own = Images({})  # that this run trains on
        self._cfg: str | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note what the checkpoint was trained on."""
        meta = checkpoint.get('meta', {})
        self._trained = Images.from_meta(meta[KEY]) if KEY in meta else None
        self._cfg = meta.get('cfg')

    def after_load_pretrained(self, runner: Runner, checkpoint: dict) -> None:
        """Note what weights that an ``init_cfg`` asks for were trained on; a part may have its own."""
        before, cfg = self._trained, self._cfg
        self.after_load_checkpoint(runner, checkpoint)
        if before is not None:
            self._trained = before if self._trained is None else before | self._trained
        self._cfg = self._cfg or cfg

    def before_train(self, runner: Runner) -> None:
        """Add the images of this run; compare those that it validates on."""
        images = Images.of(runner.train_dataloader.dataset)
        if runner._resume and self._trained is not None:
            _require_same_run(runner, images, self._trained)
        validated = Images({}) if runner.val_loop is None else Images.of(runner.val_dataloader.dataset)
        before = self._trained if self._trained is not None else self._from_splits(runner, images | validated)
        self._own = images
        self._trained = before | images
        if runner.val_loop is not None:
            self._compare(runner, 'validated', validated)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write the images into the checkpoint."""
        if self._trained:
            checkpoint['meta'][KEY] = self._trained.to_meta()

    def before_test(self, runner: Runner) -> None:
        """Compare the images that are tested on."""
        self.tested = self._compare(runner, 'tested', Images.of(runner.test_dataloader.dataset))

    def _compare(self, runner: Runner, done: str, images: Images) -> int:
        """Refuse, or where it is allowed report, images that were trained on; returns their number."""
        trained = self._trained if self._trained is not None else self._from_splits(runner, images)
        seen = images.equal_to(trained)
        if seen:
            text = (f'{len(seen)} of the {len(images)} images that are {done} on were trained on '
                    f'({printable(seen[0])}{", …" if len(seen) > 1 else ""})')
            if not self.allow:
                raise InputError(f'{text}: take another split, or {ALLOW} to do so and say so')
            runner.logger.warning(f'{text}: what is measured on them says nothing about other images')
        alike = sorted(set(images.hashes) & set(trained.hashes) - set(seen))
        if alike:
            whose = 'this run' if alike[0] in self._own.hashes else self._source(runner)
            runner.logger.warning(f'{len(alike)} images that are {done} on have the name of an image that {whose} was '
                                  f'trained on, and other bytes ({printable(alike[0])}): make sure that they are other '
                                  'images')
        return len(seen)

    def _source(self, runner: Runner) -> str:
        """Which weights came from elsewhere, and the lists of frames that the config in them names."""
        name = printable(runner._load_from or 'the pretrained network')
        try:
            cfg = parse_config(self._cfg, 'the config of the checkpoint').to_dict() if self._cfg else {}
            lists = [f'{part["ann_file"]} of {part.get("data_root") or "its data"}'
                     for part in split_settings(cfg.get('train_dataloader')) if part.get('ann_file')]
        except InputError:
            lists = []
        return f'{name} ({printable("; ".join(lists))})' if lists else name

    def _from_splits(self, runner: Runner, images: Images) -> Images:
        """For a checkpoint from before images were noted: those that the split files of its config name."""
        if not self._cfg:
            return Images({})
        known = Images({})
        try:
            cfg = parse_config(self._cfg, 'the config of the checkpoint').to_dict()
            here = [part.get('data_root') for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader')
                    for part in split_settings(runner.cfg.get(loader))]
            for part in split_settings(cfg.get('train_dataloader')):
                known |= Images(dict(_named_in(part, here, images)))
        except InputError as error:
            runner.logger.warning(f'What the checkpoint was trained on is not known ({error})')
        return known


def _require_same_run(runner: Runner, images: Images, trained: Images) -> None:
    """Refuse to resume on other images than the run's; some of their names with other bytes are a warning.

    Paths do not count: a devkit may have been moved. An image that could not be read may have been replaced.
    """
    known = {digest for digests in trained.hashes.values() for digest in digests}
    other = [name for name, digests in images.hashes.items() if not known.issuperset(digests)]
    unknown = [name for name in other if name not in trained.hashes]
    text = (f'{len(other)} of the {len(images)} images to train on are not those of the run that is resumed '
            f'({printable((unknown or other or [""])[0])}{", …" if len(other) > 1 else ""})')
    if unknown or 2 * len(other) > len(images):
        raise InputError(f'{text}: a resumed run goes on with its own data; give these, or begin a new run from '
                         f'{printable(runner._load_from or "its checkpoint")} by --from, with another --work-dir')
    if other:
        runner.logger.warning(f'{text}: their files have changed')


def _named_in(settings: dict, roots: Sequence[str | None], images: Images) -> Iterator[tuple[str, list[bytes]]]:
    """The images that a split names, by their files where these are here, and else by their names.

    Args:
        settings: Of the dataset that has the split.
        roots: Folders of the datasets at hand, where the split may be instead.
        images: The images to compare with.

    Raises:
        InputError: If the split is not here, or cannot be read.
    """
    root = str(settings.get('data_root') or '')
    files = [find_split(str(place or ''), settings['ann_file']) for place in (root, *roots)]
    file = next((file for file in files if Path(file).is_file()), None)
    if file is None:
        raise InputError(f'it holds no hashes, and its split {printable(settings["ann_file"])} is not here')
    for name in read_split(file):
        image = Path(root, IMAGES, f'{name}.png')
        yield name, [_digest(image)] if image.is_file() else images.hashes.get(name, [])


def _digest(path: str | Path) -> bytes:
    try:
        return hashlib.sha256(Path(path).read_bytes()).digest()[:HASH_BYTES]
    except OSError as error:
        raise InputError(f'{printable(path)}: cannot be read ({error.strerror})') from error
