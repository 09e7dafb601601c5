"""AdditiveUNet: its wiring written out, its outputs, gradients."""
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bafenet.errors import InputError
from bafenet.models.fuse import fuse_batch_norms
from bafenet.models.segmentation import AdditiveUNet


@pytest.mark.parametrize('size', [(32, 48), (37, 45)], ids=str)
def test_wiring(size):
    torch.manual_seed(0)
    network = AdditiveUNet(widths=(16, 24, 32), blocks=(1, 1, 2), deep_supervision=True).eval()
    image = torch.randn(1, 3, *size)
    with torch.no_grad():
        finest = network.encoder[0](image)
        middle = network.encoder[1](finest)
        coarse = network.encoder[2](middle)
        assert middle.shape[-2:] == tuple(-(-side // 2) for side in size) and coarse.shape[1] == 32
        up = F.interpolate(network.laterals[0](coarse), middle.shape[-2:], mode='bilinear', align_corners=False)
        second = network.decoder[0](middle + up)
        up = F.interpolate(network.laterals[1](second), size, mode='bilinear', align_corners=False)
        first = network.decoder[1](finest + up)
        deep, output = network(image)
        torch.testing.assert_close(output, network.heads[1](first))
        torch.testing.assert_close(deep, F.interpolate(network.heads[0](second), size, mode='bilinear'))


@pytest.mark.parametrize('deep', [True, False])
def test_outputs_and_gradients(deep):
    torch.manual_seed(0)
    network = AdditiveUNet(in_channels=1, deep_supervision=deep).to(memory_format=torch.channels_last)
    with torch.autocast('cpu', torch.bfloat16):
        outputs = network(torch.randn(2, 1, 32, 32))
    assert [output.shape for output in outputs] == [(2, 1, 32, 32)] * (4 if deep else 1)
    sum(output.float().square().mean() for output in outputs).backward()
    assert all(parameter.grad.any() for name, parameter in network.named_parameters() if name.endswith('weight'))


def test_without_deep_supervision_the_finest_map_is_the_same():
    torch.manual_seed(0)
    deep = AdditiveUNet(deep_supervision=True).eval()
    plain = AdditiveUNet().eval()
    plain.load_state_dict({name.replace('heads.3', 'heads.0'): value for name, value in deep.state_dict().items()
                           if not name.startswith(('heads.0', 'heads.1', 'heads.2'))})
    image = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(plain(image)[0], deep(image)[-1])


def test_all_batch_norms_are_fused():
    network = AdditiveUNet().eval()
    assert fuse_batch_norms(network) == 33
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_lists_of_two_lengths():
    with pytest.raises(InputError, match='one entry a row each'):
        AdditiveUNet(widths=(16, 24), blocks=(1, ))
