"""Memory that tensors have used is used again: no page faults in the second pass."""
import subprocess
import sys

import pytest

from bafenet.compat import allocator

COUNT = '''
import ctypes, resource, runpy, sys
keep = runpy.run_path(sys.argv[2])['keep_freed_memory']
print(keep() if int(sys.argv[1]) else '')
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes, c.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def faults(size=48 * 2**20):  # more than the threshold that glibc sets itself
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        block = c.malloc(size)
        ctypes.memset(block, 1, size)
        c.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
'''


@pytest.mark.skipif(sys.platform != 'linux', reason='glibc alone has such a setting')
def test_memory_is_kept():
    def run(keep):
        return subprocess.run([sys.executable, '-c', COUNT, str(keep), allocator.__file__], capture_output=True,
                              text=True, check=True).stdout.split('\n')[:2]
    told, kept = run(1)
    if told == 'False':
        pytest.skip('not glibc')
    assert int(kept) < 1000 < int(run(0)[1])
