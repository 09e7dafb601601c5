"""Class layer for other classes: rows go with their names, new ones begin with the mean, all else stays."""
import pytest
import torch

from bafenet.engine.class_layer import class_layers, classes_of, fit_class_layer

LAYER = 'bbox_head.conv_cls'


def checkpoint(classes, anchors=1, name=LAYER):
    rows = anchors * len(classes)
    weights = {f'{name}.weight': torch.arange(rows * 18.).reshape(rows, 2, 3, 3),
               f'{name}.bias': torch.arange(rows * 1.),
               'bbox_head.cls_convs.0.conv.weight': torch.ones(2, 2, 3, 3), 'backbone.x': torch.ones(2)}
    return dict(state_dict=weights, meta=dict(dataset_meta=dict(classes=list(classes))))


def fitted(before, after, **kwargs):
    old = checkpoint(before, **kwargs)
    new, said = fit_class_layer(old, after)
    weight, bias = (new['state_dict'][f'{kwargs.get("name", LAYER)}.{part}'] for part in ('weight', 'bias'))
    for name in ('bbox_head.cls_convs.0.conv.weight', 'backbone.x'):
        assert new['state_dict'][name] is old['state_dict'][name]
    assert torch.equal(old['state_dict'][f'{kwargs.get("name", LAYER)}.bias'],
                       torch.arange(len(old['state_dict'][f'{kwargs.get("name", LAYER)}.bias']) * 1.))
    return weight, bias, said


def test_the_same_classes_and_another_name_of_one_keep_it():
    weight, bias, said = fitted(['Target'], ['Target'])
    assert said is None and bias.tolist() == [0]
    weight, bias, said = fitted(['Target'], ['drone'])
    assert said == 'class layer kept: drone instead of Target' and bias.tolist() == [0] and len(weight) == 1
    assert fitted(['a', 'b'], ['c', 'd'])[1].tolist() == [0, 1]


@pytest.mark.parametrize(('before', 'after', 'expected'), [
    (['Target'], ['bird', 'drone', 'plane'], [0, 0, 0]),
    (['bird', 'drone'], ['drone', 'bird'], [1, 0]),
    (['bird', 'drone', 'plane'], ['drone'], [1]),
    (['bird', 'drone'], ['drone', 'plane'], [1, 0.5]),
    (['a', 'b', 'c'], ['x', 'b', 'y', 'z'], [1, 1, 1, 1]),
])
def test_rows_go_with_their_names(before, after, expected):
    weight, bias, said = fitted(before, after)
    assert bias.tolist() == expected and said.startswith('class layer renewed for ')
    assert torch.allclose(weight[:, 0, 0, 0], torch.tensor(expected) * 18.)


def test_several_anchors_have_the_classes_of_each():
    weight, bias, _ = fitted(['a', 'b'], ['b', 'c', 'a'], anchors=2, name='bbox_head.retina_cls')
    assert bias.tolist() == [1, 0.5, 0, 3, 2.5, 2] and weight.shape == (6, 2, 3, 3)


def test_weights_that_do_not_say_their_classes():
    bare = checkpoint(['Target'])['state_dict']
    new, said = fit_class_layer(bare, ['bird', 'drone'])
    assert len(new[f'{LAYER}.bias']) == 2 and 'class 0' in said
    assert classes_of(bare, bare, class_layers(bare)) == ['class 0']
    backbone = {'backbone.x': torch.ones(2)}
    assert fit_class_layer(backbone, ['drone']) == (backbone, None)
