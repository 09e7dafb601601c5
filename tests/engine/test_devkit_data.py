"""--data: the splits, classes and sky maps of a devkit found, and what of a config becomes of them."""
import pytest
from conftest import ROOT
from mmdet.registry import DATASETS
from own_devkits import own_devkit

from bafenet.devkit import read_split
from bafenet.engine.devkit_data import data_settings, find_data
from bafenet.engine.devkit_lists import data_lines, require_validation, write_lists
from bafenet.engine.options import load_config
from bafenet.errors import InputError

HR = str(ROOT / 'configs/bafenet/bafenet_hr_tiny_densesirst.py')
NAMES = [f'clip {number // 2}.mp4_{number}' for number in range(12)]
LISTS = dict(train_v2=NAMES[:6], val_v2=NAMES[6:8], test_v2=NAMES[8:])


def found(root, splits=None, **kwargs):
    data = find_data(str(root), splits, **kwargs)
    return data, load_config(HR, settings=[('--data', lambda cfg: data_settings(cfg, data))])


def files(cfg):
    return [cfg[f'{part}_dataloader'].dataset.ann_file for part in ('train', 'val', 'test')]


def test_every_dataset_reads_the_devkit(tmp_path):
    root = own_devkit(tmp_path / 'my kit', NAMES, ['drone', 'a bird, or two'], sky=NAMES, splits=LISTS)
    data, cfg = found(root)
    for part in ('train', 'val', 'test'):
        dataset = cfg[f'{part}_dataloader'].dataset
        assert dataset.data_root == str(root) and dataset.sky == 'required'
        assert dataset.metainfo.classes == ['a bird, or two', 'drone']
    assert cfg.model.bbox_head.num_classes == 2 and cfg.splits == 'v2'
    assert files(cfg) == ['Splits/train_v2.txt', 'Splits/val_v2.txt', 'Splits/test_v2.txt']
    assert data_lines(data)[0].endswith('train 6 frames, 18 targets; val 2 frames, 6 targets; '
                                        'test 4 frames, 12 targets')
    assert data_lines(data)[1] == 'classes: a bird, or two (18), drone (18); sky maps: all frames'


@pytest.mark.parametrize(('sky', 'expected'), [((), 'none'), (NAMES[:1], 'optional'), (NAMES[:8], 'optional'),
                                               (['another'], 'none')])
def test_sky_maps_of_some_frames_and_of_none(sky, expected, tmp_path):
    root = own_devkit(tmp_path / 'kit', [*NAMES, *sky[:1]] if sky == ['another'] else NAMES, sky=sky, splits=LISTS)
    data, cfg = found(root)
    assert cfg.train_dataloader.dataset.sky == ('required' if len(sky) == 8 else expected)
    # A split of its own may have all, or none.
    assert cfg.test_dataloader.dataset.sky == 'none'
    assert data_lines(data)[1].endswith(f'sky maps: {"none" if expected == "none" else f"{len(sky)} of 12 frames"}')


@pytest.mark.parametrize('ending', ['.bmp', '_sky.png'])
def test_sky_maps_of_another_ending(ending, tmp_path):
    root = own_devkit(tmp_path / 'kit', NAMES, sky=NAMES, splits=LISTS, suffix='.tif', sky_suffix=ending)
    cfg = found(root)[1]
    # Any suffix of images is found by itself.
    expected = {None if ending == '.bmp' else ending}
    assert {cfg[f'{part}_dataloader'].dataset.get('seg_map_suffix') for part in ('train', 'val', 'test')} == expected
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    assert len(dataset) == 2 and dataset.get_data_info(0)['seg_map_path'].endswith(f'{NAMES[6]}{ending}')


def test_sky_maps_of_several_endings(tmp_path):
    root = own_devkit(tmp_path / 'kit', NAMES, sky=NAMES, splits=LISTS)
    files = sorted((root / 'SkySeg/PaletteMask').iterdir())
    files[0].rename(files[0].with_suffix('.PNG'))
    data, cfg = found(root)
    assert len(data.sky) == 12 and len(DATASETS.build(cfg.train_dataloader.dataset)) == 6
    for file in (root / 'SkySeg/PaletteMask').iterdir():
        file.rename(file.with_name(f'{file.stem}{"_sky" if file.stem != NAMES[0] else ""}.png'))
    data, cfg = found(root)
    # The ending that most have.
    assert data.sky == set(NAMES[1:]) and cfg.train_dataloader.dataset.seg_map_suffix == '_sky.png'


@pytest.mark.parametrize(('lists', 'splits', 'expected'), [
    (['train_a', 'val_a', 'test_a'], None, ['train_a', 'val_a', 'test_a']),
    (['train', 'val', 'test'], None, ['train', 'val', 'test']),
    (['train_a', 'val_a', 'train_v2', 'val_v2'], None, ['train_v2', 'val_v2', 'val_v2']),
    (['train_a', 'val_a', 'train_b', 'val_b', 'test_b'], 'b', ['train_b', 'val_b', 'test_b']),
    (['train_my list', 'val_my list'], None, ['train_my list', 'val_my list', 'val_my list']),
    (['trainval_a', 'val_a'], None, ['{train}', 'val_a', 'val_a']),
    (['train_a'], None, ['{train}', '{val}', '{val}']),
    (['train_a', 'test_a'], None, ['{train}', '{val}', 'test_a']),
    (['test_a'], None, ['{train}', '{val}', 'test_a']),
    ([], None, ['{train}', '{val}', '{val}']),
])
def test_which_lists_are_meant(lists, splits, expected, tmp_path):
    members = dict(train=NAMES[:6], val=NAMES[6:8], test=NAMES[8:], trainval=NAMES[:8])
    root = own_devkit(tmp_path / 'kit', NAMES, splits={name: members[name.split('_')[0]] for name in lists})
    cfg = found(root, splits)[1]
    assert files(cfg) == [f'{{work_dir}}/splits/{name[1:-1]}.txt' if name[0] == '{' else f'Splits/{name}.txt'
                          for name in expected]


def test_what_is_not_clear_is_one_line(tmp_path):
    root = own_devkit(tmp_path / 'kit', NAMES, splits=dict(train_a=NAMES[:3], train_b=NAMES[3:], wrong=['x']))
    for splits, message in ((None, 'there are train_a, train_b; choose one by --splits NAME'),
                            ('c', r'--splits c: .* has no Splits/train_c.txt; there are: train_a, train_b, wrong')):
        with pytest.raises(InputError, match=message):
            find_data(str(root), splits)
    (root / 'Splits/train_a.txt').write_text('nobody\n')
    (root / 'Splits/val_a.txt').write_text('no image\n')
    with pytest.raises(InputError, match='train_a.txt names nobody, of which there is no image .*2 such in all'):
        find_data(str(root), 'a')
    for folder, message in ((tmp_path / 'none', 'no such folder'), (tmp_path, 'no image')):
        with pytest.raises(InputError, match=message):
            find_data(str(folder), None)
    bare = own_devkit(tmp_path / 'bare', NAMES, targets=[0] * 12)
    with pytest.raises(InputError, match='none of the 12 frames to train on has a target'):
        find_data(str(bare), None)
    (bare / f'SIRST/BBox/{NAMES[0]}.xml').write_text('<html/>')
    with pytest.raises(InputError, match='not a VOC annotation'):
        find_data(str(bare), None)


def test_a_validation_without_targets_is_refused(tmp_path):
    root = own_devkit(tmp_path / 'kit', NAMES, splits=LISTS, targets=[2] * 6 + [0] * 2 + [2] * 4)
    with pytest.raises(InputError, match='val_v2.txt: none of its 2 frames has a target, so no epoch can be picked'):
        require_validation(find_data(str(root), None))
    require_validation(find_data(str(root), None, validates=False))


def test_drawn_lists_are_written_to_the_work_dir_and_kept(tmp_path):
    root = own_devkit(tmp_path / 'kit', NAMES, splits=dict(train=NAMES[:10], test=NAMES[10:]))
    before = sorted(root.rglob('*'))
    data, _ = found(root)
    how = write_lists(data, str(tmp_path / 'run'), 0, keep=False)
    lists = {part: read_split(tmp_path / f'run/splits/{part}.txt') for part in ('train', 'val')}
    assert sorted(lists['train'] + lists['val']) == NAMES[:10] and lists['val'] and 'by recording' in how
    heads = [{name.split('_')[0] for name in lists[part]} for part in lists]
    assert not heads[0] & heads[1] and sorted(root.rglob('*')) == before
    assert not {'train', 'val'} - {path.stem for path in (tmp_path / 'run/splits').iterdir()}
    # A run that goes on takes those that are there.
    (tmp_path / 'run/splits/val.txt').write_text(f'{NAMES[0]}\n')
    (tmp_path / 'run/splits/train.txt').write_text('\n'.join(NAMES[1:10]))
    again = find_data(str(root), None)
    write_lists(again, str(tmp_path / 'run'), 0, keep=True)
    assert again.parts['val'].names == [NAMES[0]] and again.parts['train'].names == NAMES[1:10]
    write_lists(again := find_data(str(root), None), str(tmp_path / 'run'), 0, keep=False)
    assert again.parts['val'].names == lists['val']


def test_lists_of_a_run_on_another_devkit_are_refused(tmp_path):
    data = find_data(str(own_devkit(tmp_path / 'kit', NAMES)), None)
    write_lists(data, str(tmp_path / 'run'), 0, keep=False)
    more = find_data(str(own_devkit(tmp_path / 'more', [*NAMES, 'added_1'])), None)
    write_lists(more, str(tmp_path / 'run'), 0, keep=True)
    assert more.parts['train'].names == data.parts['train'].names
    other = find_data(str(own_devkit(tmp_path / 'other', ['x_1', 'y_1', 'z_1'])), None)
    with pytest.raises(InputError, match='the lists of the run that is resumed name .*12 such in all'):
        write_lists(other, str(tmp_path / 'run'), 0, keep=True)


def test_how_frames_are_kept_back_is_said(tmp_path):
    data = find_data(str(own_devkit(tmp_path / 'kit', NAMES)), None)
    lines = data_lines(data, write_lists(data, str(tmp_path / 'run'), 0, keep=False))
    assert any(line.startswith('validation split drawn by recording') for line in lines)
    assert any('picked on the frames that are tested on' in line for line in lines)
    one = find_data(str(own_devkit(tmp_path / 'one', [f'clip_{number}' for number in range(9)], scenes=[0] * 9)), None)
    lines = data_lines(one, write_lists(one, str(tmp_path / 'next'), 0, keep=False))
    assert any(line.startswith('warning: validation split drawn by frames that follow each other') for line in lines)
    own_test = find_data(str(own_devkit(tmp_path / 'lists', NAMES, splits=LISTS)), None)
    assert not any('note' in line or 'warning' in line for line in data_lines(own_test))


def test_trainval_takes_all_that_is_not_tested_on(tmp_path):
    root = own_devkit(tmp_path / 'kit', NAMES, splits=LISTS)
    data = find_data(str(root), None, validates=False)
    assert data.parts['train'].names == sorted(NAMES[:8]) and 'val' not in data.parts
    write_lists(data, str(tmp_path / 'run'), 0, keep=False)
    assert read_split(tmp_path / 'run/splits/train.txt') == sorted(NAMES[:8])
    bare = find_data(str(own_devkit(tmp_path / 'bare', NAMES)), None, validates=False)
    assert bare.parts['train'].file == '' and bare.parts['train'].names == sorted(NAMES)


def test_a_class_that_is_only_tested_is_said(tmp_path):
    root = own_devkit(tmp_path / 'kit', ['a', 'b', 'c', 'd'], ['drone', 'bird'], targets=[1] * 4,
                      splits=dict(train_v2=['a', 'c'], val_v2=['a', 'c'], test_v2=['b', 'd']))
    data = find_data(str(root), None)
    assert data.classes == ('bird', 'drone') and data.notes == ['of bird there is no target to train on']


def test_a_config_of_several_datasets_is_refused(tmp_path):
    root = own_devkit(tmp_path / 'kit', NAMES, splits=LISTS)
    file = tmp_path / 'own.py'
    part = "dict(type='DenseSIRSTDataset', ann_file='Splits/train_v2.txt')"
    for dataset, is_one in ((f"type='RepeatDataset', times=2, dataset={part}", True),
                            (f"type='ConcatDataset', datasets=[{part}, {part}]", False)):
        file.write_text(f'_base_ = {HR!r}\ntrain_dataloader = dict(dataset=dict(_delete_=True, {dataset}))\n')
        data = find_data(str(root), None)
        settings = ('--data', lambda cfg, data=data: data_settings(cfg, data))
        if is_one:
            assert load_config(str(file), settings=[settings]).train_dataloader.dataset.dataset.data_root == str(root)
        else:
            with pytest.raises(InputError, match='--data: train_dataloader of this config has 2 datasets'):
                load_config(str(file), settings=[settings])


@pytest.mark.parametrize('lists', [('val_v2', 'test_v2'), ('val_v2', ), ('test_v2', )])
def test_frames_that_are_listed_to_validate_or_test_on_are_not_trained_on(lists, tmp_path):
    root = own_devkit(tmp_path / 'kit', NAMES, splits={name: LISTS[name] for name in lists})
    data, _ = found(root)
    held = {frame for name in lists for frame in LISTS[name]}
    names = data.drawn_from if 'val_v2' not in lists else data.parts['train'].names
    assert set(names) == set(NAMES) - held
    assert 'no list of frames to train on in Splits: all but those of val and test' in data.notes
    with pytest.raises(InputError, match='--splits v2: .* has no Splits/train_v2.txt'):
        find_data(str(root), 'v2')


@pytest.mark.parametrize(('name', 'remedy'), [('test_v2', 'train_v2'), ('test', 'train'), ('val_mine', 'train_mine')])
@pytest.mark.parametrize('validates', [True, False])
def test_lists_that_leave_no_frame_to_train_on_are_named(name, remedy, validates, tmp_path):
    root = own_devkit(tmp_path / 'kit', NAMES, splits={name: NAMES})
    if name.startswith('val') and not validates:
        return  # --trainval trains on these
    with pytest.raises(InputError, match=f'no frame is left to train on: .* all 12 frames .* into Splits/{remedy}.txt'):
        find_data(str(root), None, validates=validates)
    assert find_data(str(root), None, to_train=False).count(NAMES) == 36
