"""Runs on target masks in the report: the papers' rows beside them, in the metric's units, and what is said of both."""
import pytest
from conftest import ROOT

from bafenet.report.collect import Run
from bafenet.report.numbers import metric_rows, notes_on


def test_runs_on_target_masks_stand_beside_the_papers_rows_of_them_alone(monkeypatch):
    monkeypatch.chdir(ROOT)
    run = Run('mine', row='sirst5k_alpha_01', tested={'irstd/IoU': 0.5, 'irstd/P_d': 75.0, 'irstd/F_a': 3.0})
    own, *paper = metric_rows([run])
    assert own.sides == '' and own.values == dict(IoU=0.5, P_d=75.0, F_a=3.0)
    # As the metric gives them, and not as the paper prints them.
    values = {row.label: row.values for row in paper}
    assert values['Paper, Table sirst5k-III: α = 0.1'] == dict(IoU=pytest.approx(0.9025), P_d=98.31, F_a=2.3)
    assert values.keys() == {'Paper, Table sirst5k-III: α = 0.1', 'Paper, Table sirst5k-IV: baseline (no negatives)',
                             'Paper, Table sirst5k-V: + AFF + N2N displacement'}
    assert {row.tested_on for row in paper} == {'NUDT-SIRST test'}
    notes = ' '.join(notes_on([own, *paper]))
    assert 'NUDT-SIRST' in notes and 'Sides of boxes' not in notes
    # Beside a detector both kinds of notes, and the detectors that every reader looks for.
    both = metric_rows([run, Run('boxes', tested={'densesirst/mAP_12': 0.5})])
    assert 'Sides of boxes' in ' '.join(notes_on(both)) and any('Table VII' in row.label for row in both)
