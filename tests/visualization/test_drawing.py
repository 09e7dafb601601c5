"""Picture files, the visualizer of --show-dir and the demo's panel: what they draw, and that files are whole."""
import os

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from bafenet.datasets import LoadInfraredImage, PackInfraredInputs
from bafenet.errors import InputError
from bafenet.visualization import SkyLocalVisualizer, TestPanelHook, draw_overlay, tile, write_image
from bafenet.visualization.overlay import lay_out
from bafenet.visualization.samples import as_seen, frame_of, layers_of


@pytest.fixture
def sample():
    sample = DetDataSample()
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[2.0, 2, 5, 5]]), labels=torch.zeros(1))
    sample.ignored_instances = InstanceData(bboxes=torch.tensor([[9.0, 9, 12, 12]]), labels=torch.zeros(1))
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[2.0, 2, 5, 5], [8, 8, 12, 12]]), labels=torch.zeros(2), scores=torch.tensor([0.9, 0.1]))
    sky = torch.zeros(1, 16, 16, dtype=torch.uint8)
    sky[:, :8] = 1
    sample.pred_sem_seg, sample.gt_sem_seg = PixelData(sem_seg=sky), PixelData(sem_seg=1 - sky)
    return sample


def loaded(path, **settings):
    """A data sample as a test pipeline makes it, with a prediction of nothing."""
    sample = PackInfraredInputs(meta_keys=('img_path', ))(LoadInfraredImage(**settings)(dict(img_path=str(path))))
    data_sample = sample['data_samples']
    data_sample.pred_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0), scores=torch.zeros(0))
    return data_sample, sample['inputs'].numpy()


def test_layers_are_what_a_sample_has(sample):
    layers = layers_of(sample)
    assert layers.keys() == {'true_boxes', 'ignored_boxes', 'true_sky', 'boxes', 'scores', 'sky'}
    assert layers['true_boxes'].tolist() == [[2, 2, 5, 5]] and layers['scores'].tolist() == pytest.approx([0.9, 0.1])
    np.testing.assert_array_equal(layers['sky'], 1 - layers['true_sky'])
    assert layers_of(sample, truth=False).keys() == {'boxes', 'scores', 'sky'}
    assert layers_of(sample, prediction=False).keys() == {'true_boxes', 'ignored_boxes', 'true_sky'}
    assert layers_of(DetDataSample()) == {}


def test_show_dir_writes_the_overlay_of_a_sample(tmp_path, sample):
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    visualizer = VISUALIZERS.build(dict(type='SkyLocalVisualizer', name='own', insets=3, stretch=None, side=200))
    file = tmp_path / 'a.png'
    visualizer.add_datasample('a', image, sample, out_file=str(file), pred_score_thr=0.3)
    expected = draw_overlay(image, **layers_of(sample), title='a', min_score=0.3, insets=3, stretch_to=None, side=200)
    np.testing.assert_array_equal(cv2.imread(str(file))[..., ::-1], expected)
    visualizer.add_datasample('a', image, sample, draw_gt=False, out_file=str(file), pred_score_thr=0)
    expected = draw_overlay(image, **layers_of(sample, truth=False), title='a', insets=3, stretch_to=None, side=200)
    np.testing.assert_array_equal(cv2.imread(str(file))[..., ::-1], expected)


@pytest.mark.parametrize('settings', [{}, dict(percentiles=(5, 60)), dict(value_range=(7000, 9000))])
def test_a_frame_of_16_bits_is_drawn_as_the_network_sees_it(tmp_path, settings):
    deep = np.random.default_rng(0).integers(7000, 7400, (20, 24), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / 'deep.png'), deep)
    sample, inputs = loaded(tmp_path / 'deep.png', **settings)
    dark = cv2.imread(str(tmp_path / 'deep.png'))  # as mmdet's hook reads it
    assert dark.max() <= 28
    image, levels = as_seen(dark, sample)
    np.testing.assert_array_equal(image.transpose(2, 0, 1), inputs)
    np.testing.assert_array_equal(frame_of(sample)[0], image)
    assert levels == settings.get('value_range', levels) and 6900 < levels[0] < levels[1] <= 9000
    visualizer = SkyLocalVisualizer(stretch=None)
    visualizer.add_datasample('deep', dark, sample, out_file=str(tmp_path / 'out.png'))
    scale = int(lay_out(24, 20, 0).scale)
    frame = cv2.imread(str(tmp_path / 'out.png'))[:20 * scale:scale, :24 * scale:scale, 0]
    np.testing.assert_array_equal(frame, inputs[0])


def test_an_image_of_8_bits_is_drawn_as_it_is_given(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (20, 24, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    other = 255 - image
    assert as_seen(other, loaded(tmp_path / 'a.png')[0]) == (other, None)
    assert as_seen(other, DetDataSample()) == (other, None) == as_seen(other, None)
    sample = DetDataSample(metainfo=dict(img_path='s3://bucket/a.png'))
    assert as_seen(other, sample) == (other, None)


def test_pictures_of_any_sizes_stand_side_by_side():
    pictures = [np.full((height, width, 3), value, np.uint8)
                for value, (height, width) in enumerate([(4, 6), (2, 3), (4, 5)], 1)]
    sheet = tile(pictures, 2, (9, 9, 9))
    assert sheet.shape == (8, 12, 3)
    assert (sheet[:4, :6] == 1).all() and (sheet[:2, 6:9] == 2).all() and (sheet[4:, :5] == 3).all()
    assert (sheet[2:4, 6:] == 9).all() and (sheet[:, 9:] == 9).all() and (sheet[4:, 5:] == 9).all()
    assert tile(pictures[:1], 5).shape == (4, 6, 3)


def test_the_panel_holds_the_overlay_of_each_image(tmp_path):
    for i in range(3):
        image = np.random.default_rng(i).integers(0, 255, (20, 24), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f'{i}.png'), image)
    lines = []
    runner = type('Runner', (), dict(work_dir=str(tmp_path / 'deep'), test_dataloader=range(3),
                                     logger=type('Logger', (), dict(info=lines.append))))
    hook = TestPanelHook(num_images=2, insets=1, side=100)
    hook.before_test_epoch(runner)
    samples = []
    for i in range(3):
        samples.append(loaded(tmp_path / f'{i}.png')[0])
        samples[-1].set_metainfo(dict(img_id=f'image {i}'))
        hook.after_test_iter(runner, i, {}, samples[-1:])
    hook.after_test_epoch(runner, {})
    panel = cv2.imread(str(tmp_path / 'deep/predictions.png'))[..., ::-1]
    chosen = [draw_overlay(frame_of(samples[i])[0], boxes=np.zeros((0, 4)), title=f'image {i}', insets=1, side=100)
              for i in (0, 1)]
    np.testing.assert_array_equal(panel, np.hstack(chosen))
    assert len(lines) == 1 and [path.name for path in (tmp_path / 'deep').iterdir()] == ['predictions.png']


@pytest.mark.parametrize('write', [
    lambda file: write_image(file, np.zeros((4, 4, 3), np.uint8)),
    lambda file: SkyLocalVisualizer().add_datasample('a', np.zeros((4, 4, 3), np.uint8), out_file=str(file))])
def test_a_picture_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path, monkeypatch, write):
    for file in ('/proc/a.png', '/dev/full/a.png'):
        with pytest.raises(OSError):
            write(file)

    def full(*handles):
        raise OSError(28, os.strerror(28))

    (tmp_path / 'a.png').write_text('precious')
    monkeypatch.setattr('bafenet.fileio.os.fsync', full)
    with pytest.raises(OSError, match='No space left on device'):
        write(tmp_path / 'a.png')
    assert [path.name for path in tmp_path.iterdir()] == ['a.png']
    assert (tmp_path / 'a.png').read_text() == 'precious'


def test_a_picture_of_no_known_format_is_refused(tmp_path):
    for name in ('a', 'a.xyz', 'a.'):
        with pytest.raises(InputError, match='give a name that ends in .png'):
            write_image(tmp_path / name, np.zeros((4, 4, 3), np.uint8))
    assert not any(tmp_path.iterdir())


def test_the_file_of_the_panel_is_asked_about_before_the_test(tmp_path):
    runner = type('Runner', (), dict(work_dir=str(tmp_path)))
    TestPanelHook().before_test(runner)
    (tmp_path / 'predictions.png').mkdir()
    with pytest.raises(InputError, match='predictions.png: is a folder'):
        TestPanelHook().before_test(runner)
