"""Build the ONNX file of a trained network: its graph, traced, with config and provenance in the metadata."""
import copy
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from bafenet._version import __version__
from bafenet.errors import InputError, printable

from ..datasets.parts import common_pipeline
from ..engine.checkpoints import checkpoint_sha256, find_checkpoint
from ..engine.network import build_network, trained_config
from ..engine.pipeline_steps import step_name
from ..engine.training_images import KEY as TRAINING_IMAGES
from ..models.fuse import fuse_for_prediction
from ..models.onnx_file import MAPS, OnnxMeta, is_onnx, require_onnx
from .export import half_weights, shipped_config
from .onnx_graph import INPUT, DetectorGraph
from .onnx_nms import NmsGraph
from .onnx_resize import FixedPointResize

OPSET = 17
# Sides that no stride divides, so that no size becomes a constant unnoticed.
_TRACED = (2, 72, 104, 1)
# Steps of a test pipeline that read and pack, and so are the caller's.
_OUTSIDE = ('LoadInfraredImage', 'LoadImageFromFile', 'LoadTargetMask', 'PackInfraredInputs', 'PackDetInputs')


@dataclass
class Trained:
    """A trained network, and what is known of it.

    Attributes:
        network: In eval mode, on the CPU.
        cfg: Its config, without what is of one run or machine.
        meta: The checkpoint's ``meta``.
        source: The checkpoint, for messages.
        sha256: Of the checkpoint's bytes; None for an address.
    """

    network: Any
    cfg: Config
    meta: dict
    source: str
    sha256: str | None

    @classmethod
    def read(cls, checkpoint: str) -> 'Trained':
        """Read a checkpoint: a name, a file, an address or a work dir.

        Raises:
            InputError: If there is none, or it cannot be read, holds no config, or does not fit it.
        """
        file = find_checkpoint(checkpoint)
        if is_onnx(file):
            raise InputError(f'{printable(file)} is an ONNX file already; give the checkpoint that it was made of')
        content = CheckpointLoader.load_checkpoint(file, map_location='cpu', logger='silent')
        source, meta = f'checkpoint {printable(file)}', content.get('meta', {})
        cfg = shipped_config(trained_config(content, file), source, strict=False)
        return cls(build_network(cfg, content, file), cfg, meta, source, checkpoint_sha256(file))

    @property
    def size(self) -> tuple[int, int] | None:
        """See :func:`resized_to`."""
        return resized_to(self.cfg)

    def onnx_meta(self, precision: str, nms: bool) -> OnnxMeta:
        """Metadata for the ONNX file."""
        classes = {key.lower(): value for key, value in (self.meta.get('dataset_meta') or {}).items()}.get('classes')
        classes = classes or ('Target', ) * self.network.bbox_head.num_classes
        provenance = {key: value for key, value in (self.meta.get('provenance') or {}).items()
                      if isinstance(value, (str, int, float, type(None)))}
        images = self.meta.get(TRAINING_IMAGES)
        if images is not None:
            digests = [bytes(row).hex() for row in images['sha256'].cpu().numpy()]
            images = dict(names=list(images['names']), sha256=digests)
        return OnnxMeta(config=self.cfg.pretty_text, classes=tuple(map(str, classes)), precision=precision, nms=nms,
                        provenance=dict(provenance, checkpoint=Path(self.source).name, checkpoint_sha256=self.sha256,
                                        bafenet=__version__, torch=torch.__version__), training_images=images)


def build_onnx(trained: Trained, precision: str = 'float32', nms: bool = False) -> bytes:
    """The ONNX file of a trained network, in float32 or float16, bit by bit the same each time.

    Args:
        trained: The network.
        precision: ``'float32'`` or ``'float16'``.
        nms: Put threshold, NMS, maximum and whole pixels inside.

    Raises:
        InputError: If the network, its test pipeline or its NMS cannot be exported, or a weight does not fit float16.
    """
    half = precision == 'float16'
    if half:
        half_weights(trained.network, trained.source)
    # Laid out as a checkpoint is: another layout would show in the file.
    network = copy.deepcopy(trained.network).to(memory_format=torch.contiguous_format)
    fuse_for_prediction(network)
    size = trained.size
    graph: Any = DetectorGraph(network, None if size is None else FixedPointResize(size), half)
    if nms:
        graph = NmsGraph(graph, trained.network.bbox_head.test_cfg)
    return trace(graph.eval(), trained.onnx_meta(precision, nms))


def trace(graph: Any, meta: OnnxMeta) -> bytes:
    """The ONNX file of a graph.

    Args:
        graph: A :class:`~bafenet.release.onnx_graph.DetectorGraph` or
            :class:`~bafenet.release.onnx_nms.NmsGraph`, in eval mode.
        meta: Metadata for the file.
    """
    onnx = require_onnx('onnx')
    frames = torch.arange(int(torch.tensor(_TRACED).prod())).remainder(251).to(torch.uint8).view(_TRACED)
    names: list[str] = graph.output_names
    stream: Any = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter by traces is announced as the old one; the new one needs onnxscript.
        warnings.simplefilter('ignore')
        torch.onnx.export(graph, (frames, ), stream, dynamo=False, opset_version=OPSET, input_names=[INPUT],
                          output_names=names, dynamic_axes=_axes(names))
    return with_meta(onnx.load_model_from_string(stream.getvalue()), meta)


def with_meta(model: Any, meta: OnnxMeta) -> bytes:
    """The bytes of an ONNX model with metadata."""
    onnx = require_onnx('onnx')
    onnx.helper.set_model_props(model, meta.to_props())
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _axes(names: list[str]) -> dict[str, dict[int, str]]:
    """Names of the sizes that are free."""
    frames = {0: 'batch', 1: 'height', 2: 'width'}
    first = {0: 'found'} if 'frame' in names else {0: 'batch'}
    return {INPUT: {**frames, 3: 'channels'},
            **{name: frames if name in MAPS else first for name in names}}


def resized_to(cfg: Config) -> tuple[int, int] | None:
    """Width and height that the test pipeline resizes to; None where it does nothing but read and pack.

    Raises:
        InputError: If it does anything else.
    """
    passed = common_pipeline(cfg, 'test')
    if not passed or not all(isinstance(step, dict) and 'type' in step for step in passed):
        raise InputError('the config has no test pipeline (test_dataloader.dataset.pipeline); give a checkpoint that '
                         'training wrote')
    steps = [step for step in passed if step_name(step) not in _OUTSIDE and 'Annotations' not in step_name(step)]
    if not steps:
        return None
    names = ', '.join(map(step_name, steps))
    if names != 'Resize' or steps[0].get('keep_ratio', False) or set(steps[0]) - {'type', 'scale', 'keep_ratio'}:
        raise InputError(f'the test pipeline of the config has {printable(names)}: only Resize(scale=…, '
                         'keep_ratio=False) can be put into an ONNX file')
    width, height = FixedPointResize(steps[0].get('scale')).size
    return width, height
