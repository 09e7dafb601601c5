"""The list of what is changed in other libraries: complete, and made once."""
import subprocess
import sys
from pathlib import Path

import mmengine.runner.checkpoint as mmengine_checkpoint
from mmdet.apis import DetInferencer, inference
from mmdet.datasets.transforms import RandomFlip, Resize
from mmdet.registry import OPTIMIZERS
from mmengine.config import Config
from mmengine.fileio import get_file_backend

from bafenet import compat
from bafenet.compat import checkpoint_loading, config_text, file_backend

FOLDER = Path(compat.__file__).parent


def patched() -> list:
    """What each change puts in its place."""
    return [sys.modules['mmcv._ext'], mmengine_checkpoint.CheckpointLoader._schemes[''], mmengine_checkpoint.load_url,
            Config.fromstring, type(get_file_backend('file')), OPTIMIZERS.get('Prodigy'), DetInferencer.visualize,
            DetInferencer._init_pipeline, DetInferencer.pred2dict, DetInferencer._load_weights_to_model,
            inference.load_checkpoint, inference.get_test_pipeline_cfg, Resize.transform, RandomFlip._flip]


def test_each_change_is_made_and_a_second_time_changes_nothing():
    before = patched()
    assert before[1:5] == [checkpoint_loading.load_from_local, checkpoint_loading.load_url,
                           config_text.config_as_data, file_backend.AtomicLocalBackend]
    assert all(hasattr(method, 'moves_target_masks') for method in before[-2:])
    compat.install()
    assert patched() == before


def test_the_list_has_each_module_with_a_change():
    named = {change.make.__module__.rpartition('.')[2] for change in compat.CHANGES}
    files = [*FOLDER.glob('*.py'), *FOLDER.glob('*/__init__.py')]
    written = {file.parent.name if file.stem == '__init__' else file.stem
               for file in files if '\ndef install() -> None:' in file.read_text()}
    assert named == written - {FOLDER.name}
    assert all(change.what and change.why and '\n' not in change.why for change in compat.CHANGES)


# In a new process, with the package's own first import left out.
CODE = '''
import sys, types
package = types.ModuleType('bafenet')
package.__path__ = [sys.argv[1]]
sys.modules['bafenet'] = package
import bafenet.compat
bafenet.compat.install()
import mmcv.ops
import mmdet.models, mmdet.datasets, mmdet.evaluation, mmdet.engine, mmdet.apis, mmdet.visualization
from mmdet.registry import MODELS
from mmengine.utils.dl_utils import mmcv_full_available
print(MODELS.get('FCOS').__name__, mmcv_full_available())
print(*sorted({name.split('.')[1] for name in sys.modules if name.startswith('bafenet.')}))
'''


def test_all_of_mmdet_imports_and_nothing_above_is_imported():
    done = subprocess.run([sys.executable, '-c', CODE, str(FOLDER.parent)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    *_, of_mmdet, of_ours = done.stdout.splitlines()  # the fork of mmdet prints more, before that
    assert of_mmdet == 'FCOS False'
    assert set(of_ours.split()) <= {'arguments', 'compat', 'errors', 'fields', 'fileio', 'reading', 'renamed',
                                    'weights'}
