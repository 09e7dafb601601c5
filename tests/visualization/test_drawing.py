"""Pictures: what is drawn where, and what is left as it was."""
import os

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from bafenet.errors import InputError
from bafenet.visualization import SkyLocalVisualizer, TestPanelHook, draw_sample, save_panel
from bafenet.visualization.drawing import PREDICTED_COLOR, SKY_COLOR, TRUE_COLOR, write_image


def pixels_of(picture, color):
    return np.argwhere((picture == color).all(axis=2))


def test_boxes_surround_their_targets_without_hiding_them():
    image = np.full((32, 48, 3), 100, np.uint8)
    picture = draw_sample(image, true_boxes=[[10, 4, 13, 7]], predicted_boxes=[[10, 4, 13, 7]], min_side=480)
    zoom = 10
    assert picture.shape == (320, 480, 3)
    # One pixel and three pixels outside of [100, 130) x [40, 70).
    for color, gap in ((TRUE_COLOR, 1), (PREDICTED_COLOR, 3)):
        rows, columns = pixels_of(picture, color).T
        assert (columns.min(), rows.min()) == (10 * zoom - gap, 4 * zoom - gap)
        assert (columns.max(), rows.max()) == (13 * zoom + gap - 1, 7 * zoom + gap - 1)
    assert (picture[40:70, 100:130] == 100).all()
    assert (image == 100).all()


def test_the_sky_is_tinted_and_outlined():
    sky = np.zeros((20, 20), np.uint8)
    sky[:10] = 1
    picture = draw_sample(np.full((20, 20, 3), 100, np.uint8), sky_map=sky, min_side=100)
    assert (picture[60:] == 100).all()
    assert (picture[5:45, 5:95] != 100).any(axis=2).all()
    assert len(pixels_of(picture, SKY_COLOR)) > 0


def test_a_large_image_is_not_enlarged_and_nothing_drawn_is_the_image():
    image = np.random.default_rng(0).integers(0, 255, (40, 800, 3), dtype=np.uint8)
    np.testing.assert_array_equal(draw_sample(image), image)


def test_show_dir_writes_a_sample_whose_sky_map_has_both_labels(tmp_path):
    sample = DetDataSample()
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[2.0, 2, 5, 5]]), labels=torch.zeros(1))
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[2.0, 2, 5, 5], [8, 8, 12, 12]]), labels=torch.zeros(2), scores=torch.tensor([0.9, 0.1]))
    sky = torch.zeros(1, 16, 16, dtype=torch.uint8)
    sky[:, :8] = 1
    sample.pred_sem_seg = PixelData(sem_seg=sky)
    visualizer = SkyLocalVisualizer()
    file = tmp_path / 'a.png'
    visualizer.add_datasample('a', np.zeros((16, 16, 3), np.uint8), sample, out_file=str(file), pred_score_thr=0.3)
    picture = cv2.imread(str(file))[..., ::-1]
    zoom = picture.shape[0] // 16
    red = pixels_of(picture, PREDICTED_COLOR)
    assert len(red) and red.max() < 6 * zoom  # The box of score 0.1 is not drawn.
    assert len(pixels_of(picture, TRUE_COLOR))


def test_panel_is_one_png(tmp_path):
    file = tmp_path / 'deep' / 'panel.png'
    save_panel(str(file), [np.full((60, 60, 3), value, np.uint8) for value in (0, 80, 160, 240)], list('abcd'))
    picture = cv2.imread(str(file))
    assert picture is not None and {0, 80, 160, 240} <= set(picture[..., 0].ravel().tolist())
    assert [path.name for path in file.parent.iterdir()] == ['panel.png']


def test_titles_of_a_panel_are_no_formulas(tmp_path):
    save_panel(str(tmp_path / 'panel.png'), [np.zeros((8, 8, 3), np.uint8)] * 2, [r'$\frac{', 'a\x1b[31m$_$'])
    assert cv2.imread(str(tmp_path / 'panel.png')) is not None


@pytest.mark.parametrize('write', [
    lambda file: write_image(file, np.zeros((4, 4, 3), np.uint8)),
    lambda file: SkyLocalVisualizer().add_datasample('a', np.zeros((4, 4, 3), np.uint8), out_file=str(file)),
    lambda file: save_panel(str(file), [np.zeros((4, 4, 3), np.uint8)], ['a'])])
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
