"""DenseSIRSTMetric in mmengine: data samples, several processes, the choice of the best checkpoint."""
import json
import multiprocessing

import numpy as np
import pytest
import torch

import bafenet  # noqa: F401  mmdet cannot be imported without it

# isort: split
from metric_samples import DETECTIONS, SCORES, SKY_ABOVE, TRUTH, build, random_samples, sample, sky_map
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import InstanceData, PixelData

from bafenet.errors import InputError
from bafenet.evaluation import DenseSIRSTMetric


def data_sample(truth, detections, scores, img_id='a', dtype=torch.float32):
    one = DetDataSample(metainfo={'img_id': img_id, 'img_path': f'images/{img_id}.png', 'ori_shape': (10, 10)})
    one.gt_instances = InstanceData(bboxes=HorizontalBoxes(torch.tensor(truth).float()),
                                    labels=torch.zeros(len(truth)).long())
    one.ignored_instances = InstanceData()
    one.pred_instances = InstanceData(bboxes=torch.tensor(detections).to(dtype), scores=torch.tensor(scores).to(dtype),
                                      labels=torch.zeros(len(scores)).long())
    one.gt_sem_seg = PixelData(sem_seg=torch.from_numpy(SKY_ABOVE)[None])
    one.pred_sem_seg = PixelData(sem_seg=torch.from_numpy(SKY_ABOVE)[None])
    return one


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_data_samples_through_the_evaluator(dtype):
    evaluator = Evaluator({'type': 'mmdet.DenseSIRSTMetric'})
    evaluator.dataset_meta = {'classes': ('Target',)}
    evaluator.process([data_sample(TRUTH, DETECTIONS, SCORES, name, dtype) for name in 'ab'])
    values = evaluator.evaluate(2)
    assert (values['densesirst/mAP_12'], values['densesirst/FPPI_sky']) == pytest.approx((0.75, 1))
    assert values['densesirst/sky_iou'] == 1


def test_image_results_are_plain_and_unrounded():
    metric = build()
    metric.process(None, [data_sample(TRUTH, [[0.1, 1, 4, 4.123456]], [0.123456789]).to_dict(), sample(img_id=5)])
    metric.evaluate(2)
    first, second = json.loads(json.dumps(metric.image_results))
    assert second == {'img_id': 5, 'boxes': [], 'scores': [], 'labels': [], 'gt_boxes': [], 'gt_labels': []}
    assert first['img_path'] == 'images/a.png' and first['labels'] == [0]
    assert np.float32(first['boxes']).tolist() == [np.float32([0.1, 1, 4, 4.123456]).tolist()]
    assert np.float32(first['scores'][0]) == np.float32(0.123456789)
    assert first['in_sky'] == [True]
    # Two equal maps: intersection and union are the sky of the map.
    assert first['shape'] == [10, 10] and first['sky_overlap'] == [int((SKY_ABOVE == 1).sum())] * 2
    assert (first['gt_boxes'], first['gt_labels']) == (TRUTH, [0] * len(TRUTH))


def test_two_evaluations_do_not_mix():
    metric = build()
    for truth, recall in ((TRUTH, 1), ([[0, 5, 3, 8]], 0)):
        metric.process(None, [sample(truth, TRUTH, [0.9, 0.8])])
        assert metric.evaluate(1)['densesirst/recall'] == recall
        assert len(metric.image_results) == 1


def evaluate_a_share(rank, folder, samples, connection):
    """One of two processes; the sampler repeats the first image so that both get as many."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/init', rank=rank, world_size=2)
    metric = build(collect_dir=str(folder / 'parts'))
    for index in range(rank, len(samples) + 1, 2):
        metric.process(None, [samples[index % len(samples)]])
    values = metric.evaluate(len(samples))
    connection.send((values, metric.image_results))
    torch.distributed.destroy_process_group()


def test_two_processes_give_what_one_gives(tmp_path):
    samples = random_samples(30, num_images=5, num_classes=1, levels=6)
    for one in samples:
        one['gt_sem_seg'] = one['pred_sem_seg'] = sky_map(np.tri(64, dtype=np.uint8))
    metric = build()
    metric.process(None, samples)
    expected = metric.evaluate(5)

    context = multiprocessing.get_context('fork')
    pipes = [context.Pipe(duplex=False) for _ in range(2)]
    processes = [context.Process(target=evaluate_a_share, args=(rank, tmp_path, samples, pipes[rank][1]), daemon=True)
                 for rank in range(2)]
    for process in processes:
        process.start()
    try:
        assert all(receiver.poll(60) for receiver, _ in pipes), 'a process gave no answer'
        (values, image_results), (other_values, _) = (receiver.recv() for receiver, _ in pipes)
    finally:
        for process in processes:
            process.join(10)
            process.kill()
    assert values == other_values == expected
    assert image_results == metric.image_results


class TwoEpochs(BaseModel):
    """Finds 6 of 12 without a false alarm after the first epoch, and 7 after one false alarm after the second."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.epoch = 0

    def forward(self, inputs, mode='tensor'):
        if mode == 'loss':
            return {'loss': self.weight.sum()}
        self.epoch += 1
        truth = [[10 * k, 0, 10 * k + 3, 3] for k in range(12)]
        found = truth[:6] if self.epoch == 1 else [[0, 90, 3, 93], *truth[:7]]
        return [data_sample(truth, found, np.linspace(0.9, 0.2, len(found)).tolist())]


def train(model, work_dir, checkpoint, classes=('Target', )):
    loader = {'dataset': torch.utils.data.TensorDataset(torch.zeros(1)), 'batch_size': 1, 'num_workers': 0,
              'sampler': {'type': 'DefaultSampler', 'shuffle': False}, 'collate_fn': {'type': 'pseudo_collate'}}
    metric = DenseSIRSTMetric()
    metric.dataset_meta = {'classes': classes}
    Runner(model, str(work_dir), train_dataloader=loader, val_dataloader=loader, val_evaluator=[metric],
           train_cfg={'by_epoch': True, 'max_epochs': 2}, val_cfg={},
           optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 1}}, default_hooks={'checkpoint': checkpoint},
           default_scope='mmdet', log_level='WARNING').train()


def test_save_best_on_both_maps(tmp_path):
    train(TwoEpochs(), tmp_path, {'type': 'CheckpointHook', 'rule': 'greater',
                                  'save_best': ['densesirst/mAP_07', 'densesirst/mAP_12']})
    # mAP_07 is 6/11 and then 6/11 · 7/8; mAP_12 is 1/2 and then 7/12 · 7/8 = 0.51.
    assert {path.name for path in tmp_path.glob('best*')} == {
        'best_densesirst_mAP_07_epoch_1.pth', 'best_densesirst_mAP_12_epoch_2.pth'}


class SecondFinds(TwoEpochs):
    """Finds nothing after the first epoch, and drones alone after the second."""

    def forward(self, inputs, mode='tensor'):
        if mode == 'loss':
            return super().forward(inputs, mode)
        self.epoch += 1
        one = data_sample(TRUTH, TRUTH if self.epoch > 1 else [[0.0] * 4][:0], [0.9, 0.8][:2 * (self.epoch - 1)])
        one.gt_instances.labels[1] = 1
        one.pred_instances.bboxes = one.pred_instances.bboxes.reshape(-1, 4)
        return [one]


def test_the_best_of_a_class_and_of_what_an_epoch_does_not_define(tmp_path):
    keys = ['densesirst/AP_12_fast_drone', 'densesirst/AP_12_bird', 'densesirst/precision']
    train(SecondFinds(), tmp_path, {'type': 'AtomicCheckpointHook', 'save_best': keys}, ('fast drone', 'bird'))
    # A bird is found in neither epoch, and the first has as many as the second.
    assert {path.name for path in tmp_path.glob('best*')} == {
        'best_densesirst_AP_12_fast_drone_epoch_2.pth', 'best_densesirst_AP_12_bird_epoch_1.pth',
        'best_densesirst_precision_epoch_2.pth'}


def test_a_class_that_there_is_not_is_refused_before_the_training(tmp_path):
    with pytest.raises(InputError, match='save_best names densesirst/AP_12_plane, which .* choose from .*AP_12_bird'):
        train(SecondFinds(), tmp_path, {'type': 'AtomicCheckpointHook', 'save_best': 'densesirst/AP_12_plane'},
              ('drone', 'bird'))
    assert not list(tmp_path.glob('*.pth'))
