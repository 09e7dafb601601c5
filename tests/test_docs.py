"""README and docs: links, anchors, named paths, options and rows lead somewhere; what is marked runs as it stands."""
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', *sorted(ROOT.glob('docs/*.md')),
         *(ROOT / name for name in ('CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', 'data/README.md'))]
# The changelog names what is gone.
CURRENT = [page for page in PAGES if page.name != 'CHANGELOG.md']
# Marks that GitHub does not show: a block that runs, and one that is a file of the user's folder.
BLOCK = re.compile(r'<!-- (quick|file: (?P<file>\S+)) -->\n```(?P<language>\w+)\n(?P<text>.*?)\n```', re.DOTALL)
LINK = re.compile(r'\[[^]]*\]\((?!https?:)([^)\s]+)\)')
# A path of this project in code or text; what ends in a star or braces is a pattern.
PATH = re.compile(r'(?<![\w/.-])((?:bafenet|configs|docs|tests|tools)/(?:[\w./*-]|\{[\w,]*\})*(?:[\w/*]|\{[\w,]*\}))')
OPTION = re.compile(r'(?<![\w-])(--[a-z][\w-]+)')
# Of other programs: torchrun, tensorboard, pip.
FOREIGN_OPTIONS = {'--nproc_per_node', '--logdir', '--no-deps', '--no-build-isolation'}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding='utf-8')


def slugs(text: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r'^#+ (.+)$', re.sub(r'```.*?```', '', text, flags=re.DOTALL), flags=re.MULTILINE)
    plain = [re.sub(r'\[([^]]*)\]\([^)]*\)', r'\1', heading).lower() for heading in headings]
    return {re.sub(r'[^\w\- ]', '', heading).replace(' ', '-') for heading in plain}


def blocks(kind: str, language: str | None = None) -> list[re.Match]:
    """Marked blocks of all pages, ``quick`` or ``file``."""
    return [block for page in PAGES for block in BLOCK.finditer(text_of(page))
            if block[1].startswith(kind) and language in (None, block['language'])]


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    lost = []
    for link in LINK.findall(text_of(page)):
        place, _, anchor = link.partition('#')
        target = page.parent / place if place else page
        if not target.exists() or (anchor and anchor not in slugs(text_of(target))):
            lost.append(link)
    assert not lost


@pytest.mark.parametrize('page', CURRENT, ids=name_of)
def test_every_named_path_exists(page):
    made = {block['file'] for block in blocks('file')}
    lost = []
    for name in PATH.findall(text_of(page)):
        base = page.parent if (page.parent / name).exists() else ROOT
        pattern = re.sub(r'\{[^}]*\}', '*', name)
        if name not in made and not any(base.glob(pattern.rstrip('/'))):
            lost.append(name)
    assert not lost


@pytest.mark.parametrize('page', CURRENT, ids=name_of)
def test_every_named_option_is_one_of_a_tool(page):
    code = '\n'.join(text_of(file) for place in ('tools', 'bafenet_command') for file in ROOT.glob(f'{place}/**/*.py'))
    known = set(OPTION.findall(code)) | {'--help', '--traceback'} | FOREIGN_OPTIONS
    lost = sorted(set(OPTION.findall(text_of(page))) - known)
    assert not lost


def test_every_named_row_is_in_a_table():
    tables = '\n'.join(text_of(file) for file in ROOT.glob('configs/tables/*.yaml'))
    known = set(re.findall(r'\bkey: ([\w.-]+)', tables))
    text = '\n'.join(map(text_of, PAGES))
    own = set(re.findall(r'\bkey: (\w+)', text))  # in an example of a table
    named = {row for rows in re.findall(r'--rows?((?: [a-z]\w+)+)', text) for row in rows.split()}
    lost = sorted(named - known - own)
    assert named
    assert not lost


def test_the_front_page_is_short():
    assert len((ROOT / 'README.md').read_bytes()) <= 10_000


def test_every_page_is_in_the_index():
    linked = set(LINK.findall(text_of(ROOT / 'docs/index.md')))
    assert {page.name for page in ROOT.glob('docs/*.md')} - {'index.md'} <= linked


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """What a user has who follows the pages: a checkout, and the files that the pages have them write."""
    folder = tmp_path_factory.mktemp('checkout')
    for name in ('bafenet', 'bafenet_command', 'tools'):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / 'configs', folder / 'configs', ignore=shutil.ignore_patterns('__pycache__'))
    for block in blocks('file'):
        (folder / block['file']).write_text(block['text'] + '\n', encoding='utf-8')
    return folder


def run(command: list[str], folder: Path) -> str:
    environment = dict(os.environ, PYTHONPATH='.', OMP_NUM_THREADS='1')
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout


# One process imports, and each command runs in a child of its own.
COMMANDS = """
import os, runpy, sys
import bafenet.reproduction.reproduce
for argv in {!r}:
    pid = os.fork()
    if not pid:
        sys.argv = argv
        runpy.run_path(argv[0], run_name='__main__')
        os._exit(99)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert not status, (argv, status)
"""


def test_quick_commands_run(folder):
    calls = [shlex.split(line) for block in blocks('quick', 'sh') for line in block['text'].splitlines()]
    assert calls and {call[0] for call in calls} == {'python'}
    run([sys.executable, '-c', COMMANDS.format([call[1:] for call in calls])], folder)


TRY_EXAMPLES = """
import pathlib
import cv2, numpy as np, torch
import bafenet
from bafenet.engine.options import load_config
from mmdet.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from mmengine.registry import init_default_scope

init_default_scope('mmdet')
configs = {file.stem: load_config(str(file)) for file in sorted(pathlib.Path('configs').glob('*.py'))}
assert sorted(configs) == CONFIGS, 'an example that is not tried'
head = MODELS.build(configs['my_exchange'].model).bbox_head
x = torch.rand(2, head.feat_channels, 8, 8)
assert [y.shape for y in head.exchange(x, x)] == [x.shape, x.shape]
assert configs['my_network'].model.bbox_head.exchange.ratio == 0.25
assert MODELS.build(configs['my_detector'].model).bbox_head.num_classes == 1

steps = configs['my_paste'].train_dataloader.dataset.pipeline
step, = (step for step in steps if step['type'] == 'HorizonCopyPaste')
paste = TRANSFORMS.build(dict(step, library=[np.full((3, 3), 200, np.uint8)]))
sky = np.ones((192, 192), np.uint8)
sky[140:] = 0
sample = dict(img=np.full((192, 192), 50, np.uint8), gt_seg_map=sky, gt_bboxes=np.zeros((0, 4), np.float32),
              gt_bboxes_labels=np.zeros(0, np.int64), gt_ignore_flags=np.zeros(0, bool))
boxes = paste(sample)['gt_bboxes']
assert len(boxes) and boxes[:, 1].min() >= 100 and boxes[:, 3].max() <= 140

first, second = map(METRICS.build, configs['my_metric'].test_evaluator)
second.process(None, [dict(pred_instances=dict(scores=torch.tensor([0.9, 0.1])), gt_instances=dict(labels=[0, 0]))])
assert second.evaluate(1) == {'count/error': 1.0}

for name in ('images', 'masks', 'splits'):
    pathlib.Path('data/masks', name).mkdir(parents=True)
mask = np.zeros((64, 80), np.uint8)
mask[10:13, 20:24] = 255
cv2.imwrite('data/masks/images/a.png', mask), cv2.imwrite('data/masks/masks/a.png', mask)
pathlib.Path('data/masks/splits/train.txt').write_text('a\\n')
sample = DATASETS.build(configs['my_dataset'].train_dataloader.dataset)[0]['data_samples']
assert sample.gt_instances.bboxes.tensor.shape == (1, 4)

settings = dict(configs['my_masks'].train_dataloader.dataset, data_root='data/masks', holdout=0)
sample = DATASETS.build(settings)[0]['data_samples']
assert sample.gt_instances.bboxes.tensor.shape == (1, 4) and set(np.unique(sample.gt_sem_seg.sem_seg)) == {255}
assert configs['my_masks'].val_dataloader.dataset.held_out and 'box_origin' not in settings

assert configs['my_devkit'].train_dataloader.dataset.data_root == 'data/mine'

from bafenet.devkit.conversion.convert import ConvertOptions, convert
source = pathlib.Path('source')
for name in ('images', 'masks', 'sky', 'lists'):
    (source / name).mkdir(parents=True)
for split in ('train', 'val', 'test'):
    (source / f'lists/{split}.txt').write_text(split)
    for kind, values in (('images', mask), ('masks', mask), ('sky', mask * 0 + 1)):
        cv2.imwrite(f'source/{kind}/{split}.png', values)
for out, more in (('first', dict(sky='sky')), ('second', {})):
    options = ConvertOptions(images='images', masks='masks', one_class='drone', splits='lists', **more)
    convert(source, f'data/{out}', 'masks', options)
cfg = configs['my_devkits']
for loader, frames in (('train', 4), ('val', 2), ('test', 2)):
    dataset = DATASETS.build(cfg[f'{loader}_dataloader'].dataset)
    samples = [dataset[number]['data_samples'] for number in range(len(dataset))]
    assert len(samples) == frames and dataset.metainfo['classes'] == ('drone', )
    skies = [set(np.unique(sample.gt_sem_seg.sem_seg)) for sample in samples]
    assert skies[0] == {1} and all(sky == {255} for sky in skies[1:])
assert MODELS.build(cfg.model).bbox_head.num_classes == 1
"""


def test_python_examples_work(folder):
    texts = [block['text'] for block in blocks('quick', 'python')]
    configs = sorted(Path(block['file']).stem for block in blocks('file') if block['file'].startswith('configs/'))
    assert texts and configs
    # One process, because the imports take seconds; each block with names of its own.
    script = f'for text in {texts!r}:\n    exec(text, {{}})\nCONFIGS = {configs!r}\n{TRY_EXAMPLES}'
    run([sys.executable, '-c', script], folder)
