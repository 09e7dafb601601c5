"""docs/deploy.md: its programs run where there is no PyTorch, and print the boxes that ``bafenet.load`` gives."""
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT
from onnx_networks import frames_of, write_network

import bafenet
from bafenet.release.onnx_build import Trained, build_onnx

PAGE = (ROOT / 'docs/deploy.md').read_text(encoding='utf-8')
PROGRAMS = dict(re.findall(r'<!-- onnxruntime: (\w+) -->\n```python\n(.*?)\n```', PAGE, flags=re.DOTALL))
# Whatever the program does, these cannot be imported.
WITHOUT = "import sys\nfor name in ('torch', 'torchvision', 'mmdet', 'mmengine', 'mmcv', 'bafenet', 'onnx'):\n" \
    '    sys.modules[name] = None\n'


@pytest.mark.faults
@pytest.mark.parametrize('form', ['nms', 'candidates'])
def test_the_program_prints_the_boxes_of_the_checkpoint(tmp_path, form):
    # The page says 0.05, 0.5 and 100, as the configs do.
    checkpoint = write_network('hr_tiny', tmp_path / 'a.pth', score_thr=0.05)
    (tmp_path / 'a.onnx').write_bytes(build_onnx(Trained.read(str(checkpoint)), nms=form == 'nms'))
    frames = frames_of(2, 75, 101, 1)
    files = [str(tmp_path / f'{number}.png') for number in range(len(frames))]
    for file, frame in zip(files, frames, strict=True):
        cv2.imwrite(file, frame)
    program = WITHOUT + PROGRAMS[form]
    assert len(PROGRAMS[form].splitlines()) <= 33
    done = subprocess.run([sys.executable, '-c', program, str(tmp_path / 'a.onnx'), *files], capture_output=True,
                          text=True, timeout=60)
    assert not done.returncode, done.stderr
    printed = [line.split() for line in done.stdout.splitlines()]
    detector = bafenet.load(checkpoint)
    for file in files:
        expected = detector(file)
        own = np.array([line[1:6] for line in printed if line[0] == file], float)
        assert len(own) == len(expected.boxes) > 3
        np.testing.assert_allclose(own[:, :4], expected.boxes)
        np.testing.assert_allclose(own[:, 4], expected.scores, atol=1e-4)
    if form == 'nms':
        assert {line[6] for line in printed} <= {'sky', 'ground'}
