"""The contact sheet: the samples that training sees, and which targets were pasted."""
import cv2
import numpy as np
import pytest
from conftest import ROOT
from mmdet.registry import DATASETS

from bafenet.datasets import SampleIndex
from bafenet.engine.options import load_config
from bafenet.visualization.browse import augment, draw_cell, write_contact_sheet
from bafenet.visualization.marks import PASTED_COLOR, TRUE_COLOR


@pytest.fixture(scope='module')
def cfg(devkit, tmp_path_factory):
    cfg = load_config(str(ROOT / 'configs/demo/bafenet_r18_demo_bagcp.py'))
    dataset = cfg.train_dataloader.dataset
    dataset.data_root = str(devkit)
    dataset.pipeline[2].library = str(tmp_path_factory.mktemp('library') / 'library.npz')
    return cfg


def test_a_sample_is_what_training_gets_for_the_same_visit(cfg):
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    for epoch in range(4):
        index = SampleIndex(2, seed=1, epoch=epoch)
        sample, packed = augment(dataset, index), dataset[index]
        image = packed['inputs'].numpy().transpose(1, 2, 0)[..., ::-1]
        np.testing.assert_array_equal(sample.image, image)
        np.testing.assert_array_equal(sample.boxes, packed['data_samples'].gt_instances.bboxes.numpy())
        present = len(dataset.get_data_info(2)['instances'])
        assert (~sample.pasted).sum() == present and sample.pasted[present:].all()


def test_a_cell_shows_both_kinds_of_box(cfg):
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    samples = [augment(dataset, SampleIndex(i)) for i in range(8)]
    sample = next(sample for sample in samples if sample.pasted.any())
    cell = draw_cell(sample, 768)
    assert cell.shape == (768, 1536, 3)
    for color in (TRUE_COLOR, PASTED_COLOR):
        assert (np.abs(cell.astype(int) - color).sum(axis=2) < 12).any()


def test_the_sheet_is_one_png(cfg, tmp_path):
    samples = write_contact_sheet(cfg, str(tmp_path / 'sheet.png'), count=3, columns=2, cell=96, epoch=0)
    assert len(samples) == 3 and len({sample.name for sample in samples}) == 3
    assert cv2.imread(str(tmp_path / 'sheet.png')).shape == (2 * 96, 2 * 192, 3)
