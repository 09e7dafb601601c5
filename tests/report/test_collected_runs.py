"""Which runs a report is of: results files and work dirs, and what they are called."""
import json

from report_runs import write_results, write_work_dir

from bafenet.report.collect import collect


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for parent in ('a', 'b'):
        (tmp_path / parent).mkdir()
        write_results(tmp_path / parent / 'results.json')
    found = collect([str(tmp_path / parent / 'results.json') for parent in ('a', 'b')])
    assert [run.label for run in found] == ['a/results', 'b/results']


def test_every_results_file_of_a_work_dir_is_a_run(tmp_path):
    folder = write_work_dir(tmp_path / 'run')
    (folder / 'tests').mkdir()
    write_results(folder / 'results.json')
    write_results(folder / 'tests/rec.json')
    (folder / 'big.json').write_text(json.dumps(dict(images=[], metrics={})))
    found = collect([str(folder)])
    assert [run.label for run in found] == ['run: results', 'run: tests/rec']
    assert all(len(run.images) == 5 and 'loss' in run.scalars for run in found)
