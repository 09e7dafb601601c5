"""The memory format changes the layout of a network alone."""
from types import SimpleNamespace

import pytest
import torch

from bafenet.engine.memory_format_hook import MemoryFormatHook
from bafenet.errors import InputError


@pytest.mark.parametrize('name', ['channels_last', 'contiguous_format'])
def test_the_memory_format_changes_the_layout_alone(name):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    images = torch.randn(2, 3, 8, 9)
    before, weights = network(images), network[0].weight.clone()
    MemoryFormatHook(name).before_run(SimpleNamespace(model=network))
    assert network[0].weight.is_contiguous(memory_format=getattr(torch, name))
    assert torch.equal(network[0].weight, weights)
    torch.testing.assert_close(network(images), before)
    assert network(images).is_contiguous(memory_format=getattr(torch, name))


def test_other_memory_formats_are_refused():
    with pytest.raises(InputError, match='memory_format'):
        MemoryFormatHook('rows_first')
