"""What the wheel holds beside the package: configs, tables and tools, inside it. The metadata are in pyproject.toml."""
from pathlib import Path

from setuptools import find_packages, setup


def folders_of(root: str) -> list[str]:
    """The folders below ``root`` that hold Python or YAML files, as packages of ``bafenet``."""
    files = [file for suffix in ('py', 'yaml') for file in Path(root).rglob(f'*.{suffix}')]
    return sorted({'.'.join(('bafenet', *file.parent.parts)) for file in files})


CONFIGS, TOOLS = folders_of('configs'), folders_of('tools')
# DenseSIRST's splits by recording.
SPLITS = ['.'.join(folder.parts) for folder in Path('bafenet').rglob('splits')]

setup(
    # bafenet_command: how the tools start, apart from the package, whose imports take seconds.
    packages=find_packages(include=['bafenet', 'bafenet.*', 'bafenet_command']) + CONFIGS + TOOLS + SPLITS,
    package_dir={'bafenet.configs': 'configs', 'bafenet.tools': 'tools'},
    package_data={
        'bafenet': ['py.typed'],
        'bafenet.report': ['templates/*'],
        'bafenet.weights': ['*.pth', '*.md', '*.json'],
        **{folder: ['*.yaml'] for folder in CONFIGS},
        **{folder: ['*.txt'] for folder in SPLITS},
    },
)
