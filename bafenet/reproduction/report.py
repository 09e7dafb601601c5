"""A table of the paper beside ours, or one of our own, as Markdown for people and as JSON with what repeats it."""
import statistics
from collections.abc import Sequence

from bafenet.datasets.parts import loader_parts
from bafenet.engine.provenance import commit, environment, machine
from bafenet.errors import InputError, printable
from bafenet.evaluation.report import plain_keys
from bafenet.markup import markdown_code, markdown_text

from .columns import BOXES, COSTS, EVALUATORS, column
from .costs import costs_note, measure_costs
from .plan import Run
from .stored import RESULT_FILE
from .table import Row, Table, column_of

LEGACY_SIDES, TRUE_SIDES = 'x2 - x1 + 1', 'x2 - x1'
NOT_RUN, NO_NUMBER = '—', 'n/a'


def summarise(values: Sequence[float]) -> dict:
    """Mean, sample standard deviation (divisor n - 1; None for one value) and number of values."""
    return dict(mean=statistics.fmean(values), std=statistics.stdev(values) if len(values) > 1 else None, n=len(values),
                values=list(values))


def build_report(table: Table, protocol: str, runs: dict[tuple[str, int], Run], seeds: int, epochs: int | None,
                 options: list[str] | None) -> dict:
    """What is known of a table.

    Args:
        table: The table.
        protocol: The protocol of the runs.
        runs: Runs by (key of a row, seed).
        seeds: Number of seeds asked for.
        epochs: ``--epochs`` as given.
        options: ``--cfg-options`` as given.

    Returns:
        Plain JSON values: settings, commit, machine and versions now, and the rows, each with the paper's numbers, ours
        (``summarise``, of the runs that define the number) and their difference by column, and each run with its own
        settings, commits and machine. Of boxes ``sides``; of other evaluators ``evaluator`` and ``units`` of the
        columns, in which all numbers but those of ``runs`` are.
    """
    failures = {run.name: reason for run in runs.values() if (reason := run.failure())}
    networks = {row.key: runs[row.key, 0].cfg for row in table.runnable if table.costs and row.method is None}
    costs = measure_costs(networks) if networks else {}
    return dict(
        table=table.key, title=table.title, source=table.source, notes=list(table.notes), columns=list(table.columns),
        of_the_paper=not table.metrics, tests=_tested_on(table, runs),
        protocol=protocol, seeds=seeds, epochs=epochs, cfg_options=options or [],
        **_conventions(table, runs), **(dict(failures=failures) if failures else {}),
        **(dict(rank=table.rank) if table.rank else {}),
        **(dict(costs=costs_note(next(iter(networks.values())))) if costs else {}),
        printed_with=dict(commit=commit(), machine=machine(), environment=environment()),
        rows=[_report_row(table, row, _runs_of(row, runs, seeds), protocol, costs.get(row.key, {}))
              for row in table.rows])


def _conventions(table: Table, runs: dict[tuple[str, int], Run]) -> dict:
    """How the numbers of a table are to be read."""
    if table.evaluator is BOXES:
        legacy = any(run.legacy for run in runs.values())
        return dict(sides=dict(paper=LEGACY_SIDES, ours=LEGACY_SIDES if legacy else TRUE_SIDES))
    return dict(evaluator=table.evaluator.name, units={name: column(name).unit for name in table.columns})


def _runs_of(row: Row, runs: dict[tuple[str, int], Run], seeds: int) -> list[Run]:
    """The runs of a row: one of a classical method, whatever the seeds."""
    return [runs[row.key, seed] for seed in range(seeds if row.method is None else 1)] if row.base else []


def _report_row(table: Table, row: Row, runs: list[Run], protocol: str, costs: dict[str, float]) -> dict:
    finished = [(run, result) for run in runs if (result := run.result())]
    numbers = [_numbers(table, run, result) for run, result in finished]
    ours = {name: summarise([column(name).scale * value for value in values]) for name in table.columns
            if (values := [one[name] for one in (*numbers, costs) if name in one])}
    difference = {name: ours[name]['mean'] - row.paper[name] for name in table.columns
                  if protocol != 'demo' and name in ours and name in row.paper and column(name).comparable}
    return dict(
        row=row.title, key=row.key, base=row.base.get(protocol), set=row.set.get(protocol),
        **(dict(method=row.method._asdict()) if row.method else {}),
        trained_as=runs[0].row if runs else None,
        settings=runs[0].settings if runs else None, paper=row.paper, ours=ours, difference=difference,
        runs=[dict(folder=str(run.folder), data_root=_data_root(run), **result)
              for run, result in finished])


def _tested_on(table: Table, runs: dict[tuple[str, int], Run]) -> dict[str, str]:
    """What each test of a table is on, in words."""
    run = next((runs[row.key, 0] for row in table.runnable), None)
    parts = {name: loader_parts(run.tests[name], 'test') for name in table.tests} if run else {}
    return {name: ', '.join(f'{part.settings["ann_file"]} of {part.settings["data_root"]}' for part in own)
            for name, own in parts.items()}


def _data_root(run: Run) -> str:
    """The folder of a run's training data; of several, all of them."""
    return ', '.join(dict.fromkeys(part.settings['data_root'] for part in loader_parts(run.cfg, 'train')))


def _numbers(table: Table, run: Run, result: dict) -> dict[str, float]:
    """What a finished run says in the columns of a table; a metric that it does not define is absent."""
    if not table.metrics:
        return result['columns']
    if table.tests:
        return {column_of(name, key): value for name in table.tests
                for key, value in plain_keys(_test_of(run, result, name)['metrics']).items()}
    # Where several metrics pick a checkpoint, the one that is best by the first.
    test = next(iter(result.get('tests', {}).values()), None)
    if test is None:
        raise InputError(f'{printable(run.folder / RESULT_FILE)}: it has no tests; delete its folder')
    return plain_keys(test['metrics'])


def _test_of(run: Run, result: dict, name: str) -> dict:
    if name not in result.get('tests', {}):
        raise InputError(f'{printable(run.folder / RESULT_FILE)}: it has no test {name}; delete its folder')
    return result['tests'][name]


def markdown(report: dict) -> str:
    """The report as a Markdown table with its notes."""
    names = report['columns']
    head = ['strategy', 'seeds', *(
        _paper_head(report) if report['of_the_paper'] else [column(name).head for name in names])]
    lines = [f'### Table {markdown_text(report["table"])}: {markdown_text(report["title"])} '
             f'(protocol: {report["protocol"]})', '',
             _line(head), _line(['---'] * 2 + ['---:'] * (len(head) - 2))]
    lines += [_line(_cells(row, report)) for row in report['rows']]
    return '\n'.join([*lines, '', *(f'- {note}' for note in _notes(report))]) + '\n'


def _paper_head(report: dict) -> list[str]:
    sides = report.get('sides')
    paper, ours = (('', '') if sides is None else
                   (' (+1)' if sides[who] == LEGACY_SIDES else ' (true)' for who in ('paper', 'ours')))
    change = '' if paper == ours else f'{ours[:-1]} − {paper[2:]}'
    return [cell for name in report['columns'] for cell in _of_paper(
        name, f'{column(name).head} paper{paper}', f'{column(name).head} ours{ours}', f'Δ{change}')]


def _of_paper(name: str, paper: str, ours: str, difference: str) -> list[str]:
    """The cells of a column beside a paper's: ours alone where papers do not print it, no Δ where it says nothing."""
    one = column(name)
    return [*([paper] if one.in_papers else []), ours, *([difference] if one.in_papers and one.comparable else [])]


def _line(cells: Sequence[str]) -> str:
    return f'| {" | ".join(cells)} |'


def _cells(row: dict, report: dict) -> list[str]:
    seeds = 1 if row.get('method') else report['seeds']
    count = f'{len(row["runs"])}/{seeds}' if row['base'] else NO_NUMBER
    missing = NOT_RUN if row['base'] and not row['runs'] else NO_NUMBER
    cells = [markdown_text(row['row']), count]
    for name in report['columns']:
        paper = f'{row["paper"][name]:.3f}' if name in row['paper'] else NO_NUMBER
        runs, absent = (1, NO_NUMBER) if name in COSTS else (len(row['runs']), missing)
        ours = _mean_and_std(row['ours'][name], runs) if name in row['ours'] else absent
        change = f'{row["difference"][name]:+.3f}' if name in row['difference'] else absent
        cells += _of_paper(name, paper, ours, change) if report['of_the_paper'] else [ours]
    return cells


def _mean_and_std(summary: dict, runs: int) -> str:
    spread = '' if summary['std'] is None else f' ± {summary["std"]:.3f}'
    some = '' if summary['n'] == runs else f' ({summary["n"]} of {runs})'
    return f'{summary["mean"]:.3f}{spread}{some}'


def _notes(report: dict) -> list[str]:
    notes = _notes_on_the_paper(report) if report['of_the_paper'] else _notes_on_metrics(report)
    changed = [*(['--epochs', str(report['epochs'])] if report['epochs'] else []),
               *(['--cfg-options', *report['cfg_options']] if report['cfg_options'] else [])]
    if changed:
        notes.append(f'Every run with {markdown_code(" ".join(changed))}.')
    notes += [f'{markdown_code(row["key"])} is the same network as {markdown_code(row["trained_as"])}: trained once.'
              for row in report['rows'] if row['base'] and row['key'] != row['trained_as']]
    commits = sorted({commit for row in report['rows'] for run in row['runs'] for commit in run['commits']})
    machines = sorted({run['environment']['device'] for row in report['rows'] for run in row['runs']})
    if report.get('rank'):
        notes.append(_ranking(report))
    notes += [f'{markdown_text(name)} failed: {markdown_text(reason)}' for name, reason in
              report.get('failures', {}).items()]
    if commits:
        notes.append(f'Commit {markdown_text(", ".join(commits))}; on {markdown_text(", ".join(machines))}; seeds from '
                     '0.'
                     + (' The runs are of several commits.' if len(commits) > 1 else ''))
    return notes + [markdown_text(note) for note in report['notes']]


def _ranking(report: dict) -> str:
    """The rows by a column, best first: ours, and the paper's order of the same rows."""
    name = report['rank']
    ours = {row['row']: row['ours'][name]['mean'] for row in report['rows'] if name in row['ours']}
    paper = {row['row']: row['paper'][name] for row in report['rows'] if row['row'] in ours and name in row['paper']}
    orders = [f'{who}: ' + ', '.join(f'{markdown_text(row)} {values[row]:.3f}' for row in sorted(
        values, key=lambda row: -values[row])) for who, values in (('ours', ours), ('paper', paper)) if values]
    return f'Best first by {name}; ' + '; '.join(orders or ['no finished run']) + '.'


def _notes_on_metrics(report: dict) -> list[str]:
    without = '' if report.get('evaluator') else (
        ', as sky_iou without a sky branch or FPPI_sky without sky maps, *_recall90 where the recall stays below 0.9, '
        'or *_found95 where less is found')
    return [f'{markdown_text(report["source"])}. Mean ± sample standard deviation (n − 1) over the finished seeds; '
            f'{NOT_RUN}: no finished run; {NO_NUMBER}: no run defines it{without}. Where '
            'some seeds define it, the mean is theirs alone, and their number stands behind it.',
            *(f'{markdown_text(name)}: {markdown_text(text)}.' for name, text in report['tests'].items()),
            _evaluator_note(report) or f'At IoU 0.5, and 0.75 in the columns that end in _iou75. Boxes have sides '
            f'{report["sides"]["ours"]}.']


def _evaluator_note(report: dict) -> str:
    """What a reader of an evaluator's numbers must know; empty for boxes, whose notes say more."""
    return markdown_text(EVALUATORS[report['evaluator']].note) if report.get('evaluator') else ''


def _notes_on_the_paper(report: dict) -> list[str]:
    notes = [f'Paper: {markdown_text(report["source"])}; {NO_NUMBER}: no number in our copy. Ours: mean ± sample '
             f'standard deviation (n − 1) over the finished seeds; {NOT_RUN}: no finished run.']
    notes += [markdown_text(report['costs'])] if 'costs' in report else []
    sides = report.get('sides')
    if sides is None:
        return [*notes, _evaluator_note(report)]
    notes.append(f'All at IoU 0.5. Boxes have sides {LEGACY_SIDES} in the columns marked +1, {TRUE_SIDES} in those '
                 'marked true.')
    if report['protocol'] == 'demo':
        notes.append('Demo: another network and other data than the paper\'s, so there is no Δ.')
    elif sides['paper'] != sides['ours']:
        notes.append('Sides, splits and boxes differ between the two protocols: a Δ is not like for like here, but is '
                     'with `--protocol paper`.')
    return notes
