"""All operators on CUDA against the CPU, with PyTorch's deterministic algorithms too."""
import pytest
import torch

from bafenet.analysis import operator_benchmark

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
# The cases of the benchmark, without building them where there is no GPU.
NAMES = ('RoIAlign', 'RoIAlign, largest', 'RoIPool', 'DeformRoIPool', 'DeformConv2d', 'ModulatedDeformConv2d',
         'MultiScaleDeformableAttention', 'MaskedConv2d', 'CARAFE', 'sigmoid_focal_loss', 'softmax_focal_loss', 'nms',
         'soft_nms', 'nms_match', 'bbox_overlaps', 'BorderAlign', 'SyncBatchNorm')


def outputs_and_gradients(case):
    """What a case gives, and the gradients of its inputs, on the CPU."""
    output = case.call(*case.inputs)
    outputs = list(output) if isinstance(output, (tuple, list)) else [output]
    learnt = [each for each in case.inputs if each.requires_grad]
    gradients = torch.autograd.grad(outputs[0].square().sum(), learnt) if learnt else ()
    return [each.detach().cpu() for each in (*outputs, *gradients)]


@pytest.mark.parametrize('deterministic', [False, True])
@pytest.mark.parametrize('name', NAMES)
def test_cuda_equals_cpu(name, deterministic, monkeypatch):
    for size, value in dict(CHANNELS=16, REGIONS=20, BOXES=40, CLASSES=5).items():
        monkeypatch.setattr(operator_benchmark, size, value)
    monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    torch.use_deterministic_algorithms(deterministic)
    try:
        on_cpu, on_cuda = (outputs_and_gradients(operator_benchmark.cases(device, 12)[name])
                           for device in ('cpu', 'cuda'))
        again = outputs_and_gradients(operator_benchmark.cases('cuda', 12)[name]) if deterministic else on_cuda
    finally:
        torch.use_deterministic_algorithms(False)
    for first, second, third in zip(on_cpu, on_cuda, again, strict=True):
        torch.testing.assert_close(second, first, rtol=1e-3, atol=1e-3)
        assert torch.equal(second, third)


def test_every_case_has_a_name():
    assert set(NAMES) == set(operator_benchmark.cases('cuda', 12))
