#!/usr/bin/env python
"""Train a config, or a row of a table (configs/tables)."""
import argparse
import os
import sys

from bafenet_command import Parser, tool, whole


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__)
    parser.add_argument('config', nargs='?', help='config file, for example configs/bafenet/bafenet_r50_densesirst.py')
    parser.add_argument('--row', metavar='KEY', help='train this row of a table instead of a config, as table3_b')
    parser.add_argument('--protocol', choices=['paper', 'ours', 'demo', 'release'],
                        help='how to train the row [ours]')
    parser.add_argument('--work-dir', help='folder for checkpoints and logs [work_dirs/CONFIG_NAME, or of a row '
                        'work_dirs/PROTOCOL/KEY; followed by _scratch, _trainval and the splits where given]')
    parser.add_argument(
        '--amp', action='store_true', help='train in mixed precision: float16 on a GPU, bfloat16 on a CPU')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume this checkpoint, or without a value the latest of the work dir')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='settings of the config to change, as in model.backbone.depth=18 or '
        'train_dataloader.dataset.pipeline.BAGCopyPaste.prob=0.5; values may be Python literals')
    parser.add_argument('--splits', metavar='NAME', help='the splits to train and validate on: v2, as published, rec, '
                        'which share no recording, or your own [the config\'s]')
    parser.add_argument('--data', metavar='DEVKIT', help='train, validate and test on this devkit instead of the '
                        'config\'s data: its classes and sky maps, where it has any, and its splits; without a '
                        'validation split a tenth of its training frames, by recording. Of a config that reads target '
                        'masks, frames with masks')
    parser.add_argument('--from', dest='weights', metavar='WEIGHTS', help='fine-tune: begin with these weights, a '
                        'checkpoint, a work dir, or weights that come with the package (bafenet_hr_tiny), at a lower '
                        'learning rate')
    parser.add_argument('--epochs', type=whole(1, 100_000), metavar='N', help='train for so many epochs, the schedule '
                        'scaled as a whole [the config\'s; with --from about 400 iterations]')
    parser.add_argument('--trainval', action='store_true', help='train on train and val together (trainval_NAME beside '
                        'train_NAME), for as long as the config says; nothing is validated, no epoch picked')
    parser.add_argument('--scratch', action='store_true', help='train without pretrained weights, BatchNorm too')
    parser.add_argument('--allow-training-images', action='store_true',
                        help='validate on images that are trained on, with a warning')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size')
    parser.add_argument('--seed', type=whole(0, 2**32 - 1),
                        help='seed of weights, order and augmentation [the config\'s]')
    parser.add_argument('--deterministic', action='store_true', help='deterministic algorithms on the GPU too')
    # torch.distributed.launch passes it, torchrun sets the variable.
    parser.add_argument('--local_rank', '--local-rank', type=whole(0, 10**6), default=0, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.config is None and args.row is None:
        parser.error('give a config file, or the row of a table by --row KEY')
    if args.config is not None and args.row is not None:
        parser.error(f'CONFIG {args.config} and --row {args.row}: give one of them, not both')
    if args.protocol and args.row is None:
        parser.error('--protocol is for --row; a config file names its own')
    return args


@tool('the same command with --resume goes on from the last whole epoch, or starts again where there is none')
def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    args = vars(parse_args(argv))
    os.environ.setdefault('LOCAL_RANK', str(args.pop('local_rank')))
    row, protocol = args.pop('row'), args.pop('protocol') or 'ours'
    from bafenet.engine.train import train
    if row:
        from bafenet.reproduction.tables import find_row
        from bafenet.reproduction.train_commands import row_arguments
        args.update(row_arguments(find_row(row), protocol))
    train(**args)
    return 0


if __name__ == '__main__':
    sys.exit(main())
