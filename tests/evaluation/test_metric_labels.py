"""The printed table says at which score false alarms count."""
from bafenet.evaluation.report import ROWS, print_metrics, row_labels


def test_the_table_says_at_which_score_false_alarms_count(capsys):
    print_metrics({'densesirst/FPPI_sky': 0.0, 'densesirst/precision': 0.06}, fppi_score=0.25)
    text = capsys.readouterr().out
    assert [line.split('│')[1:3] for line in text.splitlines() if 'in the sky, at sc' in line] == [
        [' false alarms per image, in the sky, at scores ≥ 0.25     ', ' 0.000 ']]
    assert text.count('≥ 0.25') == 2
    print_metrics({'densesirst/FPPI_sky': 0.0})
    assert capsys.readouterr().out.count("at the config's fppi_score") == 2


def test_no_other_label_depends_on_the_score():
    changed = {key for key, label in row_labels(0.3).items() if label != ROWS[key]}
    assert changed == {'FPPI', 'FPPI_sky', 'FPPI_other', 'found', 'found_FPPI', 'found_FPPI_sky', 'found_FPPI_other'}
