"""ONNX files of trained networks: what their metadata say, written and read; a foreign or hostile file is refused."""
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..compat.config_text import parse_config
from ..errors import InputError, first_line, printable
from ..fields import require_dict, require_list, require_text
from ..reading import parse_json, read_bytes

FORMAT = '1'
PREFIX = 'bafenet.'
PRECISIONS = ('float32', 'float16', 'int8')
# Outputs that are maps of each frame.
MAPS = SKY, TARGETS = 'sky_probability', 'target_probability'
MAX_BYTES = 2**31 - 1  # protobuf holds no more
# What onnxruntime brings itself: standard operators, and those that its quantization writes.
_DOMAINS = ('', 'ai.onnx', 'com.microsoft')
_HASH_DIGITS = 16
ANOTHER = 'give one that tools/export.py --onnx wrote'


@dataclass(frozen=True)
class OnnxMeta:
    """What an ONNX file says of its network, in the ``metadata_props``.

    Attributes:
        config: Text of the resolved config, as ``Config.pretty_text``.
        classes: Names of the classes.
        precision: ``'float32'``, ``'float16'`` or ``'int8'``.
        nms: Whether NMS is inside.
        provenance: What it was made of, and how.
        training_images: ``names`` and hexadecimal ``sha256`` (the first 8 bytes) of the images that the network was
            trained on; None where that is not known.
    """

    config: str
    classes: tuple[str, ...]
    precision: str
    nms: bool
    provenance: dict[str, Any] = field(default_factory=dict)
    training_images: dict[str, list[str]] | None = None

    def to_props(self) -> dict[str, str]:
        """Keys and texts for ``metadata_props``, in their order."""
        values = dict(classes=list(self.classes), precision=self.precision, nms=self.nms, provenance=self.provenance,
                      training_images=self.training_images)
        texts = {key: json.dumps(value, sort_keys=True) for key, value in values.items()}
        return {f'{PREFIX}{key}': text for key, text in dict(format=FORMAT, config=self.config, **texts).items()}

    @classmethod
    def from_props(cls, props: dict[str, str], source: str) -> 'OnnxMeta':
        """Read them.

        Raises:
            InputError: If they are none of ours, or damaged.
        """
        own = {key.removeprefix(PREFIX): text for key, text in props.items() if key.startswith(PREFIX)}
        if 'format' not in own:
            raise InputError(f'{source} is none of our networks: {ANOTHER}')
        if own['format'] != FORMAT:
            raise InputError(f'{source} is of the format {printable(own["format"][:20])}, and this version reads '
                             f'{FORMAT}: export it again')
        try:
            values = {key: parse_json(text.encode()) for key, text in own.items() if key not in ('format', 'config')}
            meta = cls(config=own['config'],
                       classes=tuple(require_text(name, 'classes') for name in require_list(values['classes'],
                                                                                            'classes')),
                       precision=require_text(values['precision'], 'precision'),
                       nms=values['nms'],
                       provenance=require_dict(values['provenance'], 'provenance'),
                       training_images=_images(values['training_images']))
            if meta.precision not in PRECISIONS or not isinstance(meta.nms, bool) or not meta.classes:
                raise ValueError('precision, nms or classes are none')
        except (KeyError, ValueError) as error:
            raise InputError(f'{source}: its metadata are damaged ({type(error).__name__}: {first_line(error)}); '
                             f'{ANOTHER}') from error
        return meta

    def to_checkpoint_meta(self) -> dict[str, Any]:
        """What a checkpoint of the network has as ``meta``: ``cfg``, ``dataset_meta``, ``training_images``."""
        meta: dict[str, Any] = dict(cfg=self.config, dataset_meta=dict(classes=self.classes))
        if self.training_images is not None:
            digests = bytes.fromhex(''.join(self.training_images['sha256']))
            hashes = torch.frombuffer(bytearray(digests), dtype=torch.uint8) if digests else torch.empty(
                0, dtype=torch.uint8)
            meta['training_images'] = dict(names=self.training_images['names'], sha256=hashes.view(-1, 8))
        return meta


def _images(value: Any) -> dict[str, list[str]] | None:
    if value is None:
        return None
    names, digests = (require_list(require_dict(value, 'training_images').get(key), key) for key in ('names', 'sha256'))
    if len(names) != len(digests) or not all(isinstance(name, str) for name in names):
        raise ValueError('training_images: as many names as hashes are needed')
    if not all(isinstance(text, str) and len(text) == _HASH_DIGITS and set(text) <= set('0123456789abcdef')
               for text in digests):
        raise ValueError(f'training_images: a hash has {_HASH_DIGITS} hexadecimal digits')
    return dict(names=names, sha256=digests)


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX file of ours, read and checked.

    Attributes:
        data: Its bytes.
        meta: Its metadata.
        outputs: Names of what it gives.
        sha256: Of the bytes, hexadecimal.
    """

    data: bytes
    meta: OnnxMeta
    outputs: tuple[str, ...]
    sha256: str

    def config(self, source: str) -> Config:
        """The config, read as data.

        Raises:
            InputError: If it is more than plain values.
        """
        return parse_config(self.meta.config, source)


def is_onnx(path: Any) -> bool:
    """Whether a name is that of an ONNX file."""
    return Path(str(path)).suffix.lower() == '.onnx'


def require_onnx(name: str = 'onnxruntime') -> Any:
    """The module ``onnx`` or ``onnxruntime``, which are no dependencies of the package.

    Raises:
        InputError: If it is not installed, or does not import.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f'ONNX files need {name}, which cannot be imported ({first_line(error)}): '
                         "pip install 'bafenet[onnx]'") from error


def read_onnx(path: str | Path) -> OnnxFile:
    """Read an ONNX file; nothing in it is run, and no other file is opened for it.

    Raises:
        InputError: If it is missing, damaged, none of ours, or refers to other files or to operators that are none.
    """
    onnx = require_onnx('onnx')
    source = f'ONNX file {printable(path)}'
    data = read_bytes(Path(path).expanduser(), MAX_BYTES)
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's own kinds of errors
        raise InputError(f'{source} cannot be read (truncated or no ONNX file, {type(error).__name__}): '
                         f'{ANOTHER}') from error
    meta = OnnxMeta.from_props({item.key: item.value for item in model.metadata_props}, source)
    _require_self_contained(onnx, model, source)
    return OnnxFile(data, meta, tuple(output.name for output in model.graph.output), hashlib.sha256(data).hexdigest())


def _require_self_contained(onnx: Any, model: Any, source: str) -> None:
    foreign = sorted({node.domain for graph in _graphs(model) for node in graph} - set(_DOMAINS))
    if foreign:
        raise InputError(f'{source} needs operators of {printable(foreign[0])}, which onnxruntime does not bring: '
                         f'{ANOTHER}')
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(onnx, model)):
        raise InputError(f'{source} takes weights from another file, which is not read: {ANOTHER}')


def _graphs(model: Any) -> Iterator[Any]:
    """The nodes of a model's graph, of the graphs below them and of its functions."""
    waiting = [model.graph.node, *(function.node for function in model.functions)]
    while waiting:
        nodes = waiting.pop()
        yield nodes
        for node in nodes:
            for attribute in node.attribute:
                waiting += [graph.node for graph in (attribute.g, *attribute.graphs) if graph.node]


def _tensors(onnx: Any, model: Any) -> Iterator[Any]:
    """Every tensor that a model holds."""
    waiting = [model]
    while waiting:
        message = waiting.pop()
        for descriptor, value in message.ListFields():
            if descriptor.message_type is None:
                continue
            repeated = hasattr(value, '__len__') and not hasattr(value, 'ListFields')
            for item in (value if repeated else [value]):
                if isinstance(item, onnx.TensorProto):
                    yield item
                elif hasattr(item, 'ListFields'):
                    waiting.append(item)
