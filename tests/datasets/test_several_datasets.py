"""Several datasets at once: draws through ConcatDataset and other wrappers, and the parts of a config's dataset."""
import copy
import pickle
import random

import numpy as np
import pytest
from mmdet.registry import DATASETS, TRANSFORMS
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset

from bafenet.datasets import DenseSIRSTDataset, SampleIndex, SeededVisits
from bafenet.datasets.parts import (
    common_pipeline,
    image_infos,
    loader_parts,
    move_parts,
    part_of,
    part_settings,
    split_names,
    split_settings,
)
from bafenet.engine.runner import DetectionRunner
from bafenet.errors import InputError


@TRANSFORMS.register_module()
class NoteDraws:
    """Replaces a sample by what the global states give, its name and its epoch."""

    def __call__(self, results):
        return dict(img_id=results['img_id'], draws=(random.random(), np.random.rand()), epoch=results.get('epoch'))


@TRANSFORMS.register_module()
class MixTwo:
    """Mixes a sample with one other, as mmdet's Mosaic does."""

    def get_indexes(self, dataset):
        return random.randrange(len(dataset))

    def __call__(self, results):
        other, = results['mix_results']
        return dict(results, draws=(*results['draws'], *other['draws'], other['img_id'], random.random()))


def part(devkit, split='train', **more) -> dict:
    return dict(type='DenseSIRSTDataset', data_root=str(devkit), ann_file=f'Splits/{split}_v2.txt',
                pipeline=[dict(type='NoteDraws')], **more)


def wrapped(kind: str, devkit) -> dict:
    """A wrapper around the tiny devkit's splits."""
    return {
        'ConcatDataset': lambda: dict(type='ConcatDataset', datasets=[part(devkit), part(devkit, 'val')]),
        'twice': lambda: dict(type='ConcatDataset', datasets=[part(devkit), part(devkit)]),
        'RepeatDataset': lambda: dict(type='RepeatDataset', times=2, dataset=part(devkit)),
        'ClassBalancedDataset': lambda: dict(type='ClassBalancedDataset', oversample_thr=1e-3, dataset=part(devkit)),
        'MultiImageMixDataset': lambda: dict(type='MultiImageMixDataset', dataset=part(devkit),
                                             pipeline=[dict(type='MixTwo')]),
        'nested': lambda: dict(type='ConcatDataset', datasets=[
            dict(type='RepeatDataset', times=2, dataset=part(devkit)), part(devkit, 'val')]),
    }[kind]()


KINDS = ['ConcatDataset', 'twice', 'RepeatDataset', 'ClassBalancedDataset', 'MultiImageMixDataset', 'nested']


def visits(settings: dict, workers: int = 0, epochs=(0, 1), **loader) -> list:
    """Every sample of some epochs, as the runner's loader gives them."""
    more = dict(persistent_workers=True, **loader) if workers else {}
    loader = DetectionRunner.build_dataloader(
        dict(dataset=settings, batch_size=3, num_workers=workers, sampler=dict(type='EpochSampler', repeats=2), **more),
        seed=7)
    found = []
    for epoch in epochs:
        loader.sampler.set_epoch(epoch)
        found.append([(name, epoch, draws) for batch in loader for name, epoch, draws in zip(
            batch['img_id'], batch['epoch'], zip(*batch['draws'], strict=True), strict=True)])
    return found


@pytest.mark.parametrize('kind', KINDS)
def test_draws_depend_on_the_visit_alone_whatever_wraps_the_dataset(devkit, kind):
    alone = visits(wrapped(kind, devkit))
    assert visits(wrapped(kind, devkit), workers=2) == alone
    assert visits(wrapped(kind, devkit), epochs=[1]) == alone[1:]  # as after a resume
    seen = [visit for epoch in alone for visit in epoch]
    assert len({visit[2] for visit in seen}) == len(seen)  # copies and parts draw apart
    assert [{visit[1] for visit in epoch} for epoch in alone] == [{0}, {1}]


@pytest.mark.faults
def test_workers_that_start_anew_get_the_dataset_whole(devkit):
    assert visits(wrapped('nested', devkit), workers=1, epochs=[1], multiprocessing_context='spawn') == visits(
        wrapped('nested', devkit), epochs=[1])


def test_no_workers_need_no_settings_of_workers(devkit):
    settings = dict(dataset=part(devkit), batch_size=2, num_workers=0, sampler=dict(type='EpochSampler'),
                    persistent_workers=True, prefetch_factor=4)
    assert len(list(DetectionRunner.build_dataloader(settings, seed=0))) == 4
    assert settings['prefetch_factor'] == 4


@pytest.mark.parametrize('kind', KINDS)
def test_the_global_states_are_left_alone(devkit, kind):
    dataset = SeededVisits(wrapped(kind, devkit))
    random.seed(3), np.random.seed(3)
    expected = random.random(), np.random.rand()
    random.seed(3), np.random.seed(3)
    dataset[SampleIndex(len(dataset) - 1, seed=1)]
    assert (random.random(), np.random.rand()) == expected


def test_a_plain_dataset_stays_as_it_is_and_draws_as_when_wrapped(devkit):
    settings = part(devkit)
    assert SeededVisits.around(settings) is settings
    assert SeededVisits.around(dict(type='Nowhere')) == dict(type='Nowhere')
    index = SampleIndex(5, seed=1, epoch=2, repeat=3)
    assert DATASETS.build(settings)[index] == SeededVisits(settings)[index]


def test_what_a_wrapper_has_and_gets_is_its_datasets_own(devkit):
    dataset = SeededVisits(part(devkit))
    dataset.pipeline = [len]
    assert dataset.dataset.pipeline == [len] and dataset.metainfo['classes'] == ('Target', )
    for same in (pickle.loads(pickle.dumps(SeededVisits(part(devkit)))), copy.deepcopy(SeededVisits(part(devkit)))):
        assert len(same) == 8 and type(same.dataset) is DenseSIRSTDataset
    with pytest.raises(AttributeError):
        dataset.nothing  # noqa: B018


@pytest.mark.parametrize(('others', 'what'), [
    (dict(classes=('Bird', )), 'classes'), (dict(classes=('Target', 'Bird')), 'classes'),
    (dict(palette=[(0, 0, 0)]), 'palette')])
def test_parts_of_different_classes_are_refused_in_a_line(devkit, others, what):
    plain = [dict(part(devkit, lazy_init=True), metainfo=meta) for meta in (None, others)]
    for settings in (dict(type='ConcatDataset', datasets=plain, lazy_init=True),
                     dict(type='SeededVisits', dataset=dict(type='ConcatDataset', datasets=plain, lazy_init=True))):
        with pytest.raises(InputError, match=f'ConcatDataset: its datasets have different {what}: ') as caught:
            SeededVisits(settings)
        assert '\n' not in str(caught.value)


# --- In a config ------------------------------------------------------------------------------------------------------


def loaders(**datasets) -> ConfigDict:
    return ConfigDict({f'{name}_dataloader': dict(dataset=dataset) for name, dataset in datasets.items()})


def test_parts_have_the_keys_by_which_options_reach_them():
    leaf = dict(type='DenseSIRSTDataset', ann_file='a.txt', pipeline=[dict(type='A')])
    cfg = loaders(train=dict(type='MultiImageMixDataset', pipeline=[dict(type='B')], dataset=dict(
        type='ConcatDataset', datasets=[leaf, dict(type='RepeatDataset', dataset=dict(leaf, ann_file='b.txt'))])))
    found = loader_parts(cfg, 'train')
    assert [one.key for one in found] == ['train_dataloader.dataset.dataset.datasets.0',
                                          'train_dataloader.dataset.dataset.datasets.1.dataset']
    assert [[step['type'] for step in one.pipeline] for one in found] == [['A', 'B']] * 2
    assert split_names(cfg.train_dataloader) == 'a.txt, b.txt' and split_names(cfg.get('val_dataloader')) is None
    move_parts(cfg, 'train', 'data/here', '--data-root')
    assert [one['data_root'] for one in split_settings(cfg.train_dataloader)] == ['data/here'] * 2


@pytest.mark.parametrize('settings', [None, 3, 'x', [], {'datasets': 3}, {'dataset': None}, {'datasets': [None, 3]}])
def test_what_is_no_dataset_has_no_parts(settings):
    assert not list(part_settings(settings)) and not list(split_settings(settings))
    assert not list(split_settings(dict(dataset=settings)))


def test_one_folder_for_several_is_refused():
    cfg = loaders(test=dict(datasets=[dict(data_root='a', pipeline=[1]), dict(data_root='b', pipeline=[2])]))
    with pytest.raises(InputError, match=r'^--data-root: test_dataloader has datasets in several folders \(a, b\)'):
        move_parts(cfg, 'test', 'c', '--data-root')
    with pytest.raises(InputError, match=r'datasets.1 has another pipeline than test_dataloader.dataset.datasets.0'):
        common_pipeline(cfg, 'test')


# --- Once built -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('kind', ['ConcatDataset', 'RepeatDataset', 'ClassBalancedDataset', 'nested'])
def test_an_index_leads_to_the_image_that_it_stands_for(devkit, kind):
    dataset = SeededVisits(wrapped(kind, devkit))
    for index in range(len(dataset)):
        own, place = part_of(dataset, SampleIndex(index))
        assert isinstance(own, BaseDataset) and own[place]['img_id'] == dataset[index]['img_id']


def test_a_mixed_sample_is_of_no_one_image(devkit):
    with pytest.raises(InputError, match='MultiImageMixDataset: its samples are mixed'):
        part_of(SeededVisits(wrapped('MultiImageMixDataset', devkit)), 0)


@pytest.mark.parametrize('kind', KINDS)
def test_every_image_is_seen_through_the_wrappers(devkit, kind):
    names = {info['img_id'] for info in image_infos(SeededVisits(wrapped(kind, devkit)))}
    assert names == {f'scene_{i}' for i in range(10 if kind in ('ConcatDataset', 'nested') else 8)}
