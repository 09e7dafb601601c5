"""What several tests share: a tiny devkit, the tiny network, the real dataset where it is at hand."""
import gc
import importlib.util
import logging
import os
import pickle
import resource
import shutil
import signal
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

# Before torch: two test processes share two cores.
os.environ.setdefault('OMP_NUM_THREADS', '1')

# A shell ignores it for what it starts in the background, and so would everything that the tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.config import config as mmengine_config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.visualization import Visualizer
from PIL import Image

import bafenet  # noqa: F401
from bafenet.datasets.parts import loader_parts
from bafenet.visualization import SkyLocalVisualizer

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = ROOT / 'data' / 'SIRSTdevkit'


# --- What took half the time of all tests, and is the same each time --------------------------------------------------


def pytest_collection_finish() -> None:
    """Leave what stands now out of every later search for garbage; each dataset that is built asks for one."""
    gc.collect()
    gc.freeze()


def once_for_each_file(read: Callable) -> Callable:
    """Read each file of ``configs/`` once; those of the tests may change."""
    known = {}

    def read_or_copy(filename, *args, **kwargs):
        file = os.path.abspath(filename)
        if not file.startswith(f'{ROOT}/configs/'):
            return read(filename, *args, **kwargs)
        key = repr((file, args, kwargs))
        if key not in known:
            known[key] = pickle.dumps(read(filename, *args, **kwargs))
        return pickle.loads(known[key])

    return read_or_copy


def once_for_each_text(lay_out: Callable) -> Callable:
    """Lay out a config once; a run asks for it five times."""
    once = lru_cache(maxsize=4)(lambda text, style: lay_out(text, style_config=dict(style)))
    return lambda text, style_config: once(text, tuple(style_config.items()))


Config._file2dict = staticmethod(once_for_each_file(Config._file2dict))
mmengine_config.FormatCode = once_for_each_text(mmengine_config.FormatCode)


@pytest.fixture(autouse=True)
def _mmdet_scope():
    init_default_scope('mmdet')
    yield
    # Each run leaves two figures.
    for kind in (Visualizer, SkyLocalVisualizer):
        kind._instance_dict.clear()


def a_third(values: Iterable) -> list:
    """Parameters of a test that is long in all: a third for ``make test``, the others with the long tests."""
    return [value if i % 3 == 0 else pytest.param(value, marks=pytest.mark.faults) for i, value in enumerate(values)]


def train_a_step_and_predict(cfg, devkit: Path):
    """Build a config's network, train a step on two samples of its own pipelines, and predict one sample."""
    torch.manual_seed(0)
    network = MODELS.build(cfg.model)
    # Serialising two samples collects the garbage of the whole test run.
    own = dict(data_root=str(devkit), ann_file='Splits/test_v2.txt', serialize_data=False)
    for part in (*loader_parts(cfg, 'train'), *loader_parts(cfg, 'test')):
        part.settings.update(own)
    train, test = (DATASETS.build(loader.dataset) for loader in (cfg.train_dataloader, cfg.test_dataloader))
    batch = [train[0], train[len(train) - 1]]
    batch = {key: [sample[key] for sample in batch] for key in batch[0]}
    total, _ = network.train().parse_losses(network(**network.data_preprocessor(batch, True), mode='loss'))
    total.backward()
    assert torch.isfinite(total)
    with torch.no_grad():
        sample, = network.eval().test_step({key: [value] for key, value in test[0].items()})
    assert sample.pred_instances.bboxes.shape[1] == 4
    return sample


@pytest.fixture
def notices() -> list[str]:
    """What the code logs from here on."""
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    # The newest instance is the current one, which takes the notices.
    logger = MMLogger.get_instance(f'notices-{id(messages)}', log_level='INFO')
    logger.addHandler(handler)
    return messages


@pytest.fixture
def bounded_memory():
    """One GiB more than there is at the start."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def real_data() -> Path:
    """The real DenseSIRST, or a skip that says so."""
    if not REAL_DATA.is_dir():
        pytest.skip('the real dataset is not at data/SIRSTdevkit')
    return REAL_DATA


def write_devkit(root: Path, samples: dict, splits: dict) -> Path:
    """Write a devkit: ``samples`` maps a name to (image, boxes, sky map), ``splits`` a file stem to names."""
    for folder in ('PNGImages', 'SIRST/BBox', 'SIRST/PaletteMask', 'SkySeg/PaletteMask', 'Splits'):
        (root / folder).mkdir(parents=True)
    for name, (image, boxes, sky) in samples.items():
        cv2.imwrite(str(root / 'PNGImages' / f'{name}.png'), image)
        write_palette(root / 'SkySeg/PaletteMask' / f'{name}.png', sky)
        mask = np.zeros(image.shape[:2], np.uint8)
        for x1, y1, x2, y2 in boxes:
            mask[y1:y2, x1:x2] = 1
        write_palette(root / 'SIRST/PaletteMask' / f'{name}.png', mask)
        (root / 'SIRST/BBox' / f'{name}.xml').write_text(voc_xml(boxes), encoding='utf-8')
    for split, names in splits.items():
        (root / 'Splits' / f'{split}.txt').write_text('\n'.join(names) + '\n', encoding='utf-8')
    return root


def write_palette(path: Path, labels: np.ndarray) -> None:
    """Write labels as a palette PNG."""
    image = Image.fromarray(labels.astype(np.uint8), mode='P')
    image.putpalette([0, 0, 0, 128, 0, 0])
    image.save(path)


def voc_xml(boxes, name: str = 'Target') -> str:
    """A VOC annotation."""
    items = ''.join(f'<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax>'
                    f'<ymax>{y2}</ymax></bndbox></object>' for x1, y1, x2, y2 in boxes)
    return f'<annotation>{items}</annotation>'


def draw_scene(rng: np.random.Generator, size: int = 64, num_targets: int = 4):
    """Bright squares of 6 pixels on a dark sky over a brighter ground: (image, boxes, sky map)."""
    horizon = size * 2 // 3
    image = rng.integers(20, 40, (size, size), dtype=np.uint8)
    image[horizon:] += 60
    sky = np.zeros((size, size), np.uint8)
    sky[:horizon] = 1
    cells = rng.permutation((horizon // 12) * (size // 12))[:num_targets]
    boxes = []
    for cell in cells:
        y, x = divmod(int(cell), size // 12)
        boxes.append((12 * x + 2, 12 * y + 2, 12 * x + 8, 12 * y + 8))
        image[12 * y + 2:12 * y + 8, 12 * x + 2:12 * x + 8] = 220
    return image, boxes, sky


@pytest.fixture(scope='session')
def devkit(tmp_path_factory) -> Path:
    """A devkit of 12 scenes of 64x64: 8 to train, 2 to validate, 2 to test. Not to be changed."""
    rng = np.random.default_rng(0)
    names = [f'scene_{i}' for i in range(12)]
    samples = {name: draw_scene(rng) for name in names}
    splits = {'train_v2': names[:8], 'val_v2': names[8:10], 'test_v2': names[10:], 'trainval_v2': names[:10]}
    return write_devkit(tmp_path_factory.mktemp('devkit') / 'SIRSTdevkit', samples, splits)


@pytest.fixture
def copy(devkit, tmp_path) -> Path:
    """The devkit again, for a test that spoils it; without the libraries that other tests have built in it."""
    return shutil.copytree(devkit, tmp_path / 'SIRSTdevkit', ignore=shutil.ignore_patterns('TargetLibrary'))


@pytest.fixture(scope='session')
def densify_samples() -> dict:
    """The images that the tests of densify.py share: name to (grey image, boxes, sky)."""
    from densify_sources import draw_samples
    return draw_samples()


@pytest.fixture(scope='session')
def densify_source(densify_samples, tmp_path_factory) -> Path:
    """The devkit of these images. Not to be changed."""
    from densify_sources import write_source
    return write_source(tmp_path_factory.mktemp('densify') / 'SIRSTdevkit', densify_samples)


@pytest.fixture(scope='session')
def densified(densify_source, tmp_path_factory) -> tuple:
    """The set made of it, the summary of the run, and the digests of the source before it. Not to be changed."""
    from densify_sources import SEED, contents

    from bafenet.synthesis.densify import densify
    before, out = contents(densify_source), tmp_path_factory.mktemp('densified') / 'dense'
    return out, densify(densify_source, out, seed=SEED), before


@pytest.fixture
def densify_copy(densify_source, tmp_path) -> Path:
    """The source again, for a test that spoils it."""
    return shutil.copytree(densify_source, tmp_path / 'SIRSTdevkit')


def load_tool(path: str):
    """A tool of ``tools/`` as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / 'tools' / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
