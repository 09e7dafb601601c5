"""What columns are: units and scales, the evaluators of a config, and what a run's tests say in them."""
import pytest
from mmengine.config import Config

from bafenet.errors import InputError
from bafenet.reproduction.columns import (
    column,
    evaluators_of,
    has_legacy_sides,
    require_evaluator,
    table_columns,
)

BOXES, MASKS = dict(type='DenseSIRSTMetric', legacy_coordinates=True), dict(type='IRSTDMetric')
PIXELS = {'irstd/IoU': 0.5, 'irstd/P_d': 75.0, 'irstd/F_a': 3.0, 'irstd/F_a_legacy': 2.0, 'irstd/AUC': 1.0}


@pytest.mark.parametrize(('name', 'head', 'scale'), [
    ('IoU', 'IoU, ×100', 100), ('near:IoU', 'near:IoU, ×100', 100), ('P_d', 'P_d, %', 1), ('F_a', 'F_a, 1e-6', 1),
    ('params', 'params, M', 1e-6), ('mAP_07', 'mAP_07', 1), ('near:found_02', 'near:found_02', 1)])
def test_a_column_says_its_unit(name, head, scale):
    assert (column(name).head, column(name).scale) == (head, scale)


def test_a_config_may_be_tested_by_boxes_masks_or_both():
    assert list(evaluators_of(Config(dict(test_evaluator=MASKS)))) == ['IRSTDMetric']
    both = Config(dict(test_evaluator=[BOXES, MASKS, dict(type='CocoMetric')]))
    assert list(evaluators_of(both)) == ['DenseSIRSTMetric', 'IRSTDMetric'] and has_legacy_sides(both)
    assert not has_legacy_sides(Config(dict(test_evaluator=MASKS)))
    require_evaluator(both, 'IRSTDMetric', 'a.py')
    with pytest.raises(InputError, match='a.py: test_evaluator is DenseSIRSTMetric, and the table .* of IRSTDMetric'):
        require_evaluator(Config(dict(test_evaluator=BOXES)), 'IRSTDMetric', 'a.py')
    for other in (None, [], dict(type='CocoMetric'), [MASKS, MASKS]):
        with pytest.raises(InputError, match='a.py: test_evaluator must be one DenseSIRSTMetric or IRSTDMetric'):
            evaluators_of(Config(dict(test_evaluator=other)), 'a.py')


def test_a_test_of_masks_gives_their_columns_in_the_metrics_own_units():
    found = table_columns({'irstd/IoU': dict(metrics=PIXELS)}, dict(IRSTDMetric={}))
    assert found == dict(IoU=0.5, P_d=75.0, F_a=3.0, F_a_legacy=2.0)
    boxes = {'densesirst/mAP_07_legacy': 0.1, 'densesirst/mAP_12_legacy': 0.2, 'densesirst/recall_legacy': 0.3}
    both = table_columns({'irstd/IoU': dict(metrics={**PIXELS, **boxes})},
                         dict(DenseSIRSTMetric=BOXES, IRSTDMetric={}))
    assert both == {**found, 'mAP_07': 0.1, 'recall_07': 0.3, 'mAP_12': 0.2, 'recall_12': 0.3}
    with pytest.raises(InputError, match='has no P_d: its split has no target, or test_evaluator is no IRSTDMetric'):
        table_columns({'irstd/IoU': dict(metrics={key: value for key, value in PIXELS.items() if 'P_d' not in key})},
                      dict(IRSTDMetric={}))
