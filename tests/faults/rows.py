"""The table of bad inputs: what is called, how its input is spoiled, and what the line on it must name.

In a command ``KIT`` stands for a copy of the tiny devkit, ``BAD`` for the file that is spoiled, ``OUT`` for an empty
folder, ``NET`` for the checkpoint of a short training, ``GOOD`` for a copy of the weights that ship, ``CONFIG`` for the
demo's, ``ON_KIT`` for the options that set it on the devkit; further ``KEY=VALUE`` may follow.
"""
from typing import NamedTuple

from bad_inputs import ABSENT_CONFIG, CHECKPOINTS, FILES, KITS, LIBRARIES, LOGS, RESULTS, TABLES, Spoil

COMMANDS = {
    'assignment': 'analysis/assignment.py CONFIG --out OUT/counts.json ON_KIT',
    'edges': 'analysis/box_edges.py CONFIG --out OUT/edges.json ON_KIT',
    'calibrate': 'analysis/calibrate.py BAD --out OUT/calibration.json',
    'complexity': 'analysis/complexity.py CONFIG --out OUT/complexity.json',
    'curves': 'analysis/curves.py BAD --out OUT/curves.png',
    'detections': 'analysis/detection_curves.py BAD --out OUT/detections.png',
    'errors': 'analysis/error_types.py BAD --out OUT/errors.json',
    'exchange': 'analysis/exchange.py CONFIG NET --out OUT/exchange.json ON_KIT',
    'predict': 'benchmark.py predict CONFIG --images 1 --shape 64 64 --data-root KIT --out OUT/speed.json',
    'augment': 'benchmark.py augment --config CONFIG --images 1 --data-root KIT --out OUT/speed.json',
    'ops': 'benchmark.py ops --steps 1 --size 64 --out OUT/speed.json',
    'classical': 'classical.py measure KIT --methods Top-Hat --out OUT/classical.json',
    'classical BAD': 'classical.py draw BAD --out OUT/classical.png',
    'browse': 'dataset/browse.py CONFIG --out OUT/sheet.png --count 2 ON_KIT',
    'library': 'dataset/build_library.py KIT --out OUT/library.npz',
    'check': 'dataset/check.py KIT',
    'convert': 'dataset/convert.py BAD OUT/kit --from coco',
    'labels': 'dataset/export_labels.py BAD OUT/labels --to coco',
    'densify': 'dataset/densify.py KIT OUT/dense',
    # A problem that shows only in the midst of the work, after which the same call goes on.
    'densify on': 'dataset/densify.py KIT OUT/run',
    'densify BAD': 'dataset/densify.py KIT OUT/dense --library BAD',
    'sirst-5k': 'dataset/build_sirst5k.py KIT OUT/set --split train_v2',
    'demo': 'dataset/make_demo.py OUT/demo --images 3 --size 96 --workers 1',
    'pseudo sky': 'dataset/pseudo_sky.py KIT --weights BAD',
    'pseudo sky of KIT': 'dataset/pseudo_sky.py KIT --check --json OUT/check.json',
    'recordings': 'dataset/recordings.py KIT --out OUT/splits',
    'stats': 'dataset/stats.py KIT --out OUT/statistics --split train_v2',
    'export': 'export.py BAD OUT/net.pth --command c --commit c',
    'card': 'model_card.py BAD --results OUT/results.json',
    'card BAD': 'model_card.py GOOD --results BAD',
    'frames': 'predict.py KIT/PNGImages --weights BAD --out OUT/predictions',
    'frames of KIT': 'predict.py KIT/PNGImages --out OUT/predictions',
    'maps': 'analysis/feature_maps.py BAD --frames scene --out OUT/maps.png',
    'onnx': 'export.py BAD --onnx OUT/net.onnx',
    'report': 'report.py BAD --out OUT/report.html',
    'reproduce': 'reproduce.py III --protocol demo --data KIT --work-dir OUT/runs --report-only',
    'tables': 'reproduce.py BAD --protocol demo --data KIT --work-dir OUT/runs --report-only',
    'test': 'test.py CONFIG NET --work-dir OUT/run --out OUT/results.json ON_KIT',
    'test BAD': 'test.py CONFIG BAD --work-dir OUT/run --out OUT/results.json ON_KIT',
    'train': 'train.py CONFIG --work-dir OUT/run ON_KIT',
    'train BAD': 'train.py BAD --work-dir OUT/run',
    'resume': 'train.py CONFIG --work-dir OUT/run --resume BAD ON_KIT',
    'own data': 'train.py CONFIG --data KIT --work-dir OUT/run --epochs 1',
    'fine-tune': 'train.py CONFIG --data KIT --from BAD --work-dir OUT/run',
    'pretrained': 'train.py CONFIG --work-dir OUT/run ON_KIT load_from=BAD',
}
XML, IMAGE, SKY, MASK = r'BBox/scene_\w+\.xml', r'PNGImages/scene_\w+\.png', 'SkySeg', 'Mask/scene_'
SPLIT = r'Splits/\w+\.txt'


class Row(NamedTuple):
    """A call that must be refused.

    Attributes:
        command: Key of :data:`COMMANDS`.
        names: Regular expression that the line must match: a file or an option.
        spoiled: What is wrong with the input, for the test's name.
        kit: Spoils the devkit.
        bad: Spoils a file, whose name ends so.
        suffix: See ``bad``.
        more: Further arguments.
    """

    command: str
    names: str
    spoiled: str = ''
    kit: Spoil = None
    bad: Spoil = None
    suffix: str = ''
    more: str = ''

    def __str__(self) -> str:
        return ' '.join(filter(None, (self.command, self.spoiled, self.more))).replace('/', '|')


def options(command: str, *arguments: str) -> list[Row]:
    """Rows of further arguments; a line names their first word, or the key of a setting."""
    return [Row(command, names=words.split('=')[0].split()[0].replace('.', r'\.'), more=words) for words in arguments]


def spoiled(command: str, names: str, part: str, kinds: str = '') -> list[Row]:
    """Rows of spoiled devkits; all kinds of a part where none is named."""
    chosen = [f'{part}: {kind}' for kind in kinds.split(', ')] if kinds else [key for key in KITS if
                                                                             key.startswith(f'{part}: ')]
    return [Row(command, names, kind, kit=KITS[kind]) for kind in chosen]


def files(command: str, suffix: str, spoils: dict, *kinds: str) -> list[Row]:
    """Rows of spoiled files; all kinds where none is named."""
    return [Row(command, f'bad{suffix}', kind, bad=spoils[kind], suffix=suffix) for kind in kinds or spoils]


ANY = ('missing', 'empty', 'html', 'bytes', 'zeros', 'utf-16', 'escapes', 'deep', 'folder', 'pipe', 'device', 'loop',
       'below a file')
FEW = ('missing', 'html', 'folder', 'pipe')

QUICK = [
    # Training on a devkit of one's own
    *spoiled('own data', XML, 'xml', 'html, pipe'), *spoiled('own data', SPLIT, 'split', 'absent image, twice'),
    *files('fine-tune', '.pth', FILES, *FEW), *options('own data', '--splits absent', '--epochs 0'),
    # Files of any kind instead of what a tool reads
    *files('errors', '.json', FILES, *ANY), *files('errors', '.json', RESULTS),
    *files('calibrate', '.json', FILES, *FEW),
    *files('calibrate', '.json', RESULTS, 'score above 1', 'two scores', 'far box', 'nan', 'half'),
    *files('convert', '.json', FILES, 'missing', 'folder'), *files('labels', '.json', FILES, *FEW),
    *files('detections', '.json', FILES, *FEW), *files('report', '.json', FILES, *FEW),
    *files('maps', '.pth', FILES, *FEW), *files('onnx', '.pth', FILES, *FEW),
    *files('curves', '.json', FILES, *ANY), *files('curves', '.json', LOGS),
    *files('densify BAD', '.npz', FILES, *ANY), *files('densify BAD', '.npz', LIBRARIES),
    *files('tables', '.yaml', FILES, *ANY), *files('tables', '.yaml', TABLES), Row(
        'tables', 'absent.py', 'absent config', bad=ABSENT_CONFIG, suffix='.yaml'),
    *files('export', '.pth', FILES, *ANY),
    *files('export', '.pth', CHECKPOINTS, 'truncated', 'compressed', 'foreign class', 'function', 'a list',
           'no weights', 'nan', 'a weight is text', 'meta is text', 'config is a number', 'config is a program'),
    *files('card', '.pth', FILES, *FEW), *files('card BAD', '.json', FILES, *FEW),
    *files('train BAD', '.py', FILES, *FEW), *files('test BAD', '.pth', FILES, 'missing', 'pipe'),
    # Devkits
    *spoiled('check', XML, 'xml'), *spoiled('check', IMAGE, 'image'),
    *spoiled('check', SKY, 'sky', '255, 1x1, turned, 16 bits, html, pipe, folder'),
    *spoiled('check', MASK, 'mask'), *spoiled('check', SPLIT, 'split'),
    *spoiled('densify', IMAGE, 'image', 'half, bomb, html, pipe'),
    *spoiled('densify', XML, 'xml', 'html, other root, nan, too many, pipe'),
    *spoiled('densify on', XML, 'xml', '1e308'),
    *spoiled('densify', SKY, 'sky', '255, 1x1, pipe'), *spoiled('densify', MASK, 'mask', '1x1, html'),
    *spoiled('densify', SPLIT, 'split', 'utf-16, empty, pipe, escapes, twice, a path'),
    *spoiled('densify', 'KIT', 'without', 'sky maps, masks'),
    *spoiled('classical', IMAGE, 'image', 'half, html'), *spoiled('classical', MASK, 'mask', '1x1, html'),
    *files('classical BAD', '.json', FILES, *FEW), *files('classical BAD', '.json', RESULTS, 'nan'),
    *options('classical', '--limit 0', '--workers 0', '--methods absent'),
    Row('classical', 'absent', 'absent split', more='--split absent'),
    *spoiled('sirst-5k', IMAGE, 'image', 'half, bomb, html, pipe'),
    *spoiled('sirst-5k', MASK, 'mask', '1x1, html, pipe'),
    *spoiled('sirst-5k', SPLIT, 'split', 'utf-16, empty, pipe, escapes, twice, a path, absent image'),
    *spoiled('sirst-5k', 'KIT', 'without', 'PNGImages, Splits, masks'),
    *options('sirst-5k', '--size 1', '--seed 4294967296', '--alpha nan', '--window 100000', '--max-variance -1',
             '--target-window 1', '--sheet OUT/sheet',
             '--sheet KIT/Splits/train_v2.txt/sheet.png'),
    Row('sirst-5k', 'absent', 'absent split', more='--split absent'),
    Row('sirst-5k', 'max_mean', more='--min-mean 9 --max-mean 9'),
    *spoiled('library', SPLIT, 'split'), *spoiled('library', 'KIT', 'without', 'PNGImages, Splits'),
    *spoiled('recordings', IMAGE, 'image', 'html, pipe'),
    *spoiled('recordings', 'KIT', 'without', 'PNGImages'),
    # Options and sizes
    *files('frames', '.pth', FILES, *FEW), *files('pseudo sky', '.pth', FILES, *FEW),
    *spoiled('pseudo sky of KIT', SKY, 'sky', '255, 1x1, pipe'), *options('pseudo sky of KIT', '--splits absent',
                                                                          '--bounds 0.9 0.1', '--bounds 0.1 nan'),
    *options('frames of KIT', '--score 2', '--max-detections 0', '--shard 5/4', '--batch 0'),
    *options('demo', '--size 100000', '--size 0', '--images 2', '--images 1000000000000', '--seed -1', '--seed nan',
             '--workers 0', '--workers 100000'),
    *options('densify', '--seed 4294967296', '--region-size 100000', '--num-clusters 0 1',
             '--brightness nan 1', '--max-target-size 0', '--limit -1'),
    Row('densify', 'spacing', more='--spacing 5 1'), Row('densify', 'absent', 'absent split', more='--split absent'),
    Row('densify', 'absent', 'absent sky', more='--sky absent'),
    Row('library', 'passwd', 'split elsewhere', more='--split ../../../etc/passwd'),
    *options('complexity', '--shape 100000 1'), *options('predict', '--shape 0 1'),
    *options('stats', '--workers -1'), *options('ops', '--steps 0', '--size 8', '--device tpu', '--out speed.txt'),
    *options('browse', 'x=1'), *options('reproduce', '--seeds 0', '--rows absent', '--cfg-options x'),
]

VALUES = [
    *options('train', 'train_cfg.max_epochs=abc', 'train_cfg.max_epochs=-1', 'train_cfg.val_interval=0',
             'train_dataloader.batch_size=0', 'train_dataloader.batch_size=2.5', 'train_dataloader.num_workers=-1',
             'train_dataloader.num_workers=100000', 'train_dataloader.dataset.box_origin=2',
             'train_dataloader.dataset.type=NoSuchDataset', 'train_dataloader.sampler.repeats=0',
             'optim_wrapper.optimizer.lr=nan', 'optim_wrapper.optimizer.lr=-1', 'optim_wrapper.optimizer.lr=inf',
             'optim_wrapper.optimizer.type=NoSuchOptimizer', 'optim_wrapper.optimizer.weight_decay=-1',
             'optim_wrapper.clip_grad.max_norm=0', 'param_scheduler.1.T_max=0', 'param_scheduler.0.begin=-1',
             'model.type=NoSuchNetwork', 'model.backbone.depth=19', 'model.backbone.depth=x',
             'model.backbone.base_channels=100000', 'model.neck.out_channels=0', 'model.neck.type=FNP',
             'model.bbox_head.num_classes=0', 'model.bbox_head.strides=[0]', 'model.bbox_head.loss_cls.gamma=nan',
             'model.bbox_head.exchange.ratio=2', 'model.bbox_head.no_such_setting=1', 'model.test_cfg.score_thr=2',
             'model.data_preprocessor.std=[0,0,0]', 'default_hooks.checkpoint.interval=0',
             'default_hooks.checkpoint.max_keep_ckpts=0', 'default_hooks.logger.interval=0',
             'default_hooks.checkpoint.type=NoSuchHook', 'custom_imports.imports=[no_such_module]', 'input_size=5',
             'randomness.seed=-1', 'log_level=LOUD', 'env_cfg.mp_cfg.mp_start_method=x', 'visualizer=3', 'val_cfg=None',
             'runner_type=NoSuchRunner', 'default_scope=nowhere', 'no_such_setting=1',
             'train_dataloader.dataset.pipeline.2.scale=[100000,1]', 'train_dataloader.dataset.pipeline.9.prob=1',
             'val_evaluator.type=NoSuchMetric'),
    Row('train', r'train_cfg\.', 'escapes', more='train_cfg.\x1b[31m=1'),
    *options('test', 'test_dataloader.batch_size=x', 'test_evaluator.fppi_score=nan', 'model.test_cfg.max_per_img=-1',
             'test_dataloader.dataset.test_mode=x'),
    *options('exchange', 'model.test_cfg.nms.iou_threshold=2'), *options('edges', 'train_dataloader=3'),
    *options('assignment', 'model.bbox_head.assign=x'), *options('browse', 'train_dataloader.dataset.pipeline=x'),
]

SLOW = [
    *VALUES[1:],
    *files('resume', '.pth', FILES, *FEW),
    *files('resume', '.pth', CHECKPOINTS, 'truncated', 'compressed', 'function', 'no weights', 'nan', 'epoch is text',
           'hub is text', 'optimizer is a list', 'schedule is text'),
    *files('pretrained', '.pth', FILES, 'missing', 'html'),
    *files('pretrained', '.pth', CHECKPOINTS, 'nan', 'function'),
    *files('test BAD', '.pth', FILES, 'html', 'folder'),
    *files('test BAD', '.pth', CHECKPOINTS, 'truncated', 'nan', 'other shape', 'hashes are text', 'unknown weight'),
    *files('export', '.pth', CHECKPOINTS, 'inf', 'other shape', 'shared memory', 'unknown weight', 'config of another',
           'classes are a number', 'epoch is text', 'weights are text'),
    *files('train BAD', '.py', FILES, *ANY[4:]),
    *spoiled('train', XML, 'xml', 'html, other root, 1e308, nan, text, outside, other class, too many, pipe'),
    *spoiled('train', IMAGE, 'image', 'half, bomb, missing, pipe'),
    *spoiled('train', SKY, 'sky', '255, 1x1, 16 bits, html'),
    *spoiled('train', SPLIT, 'split', 'utf-16, latin-1, escapes, twice, blank, a path, absent image, pipe'),
    *spoiled('test', IMAGE, 'image', 'half, pipe'), *spoiled('test', XML, 'xml', 'html, nan'),
    *spoiled('test', SPLIT, 'split', 'escapes, twice, empty'), *spoiled('test', SKY, 'sky', '255, 1x1'),
    *spoiled('exchange', IMAGE, 'image', 'half'), *spoiled('exchange', SPLIT, 'split', 'utf-16'),
    *spoiled('browse', IMAGE, 'image', 'half'), *spoiled('browse', XML, 'xml', 'html, pipe'),
    *spoiled('edges', XML, 'xml', 'html, nan, pipe'), *spoiled('edges', SPLIT, 'split', 'latin-1'),
    *spoiled('assignment', XML, 'xml', 'html, pipe'), *spoiled('assignment', SPLIT, 'split', 'empty'),
    *spoiled('predict', IMAGE, 'image', 'half'), *spoiled('predict', SPLIT, 'split', 'twice'),
    *spoiled('augment', IMAGE, 'image', 'pipe'), *spoiled('augment', SKY, 'sky', '255'),
    *spoiled('stats', XML, 'xml', 'html, nan, 1e308, pipe'), *spoiled('stats', IMAGE, 'image', 'html, pipe'),
    *spoiled('stats', SPLIT, 'split', 'utf-16, escapes'),
    *options('train', '--launcher pytorch', '--launcher slurm', '--launcher mpi', '--seed 4294967296'),
    *options('test', '--launcher pytorch', '--show'),
    # Outputs
    *[Row(command, f'{option}|{place[3:]}', 'output', more=f'{option} {place}') for command, option in (
        ('check', '--json'), ('check', '--fix-boxes'), ('test', '--show-dir'), ('test', '--work-dir'),
        ('train', '--work-dir'), ('stats', '--out'), ('recordings', '--out'), ('browse', '--out'))
      for place in ('KIT/Splits/train_v2.txt/x', '/proc/x', '/dev/full')],
]
