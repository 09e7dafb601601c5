"""The contact sheet: the samples that training sees, and which targets were pasted."""
import shutil

import cv2
import numpy as np
import pytest
from conftest import ROOT
from mmdet.registry import DATASETS

from bafenet.datasets import SampleIndex
from bafenet.engine.options import load_config
from bafenet.visualization.browse import CLASS_COLORS, augment, draw_cell, write_contact_sheet
from bafenet.visualization.marks import PASTED_COLOR, SKY_COLOR, TRUE_COLOR


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
    assert has_color(cell, TRUE_COLOR) and has_color(cell, PASTED_COLOR)


def has_color(picture, color):
    return (np.abs(picture.astype(int) - color).sum(axis=2) < 12).any()


def test_the_sheet_is_one_png(cfg, tmp_path):
    samples = write_contact_sheet(cfg, str(tmp_path / 'sheet.png'), count=3, columns=2, cell=96, epoch=0)
    assert len(samples) == 3 and len({sample.name for sample in samples}) == 3
    assert cv2.imread(str(tmp_path / 'sheet.png')).shape == (2 * 96, 2 * 192, 3)


def own_data(cfg, root, **dataset):
    """The config, to read this devkit and to paste nothing."""
    cfg = cfg.copy()
    pipeline = [step for step in cfg.train_dataloader.dataset.pipeline if step.type != 'BAGCopyPaste']
    cfg.train_dataloader = dict(dataset=dict(cfg.train_dataloader.dataset, data_root=str(root), pipeline=pipeline,
                                             **dataset))
    return cfg


def test_samples_without_a_sky_map_have_no_outline(cfg, copy, tmp_path):
    index = SampleIndex(0, seed=1)
    before = augment(DATASETS.build(own_data(cfg, copy).train_dataloader.dataset), index)
    assert has_color(draw_cell(before, 400), SKY_COLOR)
    shutil.rmtree(copy / 'SkySeg')
    cfg = own_data(cfg, copy, sky='none')
    sample = augment(DATASETS.build(cfg.train_dataloader.dataset), index)
    cell = draw_cell(sample, 400)
    assert has_color(cell, TRUE_COLOR) and not has_color(cell, SKY_COLOR)
    np.testing.assert_array_equal(sample.image, before.image)
    # Nor where the pipeline loads none.
    cfg.train_dataloader.dataset.pipeline[1] = dict(type='LoadAnnotations', with_bbox=True)
    samples = write_contact_sheet(cfg, str(tmp_path / 'sheet.png'), count=2, columns=1, cell=64, epoch=0)
    assert all(sample.sky_map is None and len(sample.boxes) for sample in samples)


def test_each_class_has_its_colour_and_is_named(cfg, copy):
    for path in (copy / 'SIRST/BBox').iterdir():
        path.write_text(path.read_text().replace('Target', 'small drone v1.0', 2))
    classes = ('Target', 'small drone v1.0')
    cfg = own_data(cfg, copy, metainfo=dict(classes=classes))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    sample = augment(dataset, SampleIndex(0))
    assert set(sample.labels.tolist()) == {0, 1} and not sample.pasted.any()
    cell, plain = draw_cell(sample, 400, classes), draw_cell(sample, 400)
    assert has_color(cell, CLASS_COLORS[0]) and has_color(cell, CLASS_COLORS[1])
    # The names at the top.
    assert (cell[:48, :200] != plain[:48, :200]).any()


def test_16_bits_are_drawn_as_they_are_trained_on(cfg, copy):
    for path in (copy / 'PNGImages').iterdir():
        cv2.imwrite(str(path.with_suffix('.tif')), cv2.imread(str(path), 0).astype(np.uint16) * 30)
        path.unlink()
    dataset = DATASETS.build(own_data(cfg, copy).train_dataloader.dataset)
    sample, packed = augment(dataset, SampleIndex(0)), dataset[SampleIndex(0)]
    np.testing.assert_array_equal(sample.image, packed['inputs'].numpy().transpose(1, 2, 0)[..., ::-1])
    assert sample.image.max() > 200
