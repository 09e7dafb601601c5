"""The weights in the package: small, plain, and on the real data as good as their card says."""
import hashlib
import json
import subprocess
import sys

import pytest
import torch
from conftest import ROOT

from bafenet import weights
from bafenet.engine import test
from bafenet.engine.network import build_network
from bafenet.engine.options import load_config, parse_config
from bafenet.release.export import count_parameters
from bafenet.release.model_card import markdown
from bafenet.renamed import command_now

NAME = 'bafenet_hr_tiny'
MAX_BYTES, MAX_PARAMETERS = 1_500_000, 600_000


@pytest.fixture
def file():
    """The file; a skip while there is none."""
    found = weights.find(NAME)
    if found is None:
        pytest.skip(f'{NAME} is not in the package yet')
    return found


@pytest.fixture
def record(file):
    return json.loads(file.with_suffix('.json').read_text(encoding='utf-8'))


def test_file_card_and_record_belong_together(file, record):
    data = file.read_bytes()
    assert len(data) <= MAX_BYTES and hashlib.sha256(data).hexdigest() == record['sha256']
    content = torch.load(file, weights_only=True)
    assert {value.dtype for value in content['state_dict'].values()} <= {torch.float16, torch.int64}
    network = build_network(parse_config(content['meta']['cfg'], NAME), content, NAME)
    assert count_parameters(network) == record['parameters'] <= MAX_PARAMETERS
    card = file.with_suffix('.md').read_text(encoding='utf-8')
    assert card == markdown(record)
    assert record['sha256'] in card and content['meta']['provenance']['command'].replace('|', r'\|') in card


def test_the_card_says_how_the_weights_are_trained_today(record):
    command = command_now(record['provenance']['command'])
    config, = (part for part in command.split() if part.startswith('configs/'))
    assert (ROOT / config).is_file()


def test_the_file_fits_the_config_of_its_card(file, record):
    content = torch.load(file, weights_only=True)
    build_network(load_config(record['config']), content, NAME)


def test_pytorch_alone_loads_the_file(file):
    code = f'import torch; print(len(torch.load({str(file)!r}, weights_only=True)["state_dict"]))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_weights_give_the_numbers_of_their_record(record, real_data, tmp_path):
    """On some images of the split, because all take a minute: their names and metrics are in the record."""
    subset = record['subset']
    names = tmp_path / 'subset.txt'
    names.write_text('\n'.join(subset['images']) + '\n')
    metrics = test.test(record['config'], NAME, work_dir=str(tmp_path), cfg_options=[
        f'test_dataloader.dataset.data_root={real_data}', f'test_dataloader.dataset.ann_file={names}'])
    # Metrics that are younger than the record are not in it.
    assert {key: metrics[key] for key in subset['metrics']} == pytest.approx(subset['metrics'], abs=1e-3)
