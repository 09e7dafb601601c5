"""Keep the memory that tensors on a CPU have used, so that the next ones need not ask the system for it again."""
import ctypes

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_ALL = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let glibc's ``malloc`` keep what this process frees, and take large blocks from there too.

    PyTorch allocates each feature map anew. By default a block of megabytes comes from the system and goes back to it,
    so that each map costs a page fault for every 4 KiB: a fifth to a third of a prediction on a CPU. The process holds
    on to the most that it has needed at once. It is a setting of the whole process.

    Returns:
        Whether it is set; elsewhere than under glibc there is no such setting.
    """
    try:
        mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    except (OSError, TypeError):  # Windows has no library of no name
        return False
    if mallopt is None:
        return False
    # All of it: a threshold alone would make the other one fixed, and no longer grow.
    return all([mallopt(_M_MMAP_THRESHOLD, 2**30) == 1, mallopt(_M_TRIM_THRESHOLD, _ALL) == 1])
